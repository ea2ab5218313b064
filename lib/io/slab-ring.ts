/**
 * A lock-free ring from one thread to another in shared memory: packets are copied once, into a preallocated slab, and
 * are read in place. Nothing is allocated, nothing waits: a packet that finds no room is not taken, and the caller counts
 * it.
 *
 *     slab         | packet 7 | packet 8 |   free   | packet 5 | packet 6 | rest too short |
 *     descriptors  | 8 | . | . | . | 5 | 6 | 7 |        where each packet stands, its lengths, type, time and number
 *     indexes      | written | ... | read |             on cache lines of their own
 *
 * Order of memory. The writer fills slab and descriptors with plain stores, then stores `written` atomically; the reader
 * loads `written` atomically and reads plainly what lies before it. An atomic store that is seen by an atomic load orders
 * everything before the one ahead of everything behind the other, so what is read was whole. In the same way the reader
 * is done with packets before it stores `read`, and the writer loads `read` before it writes over them. Each index is
 * written by one side only.
 *
 * Indexes count packets modulo 2^32, and their distance is taken modulo 2^32; the place of a descriptor is the index
 * modulo `packetsMax`, a power of two, so that nothing jumps where the count begins anew. How much of the slab is free
 * follows from the descriptors: everything from the oldest packet that was not given back to the newest is in use. So
 * there is no second index that could disagree with the first, and a thread that takes over from one that died needs
 * nothing but the two indexes: what was not published was never there, and what was not given back is read again.
 */
import { invariant } from '../invariant.js';
import { Bell, type BellMemory } from './bell.js';
import type { PacketBatch } from './packet-source.js';

/** The memory of one ring: plain objects of shared memory, to be handed to threads. */
export interface SlabRingMemory {
  readonly slab: SharedArrayBuffer;
  readonly descriptors: SharedArrayBuffer;
  readonly indexes: SharedArrayBuffer;
}

export interface SlabRingSize {
  /** Bytes for packets: a multiple of 32, up to 1 GiB. */
  readonly slabBytes: number;
  /** Packets held at once: a power of two, up to 4,194,304. */
  readonly packetsMax: number;
}

const slabBytesMax = 1 << 30;
const packetsMaxHighest = 1 << 22;

/** 128 bytes apart: processors fetch cache lines in pairs. */
const writtenAt = 0;
const readAt = 32;
const indexWords = 64;

/** A descriptor is eight 32-bit words; the last two are its time, a double. */
const rowWords = 8;
const rowBytes = rowWords * 4;
const dStart = 0;
const dEnd = 1;
const dWire = 2;
const dLink = 3;
const dFrame = 4;
const dTime = 3;

/** Packets are copied in pieces of this size. */
const slotBytes = 32;
const slotWords = slotBytes / 4;

/** @throws InvariantError for a size that cannot be */
export function makeSlabRing({ slabBytes, packetsMax }: SlabRingSize): SlabRingMemory {
  const isSlab = slabBytes >= slotBytes && slabBytes <= slabBytesMax && slabBytes % slotBytes === 0;
  invariant(isSlab, `a slab has a multiple of 32 bytes up to 1 GiB, and not ${slabBytes}`);
  const isPower =
    Number.isInteger(packetsMax) &&
    packetsMax >= 1 &&
    packetsMax <= packetsMaxHighest &&
    (packetsMax & (packetsMax - 1)) === 0;
  invariant(isPower, `a ring holds a power of two of packets up to 4,194,304, and not ${packetsMax}`);
  return {
    slab: new SharedArrayBuffer(slabBytes),
    descriptors: new SharedArrayBuffer(packetsMax * rowBytes),
    indexes: new SharedArrayBuffer(indexWords * 4),
  };
}

/** Sets both indexes of a ring that nobody uses yet; for tests of what happens where they begin anew. */
export function startAt(memory: SlabRingMemory, index: number): void {
  new Int32Array(memory.indexes).fill(index | 0);
}

/** One past the slot that ends with a packet's last byte. */
function slotEnd(start: number, end: number): number {
  return ((end > start ? end : start + 1) + slotBytes - 1) & -slotBytes;
}

/**
 * Block of bytes as 32-bit words. An unrolled loop over words copies 512 bytes in 90 ns, where one over bytes takes 600 and
 * TypedArray.set 140, with a view as garbage for every packet (two cores of an EPYC). So a packet keeps the alignment that it
 * has in its block, and is copied in whole pieces; what comes along before and behind it stays in its own slot and is
 * never shown.
 */
class WordView {
  bytes: Uint8Array = new Uint8Array(0);
  words: Int32Array = new Int32Array(0);

  show(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.words = new Int32Array(bytes.buffer, 0, bytes.buffer.byteLength >> 2);
  }
}

/** The one thread that puts packets into a ring. */
export class RingWriter {
  /** Packets that found no room, and their bytes on the wire. */
  skippedPackets = 0;
  skippedBytes = 0;
  readonly #bell: Bell;
  readonly #slab: Uint8Array;
  readonly #slabWords: Int32Array;
  readonly #rows: Int32Array;
  readonly #times: Float64Array;
  readonly #indexes: Int32Array;
  readonly #slabBytes: number;
  readonly #packetsMax: number;
  /** Index of the next packet, and of the first one that the reader does not know of. */
  #next: number;
  #published: number;
  /** As last seen: index of the oldest packet that was not given back, and where its slot begins. */
  #read: number;
  #tail = 0;
  /** Where the next slot begins. */
  #head = 0;
  /** The current block and the one before it: capture files fill two in turn. */
  #source = new WordView();
  #other = new WordView();

  /** Takes over from a writer that died, if there was one. */
  constructor(memory: SlabRingMemory, bell: BellMemory) {
    this.#bell = new Bell(bell);
    this.#slab = new Uint8Array(memory.slab);
    this.#slabWords = new Int32Array(memory.slab);
    this.#rows = new Int32Array(memory.descriptors);
    this.#times = new Float64Array(memory.descriptors);
    this.#indexes = new Int32Array(memory.indexes);
    this.#slabBytes = memory.slab.byteLength;
    this.#packetsMax = memory.descriptors.byteLength / rowBytes;
    this.#next = Atomics.load(this.#indexes, writtenAt);
    this.#published = this.#next;
    this.#read = this.#next;
    this.#look();
    if (this.#read === this.#next) return;
    const last = this.#row(this.#next - 1);
    this.#head = slotEnd(this.#rows[last + dStart]!, this.#rows[last + dEnd]!);
  }

  /** Copies packet `i`; false when there is no room for it, which is counted and does no harm. */
  offer(batch: PacketBatch, i: number): boolean {
    if (batch.bytes !== this.#source.bytes) this.#turnTo(batch.bytes);
    const start = batch.start[i]!;
    const length = batch.end[i]! - start;
    const from = batch.bytes.byteOffset + start;
    const odd = from & 3;
    const slot = this.#place(slotEnd(odd, odd + length));
    if (slot < 0) {
      this.skippedPackets++;
      this.skippedBytes += batch.wireLength[i]!;
      return false;
    }
    this.#copy(from, slot, odd + length);
    const row = this.#row(this.#next);
    const rows = this.#rows;
    rows[row + dStart] = slot + odd;
    rows[row + dEnd] = slot + odd + length;
    rows[row + dWire] = batch.wireLength[i]!;
    rows[row + dLink] = batch.linkType[i]!;
    rows[row + dFrame] = batch.frame[i]!;
    this.#times[(row >> 1) + dTime] = batch.timeMicros[i]!;
    this.#next = (this.#next + 1) | 0;
    return true;
  }

  /** Shows the reader everything offered so far, and wakes it if it sleeps. */
  publish(): void {
    if (this.#published === this.#next) return;
    this.#published = this.#next;
    Atomics.store(this.#indexes, writtenAt, this.#next);
    this.#bell.ring();
    this.#look();
  }

  #row(index: number): number {
    return (index & (this.#packetsMax - 1)) * rowWords;
  }

  /** Where a slot of `size` bytes may begin, or -1; looks at the reader's progress only when there is no room. */
  #place(size: number): number {
    let slot = this.#find(size);
    if (slot < 0) {
      this.#look();
      slot = this.#find(size);
      if (slot < 0) return -1;
    }
    this.#head = slot + size;
    return slot;
  }

  #find(size: number): number {
    if (this.#read === this.#next) {
      // An empty ring begins anew: on a lightly loaded one the same few cache lines are used again and again.
      this.#tail = 0;
      return size <= this.#slabBytes ? 0 : -1;
    }
    if (((this.#next - this.#read) | 0) >= this.#packetsMax) return -1;
    if (this.#head < this.#tail) return size <= this.#tail - this.#head ? this.#head : -1;
    // Head on tail: not one byte is free, since the ring is not empty.
    if (this.#head === this.#tail) return -1;
    if (size <= this.#slabBytes - this.#head) return this.#head;
    return size <= this.#tail ? 0 : -1;
  }

  /** Looks how far the reader is. An index that cannot be is not believed. */
  #look(): void {
    const read = Atomics.load(this.#indexes, readAt);
    if ((this.#published - read) >>> 0 > this.#packetsMax) return;
    this.#read = read;
    if (read === this.#next) return;
    const start = this.#rows[this.#row(read) + dStart]!;
    this.#tail = start >= 0 && start < this.#slabBytes ? start & -slotBytes : 0;
  }

  #turnTo(bytes: Uint8Array): void {
    const other = this.#other;
    this.#other = this.#source;
    this.#source = other;
    if (other.bytes !== bytes) other.show(bytes);
  }

  /** Copies what begins in the word of `from` to the slot; `length` counts from that word's first byte. */
  #copy(from: number, slot: number, length: number): void {
    const { words } = this.#source;
    const target = this.#slabWords;
    let at = from >> 2;
    let to = slot >> 2;
    const end = at + ((length + 3) >> 2);
    if (end + slotWords > words.length) {
      this.#copyBytes(from, slot + (from & 3), length - (from & 3));
      return;
    }
    for (; at < end; at += slotWords, to += slotWords) {
      target[to] = words[at]!;
      target[to + 1] = words[at + 1]!;
      target[to + 2] = words[at + 2]!;
      target[to + 3] = words[at + 3]!;
      target[to + 4] = words[at + 4]!;
      target[to + 5] = words[at + 5]!;
      target[to + 6] = words[at + 6]!;
      target[to + 7] = words[at + 7]!;
    }
  }

  /** The last packets of a block: whole pieces would reach beyond it. */
  #copyBytes(from: number, to: number, length: number): void {
    const { bytes } = this.#source;
    const slab = this.#slab;
    const start = from - bytes.byteOffset;
    for (let i = 0; i < length; i++) slab[to + i] = bytes[start + i]!;
  }
}

const never = Float64Array.of(Infinity);

/** The one thread that takes packets out of a ring. */
export class RingReader {
  /** Descriptors and indexes that cannot be: passed over. Only a defect makes them. */
  malformed = 0;
  readonly #slab: Uint8Array;
  readonly #rows: Int32Array;
  readonly #times: Float64Array;
  readonly #indexes: Int32Array;
  readonly #packetsMax: number;
  /** Index of the next packet to take, and of the first one that was not given back. */
  #next: number;
  #released: number;

  /** Takes over from a reader that died, if there was one: begins with the oldest packet that it had not given back. */
  constructor(memory: SlabRingMemory) {
    this.#slab = new Uint8Array(memory.slab);
    this.#rows = new Int32Array(memory.descriptors);
    this.#times = new Float64Array(memory.descriptors);
    this.#indexes = new Int32Array(memory.indexes);
    this.#packetsMax = memory.descriptors.byteLength / rowBytes;
    this.#next = Atomics.load(this.#indexes, readAt);
    this.#released = this.#next;
  }

  /** Packets that can be taken now. */
  get waiting(): number {
    const waiting = (Atomics.load(this.#indexes, writtenAt) - this.#next) | 0;
    return waiting >= 0 && waiting <= this.#packetsMax ? waiting : this.#startAnew();
  }

  /**
   * Writes the time of the next packet, as its source gave it, to `micros[at]`; of use only while one is waiting. Not
   * returned: a number with a fraction that leaves a function is garbage.
   */
  readHeadTime(micros: Float64Array, at: number): void {
    micros[at] = this.#times[(this.#row(this.#next) >> 1) + dTime]!;
  }

  /** Whether a quarter of the packets or of the bytes that it can hold is waiting: the reader had better not. */
  get isFilling(): boolean {
    const { waiting } = this;
    if (waiting === 0) return false;
    const rows = this.#rows;
    const from = rows[this.#row(this.#next) + dStart]!;
    const to = rows[this.#row(this.#next + waiting - 1) + dEnd]!;
    const bytes = to >= from ? to - from : to - from + this.#slab.length;
    return waiting * 4 > this.#packetsMax || bytes * 4 > this.#slab.length;
  }

  /**
   * Fills the batch with the next packets, in place, up to its capacity, and up to the first one behind the head that is
   * later than `until[0]`. They stay as they are until `release`.
   */
  take(batch: PacketBatch, until = never): number {
    const { waiting } = this;
    const wanted = waiting < batch.capacity ? waiting : batch.capacity;
    batch.bytes = this.#slab;
    const untilMicros = until[0]!;
    const first = this.#next;
    const end = (first + wanted) | 0;
    let count = 0;
    let index = first;
    for (; index !== end; index = (index + 1) | 0) {
      if (index !== first && this.#times[(this.#row(index) >> 1) + dTime]! > untilMicros) break;
      if (this.#show(index, batch, count)) count++;
    }
    this.#next = index;
    batch.count = count;
    return count;
  }

  /** Gives the room of everything taken back to the writer. */
  release(): void {
    if (this.#released === this.#next) return;
    this.#released = this.#next;
    Atomics.store(this.#indexes, readAt, this.#next);
  }

  #row(index: number): number {
    return (index & (this.#packetsMax - 1)) * rowWords;
  }

  #show(index: number, batch: PacketBatch, i: number): boolean {
    const row = this.#row(index);
    const rows = this.#rows;
    const start = rows[row + dStart]!;
    const end = rows[row + dEnd]!;
    if (start < 0 || end < start || end > this.#slab.length) {
      this.malformed++;
      return false;
    }
    batch.start[i] = start;
    batch.end[i] = end;
    batch.wireLength[i] = rows[row + dWire]!;
    batch.linkType[i] = rows[row + dLink]!;
    batch.frame[i] = rows[row + dFrame]!;
    batch.timeMicros[i] = this.#times[(row >> 1) + dTime]!;
    return true;
  }

  /** The indexes are farther apart than the ring is long: whatever lies between them is given up. */
  #startAnew(): number {
    this.malformed++;
    this.#next = Atomics.load(this.#indexes, writtenAt);
    this.release();
    return 0;
  }
}
