/**
 * One line of progress on a terminal: how far, how fast, how long still. It overwrites itself and is gone at the end;
 * a pipe or a log file never sees it.
 */
import { printable } from './escape.js';
import { bytesText, countText, durationText } from './format.js';

/** Between two updates; five a second is all that an eye reads. */
const updateMillis = 200;
/** Before this the rate is noise, and a short scan needs no line at all. */
const firstUpdateMillis = 300;
const clearLine = '\r\x1b[2K';

/** Bytes read over all inputs of a run, so that rate and time left are those of the whole run. */
export class RunBytes {
  /** Bytes of all inputs; null when one is unknown, as of standard input. */
  readonly total: number | null;
  #done = 0;
  #current = 0;

  /** @param sizes bytes of each input, null if unknown */
  constructor(sizes: readonly (number | null)[]) {
    this.total = sizes.reduce<number | null>(
      (sum, size) => (sum === null || size === null ? null : sum + size),
      0,
    );
  }

  /** What was read in all when `bytesRead` of the current input are. */
  at(bytesRead: number): number {
    this.#current = bytesRead;
    return this.#done + bytesRead;
  }

  /** The current input is done with, read or not. */
  next(size: number | null): void {
    this.#done += size ?? this.#current;
    this.#current = 0;
  }
}

export interface ProgressOptions {
  /** False: nothing is ever written. */
  readonly enabled: boolean;
  readonly columns: number;
  /** Milliseconds from any origin; replaced in tests. */
  readonly now?: () => number;
}

export class Progress {
  readonly #stream: { write(text: string): unknown };
  readonly #enabled: boolean;
  readonly #columns: number;
  readonly #now: () => number;
  readonly #started: number;
  #nextAt: number;
  #shown = false;

  constructor(stream: { write(text: string): unknown }, options: ProgressOptions) {
    this.#stream = stream;
    this.#enabled = options.enabled;
    // A stream that is no terminal has no columns, whatever its type says.
    this.#columns = Math.max(20, options.columns || 80);
    this.#now = options.now ?? (() => performance.now());
    this.#started = this.#now();
    this.#nextAt = this.#started + firstUpdateMillis;
  }

  /** Cheap to call per batch: most calls only compare the clock. `bytesTotal` is null when unknown (standard input). */
  update(bytesRead: number, bytesTotal: number | null, packets: number, file: string): void {
    if (!this.#enabled) return;
    const now = this.#now();
    if (now < this.#nextAt) return;
    this.#nextAt = now + updateMillis;
    const seconds = Math.max(0.001, (now - this.#started) / 1000);
    this.#show(progressText(bytesRead, bytesTotal, packets, seconds), file);
  }

  /** Removes the line, so that what is printed next begins on a clean one. */
  finish(): void {
    if (this.#shown) this.#stream.write(clearLine);
    this.#shown = false;
  }

  #show(text: string, file: string): void {
    // The last column stays free: a terminal that wraps there would leave lines behind.
    const room = this.#columns - 1;
    const name = printable(file);
    const left = room - text.length - 2;
    const tail = name.length <= left ? name : left > 8 ? `…${name.slice(name.length - left + 1)}` : '';
    this.#stream.write(clearLine + (tail === '' ? text : `${text}  ${tail}`).slice(0, room));
    this.#shown = true;
  }
}

function progressText(
  bytesRead: number,
  bytesTotal: number | null,
  packets: number,
  seconds: number,
): string {
  const rates = `${countText(packets / seconds)} packets/s, ${bytesText(Math.round(bytesRead / seconds))}/s`;
  if (bytesTotal === null || bytesTotal <= 0) return `${bytesText(bytesRead)} read, ${rates}`;
  // A growing file may pass the size that was known at the start.
  const share = Math.min(1, bytesRead / bytesTotal);
  const left = share > 0 ? `, ${durationText((seconds * (1 - share)) / share)} left` : '';
  return `${Math.floor(share * 100)} %, ${rates}${left}`;
}
