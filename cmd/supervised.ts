/**
 * A thread of the data plane under supervision: one that dies or hangs is noticed and started again after a pause that
 * grows; what it counted is kept over all its lives. Workers and capture threads are such.
 */
import type { Worker } from 'node:worker_threads';
import type { WorkerState } from '../lib/report/status.js';
import {
  controlHeard,
  controlMessages,
  controlState,
  controlWords,
  stateDrain,
  stateStop,
  type StartMessage,
} from './filter-settings.js';

export interface ThreadPlan<Message> {
  /** In messages: "a worker", "the capture thread of eth0". */
  readonly what: string;
  /** 64-bit floats that the thread counts in. */
  readonly countsLength: number;
  /** Which of them grows with every turn of its loop. */
  readonly heartbeatAt: number;
  /** Which of them are standing values: they end with the life of the thread. */
  readonly standing: readonly number[];
  /** Starts one more life. @throws when no thread can be had */
  make(counters: SharedArrayBuffer, control: SharedArrayBuffer): Worker;
  hear(message: Message): void;
  /** It ended by itself and will be started again after `pauseMillis`. */
  onLost(why: string, pauseMillis: number): void;
  onRestarted(): void;
}

export class WorkerStartError extends Error {
  override readonly name = 'WorkerStartError';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** A thread whose heartbeat stood still in this many checks in a row hangs. Checks are a second apart. */
export const stuckChecks = 10;
export const checkMillis = 1000;
const startMillis = 60_000;
const stopMillis = 5000;
const pauseFirstMillis = 250;
const pauseLongestMillis = 30_000;
/** A thread that lived this long starts again with the shortest pause. */
const healthyMillis = 60_000;

export class Supervised<Message extends { readonly kind: string }> {
  state: WorkerState = 'starting';
  restarts = 0;
  /** Words that the thread and its owner share; a new array for each life. */
  control: Int32Array = new Int32Array(controlWords);

  readonly #plan: ThreadPlan<Message>;
  /** Sums of the lives before. */
  readonly #archive: Float64Array;
  #counts: Float64Array = new Float64Array(0);
  #thread: Worker | null = null;
  #stopping = false;
  #pauseMillis = pauseFirstMillis;
  #startedMillis = 0;
  #lastBeat = -1;
  #stillChecks = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(plan: ThreadPlan<Message>) {
    this.#plan = plan;
    this.#archive = new Float64Array(plan.countsLength);
  }

  /** Whether a thread is there that can be told something. */
  get isThere(): boolean {
    return this.#thread !== null;
  }

  /** Counts over all lives. */
  counts(): Float64Array {
    return this.#archive.map((value, index) => value + (this.#counts[index] ?? 0));
  }

  /** False when nobody is there to hear it. */
  tell(message: object): boolean {
    if (this.#thread === null) return false;
    this.#thread.postMessage(message);
    Atomics.add(this.control, controlMessages, 1);
    return true;
  }

  /** Whether nobody is there, or what was told so far has been seen to. */
  get hasHeard(): boolean {
    const { control } = this;
    return (
      this.#thread === null || Atomics.load(control, controlHeard) === Atomics.load(control, controlMessages)
    );
  }

  /** Begins a life; resolves when the thread is ready. @throws WorkerStartError */
  launch(): Promise<void> {
    const { what, countsLength } = this.#plan;
    const counters = new SharedArrayBuffer(countsLength * Float64Array.BYTES_PER_ELEMENT);
    const control = new SharedArrayBuffer(controlWords * Int32Array.BYTES_PER_ELEMENT);
    this.#counts = new Float64Array(counters);
    this.control = new Int32Array(control);
    this.#lastBeat = -1;
    this.#stillChecks = 0;
    this.#startedMillis = Date.now();
    let thread: Worker;
    try {
      thread = this.#plan.make(counters, control);
    } catch (error) {
      // No memory, or no thread permitted (TasksMax): like a thread that ended at once.
      const why = error instanceof Error ? error.message : String(error);
      this.#gone(null, why);
      return Promise.reject(new WorkerStartError('worker-start', `${what} cannot be started: ${why}`));
    }
    this.#thread = thread;
    return this.#started(thread);
  }

  #started(thread: Worker): Promise<void> {
    const { what } = this.#plan;
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        reject(new WorkerStartError('worker-start', `${what} did not start within a minute`));
        void thread.terminate();
      }, startMillis);
      let problem: Error | null = null;
      thread.on('message', (message: Message | StartMessage) => {
        if (!isStart(message)) this.#plan.hear(message);
        else if (message.kind === 'failed') problem = new WorkerStartError(message.code, message.message);
        else {
          clearTimeout(limit);
          this.state = 'running';
          resolve();
        }
      });
      thread.on('error', (error: unknown) => {
        problem ??= error instanceof Error ? error : new Error(String(error));
      });
      thread.on('exit', (code) => {
        clearTimeout(limit);
        reject(problem ?? new WorkerStartError('worker-start', `${what} ended at its start (${code})`));
        this.#gone(thread, problem?.message ?? `ended with code ${code}`);
      });
    });
  }

  /** Ends the thread for good. With `drain` it first does what is left to do. */
  async stop(drain: boolean): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const thread = this.#thread;
    if (thread === null) return;
    const ended = new Promise<void>((resolve) => {
      thread.once('exit', () => {
        resolve();
      });
    });
    Atomics.store(this.control, controlState, drain ? stateDrain : stateStop);
    Atomics.notify(this.control, controlState);
    const limit = setTimeout(() => void thread.terminate(), stopMillis);
    await ended;
    clearTimeout(limit);
  }

  /** Once per `checkMillis`: ends a thread that hangs, which then counts as lost. */
  check(): void {
    if (this.#thread === null || this.state !== 'running') return;
    const beat = this.#counts[this.#plan.heartbeatAt]!;
    this.#stillChecks = beat === this.#lastBeat ? this.#stillChecks + 1 : 0;
    this.#lastBeat = beat;
    if (this.#stillChecks < stuckChecks) return;
    this.#stillChecks = 0;
    void this.#thread.terminate();
  }

  #gone(thread: Worker | null, why: string): void {
    if (this.#thread !== thread) return;
    this.#thread = null;
    const { standing } = this.#plan;
    for (const [index, value] of this.#counts.entries())
      if (!standing.includes(index)) this.#archive[index]! += value;
    this.#counts = new Float64Array(0);
    const wasRunning = this.state === 'running' || this.state === 'restarting';
    if (this.#stopping || !wasRunning) {
      this.state = 'stopped';
      return;
    }
    this.state = 'restarting';
    if (Date.now() - this.#startedMillis > healthyMillis) this.#pauseMillis = pauseFirstMillis;
    this.#plan.onLost(why, this.#pauseMillis);
    this.#timer = setTimeout(() => {
      this.#relaunch();
    }, this.#pauseMillis);
    this.#pauseMillis = Math.min(this.#pauseMillis * 2, pauseLongestMillis);
  }

  #relaunch(): void {
    this.#timer = null;
    if (this.#stopping) return;
    this.restarts++;
    this.launch().then(
      () => {
        this.#plan.onRestarted();
      },
      () => {
        // Its end was reported by #gone, which also sees to the next attempt.
      },
    );
  }
}

function isStart(message: { readonly kind: string }): message is StartMessage {
  return message.kind === 'ready' || message.kind === 'failed';
}

/** Starts all; ends those that came up if one cannot. @throws WorkerStartError of the first that cannot */
export async function launchAll<Message extends { readonly kind: string }>(
  members: readonly Supervised<Message>[],
): Promise<void> {
  const starts = await Promise.allSettled(members.map((member) => member.launch()));
  const failed = starts.find((result) => result.status === 'rejected');
  if (failed === undefined) return;
  await Promise.all(members.map((member) => member.stop(false)));
  throw failed.reason;
}
