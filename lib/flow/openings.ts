/**
 * Openings: the first bytes of a side that some detector wants to see whole, in a bounded pool. TCP segments are put
 * where they belong, whatever their order; a byte that has arrived stays as it arrived first, and a later copy with
 * other content is counted as a conflict. UDP keeps one datagram. Nothing is kept for a side that nobody asked about,
 * so most flows never come here.
 *
 * When full: the opening taken longest ago is taken over; its flow keeps the evidence it had and is asked on about
 * single packets.
 */
import { invariant } from '../invariant.js';
import { openingBytes, openingsMax } from '../limits.js';

const bitmapBytes = openingBytes >> 3;

/** Turns of a conversation that are told apart, on each side. */
export const turnsOfSide = 3;
/** Places in `otherEnds` for each opening: the other side may have spoken first. */
export const otherEndsStride = turnsOfSide + 1;

export class OpeningPool {
  /** All openings behind each other, `openingBytes` apart. */
  readonly bytes: Uint8Array;
  /** Contiguous bytes from the opening's start. */
  readonly length: Int32Array;
  /** UDP: length of the kept datagram on the wire. */
  readonly wireLength: Int32Array;
  /** Flow slot that owns the opening, or -1. */
  readonly owner: Int32Array;
  /** 0 client, 1 server. */
  readonly side: Uint8Array;
  /** TCP: end of the stream as far as it was sent, on the wire, from the opening's start. */
  readonly reached: Int32Array;
  /** TCP: this side spoke first. */
  readonly first: Uint8Array;
  /** TCP: turns of this side that ended, because the other side spoke; at most `turnsOfSide`. */
  readonly turnsEnded: Uint8Array;
  /** Where they ended, as `reached` counts; `turnsOfSide` for each opening. */
  readonly turnEnds: Int32Array;
  /** Where only one direction is seen: what acknowledges nothing yet, and how far each turn of the other side was acknowledged. */
  readonly firstAcknowledged: Int32Array;
  readonly otherEnds: Int32Array;
  /** Openings taken over because the pool was full. */
  takenOver = 0;
  /** Bytes that arrived twice with different content. */
  conflicts = 0;

  /** One bit for each byte that arrived behind a gap; bytes before `length` need none. */
  readonly #present: Uint8Array;
  /** End of the furthest byte that arrived. */
  readonly #extent: Int32Array;
  /** 1 if an opening's bits were used. */
  readonly #dirty: Uint8Array;
  readonly #count: number;
  readonly #free: Int32Array;
  #freeCount: number;
  /** Openings in use as a list, from the oldest to the newest. */
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  #oldest = -1;
  #newest = -1;

  constructor(count: number = openingsMax) {
    invariant(count > 0 && count <= openingsMax, `openings out of range: ${count}`);
    this.#count = count;
    this.bytes = new Uint8Array(count * openingBytes);
    this.#present = new Uint8Array(count * bitmapBytes);
    this.#extent = new Int32Array(count);
    this.#dirty = new Uint8Array(count);
    this.length = new Int32Array(count);
    this.wireLength = new Int32Array(count);
    this.reached = new Int32Array(count);
    this.first = new Uint8Array(count);
    this.turnsEnded = new Uint8Array(count);
    this.turnEnds = new Int32Array(count * turnsOfSide);
    this.firstAcknowledged = new Int32Array(count);
    this.otherEnds = new Int32Array(count * otherEndsStride);
    this.owner = new Int32Array(count).fill(-1);
    this.side = new Uint8Array(count);
    this.#free = Int32Array.from({ length: count }, (_, i) => count - 1 - i);
    this.#freeCount = count;
    this.#newer = new Int32Array(count).fill(-1);
    this.#older = new Int32Array(count).fill(-1);
  }

  /** Openings in use. */
  get used(): number {
    return this.#count - this.#freeCount;
  }

  /** First byte of an opening in `bytes`. */
  start(opening: number): number {
    return opening * openingBytes;
  }

  /** The opening that `take` would take over, or -1 while there is a free one. Its owner must be told first. */
  next(): number {
    return this.#freeCount > 0 ? -1 : this.#oldest;
  }

  /** An empty opening for one side of a flow. */
  take(slot: number, side: number): number {
    if (this.#freeCount === 0) {
      this.takenOver++;
      this.release(this.#oldest);
    }
    const opening = this.#free[--this.#freeCount]!;
    this.#older[opening] = this.#newest;
    this.#newer[opening] = -1;
    if (this.#newest >= 0) this.#newer[this.#newest] = opening;
    else this.#oldest = opening;
    this.#newest = opening;
    this.owner[opening] = slot;
    this.side[opening] = side;
    this.length[opening] = 0;
    this.wireLength[opening] = 0;
    this.reached[opening] = 0;
    this.first[opening] = 0;
    this.turnsEnded[opening] = 0;
    this.firstAcknowledged[opening] = 0;
    this.otherEnds.fill(0, opening * otherEndsStride, (opening + 1) * otherEndsStride);
    this.#extent[opening] = 0;
    if (this.#dirty[opening] !== 0) {
      this.#present.fill(0, opening * bitmapBytes, (opening + 1) * bitmapBytes);
      this.#dirty[opening] = 0;
    }
    return opening;
  }

  /** Gives an opening back. */
  release(opening: number): void {
    const newer = this.#newer[opening]!;
    const older = this.#older[opening]!;
    if (newer >= 0) this.#older[newer] = older;
    else this.#newest = older;
    if (older >= 0) this.#newer[older] = newer;
    else this.#oldest = newer;
    this.owner[opening] = -1;
    this.#free[this.#freeCount++] = opening;
  }

  /** Ends the turn of this side that is going on, if it said anything in it. */
  endTurn(opening: number): void {
    const ended = this.turnsEnded[opening]!;
    const at = opening * turnsOfSide + ended;
    if (ended === turnsOfSide || this.reached[opening]! <= (ended === 0 ? 0 : this.turnEnds[at - 1]!)) return;
    this.turnEnds[at] = this.reached[opening]!;
    this.turnsEnded[opening] = ended + 1;
  }

  /** Bytes of this side's turn `turn` (from 0) as far as it was sent. */
  turnBytes(opening: number, turn: number): number {
    const at = opening * turnsOfSide + turn;
    const end = turn < this.turnsEnded[opening]! ? this.turnEnds[at]! : this.reached[opening]!;
    return turn === 0 ? end : end - this.turnEnds[at - 1]!;
  }

  /**
   * Puts `[start, end)` at `offset` of a TCP opening (negative: its beginning lies before the opening) and returns the
   * contiguous length afterwards. What lies beyond the opening's end is not kept.
   */
  put(opening: number, offset: number, bytes: Uint8Array, start: number, end: number): number {
    let from = start;
    let to = offset;
    if (to < 0) {
      from -= to;
      to = 0;
    }
    const base = opening * openingBytes;
    const bits = opening * bitmapBytes;
    const stop = Math.min(end, from + openingBytes - to);
    const own = this.bytes;
    const present = this.#present;
    const length = this.length[opening]!;
    if (to === length && this.#extent[opening] === length) {
      // In order, as nearly always.
      for (; from < stop; from++, to++) own[base + to] = bytes[from]!;
      const reached = Math.max(length, to);
      this.length[opening] = reached;
      this.#extent[opening] = reached;
      return reached;
    }
    for (; from < stop; from++, to++) {
      const bit = 1 << (to & 7);
      const at = bits + (to >> 3);
      if (to >= length && (present[at]! & bit) === 0) {
        present[at]! |= bit;
        own[base + to] = bytes[from]!;
      } else if (own[base + to] !== bytes[from]) this.conflicts++;
    }
    this.#dirty[opening] = 1;
    this.#extent[opening] = Math.max(this.#extent[opening]!, to);
    return this.#closeGap(opening);
  }

  /** Moves the contiguous length over what had arrived behind a gap. */
  #closeGap(opening: number): number {
    const present = this.#present;
    const bits = opening * bitmapBytes;
    let length = this.length[opening]!;
    while (length < openingBytes && (present[bits + (length >> 3)]! & (1 << (length & 7))) !== 0) length++;
    this.length[opening] = length;
    return length;
  }

  /**
   * Takes `count` bytes from the front of a TCP opening, which then begins behind them; what was kept beyond a gap moves
   * along. Once or twice in the life of a flow that goes through a proxy.
   * @returns true if anything is still kept
   */
  dropFront(opening: number, count: number): boolean {
    const base = opening * openingBytes;
    const bits = opening * bitmapBytes;
    const present = this.#present;
    const length = this.length[opening]!;
    const extent = this.#extent[opening]!;
    const left = Math.max(0, extent - count);
    if (left > 0) this.bytes.copyWithin(base, base + count, base + extent);
    this.length[opening] = Math.max(0, length - count);
    this.#extent[opening] = left;
    if (extent === length) return left > 0;
    // What lies behind a gap moves too. Bytes before `length` have no bits of their own.
    for (let to = 0; to < openingBytes; to++) {
      const from = to + count;
      const here =
        from >= length && from < extent && (present[bits + (from >> 3)]! & (1 << (from & 7))) !== 0;
      if (here) present[bits + (to >> 3)]! |= 1 << (to & 7);
      else present[bits + (to >> 3)]! &= ~(1 << (to & 7));
    }
    this.#closeGap(opening);
    return left > 0;
  }

  /** Keeps one datagram, in place of an earlier one; cut to openingBytes. */
  keepDatagram(opening: number, bytes: Uint8Array, start: number, end: number, wireLength: number): void {
    const length = Math.min(end - start, openingBytes);
    const base = opening * openingBytes;
    for (let i = 0; i < length; i++) this.bytes[base + i] = bytes[start + i]!;
    this.length[opening] = length;
    this.wireLength[opening] = wireLength;
  }
}
