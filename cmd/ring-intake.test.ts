import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBell } from '../lib/io/bell.js';
import { batchOf, numbered, packetsOf } from '../lib/io/ring-testing.js';
import { makeSlabRing, RingWriter } from '../lib/io/slab-ring.js';
import { giveUp, openRings } from './ring-intake.js';

test('who takes over from a lost worker gives up what that had in hand, and reads what came after it', () => {
  const memories = [0, 1].map(() => makeSlabRing({ slabBytes: 65_536, packetsMax: 64 }));
  const bell = makeBell();
  const rings = { interfaces: ['a', 'b'], memories, bell, batchPackets: 4, saved: null, savedBell: bell };
  const writer = new RingWriter(memories[1]!, bell);
  const packets = Array.from({ length: 6 }, (_, i) => numbered(i, 60));
  const batch = batchOf(packets);
  for (let i = 0; i < packets.length; i++) assert.ok(writer.offer(batch, i));
  writer.publish();
  // Lost with four packets in hand: they were not given back.
  assert.equal(openRings(rings, 0).receive(), 4);
  assert.equal(giveUp(rings), 4);
  const queue = openRings(rings, 0);
  assert.equal(queue.receive(), 2);
  assert.deepEqual(
    packetsOf(queue.batch).map(({ bytes }) => bytes),
    packets.slice(4).map(({ bytes }) => bytes),
  );
  assert.deepEqual([...queue.batch.inInterface.subarray(0, 2)], [2, 2]);
});
