/**
 * How many worker threads suit a set of processors, and which processors this process may use. The mask is read once, at
 * the first question: later the main thread may have confined itself, and its own mask is what the kernel would tell.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { cpuListText, parseCpuList } from './cpu-list.js';
import { readTopology, type Processor, type Topology } from './topology.js';

/** A queue per worker, and rules that name them all. */
export const workersHighest = 256;

/**
 * Cores that count for the number of workers. A core with two SMT siblings is one: the rule is "2 x the cores", which
 * gives such a core a worker for each sibling, and more workers than processors only cost (two cores: 472 thousand
 * packets per second with two workers, 339 with four; ARCHITECTURE.md). The small cores of a hybrid processor count only
 * when there are no others.
 */
export function coreCount(processors: readonly Processor[]): number {
  return new Set(performanceOf(processors).map(({ core }) => core)).size;
}

/** The processors of the large cores; all of them when there are none. */
export function performanceOf(processors: readonly Processor[]): readonly Processor[] {
  const large = processors.filter(({ kind }) => kind === 'performance');
  return large.length === 0 ? processors : large;
}

/** 2 x the cores, 4 x on Arm, at least one and at most `workersHighest`. */
export function workersFor(cores: number, isArm: boolean): number {
  return Math.min(workersHighest, Math.max(1, cores * (isArm ? 4 : 2)));
}

export interface Machine {
  readonly topology: Pick<Topology, 'processors' | 'isArm'>;
  /** Processors that this process may use. */
  readonly permitted: ReadonlySet<number>;
  /** Processors' worth of time: may be less than `permitted` where the process is limited otherwise. */
  readonly parallelism: number;
}

let here: Machine | null = null;

export function thisMachine(): Machine {
  here ??= readMachine();
  return here;
}

function readMachine(): Machine {
  const isArm = process.arch === 'arm' || process.arch === 'arm64';
  const topology = readTopology('/sys', { isArm });
  const online = topology.processors.map(({ id }) => id);
  return {
    topology,
    permitted: new Set(permittedText() ?? online),
    parallelism: availableParallelism(),
  };
}

/** Of the main thread, which nobody has confined yet. */
function permittedText(): number[] | null {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    const list = parseCpuList(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '');
    return list === null || list.length === 0 ? null : list;
  } catch {
    return null;
  }
}

/** Cores that count, of these processors of a machine; null: of all that the process may use. */
export function availableCores(processors: readonly number[] | null, machine = thisMachine()): number {
  const { topology, permitted, parallelism } = machine;
  const wanted = new Set(processors ?? permitted);
  const usable = topology.processors.filter(({ id }) => wanted.has(id) && permitted.has(id));
  return usable.length === 0 ? parallelism : Math.min(coreCount(usable), parallelism);
}

/** What `workers: auto` means there. */
export function automaticWorkers(processors: readonly number[] | null, machine = thisMachine()): number {
  return workersFor(availableCores(processors, machine), machine.topology.isArm);
}

/** Why threads cannot be confined to these processors; null if they can. */
export function processorsProblem(processors: readonly number[], machine = thisMachine()): string | null {
  const online = machine.topology.processors.map(({ id }) => id);
  const missing = processors.filter((id) => !online.includes(id));
  if (missing.length > 0)
    return `no processor ${cpuListText(missing)} is online on this machine; there are ${cpuListText(online)}`;
  const forbidden = processors.filter((id) => !machine.permitted.has(id));
  if (forbidden.length === 0) return null;
  return `this process may not use processor ${cpuListText(forbidden)}, only ${cpuListText([...machine.permitted])} (CPUAffinity= of the service, taskset, or a cgroup)`;
}
