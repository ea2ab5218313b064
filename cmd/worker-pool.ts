/**
 * The workers: one thread each, with a queue of the kernel or rings of its own. A worker that dies or hangs is noticed
 * and started again; meanwhile its packets pass uninspected, and all of it is reported.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { countersLength, counterAt } from '../lib/engine/counters.js';
import type { WorkerState } from '../lib/report/status.js';
import {
  controlReports,
  type DecisionMessage,
  type FromWorker,
  type PolicySettings,
  type ToWorker,
  type WorkerPlan,
  type WorkerSettings,
} from './filter-settings.js';
import { checkMillis, launchAll, Supervised } from './supervised.js';

export interface WorkerPoolEvents {
  onDecisions(worker: number, decisions: readonly DecisionMessage[]): void;
  onFound(id: number, flow: Extract<FromWorker, { kind: 'found' }>['flow'], worker: number): void;
  /** A worker ended by itself and will be started again after `pauseMillis`. */
  onLost(worker: number, why: string, pauseMillis: number): void;
  onRestarted(worker: number): void;
}

export interface WorkerNow {
  readonly worker: number;
  /** Null: it has rings. */
  readonly queue: number | null;
  readonly state: WorkerState;
  readonly restarts: number;
}

const hearMillis = 1000;
const hearStepMillis = 5;
const heartbeatAt = counterAt('heartbeat');
const standing = [counterAt('flowsNow'), heartbeatAt];

interface Member {
  readonly plan: WorkerPlan;
  readonly life: Supervised<FromWorker>;
}

function startThread(settings: WorkerSettings): Worker {
  return new Worker(new URL('./worker.js', import.meta.url), {
    workerData: settings,
    name: `worker-${settings.worker}`,
  });
}

export class WorkerPool {
  readonly #members: readonly Member[];
  readonly #events: WorkerPoolEvents;
  readonly #makeThread: (settings: WorkerSettings) => Worker;
  #check: NodeJS.Timeout | null = null;
  #policy: PolicySettings;

  /** @param makeThread for tests */
  constructor(plans: readonly WorkerPlan[], events: WorkerPoolEvents, makeThread = startThread) {
    this.#makeThread = makeThread;
    this.#events = events;
    this.#policy = plans[0]!.policy;
    this.#members = plans.map((plan) => ({ plan, life: this.#lifeOf(plan) }));
  }

  /** Starts all workers; resolves when each can take packets. @throws WorkerStartError of the first that cannot */
  async start(): Promise<void> {
    await launchAll(this.#members.map(({ life }) => life));
    this.#check = setInterval(() => {
      for (const { life } of this.#members) life.check();
    }, checkMillis);
    this.#check.unref();
  }

  /** Ends all workers. With `drain` they first see to the packets that wait for them. */
  async stop(drain: boolean): Promise<void> {
    if (this.#check !== null) clearInterval(this.#check);
    await Promise.all(this.#members.map(({ life }) => life.stop(drain)));
  }

  /**
   * Tells every worker (`anew`: no flow keeps the decision it has); those that are being started again get it with their
   * settings. Resolves when all judge by it, or after a second: one that hangs must not hold up the others.
   */
  async configure(policy: PolicySettings, anew: boolean): Promise<void> {
    this.#policy = policy;
    for (const { life } of this.#members) life.tell({ kind: 'policy', policy, anew } satisfies ToWorker);
    const until = performance.now() + hearMillis;
    while (!this.#members.every(({ life }) => life.hasHeard) && performance.now() < until)
      await sleep(hearStepMillis);
  }

  /** Returns how many heard it. */
  tellAll(message: ToWorker): number {
    return this.#members.filter(({ life }) => life.state === 'running' && life.tell(message)).length;
  }

  tell(worker: number, message: ToWorker): boolean {
    return this.#members[worker]?.life.tell(message) ?? false;
  }

  get states(): readonly WorkerNow[] {
    return this.#members.map(({ plan, life: { state, restarts } }) => ({
      worker: plan.worker,
      queue: plan.queue?.number ?? null,
      state,
      restarts,
    }));
  }

  /** Counts of one worker over all its lives. */
  countsOf(worker: number): Float64Array {
    return this.#members[worker]!.life.counts();
  }

  #lifeOf(plan: WorkerPlan): Supervised<FromWorker> {
    const { worker } = plan;
    const life: Supervised<FromWorker> = new Supervised<FromWorker>({
      what: 'a worker',
      countsLength: countersLength,
      heartbeatAt,
      standing,
      make: (counters, control) =>
        this.#makeThread({
          ...plan,
          restarted: life.restarts > 0,
          policy: this.#policy,
          counters,
          control,
        }),
      hear: (message) => {
        this.#hear(worker, life, message);
      },
      onLost: (why, pauseMillis) => {
        this.#events.onLost(worker, why, pauseMillis);
      },
      onRestarted: () => {
        this.#events.onRestarted(worker);
      },
    });
    return life;
  }

  #hear(worker: number, life: Supervised<FromWorker>, message: FromWorker): void {
    if (message.kind === 'decisions') {
      const { control } = life;
      // In the next turn: Node hands over a thousand messages in one, and a worker that has room fills it meanwhile.
      setImmediate(() => Atomics.sub(control, controlReports, message.decisions.length));
      this.#events.onDecisions(worker, message.decisions);
    } else this.#events.onFound(message.id, message.flow, worker);
  }
}
