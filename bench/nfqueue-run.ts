/** The course of the queue benchmark: all consumers take turns in one network, which is gone at the end. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { nativeProblem } from '../lib/native/index.js';
import { thisMachine } from './machine.js';
import {
  consumers,
  type Consumer,
  inBatches,
  names,
  severalWorkers,
  swarmgate,
  workerCounts,
} from './nfqueue-consumers.js';
import { measure, measureMemory, measureTcp } from './nfqueue-loads.js';
import { BenchNetwork, buildPrograms } from './nfqueue-network.js';
import { note } from './nfqueue-note.js';
import type { Figures, MemoryFigures, QueueResults, Rounds } from './nfqueue-report.js';
import { isInstalled } from './program.js';

export interface QueuePlan {
  readonly repeat: number;
  /** Length of each load. */
  readonly seconds: number;
  /** Consumers by name; null: all. */
  readonly only: readonly string[] | null;
}

/** What stands in the way of the queue benchmark here, or null. */
export function queueProblem(): string | null {
  if (process.getuid?.() !== 0) return 'needs root';
  const missing = ['cc', 'ip', 'iptables', 'ethtool', 'iperf3'].filter((tool) => !isInstalled(tool));
  if (missing.length > 0) return `${missing.join(', ')} not installed`;
  return nativeProblem();
}

async function attempt<Result>(what: string, work: () => Promise<Result>): Promise<Result | null> {
  try {
    const result = await work();
    note(`${what}: ${JSON.stringify(result, (_, value: unknown) => shortened(value))}`);
    return result;
  } catch (error) {
    note(`${what} left out: ${String(error)}`);
    return null;
  }
}

function shortened(value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value;
}

/** What an instance keeps while it runs: `INSTANCE.NAMESPACE.pid`. */
export function runFiles(instance: string): string[] {
  const folder = join('/run', 'swarmgate');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${instance}.`))
    .map((name) => join(folder, name));
}

/** `swarmgate run`: with one worker, with several, and as it is by default, for memory. */
interface Inline {
  readonly single: Consumer;
  readonly several: readonly Consumer[];
  readonly byDefault: Consumer;
}

/** The namespaces, programs and files of a run are gone when it ends, however it ends. */
async function withNetwork<Result>(
  work: (network: BenchNetwork, inline: Inline) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-queue-'));
  const socket = join(folder, 'control.sock');
  const instance = `bench${process.pid}`;
  let network: BenchNetwork | null = null;
  const clean = (): void => {
    network?.remove();
    // A filter that had to be killed leaves its lock.
    for (const path of runFiles(instance)) rmSync(path, { force: true });
    rmSync(folder, { recursive: true, force: true });
  };
  const interrupted = (): void => {
    clean();
    process.exit(130);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    network = new BenchNetwork(socket);
    return await work(network, {
      single: swarmgate(instance, socket, '--workers', '1'),
      several: workerCounts(cpus().length).map((workers) => severalWorkers(instance, socket, workers)),
      byDefault: swarmgate(instance, socket),
    });
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    clean();
  }
}

/** All consumers under all loads, in turns. */
export async function benchQueue({ repeat, seconds, only }: QueuePlan): Promise<QueueResults> {
  const machine = thisMachine();
  buildPrograms();
  return withNetwork(async (network, { single, several, byDefault }) => {
    const list = consumers(single, several).filter(({ name }) => only === null || only.includes(name));
    const rounds = new Map<string, (Figures | null)[]>(list.map(({ name }) => [name, []]));
    const turns = async (count: number, load: typeof measure, wanted: (consumer: Consumer) => boolean) => {
      for (let round = 1; round <= count; round++) {
        for (const consumer of list.filter(wanted)) {
          const what = `${consumer.name}, round ${round}`;
          rounds.get(consumer.name)!.push(await attempt(what, () => load(network, consumer, seconds)));
        }
      }
    };
    await turns(repeat, measure, ({ loads }) => loads.some((load) => load !== 'tcp'));
    // Transfers vary most: more of them, in rounds of their own.
    const tcpRounds = repeat === 1 ? 1 : repeat + 2;
    for (const { name } of list) {
      const all = rounds.get(name)!;
      while (all.length < repeat) all.push(null);
    }
    await turns(tcpRounds, measureTcp, ({ loads }) => loads.includes('tcp'));
    let memory: MemoryFigures | null = null;
    if (only === null || only.includes(names.swarmgate))
      memory = await attempt('memory', () => measureMemory(network, byDefault));
    return { machine, rounds, memory, congestionControl: network.congestionControl };
  });
}

/** Our addon with batches of each of these sizes, in turns; by size. */
export async function benchQueueBatches(
  sizes: readonly number[],
  repeat: number,
  seconds: number,
): Promise<Rounds> {
  buildPrograms();
  return withNetwork(async (network) => {
    const list = sizes.map(inBatches);
    const rounds = new Map<string, (Figures | null)[]>(list.map(({ name }) => [name, []]));
    for (let round = 1; round <= repeat; round++) {
      for (const consumer of list) {
        const what = `batches of ${consumer.name}, round ${round}`;
        rounds.get(consumer.name)!.push(await attempt(what, () => measure(network, consumer, seconds)));
      }
    }
    return rounds;
  });
}
