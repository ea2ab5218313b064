/** Helpers of the capture tests: a feed over bytes, whole sources as lists, the walkers driven without waiting. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeekableFeed } from './byte-feed.js';
import { detectCapture } from './capture-format.js';
import { openFeed } from './capture-file.js';
import type { MemoryPacket } from './memory-source.js';
import { PacketBatch, type PacketSource, type SourceWarning } from './packet-source.js';
import { BlockBuffer, ReadWindow, type RecordWalker } from './record-walker.js';

/** A packet copied out of a batch. */
export interface ReadPacket {
  readonly hex: string;
  readonly wireLength: number;
  readonly linkType: number;
  readonly timeMicros: number;
  readonly frame: number;
}

/** What the reader must yield for these packets, written in this order as the only frames of a file. */
export function expected(packets: readonly MemoryPacket[], change: Partial<ReadPacket> = {}): ReadPacket[] {
  return packets.map((packet, index) => ({
    hex: hexOf(packet.bytes),
    wireLength: packet.wireLength ?? packet.bytes.length,
    linkType: packet.linkType ?? 1,
    timeMicros: packet.timeMicros,
    frame: index + 1,
    ...change,
  }));
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** The packets of a batch; the bounds are checked, because typed arrays would hide an overrun. */
export function batchPackets(batch: PacketBatch): ReadPacket[] {
  const out: ReadPacket[] = [];
  for (let i = 0; i < batch.count; i++) {
    const start = batch.start[i]!;
    const end = batch.end[i]!;
    if (start < 0 || end < start || end > batch.bytes.length)
      throw new Error(`packet ${i}: ${start} to ${end}`);
    out.push({
      hex: hexOf(batch.bytes.subarray(start, end)),
      wireLength: batch.wireLength[i]!,
      linkType: batch.linkType[i]!,
      timeMicros: batch.timeMicros[i]!,
      frame: batch.frame[i]!,
    });
  }
  return out;
}

export interface ReadResult {
  readonly packets: ReadPacket[];
  readonly warnings: readonly SourceWarning[];
  /** Codes of the warnings. */
  readonly codes: string[];
}

/** Reads a source to its end and closes it. */
export async function readAll(source: PacketSource, batchCapacity = 64): Promise<ReadResult> {
  const batch = new PacketBatch(batchCapacity);
  const packets: ReadPacket[] = [];
  try {
    while (await source.fill()) {
      while (source.next(batch) > 0) packets.push(...batchPackets(batch));
    }
  } finally {
    await source.close();
  }
  return { packets, warnings: source.warnings, codes: source.warnings.map((warning) => warning.code) };
}

/** Bytes in memory as a feed that gives at most `step` of them at once. */
export class BytesFeed implements PeekableFeed {
  bytesRead = 0;
  readonly blockBytes = 65_536;
  readonly #bytes: Uint8Array;
  readonly #step: number;

  constructor(bytes: Uint8Array, step = Number.MAX_SAFE_INTEGER) {
    this.#bytes = bytes;
    this.#step = step;
  }

  readonly readsAhead = true;

  get bytesTotal(): number {
    return this.#bytes.length;
  }

  peek(count: number): Promise<Uint8Array> {
    return Promise.resolve(this.#bytes.subarray(0, count));
  }

  read(target: Uint8Array, at: number, room: number): Promise<number> {
    const count = Math.min(room, this.#step, this.#bytes.length - this.bytesRead);
    target.set(this.#bytes.subarray(this.bytesRead, this.bytesRead + count), at);
    this.bytesRead += count;
    return Promise.resolve(count);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Reads a capture from memory with the block size and batch size given. */
export async function readBytes(
  bytes: Uint8Array,
  blockBytes = 65_536,
  batchCapacity = 64,
): Promise<ReadResult> {
  return readAll(await openFeed('memory', new BytesFeed(bytes), blockBytes), batchCapacity);
}

/** Runs `body` with a file that holds `bytes`, and removes it afterwards. */
export async function withFile<T>(bytes: Uint8Array, body: (path: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'swarmgate-capture-'));
  try {
    // The name says nothing on purpose: the format is told by the content.
    const path = join(folder, 'capture.bin');
    await writeFile(path, bytes);
    return await body(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

export interface WalkResult {
  readonly packets: ReadPacket[];
  /** Null when the format was not found out or is refused. */
  readonly problem: string | null;
  readonly offset: number;
  readonly recognised: boolean;
}

const walkBuffers = [new BlockBuffer(131_072), new BlockBuffer(131_072)] as const;

/** The synchronous core over `bytes` (at most 128 KiB), fed in blocks of `blockBytes`. */
export function walkBytes(bytes: Uint8Array, blockBytes: number, batch: PacketBatch): WalkResult {
  const window = new ReadWindow();
  const packets: ReadPacket[] = [];
  let walker: RecordWalker | null = null;
  let turn = 0;
  for (let at = 0; at < bytes.length && (walker?.problem ?? null) === null; at += blockBytes) {
    const block = walkBuffers[turn++ % 2]!;
    const piece = bytes.subarray(at, at + blockBytes);
    block.bytes.set(piece, block.bytes.length - 131_072);
    window.accept(block, piece.length);
    if (walker === null) {
      const found = detectCapture(window);
      if (found === null) continue;
      if ('code' in found) break;
      walker = found;
    }
    do {
      walker.walk(window, batch);
      packets.push(...batchPackets(batch));
    } while (batch.count > 0);
  }
  return {
    packets,
    problem: walker?.problem ?? null,
    offset: window.offset + window.skipBytes,
    recognised: walker !== null,
  };
}
