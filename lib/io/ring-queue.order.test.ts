/** The rings of several interfaces, merged by the time of their packets, under a clock of the test's own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Bell, makeBell } from './bell.js';
import { batchOf, numbered, type RingPacket } from './ring-testing.js';
import { holdMillis, RingQueue } from './ring-queue.js';
import { makeSlabRing, RingWriter } from './slab-ring.js';

const startMicros = 1_790_000_000_000_000;

function put(writer: RingWriter, number: number, timeMicros: number): void {
  const packet: RingPacket = { ...numbered(number, 50), timeMicros };
  assert.ok(writer.offer(batchOf([packet]), 0));
  writer.publish();
}

interface Rig {
  readonly queue: RingQueue;
  readonly writers: readonly RingWriter[];
  /** Makes the next sleep a short one. */
  readonly bell: Bell;
}

interface RigOptions {
  readonly packetsMax?: number;
  /** Left out: the time that really passes. */
  readonly workMicros?: () => number;
}

function rig(rings: number, batchPackets: number, nowMillis: () => number, options: RigOptions = {}): Rig {
  const { packetsMax = 1024, workMicros } = options;
  const bell = makeBell();
  const memories = Array.from({ length: rings }, () => makeSlabRing({ slabBytes: 128 * 1024, packetsMax }));
  const inputs = memories.map((memory, i) => ({ memory, interfaceIndex: i + 1 }));
  const readClock = (now: Float64Array): void => {
    now[0] = nowMillis() * 1000;
  };
  const queue = new RingQueue({
    ...{ rings: inputs, bell, batchPackets, waitMillis: 1, readClock },
    ...(workMicros === undefined ? {} : { readWorkClock: (now) => void (now[0] = workMicros()) }),
  });
  return { queue, writers: memories.map((memory) => new RingWriter(memory, bell)), bell: new Bell(bell) };
}

/** Interface and time since the start of each packet of the next batch. */
function next(queue: RingQueue): [number, number][] {
  const count = queue.receive();
  const { batch } = queue;
  const packets = Array.from({ length: count }, (_, i): [number, number] => [
    batch.inInterface[i]!,
    batch.timeMicros[i]! - startMicros,
  ]);
  if (count > 0) queue.settle();
  return packets;
}

interface Arrival {
  readonly ring: number;
  /** When it is on the wire, and when its capture hands it over, microseconds since the start. */
  readonly micros: number;
  readonly handedOver: number;
}

const rings = 3;

const arrivals = fc
  .array(
    fc.record({
      ring: fc.nat(rings - 1),
      gap: fc.oneof(fc.nat(100), fc.nat(20_000)),
      delay: fc.nat(holdMillis * 1000),
    }),
    { minLength: 1, maxLength: 200 },
  )
  .map((items) => {
    let micros = 0;
    const last = new Array<number>(rings).fill(0);
    return items.map(({ ring, gap, delay }): Arrival => {
      micros += gap;
      // A capture does not reorder.
      last[ring] = Math.max(last[ring]!, micros + delay);
      return { ring, micros, handedOver: last[ring] };
    });
  });

describe('several rings', () => {
  test('whatever the captures are behind, up to the bound: every packet, in the order of their times', () => {
    fc.assert(
      fc.property(arrivals, fc.integer({ min: 1, max: 16 }), fc.nat(900), (packets, batchPackets, step) => {
        let clock = 0;
        const due = [...packets].sort((a, b) => a.handedOver - b.handedOver);
        const nowMillis = (): number => {
          clock += 100 + step;
          while (due.length > 0 && due[0]!.handedOver <= clock) {
            const { ring, micros } = due.shift()!;
            put(writers[ring]!, 0, startMicros + micros);
          }
          bell.ring();
          return Math.floor((startMicros + clock) / 1000);
        };
        // A busy machine may stop the test for longer than a packet is held: that is not the test's time.
        const { queue, writers, bell } = rig(rings, batchPackets, nowMillis, { workMicros: () => clock });
        const seen: number[] = [];
        while (seen.length < packets.length) seen.push(...next(queue).map(([, micros]) => micros));
        assert.deepEqual(
          seen,
          packets.map(({ micros }) => micros),
        );
      }),
      { numRuns: 200 },
    );
  });

  test('a batch ends where another ring has an older packet', () => {
    const { queue, writers } = rig(2, 64, () => startMicros / 1000 + 100);
    for (const micros of [10, 20, 30, 60]) put(writers[0]!, 0, startMicros + micros);
    for (const micros of [25, 40, 50]) put(writers[1]!, 0, startMicros + micros);
    const batches = [next(queue), next(queue), next(queue), next(queue), next(queue)];
    assert.deepEqual(batches, [
      [
        [1, 10],
        [1, 20],
      ],
      [[2, 25]],
      [[1, 30]],
      [
        [2, 40],
        [2, 50],
      ],
      [[1, 60]],
    ]);
  });
});

describe('what is held, and what is not', () => {
  const now = startMicros / 1000;
  /** Looks at the clock until the first packet came. */
  function looks(rings: number, offsets: readonly number[], packetsMax?: number): number {
    let count = 0;
    const nowMillis = (): number => {
      count++;
      return now;
    };
    const { queue, writers } = rig(rings, 4, nowMillis, packetsMax === undefined ? {} : { packetsMax });
    for (const micros of offsets) put(writers[0]!, 0, startMicros + micros);
    assert.equal(next(queue)[0]![1], offsets[0]);
    return count;
  }

  test('a young packet waits for the empty ring, and no longer than the bound though the clock stands still', () => {
    assert.ok(looks(2, [0]) > 1);
  });

  test('an older packet does not wait', () => {
    assert.equal(looks(2, [-holdMillis * 1000]), 1);
  });

  test('on a single ring nothing waits', () => {
    assert.equal(looks(1, [0]), 0);
  });

  test('nothing waits in a ring of which a quarter is full', () => {
    assert.ok(looks(2, [0, 0, 0, 0], 16) > 1);
    assert.equal(looks(2, [0, 0, 0, 0, 0], 16), 1);
  });

  test('a clock that disagrees holds up nothing', () => {
    for (const offset of [1e9, -1e9]) assert.equal(looks(2, [offset]), 1);
    const { queue, writers } = rig(2, 4, () => now);
    put(writers[0]!, 0, Number.NaN);
    assert.equal(next(queue).length, 1);
  });

  test('where the clocks of two rings disagree they take turns: neither holds up the other', () => {
    const { queue, writers } = rig(2, 4, () => now);
    for (let i = 0; i < 12; i++) put(writers[0]!, i, startMicros - 3600e6);
    for (let i = 0; i < 8; i++) put(writers[1]!, i, startMicros);
    const interfaces = [1, 2, 3, 4].map(() => next(queue)[0]![0]);
    assert.deepEqual(interfaces, [2, 1, 2, 1]);
  });
});
