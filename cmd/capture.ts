/**
 * The monitor's intake: one capture per network interface, a ring from each of them to each worker, and the files with
 * the packets of what was found. Nothing can be blocked here, and nothing waits for us: what finds no room is skipped.
 */
import { randomInt } from 'node:crypto';
import type { Config, SourceChoice } from '../lib/config/config.js';
import { workerCount } from '../lib/config/load.js';
import { counterAt } from '../lib/engine/counters.js';
import { capProblem, ringProblem } from '../lib/io/open-live.js';
import type { Log } from '../lib/report/log.js';
import { liveOptionsOf, makeCaptureMemory, ringPlansOf, ringSizesOf } from './capture-plan.js';
import { exitUnavailable, UserError } from './errors.js';
import type { RingPlan } from './filter-settings.js';
import type { Attempt, Intake, IntakeStatus } from './intake.js';
import { Saver } from './saver.js';
import { checkMillis } from './supervised.js';
import type { SwarmMemory } from './swarm-memory.js';
import { CapWatch, RingWatch, type Watched } from './watched.js';

const notSavedAt = counterAt('packetsNotSaved');

/** What `source` means on this machine. @throws UserError 'source-missing' */
export function chooseSource(
  source: SourceChoice,
  problems = { ring: ringProblem, cap: capProblem },
): 'ring' | 'cap' {
  const wanted = source === 'auto' ? (['ring', 'cap'] as const) : [source];
  const missing: string[] = [];
  for (const kind of wanted) {
    const problem = problems[kind]();
    if (problem === null) return kind;
    missing.push(`${kind}: ${problem}`);
  }
  throw new UserError('source-missing', `nothing to capture with; ${missing.join('; ')}`, exitUnavailable);
}

export class Capture implements Intake {
  readonly #config: Config;
  readonly #log: Log;
  #watched: readonly Watched[] = [];
  #saver: Saver | null = null;
  #ringBytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(config: Config, log: Log) {
    this.#config = config;
    this.#log = log;
  }

  async plan(swarm: SwarmMemory, processors: readonly number[] | null): Promise<readonly RingPlan[]> {
    const config = this.#config;
    const { interfaces, source, save } = config.capture;
    const Watch = chooseSource(source) === 'ring' ? RingWatch : CapWatch;
    const memory = makeCaptureMemory(config);
    this.#ringBytes = memory.bytes;
    if (save.directory !== null && memory.saved !== null) {
      const options = { ...save, directory: save.directory, instance: config.instance };
      this.#saver = await Saver.open(options, memory.saved, this.#log);
    }
    const sizes = ringSizesOf(config);
    const seed = randomInt(0x7fffffff);
    this.#watched = interfaces.map((name, place) => {
      const live = liveOptionsOf(config, name);
      const memories = memory.rings[place]!;
      return new Watch({ live, sizes, memories, bells: memory.bells, seed, processors }, this.#log);
    });
    return ringPlansOf(config, memory, swarm, processors);
  }

  async begin(): Promise<void> {
    this.#saver?.start();
    await Promise.all(this.#watched.map((watched) => watched.start()));
    this.#timer = setInterval(() => {
      for (const watched of this.#watched) watched.check();
    }, checkMillis);
    this.#timer.unref();
  }

  /** What a capture is opened with stays until the restart; see the table of settings. */
  async reload(): Promise<void> {
    return Promise.resolve();
  }

  /** No kernel was told. */
  async forget(): Promise<void> {
    return Promise.resolve();
  }

  async cut(attempt: Attempt): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    const stops = this.#watched.map((watched) =>
      attempt('stop a capture', 'stop-failed', () => watched.stop()),
    );
    await Promise.all(stops);
  }

  async end(attempt: Attempt): Promise<void> {
    await attempt('close the saved captures', 'stop-failed', () => this.#saver?.stop());
  }

  /** A packet's interface is its place among those that are watched, from 1. */
  interfaceName(index: number): string | null {
    return this.#config.capture.interfaces[index - 1] ?? null;
  }

  status(counts: Float64Array): IntakeStatus {
    return {
      rules: { backend: 'none', state: 'unknown', restored: 0, problem: null },
      tracking: null,
      capture: {
        interfaces: this.#watched.map((watched) => watched.report()),
        ring_bytes: this.#ringBytes,
        saved: this.#saver?.report(counts[notSavedAt]!) ?? null,
      },
    };
  }

  readyText(): string {
    const watched = this.#watched.map((each) => each.report());
    const names = watched.map((report) => `${report.interface} (${report.source})`);
    return `watching ${names.join(', ')}, nothing is blocked; ${workerCount(this.#config)} workers`;
  }

  /** It has none. */
  readonly rulesLeft = false;

  stoppedText(): string {
    return 'stopped';
  }

  abortedText(): string {
    return 'stopped at once';
  }
}
