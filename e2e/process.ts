/**
 * Programs that a test starts. Promise: whatever was started here is ended by its pid, and by nothing else; what it
 * printed is kept, so that a failed test can show it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const outputBytesMax = 4 * 1024 * 1024;
const tailLines = 15;

/** In an emulated machine (e2e/nft/run) everything takes longer; only the limits know of it. */
export const slowness = Number(process.env['SWARMGATE_SLOWNESS'] ?? '1');

const atTheEnd = new Set<() => void>();
let watching = false;

/**
 * Runs `task` when this process ends, by itself or by a signal (kill -9 excepted); it must not wait. Returns what takes
 * it back.
 */
export function atProcessEnd(task: () => void): () => void {
  atTheEnd.add(task);
  if (!watching) {
    watching = true;
    const runAll = (): void => {
      for (const each of atTheEnd) each();
    };
    process.once('exit', runAll);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        runAll();
        process.kill(process.pid, signal);
      });
    }
  }
  return () => atTheEnd.delete(task);
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** For messages; else the command's name. */
  readonly name?: string;
}

/** What every program gets: nothing of the caller's locale, proxies or language paths. */
function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    PATH: `/usr/sbin:/usr/bin:/sbin:/bin:${process.env['PATH'] ?? ''}`,
    HOME: process.env['HOME'] ?? '/',
    LC_ALL: 'C',
    TERM: 'dumb',
    ...extra,
  };
}

export class Running {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<Exit>;
  #exit: Exit | null = null;
  #stdout = '';
  #output = '';
  readonly #child: ChildProcess;

  /** Starts `argv` as the leader of a process group of its own, so that its children can be ended with it. */
  constructor(argv: readonly string[], options: StartOptions = {}) {
    const [command, ...words] = argv;
    if (command === undefined) throw new Error('nothing to start');
    this.name = options.name ?? basename(command);
    this.#child = spawn(command, words, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(options.env),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.pid = this.#child.pid ?? -1;
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      if (this.#stdout.length < outputBytesMax) this.#stdout += text;
      this.#keep(text);
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#keep(text);
    });
    this.exited = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        this.#exit ??= { code, signal };
        resolve(this.#exit);
      };
      this.#child.once('error', (error) => {
        this.#keep(`${error.message}\n`);
        end(127, null);
      });
      this.#child.once('close', end);
    });
  }

  #keep(text: string): void {
    this.#output = (this.#output + text).slice(-outputBytesMax);
  }

  /** Standard output alone. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Standard output and error as they came. */
  get output(): string {
    return this.#output;
  }

  get exit(): Exit | null {
    return this.#exit;
  }

  /** The end of the output under the program's name, for failure messages. */
  tail(): string {
    const lines = this.#output.trimEnd().split('\n').slice(-tailLines);
    const end = this.#exit === null ? 'running' : `exit ${this.#exit.signal ?? String(this.#exit.code)}`;
    return `--- ${this.name} (pid ${this.pid}, ${end})\n${lines.map((line) => `    ${line.slice(0, 300)}`).join('\n')}`;
  }

  /** Waits until the output holds `text`; an early end or a time-out is an error. */
  async outputs(text: string, seconds = 15): Promise<void> {
    await until(
      () => this.#output.includes(text) || this.#exit !== null,
      seconds,
      () => `"${text}" from\n${this.tail()}`,
    );
    if (!this.#output.includes(text)) throw new Error(`ended without saying "${text}"\n${this.tail()}`);
  }

  /** Waits for the end; when that does not come in time, the program is killed and it is an error. */
  async ends(seconds: number): Promise<Exit> {
    const end = await Promise.race([this.exited, sleep(seconds * slowness * 1000, null, { ref: false })]);
    if (end !== null) return end;
    await this.stop('SIGKILL');
    throw new Error(`not ended within ${seconds} s\n${this.tail()}`);
  }

  /** Waits for the end and for success. */
  async succeeds(seconds: number): Promise<string> {
    const { code } = await this.ends(seconds);
    if (code !== 0) throw new Error(`failed\n${this.tail()}`);
    return this.#stdout;
  }

  /** To this process only. */
  signal(signal: NodeJS.Signals): void {
    if (this.#exit === null && this.pid > 0) process.kill(this.pid, signal);
  }

  /** Ends it, in the orderly way first; its children too. */
  async stop(first: NodeJS.Signals = 'SIGTERM', seconds = 6): Promise<Exit> {
    for (const signal of [first, 'SIGKILL'] as const) {
      if (this.#exit !== null) break;
      this.killGroup(signal);
      await Promise.race([this.exited, sleep(seconds * slowness * 1000, null, { ref: false })]);
    }
    return await this.exited;
  }

  killGroup(signal: NodeJS.Signals): void {
    try {
      if (this.pid > 0) process.kill(-this.pid, signal);
    } catch {
      // It ended at this moment.
    }
  }
}

/** Polls until `condition` holds; a time-out is an error that says what was waited for. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  seconds: number,
  what: string | (() => string),
): Promise<void> {
  const end = Date.now() + seconds * slowness * 1000;
  while (!(await condition())) {
    if (Date.now() > end)
      throw new Error(`not within ${seconds} s: ${typeof what === 'string' ? what : what()}`);
    await sleep(50);
  }
}

/** Runs tasks with at most `width` at a time; the first error is thrown after all have ended. */
export async function limited<T>(width: number, tasks: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  const errors: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < tasks.length) {
      const index = next++;
      try {
        results[index] = await tasks[index]!();
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  if (errors.length > 0) throw errors[0] instanceof Error ? errors[0] : new Error(String(errors[0]));
  return results;
}
