import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { combine } from '../lib/config/load.js';
import { readConfigText } from '../lib/config/yaml-file.js';
import type { Config } from '../lib/config/config.js';
import { ringBytesLowest } from '../lib/limits.js';
import { makeCaptureMemory, ringPlansOf, ringSize } from './capture-plan.js';
import { makeSwarmMemory } from './swarm-memory.js';

const read = (text: string): Config =>
  combine(readConfigText(text, 'f'), 'f', { env: {}, flags: new Map<string, string>() }).config;

test('a ring of any size keeps within it, and holds packets of the longest kind', () => {
  fc.assert(
    fc.property(fc.integer({ min: 64, max: 262_144 }), fc.integer({ min: 0, max: 2 ** 32 }), (snap, more) => {
      const bytes = ringBytesLowest(snap) + more;
      const { packetsMax, slabBytes } = ringSize(bytes);
      assert.ok(slabBytes + packetsMax * 32 + 256 <= bytes);
      assert.ok(slabBytes >= 4 * snap, `${slabBytes} bytes for packets of ${snap}`);
      assert.ok(packetsMax >= 256 && slabBytes % 8 === 0 && Number.isInteger(Math.log2(packetsMax)));
    }),
  );
});

test('all rings together take what is configured, whatever the number of interfaces and workers', () => {
  for (const text of [
    'capture: { interfaces: [a] }\nworkers: 1',
    'capture: { interfaces: [a, b, c], ring_bytes: 8 MiB }\nworkers: 7',
    'capture: { interfaces: [a, b], ring_bytes: 16 MiB, save: { directory: /tmp } }\nworkers: 4',
  ]) {
    const config = read(text);
    const memory = makeCaptureMemory(config);
    assert.ok(memory.bytes <= config.capture.ringBytes, `${memory.bytes}`);
    assert.ok(memory.bytes > config.capture.ringBytes * 0.9, `${memory.bytes}`);
  }
});

test('a worker has the ring of each interface, its own bell, and the way to the files if these are wanted', () => {
  const config = read('capture: { interfaces: [a, b], save: { directory: /tmp } }\nworkers: 3\nbatch: 16');
  const memory = makeCaptureMemory(config);
  const plans = ringPlansOf(config, memory, makeSwarmMemory());
  assert.equal(plans.length, 3);
  for (const [worker, { rings, queue }] of plans.entries()) {
    assert.equal(queue, null);
    assert.deepEqual(rings.interfaces, ['a', 'b']);
    assert.deepEqual(rings.memories, [memory.rings[0]![worker], memory.rings[1]![worker]]);
    assert.equal(rings.bell, memory.bells[worker]);
    assert.equal(rings.saved, memory.saved![worker]);
    assert.equal(rings.batchPackets, 16);
  }
  assert.equal(new Set(memory.rings.flat().map(({ slab }) => slab)).size, 6);
  const without = read('capture: { interfaces: [a] }\nworkers: 2');
  assert.equal(ringPlansOf(without, makeCaptureMemory(without), makeSwarmMemory())[0]!.rings.saved, null);
});
