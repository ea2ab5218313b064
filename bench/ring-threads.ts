/** The threads of the ring's benchmark: one producer as a capture loop is one, consumers that do next to nothing. */
import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { BellMemory } from '../lib/io/bell.js';
import { Dispatcher, dispatcherCountsLength, skippedPacketsAt } from '../lib/io/dispatcher.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { RingQueue } from '../lib/io/ring-queue.js';
import { RingWriter, type SlabRingMemory } from '../lib/io/slab-ring.js';
import { linkEthernet } from '../lib/wire/link.js';

export interface RingSettings {
  readonly packetBytes: number;
  readonly batchPackets: number;
  /** Packets before the clock and the count of collections start, and while they run. */
  readonly warmUp: number;
  readonly packets: number;
  /** Packets that arrive together, with a pause after them; 0: as fast as the consumers can. */
  readonly burst: number;
  /** One ring and one bell per worker. */
  readonly rings: readonly SlabRingMemory[];
  readonly bells: readonly BellMemory[];
  /** Packets consumed so far per worker, then the barrier. */
  readonly shared: SharedArrayBuffer;
}

export interface RingRole extends RingSettings {
  readonly role: 'producer' | 'consumer';
  readonly worker: number;
}

export interface RingFigures {
  /** Garbage collections while the clock ran; `observed`: the one that was forced before was seen. */
  readonly collections: number;
  readonly observed: boolean;
  /** Producer: seconds until the last packet was consumed. */
  readonly seconds: number;
  readonly skipped: number;
  /** Consumer: delays of packets in microseconds, sorted. Empty without bursts. */
  readonly delays: Float64Array;
  /** Depends on every packet, so that nothing is left out. */
  readonly sum: number;
}

const blockPackets = 1024;
const flows = 256;
/** Between two packets of a kernel ring: TPACKET_ALIGNMENT. */
const alignment = 16;
const burstMillis = 1;
const barrierMillis = 60_000;

class Threads {
  readonly words: Int32Array;
  readonly #parties: number;
  readonly #workers: number;

  constructor({ shared, rings }: RingSettings) {
    this.words = new Int32Array(shared);
    this.#workers = rings.length;
    this.#parties = rings.length + 1;
  }

  consumed(): number {
    let sum = 0;
    for (let i = 0; i < this.#workers; i++) sum += Atomics.load(this.words, i);
    return sum;
  }

  /** All threads leave it together. */
  barrier(number: number): void {
    const word = this.#workers + number;
    if (Atomics.add(this.words, word, 1) + 1 === this.#parties) Atomics.notify(this.words, word);
    for (
      let seen = Atomics.load(this.words, word);
      seen < this.#parties;
      seen = Atomics.load(this.words, word)
    )
      Atomics.wait(this.words, word, seen, barrierMillis);
  }

  /** A word that nobody rings: sleeping on it lasts as long as asked. */
  pause(millis: number): void {
    Atomics.wait(this.words, this.words.length - 1, 0, millis);
  }
}

/** Words of `shared`: consumed packets per worker, three barriers, one word to sleep on. */
export function sharedWords(workers: number): number {
  return workers + 4;
}

function packetBlock(packetBytes: number): { bytes: Uint8Array; stride: number } {
  const stride = Math.ceil((packetBytes + 2) / alignment) * alignment;
  const bytes = new Uint8Array(blockPackets * stride);
  for (let i = 0; i < blockPackets; i++) {
    const at = i * stride + 2;
    bytes.set([0x08, 0x00, 0x45, 0, packetBytes >> 8, packetBytes & 0xff], at + 12);
    bytes.set([10, 0, 0, i % flows, 192, 0, 2, 1 + (i % 7), i >> 8, i & 0xff], at + 26);
  }
  return { bytes, stride };
}

function produce(
  settings: RingSettings,
  threads: Threads,
  dispatcher: Dispatcher,
): (packets: number) => void {
  const batch = new PacketBatch(settings.batchPackets);
  const { bytes, stride } = packetBlock(settings.packetBytes);
  batch.bytes = bytes;
  batch.linkType.fill(linkEthernet);
  batch.wireLength.fill(settings.packetBytes);
  const credit = (settings.rings[0]!.descriptors.byteLength / 32) >> 1;
  let sent = 0;
  let known = 0;
  let next = 0;
  const send = (count: number, arrived: number): void => {
    for (let i = 0; i < count; i++) {
      const start = next * stride + 2;
      batch.start[i] = start;
      batch.end[i] = start + settings.packetBytes;
      batch.timeMicros[i] = arrived;
      next = next + 1 === blockPackets ? 0 : next + 1;
    }
    batch.count = count;
    dispatcher.take(batch);
    sent += count;
  };
  return (packets) => {
    const end = sent + packets;
    const together = settings.burst > 0 ? settings.burst : packets;
    while (sent < end) {
      if (settings.burst > 0) threads.pause(burstMillis);
      const arrived = clock();
      const stop = Math.min(end, sent + together);
      while (sent < stop) {
        while (sent - known > credit) {
          known = threads.consumed();
          if (sent - known > credit) threads.pause(0.1);
        }
        send(Math.min(settings.batchPackets, stop - sent), arrived);
      }
    }
    while (threads.consumed() < sent) threads.pause(0.1);
  };
}

/** Microseconds on a clock that all threads share. */
function clock(): number {
  return (performance.timeOrigin + performance.now()) * 1000;
}

function consume(settings: RingRole, threads: Threads, delays: Float64Array): (last: number) => number {
  const rings = [{ memory: settings.rings[settings.worker]!, interfaceIndex: 1 }];
  const bell = settings.bells[settings.worker]!;
  const queue = new RingQueue({ rings, bell, batchPackets: settings.batchPackets, waitMillis: 20 });
  let consumed = 0;
  let sum = 0;
  return (last) => {
    while (threads.consumed() < last) {
      const count = queue.receive();
      if (count === 0) continue;
      const { batch } = queue;
      const now = settings.burst > 0 ? clock() : 0;
      for (let i = 0; i < count; i++) {
        sum = (sum + batch.bytes[batch.end[i]! - 1]! + batch.wireLength[i]!) | 0;
        if (settings.burst > 0) delays[consumed + i] = now - batch.timeMicros[i]!;
      }
      queue.settle();
      consumed += count;
      Atomics.store(threads.words, settings.worker, consumed);
    }
    return sum;
  };
}

async function run(role: RingRole): Promise<RingFigures> {
  const collections: number[] = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) collections.push(entry.startTime);
  }).observe({ entryTypes: ['gc'] });
  const threads = new Threads(role);
  const counts = new Float64Array(dispatcherCountsLength(role.rings.length));
  const delays = new Float64Array(role.burst > 0 ? role.warmUp + role.packets : 0);
  let work: (packets: number) => number;
  if (role.role === 'producer') {
    const writers = role.rings.map((memory, i) => new RingWriter(memory, role.bells[i]!));
    const send = produce(role, threads, new Dispatcher({ writers, seed: 4711, counts }));
    work = (packets) => {
      send(packets);
      return 0;
    };
  } else {
    const take = consume(role, threads, delays);
    let last = 0;
    work = (packets) => take((last += packets));
  }
  threads.barrier(0);
  work(role.warmUp);
  const before = threads.consumed() === 0 ? 0 : Atomics.load(threads.words, role.worker);
  globalThis.gc?.();
  await sleep(100);
  threads.barrier(1);
  const begin = performance.now();
  const sum = work(role.packets);
  const end = performance.now();
  await sleep(100);
  const own = Atomics.load(threads.words, role.worker);
  return {
    collections: collections.filter((time) => time >= begin && time <= end).length,
    observed: collections.some((time) => time < begin),
    seconds: (end - begin) / 1000,
    skipped: counts[skippedPacketsAt]!,
    delays: role.role === 'consumer' ? delays.slice(before, own).sort() : delays.slice(0, 0),
    sum,
  };
}

if (!isMainThread) parentPort!.postMessage(await run(workerData as RingRole));
