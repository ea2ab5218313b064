/** Runs parts of the benchmarks in processes of their own, one after the other. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context } from './context.js';
import { leftOut, type Outcome, type PartName, type PartResult } from './result.js';

/** No part takes half as long; a part that hangs shall not take the others with it. */
const patienceMillis = 15 * 60_000;
/** From being asked to end to being killed: parts remove their namespaces first. */
const killMillis = 15_000;
const program = fileURLToPath(new URL('part.js', import.meta.url));
/** What times functions in its own process is run from the bundle, as the program is. */
const timed: readonly PartName[] = ['detectors', 'analysis', 'decode', 'flow', 'engine'];
const timedProgram = fileURLToPath(new URL('program/timed-part.js', import.meta.url));

function programOf(part: PartName): string {
  return timed.includes(part) && existsSync(timedProgram) ? timedProgram : program;
}

export class PartProcess {
  #child: ChildProcess | null = null;
  #interrupted = false;
  readonly #folder = mkdtempSync(join(tmpdir(), 'swarmgate-bench-'));

  constructor() {
    process.on('exit', () => {
      rmSync(this.#folder, { recursive: true, force: true });
    });
    const interrupt = (): void => {
      this.#interrupted = true;
      if (this.#child === null) process.exit(130);
      this.#end(this.#child);
    };
    process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  }

  /** The part's result; whatever goes wrong is in it as its problem. */
  async run(part: PartName, context: Context): Promise<PartResult> {
    const begin = performance.now();
    const output = join(this.#folder, `${part}.json`);
    const problem = await this.#finish(part, JSON.stringify(context), output);
    if (this.#interrupted) process.exit(130);
    const seconds = (performance.now() - begin) / 1000;
    if (problem !== null) return leftOut(part, problem, seconds);
    return { part, seconds, problem, ...(JSON.parse(readFileSync(output, 'utf8')) as Outcome) };
  }

  /** Why it did not end well, or null. */
  async #finish(part: PartName, context: string, output: string): Promise<string | null> {
    const child = spawn(process.execPath, ['--expose-gc', programOf(part), part, context, output], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      process.stderr.write(text);
      said = `${said}${text}`.slice(-2000);
    });
    const late = AbortSignal.timeout(patienceMillis);
    const stop = (): void => {
      this.#end(child);
    };
    late.addEventListener('abort', stop);
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      child.once('close', (...ending) => {
        resolve(ending);
      }),
    );
    late.removeEventListener('abort', stop);
    this.#child = null;
    if (late.aborted) return `was stopped after ${patienceMillis / 60_000} minutes`;
    if (code === 0) return null;
    const error = said.split('\n').find((line) => /^\w*Error\b/.test(line));
    return `failed: ${error ?? signal ?? `status ${code}`}`;
  }

  #end(child: ChildProcess): void {
    child.kill('SIGTERM');
    setTimeout(() => child.kill('SIGKILL'), killMillis).unref();
  }
}
