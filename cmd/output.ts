/**
 * Where a report goes: standard output or a file. Text is gathered into large writes, and the scan waits for a slow
 * reader between blocks, so memory stays bounded. A regular file is written beside its final name and put in place
 * when it is whole, so a failed run never leaves half a report over a good one. The end of `close` means that the
 * system has taken every byte; anything else is an error.
 */
import { randomBytes } from 'node:crypto';
import {
  accessSync,
  constants as fsConstants,
  createWriteStream,
  fchmodSync,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  type BigIntStats,
} from 'node:fs';
import { constants as osConstants } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { TextOutput } from '../lib/report/report.js';
import { exitIncomplete, UserError } from './errors.js';
import type { Input } from './inputs.js';

const gatherChars = 64 * 1024;
/** Links that are followed before a circle is assumed; Linux's own limit. */
const linksMax = 40;
/** After this a signal that we sent to ourselves has had no effect. */
const signalMillis = 200;

/** Of the usual reasons; the system's own words name the unfinished file. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such folder',
  ENOTDIR: 'there is no such folder',
  EACCES: 'permission denied',
  EROFS: 'its file system is read-only',
  ENOSPC: 'its disk is full',
};

/** A file that is being written beside its final name. */
interface PartialFile {
  readonly partial: string;
  readonly final: string;
}

export class ReportOutput implements TextOutput {
  readonly #stream: Writable;
  readonly #file: PartialFile | null;
  #text = '';
  #error: Error | null = null;
  /** The reader went away (`| head`): nothing more needs to be written. */
  readerGone = false;

  private constructor(stream: Writable, file: PartialFile | null) {
    this.#stream = stream;
    this.#file = file;
    stream.on('error', (error) => {
      this.#note(error);
    });
    if (file !== null) process.once('exit', this.#removePartial);
  }

  /**
   * The report goes to standard output.
   * @param statusIsAnswer the exit status says what the caller wants to know, so the report may go nowhere
   * @throws UserError 'output-failed' when standard output was closed.
   */
  static standard(statusIsAnswer = false): ReportOutput {
    if (!statusIsAnswer && isClosed()) {
      throw new UserError(
        'output-failed',
        'standard output is closed, so the report would be lost; give -o FILE, or --exit-code if the status is enough',
        exitIncomplete,
      );
    }
    const found = fstatSync(1);
    // Node's own stream for files takes a short write, as on a disk that becomes full, for a whole one.
    const asFile = found.isFile() || (found.isCharacterDevice() && !process.stdout.isTTY);
    return new ReportOutput(
      asFile ? createWriteStream('', { fd: 1, autoClose: false }) : process.stdout,
      null,
    );
  }

  /** Watches what others print to standard output; `close` tells whether it arrived. */
  static watching(): ReportOutput {
    return new ReportOutput(process.stdout, null);
  }

  /** @throws UserError 'output-unwritable' when the file cannot be opened. */
  static async file(path: string): Promise<ReportOutput> {
    try {
      const existing = statSync(path, { throwIfNoEntry: false });
      if (existing !== undefined) accessSync(path, fsConstants.W_OK);
      if (existing?.isFile() === false) return new ReportOutput(await opened(path), null);
      const final = existing === undefined ? newTarget(path) : realpathSync.native(path);
      // The name has nothing of the target's, which may be as long as names can be.
      const name = `.swarmgate-${randomBytes(8).toString('hex')}.partial`;
      const partial = join(dirname(final), name);
      const fd = openSync(partial, 'wx', existing === undefined ? 0o666 : 0o600);
      if (existing !== undefined) fchmodSync(fd, existing.mode & 0o7777);
      return new ReportOutput(createWriteStream('', { fd }), { partial, final });
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException;
      const why = reasons[code] ?? message;
      throw new UserError(
        'output-unwritable',
        `${path}: cannot be written (${why}); choose another -o`,
        exitIncomplete,
      );
    }
  }

  write(text: string): void {
    this.#text += text;
    if (this.#text.length >= gatherChars) this.#flush();
  }

  #flush(): void {
    const text = this.#text;
    this.#text = '';
    if (text !== '' && !this.readerGone && this.#error === null) this.#stream.write(text);
  }

  /** Waits until the reader has taken what was written. @throws UserError 'output-failed' e.g. on a full disk. */
  async drain(): Promise<void> {
    this.#check();
    if (!this.#stream.writableNeedDrain || this.readerGone) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done).off('error', done).off('close', done);
        resolve();
      };
      this.#stream.on('drain', done).on('error', done).on('close', done);
    });
    this.#check();
  }

  /** Writes the rest and puts the file in place. @throws UserError 'output-failed' when not every byte arrived. */
  async close(): Promise<void> {
    this.#flush();
    await this.drain();
    await (this.#stream === process.stdout ? this.#taken() : this.#ended());
    this.#check();
    this.#putInPlace();
  }

  /** Throws away what was written so far; the final name is left as it was. */
  abandon(): void {
    this.#text = '';
    if (this.#stream !== process.stdout) this.#stream.destroy();
    this.#removePartial();
  }

  /** Standard output is not ended by us; the error of its last write arrives only after the write has returned. */
  async #taken(): Promise<void> {
    if (this.#stream.writableLength > 0 && !this.readerGone) {
      await new Promise<void>((resolve) => {
        this.#stream.write('', () => {
          resolve();
        });
      });
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  async #ended(): Promise<void> {
    this.#stream.end();
    try {
      await finished(this.#stream);
    } catch (error) {
      this.#note(error as Error);
    }
  }

  #putInPlace(): void {
    if (this.#file === null) return;
    const { partial, final } = this.#file;
    process.off('exit', this.#removePartial);
    try {
      renameSync(partial, final);
    } catch (error) {
      throw new UserError(
        'output-failed',
        `the report is whole in ${partial}, but cannot be put in place: ${(error as Error).message}`,
        exitIncomplete,
      );
    }
  }

  readonly #removePartial = (): void => {
    if (this.#file !== null) rmSync(this.#file.partial, { force: true });
  };

  #note(error: NodeJS.ErrnoException): void {
    if (error.code === 'EPIPE') this.readerGone = true;
    else this.#error ??= error;
  }

  #check(): void {
    if (this.#error === null) return;
    const why = this.#error.message;
    throw new UserError('output-failed', `the report could not be written: ${why}`, exitIncomplete);
  }
}

/** Opens a pipe or a device; on a named pipe this waits for its reader. */
async function opened(path: string): Promise<Writable> {
  const stream = createWriteStream(path);
  await new Promise<void>((resolve, reject) => {
    stream.once('error', reject).once('open', () => {
      stream.off('error', reject);
      resolve();
    });
  });
  return stream;
}

/** The path of a file that does not exist yet: where a link of that name leads, else the name itself. */
function newTarget(path: string): string {
  if (path.endsWith('/')) throw new Error('there is no such folder');
  let at = path;
  for (let links = 0; links < linksMax; links++) {
    const folder = realpathSync.native(dirname(at));
    if (lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() !== true)
      return join(folder, basename(at));
    const target = readlinkSync(at);
    at = target.startsWith('/') ? target : `${folder}/${target}`;
  }
  throw new Error('its links lead in a circle');
}

/**
 * True when the program was started without a standard output (`>&-`). Node then opens /dev/null in its place, for
 * reading and writing, which is what tells it from a shell's `> /dev/null`. Callers that pass /dev/null in that way
 * (subprocess.DEVNULL of Python) look the same; they are told how to go on.
 */
function isClosed(): boolean {
  try {
    if (readlinkSync('/proc/self/fd/1') !== '/dev/null') return false;
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/1', 'latin1'))?.[1] ?? '0';
    return (Number.parseInt(flags, 8) & 3) === fsConstants.O_RDWR;
  } catch {
    // No /proc: not Linux, or a sandbox. Then it cannot be told.
    return false;
  }
}

/** The input, if any, that is the same file as `path`: a report must not overwrite what it reports on. */
export function inputAt(path: string, inputs: readonly Input[]): Input | null {
  const target = identity(() => statSync(path, { bigint: true }));
  if (target === null) return null;
  const isTarget = ({ path: name }: Input): boolean =>
    identity(() => (name === '-' ? fstatSync(0, { bigint: true }) : statSync(name, { bigint: true }))) ===
    target;
  return inputs.find(isTarget) ?? null;
}

/** Device and inode; null for what cannot be looked at, and for devices, which may well be read and written at once. */
function identity(look: () => BigIntStats): string | null {
  try {
    const found = look();
    return found.isCharacterDevice() ? null : `${found.dev} ${found.ino}`;
  } catch {
    return null;
  }
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `cleanUp` when a signal ends the program, which then ends by that same signal, so that a calling shell or
 * supervisor sees what it expects. Returns what takes this back.
 * @param endInput what the first Ctrl-C does instead; the second one ends the program
 */
export function onInterrupt(cleanUp: () => void, endInput: (() => void) | null = null): () => void {
  let first = endInput;
  const undo = (): void => {
    for (const signal of signals) process.off(signal, stop);
  };
  const stop = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGINT' && first !== null) {
      first();
      first = null;
      return;
    }
    undo();
    cleanUp();
    process.kill(process.pid, signal);
    // The first process of a container is not ended by signals without a handler.
    setTimeout(() => process.exit(128 + osConstants.signals[signal]), signalMillis);
  };
  for (const signal of signals) process.on(signal, stop);
  return undo;
}
