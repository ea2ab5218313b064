/**
 * The EVE file of a running filter. Writing never throws into the caller, never waits and never grows without bound:
 * lines gather in memory up to a limit, and past it they are dropped and counted. Trouble with the file (no space, no
 * permission, a reader that went away) is told once, the file is tried again each second, and told once more when it
 * is well. A line is written whole or not at all, over errors and rotation.
 */
import { close, constants, fstatSync, openSync, readSync, write } from 'node:fs';
import { isatty } from 'node:tty';
import { doubtLine, eveLine } from './eve-live.js';
import type { DecisionReport, DoubtReport } from './status.js';

export interface EveLogOptions {
  /** Called once when writing begins to fail. `code` is the system's, such as "ENOSPC". */
  readonly onTrouble?: (trouble: EveTrouble) => void;
  /** Called once when it works again, with the lines that were lost meanwhile. */
  readonly onHealed?: (dropped: number) => void;
  /** Called at most once a minute when lines were lost without trouble: how many since the last time. */
  readonly onLost?: (dropped: number) => void;
  /** Characters that wait in memory at the most. */
  readonly waitingMax?: number;
  /** Records per second at the most; what is more is dropped and counted. */
  readonly perSecond?: number;
  readonly retryMillis?: number;
}

export interface EveTrouble {
  readonly code: string;
  readonly message: string;
}

const waitingMaxDefault = 4 * 1024 * 1024;
const retryMillisDefault = 1000;
/** A pipe that is full for the moment is tried again sooner. */
const againMillis = 20;
const closeMillis = 1000;
const tellLostMillis = 60_000;
const newline = 0x0a;

export class EveLog {
  readonly #path: string;
  readonly #options: EveLogOptions;
  readonly #waitingMax: number;
  #fd: number | null = null;
  /** Lines that nobody has begun to write. */
  #lines: string[] = [];
  /** Their characters. */
  #waiting = 0;
  /** What is being written, and how much of it is. */
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  #reopen = false;
  #closed = false;
  /** The reader of a pipe went away: it will not come back. */
  #readerGone = false;
  #trouble: EveTrouble | null = null;
  #troubleSince = 0;
  #onIdle: (() => void) | null = null;
  /** Records per second at the most, when this second began, and how many came in it. */
  perSecond: number;
  #second = -Infinity;
  #inSecond = 0;
  /** When lost lines were told last, and how many had been told then. */
  #toldAt = -Infinity;
  #told = 0;
  /** Lines handed over, and those of them that were lost. */
  lines = 0;
  dropped = 0;

  private constructor(path: string, options: EveLogOptions) {
    this.#path = path;
    this.#options = options;
    this.#waitingMax = options.waitingMax ?? waitingMaxDefault;
    this.perSecond = options.perSecond ?? Infinity;
  }

  /** @param path a file that is appended to, or "-" for standard output. Look at `trouble` for what went wrong. */
  static open(path: string, options: EveLogOptions = {}): EveLog {
    const log = new EveLog(path, options);
    if (!log.#open()) log.#retry(options.retryMillis ?? retryMillisDefault);
    return log;
  }

  /** What is wrong now, or null. */
  get trouble(): EveTrouble | null {
    return this.#trouble;
  }

  decision(decision: DecisionReport): void {
    this.#event(() => eveLine(decision));
  }

  doubt(doubt: DoubtReport): void {
    this.#event(() => doubtLine(doubt));
  }

  #event(text: () => string): void {
    try {
      if (this.#mayBegin()) this.line(text());
      else this.#lose();
    } catch {
      this.#lose();
    }
    this.#tellLost();
  }

  #lose(): void {
    this.lines++;
    this.dropped++;
  }

  /** Who makes flows without end is not to fill the disk. */
  #mayBegin(): boolean {
    const now = performance.now();
    if (now - this.#second >= 1000) {
      this.#second = now;
      this.#inSecond = 0;
    }
    return ++this.#inSecond <= this.perSecond;
  }

  #tellLost(): void {
    if (this.#trouble !== null || this.#closed) {
      this.#told = this.dropped;
      return;
    }
    if (this.dropped === this.#told) return;
    const now = performance.now();
    if (now - this.#toldAt < tellLostMillis) return;
    this.#toldAt = now;
    this.#options.onLost?.(this.dropped - this.#told);
    this.#told = this.dropped;
  }

  /** A line with its end. */
  line(text: string): void {
    this.lines++;
    const held = this.#waiting + this.#block.length - this.#at;
    if (this.#closed || this.#readerGone || held + text.length > this.#waitingMax) {
      this.dropped++;
      return;
    }
    this.#lines.push(text);
    this.#waiting += text.length;
    this.#go();
  }

  /** After rotation: what comes next goes to the file that has the name now. */
  reopen(): void {
    if (this.#closed || this.#path === '-') return;
    this.#reopen = true;
    if (!this.#writing) this.#swap();
    this.#go();
  }

  /** Writes what waits, if that takes no longer than a second. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#toldAt = -Infinity;
    this.#tellLost();
    this.#closed = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, closeMillis);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#go();
      if (!this.#writing && (this.#timer === null || this.#fd === null)) this.#onIdle();
    });
    this.#stopTimer();
    this.dropped += this.#lines.length + this.#linesLeft();
    this.#lines = [];
    this.#forget();
  }

  #linesLeft(): number {
    let count = 0;
    for (let at = this.#at; at < this.#block.length; at++) if (this.#block[at] === newline) count++;
    return count;
  }

  #open(): boolean {
    try {
      this.#fd = openForAppending(this.#path);
      if (endsInsideLine(this.#path, this.#fd)) {
        this.#block = Buffer.concat([Buffer.of(newline), this.#block.subarray(this.#at)]);
        this.#at = 0;
      }
      return true;
    } catch (error) {
      this.#fail(error as NodeJS.ErrnoException);
      return false;
    }
  }

  /** Leaves the old file at the end of a line and opens the new one. */
  #swap(): void {
    this.#reopen = false;
    this.#cutBlock();
    this.#forget();
    this.#stopTimer();
    if (!this.#open()) this.#retry(this.#options.retryMillis ?? retryMillisDefault);
  }

  /** The block without a line that the old file holds half of. */
  #cutBlock(): void {
    if (this.#at === 0 || this.#block[this.#at - 1] === newline) return;
    const end = this.#block.indexOf(newline, this.#at);
    this.#at = end < 0 ? this.#block.length : end + 1;
    this.dropped++;
  }

  #forget(): void {
    if (this.#fd !== null && this.#fd > 2 && !this.#writing) close(this.#fd, () => undefined);
    this.#fd = null;
  }

  #go(): void {
    if (this.#writing || this.#timer !== null || this.#fd === null) return;
    if (this.#at >= this.#block.length) {
      if (this.#lines.length === 0) {
        this.#onIdle?.();
        return;
      }
      this.#block = Buffer.from(this.#lines.join(''));
      this.#at = 0;
      this.#lines = [];
      this.#waiting = 0;
    }
    this.#writing = true;
    write(this.#fd, this.#block, this.#at, this.#block.length - this.#at, null, (error, written) => {
      this.#writing = false;
      this.#wrote(error, written);
    });
  }

  #wrote(error: NodeJS.ErrnoException | null, written: number): void {
    if (error === null) {
      this.#at += written;
      this.#healed();
    } else if (error.code === 'EAGAIN') {
      this.#retry(againMillis);
    } else {
      this.#fail(error);
      if (error.code === 'EPIPE' && this.#path === '-') this.#giveUp();
      else this.#retry(this.#options.retryMillis ?? retryMillisDefault);
    }
    if (this.#reopen) this.#swap();
    this.#go();
  }

  #giveUp(): void {
    this.#readerGone = true;
    this.dropped += this.#lines.length + this.#linesLeft();
    this.#lines = [];
    this.#at = this.#block.length;
    this.#waiting = 0;
    this.#onIdle?.();
  }

  #retry(millis: number): void {
    if (this.#timer !== null || this.#readerGone || (this.#closed && this.#fd === null)) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#fd === null) {
        if (this.#open()) this.#healed();
        else this.#retry(millis);
      }
      this.#go();
    }, millis);
    // What could not be written keeps nobody alive; `close` waits for what can be.
    this.#timer.unref();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#trouble !== null) return;
    const target = this.#path === '-' ? 'standard output' : this.#path;
    const hint = error.code === 'ELOOP' ? 'it is a symbolic link; name the file itself' : error.message;
    this.#trouble = { code: error.code ?? 'unknown', message: `${target}: cannot be written (${hint})` };
    this.#troubleSince = this.dropped;
    this.#options.onTrouble?.(this.#trouble);
  }

  #healed(): void {
    if (this.#trouble === null) return;
    this.#trouble = null;
    this.#options.onHealed?.(this.dropped - this.#troubleSince);
  }
}

/**
 * Not over a symbolic link: the daemon is root, and a link may point anywhere. Not blocking: a FIFO without a reader
 * and a stopped terminal must not hold the daemon. Standard output is opened anew for that, because its other users share the flag.
 */
function openForAppending(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
  if (path !== '-')
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0o640);
  if (!fstatSync(1).isFIFO() && !isatty(1)) return 1;
  try {
    return openSync('/proc/self/fd/1', O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY);
  } catch {
    return 1;
  }
}

/** True for a file whose last line was cut, such as by a power loss: the next one must not be joined to it. */
function endsInsideLine(path: string, fd: number): boolean {
  const found = fstatSync(fd);
  if (path === '-' || !found.isFile() || found.size === 0) return false;
  let reader = -1;
  try {
    reader = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const last = Buffer.alloc(1);
    return readSync(reader, last, 0, 1, found.size - 1) === 1 && last[0] !== newline;
  } catch {
    // A file that may be written and not read is as good as any.
    return false;
  } finally {
    if (reader >= 0) close(reader, () => undefined);
  }
}
