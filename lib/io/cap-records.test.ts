import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { capBytesMax, RecordReader, recordHeaderBytes, RecordWriter } from './cap-records.js';

interface Packet {
  readonly bytes: Uint8Array;
  readonly wireLength: number;
  readonly timeMicros: number;
}

function write(packets: readonly Packet[]): Uint8Array {
  const writer = new RecordWriter();
  const parts: Uint8Array[] = [];
  for (const { bytes, wireLength, timeMicros } of packets) {
    if (!writer.fits(bytes.length)) parts.push(writer.take().slice());
    new Uint8Array(writer.memory).set(bytes);
    writer.add(bytes.length, wireLength, timeMicros);
  }
  return Buffer.concat([...parts, writer.take()]);
}

/** Reads a stream in pieces of these lengths, again and again. */
function read(stream: Uint8Array, pieces: readonly number[], batchPackets: number): Packet[] {
  const out: Packet[] = [];
  const reader = new RecordReader(batchPackets, 1);
  const { batch } = reader;
  const keep = (): boolean => {
    assert.ok(batch.count > 0 && batch.count <= batchPackets);
    for (let i = 0; i < batch.count; i++) {
      const bytes = batch.bytes.slice(batch.start[i], batch.end[i]);
      assert.equal(batch.frame[i], out.length + 1);
      assert.equal(batch.linkType[i], 1);
      out.push({ bytes, wireLength: batch.wireLength[i]!, timeMicros: batch.timeMicros[i]! });
    }
    return true;
  };
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const piece = pieces[turn % pieces.length]!;
    assert.ok(reader.read(stream.subarray(at, at + piece), keep));
    at += piece;
  }
  return out;
}

const packet = fc.record(
  {
    bytes: fc.uint8Array({ maxLength: 300 }),
    wireLength: fc.integer({ min: 300, max: 100_000 }),
    timeMicros: fc.integer({ min: 0, max: 2 ** 52 }),
  },
  { noNullPrototype: true },
);

test('whatever pieces the stream arrives in: every packet once, in order, for every batch size', () => {
  fc.assert(
    fc.property(
      fc.array(packet, { maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 256 }),
      (packets, pieces, batchPackets) => {
        assert.deepEqual(read(write(packets), pieces, batchPackets), packets);
      },
    ),
  );
});

test('the largest packets, with records cut anywhere', () => {
  const packets = Array.from({ length: 12 }, (_, index) => ({
    bytes: new Uint8Array(capBytesMax).fill(index),
    wireLength: capBytesMax,
    timeMicros: index,
  }));
  for (const piece of [1000, 65_536, 1_000_000]) {
    assert.deepEqual(read(write(packets), [piece], 5), packets, `pieces of ${piece}`);
  }
});

test('who is called may end it, and a stream that is none of ours is refused', () => {
  const stream = write(
    Array.from({ length: 6 }, (_, i) => ({ bytes: new Uint8Array(9), wireLength: 9, timeMicros: i })),
  );
  let calls = 0;
  const ending = new RecordReader(2, 1);
  assert.ok(ending.read(stream, () => ++calls < 2));
  assert.equal(calls, 2);
  const nonsense = new Uint8Array(recordHeaderBytes + 1_000_000).fill(0xff);
  assert.equal(
    new RecordReader(2, 1).read(nonsense, () => true),
    false,
  );
});
