/**
 * Runs whole programs and measures them from outside: wall time by our clock, processor time and peak memory by GNU
 * time where it is installed, otherwise read from /proc while the program runs (then the last 20 ms are missing).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './stopwatch.js';

export interface Program {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

export interface Usage {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

export interface Measured extends Usage {
  readonly name: string;
  /** Fastest and slowest wall time, seconds: how much the machine was disturbed. */
  readonly fastestSeconds: number;
  readonly slowestSeconds: number;
  readonly runs: number;
  /** What went wrong, or null. The figures are those of the runs that went well. */
  readonly failure: string | null;
}

const gnuTime = spawnSync('/usr/bin/time', ['--version']).error === undefined ? '/usr/bin/time' : null;
const pollMillis = 20;
const ticksPerSecond = 100;

export function isInstalled(command: string): boolean {
  return spawnSync('which', [command]).status === 0;
}

/** First line that names the version, or null. */
export function versionOf(command: string, argument = '--version'): string | null {
  const { error, stdout, stderr } = spawnSync(command, [argument], { encoding: 'utf8' });
  if (error !== undefined) return null;
  const line = `${stdout}\n${stderr}`.split('\n').find((text) => /\d+\.\d+/.test(text));
  return line?.trim().replace('Welcome to ', '').slice(0, 60) ?? null;
}

/** Runs all programs `repeat` times, taking turns, each round beginning with another one; medians. */
export async function measureAll(
  programs: readonly Program[],
  repeat: number,
  note: (text: string) => void,
): Promise<Measured[]> {
  const usages = programs.map((): Usage[] => []);
  const failures = programs.map((): string | null => null);
  for (let round = 0; round < repeat; round++) {
    for (let turn = 0; turn < programs.length; turn++) {
      const index = (turn + round) % programs.length;
      const program = programs[index]!;
      note(`round ${round + 1} of ${repeat}: ${program.name}`);
      const result = await measure(program);
      if (typeof result === 'string') failures[index] = result;
      else usages[index]!.push(result);
    }
  }
  return programs.map(({ name }, index) => {
    const runs = usages[index]!;
    const walls = runs.map(({ wallSeconds }) => wallSeconds);
    return {
      name,
      wallSeconds: median(walls),
      cpuSeconds: median(runs.map(({ cpuSeconds }) => cpuSeconds)),
      peakBytes: median(runs.map(({ peakBytes }) => peakBytes)),
      fastestSeconds: Math.min(...walls),
      slowestSeconds: Math.max(...walls),
      runs: runs.length,
      failure: failures[index]!,
    };
  });
}

/** Runs one program with its output thrown away; a sentence when it failed. */
async function measure({ command }: Program): Promise<Usage | string> {
  const report = join(tmpdir(), `swarmgate-bench-${process.pid}.time`);
  const [file, ...rest] =
    gnuTime === null ? command : ([gnuTime, '-f', '%U %S %M', '-o', report, ...command] as const);
  const nowhere = openSync('/dev/null', 'w');
  const begin = performance.now();
  // In a group of its own, so that what GNU time started can be ended with it.
  const child = spawn(file, rest, { stdio: ['ignore', nowhere, 'pipe'], detached: true });
  const end = (): void => {
    killGroup(child);
    rmSync(report, { force: true });
  };
  process.once('exit', end);
  let complaint = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    complaint = `${complaint}${chunk.toString()}`.slice(-500);
  });
  const polled = new Poll(child.pid ?? -1);
  const timer =
    gnuTime === null
      ? setInterval(() => {
          polled.look();
        }, pollMillis)
      : null;
  const status = await new Promise<string | null>((resolve) => {
    child.once('error', (error) => {
      resolve(error.message);
    });
    child.once('close', (code, signal) => {
      resolve(
        code === 0
          ? null
          : `ended with ${signal ?? `status ${code}`}: ${complaint.trim().split('\n').at(-1) ?? ''}`,
      );
    });
  });
  const wallSeconds = (performance.now() - begin) / 1000;
  process.off('exit', end);
  if (timer !== null) clearInterval(timer);
  closeSync(nowhere);
  if (status !== null) return status;
  return { wallSeconds, ...(gnuTime === null ? polled.usage() : gnuUsage(report)) };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

function gnuUsage(report: string): Omit<Usage, 'wallSeconds'> {
  const [user, system, peakKib] = readFileSync(report, 'utf8').trim().split(' ').map(Number);
  rmSync(report);
  return { cpuSeconds: user! + system!, peakBytes: peakKib! * 1024 };
}

/** Processor time and peak memory of a running process, as last seen. */
class Poll {
  readonly #pid: number;
  #cpuSeconds = 0;
  #peakBytes = 0;

  constructor(pid: number) {
    this.#pid = pid;
  }

  look(): void {
    try {
      // Fields 14 and 15 of stat (proc(5)); the second field is the name in parentheses and may hold blanks.
      const stat = readFileSync(`/proc/${this.#pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ');
      this.#cpuSeconds = (Number(stat[11]) + Number(stat[12])) / ticksPerSecond;
      const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'));
      if (peak !== null) this.#peakBytes = Number(peak[1]) * 1024;
    } catch {
      // It has just ended: what was seen before stands.
    }
  }

  usage(): Omit<Usage, 'wallSeconds'> {
    return { cpuSeconds: this.#cpuSeconds, peakBytes: this.#peakBytes };
  }
}
