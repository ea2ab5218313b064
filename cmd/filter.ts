/**
 * The running filter: workers, kernel rules, control socket, metrics and event log, started in an order in which nothing
 * can be lost and stopped in the reverse one. Promises: when `start` fails nothing is left behind; after `stop` the
 * kernel is as it was; whatever dies in between, packets go on.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../lib/config/config.js';
import { MetricsServer } from '../lib/control/metrics-server.js';
import { InstanceLock } from '../lib/control/instance-lock.js';
import { ControlServer } from '../lib/control/server.js';
import { chooseFirewall, removeEverything } from '../lib/firewall/choose.js';
import { forgetDecisions, forgettingProblem } from '../lib/firewall/connections.js';
import type { Firewall } from '../lib/firewall/firewall.js';
import { MarkField } from '../lib/firewall/marks.js';
import { RulesWatch } from '../lib/firewall/watch.js';
import { InterfaceNames } from '../lib/io/interfaces.js';
import { DecisionList, flowEndsOf } from '../lib/report/decision-list.js';
import { EveLog } from '../lib/report/eve-log.js';
import { LiveHosts } from '../lib/report/host-table.js';
import type { Log } from '../lib/report/log.js';
import { metricsText } from '../lib/report/metrics.js';
import type { EndMemory, LiveExplanation } from '../lib/report/explain-live.js';
import type { FlowReport } from '../lib/report/report.js';
import type { DecisionReport, DoubtReport, StatusReport } from '../lib/report/status.js';
import { timeText } from '../lib/report/ended-flow.js';
import { confineControl } from './affinity.js';
import { UserError } from './errors.js';
import type { DecisionMessage, FromWorker } from './filter-settings.js';
import { plansOf, ruleSetOf } from './filter-plan.js';
import { StatusMaker } from './filter-status.js';
import { makeSwarmMemory } from './swarm-memory.js';
import { SwarmReader } from './swarm-status.js';
import { WorkerPool } from './worker-pool.js';

const rulesCheckMillis = 2000;
const findMillis = 2000;

interface Search {
  left: number;
  resolve(found: { flow: FlowReport; worker: number } | null): void;
}

/** Unique over all workers, and a whole number that JSON can carry. */
function flowId(worker: number, id: number): number {
  return worker * 2 ** 40 + id;
}

export class Filter {
  readonly #log: Log;
  readonly #decisions = new DecisionList();
  readonly #doubtful = new DecisionList<DoubtReport>();
  readonly #hosts = new LiveHosts();
  readonly #interfaces = new InterfaceNames();
  readonly #searches = new Map<number, Search>();
  readonly #status: StatusMaker;
  readonly #memory = makeSwarmMemory();
  readonly #swarm = new SwarmReader(this.#memory);
  #config: Config;
  #firewall: Firewall | null = null;
  #pool: WorkerPool | null = null;
  #watch: RulesWatch | null = null;
  #lock: InstanceLock | null = null;
  #control: ControlServer | null = null;
  #metrics: MetricsServer | null = null;
  #eve: EveLog | null = null;
  #nextSearch = 1;
  #turn: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | null = null;

  private constructor(config: Config, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#status = new StatusMaker(config);
  }

  /** @throws UserError, FirewallError, WorkerStartError or ControlError; nothing is left behind then */
  static async start(config: Config, log: Log): Promise<Filter> {
    const filter = new Filter(config, log);
    try {
      await filter.#start();
    } catch (error) {
      await filter.stop();
      throw error;
    }
    return filter;
  }

  async #start(): Promise<void> {
    const config = this.#config;
    this.#lock = InstanceLock.take(config.instance);
    this.#control = await ControlServer.listen(config.control.socket, this.#handlers());
    this.#eve = this.#openEve(config.eve.file);
    if (config.rules !== 'none') this.#firewall = await chooseFirewall(config.rules);
    const processors = confineControl(config);
    const plans = plansOf(config, this.#firewall?.pass ?? 'repeat', this.#memory, processors);
    this.#pool = new WorkerPool(plans, this.#events());
    await this.#pool.start();
    await this.#listen(config.metrics.listen);
    if (this.#firewall !== null) {
      await this.#removeOthers(this.#firewall);
      await this.#forgetDecisions();
      await this.#firewall.install(ruleSetOf(config));
      this.#startWatch();
    }
  }

  /** Rules that an earlier run left in another backend or front end would block what this one only watches. */
  async #removeOthers(firewall: Firewall): Promise<void> {
    try {
      await removeEverything(this.#config.instance, {}, firewall.name);
    } catch (error) {
      this.#log.warn(`rules of an earlier run may be left: ${(error as Error).message}`, 'rules-left');
    }
  }

  async #forgetDecisions(): Promise<void> {
    try {
      await forgetDecisions(new MarkField(this.#config.markMask));
    } catch (error) {
      this.#log.warn(forgettingProblem(error), 'decisions-kept');
    }
  }

  /** @throws ControlError when the address cannot be had */
  async #listen(address: string | null): Promise<void> {
    if (address !== null)
      this.#metrics = await MetricsServer.listen(address, () => metricsText(this.status()));
  }

  /** @throws UserError when the file cannot be written now; later trouble is reported and waited out */
  #openEve(file: string | null): EveLog | null {
    if (file === null) return null;
    const eve = EveLog.open(file, {
      onTrouble: ({ message }) => {
        this.#log.warn(message, 'eve-log');
      },
      onHealed: (dropped) => {
        this.#log.warn(`the event log can be written again; ${dropped} lines were lost`, 'eve-log');
      },
    });
    if (eve.trouble !== null) {
      void eve.close();
      throw new UserError('eve-file', eve.trouble.message);
    }
    return eve;
  }

  #startWatch(): void {
    const firewall = this.#firewall;
    if (firewall === null) return;
    this.#watch = new RulesWatch(firewall, ruleSetOf(this.#config), {
      intervalMillis: rulesCheckMillis,
      onRestored: (problems) => {
        this.#status.rulesRestored++;
        this.#status.rulesProblem = null;
        this.#log.warn(
          `another program changed our rules (${problems.join('; ')}): restored`,
          'rules-restored',
        );
      },
      onProblem: ({ code, message }) => {
        this.#status.rulesProblem = message;
        this.#log.warn(message, code);
      },
    });
  }

  /**
   * Takes a new configuration over, or none of it. What a running filter cannot change is the caller's to refuse. False
   * when a stop came first.
   */
  async reload(config: Config): Promise<boolean> {
    return this.#inTurn(async () => {
      if (this.#stopped !== null) return false;
      await this.#takeOver(config);
      return true;
    });
  }

  /** What can fail comes first, the kernel's rules last: a refused configuration must leave no trace. */
  async #takeOver(config: Config): Promise<void> {
    const before = this.#config;
    const moved = before.eve.file !== config.eve.file;
    const eve = moved ? this.#openEve(config.eve.file) : this.#eve;
    await this.#watch?.stop();
    this.#watch = null;
    try {
      await this.#moveMetrics(before, config);
      await this.#firewall?.install(ruleSetOf(config));
      this.#config = config;
    } catch (error) {
      if (moved) await eve?.close();
      await this.#moveMetrics(config, before).catch(() => {
        this.#log.warn('the metrics cannot be had at their old address either', 'metrics-lost');
      });
      throw error;
    } finally {
      this.#startWatch();
    }
    this.#status.configure(config);
    // What was decided by other rules of the operator is decided anew.
    const anew = !isDeepStrictEqual(
      [before.allow, before.action, before.names],
      [config.allow, config.action, config.names],
    );
    this.#pool?.configure(config, anew);
    if (anew) await this.#forgetDecisions();
    // Opened again in any case: that is how it is rotated.
    if (!moved) eve?.reopen();
    else {
      const old = this.#eve;
      this.#eve = eve;
      await old?.close();
    }
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

  /** Rules out, queues drained with accept, everything closed. Idempotent, and never rejects. */
  stop(): Promise<void> {
    this.#stopped ??= this.#inTurn(() => this.#stop());
    return this.#stopped;
  }

  /** Rules of ours may still be there after `stop`. */
  rulesLeft = false;

  async #stop(): Promise<void> {
    const { instance } = this.#config;
    const firewall = this.#firewall;
    await this.#watch?.stop();
    this.#watch = null;
    await this.#attempt('take the rules out', 'rules-left', () => firewall?.drain(instance));
    await this.#attempt('stop the workers', 'stop-failed', () => this.#pool?.stop(true));
    this.#pool = null;
    this.rulesLeft = !(await this.#attempt('remove the rules', 'rules-left', () =>
      firewall?.remove(instance),
    ));
    if (firewall !== null) await this.#forgetDecisions();
    this.#firewall = null;
    await this.#attempt('close the metrics', 'stop-failed', () => this.#metrics?.close());
    await this.#attempt('close the event log', 'stop-failed', () => this.#eve?.close());
    await this.#attempt('close the control socket', 'stop-failed', () => this.#control?.close());
    this.#lock?.release();
  }

  /** One step of the stop: whatever it throws, the others follow. */
  async #attempt(what: string, code: string, step: () => Promise<void> | undefined): Promise<boolean> {
    try {
      await step();
      return true;
    } catch (error) {
      this.#log.error(`could not ${what}: ${(error as Error).message}`, code);
      return false;
    }
  }

  /** @param all every host and decision that is remembered */
  status(all = false): StatusReport {
    return this.#status.report({
      all,
      pool: this.#pool,
      firewall: this.#firewall,
      rulesState: this.#watch?.state ?? 'unknown',
      decisions: this.#decisions,
      doubtful: this.#doubtful,
      swarm: this.#swarm,
      hosts: this.#hosts,
    });
  }

  #events(): ConstructorParameters<typeof WorkerPool>[1] {
    return {
      onDecisions: (worker, decisions) => {
        for (const decision of decisions) this.#hear(worker, decision);
      },
      onFound: (id, flow, worker) => {
        this.#heardOf(id, flow, worker);
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

  #hear(worker: number, message: DecisionMessage): void {
    const { action, timeMicros, inInterface, outInterface, flow } = message;
    const seen: DoubtReport = {
      time: timeText(timeMicros),
      worker,
      in_interface: this.#interfaces.name(inInterface),
      out_interface: this.#interfaces.name(outInterface),
      flow: { ...flow, flow_id: flowId(worker, flow.flow_id) },
    };
    if (action === 'pass') {
      this.#doubtful.add(seen);
      if (this.#config.eve.suspects) this.#eve?.doubt(seen);
      return;
    }
    const blocks = this.#config.mode === 'enforce' || action === 'accept';
    const decision: DecisionReport = { ...seen, action: blocks ? action : `monitor-${action}` };
    this.#decisions.add(decision);
    this.#hosts.add(decision);
    this.#eve?.decision(decision);
  }

  #handlers(): Record<string, (args: Record<string, unknown>) => unknown> {
    return {
      status: ({ all }) => this.status(all === true),
      explain: (args) => this.#explain(args),
      ...(process.env['SWARMGATE_TEST_FAULTS'] === '1'
        ? { 'worker-crash': ({ worker }) => this.#pool?.tell(Number(worker), { kind: 'crash' }) ?? false }
        : {}),
    };
  }

  /** Looks a flow up: in the workers' tables, then among the last decisions and doubts. */
  async #explain(args: Record<string, unknown>): Promise<LiveExplanation> {
    const ends = flowEndsOf(args);
    if (ends === null)
      throw new UserError('bad-flow', 'name a flow by its two ends, each an address and a port');
    const found = await this.#search(ends);
    const decision = this.#decisions.find(ends);
    const doubt = this.#doubtful.find(ends);
    const flow = found?.flow ?? decision?.flow ?? doubt?.flow;
    return {
      flow: found?.flow ?? null,
      worker: found?.worker ?? null,
      decision,
      doubt,
      memory: flow === undefined ? [] : this.#remembered(flow),
    };
  }

  /** Client and server, as the memory of the swarm knows them now. */
  #remembered({ client, client_port, server, server_port }: FlowReport): EndMemory[] {
    const ends = [
      this.#swarm.about(client, client_port, server),
      this.#swarm.about(server, server_port, client),
    ];
    return ends.filter((end) => end !== null);
  }

  #search(
    ends: NonNullable<ReturnType<typeof flowEndsOf>>,
  ): Promise<{ flow: FlowReport; worker: number } | null> {
    const id = this.#nextSearch++;
    return new Promise((resolve) => {
      const done = (found: { flow: FlowReport; worker: number } | null): void => {
        clearTimeout(limit);
        this.#searches.delete(id);
        resolve(found);
      };
      const limit = setTimeout(() => {
        done(null);
      }, findMillis);
      const protos = ends.proto === null ? (['tcp', 'udp'] as const) : ([ends.proto] as const);
      let left = 0;
      this.#searches.set(id, { left: 0, resolve: done });
      for (const proto of protos)
        left += this.#pool?.tellAll({ kind: 'find', id, ends: { ...ends, proto } }) ?? 0;
      const search = this.#searches.get(id);
      if (left === 0) done(null);
      else if (search !== undefined) search.left = left;
    });
  }

  #heardOf(id: number, flow: Extract<FromWorker, { kind: 'found' }>['flow'], worker: number): void {
    const search = this.#searches.get(id);
    if (search === undefined) return;
    search.left--;
    if (flow !== null) search.resolve({ flow: { ...flow, flow_id: flowId(worker, flow.flow_id) }, worker });
    else if (search.left === 0) search.resolve(null);
  }
}
