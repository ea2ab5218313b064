/**
 * Capture files as a packet source: pcap, pcapng and gzip of either, from disk, a pipe or standard input. Blocks are
 * read in the background while the last one is parsed in place; nothing is allocated or copied per packet.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { type ByteFeed, FeedError, FileFeed, type PeekableFeed, StreamFeed } from './byte-feed.js';
import { detectCapture, refuseShort, type FormatRefusal } from './capture-format.js';
import { GunzipFeed, isGzip } from './gunzip-feed.js';
import type { PacketBatch, PacketSource, SourceWarning } from './packet-source.js';
import { BlockBuffer, headroomBytes, ReadWindow, type RecordWalker } from './record-walker.js';

export type CaptureFileErrorCode = 'not-a-capture' | 'unreadable' | 'unsupported-format';

/** A capture that cannot be opened. The message names the file and says what to do. */
export class CaptureFileError extends Error {
  override readonly name = 'CaptureFileError';
  constructor(
    readonly code: CaptureFileErrorCode,
    readonly path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Opens a capture file; `-` is standard input. The format is told by the content.
 *
 * Codes of the source's warnings: `capture-cut` (the file ends inside a record; everything before was read),
 * `capture-malformed` (a record that cannot be; everything before was read), `capture-unreadable` (the operating system
 * failed in the middle), `capture-section-skipped` (a pcapng section of an unknown version was left out).
 *
 * @throws CaptureFileError when the file cannot be read or is no capture.
 */
export async function openCaptureFile(path: string): Promise<PacketSource> {
  try {
    return await openFeed(path, await openBytes(path));
  } catch (error) {
    if (error instanceof CaptureFileError) throw error;
    throw unreadable(path, error);
  }
}

/**
 * Opens a capture whose bytes come from `feed`, which is closed when this throws.
 * @param blockBytes bytes per read, at least 1; only tests need another than the feed's own.
 * @throws CaptureFileError when it is no capture.
 */
export async function openFeed(name: string, feed: PeekableFeed, blockBytes?: number): Promise<PacketSource> {
  let current: ByteFeed = feed;
  try {
    if (isGzip(await feed.peek(3))) current = new GunzipFeed(feed);
    const reader = new CaptureReader(name, current, blockBytes ?? null);
    await reader.begin();
    return reader;
  } catch (error) {
    await current.close();
    throw error;
  }
}

async function openBytes(path: string): Promise<PeekableFeed> {
  if (path === '-') return new StreamFeed(process.stdin);
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, 'r');
    const stat = await handle.stat();
    if (stat.isDirectory()) {
      throw new CaptureFileError('unreadable', path, `${path}: this is a directory; give the files in it`);
    }
    if (stat.isFile()) return new FileFeed(handle, stat.size);
    return new StreamFeed(handle.createReadStream());
  } catch (error) {
    await handle?.close();
    throw error;
  }
}

const advice: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file; check the path',
  EACCES: 'permission denied; make the file readable for this user',
};

function unreadable(path: string, error: unknown): CaptureFileError {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const why = advice[code] ?? `it cannot be read (${messageOf(error)}); check the file and its disk`;
  return new CaptureFileError('unreadable', path, `${shownName(path)}: ${why}`, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function shownName(name: string): string {
  return name === '-' ? 'standard input' : name;
}

class CaptureReader implements PacketSource {
  readonly name: string;
  readonly warnings: SourceWarning[] = [];
  readonly #feed: ByteFeed;
  readonly #blockBytes: number | null;
  readonly #window = new ReadWindow();
  #walker: RecordWalker | null = null;
  /** The block under the window, the one that is being filled, and how that will end: its bytes, or null if it failed. */
  #current: BlockBuffer | null = null;
  #next: BlockBuffer | null = null;
  #pending: Promise<number | null> | null = null;
  #failure: unknown = null;
  /** True while the block that `begin` had to read has not been handed out. */
  #primed = false;
  #ended = false;

  constructor(name: string, feed: ByteFeed, blockBytes: number | null) {
    this.name = name;
    this.#feed = feed;
    this.#blockBytes = blockBytes;
  }

  get bytesTotal(): number | null {
    return this.#feed.bytesTotal;
  }

  get bytesRead(): number {
    return this.#feed.bytesRead;
  }

  /** Reads until the format is known. */
  async begin(): Promise<void> {
    while (await this.#load()) {
      const found = detectCapture(this.#window);
      if (found === null) continue;
      if ('code' in found) throw this.#refused(found);
      this.#walker = found;
      this.#primed = true;
      return;
    }
    const short = this.#failure === null ? refuseShort(this.#window) : null;
    if (short !== null) throw this.#refused(short);
    if (this.#failure !== null && !(this.#failure instanceof FeedError)) {
      throw unreadable(this.name, this.#failure);
    }
    if (this.#window.end - this.#window.at < 4) {
      const why = messageOf(this.#failure);
      throw this.#refused({ code: 'not-a-capture', reason: `holds no capture: ${why.replace(/;.*/, '')}` });
    }
    this.#finish();
  }

  async fill(): Promise<boolean> {
    if (this.#ended) return false;
    if (this.#primed) {
      this.#primed = false;
      return true;
    }
    if (this.#walker!.problem !== null || !(await this.#load())) {
      this.#finish();
      return false;
    }
    return true;
  }

  next(batch: PacketBatch): number {
    batch.count = 0;
    if (this.#walker === null || this.#ended || this.#primed || this.#walker.problem !== null) return 0;
    this.#walker.walk(this.#window, batch);
    return batch.count;
  }

  async close(): Promise<void> {
    this.#ended = true;
    this.#current = null;
    this.#next = null;
    await this.#feed.close();
  }

  /** Brings the window the next block, and starts reading the one after it where that helps. False at the end or on failure. */
  async #load(): Promise<boolean> {
    this.#prefetch();
    const count = await this.#pending!;
    this.#pending = null;
    if (count === null || count === 0) return false;
    const filled = this.#next!;
    this.#window.accept(filled, count);
    this.#next = this.#current;
    this.#current = filled;
    if (this.#feed.readsAhead) this.#prefetch();
    return true;
  }

  #prefetch(): void {
    if (this.#pending !== null) return;
    const room = this.#blockBytes ?? this.#feed.blockBytes;
    const block = this.#next ?? new BlockBuffer(room);
    this.#next = block;
    this.#pending = this.#feed
      .read(block.bytes, headroomBytes, Math.min(room, block.bytes.length - headroomBytes))
      .catch((error: unknown) => {
        this.#failure = error;
        return null;
      });
  }

  /** Tells what was wrong with the end, if anything was. */
  #finish(): void {
    this.#ended = true;
    const walker = this.#walker;
    const failure = this.#failure;
    const frame = (walker?.frames ?? 0) + 1;
    const where = `frame ${frame} at byte ${this.#window.offset}`;
    const omitted = walker?.omitted ?? null;
    const problem = walker?.problem ?? null;
    if (omitted !== null) this.#warn('capture-section-skipped', omitted);
    if (problem !== null) {
      this.#warn('capture-malformed', `${where}: ${problem}; nothing after it was read`);
    } else if (failure instanceof FeedError) {
      this.#warn(failure.code, `${where}: ${failure.message}`);
    } else if (failure !== null) {
      this.#warn('capture-unreadable', `${where}: ${messageOf(failure)}; everything before was read`);
    } else if (this.#window.end > this.#window.at || this.#window.skipBytes > 0) {
      this.#warn('capture-cut', `the file ends in the middle of ${where}; everything before was read`);
    }
  }

  #warn(code: string, message: string): void {
    this.warnings.push({ code, message: `${shownName(this.name)}: ${message}` });
  }

  #refused(refusal: FormatRefusal): CaptureFileError {
    return new CaptureFileError(refusal.code, this.name, `${shownName(this.name)} ${refusal.reason}`);
  }
}
