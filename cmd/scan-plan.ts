/** How many threads a scan uses: `--workers`, and what `auto` makes of the files, the machine and its memory. */
import { availableParallelism, totalmem } from 'node:os';
import { UserError } from './errors.js';
import type { Input } from './inputs.js';

/** `auto`, or a number of threads. */
export type Workers = 'auto' | number;

export const workersMax = 64;

/** @throws UserError 'bad-argument' */
export function readWorkers(text: string): Workers {
  if (text === 'auto') return text;
  const workers = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (workers >= 1 && workers <= workersMax) return workers;
  throw new UserError('bad-argument', `--workers: auto, or a whole number from 1 to ${workersMax}`);
}

export interface Machine {
  readonly cores: number;
  readonly memoryBytes: number;
}

/** The cores and the memory that this process may use. */
export function thisMachine(): Machine {
  const limit = process.constrainedMemory();
  // Without a limit of its control group some systems report a number beyond any memory.
  const memoryBytes = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  return { cores: availableParallelism(), memoryBytes };
}

/**
 * Work below which a further thread costs more than it saves: each compiles the code of the data plane for itself, a second
 * more in all. On two cores two threads were as fast as one at 2.2 GB, 1.4 times as fast at 9.6 (November 2026).
 */
const bytesPerThread = 2 * 2 ** 30;
/** Opening a file, and emptying the tables after it, is about as much work as so many bytes. */
const bytesPerFile = 2 ** 18;
/** What a thread may hold beside its flows: openings, evidence, the memory of the swarm, code and heap. */
const threadBytes = 128 * 2 ** 20;
const bytesPerFlow = 280;
/** All threads together may take one part in so many of the machine's memory. */
const memoryShare = 4;

export interface ScanSize {
  readonly continuous: boolean;
  readonly flowsMax: number;
}

/**
 * Threads for these inputs; 1 means none beside the main thread. Only regular files are scanned side by side: a pipe may
 * be one that ends only when the one before it was read, and pieces of one recording are one world. More threads than
 * cores only cost, because a scan hardly ever waits for its disk.
 */
export function workersFor(
  choice: Workers,
  inputs: readonly Input[],
  size: ScanSize,
  machine: Machine = thisMachine(),
): number {
  if (size.continuous || inputs.some(({ sizeBytes }) => sizeBytes === undefined)) return 1;
  if (choice !== 'auto') return Math.max(1, Math.min(choice, inputs.length));
  const work = inputs.map(({ sizeBytes = 0 }) => sizeBytes + bytesPerFile);
  const all = work.reduce((sum, bytes) => sum + bytes, 0);
  const largest = work.reduce((most, bytes) => Math.max(most, bytes), 0);
  // The largest file keeps one thread busy for as long as it takes; the others are for the rest.
  const useful = 1 + Math.floor((all - largest) / bytesPerThread);
  const each = threadBytes + size.flowsMax * bytesPerFlow;
  const fitting = Math.floor(machine.memoryBytes / memoryShare / each);
  return Math.max(1, Math.min(useful, machine.cores, fitting, workersMax, inputs.length));
}
