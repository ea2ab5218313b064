import assert from 'node:assert/strict';
import { test } from 'node:test';
import { combine } from '../lib/config/load.js';
import { readConfigText } from '../lib/config/yaml-file.js';
import { plansOf } from './filter-plan.js';

function sizesOf(queue: string, batch = 64): readonly [batchPackets: number, receiveBufferBytes: number] {
  const text = `queue: { ${queue} }\nbatch: ${batch}\nworkers: 1\n`;
  const { config } = combine(readConfigText(text, 'file'), 'file', { env: {}, flags: new Map() });
  const { batchPackets, receiveBufferBytes } = plansOf(config, 'accept')[0]!.queue;
  return [batchPackets, receiveBufferBytes];
}

test('batch and buffer are no larger than leaves the queue room (lib/io/nfqueue.test.ts says what for)', () => {
  assert.deepEqual(sizesOf('length: 4096'), [64, 4032 * 384]);
  assert.deepEqual(sizesOf('length: 64'), [16, 48 * 384]);
  assert.deepEqual(sizesOf('length: 16', 256), [4, 12 * 384]);
  assert.deepEqual(sizesOf('length: 16384', 256), [256, 1536 * 1024]);
  assert.deepEqual(sizesOf('receive_buffer_bytes: 8 MiB, length: 32768'), [64, 8 * 1024 * 1024]);
});
