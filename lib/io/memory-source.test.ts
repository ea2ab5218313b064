import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expected, readAll } from './capture-testing.js';
import { linkTypeName } from './link-types.js';
import { memorySource } from './memory-source.js';

test('a memory source yields its packets in order, over several batches', async () => {
  const packets = Array.from({ length: 150 }, (_, index) => ({
    bytes: new Uint8Array(index).fill(index),
    timeMicros: index * 10,
    linkType: index % 2 === 0 ? 1 : 101,
    wireLength: index + 3,
  }));
  const source = memorySource('memory', packets);
  const { packets: read, codes } = await readAll(source);
  assert.deepEqual(read, expected(packets));
  assert.deepEqual(codes, []);
  assert.equal(source.bytesRead, source.bytesTotal);
});

test('a memory source without packets has nothing to fill', async () => {
  assert.equal(await memorySource('none', []).fill(), false);
});

test('link types have names, unknown ones their number', () => {
  const names = [1, 12, 14, 101, 113, 127, 150, 276, 9999].map(linkTypeName);
  assert.deepEqual(names, [
    'ETHERNET',
    'RAW',
    'RAW',
    'RAW',
    'LINUX_SLL',
    'IEEE802_11_RADIOTAP',
    'USER3',
    'LINUX_SLL2',
    'LINKTYPE 9999',
  ]);
});
