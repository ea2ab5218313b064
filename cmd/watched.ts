/**
 * One network interface under watch, by a thread of its own (ring) or by a process that sends to this thread (cap). What
 * ends by itself is begun again: after a pause that grows, or as soon as an interface that went away is back.
 */
import { Worker } from 'node:worker_threads';
import type { BellMemory } from '../lib/io/bell.js';
import { capturedPacketsAt, Dispatcher, skippedPacketsAt } from '../lib/io/dispatcher.js';
import type { EventLiveSource, LiveOptions, LiveSourceError } from '../lib/io/live-source.js';
import { openCap } from '../lib/io/open-live.js';
import type { RingSizes } from '../lib/io/ring-source.js';
import { RingWriter, type SlabRingMemory } from '../lib/io/slab-ring.js';
import type { Log } from '../lib/report/log.js';
import type { InterfaceReport } from '../lib/report/status.js';
import {
  captureBeatAt,
  captureCountsLength,
  isAbsence,
  kernelDroppedAt,
  reopenedAt,
} from './capture-loop.js';
import type { CaptureSettings, FromCapture } from './filter-settings.js';
import { Supervised } from './supervised.js';

export type WatchLog = Pick<Log, 'info' | 'warn'>;

export interface Watched {
  /** @throws an error with a code when the interface cannot be watched now */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Once a second. */
  check(): void;
  report(): InterfaceReport;
}

/** What an interface's capture needs of the monitor. */
export interface WatchPlan {
  readonly live: LiveOptions;
  /** Of the kernel's ring. */
  readonly sizes: RingSizes;
  /** Its rings, one to each worker, and their bells. */
  readonly memories: readonly SlabRingMemory[];
  readonly bells: readonly BellMemory[];
  readonly seed: number;
  /** Of a capture thread; null: as it comes. */
  readonly processors: readonly number[] | null;
}

const absenceWords: Readonly<Record<string, string>> = {
  'interface-missing': 'it is gone',
  'interface-down': 'it is down',
};

/** What is told about an interface, once each time that it changes. */
class Telling {
  problem: string | null = null;
  readonly #name: string;
  readonly #log: WatchLog;
  #waits = false;

  constructor(name: string, log: WatchLog) {
    this.#name = name;
    this.#log = log;
  }

  /** A second reason (down first, then gone) is in the status only. */
  waiting(code: string): void {
    const why = absenceWords[code] ?? code;
    this.problem = why;
    if (this.#waits) return;
    this.#waits = true;
    this.#log.warn(
      `${this.#name} is not watched: ${why}; it will be again as soon as it is back`,
      'interface-lost',
    );
  }

  lost(why: string, pauseMillis: number): void {
    this.#waits = false;
    this.problem = `its capture was lost (${why})`;
    this.#log.warn(
      `the capture of ${this.#name} was lost (${why}); its packets are not seen until it is back in ${pauseMillis} ms`,
      'capture-lost',
    );
  }

  back(): void {
    this.#waits = false;
    this.problem = null;
    this.#log.info(`watching ${this.#name} again`);
  }
}

function startThread(settings: CaptureSettings): Worker {
  return new Worker(new URL('./capture-thread.js', import.meta.url), {
    workerData: settings,
    name: `capture-${settings.live.interface}`,
  });
}

export class RingWatch implements Watched {
  readonly #name: string;
  readonly #workers: number;
  readonly #telling: Telling;
  readonly #life: Supervised<FromCapture>;
  #waits = false;

  /** @param makeThread for tests */
  constructor(plan: WatchPlan, log: WatchLog, makeThread = startThread) {
    const { live, memories } = plan;
    this.#name = live.interface;
    this.#workers = memories.length;
    this.#telling = new Telling(live.interface, log);
    const life: Supervised<FromCapture> = new Supervised<FromCapture>({
      what: `the capture thread of ${live.interface}`,
      countsLength: captureCountsLength(memories.length),
      heartbeatAt: captureBeatAt(memories.length),
      standing: [captureBeatAt(memories.length)],
      make: (counters, control) => {
        this.#waits = false;
        const mayWait = life.restarts > 0;
        return makeThread({ ...plan, mayWait, counters, control });
      },
      hear: (message) => {
        this.#hear(message);
      },
      onLost: (why, pauseMillis) => {
        this.#telling.lost(why, pauseMillis);
      },
      onRestarted: () => {
        if (!this.#waits) this.#telling.back();
      },
    });
    this.#life = life;
  }

  start(): Promise<void> {
    return this.#life.launch();
  }

  stop(): Promise<void> {
    return this.#life.stop(false);
  }

  check(): void {
    this.#life.check();
  }

  report(): InterfaceReport {
    const { state, restarts } = this.#life;
    const counts = this.#life.counts();
    return {
      interface: this.#name,
      source: 'ring',
      state: state !== 'running' ? state : this.#waits ? 'waiting' : 'watching',
      captured: counts[capturedPacketsAt]!,
      kernel_dropped: counts[kernelDroppedAt(this.#workers)]!,
      skipped: counts[skippedPacketsAt]!,
      restarts: restarts + counts[reopenedAt(this.#workers)]!,
      problem: this.#telling.problem,
    };
  }

  #hear(message: FromCapture): void {
    this.#waits = message.kind === 'waiting';
    if (message.kind === 'waiting') this.#telling.waiting(message.code);
    else this.#telling.back();
  }
}

/** How often a missing interface is looked for, and pauses after any other end. */
const absentMillis = 500;
const pauseFirstMillis = 250;
const pauseLongestMillis = 30_000;
const healthyMillis = 60_000;

export class CapWatch implements Watched {
  readonly #plan: WatchPlan;
  readonly #open: (options: LiveOptions) => Promise<EventLiveSource>;
  readonly #telling: Telling;
  readonly #counts: Float64Array;
  readonly #dispatcher: Dispatcher;
  #state: InterfaceReport['state'] = 'starting';
  #source: EventLiveSource | null = null;
  #timer: NodeJS.Timeout | null = null;
  #opening: Promise<void> | null = null;
  #stopped = false;
  #restarts = 0;
  #pauseMillis = pauseFirstMillis;
  #openedMillis = 0;

  /** @param open for tests */
  constructor(plan: WatchPlan, log: WatchLog, open = openCap) {
    const { live, memories, bells, seed } = plan;
    this.#plan = plan;
    this.#open = open;
    this.#telling = new Telling(live.interface, log);
    this.#counts = new Float64Array(captureCountsLength(memories.length));
    this.#dispatcher = new Dispatcher({
      writers: memories.map((memory, worker) => new RingWriter(memory, bells[worker]!)),
      seed,
      counts: this.#counts,
    });
  }

  async start(): Promise<void> {
    await this.#begin();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#state = 'stopped';
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#opening;
    this.#source?.close();
  }

  check(): void {
    // The source says by itself when it ends.
  }

  report(): InterfaceReport {
    return {
      interface: this.#plan.live.interface,
      source: 'cap',
      state: this.#state,
      captured: this.#counts[capturedPacketsAt]!,
      kernel_dropped: null,
      skipped: this.#counts[skippedPacketsAt]!,
      restarts: this.#restarts,
      problem: this.#telling.problem,
    };
  }

  async #begin(): Promise<void> {
    const source = await this.#open(this.#plan.live);
    if (this.#stopped) {
      source.close();
      return;
    }
    this.#source = source;
    this.#state = 'watching';
    this.#openedMillis = Date.now();
    source.start(
      () => {
        this.#dispatcher.take(source.batch);
      },
      (error) => {
        this.#ended(error);
      },
    );
  }

  #ended(error: LiveSourceError): void {
    this.#source = null;
    if (this.#stopped) return;
    if (Date.now() - this.#openedMillis > healthyMillis) this.#pauseMillis = pauseFirstMillis;
    if (isAbsence(error)) this.#waitFor(error);
    else this.#pauseAfter(error);
  }

  #waitFor({ code }: LiveSourceError): void {
    this.#state = 'waiting';
    this.#telling.waiting(code);
    this.#againIn(absentMillis);
  }

  #pauseAfter({ message }: Error): void {
    this.#state = 'restarting';
    this.#telling.lost(message, this.#pauseMillis);
    this.#againIn(this.#pauseMillis);
    this.#pauseMillis = Math.min(this.#pauseMillis * 2, pauseLongestMillis);
  }

  #againIn(millis: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#opening = this.#again();
    }, millis);
  }

  async #again(): Promise<void> {
    try {
      await this.#begin();
    } catch (error) {
      if (this.#stopped) return;
      if (isAbsence(error)) this.#waitFor(error);
      else this.#pauseAfter(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (this.#stopped) return;
    this.#restarts++;
    this.#telling.back();
  }
}
