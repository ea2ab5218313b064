/** From the capture loop to the worker nothing is allocated: a process of its own passes 600,000 packets and sees no collection. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { nativeProblem, workClock } from '../native/index.js';
import { SeededRandom } from '../testing.js';
import { linkEthernet, linkLinuxSll } from '../wire/link.js';
import { makeBell } from './bell.js';
import { Dispatcher, dispatcherCountsLength, skippedPacketsAt } from './dispatcher.js';
import { PacketBatch } from './packet-source.js';
import { RingQueue } from './ring-queue.js';
import { makeSlabRing, RingWriter } from './slab-ring.js';

const childVariable = 'SWARMGATE_GC_CHILD';
const packets = 600_000;
const workers = 2;
const loops = 2;
const batchPackets = 64;
const stride = 1520;
const startMicros = 1_790_000_000_000_000;

/** Near enough for times to be compared, late enough for nothing to wait. */
function readClock(now: Float64Array): void {
  now[0] = startMicros + 100_000;
}

/** That of the workers, where the addon was built. */
const readWorkClock = nativeProblem() === null ? workClock() : readClock;

/** Two capture loops, each with two blocks in turn; two workers, each with a ring of both. */
class Rig {
  readonly counts = new Float64Array(dispatcherCountsLength(workers));
  readonly #queues: readonly RingQueue[];
  readonly #dispatchers: readonly Dispatcher[];
  readonly #batches: readonly PacketBatch[];
  #turn = 0;
  sum = 0;

  constructor() {
    const bells = Array.from({ length: workers }, makeBell);
    // Small enough for packets to be skipped as well.
    const memories = bells.map(() =>
      Array.from({ length: loops }, () => makeSlabRing({ slabBytes: 32 * 1024, packetsMax: 64 })),
    );
    this.#queues = bells.map((bell, worker) => {
      const rings = memories[worker]!.map((memory, loop) => ({ memory, interfaceIndex: loop + 1 }));
      return new RingQueue({ rings, bell, batchPackets, waitMillis: 0, readClock, readWorkClock });
    });
    this.#dispatchers = Array.from({ length: loops }, (_, loop) => {
      const writers = bells.map((bell, worker) => new RingWriter(memories[worker]![loop]!, bell));
      return new Dispatcher({ writers, seed: 0x7eadbeef, counts: this.counts });
    });
    this.#batches = Array.from({ length: 4 }, (_, i) => block(i));
  }

  pass(count: number): void {
    for (let sent = 0; sent < count; sent += batchPackets) {
      const batch = this.#batches[this.#turn & 3]!;
      this.#dispatchers[(this.#turn >> 1) & 1]!.take(batch);
      this.#turn++;
      if (this.#turn % 3 === 0) for (let i = 0; i < workers; i++) this.#drain(this.#queues[i]!);
    }
  }

  #drain(queue: RingQueue): void {
    for (let count = queue.receive(); count > 0; count = queue.receive()) {
      const { batch } = queue;
      for (let i = 0; i < count; i++)
        this.sum = (this.sum + batch.bytes[batch.start[i]!]! + batch.frame[i]!) | 0;
      queue.settle();
    }
  }
}

/** IPv4 and IPv6, plain and tagged, of addresses that make any hash. */
function block(number: number): PacketBatch {
  const random = new SeededRandom(number + 1);
  const batch = new PacketBatch(batchPackets);
  batch.bytes = random.bytes(batchPackets * stride);
  for (let i = 0; i < batchPackets; i++) {
    const start = i * stride + (i % 5);
    const cooked = i % 7 === 0;
    batch.start[i] = start;
    batch.end[i] = start + 60 + random.below(1450);
    batch.wireLength[i] = 1514;
    batch.linkType[i] = cooked ? linkLinuxSll : linkEthernet;
    batch.timeMicros[i] = startMicros + i;
    const type = [0x08, 0x00, 0x45];
    const header = i % 3 === 0 ? [0x86, 0xdd, 0x60] : i % 3 === 1 ? type : [0x81, 0x00, 0x00, 0x07, ...type];
    batch.bytes.set(header, start + (cooked ? 14 : 12));
  }
  batch.count = batchPackets;
  return batch;
}

async function child(): Promise<void> {
  const collections: number[] = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) collections.push(entry.startTime);
  }).observe({ entryTypes: ['gc'] });
  const rig = new Rig();
  rig.pass(300_000);
  globalThis.gc?.();
  await sleep(50);
  const begin = performance.now();
  rig.pass(packets);
  const end = performance.now();
  await sleep(50);
  process.stdout.write(
    JSON.stringify({
      during: collections.filter((time) => time >= begin && time <= end).length,
      forced: collections.some((time) => time < begin),
      sum: rig.sum,
      skipped: rig.counts[skippedPacketsAt],
    }),
  );
}

if (process.env[childVariable] === undefined) {
  test('passing packets from capture loops to workers causes no garbage collection', () => {
    const run = spawnSync(
      process.execPath,
      [...process.execArgv, '--expose-gc', '--max-semi-space-size=1', fileURLToPath(import.meta.url)],
      { encoding: 'utf8', env: { ...process.env, [childVariable]: '1', NODE_TEST_CONTEXT: undefined } },
    );
    assert.equal(run.status, 0, run.stderr);
    const result = JSON.parse(run.stdout) as Record<'during' | 'sum' | 'skipped', number> & {
      forced: boolean;
    };
    assert.ok(result.forced, 'the collection forced before the run was observed, so others would be as well');
    assert.ok(result.sum !== 0 && result.skipped > 0 && result.skipped < packets);
    assert.equal(result.during, 0);
  });
} else {
  await child();
}
