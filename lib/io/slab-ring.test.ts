import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvariantError } from '../invariant.js';
import { makeBell } from './bell.js';
import { PacketBatch } from './packet-source.js';
import { batchOf, numbered, packetsOf, type RingPacket } from './ring-testing.js';
import { makeSlabRing, RingReader, RingWriter, type SlabRingMemory, startAt } from './slab-ring.js';

const bell = makeBell();

function offerAll(writer: RingWriter, packets: readonly RingPacket[]): boolean[] {
  const batch = batchOf(packets);
  return packets.map((_, i) => writer.offer(batch, i));
}

function takeAll(reader: RingReader): RingPacket[] {
  const batch = new PacketBatch(3);
  const taken: RingPacket[] = [];
  while (reader.take(batch) > 0) taken.push(...packetsOf(batch));
  return taken;
}

const some = (count: number, length = 40): RingPacket[] =>
  Array.from({ length: count }, (_, i) => numbered(i, length + i));

describe('from one side to the other', () => {
  test('packets come out as they went in, once they were published', () => {
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    const reader = new RingReader(memory);
    const packets = some(5);
    assert.deepEqual(offerAll(writer, packets), [true, true, true, true, true]);
    assert.equal(reader.waiting, 0);
    assert.deepEqual(takeAll(reader), []);
    writer.publish();
    assert.equal(reader.waiting, 5);
    assert.deepEqual(takeAll(reader), packets);
  });

  test('the batch shows the slab itself', () => {
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    offerAll(writer, some(1));
    writer.publish();
    const batch = new PacketBatch(4);
    assert.equal(new RingReader(memory).take(batch), 1);
    assert.equal(batch.bytes.buffer, memory.slab);
  });

  test('every alignment and length, up to the last byte of a block', () => {
    for (let before = 0; before < 9; before++) {
      for (let length = 0; length < 100; length++) {
        const memory = makeSlabRing({ slabBytes: 512, packetsMax: 4 });
        const writer = new RingWriter(memory, bell);
        const packets = [numbered(length, length), numbered(before, 7)];
        const batch = batchOf(packets, before);
        assert.ok(writer.offer(batch, 0) && writer.offer(batch, 1));
        writer.publish();
        assert.deepEqual(takeAll(new RingReader(memory)), packets);
      }
    }
  });

  test('a block that is a part of a larger buffer, as Node hands out small ones', () => {
    const memory = makeSlabRing({ slabBytes: 512, packetsMax: 4 });
    const writer = new RingWriter(memory, bell);
    const packet = numbered(9, 50);
    const batch = batchOf([packet]);
    const whole = new Uint8Array(64).fill(0xaa);
    whole.set(packet.bytes, 11);
    batch.bytes = whole.subarray(11, 61);
    writer.offer(batch, 0);
    writer.publish();
    assert.deepEqual(takeAll(new RingReader(memory)), [packet]);
  });

  test('blocks that take turns are told apart', () => {
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    const packets = some(3, 64);
    const batches = packets.map((packet) => batchOf([packet]));
    for (const i of [0, 1, 0, 2, 1, 0]) writer.offer(batches[i]!, 0);
    writer.publish();
    assert.deepEqual(
      takeAll(new RingReader(memory)),
      [0, 1, 0, 2, 1, 0].map((i) => packets[i]!),
    );
  });
});

describe('credits', () => {
  test('a packet that finds no descriptor is skipped and counted; room comes back with release', () => {
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 4 });
    const writer = new RingWriter(memory, bell);
    const reader = new RingReader(memory);
    const packets = some(6);
    assert.deepEqual(offerAll(writer, packets), [true, true, true, true, false, false]);
    assert.equal(writer.skippedPackets, 2);
    assert.equal(writer.skippedBytes, packets[4]!.wireLength + packets[5]!.wireLength);
    writer.publish();
    assert.deepEqual(takeAll(reader), packets.slice(0, 4));
    assert.deepEqual(offerAll(writer, some(1)), [false], 'what was taken and not given back is in use');
    reader.release();
    assert.deepEqual(offerAll(writer, some(4)), [true, true, true, true]);
  });

  test('a packet that finds no bytes is skipped, a smaller one is not', () => {
    const memory = makeSlabRing({ slabBytes: 256, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    const packets = [numbered(1, 150), numbered(2, 150), numbered(3, 20)];
    assert.deepEqual(offerAll(writer, packets), [true, false, true]);
    writer.publish();
    assert.deepEqual(takeAll(new RingReader(memory)), [packets[0], packets[2]]);
  });

  test('a packet larger than the slab is skipped, one as large as the slab is taken when the ring is empty', () => {
    const memory = makeSlabRing({ slabBytes: 256, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    const reader = new RingReader(memory);
    const whole = numbered(1, 256);
    assert.deepEqual(offerAll(writer, [numbered(0, 257)]), [false]);
    assert.deepEqual(offerAll(writer, [whole, numbered(2, 0)]), [true, false]);
    writer.publish();
    assert.deepEqual(takeAll(reader), [whole]);
    reader.release();
    assert.deepEqual(offerAll(writer, [numbered(3, 10)]), [true]);
    writer.publish();
    takeAll(reader);
    reader.release();
    assert.deepEqual(offerAll(writer, [whole]), [true]);
  });

  test('a packet never goes round the end of the slab', () => {
    const memory = makeSlabRing({ slabBytes: 320, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    const reader = new RingReader(memory);
    const batch = new PacketBatch(1);
    let read = 0;
    offerAll(writer, [numbered(0, 90)]);
    for (let i = 1; i < 200; i++) {
      assert.deepEqual(offerAll(writer, [numbered(i, 60 + (i % 37))]), [true]);
      writer.publish();
      assert.equal(reader.take(batch), 1);
      assert.deepEqual(packetsOf(batch), [numbered(read, read === 0 ? 90 : 60 + (read % 37))]);
      read++;
      reader.release();
    }
  });

  test('indexes go past 2^31 and 2^32', () => {
    for (const begin of [0x7ffffff8, -8]) {
      const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 8 });
      startAt(memory, begin);
      const writer = new RingWriter(memory, bell);
      const reader = new RingReader(memory);
      for (let i = 0; i < 30; i++) {
        const packets = some(5).map((packet) => ({ ...packet, frame: i }));
        assert.ok(offerAll(writer, packets).every((taken) => taken));
        writer.publish();
        assert.deepEqual(takeAll(reader), packets);
        reader.release();
      }
    }
  });
});

describe('one side dies', () => {
  test('the next reader begins with what was not given back', () => {
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    const packets = some(6);
    offerAll(writer, packets);
    writer.publish();
    const batch = new PacketBatch(2);
    const first = new RingReader(memory);
    first.take(batch);
    first.release();
    first.take(batch);
    assert.deepEqual(takeAll(new RingReader(memory)), packets.slice(2));
  });

  test('the next writer goes on behind what was published; a packet in the making was never there', () => {
    const memory = makeSlabRing({ slabBytes: 512, packetsMax: 16 });
    const reader = new RingReader(memory);
    const packets = some(4);
    const first = new RingWriter(memory, bell);
    offerAll(first, packets.slice(0, 2));
    first.publish();
    offerAll(first, [numbered(99, 100)]);
    const second = new RingWriter(memory, bell);
    offerAll(second, packets.slice(2));
    second.publish();
    assert.deepEqual(takeAll(reader), packets);
    reader.release();
    assert.deepEqual(offerAll(new RingWriter(memory, bell), [numbered(5, 512)]), [true], 'nothing is in use');
  });

  test('the next writer of a full ring finds it full', () => {
    const memory = makeSlabRing({ slabBytes: 128, packetsMax: 16 });
    const first = new RingWriter(memory, bell);
    assert.deepEqual(offerAll(first, some(3, 60)), [true, true, false]);
    first.publish();
    assert.deepEqual(offerAll(new RingWriter(memory, bell), some(1, 1)), [false]);
  });
});

describe('memory that cannot be', () => {
  const filled = (): { memory: SlabRingMemory; reader: RingReader } => {
    const memory = makeSlabRing({ slabBytes: 4096, packetsMax: 16 });
    const writer = new RingWriter(memory, bell);
    offerAll(writer, some(4));
    writer.publish();
    return { memory, reader: new RingReader(memory) };
  };

  test('a descriptor that points outside the slab is passed over', () => {
    for (const [start, end] of [
      [-1, 20],
      [20, 10],
      [4000, 4097],
      [0x7fffffff, -0x80000000],
    ] as const) {
      const { memory, reader } = filled();
      new Int32Array(memory.descriptors).set([start, end], 8);
      assert.deepEqual(
        takeAll(reader),
        [0, 2, 3].map((i) => some(4)[i]!),
      );
      assert.equal(reader.malformed, 1);
    }
  });

  test('an index farther away than the ring is long: the ring begins anew, and works', () => {
    for (const [word, value] of [
      [0, 17],
      [0, -1],
      [0, 0x40000000],
      [32, 9],
      [32, -13],
    ] as const) {
      const { memory } = filled();
      new Int32Array(memory.indexes)[word] = value;
      const reader = new RingReader(memory);
      assert.equal(reader.waiting, 0);
      assert.equal(reader.malformed, 1);
      const writer = new RingWriter(memory, bell);
      const packets = some(16);
      assert.ok(offerAll(writer, packets).every((taken) => taken));
      writer.publish();
      assert.deepEqual(takeAll(reader), packets);
    }
  });

  test('a writer that sees an impossible read index stays within the slab', () => {
    const { memory } = filled();
    new Int32Array(memory.indexes)[32] = 1_000_000;
    new Int32Array(memory.descriptors).fill(0x7ffffff0);
    const writer = new RingWriter(memory, bell);
    for (let i = 0; i < 100; i++) offerAll(writer, some(1, 500));
    writer.publish();
    for (const { bytes } of takeAll(new RingReader(memory))) assert.equal(bytes.length, 500);
  });
});

test('sizes that cannot be are refused', () => {
  for (const [slabBytes, packetsMax] of [
    [0, 16],
    [100, 16],
    [2 ** 31, 16],
    [Number.NaN, 16],
    [4096, 0],
    [4096, 12],
    [4096, 2 ** 23],
    [4096, 1.5],
  ] as const) {
    assert.throws(() => makeSlabRing({ slabBytes, packetsMax }), InvariantError);
  }
});
