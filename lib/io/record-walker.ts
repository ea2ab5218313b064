/**
 * The synchronous core of capture reading: a window of bytes in memory, and the walker that takes records out of it in
 * place. Nothing here waits or allocates per packet, so that tests and fuzzing drive it without files.
 *
 *     block buffer  |   headroom   | bytes just read        |
 *                       [remainder][        ...             ]
 *                       ^at                                 ^end
 *
 * What is left of a record when a block is used up is copied in front of the next block, into its headroom.
 */
import { invariant } from '../invariant.js';
import { recordBytesMax } from '../limits.js';
import type { PacketBatch } from './packet-source.js';

/** Bytes of a pcapng block that may stand around its packet (fields, options, trailer) before it is refused. */
export const blockExtraBytesMax = 65_536;

/** A packet or interface block of pcapng above this is malformed; it bounds what a walker may leave unread. */
export const blockBytesMax = recordBytesMax + blockExtraBytesMax;

/** Room kept in front of every block for the remainder of the block before it. */
export const headroomBytes = blockBytesMax + 64;

/** A buffer with the DataView that reads it, made once: a view per record would cost more than the record. */
export class BlockBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  /** @param capacity bytes that one read may bring, not counting the headroom. */
  constructor(capacity: number) {
    this.bytes = new Uint8Array(headroomBytes + capacity);
    this.view = new DataView(this.bytes.buffer);
  }
}

/** The bytes in memory that have not been walked yet: `at` to `end` of `bytes`. */
export class ReadWindow {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(this.bytes.buffer);
  at = 0;
  end = 0;
  /** Bytes after `end` that belong to a block nobody reads; they are dropped as they come. */
  skipBytes = 0;
  /** Offset in the (uncompressed) capture of `bytes[0]`. Negative in the first block because of the headroom. */
  #base = 0;

  /** Offset in the (uncompressed) capture of the next record. */
  get offset(): number {
    return this.#base + this.at;
  }

  /** Takes `count` bytes that were read into `block` behind its headroom, and what was left in the block before. */
  accept(block: BlockBuffer, count: number): void {
    const rest = this.end - this.at;
    invariant(rest <= headroomBytes, 'the remainder of a block fits in the headroom');
    const offset = this.offset;
    let start = headroomBytes - rest;
    if (rest > 0) block.bytes.set(this.bytes.subarray(this.at, this.end), start);
    if (this.skipBytes > 0) {
      // A skip only starts where the window was used up, so that there is no remainder in front of it.
      const dropped = Math.min(this.skipBytes, count);
      this.skipBytes -= dropped;
      start += dropped;
      this.#base = offset + dropped - start;
    } else {
      this.#base = offset - start;
    }
    this.bytes = block.bytes;
    this.view = block.view;
    this.at = start;
    this.end = headroomBytes + count;
  }

  /** Steps over `size` bytes, whether they are in memory yet or not. */
  drop(size: number): void {
    const here = this.end - this.at;
    if (size <= here) {
      this.at += size;
      return;
    }
    this.skipBytes = size - here;
    // Keep `offset` true: it counts what was read, and the skipped bytes are added as they come.
    this.at = this.end;
  }
}

/** Takes records out of a window. One per capture file. */
export interface RecordWalker {
  /** Frames seen so far, counted as Wireshark counts them. */
  readonly frames: number;
  /** What is wrong with the record at `window.at`, as the middle of a sentence; nothing is read after it. */
  readonly problem: string | null;
  /** A later part of the file that had to be left out, to be told once; null if there was none. */
  readonly omitted: string | null;
  /**
   * Moves complete records from `window` to `batch` until either is used up or a record is malformed. The batch's
   * count is set; its `bytes` are those of the window.
   */
  walk(window: ReadWindow, batch: PacketBatch): void;
}
