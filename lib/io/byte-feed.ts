/**
 * Where the bytes of a capture come from: a plain file, or a stream (standard input, a named pipe). A feed hands over
 * what is there and waits only when there is nothing, so that a slow pipe is scanned as it fills.
 */
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { readBlockBytes } from '../limits.js';

/** A feed that ended before its end, with the stable code of the warning. */
export class FeedError extends Error {
  override readonly name = 'FeedError';
  constructor(
    readonly code: 'capture-cut' | 'capture-malformed',
    message: string,
  ) {
    super(message);
  }
}

export interface ByteFeed {
  /** Bytes in all as they lie on disk, or null when unknown. */
  readonly bytesTotal: number | null;
  /** Bytes taken so far, as they lie on disk. */
  readonly bytesRead: number;
  /** Bytes that one read may usefully ask for. */
  readonly blockBytes: number;
  /** True if the next block should be asked for while the one before is parsed: the source may have to be waited for. */
  readonly readsAhead: boolean;
  /**
   * Reads 1 to `room` bytes into `target` from index `at` on; waits only for the first. 0 at the end.
   * @throws FeedError when the bytes end in the wrong place, or the error of the operating system.
   */
  read(target: Uint8Array, at: number, room: number): Promise<number>;
  close(): Promise<void>;
}

/** A feed whose beginning can be looked at before it is known how to read it. */
export interface PeekableFeed extends ByteFeed {
  /** The first `count` bytes without taking them; fewer only if there are no more. To be called before any `read`. */
  peek(count: number): Promise<Uint8Array>;
}

/** Read block of a stream: as much as a Linux pipe holds, four times over. */
export const streamBlockBytes = 256 * 1024;

/** A regular file. */
export class FileFeed implements PeekableFeed {
  bytesRead = 0;
  readonly #handle: FileHandle;
  readonly #size: number;

  /** @param size of the file when it was opened, bytes; it may still grow. */
  constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.#size = size;
  }

  /** A block is read when it is due, into a warm cache; see `read`. */
  readonly readsAhead = false;

  get bytesTotal(): number {
    return this.#size;
  }

  /** A small file gets a small buffer: many thousand small captures in one call are usual. */
  get blockBytes(): number {
    return Math.min(readBlockBytes, Math.max(this.#size - this.bytesRead, 4096));
  }

  async peek(count: number): Promise<Uint8Array> {
    const first = new Uint8Array(count);
    const { bytesRead } = await this.#handle.read(first, 0, count, 0);
    return first.subarray(0, bytesRead);
  }

  /**
   * Reads at once and in this thread: the block is then in this core's cache when it is parsed, which is worth more than
   * a read that runs beside the parsing (measured: 8 % of a scan).
   */
  // eslint-disable-next-line @typescript-eslint/require-await -- a feed may wait; an error must come as a rejection
  async read(target: Uint8Array, at: number, room: number): Promise<number> {
    const bytesRead = readSync(this.#handle.fd, target, at, room, this.bytesRead);
    this.bytesRead += bytesRead;
    return bytesRead;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

const nothing = new Uint8Array(0);

/** Takes the chunks of a Readable piece by piece, and waits when there are none. */
export class ChunkTaker {
  /** True after the end, or after the stream was closed. */
  ended = false;
  error: Error | null = null;
  /** Bytes that the stream has handed over. */
  bytesTaken = 0;
  readonly #stream: Readable;
  #left: Uint8Array = nothing;
  #wake: (() => void) | null = null;

  constructor(stream: Readable) {
    this.#stream = stream;
    stream.on('readable', () => {
      this.wake();
    });
    stream.on('error', (error: Error) => {
      this.error = error;
      this.wake();
    });
    for (const event of ['end', 'close'] as const) {
      stream.on(event, () => {
        this.ended = true;
        this.wake();
      });
    }
  }

  /** Copies what is there, at most `room` bytes; 0 when nothing is. */
  take(target: Uint8Array, at: number, room: number): number {
    if (this.#left.length === 0 && !this.#next()) return 0;
    const count = Math.min(room, this.#left.length);
    target.set(this.#left.subarray(0, count), at);
    this.#left = this.#left.subarray(count);
    return count;
  }

  /** Up to `count` of the bytes that are there, which stay there. */
  look(count: number): Uint8Array {
    while (this.#left.length < count) {
      const before = this.#left;
      if (!this.#next()) break;
      const joined = new Uint8Array(before.length + this.#left.length);
      joined.set(before);
      joined.set(this.#left, before.length);
      this.#left = joined;
    }
    return this.#left.slice(0, count);
  }

  /** Resolves when the stream has something to say, or when `wake` is called. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  wake(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #next(): boolean {
    const chunk = this.#stream.read() as Buffer | null;
    if (chunk === null) return false;
    this.bytesTaken += chunk.length;
    this.#left = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    return true;
  }
}

/** Standard input or a named pipe. */
export class StreamFeed implements PeekableFeed {
  readonly bytesTotal = null;
  readonly readsAhead = true;
  readonly blockBytes = streamBlockBytes;
  readonly #stream: Readable;
  readonly #taker: ChunkTaker;

  constructor(stream: Readable) {
    this.#stream = stream;
    this.#taker = new ChunkTaker(stream);
  }

  get bytesRead(): number {
    return this.#taker.bytesTaken;
  }

  async peek(count: number): Promise<Uint8Array> {
    for (;;) {
      const first = this.#taker.look(count);
      if (first.length === count || !(await this.#more())) return first;
    }
  }

  async read(target: Uint8Array, at: number, room: number): Promise<number> {
    for (;;) {
      const count = this.#taker.take(target, at, room);
      if (count > 0) return count;
      if (!(await this.#more())) return 0;
    }
  }

  async #more(): Promise<boolean> {
    if (this.#taker.error !== null) throw this.#taker.error;
    if (this.#taker.ended) return false;
    await this.#taker.wait();
    return true;
  }

  close(): Promise<void> {
    this.#stream.destroy();
    return Promise.resolve();
  }
}
