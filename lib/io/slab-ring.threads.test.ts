/** One capture thread and two workers on real threads: what arrives is whole and in order, also when a worker dies. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { linkEthernet } from '../wire/link.js';
import { makeBell, type BellMemory } from './bell.js';
import { Dispatcher, dispatcherCountsLength, handedOverAt, skippedByAt } from './dispatcher.js';
import { PacketBatch } from './packet-source.js';
import { RingQueue } from './ring-queue.js';
import { makeSlabRing, RingWriter, type SlabRingMemory, startAt } from './slab-ring.js';

const workers = 2;
const flows = 64;
const batchPackets = 64;
const packetsMax = 4096;
/** Packets that the producer may be ahead, so that it need not skip any. */
const aheadMax = 2000;
const lengthMin = 42;
const lengthsOver = 90;

/** Words of `control`. */
const finishedAt = 0;
const consumedAt = 1;
const nextAt = consumedAt + workers;
const controlWords = nextAt + flows;

interface Role {
  /** -1 for the producer. */
  readonly worker: number;
  readonly packets: number;
  /** The producer waits for its workers instead of skipping. */
  readonly waits: boolean;
  /** What a worker sleeps after each batch. */
  readonly pauseMillis: number;
  readonly rings: readonly SlabRingMemory[];
  readonly bells: readonly BellMemory[];
  /** Finished, packets consumed by each worker, number of the next packet of each flow. */
  readonly control: SharedArrayBuffer;
  readonly counts: SharedArrayBuffer;
}

interface Seen {
  packets: number;
  /** Packets whose bytes do not belong together. */
  broken: number;
  /** Numbers that came again, and numbers that were left out. */
  again: number;
  missing: number;
}

/** Writes packet `number` of a flow; its length and bytes follow from both. */
function write(bytes: Uint8Array, at: number, flow: number, number: number): number {
  const length = lengthMin + ((number + flow) % lengthsOver);
  bytes.fill(0, at, at + 34);
  bytes[at + 12] = 0x08;
  bytes[at + 14] = 0x45;
  bytes[at + 29] = 1 + (number & 1 ? flow : 200);
  bytes[at + 33] = 1 + (number & 1 ? 200 : flow);
  for (let i = 34; i < length; i++) bytes[at + i] = number + i;
  bytes[at] = flow;
  for (let i = 0; i < 4; i++) bytes[at + 1 + i] = number >>> (8 * i);
  return length;
}

function isWhole(bytes: Uint8Array, start: number, end: number, flow: number, number: number): boolean {
  if (end - start !== lengthMin + ((number + flow) % lengthsOver)) return false;
  for (let i = 34; i < end - start; i++) if (bytes[start + i] !== ((number + i) & 0xff)) return false;
  return bytes[start + 14] === 0x45;
}

function produce(role: Role): number {
  const control = new Int32Array(role.control);
  const writers = role.rings.map((memory, i) => new RingWriter(memory, role.bells[i]!));
  const dispatcher = new Dispatcher({ writers, seed: 5, counts: new Float64Array(role.counts) });
  const stride = lengthMin + lengthsOver + 3;
  const batch = new PacketBatch(batchPackets);
  batch.bytes = new Uint8Array(batchPackets * stride);
  batch.linkType.fill(linkEthernet);
  const numbers = new Int32Array(flows);
  for (let sent = 0; sent < role.packets; sent += batchPackets) {
    while (
      role.waits &&
      sent - Atomics.load(control, consumedAt) - Atomics.load(control, consumedAt + 1) > aheadMax
    )
      Atomics.wait(control, finishedAt, 0, 1);
    batch.count = Math.min(batchPackets, role.packets - sent);
    for (let i = 0; i < batch.count; i++) {
      const flow = Math.imul(sent + i, 0x9e3779b1) >>> 26;
      batch.start[i] = i * stride;
      batch.end[i] = i * stride + write(batch.bytes, i * stride, flow, numbers[flow]!++);
      batch.wireLength[i] = batch.end[i]! - batch.start[i]!;
      batch.frame[i] = sent + i;
    }
    dispatcher.take(batch);
  }
  Atomics.store(control, finishedAt, 1);
  Atomics.notify(control, finishedAt);
  return role.packets;
}

function consume(role: Role): Seen {
  const control = new Int32Array(role.control);
  const rings = [{ memory: role.rings[role.worker]!, interfaceIndex: 1 }];
  const queue = new RingQueue({ rings, bell: role.bells[role.worker]!, batchPackets, waitMillis: 50 });
  const seen: Seen = { packets: 0, broken: 0, again: 0, missing: 0 };
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    const isFinished = Atomics.load(control, finishedAt) === 1;
    const count = queue.receive();
    if (count === 0 && isFinished) return seen;
    for (let i = 0; i < count; i++) note(queue.batch, i, control, seen);
    if (count === 0) continue;
    queue.settle();
    seen.packets += count;
    Atomics.add(control, consumedAt + role.worker, count);
    if (role.pauseMillis > 0) Atomics.wait(pause, 0, 0, role.pauseMillis);
  }
}

function note(batch: PacketBatch, i: number, control: Int32Array, seen: Seen): void {
  const { bytes } = batch;
  const start = batch.start[i]!;
  const flow = bytes[start]!;
  let number = 0;
  for (let b = 3; b >= 0; b--) number = (number << 8) | bytes[start + 1 + b]!;
  if (!isWhole(bytes, start, batch.end[i]!, flow, number)) seen.broken++;
  const next = control[nextAt + flow]!;
  if (number < next) seen.again++;
  else {
    seen.missing += number - next;
    control[nextAt + flow] = number + 1;
  }
}

class Trial {
  readonly #role: Omit<Role, 'worker'>;
  readonly #control: Int32Array;
  readonly counts: Float64Array;

  constructor(options: Pick<Role, 'packets' | 'waits' | 'pauseMillis'>) {
    const rings = Array.from({ length: workers }, () => makeSlabRing({ slabBytes: 512 * 1024, packetsMax }));
    // The indexes pass 2^32 on the way.
    for (const ring of rings) startAt(ring, -100_000);
    this.#control = new Int32Array(new SharedArrayBuffer(controlWords * 4));
    this.counts = new Float64Array(new SharedArrayBuffer(dispatcherCountsLength(workers) * 8));
    const counts = this.counts.buffer as SharedArrayBuffer;
    const control = this.#control.buffer as SharedArrayBuffer;
    this.#role = { ...options, rings, bells: rings.map(makeBell), counts, control };
  }

  start(worker: number): Worker {
    return new Worker(new URL(import.meta.url), { workerData: { ...this.#role, worker } satisfies Role });
  }

  /** Packets that worker has settled. */
  consumed(worker: number): number {
    return Atomics.load(this.#control, consumedAt + worker);
  }

  /** Packets that are done with, by flow. */
  arrived(): number {
    return this.#control.subarray(nextAt).reduce((sum, count) => sum + count);
  }

  skipped(): number {
    return this.counts[skippedByAt(0)]! + this.counts[skippedByAt(1)]!;
  }

  handedOver(): number {
    return this.counts[handedOverAt(0)]! + this.counts[handedOverAt(1)]!;
  }
}

async function result<T>(worker: Worker): Promise<T> {
  const [message] = (await once(worker, 'message')) as [T];
  return message;
}

function addUp(all: readonly Seen[]): Seen {
  const sum = (of: (seen: Seen) => number): number => all.reduce((total, seen) => total + of(seen), 0);
  return {
    packets: sum(({ packets }) => packets),
    broken: sum(({ broken }) => broken),
    again: sum(({ again }) => again),
    missing: sum(({ missing }) => missing),
  };
}

if (isMainThread) {
  test('a million packets arrive at two workers, whole and each flow in order', async () => {
    const packets = 1_000_000;
    const trial = new Trial({ packets, waits: true, pauseMillis: 0 });
    const consumers = [trial.start(0), trial.start(1)].map((worker) => result<Seen>(worker));
    await result<number>(trial.start(-1));
    const seen = await Promise.all(consumers);
    assert.deepEqual(addUp(seen), { packets, broken: 0, again: 0, missing: 0 });
    assert.equal(trial.arrived(), packets);
    assert.equal(trial.skipped(), 0);
    assert.ok(
      seen.every((one) => one.packets > packets / 4),
      'both had their share',
    );
  });

  test('workers too slow: what has no room is skipped and counted, the rest is whole and in order', async () => {
    const packets = 300_000;
    const trial = new Trial({ packets, waits: false, pauseMillis: 1 });
    const consumers = [trial.start(0), trial.start(1)].map((worker) => result<Seen>(worker));
    await result<number>(trial.start(-1));
    const seen = addUp(await Promise.all(consumers));
    assert.equal(seen.broken + seen.again, 0);
    assert.ok(trial.skipped() > 0);
    assert.equal(seen.packets + trial.skipped(), packets);
    assert.equal(seen.packets, trial.handedOver());
    assert.ok(
      seen.missing <= trial.skipped(),
      'missing within a flow is what was skipped; its last ones leave no gap',
    );
  });

  test('a worker that is ended in the midst is replaced: nothing is lost, one batch at the most comes again', async () => {
    const packets = 400_000;
    const trial = new Trial({ packets, waits: true, pauseMillis: 0 });
    const first = trial.start(0);
    const consumers = [result<Seen>(trial.start(1))];
    const producer = result<number>(trial.start(-1));
    let replaced = 0;
    let victim = first;
    for (const after of [20_000, 60_000, 100_000]) {
      while (trial.consumed(0) < after) await sleep(1);
      await victim.terminate();
      victim = trial.start(0);
      replaced++;
    }
    consumers.push(result<Seen>(victim));
    await producer;
    const seen = addUp(await Promise.all(consumers));
    assert.equal(trial.arrived(), packets);
    assert.equal(seen.broken + seen.missing, 0);
    assert.ok(seen.again <= replaced * batchPackets, `${seen.again} again`);
    assert.equal(trial.skipped(), 0);
  });
} else {
  const role = workerData as Role;
  parentPort!.postMessage(role.worker < 0 ? produce(role) : consume(role));
}
