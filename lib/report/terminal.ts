/**
 * Writing to a terminal that may take nothing: one that was stopped by Ctrl-S, or an ssh connection that hangs. Node
 * waits for a terminal, and with it everything that its main thread does; so the terminal is opened a second time
 * without waiting (O_NONBLOCK belongs to what was opened, so that the shell's own is left as it is). What waits keeps the
 * process alive: whoever ends it says for how long.
 */
import { constants, openSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

/** Text that waits. When full: further text is left out. */
const waitingBytesMax = 64 * 1024;
const retryMillis = 50;

const nothing = Buffer.alloc(0);

export class Terminal {
  readonly #descriptor: number;
  #waiting: Buffer = nothing;
  #timer: NodeJS.Timeout | null = null;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /** @param standard 1 for standard output, 2 for standard error. Null where that is no terminal, or cannot be opened. */
  static open(standard: 1 | 2): Terminal | null {
    if (!isatty(standard)) return null;
    try {
      const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
      return new Terminal(openSync(`/proc/self/fd/${standard}`, flags));
    } catch {
      return null;
    }
  }

  /** True while earlier text still waits for the terminal. */
  get busy(): boolean {
    return this.#waiting.length > 0;
  }

  /** Never waits. False if the text was left out, as there is too much before it. */
  write(text: string): boolean {
    const bytes = Buffer.from(text);
    if (this.#waiting.length + bytes.length > waitingBytesMax) return false;
    this.#waiting = this.busy ? Buffer.concat([this.#waiting, bytes]) : bytes;
    this.#send();
    return true;
  }

  #send(): void {
    try {
      while (this.busy) this.#waiting = this.#waiting.subarray(writeSync(this.#descriptor, this.#waiting));
    } catch (error) {
      // Anything else than "no room": the terminal is gone.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.#waiting = nothing;
    }
    if (!this.busy || this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#send();
    }, retryMillis);
  }
}
