/**
 * Where a report goes: standard output or a file. Text is gathered into large writes, and the scan waits for a slow
 * reader between blocks, so memory stays bounded. A regular file is written beside its final name and put in place
 * when it is whole, so a failed run never leaves half a report over a good one.
 */
import { createWriteStream, renameSync, rmSync, statSync } from 'node:fs';
import type { Writable } from 'node:stream';
import type { TextOutput } from '../lib/report/report.js';
import { UserError } from './errors.js';

const gatherChars = 64 * 1024;

export class ReportOutput implements TextOutput {
  readonly #stream: Writable;
  readonly #final: string | null;
  readonly #partial: string | null;
  #text = '';
  #error: Error | null = null;
  /** The reader went away (`| head`): nothing more needs to be written. */
  readerGone = false;

  private constructor(stream: Writable, final: string | null, partial: string | null) {
    this.#stream = stream;
    this.#final = final;
    this.#partial = partial;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') this.readerGone = true;
      else this.#error ??= error;
    });
  }

  static standard(): ReportOutput {
    return new ReportOutput(process.stdout, null, null);
  }

  /** @throws UserError 'output-unwritable' when the file cannot be opened. */
  static async file(path: string): Promise<ReportOutput> {
    const existing = statSync(path, { throwIfNoEntry: false });
    const direct = existing !== undefined && !existing.isFile();
    const target = direct ? path : `${path}.partial`;
    const stream = createWriteStream(target);
    await new Promise<void>((resolve, reject) => {
      stream.once('open', () => {
        resolve();
      });
      stream.once('error', (error) => {
        reject(
          new UserError(
            'output-unwritable',
            `${path}: cannot be written (${error.message}); choose another -o`,
            1,
          ),
        );
      });
    });
    return new ReportOutput(stream, direct ? null : path, direct ? null : target);
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

  /** Writes the rest and puts the file in place. */
  async close(): Promise<void> {
    this.#flush();
    await this.drain();
    if (this.#stream === process.stdout) {
      if (!this.readerGone)
        await new Promise<void>((resolve) =>
          this.#stream.write('', () => {
            resolve();
          }),
        );
      return;
    }
    await new Promise<void>((resolve) => {
      this.#stream.end(() => {
        resolve();
      });
      this.#stream.once('error', () => {
        resolve();
      });
    });
    this.#check();
    if (this.#partial !== null && this.#final !== null) renameSync(this.#partial, this.#final);
  }

  /** Throws away what was written so far; the final name is left as it was. */
  abandon(): void {
    if (this.#stream !== process.stdout) this.#stream.destroy();
    if (this.#partial !== null) rmSync(this.#partial, { force: true });
  }

  #check(): void {
    if (this.#error === null) return;
    throw new UserError('output-failed', `the report could not be written: ${this.#error.message}`, 1);
  }
}
