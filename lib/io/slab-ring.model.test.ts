/** The ring beside an array: any order of offering, publishing, taking, giving back, and of either side dying. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { makeBell } from './bell.js';
import { PacketBatch } from './packet-source.js';
import { batchOf, numbered, packetsOf, type RingPacket } from './ring-testing.js';
import { makeSlabRing, RingReader, RingWriter, startAt } from './slab-ring.js';

const lengths = fc.oneof(fc.nat(70), fc.nat(70), fc.nat(400));
type Step =
  | { what: 'offer'; lengths: number[] }
  | { what: 'publish' | 'take' | 'release' | 'new writer' | 'new reader' };
const usual: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constant('offer' as const), lengths: fc.array(lengths, { maxLength: 8 }) }),
  fc.record({ what: fc.constantFrom('publish' as const, 'take' as const, 'release' as const) }),
);
const rare: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom('new writer' as const, 'new reader' as const),
});
const operations = fc.array(fc.oneof({ weight: 30, arbitrary: usual }, { weight: 1, arbitrary: rare }), {
  maxLength: 200,
  size: 'max',
});

/** Near the ends of signed and unsigned 32 bits, and anywhere. */
const beginnings = fc.oneof(
  fc.integer({ min: -40, max: 40 }),
  fc.integer({ min: 0x7fffffd0, max: 0x7fffffff }),
  fc.integer(),
);

class Model {
  readonly #memory;
  readonly #packetsMax: number;
  readonly #slabBytes: number;
  #writer: RingWriter;
  #reader: RingReader;
  readonly #batch: PacketBatch;
  /** In the ring and not given back, in order; of them: taken, and published. */
  #held: RingPacket[] = [];
  #taken = 0;
  #published = 0;
  #number = 0;
  skipped = 0;
  delivered = 0;

  constructor(slabBytes: number, packetsMax: number, begin: number, capacity: number) {
    this.#slabBytes = slabBytes;
    this.#packetsMax = packetsMax;
    this.#memory = makeSlabRing({ slabBytes, packetsMax });
    startAt(this.#memory, begin);
    this.#writer = new RingWriter(this.#memory, makeBell());
    this.#reader = new RingReader(this.#memory);
    this.#batch = new PacketBatch(capacity);
  }

  offer(sizes: readonly number[]): void {
    const packets = sizes.map((length) => numbered(this.#number++, length));
    const batch = batchOf(packets, this.#number % 5);
    for (const [i, packet] of packets.entries()) {
      const taken = this.#writer.offer(batch, i);
      if (this.#held.length === this.#packetsMax || packet.bytes.length > this.#slabBytes)
        assert.ok(!taken, 'no more packets than descriptors, and none that is larger than the slab');
      else if (this.#mustFit(packet)) assert.ok(taken, 'there was room');
      if (taken) this.#held.push(packet);
      else this.skipped++;
    }
  }

  /**
   * A slot has up to 34 bytes more than its packet. At the end of the slab less than the slot of a held packet may have been
   * left out, and now less than a slot of this one.
   */
  #mustFit(packet: RingPacket): boolean {
    const slots = this.#held.map(({ bytes }) => bytes.length + 34);
    const slot = packet.bytes.length + 34;
    if (slots.length === 0) return slot <= this.#slabBytes;
    return slots.reduce((sum, size) => sum + size) + Math.max(...slots) + 2 * slot <= this.#slabBytes;
  }

  publish(): void {
    this.#writer.publish();
    this.#published = this.#held.length;
  }

  take(): void {
    const expected = this.#held.slice(
      this.#taken,
      Math.min(this.#published, this.#taken + this.#batch.capacity),
    );
    assert.equal(this.#reader.waiting, this.#published - this.#taken);
    assert.equal(this.#reader.take(this.#batch), expected.length);
    assert.deepEqual(packetsOf(this.#batch), expected);
    this.#taken += expected.length;
    this.delivered += expected.length;
  }

  /** Up to here nothing that was taken may have changed. */
  release(): void {
    this.#reader.release();
    this.#held = this.#held.slice(this.#taken);
    this.#published -= this.#taken;
    this.#taken = 0;
  }

  replaceWriter(): void {
    this.#writer = new RingWriter(this.#memory, makeBell());
    this.#held.length = this.#published;
  }

  replaceReader(): void {
    this.#reader = new RingReader(this.#memory);
    this.#taken = 0;
  }

  /** What was taken last stands there still. */
  check(): void {
    const last = packetsOf(this.#batch);
    const before = this.#held.slice(Math.max(0, this.#taken - last.length), this.#taken);
    if (before.length === last.length) assert.deepEqual(last, before);
  }
}

test('property: agrees with an array, whatever the order, sizes and first index', () => {
  let skipped = 0;
  let delivered = 0;
  fc.assert(
    fc.property(
      operations,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 0, max: 5 }),
      beginnings,
      fc.integer({ min: 1, max: 9 }),
      (all, slots, power, begin, capacity) => {
        const model = new Model(slots * 32, 1 << power, begin, capacity);
        for (const operation of all) {
          if (operation.what === 'offer') model.offer(operation.lengths);
          else if (operation.what === 'publish') model.publish();
          else if (operation.what === 'take') model.take();
          else if (operation.what === 'release') model.release();
          else if (operation.what === 'new writer') model.replaceWriter();
          else model.replaceReader();
          model.check();
        }
        skipped += model.skipped;
        delivered += model.delivered;
      },
    ),
    { numRuns: 1500 },
  );
  assert.ok(skipped > 1000 && delivered > 1000, `${skipped} skipped, ${delivered} delivered`);
});
