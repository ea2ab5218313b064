/**
 * A worker's end of the rings of all capture loops, as a packet queue: the inline filter's loop runs on it unchanged.
 * Nothing is held anywhere, so verdicts go nowhere; settling gives the room in the ring back.
 */
import { invariant } from '../invariant.js';
import { linkEthernet } from '../wire/link.js';
import { Bell, type BellMemory } from './bell.js';
import {
  macStride,
  packetTruncated,
  type PacketQueue,
  QueueBatch,
  type QueueCounters,
} from './packet-queue.js';
import { RingReader, type SlabRingMemory } from './slab-ring.js';

/** One capture loop's ring to this worker. */
export interface RingInput {
  readonly memory: SlabRingMemory;
  /** Index of the interface that the loop watches. */
  readonly interfaceIndex: number;
}

export interface RingQueueOptions {
  readonly rings: readonly RingInput[];
  /** This worker's bell, which all capture loops ring. */
  readonly bell: BellMemory;
  /** Packets handed over at once, at the most. */
  readonly batchPackets: number;
  /** How long `receive` waits for the first packet. */
  readonly waitMillis: number;
}

const macBytes = 6;

export class RingQueue implements PacketQueue {
  readonly batch: QueueBatch;
  readonly counters: QueueCounters = { overruns: 0, stale: 0, malformed: 0, verdictMessages: 0 };
  readonly #readers: readonly RingReader[];
  readonly #interfaces: readonly number[];
  readonly #bell: Bell;
  readonly #waitMillis: number;
  readonly #hasWork = (): boolean => this.#choose() >= 0;
  /** Ring of the batch in hand, or of the last one. */
  #ring = 0;
  #frame = 0;
  #inHand = false;
  #closed = false;

  constructor(options: RingQueueOptions) {
    invariant(options.rings.length > 0, 'a worker has at least one ring');
    this.batch = new QueueBatch(options.batchPackets, 0);
    for (let i = 0; i < options.batchPackets; i++) this.batch.id[i] = i;
    this.#readers = options.rings.map(({ memory }) => new RingReader(memory));
    this.#interfaces = options.rings.map(({ interfaceIndex }) => interfaceIndex);
    this.#bell = new Bell(options.bell);
    this.#waitMillis = options.waitMillis;
  }

  /** A batch is of one ring; the rings take turns, so that a busy interface does not hold up another. */
  receive(): number {
    invariant(!this.#closed, 'a closed queue is not used');
    invariant(!this.#inHand, 'a batch is settled before the next is received');
    let ring = this.#choose();
    if (ring < 0) {
      this.#bell.wait(this.#hasWork, this.#waitMillis);
      ring = this.#choose();
    }
    if (ring < 0) return (this.batch.count = 0);
    this.#ring = ring;
    const count = this.#readers[ring]!.take(this.batch);
    this.#countMalformed();
    if (count === 0) this.#readers[ring]!.release();
    this.#inHand = count > 0;
    this.#describe(count, this.#interfaces[ring]!);
    return count;
  }

  settle(): void {
    invariant(!this.#closed, 'a closed queue is not used');
    this.#readers[this.#ring]!.release();
    this.#inHand = false;
    this.batch.count = 0;
  }

  /** What is in hand is not given back: whoever takes over reads it again. */
  close(): void {
    this.#closed = true;
    this.batch.count = 0;
  }

  /** The next ring after the last one that has packets, or -1. */
  #choose(): number {
    const readers = this.#readers;
    let ring = this.#ring;
    for (let i = 0; i < readers.length; i++) {
      ring = ring + 1 < readers.length ? ring + 1 : 0;
      if (readers[ring]!.waiting > 0) return ring;
    }
    return -1;
  }

  #countMalformed(): void {
    let sum = 0;
    for (let i = 0; i < this.#readers.length; i++) sum += this.#readers[i]!.malformed;
    this.counters.malformed = sum;
  }

  /** What a queue tells beyond the packets. They are numbered here: two capture loops may give the same number. */
  #describe(count: number, interfaceIndex: number): void {
    const { batch } = this;
    for (let i = 0; i < count; i++) {
      const start = batch.start[i]!;
      const captured = batch.end[i]! - start;
      this.#frame = (this.#frame + 1) | 0;
      batch.frame[i] = this.#frame;
      batch.inInterface[i] = interfaceIndex;
      batch.flags[i] = batch.wireLength[i]! > captured ? packetTruncated : 0;
      const hasMac = batch.linkType[i] === linkEthernet && captured >= 2 * macBytes;
      for (let b = 0; b < macBytes; b++)
        batch.mac[i * macStride + b] = hasMac ? batch.bytes[start + macBytes + b]! : 0;
    }
  }
}
