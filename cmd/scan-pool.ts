/**
 * The scan of many files by several threads. Files are independent worlds, so each is scanned whole by one thread, which
 * hands over its ended flows as copies of their rows; this thread shows them to the report in the order of the files.
 * The report, its flow ids, the warnings and the sums are therefore those of a single thread, byte for byte.
 *
 *     this thread   file 0 ........ | file 2 ....        results ──> file 0, file 1, file 2 ... ──> report
 *     a worker      file 1 ... | file 3 ........ wait    at most `waitingMax` bytes of each thread wait here
 *
 * This thread scans too, between what it shows: a thread that scans compiles all the code of the data plane for itself,
 * which costs more than a second of processor time, and the program has one such thread already.
 *
 * Files are given out in order. The earliest unfinished one is therefore always with a thread of whose results none
 * waits for an earlier file: whatever it hands over is taken at once, and nothing can come to a standstill.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Engine } from '../lib/engine/engine.js';
import type { EncryptedMode } from '../lib/engine/policy.js';
import type { Registry } from '../lib/engine/registry.js';
import { EndedFlowView, type EndedRows } from '../lib/report/ended-flow.js';
import { FlowChunk, type PackedFlows } from '../lib/report/flow-chunk.js';
import type { EndedFlow, ScanSummary, WarningReport } from '../lib/report/report.js';
import { exitInternal, UserError } from './errors.js';
import type { Input } from './inputs.js';
import type { NameWords } from './name-flags.js';
import { ScanBoard, unitsOf, type FromScanWorker, type ScanWorkerSettings } from './scan-messages.js';
import { scanShare } from './scan-share.js';
import { ScanTally } from './scan-tally.js';

/** Results that wait for their turn, over all threads: flows of about 300 bytes each. */
const waitingBytesMax = 64 * 2 ** 20;
const progressMillis = 100;
/** Some thousand flows: this thread scans meanwhile, so a turn of its event loop may take milliseconds. */
const chunksPerTurn = 8;

export interface ScanPoolOptions {
  /** Threads that scan, this one among them. */
  readonly workers: number;
  readonly flowsMax: number;
  readonly encrypted: EncryptedMode;
  readonly names: NameWords | null;
  /** As the workers build it of `names`: its texts are what the report says. */
  readonly registry: Registry;
  readonly onFlow: (flow: EndedFlow) => void;
  readonly onWarning: (warning: WarningReport) => void;
  /** Told some times a second: what was read of all files, and the file that the report has come to. */
  readonly onProgress: (bytesRead: number, packets: number, file: string) => void;
  /** Called after some hundred flows and after each file; the scan goes on when it resolves. */
  readonly onEnded: () => Promise<void>;
  /** True ends the scan early. */
  readonly stopped: () => boolean;
  /** For tests: what makes a worker, and how much of each thread's results may wait. */
  readonly makeThread?: (settings: ScanWorkerSettings) => Worker;
  readonly waitingMax?: number;
}

interface Delivery {
  readonly worker: number;
  readonly message: FromScanWorker;
}

/** A thread that ended too early, with the file that it had last: -1 if none, and maybe one that it had finished. */
interface Failure {
  readonly file: number;
  readonly error: Error;
}

export class ScanPool {
  readonly #options: ScanPoolOptions;
  readonly #board: ScanBoard;
  readonly #tally = new ScanTally();
  readonly #view: EndedFlowView;
  readonly #threads: Worker[] = [];
  /** What arrived of files, by their index; only of those whose turn has not come. */
  readonly #arrived = new Map<number, Delivery[]>();
  /** The one with the earliest file. */
  #failure: Failure | null = null;
  #wake: (() => void) | null = null;
  /** Units of this thread's own results that wait, and what to do when there are few enough. */
  #ownUnits = 0;
  #goOn: (() => void) | null = null;
  /** What to do when the report has nothing to show. */
  #whenIdle: (() => void) | null = null;
  #stopping = false;
  #inputs: readonly Input[] = [];
  #file = 0;

  constructor(options: ScanPoolOptions) {
    this.#options = options;
    this.#board = new ScanBoard(options.workers);
    this.#view = new EndedFlowView(() => this.#inputs[this.#file]!.path);
  }

  get incomplete(): number {
    return this.#tally.incomplete;
  }

  summary(): ScanSummary {
    return this.#tally.summary();
  }

  /** Bytes of results that are here and wait for their turn. */
  get waitingBytes(): number {
    return [...this.#arrived.values()]
      .flat()
      .reduce(
        (sum, { message }) => sum + (message.kind === 'flows' ? message.packed.memory.byteLength : 0),
        0,
      );
  }

  /** Scans all inputs. @throws UserError 'worker-failed', or what a worker threw, when the report has come to its file. */
  async run(inputs: readonly Input[]): Promise<void> {
    this.#inputs = inputs;
    const timer = setInterval(() => {
      const { bytes, packets } = this.#board.progress();
      this.#options.onProgress(bytes, packets, inputs[this.#file]?.path ?? '');
      // A thread may be busy with one file for minutes before it has anything to say.
      if (this.#options.stopped()) this.#rouse();
    }, progressMillis);
    let own: Promise<void> = Promise.resolve();
    try {
      for (let worker = 1; worker < this.#options.workers; worker++) this.#start(worker);
      own = this.#scanHere();
      for (; this.#file < inputs.length; this.#file++) {
        if (!(await this.#report(this.#file))) break;
      }
    } finally {
      this.#stopping = true;
      this.#goOn?.();
      this.#whenIdle?.();
      clearInterval(timer);
      await Promise.all([own, ...this.#threads.map((thread) => thread.terminate())]);
    }
  }

  /** This thread's share. What it throws is thrown by `run` when the report has come to that file. */
  async #scanHere(): Promise<void> {
    try {
      await scanShare(this.#settings(0), this.#board, this.#options.registry, {
        send: (message) => {
          this.#ownUnits += unitsOf(message);
          this.#deliver(message.file, { worker: 0, message });
        },
        showNow: (file, engine, slot) => this.#showNow(file, engine, slot),
        room: () => this.#room(),
        mayTake: () => this.#idle(),
        stopped: () => this.#stopping || this.#options.stopped(),
      });
    } catch (error) {
      this.#failed(this.#board.fileOf(0), error as Error);
    }
  }

  #showNow(file: number, engine: Engine, slot: number): boolean {
    if (file !== this.#file || (this.#arrived.get(file)?.length ?? 0) > 0) return false;
    this.#showFlow(engine, slot);
    return true;
  }

  /** Resolves when this thread may go on scanning: the report's reader, or its turn, has to come first. */
  async #room(): Promise<void> {
    await this.#options.onEnded();
    while (this.#ownUnits > ScanBoard.units(this.#waitingMax) && !this.#stopping) {
      await new Promise<void>((resolve) => {
        this.#goOn = resolve;
      });
      this.#goOn = null;
    }
  }

  /** Resolves when the report waits for what is still being scanned: showing is what only this thread can do. */
  async #idle(): Promise<void> {
    while (this.#wake === null && !this.#stopping) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
      this.#whenIdle = null;
    }
  }

  /** Lets the report look again; until it waits again it is not idle. */
  #rouse(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  get #waitingMax(): number {
    return this.#options.waitingMax ?? waitingBytesMax / this.#options.workers;
  }

  #settings(worker: number): ScanWorkerSettings {
    const { workers, flowsMax, encrypted, names } = this.#options;
    return {
      ...{ worker, workers, flowsMax, encrypted, names },
      board: this.#board.memory,
      waitingMax: this.#waitingMax,
      inputs: this.#inputs,
    };
  }

  #start(worker: number): void {
    let problem: unknown = null;
    let thread: Worker;
    try {
      thread = (this.#options.makeThread ?? makeThread)(this.#settings(worker));
    } catch (error) {
      throw failureOf('a thread of the scan', error);
    }
    this.#threads.push(thread);
    thread.on('message', (message: FromScanWorker) => {
      this.#deliver(message.file, { worker, message });
    });
    const note = (error: unknown): void => {
      problem ??= error;
    };
    thread.on('error', note);
    thread.on('messageerror', (error) => {
      note(error);
      void thread.terminate();
    });
    // What a thread sent before its end has arrived by now.
    thread.on('exit', (code) => {
      this.#ended(worker, problem ?? `it ended with status ${code}`);
    });
  }

  /** A worker ended: as it should, after it asked for more files than there are, or too early. */
  #ended(worker: number, problem: unknown): void {
    const file = this.#board.fileOf(worker);
    if (file >= this.#inputs.length) return;
    const input = this.#inputs[file];
    const what = input === undefined ? 'a thread of the scan' : `${input.path}: the thread that scans it`;
    this.#failed(file, failureOf(what, problem));
  }

  #failed(file: number, error: Error): void {
    if (this.#failure !== null && this.#failure.file <= file) return;
    this.#failure = { file, error };
    this.#rouse();
  }

  #deliver(file: number, delivery: Delivery): void {
    const list = this.#arrived.get(file);
    if (list === undefined) this.#arrived.set(file, [delivery]);
    else list.push(delivery);
    if (file === this.#file) this.#rouse();
  }

  /**
   * The next delivery of a file, which may still have to be made; null if the scan is to end before it is.
   * @throws what ended the worker that had to make it
   */
  async #next(file: number): Promise<Delivery | null> {
    for (;;) {
      const delivery = this.#arrived.get(file)?.shift();
      if (delivery !== undefined) return delivery;
      if (this.#failure !== null && this.#failure.file <= file) throw this.#failure.error;
      if (this.#options.stopped()) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#whenIdle?.();
      });
    }
  }

  /** Shows what there is of a file to the report, waiting for the rest; false if the scan is to end early. */
  async #report(file: number): Promise<boolean> {
    for (let taken = 1; ; taken++) {
      const delivery = await this.#next(file);
      if (delivery === null) return false;
      const { worker, message } = delivery;
      if (message.kind === 'flows') this.#show(message.packed);
      this.#free(worker, unitsOf(message));
      if (message.kind === 'done') {
        this.#tally.add(message.part);
        for (const warning of message.part.warnings) this.#options.onWarning(warning);
        this.#arrived.delete(file);
      }
      await this.#options.onEnded();
      if (this.#options.stopped()) return false;
      if (message.kind === 'done') return true;
      // Signals, and news of a reader that went away, are only heard when the event loop has its turn.
      if (taken % chunksPerTurn === 0) await nextTurn();
    }
  }

  #free(worker: number, units: number): void {
    if (worker > 0) {
      this.#board.free(worker, units);
      return;
    }
    this.#ownUnits -= units;
    this.#goOn?.();
  }

  #show(packed: PackedFlows): void {
    const chunk = FlowChunk.unpack(this.#options.registry, packed);
    for (let flow = 0; flow < packed.flows; flow++) {
      chunk.turnTo(flow);
      this.#showFlow(chunk, flow);
    }
  }

  #showFlow(rows: EndedRows, slot: number): void {
    this.#view.show(rows, slot);
    this.#tally.flow(this.#view);
    this.#options.onFlow(this.#view);
  }
}

function makeThread(settings: ScanWorkerSettings): Worker {
  return new Worker(new URL('./scan-worker.js', import.meta.url), {
    workerData: settings,
    name: `scan-${settings.worker}`,
  });
}

/** A defect that a worker met keeps its stack; whatever else ended it (no memory, no thread permitted) has a code. */
function failureOf(what: string, problem: unknown): Error {
  const { message, stack, code } = problem as Partial<NodeJS.ErrnoException>;
  const whole = `${what} failed: ${(message ?? String(problem)).replaceAll('\n', ' ')}`;
  if (code !== undefined || stack === undefined)
    return new UserError('worker-failed', `${whole}; try --workers 1`, exitInternal);
  const error = new Error(whole);
  error.stack = stack;
  return error;
}
