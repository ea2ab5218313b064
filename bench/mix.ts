/**
 * Builds a large capture of many flows out of small recordings: every recording is copied as often as needed, each copy
 * with addresses of its own, and the frames of all copies are merged by time, so that thousands of flows are open at
 * once. The same recordings, size and seed give the same file, byte for byte. Only the recordings are held in memory;
 * the mix goes to disk as it is made.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { pcapHeader } from '../lib/io/capture-writer.js';
import { corpusFolder, repositoryPath, SeededRandom } from '../lib/testing.js';
import { maskAddresses } from './addresses.js';
import { captureFiles, loadTemplates, type Template } from './template.js';

export interface MixOptions {
  readonly path: string;
  /** The mix ends with the first whole copy past this size. */
  readonly sizeBytes: number;
  readonly seed?: number;
  /** Time over which the copies begin, seconds; if left out, one for each 10 MB, which is 80 Mbit/s on average. */
  readonly spreadSeconds?: number;
}

export interface Mix {
  readonly path: string;
  readonly bytes: number;
  readonly packets: number;
  /** Copies of recordings in it. */
  readonly copies: number;
  readonly recordings: number;
  /** Where the recordings came from, for the report. */
  readonly origin: string;
}

/** One copy of a recording. */
interface Stream {
  readonly template: Template;
  readonly mask: number;
  readonly startMicros: number;
  /** Number of its next frame, and when that is due. */
  frame: number;
  due: number;
}

const recordHeader = 16;
const fileHeader = 24;
const epochMicros = 1_750_000_000_000_000;

/** The labelled corpus when it is beside the checkout, or else the recorded fixtures. */
export async function mixTemplates(): Promise<{ templates: Template[]; origin: string }> {
  const corpus = corpusFolder();
  const folder = corpus ?? repositoryPath('fixtures', 'captures');
  const templates = await loadTemplates(captureFiles(folder));
  return { templates, origin: corpus === null ? 'fixtures/captures' : 'the labelled corpus' };
}

/** Builds the mix of `templates`. */
export function writeMix(templates: readonly Template[], origin: string, options: MixOptions): Mix {
  const streams = plan(templates, options);
  mkdirSync(dirname(options.path), { recursive: true });
  const unfinished = `${options.path}.part`;
  const output = new Output(unfinished);
  try {
    merge(streams, output);
  } finally {
    output.close();
  }
  renameSync(unfinished, options.path);
  const { bytes, packets } = output;
  return {
    path: options.path,
    bytes,
    packets,
    copies: streams.length,
    recordings: templates.length,
    origin,
  };
}

/** Which copies there are, when each begins (in this order), and its mask. */
function plan(templates: readonly Template[], options: MixOptions): Stream[] {
  const random = new SeededRandom(options.seed ?? 1);
  const chosen: { template: Template; mask: number }[] = [];
  let bytes = fileHeader;
  while (bytes < options.sizeBytes && templates.length > 0) {
    for (const template of shuffled(templates, random)) {
      if (bytes >= options.sizeBytes) break;
      chosen.push({ template, mask: 1 + random.below(0xff_ffff) });
      bytes += template.bytes.length + template.wireLength.length * recordHeader;
    }
  }
  const spread = (options.spreadSeconds ?? options.sizeBytes / 1e7) * 1e6;
  return chosen.map(({ template, mask }, index) => {
    const startMicros =
      epochMicros + Math.floor((spread * (index + random.below(100) / 100)) / chosen.length);
    return { template, mask, startMicros, frame: 0, due: startMicros };
  });
}

function shuffled(templates: readonly Template[], random: SeededRandom): Template[] {
  const out = [...templates];
  for (let i = out.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [out[i], out[j]] = [out[j]!, out[i]!];
  }
  return out;
}

/** Writes the frames of all streams in the order of their times. */
function merge(streams: readonly Stream[], output: Output): void {
  const open = new DueHeap();
  let waiting = 0;
  for (;;) {
    const next = open.first();
    const begins = streams[waiting];
    if (begins !== undefined && (next === undefined || begins.startMicros <= next.due)) {
      open.add(begins);
      waiting++;
      continue;
    }
    if (next === undefined) return;
    output.frame(next);
    next.frame++;
    if (next.frame === next.template.wireLength.length) open.removeFirst();
    else {
      next.due = next.startMicros + next.template.timeMicros[next.frame]!;
      open.sink(0);
    }
  }
}

/** Binary heap of streams; the one that is due first is on top. */
class DueHeap {
  readonly #streams: Stream[] = [];

  first(): Stream | undefined {
    return this.#streams[0];
  }

  add(stream: Stream): void {
    const streams = this.#streams;
    let at = streams.push(stream) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (streams[parent]!.due <= stream.due) break;
      streams[at] = streams[parent]!;
      at = parent;
    }
    streams[at] = stream;
  }

  removeFirst(): void {
    const last = this.#streams.pop()!;
    if (this.#streams.length === 0) return;
    this.#streams[0] = last;
    this.sink(0);
  }

  /** Moves the stream at `from` down until nothing below it is due earlier. */
  sink(from: number): void {
    const streams = this.#streams;
    const stream = streams[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= streams.length) break;
      if (child + 1 < streams.length && streams[child + 1]!.due < streams[child]!.due) child++;
      if (streams[child]!.due >= stream.due) break;
      streams[at] = streams[child]!;
      at = child;
    }
    streams[at] = stream;
  }
}

/** A classic capture on its way to disk. */
class Output {
  bytes = 0;
  packets = 0;
  readonly #handle: number;
  readonly #buffer = new Uint8Array(4 * 2 ** 20);
  readonly #view = new DataView(this.#buffer.buffer);
  #used = 0;

  constructor(path: string) {
    this.#handle = openSync(path, 'w');
    const header = pcapHeader();
    this.#buffer.set(header);
    this.#used = header.length;
  }

  frame({ template, frame, due, mask }: Stream): void {
    const from = template.start[frame]!;
    const to = template.start[frame + 1]!;
    if (this.#used + recordHeader + to - from > this.#buffer.length) this.#flush();
    const at = this.#used;
    const view = this.#view;
    view.setUint32(at, Math.floor(due / 1e6), true);
    view.setUint32(at + 4, due % 1e6, true);
    view.setUint32(at + 8, to - from, true);
    view.setUint32(at + 12, template.wireLength[frame]!, true);
    this.#buffer.set(template.bytes.subarray(from, to), at + recordHeader);
    const ipAt = template.ipAt[frame]!;
    if (ipAt >= 0) maskAddresses(this.#buffer, at + recordHeader + ipAt, mask);
    this.#used = at + recordHeader + to - from;
    this.packets++;
  }

  /** On disk before anything is measured: writing back gigabytes would go on beside the first runs. */
  close(): void {
    this.#flush();
    fsyncSync(this.#handle);
    closeSync(this.#handle);
  }

  #flush(): void {
    for (let at = 0; at < this.#used;) at += writeSync(this.#handle, this.#buffer, at, this.#used - at);
    this.bytes += this.#used;
    this.#used = 0;
  }
}
