/**
 * Capture files in a folder, of a bounded size and number. Promises: the files never take more than `files` times
 * `fileBytes`, those of earlier runs counted; each is a whole classic capture up to its last record, whatever happened to
 * the disk; nothing is written through a link that somebody planted; trouble with the disk is told once, tried again each
 * second, and told once more when it is well. Writing never blocks: `add` says false while what was added before waits.
 *
 *     add ──> block (1 MiB) ──write──> swarmgate-NAME-20261121T181500Z-000001.pcap
 *             one per link type: a classic capture has one for all its packets
 */
import { constants } from 'node:fs';
import { lstat, open, readdir, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { recordBytesMax } from '../limits.js';
import { pcapHeader } from './capture-writer.js';
import type { PacketBatch } from './packet-source.js';

export interface CaptureFolderOptions {
  readonly directory: string;
  /** Lower-case letters, digits, "-" and "_": files are named by it. */
  readonly name: string;
  /** At least a record of the largest size and 40 bytes. */
  readonly fileBytes: number;
  readonly files: number;
  /** Called when what was added is written. */
  readonly onRoom: () => void;
  /** Called once when writing begins to fail. */
  readonly onTrouble: (message: string) => void;
  /** Called once when it works again. */
  readonly onHealed: () => void;
  readonly retryMillis?: number;
}

const blockBytes = 1024 * 1024;
const fileHeaderBytes = 24;
const recordHeaderBytes = 16;
const retryMillisDefault = 1000;
const closeMillis = 2000;
/** Names tried for a new file: somebody may have taken some. */
const namesTried = 100;
const fileMode = 0o640;

/** The files of one link type. */
class Series {
  file: OpenFile | null = null;
  readonly block = Buffer.allocUnsafe(blockBytes);
  filled = 0;
  packets = 0;
  /** Bytes of the file with everything added to it. */
  planned = 0;
  /** The next packet begins a new file, once this one is written. */
  isFull = false;
  /** What is in the block is on its way to the file: nothing may be added to it. */
  isWriting = false;

  constructor(readonly linkType: number) {}
}

interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  /** Up to the end of its last whole record. */
  bytes: number;
}

export class CaptureFolder {
  /** Sums since the start. */
  packets = 0;
  bytes = 0;
  /** Packets that could not be written before the end. */
  dropped = 0;
  begun = 0;
  removed = 0;
  /** What is wrong now, or null. */
  problem: string | null = null;

  readonly #options: CaptureFolderOptions;
  readonly #pattern: RegExp;
  readonly #series = new Map<number, Series>();
  #writing: Promise<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #number = 0;
  #closed = false;

  constructor(options: CaptureFolderOptions) {
    this.#options = options;
    this.#pattern = new RegExp(`^swarmgate-${options.name}-\\d{8}T\\d{6}Z-\\d{6}\\.pcap$`);
  }

  /** Whether files can be made there now: null, or what is wrong. Nothing is left behind. */
  async check(): Promise<string | null> {
    const probe = join(this.#options.directory, `.swarmgate-${this.#options.name}-${process.pid}`);
    try {
      await (await openNew(probe)).close();
      await unlink(probe);
      return null;
    } catch (error) {
      return wordsOf(error);
    }
  }

  /** Adds a packet. False: no room yet, or a new file is due; to be tried again after the next `flush`. */
  add(batch: PacketBatch, i: number): boolean {
    const start = batch.start[i]!;
    const length = Math.min(batch.end[i]! - start, recordBytesMax);
    const series = this.#seriesOf(batch.linkType[i]!);
    const bytes = recordHeaderBytes + length;
    if (series.isFull || series.isWriting || series.filled + bytes > blockBytes) return false;
    if (series.planned === 0) series.planned = fileHeaderBytes;
    if (series.planned + bytes > this.#options.fileBytes && series.planned > fileHeaderBytes) {
      series.isFull = true;
      return false;
    }
    const { block, filled: at } = series;
    const time = batch.timeMicros[i]!;
    block.writeUInt32LE(Math.floor(time / 1e6) >>> 0, at);
    block.writeUInt32LE(time % 1e6, at + 4);
    block.writeUInt32LE(length, at + 8);
    block.writeUInt32LE(batch.wireLength[i]!, at + 12);
    block.set(batch.bytes.subarray(start, start + length), at + recordHeaderBytes);
    series.filled += bytes;
    series.planned += bytes;
    series.packets++;
    return true;
  }

  /** Begins to write what was added, unless that is under way or the disk is in trouble. */
  flush(): void {
    const waits = [...this.#series.values()].some(({ filled, isFull }) => filled > 0 || isFull);
    if (waits && this.#timer === null && !this.#closed) this.#writing ??= this.#write();
  }

  /** Writes what was added and closes the files, if neither takes longer than two seconds: a disk may hang. */
  async close(): Promise<void> {
    await within(closeMillis, this.#finish());
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const all = [...this.#series.values()];
    for (const { packets } of all) this.dropped += packets;
    const ends = all.map((series) => this.#end(series));
    await within(closeMillis, Promise.allSettled(ends));
  }

  async #finish(): Promise<void> {
    await this.#writing;
    this.flush();
    await this.#writing;
  }

  #seriesOf(linkType: number): Series {
    const known = this.#series.get(linkType);
    if (known !== undefined) return known;
    const series = new Series(linkType);
    this.#series.set(linkType, series);
    return series;
  }

  async #write(): Promise<void> {
    try {
      for (const series of this.#series.values()) {
        if (series.filled > 0) await this.#writeBlock(series);
        if (!series.isFull) continue;
        await this.#end(series);
        series.planned = 0;
        series.isFull = false;
      }
    } catch (error) {
      this.#writing = null;
      this.#failed(wordsOf(error));
      return;
    }
    this.#writing = null;
    this.#healed();
    this.#options.onRoom();
  }

  async #writeBlock(series: Series): Promise<void> {
    series.isWriting = true;
    try {
      // Whoever collects files may take away the one that is being written, or the folder.
      if (series.file !== null && (await isUnlinked(series.file))) await this.#end(series);
      series.file ??= await this.#begin(series.linkType);
      await writeWhole(series.file, series.block.subarray(0, series.filled));
    } finally {
      series.isWriting = false;
    }
    this.packets += series.packets;
    this.bytes += series.filled;
    series.filled = 0;
    series.packets = 0;
  }

  async #end(series: Series): Promise<void> {
    const { file } = series;
    series.file = null;
    await file?.handle.close();
  }

  /** A new file, and room for it. */
  async #begin(linkType: number): Promise<OpenFile> {
    await this.#makeRoom();
    const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    for (let tried = 1; ; tried++) {
      const number = String(++this.#number).padStart(6, '0');
      const path = join(this.#options.directory, `swarmgate-${this.#options.name}-${stamp}-${number}.pcap`);
      try {
        const file = await beginFile(path, linkType);
        this.begun++;
        this.bytes += fileHeaderBytes;
        return file;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || tried === namesTried) throw error;
      }
    }
  }

  /** Removes the oldest files until one more of the full size keeps within the bound. */
  async #makeRoom(): Promise<void> {
    const { directory, files, fileBytes } = this.#options;
    const names = (await readdir(directory)).filter((name) => this.#pattern.test(name)).sort();
    const found = await Promise.all(names.map((name) => sizeOf(join(directory, name))));
    // A file that is being written counts as it will be. What is no file was planted, and none of our business.
    const kept = names.flatMap((name, index) => {
      const path = join(directory, name);
      const size = found[index]!;
      return size < 0 ? [] : [{ path, size: this.#isOpen(path) ? fileBytes : size }];
    });
    let bytes = kept.reduce((sum, { size }) => sum + size, 0);
    let left = kept.length;
    for (const { path, size } of kept) {
      if (left < files && bytes + fileBytes <= files * fileBytes) return;
      await this.#close(path);
      await unlink(path);
      this.removed++;
      left--;
      bytes -= size;
    }
  }

  #isOpen(path: string): boolean {
    return [...this.#series.values()].some(({ file }) => file?.path === path);
  }

  /** Another link type's file may be the oldest one; its next packet begins a new one. */
  async #close(path: string): Promise<void> {
    for (const series of this.#series.values()) {
      if (series.file?.path !== path) continue;
      await this.#end(series);
      series.planned = fileHeaderBytes + series.filled;
    }
  }

  #failed(why: string): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.flush();
    }, this.#options.retryMillis ?? retryMillisDefault);
    this.#timer.unref();
    if (this.problem !== null) return;
    this.problem = why;
    this.#options.onTrouble(why);
  }

  #healed(): void {
    if (this.problem === null) return;
    this.problem = null;
    this.#options.onHealed();
  }
}

/** Waits for it, but no longer than that. */
async function within(millis: number, task: Promise<unknown>): Promise<void> {
  let late: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    late = setTimeout(resolve, millis);
  });
  await Promise.race([task, limit]);
  clearTimeout(late);
}

/** Never an existing file, and never through a link: the daemon is root. */
function openNew(path: string): Promise<FileHandle> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  return open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, fileMode);
}

/** A new file with its header; where that cannot be written nothing stays. */
async function beginFile(path: string, linkType: number): Promise<OpenFile> {
  const file = { path, handle: await openNew(path), bytes: 0 };
  try {
    await writeWhole(file, pcapHeader({ linkType }));
    return file;
  } catch (error) {
    await file.handle.close();
    await unlink(path);
    throw error;
  }
}

/** Appends all bytes or none: a file that ends in half a record cannot be read to its end. */
async function writeWhole(file: OpenFile, bytes: Uint8Array): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.handle.write(bytes, at, bytes.length - at, file.bytes + at);
      at += bytesWritten;
    }
  } catch (error) {
    await file.handle.truncate(file.bytes).catch(() => undefined);
    throw error;
  }
  file.bytes += bytes.length;
}

async function isUnlinked({ handle }: OpenFile): Promise<boolean> {
  return (await handle.stat()).nlink === 0;
}

/** -1 for what is no file: a link, a folder, or what somebody removed meanwhile. */
async function sizeOf(path: string): Promise<number> {
  try {
    const found = await lstat(path);
    return found.isFile() ? found.size : -1;
  } catch {
    return -1;
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
