/**
 * A worker's end of the rings of all capture loops, as a packet queue: the inline filter's loop runs on it unchanged.
 * Nothing is held anywhere, so verdicts go nowhere; settling gives the room in the ring back.
 *
 * On a tap each direction of a flow may come on an interface of its own, and an answer that overtakes its question swaps
 * client and server. So the rings are merged by the time of their packets, and a packet younger than `holdMillis` waits
 * while another ring is empty: what that one still has under way may be older. Promises: packets whose captures are at
 * most `holdMillis` behind come in the order of their times; none is held longer than that, none on a single ring, and
 * none in a ring that is filling; where clocks disagree, the rings take turns.
 */
import { invariant } from '../invariant.js';
import { linkEthernet } from '../wire/link.js';
import { Bell, type BellMemory } from './bell.js';
import { macStride, packetTruncated, type PacketQueue, QueueBatch } from './packet-queue.js';
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
  /** Writes the microseconds since 1970 to `now[0]`; for tests. */
  readonly readClock?: (now: Float64Array) => void;
  /**
   * Writes the microseconds of a clock that nobody sets to `now[0]`: it tells how long a packet is held, and
   * `batch.workMicros`. The addon has one; performance.now(), taken without it, makes garbage for each batch.
   */
  readonly readWorkClock?: (now: Float64Array) => void;
}

function readPerformanceClock(now: Float64Array): void {
  now[0] = performance.now() * 1000;
}

function readSystemClock(now: Float64Array): void {
  now[0] = Date.now() * 1000;
}

/** Twice the time that the kernel keeps a packet to itself where several interfaces are watched, and a bit. */
export const holdMillis = 5;
/** Times from this long ago on are compared, up to a clock that is read in whole milliseconds and may be slewed. */
const comparedMillis = 1000;
const aheadMillis = 2;

const macBytes = 6;

/** What `#choose` says instead of a ring. */
const nothing = -1;
const held = -2;

export class RingQueue implements PacketQueue {
  readonly batch: QueueBatch;
  readonly counters = { overruns: 0, stale: 0, malformed: 0, verdictMessages: 0 };
  readonly #readers: readonly RingReader[];
  readonly #interfaces: readonly number[];
  readonly #bell: Bell;
  readonly #waitMillis: number;
  readonly #readClock: (now: Float64Array) => void;
  readonly #hasAny = (): boolean => this.#choose() !== nothing;
  readonly #hasWork = (): boolean => this.#choose() >= 0;
  /** Ring of the batch in hand, or of the last one. */
  #ring = 0;
  // Times are kept in arrays: as fields and results they would be garbage.
  readonly #nowMicros = new Float64Array(1);
  readonly #receivedMicros = new Float64Array(1);
  readonly #heldMicros = new Float64Array(1);
  readonly #readWorkClock: (now: Float64Array) => void;
  /** Time of the next packet of each ring. */
  readonly #headMicros: Float64Array;
  /** Packets behind the head that are later than this are not for the same batch. */
  readonly #until = Float64Array.of(Infinity);
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
    this.#headMicros = new Float64Array(options.rings.length);
    this.#readClock = options.readClock ?? readSystemClock;
    this.#readWorkClock = options.readWorkClock ?? readPerformanceClock;
  }

  /** A batch is of one ring. */
  receive(): number {
    invariant(!this.#closed, 'a closed queue is not used');
    invariant(!this.#inHand, 'a batch is settled before the next is received');
    let ring = this.#choose();
    if (ring === nothing) {
      this.#bell.wait(this.#hasAny, this.#waitMillis);
      ring = this.#choose();
    }
    if (ring === held) ring = this.#holdBack();
    if (ring === nothing) return (this.batch.count = 0);
    this.#ring = ring;
    const count = this.#readers[ring]!.take(this.batch, this.#until);
    this.#countMalformed();
    if (count === 0) this.#readers[ring]!.release();
    this.#inHand = count > 0;
    this.#describe(count, this.#interfaces[ring]!);
    this.#readWorkClock(this.#receivedMicros);
    return count;
  }

  settle(): void {
    invariant(!this.#closed, 'a closed queue is not used');
    this.#readers[this.#ring]!.release();
    this.#inHand = false;
    this.batch.count = 0;
    this.#readWorkClock(this.batch.workMicros);
    this.batch.workMicros[0]! -= this.#receivedMicros[0]!;
  }

  /** What is in hand is not given back: whoever takes over reads it again. */
  close(): void {
    this.#closed = true;
    this.batch.count = 0;
  }

  /** The ring whose turn it is, `nothing` if all are empty, or `held` if what is there has to wait for another ring. */
  #choose(): number {
    this.#until[0] = Infinity;
    if (this.#readers.length === 1) return this.#readers[0]!.waiting > 0 ? 0 : nothing;
    this.#readClock(this.#nowMicros);
    return this.#chooseByTime();
  }

  #chooseByTime(): number {
    const readers = this.#readers;
    const heads = this.#headMicros;
    const nowMicros = this.#nowMicros[0]!;
    const from = nowMicros - comparedMillis * 1000;
    const to = nowMicros + aheadMillis * 1000;
    let oldest = nothing;
    let oldestMicros = Infinity;
    let nextMicros = Infinity;
    let hasEmpty = false;
    let isFilling = false;
    for (let ring = 0; ring < readers.length; ring++) {
      const reader = readers[ring]!;
      if (reader.waiting === 0) {
        hasEmpty = true;
        continue;
      }
      reader.readHeadTime(heads, ring);
      const time = heads[ring]!;
      // Also what is no number: nothing is held up by what cannot be.
      if (!(time >= from && time <= to)) return this.#chooseInTurn();
      isFilling ||= reader.isFilling;
      if (time < oldestMicros) {
        nextMicros = oldestMicros;
        oldestMicros = time;
        oldest = ring;
      } else if (time < nextMicros) nextMicros = time;
    }
    this.#until[0] = nextMicros;
    if (!hasEmpty || isFilling || oldest === nothing) return oldest;
    const ripe = nowMicros - holdMillis * 1000;
    this.#until[0] = Math.min(nextMicros, ripe);
    return oldestMicros <= ripe ? oldest : held;
  }

  /** The next ring after the last one that has packets. */
  #chooseInTurn(): number {
    const readers = this.#readers;
    let ring = this.#ring;
    do ring = ring + 1 < readers.length ? ring + 1 : 0;
    while (readers[ring]!.waiting === 0 && ring !== this.#ring);
    return ring;
  }

  /** Waits until a ring may go, by a clock that nobody sets, and then lets the oldest packet go all the same. */
  #holdBack(): number {
    const clock = this.#heldMicros;
    this.#readWorkClock(clock);
    const until = clock[0]! + (holdMillis + aheadMillis) * 1000;
    for (;;) {
      this.#readWorkClock(clock);
      const leftMicros = until - clock[0]!;
      if (leftMicros <= 0) break;
      this.#bell.wait(this.#hasWork, leftMicros / 1000);
      const ring = this.#choose();
      if (ring !== held) return ring;
    }
    return this.#oldest();
  }

  #oldest(): number {
    const heads = this.#headMicros;
    let oldest = nothing;
    for (let ring = 0; ring < heads.length; ring++) {
      if (this.#readers[ring]!.waiting === 0) continue;
      this.#readers[ring]!.readHeadTime(heads, ring);
      if (oldest === nothing || heads[ring]! < heads[oldest]!) oldest = ring;
    }
    return oldest;
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
