/**
 * The loop of a capture thread: receive, hand over to the workers, and again. Its interface may go away at any time: then
 * it waits for it to come back. No allocation, exception or log per packet.
 */
import { Dispatcher, dispatcherCountsLength } from '../lib/io/dispatcher.js';
import { LiveSourceError, type BlockingLiveSource } from '../lib/io/live-source.js';
import { RingWriter } from '../lib/io/slab-ring.js';
import { controlState, stateRun, type CaptureSettings, type FromCapture } from './filter-settings.js';

/** How long one wait for packets lasts, and so how soon a stop is seen on an idle interface. */
const waitMillis = 200;
/** How often a missing interface is looked for. */
const retryMillis = 500;
/** How often an interface is asked whether it is still called so. */
const nameMillis = 1000;

/** What a capture counts: what its dispatcher does, and behind that these. */
export const captureCountsLength = (workers: number): number => dispatcherCountsLength(workers) + 3;
/** Packets that the kernel could not keep for us. */
export const kernelDroppedAt = dispatcherCountsLength;
/** Grows with every turn. */
export const captureBeatAt = (workers: number): number => dispatcherCountsLength(workers) + 1;
/** Times that an interface was back. */
export const reopenedAt = (workers: number): number => dispatcherCountsLength(workers) + 2;

/** An interface that comes and goes is no reason to give up. */
const absences: ReadonlySet<string> = new Set(['interface-missing', 'interface-down']);

export interface CaptureLoopOptions {
  readonly settings: CaptureSettings;
  /** @throws LiveSourceError */
  readonly open: () => BlockingLiveSource;
  readonly tell: (message: FromCapture) => void;
}

export class CaptureLoop {
  readonly #options: CaptureLoopOptions;
  readonly #control: Int32Array;
  readonly #counts: Float64Array;
  readonly #dispatcher: Dispatcher;
  readonly #droppedAt: number;
  readonly #beatAt: number;
  readonly #reopenedAt: number;
  #source: BlockingLiveSource | null = null;
  /** Dropped packets of the sources before this one. */
  #droppedBefore = 0;
  /** Why it waits, '' while it does not. */
  #reason = '';
  #nameSeen = 0;

  constructor(options: CaptureLoopOptions) {
    const { memories, bells, seed, counters, control } = options.settings;
    const workers = memories.length;
    this.#options = options;
    this.#control = new Int32Array(control);
    this.#counts = new Float64Array(counters);
    this.#droppedAt = kernelDroppedAt(workers);
    this.#beatAt = captureBeatAt(workers);
    this.#reopenedAt = reopenedAt(workers);
    this.#dispatcher = new Dispatcher({
      writers: memories.map((memory, worker) => new RingWriter(memory, bells[worker]!)),
      seed,
      counts: this.#counts,
    });
  }

  /** Opens the source for the first time. @throws LiveSourceError unless it may wait for the interface */
  begin(): void {
    try {
      this.#source = this.#options.open();
    } catch (error) {
      if (!(this.#options.settings.mayWait && isAbsence(error))) throw error;
      this.#waitFor(error);
    }
  }

  /** Until it is told to stop. @throws whatever is no absence of the interface */
  run(): void {
    while (Atomics.load(this.#control, controlState) === stateRun) {
      this.#counts[this.#beatAt]! += 1;
      if (this.#source === null) this.#lookAgain();
      else this.#turn(this.#source);
    }
    this.close();
  }

  /** The last that the kernel dropped is told when a source is closed. */
  close(): void {
    const source = this.#source;
    if (source === null) return;
    this.#source = null;
    source.close();
    this.#countDropped(source);
    this.#droppedBefore = this.#counts[this.#droppedAt]!;
  }

  #countDropped({ counters }: BlockingLiveSource): void {
    this.#counts[this.#droppedAt] = this.#droppedBefore + Math.max(0, counters.kernelDropped);
  }

  #turn(source: BlockingLiveSource): void {
    try {
      if (source.receive(waitMillis) > 0) this.#dispatcher.take(source.batch);
      this.#countDropped(source);
      const now = performance.now();
      if (now - this.#nameSeen < nameMillis) return;
      this.#nameSeen = now;
      source.checkName();
    } catch (error) {
      if (!isAbsence(error)) throw error;
      this.close();
      this.#waitFor(error);
    }
  }

  #lookAgain(): void {
    Atomics.wait(this.#control, controlState, stateRun, retryMillis);
    if (Atomics.load(this.#control, controlState) !== stateRun) return;
    try {
      this.#source = this.#options.open();
      this.#counts[this.#reopenedAt]! += 1;
      this.#reason = '';
      this.#options.tell({ kind: 'watching' });
    } catch (error) {
      if (!isAbsence(error)) throw error;
      this.#waitFor(error);
    }
  }

  /** Says why once, and again when it is another reason. */
  #waitFor({ code }: LiveSourceError): void {
    if (code === this.#reason) return;
    this.#reason = code;
    this.#options.tell({ kind: 'waiting', code });
  }
}

export function isAbsence(error: unknown): error is LiveSourceError {
  return error instanceof LiveSourceError && absences.has(error.code);
}
