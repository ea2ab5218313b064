/**
 * The workers of the inline filter: one thread and one queue each. A worker that dies or hangs is noticed, its queue is
 * bypassed by the kernel meanwhile, it is started again after a pause that grows, and all of it is reported.
 */
import { Worker } from 'node:worker_threads';
import { countersBytes, counterAt } from '../lib/engine/counters.js';
import type { WorkerState } from '../lib/report/status.js';
import {
  controlMessages,
  controlReports,
  controlState,
  controlWords,
  stateDrain,
  stateStop,
  type DecisionMessage,
  type FromWorker,
  type PolicySettings,
  type ToWorker,
  type WorkerSettings,
} from './filter-settings.js';

export type WorkerPlan = Omit<WorkerSettings, 'counters' | 'control'>;

export interface WorkerPoolEvents {
  onDecisions(worker: number, decisions: readonly DecisionMessage[]): void;
  onFound(id: number, flow: Extract<FromWorker, { kind: 'found' }>['flow'], worker: number): void;
  /** A worker ended by itself and will be started again after `pauseMillis`. */
  onLost(worker: number, why: string, pauseMillis: number): void;
  onRestarted(worker: number): void;
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

/** A worker whose heartbeat stood still in this many checks in a row hangs. Checks are a second apart. */
const stuckChecks = 10;
const checkMillis = 1000;
const startMillis = 20_000;
const pauseFirstMillis = 250;
const pauseLongestMillis = 30_000;
/** A worker that lived this long starts again with the shortest pause. */
const healthyMillis = 60_000;

const heartbeat = counterAt('heartbeat');
const flowsNow = counterAt('flowsNow');

class Member {
  thread: Worker | null = null;
  state: WorkerState = 'starting';
  restarts = 0;
  counts: Float64Array = new Float64Array(0);
  /** Sums of the lives before. */
  readonly archive = new Float64Array(countersBytes / 8);
  control: Int32Array = new Int32Array(0);
  pauseMillis = pauseFirstMillis;
  startedMillis = 0;
  lastBeat = -1;
  stillChecks = 0;
  timer: NodeJS.Timeout | null = null;

  constructor(readonly plan: WorkerPlan) {}
}

function startThread(settings: WorkerSettings): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), {
    workerData: settings,
    name: `worker-${settings.worker}`,
  });
}

export class WorkerPool {
  readonly #members: Member[];
  readonly #events: WorkerPoolEvents;
  #stopping = false;
  #check: NodeJS.Timeout | null = null;
  #policy: PolicySettings;

  readonly #makeThread: (settings: WorkerSettings) => Worker;

  /** @param makeThread for tests */
  constructor(plans: readonly WorkerPlan[], events: WorkerPoolEvents, makeThread = startThread) {
    this.#makeThread = makeThread;
    this.#members = plans.map((plan) => new Member(plan));
    this.#events = events;
    this.#policy = plans[0]!.policy;
  }

  /** Starts all workers; resolves when every queue is bound. @throws WorkerStartError of the first that cannot */
  async start(): Promise<void> {
    const starts = this.#members.map((member) => this.#launch(member));
    const failed = (await Promise.allSettled(starts)).find((result) => result.status === 'rejected');
    if (failed !== undefined) {
      await this.stop(false);
      throw failed.reason;
    }
    this.#check = setInterval(() => {
      this.#lookForStuck();
    }, checkMillis);
    this.#check.unref();
  }

  /** Ends all workers. With `drain` they first let everything pass that the kernel still holds for them. */
  async stop(drain: boolean): Promise<void> {
    this.#stopping = true;
    if (this.#check !== null) clearInterval(this.#check);
    await Promise.all(
      this.#members.map(async (member) => {
        if (member.timer !== null) clearTimeout(member.timer);
        const { thread } = member;
        if (thread === null) return;
        const ended = new Promise<void>((resolve) => {
          thread.once('exit', () => {
            resolve();
          });
        });
        Atomics.store(member.control, controlState, drain ? stateDrain : stateStop);
        const limit = setTimeout(() => void thread.terminate(), 5000);
        await ended;
        clearTimeout(limit);
      }),
    );
  }

  /** Tells every worker (`anew`: no flow keeps the decision it has); those that are being started again get it with their settings. */
  configure(policy: PolicySettings, anew: boolean): void {
    this.#policy = policy;
    for (const member of this.#members) this.#tell(member, { kind: 'policy', policy, anew });
  }

  tellAll(message: ToWorker): number {
    const running = this.#members.filter(({ thread, state }) => thread !== null && state === 'running');
    for (const member of running) this.#tell(member, message);
    return running.length;
  }

  tell(worker: number, message: ToWorker): boolean {
    const member = this.#members[worker];
    if (member === undefined || member.thread === null) return false;
    this.#tell(member, message);
    return true;
  }

  get states(): readonly { worker: number; queue: number; state: WorkerState; restarts: number }[] {
    return this.#members.map(({ plan, state, restarts }) => ({
      worker: plan.worker,
      queue: plan.queue.number,
      state,
      restarts,
    }));
  }

  /** Counts of one worker over all its lives. */
  countsOf(worker: number): Float64Array {
    const { archive, counts } = this.#members[worker]!;
    return archive.map((value, index) => value + (counts[index] ?? 0));
  }

  #tell(member: Member, message: ToWorker): void {
    if (member.thread === null) return;
    member.thread.postMessage(message);
    Atomics.add(member.control, controlMessages, 1);
  }

  #launch(member: Member): Promise<void> {
    const counters = new SharedArrayBuffer(countersBytes);
    const control = new SharedArrayBuffer(controlWords * 4);
    member.counts = new Float64Array(counters);
    member.control = new Int32Array(control);
    member.lastBeat = -1;
    member.stillChecks = 0;
    member.startedMillis = Date.now();
    const settings: WorkerSettings = { ...member.plan, policy: this.#policy, counters, control };
    let thread: Worker;
    try {
      thread = this.#makeThread(settings);
    } catch (error) {
      // No memory, or no thread permitted (TasksMax): like a worker that ended at once.
      const why = error instanceof Error ? error.message : String(error);
      this.#gone(member, null, why);
      return Promise.reject(new WorkerStartError('worker-start', `a worker cannot be started: ${why}`));
    }
    member.thread = thread;
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        reject(new WorkerStartError('worker-start', 'a worker did not start within 20 seconds'));
        void thread.terminate();
      }, startMillis);
      let problem: Error | null = null;
      thread.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') {
          clearTimeout(limit);
          member.state = 'running';
          resolve();
        } else if (message.kind === 'failed') problem = new WorkerStartError(message.code, message.message);
        else this.#hear(member, message);
      });
      thread.on('error', (error: unknown) => {
        problem ??= error instanceof Error ? error : new Error(String(error));
      });
      thread.on('exit', (code) => {
        clearTimeout(limit);
        reject(problem ?? new WorkerStartError('worker-start', `a worker ended at its start (${code})`));
        this.#gone(member, thread, problem?.message ?? `ended with code ${code}`);
      });
    });
  }

  #hear(member: Member, message: FromWorker): void {
    if (message.kind === 'decisions') {
      Atomics.sub(member.control, controlReports, message.decisions.length);
      this.#events.onDecisions(member.plan.worker, message.decisions);
    } else if (message.kind === 'found') this.#events.onFound(message.id, message.flow, member.plan.worker);
  }

  #gone(member: Member, thread: Worker | null, why: string): void {
    if (member.thread !== thread) return;
    member.thread = null;
    for (const [index, value] of member.counts.entries()) {
      if (index !== flowsNow && index !== heartbeat) member.archive[index]! += value;
    }
    member.counts = new Float64Array(0);
    const wasRunning = member.state === 'running' || member.state === 'restarting';
    if (this.#stopping || !wasRunning) {
      member.state = 'stopped';
      return;
    }
    member.state = 'restarting';
    if (Date.now() - member.startedMillis > healthyMillis) member.pauseMillis = pauseFirstMillis;
    this.#events.onLost(member.plan.worker, why, member.pauseMillis);
    member.timer = setTimeout(() => {
      this.#relaunch(member);
    }, member.pauseMillis);
    member.pauseMillis = Math.min(member.pauseMillis * 2, pauseLongestMillis);
  }

  #relaunch(member: Member): void {
    member.timer = null;
    if (this.#stopping) return;
    member.restarts++;
    this.#launch(member).then(
      () => {
        this.#events.onRestarted(member.plan.worker);
      },
      () => {
        // Its end was reported by #gone, which also sees to the next attempt.
      },
    );
  }

  #lookForStuck(): void {
    for (const member of this.#members) {
      if (member.thread === null || member.state !== 'running') continue;
      const beat = member.counts[heartbeat]!;
      member.stillChecks = beat === member.lastBeat ? member.stillChecks + 1 : 0;
      member.lastBeat = beat;
      if (member.stillChecks < stuckChecks) continue;
      member.stillChecks = 0;
      void member.thread.terminate();
    }
  }
}
