/** Where an instance's packets come from: the one thing in which `run` and `monitor` differ. */
import type { Config } from '../lib/config/config.js';
import type { StatusReport } from '../lib/report/status.js';
import type { WorkerPlan } from './filter-settings.js';
import type { SwarmMemory } from './swarm-memory.js';

/** What of the status only the intake knows. */
export type IntakeStatus = Pick<StatusReport, 'rules' | 'tracking' | 'capture'>;

/** One step of a stop: whatever it throws is logged with its code, and the others follow. False when it failed. */
export type Attempt = (what: string, code: string, step: () => Promise<void> | undefined) => Promise<boolean>;

export interface Intake {
  /**
   * What each worker will read from. Nothing is visible outside yet. @throws an error with a code
   * @param processors for threads of the data plane; null: as they come
   */
  plan(swarm: SwarmMemory, processors: readonly number[] | null): Promise<readonly WorkerPlan[]>;
  /**
   * The workers are ready: from now on packets come. @throws an error with a code
   * @param stopWanted true once a signal came: what is waited for is given up, by a ControlError 'stop-wanted'
   */
  begin(stopWanted: () => boolean): Promise<void>;
  /** Takes a new configuration over, or throws and keeps the old one. */
  reload(config: Config): Promise<void>;
  /** What the kernel remembers of decisions is to be forgotten: they are taken anew. */
  forget(): Promise<void>;
  /** Nothing new comes to the workers after this; they see to what waits. */
  cut(attempt: Attempt): Promise<void>;
  /** The workers are gone. */
  end(attempt: Attempt): Promise<void>;
  /** Name of a network interface, null where it has none. */
  interfaceName(index: number): string | null;
  /** @param counts of all workers together, as in counters.ts */
  status(counts: Float64Array): IntakeStatus;
  /** After the stop: rules may still be there. */
  readonly rulesLeft: boolean;
  /** Words for the log: what it does, once it does; how it ended; and what is left when it is ended at once. */
  readyText(): string;
  stoppedText(): string;
  abortedText(): string;
}
