/** What the main thread and the workers of a scan of many files say to each other. */
import type { EncryptedMode } from '../lib/engine/policy.js';
import type { PackedFlows } from '../lib/report/flow-chunk.js';
import type { Input } from './inputs.js';
import type { NameWords } from './name-flags.js';
import type { ScanPart } from './scan-tally.js';

/** Given to every worker at its start. */
export interface ScanWorkerSettings {
  readonly worker: number;
  readonly workers: number;
  readonly board: SharedArrayBuffer;
  /** Bytes of results that may wait for the main thread. */
  readonly waitingMax: number;
  readonly inputs: readonly Input[];
  readonly flowsMax: number;
  readonly encrypted: EncryptedMode;
  readonly names: NameWords | null;
}

/** Of each file first its flows, in the order in which they ended, and then what else was counted. */
export type FromScanWorker =
  | { readonly kind: 'flows'; readonly file: number; readonly packed: PackedFlows }
  | { readonly kind: 'done'; readonly file: number; readonly part: ScanPart };

/** Results are counted in units: the bytes of a message are not all that it costs. */
const unitBytes = 4096;

export function unitsOf(message: FromScanWorker): number {
  return 1 + (message.kind === 'flows' ? Math.ceil(message.packed.memory.byteLength / unitBytes) : 0);
}

/** Shared memory of a pool: which file is next, and of each worker where it is and how many of its results were taken. */
export class ScanBoard {
  readonly memory: SharedArrayBuffer;
  readonly #workers: number;
  /** Bytes and packets of each worker. Only the worker writes them. */
  readonly #progress: Float64Array;
  readonly #next: Int32Array;
  readonly #file: Int32Array;
  readonly #taken: Int32Array;

  constructor(workers: number, memory = new SharedArrayBuffer(workers * 24 + 4)) {
    this.memory = memory;
    this.#workers = workers;
    this.#progress = new Float64Array(memory, 0, workers * 2);
    this.#file = new Int32Array(memory, workers * 16, workers);
    this.#taken = new Int32Array(memory, workers * 20, workers);
    this.#next = new Int32Array(memory, workers * 24, 1);
  }

  /** Gives the next file to a worker, in the order of the command line; past the last one there is nothing more to do. */
  take(worker: number): number {
    const file = Atomics.add(this.#next, 0, 1);
    Atomics.store(this.#file, worker, file + 1);
    return file;
  }

  /** Index of the file that a worker was given last, or -1. */
  fileOf(worker: number): number {
    return Atomics.load(this.#file, worker) - 1;
  }

  note(worker: number, bytes: number, packets: number): void {
    this.#progress[worker * 2] = bytes;
    this.#progress[worker * 2 + 1] = packets;
  }

  /** Bytes and packets of all workers. */
  progress(): { readonly bytes: number; readonly packets: number } {
    let bytes = 0;
    let packets = 0;
    for (let worker = 0; worker < this.#workers; worker++) {
      bytes += this.#progress[worker * 2]!;
      packets += this.#progress[worker * 2 + 1]!;
    }
    return { bytes, packets };
  }

  /** The main thread is done with so many units of a worker's results. */
  free(worker: number, units: number): void {
    Atomics.add(this.#taken, worker, units);
    Atomics.notify(this.#taken, worker);
  }

  /**
   * Waits until at most `limit` of the units that this worker sent so far are left. It has nothing else to do meanwhile,
   * and what the thread sent before is on its way without it.
   */
  wait(worker: number, sent: number, limit: number): void {
    for (;;) {
      const taken = Atomics.load(this.#taken, worker);
      // Both counts wrap around alike.
      if (((sent - taken) | 0) <= limit) return;
      Atomics.wait(this.#taken, worker, taken);
    }
  }

  /** Units that `bytes` of waiting results are. */
  static units(bytes: number): number {
    return Math.max(1, Math.floor(bytes / unitBytes));
  }
}
