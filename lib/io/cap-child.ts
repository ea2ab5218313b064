/**
 * The process that runs `cap` (npm), started by cap-source.ts. It is a process of its own because `cap` ends the one that
 * it runs in: by an assertion when its interface goes down, and when an object whose filter was bad is collected. While
 * packets keep coming it also never goes back to the event loop. Packets leave on descriptor 3, a word at the beginning
 * by the channel of `fork`, and a beat now and then.
 */
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { CapCapture, type CapPlan, Clock } from './cap-capture.js';

/** What is used of the package; it has no types of its own. */
interface Cap {
  open(device: string, filter: string, bufferBytes: number, buffer: Buffer): string;
  on(event: 'packet', listener: (bytes: number, truncated: boolean) => void): void;
}
interface CapModule {
  Cap: new () => Cap;
}

export type CapWord =
  { readonly link: string } | { readonly refused: 'load' | 'filter' | 'open'; readonly said: string };

const packetsDescriptor = 3;
const beatMillis = 500;
const pause = new Int32Array(new SharedArrayBuffer(4));

/** Blocks while the reader is behind: packets then wait in libpcap's buffer, which is bounded, and not in our memory. */
function send(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += writeSync(packetsDescriptor, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') process.exit(0);
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

const clock = new Clock();
const parent = process.ppid;

let beatenMillis = 0;

/** How one that hangs is told from one whose link is idle, or carries nothing for us. */
function beat(): void {
  beatenMillis = performance.now();
  process.send!('beat');
}

/** Whoever started us may be gone without an event reaching us: process.ppid asks the kernel anew. */
function look(): void {
  if (process.ppid !== parent) process.exit(0);
  if (performance.now() - beatenMillis > beatMillis) beat();
}

function makeCapture(plan: CapPlan): CapCapture {
  return new CapCapture(plan, { send, now: () => clock.now(), look });
}

/** Every object ever opened, also in vain: collecting one can end the process. */
const kept: unknown[] = [];

function openCap(module: CapModule, plan: CapPlan, capture: CapCapture): string {
  const cap = new module.Cap();
  kept.push(cap, capture);
  const link = cap.open(plan.interface, plan.filter, plan.bufferBytes, capture.buffer);
  cap.on('packet', (bytes) => {
    capture.onPacket(bytes);
  });
  return link;
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** If the interface opens without the filter, then the filter is what was wrong. */
function refusal(module: CapModule, plan: CapPlan, error: unknown): CapWord {
  const said = wordsOf(error);
  if (plan.filter === '') return { refused: 'open', said };
  try {
    openCap(module, { ...plan, filter: '' }, makeCapture(plan));
    return { refused: 'filter', said };
  } catch {
    return { refused: 'open', said };
  }
}

function begin(plan: CapPlan): CapWord {
  let module: CapModule;
  try {
    module = createRequire(import.meta.url)('cap') as CapModule;
  } catch (error) {
    return { refused: 'load', said: wordsOf(error).split('\n', 1)[0]! };
  }
  try {
    return { link: openCap(module, plan, makeCapture(plan)) };
  } catch (error) {
    return refusal(module, plan, error);
  }
}

process.on('disconnect', () => {
  process.exit(0);
});
// Ctrl-C and systemd signal the whole group: the one that watches decides when the capture ends, and is not to take it for
// a failure. It kills us, and if it dies, the channel or the pipe ends us.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
const word = begin(JSON.parse(process.argv[2]!) as CapPlan);
process.send!(word, () => {
  if ('refused' in word) process.exit(0);
  setInterval(beat, beatMillis);
});
