import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantError } from '../invariant.js';
import { SeededRandom } from '../testing.js';
import { linkEthernet } from '../wire/link.js';
import { ethernet, ipv4, udp } from '../wire/testing.js';
import { makeBell } from './bell.js';
import {
  capturedBatchesAt,
  capturedBytesAt,
  capturedPacketsAt,
  Dispatcher,
  dispatcherCountsLength,
  handedOverAt,
  skippedByAt,
  skippedBytesAt,
  skippedPacketsAt,
} from './dispatcher.js';
import { type MemoryPacket, memorySource } from './memory-source.js';
import { PacketBatch } from './packet-source.js';
import { RingQueue } from './ring-queue.js';
import { makeSlabRing, RingWriter } from './slab-ring.js';

/** Flows of few hosts in both directions; each packet says its flow and its number in it. */
function traffic(random: SeededRandom, count: number): MemoryPacket[] {
  const numbers = new Map<number, number>();
  return Array.from({ length: count }, (_, i) => {
    const flow = random.below(12);
    const number = numbers.get(flow) ?? 0;
    numbers.set(flow, number + 1);
    const payload = new Uint8Array(3 + random.below(200));
    payload.set([flow, number >> 8, number & 0xff]);
    const packet = ipv4(17, udp(payload, [1000 + flow, 53]), { source: 0x0a000000 + (flow >> 1) });
    if (random.below(2) === 1) {
      packet.copyWithin(8, 12, 16);
      packet.copyWithin(12, 16, 20);
      packet.copyWithin(16, 8, 12);
    }
    return { bytes: ethernet(0x0800, packet), timeMicros: i };
  });
}

const payloadAt = 14 + 20 + 8;

interface Workers {
  readonly queues: readonly RingQueue[];
  /** One per capture loop. */
  readonly dispatchers: readonly Dispatcher[];
  readonly counts: readonly Float64Array[];
}

function connect(workers: number, loops: number, batchPackets: number, slabBytes: number): Workers {
  const bells = Array.from({ length: workers }, makeBell);
  const memories = bells.map(() =>
    Array.from({ length: loops }, () => makeSlabRing({ slabBytes, packetsMax: 1024 })),
  );
  const counts = Array.from({ length: loops }, () => new Float64Array(dispatcherCountsLength(workers)));
  return {
    queues: bells.map((bell, worker) => {
      const rings = memories[worker]!.map((memory, loop) => ({ memory, interfaceIndex: 10 + loop }));
      return new RingQueue({ rings, bell, batchPackets, waitMillis: 0 });
    }),
    dispatchers: counts.map((shared, loop) => {
      const writers = bells.map((bell, worker) => new RingWriter(memories[worker]![loop]!, bell));
      return new Dispatcher({ writers, seed: 77, counts: shared });
    }),
    counts,
  };
}

/** Flow and number of every packet, by worker and loop, in the order of arrival. */
class Arrivals {
  readonly #seen = new Map<string, number[]>();
  readonly #workerOf = new Map<number, number>();
  total = 0;

  drain(queues: readonly RingQueue[]): void {
    for (const [worker, queue] of queues.entries()) {
      while (queue.receive() > 0) {
        const { batch } = queue;
        for (let i = 0; i < batch.count; i++)
          this.#note(worker, batch.inInterface[i]!, batch.bytes, batch.start[i]!);
        queue.settle();
      }
    }
  }

  #note(worker: number, loop: number, bytes: Uint8Array, start: number): void {
    const at = start + payloadAt;
    const flow = bytes[at]!;
    assert.equal(this.#workerOf.get(flow) ?? worker, worker, 'a flow stays with one worker');
    this.#workerOf.set(flow, worker);
    const key = `${loop} ${flow}`;
    const numbers = this.#seen.get(key) ?? [];
    this.#seen.set(key, numbers);
    numbers.push((bytes[at + 1]! << 8) | bytes[at + 2]!);
    this.total++;
  }

  /** Each flow's numbers in order, none missing. */
  checkWhole(): void {
    for (const [key, numbers] of this.#seen) assert.deepEqual(numbers, [...numbers.keys()], key);
  }

  /** Each flow's numbers in order; some may be missing. */
  checkOrder(): void {
    for (const [key, numbers] of this.#seen)
      assert.ok(
        numbers.every((number, i) => i === 0 || number > numbers[i - 1]!),
        key,
      );
  }
}

async function runAll(
  packets: readonly (readonly MemoryPacket[])[],
  { queues, dispatchers }: Workers,
  batchPackets: number,
  drainEvery: number,
): Promise<Arrivals> {
  const sources = packets.map((list, loop) => memorySource(`eth${loop}`, list));
  const arrivals = new Arrivals();
  for (const source of sources) await source.fill();
  const batch = new PacketBatch(batchPackets);
  let turns = 0;
  for (let busy = true; busy;) {
    busy = false;
    for (const [loop, source] of sources.entries()) {
      if (source.next(batch) === 0) continue;
      dispatchers[loop]!.take(batch);
      busy = true;
    }
    if (++turns % drainEvery === 0) arrivals.drain(queues);
  }
  arrivals.drain(queues);
  return arrivals;
}

test('property: no packet is lost or reordered within its flow, for every batch size from 1 to 256', async () => {
  for (let batchPackets = 1; batchPackets <= 256; batchPackets++) {
    const random = new SeededRandom(batchPackets);
    const workers = 1 + (batchPackets % 4);
    const loops = 1 + (batchPackets % 3);
    // Drained before more packets came than a ring holds.
    const packets = Array.from({ length: loops }, () => traffic(random, 300 + random.below(500)));
    const connected = connect(workers, loops, 1 + random.below(256), 512 * 1024);
    const arrivals = await runAll(packets, connected, batchPackets, 1 + random.below(3));
    const total = packets.reduce((sum, list) => sum + list.length, 0);
    assert.equal(arrivals.total, total, `batches of ${batchPackets}`);
    arrivals.checkWhole();
    for (const [loop, counts] of connected.counts.entries()) {
      assert.equal(counts[capturedPacketsAt], packets[loop]!.length);
      assert.equal(counts[skippedPacketsAt], 0);
      assert.equal(counts[capturedBatchesAt], Math.ceil(packets[loop]!.length / batchPackets));
    }
  }
});

test('property: with rings too small, what arrives is in order and the rest is counted', async () => {
  let skippedInAll = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 256 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer(),
      async (batchPackets, workers, slots, drainEvery, seed) => {
        const packets = traffic(new SeededRandom(seed), 400);
        const connected = connect(workers, 1, 16, slots * 32);
        const arrivals = await runAll([packets], connected, batchPackets, drainEvery);
        const counts = connected.counts[0]!;
        const skipped = counts[skippedPacketsAt]!;
        assert.equal(arrivals.total + skipped, packets.length);
        arrivals.checkOrder();
        const each = Array.from({ length: workers }, (_, i) => i);
        assert.equal(
          each.reduce((sum, worker) => sum + counts[skippedByAt(worker)]!, 0),
          skipped,
        );
        assert.equal(
          each.reduce((sum, worker) => sum + counts[handedOverAt(worker)]!, 0),
          arrivals.total,
        );
        assert.equal(
          counts[capturedBytesAt],
          packets.reduce((sum, { bytes }) => sum + bytes.length, 0),
        );
        assert.ok(
          skipped === 0 ? counts[skippedBytesAt] === 0 : counts[skippedBytesAt]! >= skipped * payloadAt,
        );
        skippedInAll += skipped;
      },
    ),
    { numRuns: 150 },
  );
  assert.ok(skippedInAll > 0);
});

test('what is not IP goes to the first worker', () => {
  const { queues, dispatchers } = connect(3, 1, 8, 4096);
  const batch = new PacketBatch(1);
  batch.bytes = ethernet(0x0806, new Uint8Array(28));
  batch.end[0] = batch.bytes.length;
  batch.wireLength[0] = batch.bytes.length;
  batch.linkType[0] = linkEthernet;
  batch.count = 1;
  dispatchers[0]!.take(batch);
  assert.deepEqual(
    queues.map((queue) => queue.receive()),
    [1, 0, 0],
  );
});

test('an empty batch is no batch', () => {
  const { dispatchers, counts } = connect(1, 1, 8, 4096);
  dispatchers[0]!.take(new PacketBatch(4));
  assert.deepEqual([...counts[0]!], [...new Float64Array(dispatcherCountsLength(1))]);
});

test('a dispatcher without workers or without room for its counts is a defect', () => {
  const writers = [new RingWriter(makeSlabRing({ slabBytes: 64, packetsMax: 1 }), makeBell())];
  assert.throws(() => new Dispatcher({ writers: [], seed: 1, counts: new Float64Array(99) }), InvariantError);
  assert.throws(() => new Dispatcher({ writers, seed: 1, counts: new Float64Array(3) }), InvariantError);
});
