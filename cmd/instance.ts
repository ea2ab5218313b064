/**
 * A running instance, inline or passive: intake, workers, control socket, metrics and event log, started in an order in
 * which nothing can be lost and stopped in the reverse one. Promises: when `start` fails nothing is left behind; after
 * `stop` the machine is as it was; whatever dies in between, packets go on.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../lib/config/config.js';
import { MetricsServer } from '../lib/control/metrics-server.js';
import { InstanceLock } from '../lib/control/instance-lock.js';
import { ControlServer } from '../lib/control/server.js';
import type { Log } from '../lib/report/log.js';
import { metricsText } from '../lib/report/metrics.js';
import type { StatusReport } from '../lib/report/status.js';
import { confineControl } from './affinity.js';
import { StatusMaker } from './filter-status.js';
import type { Attempt, Intake } from './intake.js';
import { Reports } from './reports.js';
import { WorkerPool, type WorkerPoolEvents } from './worker-pool.js';

export type MakeIntake = (config: Config, log: Log) => Intake;

export class Instance {
  readonly intake: Intake;
  readonly #log: Log;
  readonly #reports: Reports;
  readonly #status: StatusMaker;
  #config: Config;
  #pool: WorkerPool | null = null;
  #lock: InstanceLock | null = null;
  #control: ControlServer | null = null;
  #metrics: MetricsServer | null = null;
  #turn: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  private constructor(config: Config, log: Log, makeIntake: MakeIntake) {
    this.#config = config;
    this.#log = log;
    this.intake = makeIntake(config, log);
    this.#reports = new Reports(config, log, (index) => this.intake.interfaceName(index));
    this.#status = new StatusMaker(config);
  }

  /** @throws UserError, FirewallError, WorkerStartError or ControlError; nothing is left behind then */
  static async start(
    config: Config,
    log: Log,
    makeIntake: MakeIntake,
    stopWanted: () => boolean,
  ): Promise<Instance> {
    const instance = new Instance(config, log, makeIntake);
    try {
      await instance.#start(stopWanted);
    } catch (error) {
      await instance.stop();
      throw error;
    }
    return instance;
  }

  async #start(stopWanted: () => boolean): Promise<void> {
    const config = this.#config;
    this.#lock = InstanceLock.take(config.instance);
    this.#control = await ControlServer.listen(config.control.socket, this.#handlers());
    this.#reports.open();
    const plans = await this.intake.plan(this.#reports.memory, confineControl(config));
    this.#pool = new WorkerPool(plans, this.#events());
    await this.#pool.start();
    await this.#listen(config.metrics.listen);
    await this.intake.begin(stopWanted);
  }

  /** @throws ControlError when the address cannot be had */
  async #listen(address: string | null): Promise<void> {
    if (address !== null)
      this.#metrics = await MetricsServer.listen(address, () => metricsText(this.status()));
  }

  /**
   * Takes a new configuration over, or none of it. What a running instance cannot change is the caller's to refuse. False
   * when a stop came first.
   */
  async reload(config: Config): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#stopped !== null) return false;
      await this.#takeOver(config);
      return true;
    });
  }

  /** Nothing was taken over, but the event log may have been rotated. */
  reopen(): void {
    this.#reports.reopen();
  }

  /** What can fail comes first, the kernel's rules last: a refused configuration must leave no trace. */
  async #takeOver(config: Config): Promise<void> {
    const before = this.#config;
    const eve = this.#reports.prepare(config);
    try {
      await this.#moveMetrics(before, config);
      await this.intake.reload(config);
      this.#config = config;
    } catch (error) {
      await eve.cancel();
      await this.#moveMetrics(config, before).catch(() => {
        this.#log.warn('the metrics cannot be had at their old address either', 'metrics-lost');
      });
      throw error;
    }
    this.#reports.configure(config);
    this.#status.configure(config);
    // What was decided by other rules of the operator is decided anew.
    const anew = !isDeepStrictEqual(
      [before.allow, before.action, before.names],
      [config.allow, config.action, config.names],
    );
    // Before the kernel forgets: a flow that comes back at once is to be judged by what is new.
    await this.#pool?.configure(config, anew);
    if (anew) await this.intake.forget();
    await eve.commit();
  }

  async #moveMetrics(from: Config, to: Config): Promise<void> {
    if (from.metrics.listen === to.metrics.listen) return;
    await this.#metrics?.close();
    this.#metrics = null;
    await this.#listen(to.metrics.listen);
  }

  /** Reloads and the stop come one after another: half of one in the midst of the other would leave rules behind. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(task);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /** No new packets, those that wait seen to, everything closed. Idempotent, and never rejects. */
  stop(): Promise<void> {
    this.#stopped ??= this.#inTurn(() => this.#stop());
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    await this.intake.cut(this.#attempt);
    await this.#attempt('stop the workers', 'stop-failed', () => this.#pool?.stop(true));
    this.#pool = null;
    await this.intake.end(this.#attempt);
    await this.#attempt('close the metrics', 'stop-failed', () => this.#metrics?.close());
    await this.#attempt('close the event log', 'stop-failed', () => this.#reports.close());
    await this.#attempt('close the control socket', 'stop-failed', () => this.#control?.close());
    // Whoever asked held descriptors, without which no tool can be started.
    if (this.intake.rulesLeft) await this.intake.end(this.#attempt);
    this.#lock?.release();
  }

  readonly #attempt: Attempt = async (what, code, step) => {
    try {
      await step();
      return true;
    } catch (error) {
      this.#log.error(`could not ${what}: ${(error as Error).message}`, code);
      return false;
    }
  };

  /** @param all every host and decision that is remembered */
  status(all = false): StatusReport {
    return this.#status.report({
      all,
      pool: this.#pool,
      intake: this.intake,
      reports: this.#reports,
    });
  }

  #events(): WorkerPoolEvents {
    return {
      onDecisions: (worker, decisions) => {
        for (const decision of decisions) this.#reports.hear(worker, decision);
      },
      onFound: (id, flow, worker) => {
        this.#reports.search.heard(id, flow, worker);
      },
      onLost: (worker, why, pauseMillis) => {
        this.#log.warn(
          `worker ${worker} was lost (${why}); its packets pass uninspected until it is back in ${pauseMillis} ms`,
          'worker-lost',
        );
      },
      onRestarted: (worker) => {
        this.#log.info(`worker ${worker} is back`);
      },
    };
  }

  #handlers(): Record<string, (args: Record<string, unknown>) => unknown> {
    return {
      status: ({ all }) => this.status(all === true),
      explain: (args) => this.#reports.explain(args, (message) => this.#pool?.tellAll(message) ?? 0),
      ...(process.env['SWARMGATE_TEST_FAULTS'] === '1'
        ? { 'worker-crash': ({ worker }) => this.#pool?.tell(Number(worker), { kind: 'crash' }) ?? false }
        : {}),
    };
  }
}
