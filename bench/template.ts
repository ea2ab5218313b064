/** Recordings in memory, ready to be copied into a mix: all frames of a file in one block, with times from its start. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CaptureFileError, openCaptureFile } from '../lib/io/capture-file.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { ipOffset } from './addresses.js';

const linkEthernet = 1;
/** LINKTYPE_RAW and its old numbers, LINKTYPE_IPV4, LINKTYPE_IPV6: a packet begins with its IP header. */
const linksRaw = [101, 12, 14, 228, 229];
/** Locally administered addresses and no type yet: what a raw IP packet gets in front. */
const addedHeader = Uint8Array.of(2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0, 0);

/** A pause in a recording counts at most this long, so that one file does not last for hours. */
const gapMicrosMax = 1_000_000;

export interface Template {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Offset of each frame in `bytes`, and one more entry: the end of the last. */
  readonly start: Int32Array;
  readonly wireLength: Int32Array;
  /** Offset of the outermost IP header within each frame, or -1. */
  readonly ipAt: Int32Array;
  /** Time of each frame after the first, microseconds; never falls. */
  readonly timeMicros: Float64Array;
}

/** All files under `folder`, sorted, so that a mix does not depend on the order of a directory. */
export function captureFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.json'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Reads captures until `bytesMax` are in memory. What is no capture, or has no Ethernet or raw IP frames, is left out. */
export async function loadTemplates(paths: readonly string[], bytesMax = 256 * 2 ** 20): Promise<Template[]> {
  const templates: Template[] = [];
  let bytes = 0;
  for (const path of paths) {
    if (bytes >= bytesMax) break;
    const template = await loadTemplate(path);
    if (template === null) continue;
    templates.push(template);
    bytes += template.bytes.length;
  }
  return templates;
}

/** Grows while a file is read; a frame is a few numbers here and its bytes one slice. */
class Collector {
  readonly frames: Uint8Array[] = [];
  readonly wireLength: number[] = [];
  readonly timeMicros: number[] = [];
  #last = Number.NaN;
  #clock = 0;

  add(batch: PacketBatch, i: number): void {
    const start = batch.start[i]!;
    const end = batch.end[i]!;
    const linkType = batch.linkType[i]!;
    let frame: Uint8Array;
    let added = 0;
    if (linkType === linkEthernet) frame = batch.bytes.slice(start, end);
    else if (linksRaw.includes(linkType) && end > start) {
      frame = ethernetAround(batch.bytes, start, end);
      added = addedHeader.length;
    } else return;
    const time = batch.timeMicros[i]!;
    if (this.frames.length > 0) this.#clock += Math.min(Math.max(time - this.#last, 0), gapMicrosMax);
    this.#last = time;
    this.frames.push(frame);
    this.wireLength.push(batch.wireLength[i]! + added);
    this.timeMicros.push(this.#clock);
  }
}

function ethernetAround(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const frame = new Uint8Array(addedHeader.length + end - start);
  frame.set(addedHeader);
  const six = bytes[start]! >> 4 === 6;
  frame[12] = six ? 0x86 : 0x08;
  frame[13] = six ? 0xdd : 0x00;
  frame.set(bytes.subarray(start, end), addedHeader.length);
  return frame;
}

async function loadTemplate(path: string): Promise<Template | null> {
  const collector = new Collector();
  const batch = new PacketBatch(1024);
  try {
    const source = await openCaptureFile(path);
    try {
      while (await source.fill()) {
        while (source.next(batch) > 0) {
          for (let i = 0; i < batch.count; i++) collector.add(batch, i);
        }
      }
    } finally {
      await source.close();
    }
  } catch (error) {
    if (error instanceof CaptureFileError) return null;
    throw error;
  }
  return collector.frames.length === 0 ? null : packed(path, collector);
}

function packed(name: string, { frames, wireLength, timeMicros }: Collector): Template {
  const bytes = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  const start = new Int32Array(frames.length + 1);
  const ipAt = new Int32Array(frames.length);
  let at = 0;
  for (const [index, frame] of frames.entries()) {
    bytes.set(frame, at);
    ipAt[index] = ipOffset(bytes, at, at + frame.length);
    at += frame.length;
    start[index + 1] = at;
  }
  return {
    name,
    bytes,
    start,
    wireLength: Int32Array.from(wireLength),
    ipAt,
    timeMicros: Float64Array.from(timeMicros),
  };
}
