/**
 * The process that runs `cap` (npm), started by cap-source.ts. It is a process of its own because `cap` ends the one that
 * it runs in: by an assertion when its interface goes down, and when an object whose filter was bad is collected. While
 * packets keep coming it also never goes back to the event loop. Packets leave on descriptor 3, a word at the beginning
 * by the channel of `fork`, and a beat now and then.
 */
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { capBytesMax, RecordWriter } from './cap-records.js';

/** What is used of the package; it has no types of its own. */
interface Cap {
  open(device: string, filter: string, bufferBytes: number, buffer: Buffer): string;
  on(event: 'packet', listener: (bytes: number, truncated: boolean) => void): void;
}
interface CapModule {
  Cap: new () => Cap;
}

export interface CapPlan {
  readonly interface: string;
  readonly filter: string;
  readonly snapBytes: number;
  /** The interface's own address when packets for others are not wanted, else null: `cap` is always promiscuous. */
  readonly onlyAddress: readonly number[] | null;
  /** libpcap's buffer in the kernel. */
  readonly bufferBytes: number;
}

export type CapWord =
  { readonly link: string } | { readonly refused: 'load' | 'filter' | 'open'; readonly said: string };

const packetsDescriptor = 3;
const beatMillis = 500;
/** Sent without waiting for the end of the event loop's turn, which under load does not come: what one read takes. */
const sendBytes = 64 * 1024;
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

/** Microseconds since 1970 that never go back and follow the wall clock when that has jumped ahead (a late NTP). */
class Clock {
  #origin = performance.timeOrigin;

  now(): number {
    const wall = Date.now();
    const steady = performance.now();
    if (wall - this.#origin - steady > 2000) this.#origin = wall - steady;
    return Math.round((this.#origin + steady) * 1000);
  }
}

/** Whether a frame is from or for this station or for a group: what an interface hands up without promiscuity. */
function concerns(frame: Uint8Array, address: readonly number[]): boolean {
  if ((frame[0]! & 1) !== 0) return true;
  let to = true;
  let from = true;
  for (let i = 0; i < 6; i++) {
    to &&= frame[i] === address[i];
    from &&= frame[6 + i] === address[i];
  }
  return to || from;
}

class Capture {
  readonly #plan: CapPlan;
  readonly #writer = new RecordWriter();
  readonly #clock = new Clock();
  readonly #frame: Uint8Array;
  /** `cap` keeps the bare address of this buffer: it must live as long as the process, and not in Node's pool. */
  readonly buffer: Buffer;
  #time = 0;
  #armed = false;

  constructor(plan: CapPlan) {
    this.#plan = plan;
    this.buffer = Buffer.from(this.#writer.memory, 0, capBytesMax + 1);
    this.#frame = new Uint8Array(this.#writer.memory, 0, capBytesMax + 1);
  }

  /** One packet is at the beginning of the buffer. */
  onPacket(bytes: number): void {
    const { onlyAddress, snapBytes } = this.#plan;
    if (onlyAddress !== null && !concerns(this.#frame, onlyAddress)) return;
    const captured = Math.min(bytes, snapBytes);
    if (!this.#writer.fits(captured)) this.#flush();
    // One reading of the clock for a batch: `cap` tells no time, and hands over what has waited for us in one go.
    if (this.#writer.count === 0) this.#time = this.#clock.now();
    this.#writer.add(captured, bytes, this.#time);
    if (this.#writer.bytes >= sendBytes) this.#flush();
    else this.#arm();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#armed = false;
    if (this.#writer.count > 0) this.#flush();
  };

  #flush(): void {
    send(this.#writer.take());
  }
}

/** Every object ever opened, also in vain: collecting one can end the process. */
const kept: unknown[] = [];

function openCap(module: CapModule, plan: CapPlan, capture: Capture): string {
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
    openCap(module, { ...plan, filter: '' }, new Capture(plan));
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
    return { link: openCap(module, plan, new Capture(plan)) };
  } catch (error) {
    return refusal(module, plan, error);
  }
}

process.on('disconnect', () => {
  process.exit(0);
});
const word = begin(JSON.parse(process.argv[2]!) as CapPlan);
process.send!(word, () => {
  if ('refused' in word) process.exit(0);
  // On an idle link this is how one that hangs is told from one that waits; on a busy one its packets are.
  setInterval(() => process.send!('beat'), beatMillis);
});
