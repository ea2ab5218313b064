/**
 * How packets travel from the process that runs `cap` (cap-child.ts) to ours: records one after the other, each a header
 * and the packet's bytes. Numbers are little endian: both ends are the same machine.
 *
 *     | captured bytes, u32 | wire length, u32 | microseconds since 1970, f64 | bytes ...
 */
import { PacketBatch } from './packet-source.js';

export const recordHeaderBytes = 16;
const wireLengthAt = 4;
const timeAt = 8;
/** What `cap` can hand over at the most: it sets libpcap's snap length to 65,535. */
export const capBytesMax = 65_535;

/** Two records of the largest size: when one does not fit behind what is there, a whole one is there already. */
const readerBytes = 4 * (capBytesMax + 1);

/** Gathers records in a block of memory until they are worth a write. */
export class RecordWriter {
  /** The first bytes are where `cap` puts a packet: from there it is copied without an object of its own. */
  readonly memory = new ArrayBuffer(capBytesMax + 1 + readerBytes);
  readonly #bytes = new Uint8Array(this.memory);
  readonly #view = new DataView(this.memory);
  readonly #start = capBytesMax + 1;
  #end = this.#start;
  #count = 0;

  /** Records gathered. */
  get count(): number {
    return this.#count;
  }

  /** Bytes gathered. */
  get bytes(): number {
    return this.#end - this.#start;
  }

  /** Whether a record of so many packet bytes still fits. */
  fits(bytes: number): boolean {
    return this.#end + recordHeaderBytes + bytes <= this.#bytes.length;
  }

  /** Adds the first bytes of the packet that is at the beginning of the memory. */
  add(captured: number, wireLength: number, timeMicros: number): void {
    const at = this.#end;
    this.#view.setUint32(at, captured, true);
    this.#view.setUint32(at + wireLengthAt, wireLength, true);
    this.#view.setFloat64(at + timeAt, timeMicros, true);
    this.#bytes.copyWithin(at + recordHeaderBytes, 0, captured);
    this.#end = at + recordHeaderBytes + captured;
    this.#count++;
  }

  /** All records as bytes; the writer is empty afterwards, and the bytes are valid until the next `add`. */
  take(): Uint8Array {
    const all = this.#bytes.subarray(this.#start, this.#end);
    this.#end = this.#start;
    this.#count = 0;
    return all;
  }
}

/** Turns the stream of records into batches, whatever pieces it arrives in. */
export class RecordReader {
  readonly batch: PacketBatch;
  readonly #bytes = new Uint8Array(readerBytes);
  readonly #view = new DataView(this.#bytes.buffer);
  #filled = 0;
  #frame = 0;

  constructor(batchPackets: number, linkType: number) {
    this.batch = new PacketBatch(batchPackets);
    this.batch.bytes = this.#bytes;
    this.batch.linkType.fill(linkType);
  }

  /**
   * Takes a piece of the stream and calls `onBatch` for every batch that is complete, also for a partial one at the end.
   * `onBatch` says false to end it. False when the stream is not one of records.
   */
  read(chunk: Uint8Array, onBatch: () => boolean): boolean {
    for (let from = 0; from < chunk.length;) {
      const taken = Math.min(chunk.length - from, this.#bytes.length - this.#filled);
      if (taken === 0) return false;
      this.#bytes.set(chunk.subarray(from, from + taken), this.#filled);
      this.#filled += taken;
      from += taken;
      if (!this.#handOver(onBatch)) return true;
    }
    return true;
  }

  /** Hands over all whole records and moves the rest to the front. False if `onBatch` ended it. */
  #handOver(onBatch: () => boolean): boolean {
    const { batch } = this;
    let at = 0;
    for (;;) {
      const next = this.#recordEnd(at);
      if (next < 0 || batch.count === batch.capacity) {
        if (batch.count > 0 && !onBatch()) return false;
        batch.count = 0;
        if (next < 0) break;
      }
      this.#describe(at, next);
      at = next;
    }
    this.#bytes.copyWithin(0, at, this.#filled);
    this.#filled -= at;
    return true;
  }

  /** Where the record at `at` ends, or -1 while a part of it is missing. */
  #recordEnd(at: number): number {
    if (this.#filled - at < recordHeaderBytes) return -1;
    const end = at + recordHeaderBytes + this.#view.getUint32(at, true);
    return end <= this.#filled ? end : -1;
  }

  #describe(at: number, end: number): void {
    const { batch } = this;
    const i = batch.count++;
    this.#frame = (this.#frame + 1) | 0;
    batch.start[i] = at + recordHeaderBytes;
    batch.end[i] = end;
    batch.wireLength[i] = this.#view.getUint32(at + wireLengthAt, true);
    batch.timeMicros[i] = this.#view.getFloat64(at + timeAt, true);
    batch.frame[i] = this.#frame;
  }
}
