/**
 * A gzip feed over another feed (RFC 1952; several members in a row count as one). Memory is bounded whatever the
 * ratio: zlib gets the next input only after all output of the last was taken, and it stops after each output chunk
 * until that was read. The same order makes sure that everything before a cut or an error is handed over first.
 */
import { createGunzip, type Gunzip } from 'node:zlib';
import { type ByteFeed, ChunkTaker, FeedError } from './byte-feed.js';

const inputBytes = 128 * 1024;
const outputBytes = 512 * 1024;

/** True when these first bytes are those of a gzip member with the only method there is (deflate). */
export function isGzip(first: Uint8Array): boolean {
  return first.length >= 3 && first[0] === 0x1f && first[1] === 0x8b && first[2] === 8;
}

/** The uncompressed bytes of `inner`. */
export class GunzipFeed implements ByteFeed {
  readonly blockBytes = outputBytes;
  readonly #inner: ByteFeed;
  readonly #gunzip: Gunzip;
  readonly #taker: ChunkTaker;
  readonly #input = new Uint8Array(inputBytes);
  #busy = false;

  constructor(inner: ByteFeed) {
    this.#inner = inner;
    // A mark of 1 means: never more than one unread chunk, so that an error cannot overtake data in the buffer.
    this.#gunzip = createGunzip({ chunkSize: outputBytes, readableHighWaterMark: 1 } as object);
    this.#taker = new ChunkTaker(this.#gunzip);
  }

  readonly readsAhead = true;

  get bytesTotal(): number | null {
    return this.#inner.bytesTotal;
  }

  get bytesRead(): number {
    return this.#inner.bytesRead;
  }

  async read(target: Uint8Array, at: number, room: number): Promise<number> {
    for (;;) {
      const count = this.#taker.take(target, at, room);
      if (count > 0) return count;
      if (!(await this.#more())) return 0;
    }
  }

  /** Brings the decoder a step further; false after its end. */
  async #more(): Promise<boolean> {
    const taker = this.#taker;
    if (taker.error !== null) throw gzipError(taker.error);
    if (taker.ended) return false;
    if (!this.#busy) {
      this.#busy = true;
      const count = await this.#inner.read(this.#input, 0, inputBytes);
      if (count === 0) {
        // `busy` stays set: after `end` there is nothing more to write, only to wait for.
        this.#gunzip.end();
      } else {
        this.#gunzip.write(this.#input.subarray(0, count), () => {
          this.#busy = false;
          taker.wake();
        });
      }
      return true;
    }
    await taker.wait();
    return true;
  }

  async close(): Promise<void> {
    this.#gunzip.destroy();
    await this.#inner.close();
  }
}

function gzipError(error: Error): FeedError {
  return (error as NodeJS.ErrnoException).code === 'Z_BUF_ERROR'
    ? new FeedError('capture-cut', 'the gzip data ends in the middle; everything before was read')
    : new FeedError(
        'capture-malformed',
        `the gzip data is damaged (${error.message}); everything before was read`,
      );
}
