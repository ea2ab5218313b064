/**
 * What `swarmgate monitor` keeps up with: small packets at growing rates over a veth pair, watched by our ring, by cap and
 * by tcpdump in turns. Every packet belongs to a short flow, so all of them are inspected. Of each program is counted what
 * it took, what the kernel dropped for it, and what was skipped because the workers were behind.
 * usage: node dist/bench/monitor.js [--quick]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ask } from '../lib/control/client.js';
import { hasProgram } from '../lib/firewall/testing.js';
import { Namespaces } from '../lib/io/nfqueue-testing.js';
import { capProblem, ringProblem } from '../lib/io/open-live.js';
import type { StatusReport } from '../lib/report/status.js';
import { program } from '../lib/testing.js';
import { builtPath } from './nfqueue-consumers.js';
import { buildPrograms } from './nfqueue-network.js';
import { runFiles } from './nfqueue-run.js';
import { median } from './stopwatch.js';

export type Watcher = 'ring' | 'cap' | 'tcpdump';

/** One program at one rate. */
export interface MonitorFigures {
  readonly watcher: Watcher;
  /** Packets per second that were asked for, and that arrived at the interface. */
  readonly rate: number;
  readonly arrived: number;
  /** Percent of what arrived: taken, dropped by the kernel, skipped for inspection. Null where nobody tells. */
  readonly takenPercent: number;
  readonly droppedPercent: number | null;
  readonly skippedPercent: number | null;
  /** Processor time of the program and its children, microseconds per packet that arrived. */
  readonly cpuMicros: number;
}

export interface MonitorBenchOptions {
  readonly rates: readonly number[];
  readonly watchers: readonly Watcher[];
  readonly seconds: number;
  /** Each program at each rate so often; the median is told. */
  readonly repeat: number;
  readonly note?: (text: string) => void;
}

export const monitorRates = [50_000, 100_000, 150_000, 200_000, 250_000, 300_000, 400_000, 500_000];
export const targetRate = 300_000;
/** Less than this is lost by chance: a packet that was under way when the counts were read. */
const losslessPercent = 99.99;

const payloadBytes = 20;
/** Packets of one flow, in one send: no more than a flow is looked at. */
const burst = 32;
/** tcpdump lets the kernel gather packets for up to a second, and forgets those when it is ended. */
const settleMillis = 1500;
const patienceMillis = 20_000;
const ticksPerSecond = 100;
const snapBytes = 2048;
const bufferKiB = 16 * 1024;

/** Why it cannot run here, or null. */
export function monitorProblem(): string | null {
  if (process.getuid?.() !== 0) return 'needs root: it makes network namespaces';
  for (const program of ['iptables', 'ethtool', 'tcpdump', 'cc'])
    if (!hasProgram(program)) return `${program} is not installed`;
  return ringProblem();
}

/** What a watcher counted since it was started. */
interface Counts {
  readonly taken: number;
  readonly dropped: number | null;
  readonly skipped: number | null;
}

class Wire {
  readonly #net = new Namespaces();
  readonly #folder = mkdtempSync(join(tmpdir(), 'swarmgate-bench-'));
  #child: ChildProcess | null = null;
  #sender: ChildProcess | null = null;
  readonly #instance = `bench${process.pid}`;
  #said = '';

  make(): void {
    this.#net.add('left', 'right');
    const right = this.#net.name('right');
    this.#net.run('left', `ip link add wire type veth peer name wire netns ${right}`);
    this.#net.run('right', 'ip link set wire up; iptables -t raw -A PREROUTING -j DROP');
    const address = this.#net.run('right', 'cat /sys/class/net/wire/address').trim();
    this.#net.run(
      'left',
      `ip addr add 10.9.1.1/24 dev wire; ip link set wire up
      ip neigh add 10.9.1.2 lladdr ${address} dev wire; ip route add 10.64.0.0/22 via 10.9.1.2
      ethtool -K wire tx-udp-segmentation off > /dev/null`,
    );
  }

  remove(): void {
    this.#child?.kill('SIGKILL');
    this.#sender?.kill('SIGKILL');
    this.#net.remove();
    // A monitor that had to be killed leaves its lock.
    for (const path of runFiles(this.#instance)) rmSync(path, { force: true });
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #socket(): string {
    return join(this.#folder, 'socket');
  }

  /** Before what other work there is on the machine, sender and watcher alike. */
  #inside(side: string): string[] {
    return ['netns', 'exec', this.#net.name(side), 'nice', '-n', '-10'];
  }

  async start(watcher: Watcher): Promise<void> {
    const argv =
      watcher === 'tcpdump'
        ? ['tcpdump', '-i', 'wire', '-n', '-s', `${snapBytes}`, '-B', `${bufferKiB}`, '-w', '/dev/null']
        : [
            ...[process.execPath, program, 'monitor', '-i', 'wire', '--source', watcher, '--no-live'],
            ...['--workers', '2', '--socket', this.#socket, '--instance', this.#instance],
          ];
    this.#said = '';
    const child = spawn('ip', [...this.#inside('right'), ...argv], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    const ready = watcher === 'tcpdump' ? 'listening on' : 'info: ready';
    const deadline = Date.now() + patienceMillis;
    while (!this.#said.includes(ready)) {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error(`${watcher}: ${this.#said}`);
      await sleep(50);
    }
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child!;
    const gone = once(child, 'close');
    child.kill(signal);
    await gone;
    this.#child = null;
  }

  /** Sends for so long and waits until nothing comes any more; packets that arrived, in how many seconds. */
  async flood(rate: number, seconds: number): Promise<{ arrived: number; took: number }> {
    const before = this.#received();
    const words = ['10.64.0.0', rate, seconds, payloadBytes, burst, 0].map(String);
    const argv = [...this.#inside('left'), builtPath('generate'), ...words];
    const sender = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#sender = sender;
    let printed = '';
    sender.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
    await once(sender, 'close');
    this.#sender = null;
    await sleep(settleMillis);
    return { arrived: this.#received() - before, took: Number(printed.split(' ')[1]) };
  }

  #received(): number {
    return Number(this.#net.run('right', 'cat /sys/class/net/wire/statistics/rx_packets'));
  }

  /** Of a monitor while it runs; of tcpdump once it has ended. */
  async counts(watcher: Watcher): Promise<Counts> {
    if (watcher === 'tcpdump') {
      const number = (text: string): number =>
        Number(new RegExp(`^(\\d+) packets? ${text}`, 'm').exec(this.#said)?.[1] ?? Number.NaN);
      return { taken: number('captured'), dropped: number('dropped by kernel'), skipped: null };
    }
    let last = -1;
    for (;;) {
      const { packets, capture } = (await ask(this.#socket, 'status')) as StatusReport;
      const [watched] = capture!.interfaces;
      if (packets === last)
        return { taken: packets, dropped: watched!.kernel_dropped, skipped: watched!.skipped };
      last = packets;
      await sleep(200);
    }
  }

  /** Seconds of processor time of the program and of those that it started. */
  cpuSeconds(): number {
    const pid = this.#child!.pid!;
    const children = textOf(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
    return [pid, ...children].reduce((sum, each) => sum + secondsOf(each), 0);
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function secondsOf(pid: number): number {
  const stat = textOf(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

async function measured(
  wire: Wire,
  watcher: Watcher,
  rate: number,
  seconds: number,
): Promise<MonitorFigures> {
  await wire.start(watcher);
  const before = wire.cpuSeconds();
  const { arrived, took } = await wire.flood(rate, seconds);
  const cpu = wire.cpuSeconds() - before;
  let counts: Counts;
  if (watcher === 'tcpdump') {
    await wire.stop('SIGINT');
    counts = await wire.counts(watcher);
  } else {
    counts = await wire.counts(watcher);
    await wire.stop('SIGTERM');
  }
  const percent = (count: number | null): number | null => (count === null ? null : (100 * count) / arrived);
  return {
    watcher,
    rate,
    arrived: arrived / took,
    // A router advertisement or two come beside the load.
    takenPercent: Math.min(100, percent(counts.taken)!),
    droppedPercent: percent(counts.dropped),
    skippedPercent: percent(counts.skipped),
    cpuMicros: (cpu * 1e6) / arrived,
  };
}

function middle(runs: readonly MonitorFigures[]): MonitorFigures {
  const of = (value: (figures: MonitorFigures) => number): number => median(runs.map(value));
  const orNull = (value: (figures: MonitorFigures) => number | null): number | null =>
    value(runs[0]!) === null ? null : of((figures) => value(figures)!);
  return {
    watcher: runs[0]!.watcher,
    rate: runs[0]!.rate,
    arrived: of(({ arrived }) => arrived),
    takenPercent: of(({ takenPercent }) => takenPercent),
    droppedPercent: orNull(({ droppedPercent }) => droppedPercent),
    skippedPercent: orNull(({ skippedPercent }) => skippedPercent),
    cpuMicros: of(({ cpuMicros }) => cpuMicros),
  };
}

/** The namespaces, programs and files of a run are gone when it ends, however it ends. */
async function withWire<Result>(work: (wire: Wire) => Promise<Result>): Promise<Result> {
  const wire = new Wire();
  const interrupted = (): void => {
    wire.remove();
    process.exit(130);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    wire.make();
    return await work(wire);
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    wire.remove();
  }
}

/** Runs all, the programs in turns at each rate. Needs root. */
export async function benchMonitor(options: MonitorBenchOptions): Promise<MonitorFigures[]> {
  const { rates, watchers, seconds, repeat, note } = options;
  buildPrograms();
  return withWire(async (wire) => {
    const results: MonitorFigures[] = [];
    for (const rate of rates) {
      const runs = new Map<Watcher, MonitorFigures[]>(watchers.map((watcher) => [watcher, []]));
      for (let round = 0; round < repeat; round++)
        for (const watcher of watchers) {
          const figures = await measured(wire, watcher, rate, seconds);
          runs.get(watcher)!.push(figures);
          note?.(lineOf(figures));
        }
      results.push(...[...runs.values()].map(middle));
    }
    return results;
  });
}

/** The highest rate of those measured that a program took whole; 0 if it took none whole. */
export function losslessRate(results: readonly MonitorFigures[], watcher: Watcher): number {
  const whole = results.filter((each) => each.watcher === watcher && each.takenPercent >= losslessPercent);
  return Math.max(0, ...whole.map(({ arrived }) => arrived));
}

function lineOf({ watcher, rate, arrived, ...figures }: MonitorFigures): string {
  const text = (value: number | null): string => (value === null ? '-' : value.toFixed(2)).padStart(8);
  const { takenPercent, droppedPercent, skippedPercent, cpuMicros } = figures;
  const parts = [takenPercent, droppedPercent, skippedPercent, cpuMicros].map(text).join('');
  return `${watcher.padEnd(8)}${String(rate).padStart(9)}${arrived.toFixed(0).padStart(9)}${parts}`;
}

export function monitorTable(results: readonly MonitorFigures[]): string {
  const head = 'watcher      asked  arrived  taken%   drop%   skip%  us/pkt';
  const rates = (['ring', 'cap', 'tcpdump'] as const)
    .filter((watcher) => results.some((each) => each.watcher === watcher))
    .map((watcher) => `${watcher}: all taken up to ${losslessRate(results, watcher).toFixed(0)} packets/s`);
  return [head, ...results.map(lineOf), ...rates].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problem = monitorProblem();
  if (problem !== null) throw new Error(problem);
  const quick = process.argv.includes('--quick');
  const results = await benchMonitor({
    rates: quick ? [100_000, targetRate] : monitorRates,
    watchers: capProblem() === null ? ['ring', 'cap', 'tcpdump'] : ['ring', 'tcpdump'],
    seconds: 3,
    repeat: quick ? 1 : 3,
    note: (text) => process.stderr.write(`${text}\n`),
  });
  process.stdout.write(`${monitorTable(results)}\n`);
}
