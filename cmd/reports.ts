/**
 * What the workers found, gathered for whoever asks: the last decisions and doubts, the hosts, the memory of the swarm,
 * and the event log. The same for packets that wait for a verdict and for packets that are only watched.
 */
import type { Config } from '../lib/config/config.js';
import type { EndMemory, LiveExplanation } from '../lib/report/explain-live.js';
import { DecisionList, flowEndsOf } from '../lib/report/decision-list.js';
import { EveLog } from '../lib/report/eve-log.js';
import { timeText } from '../lib/report/ended-flow.js';
import { LiveHosts } from '../lib/report/host-table.js';
import type { Log } from '../lib/report/log.js';
import type { FlowReport } from '../lib/report/report.js';
import type { DecisionReport, DoubtReport, EventLogReport } from '../lib/report/status.js';
import { exitUnavailable, UserError } from './errors.js';
import type { DecisionMessage, ToWorker } from './filter-settings.js';
import { flowId, FlowSearch } from './flow-search.js';
import { makeSwarmMemory } from './swarm-memory.js';
import { SwarmReader } from './swarm-status.js';

type NameOf = (interfaceIndex: number) => string | null;

/** An event log that is open and not in use yet. */
export interface EveChange {
  /** From now on records go there; a file that stays is opened again, which is how it is rotated. */
  commit(): Promise<void>;
  cancel(): Promise<void>;
}

export class Reports {
  readonly decisions = new DecisionList();
  readonly doubtful = new DecisionList<DoubtReport>();
  readonly hosts = new LiveHosts();
  readonly memory = makeSwarmMemory();
  readonly swarm = new SwarmReader(this.memory);
  readonly search = new FlowSearch();
  readonly #log: Log;
  readonly #nameOf: NameOf;
  #config: Config;
  #eve: EveLog | null = null;

  constructor(config: Config, log: Log, nameOf: NameOf) {
    this.#config = config;
    this.#log = log;
    this.#nameOf = nameOf;
  }

  /** @throws UserError when the event log cannot be written */
  open(): void {
    this.#eve = this.#openEve(this.#config.eve);
  }

  async close(): Promise<void> {
    await this.#eve?.close();
  }

  /** From now on decisions are told as this configuration has it. */
  configure(config: Config): void {
    this.#config = config;
    if (this.#eve !== null) this.#eve.perSecond = config.eve.perSecond;
  }

  /** What became of records; null: there is no event log. */
  get events(): EventLogReport | null {
    const eve = this.#eve;
    if (eve === null) return null;
    return { records: eve.lines, lost: eve.dropped, problem: eve.trouble?.message ?? null };
  }

  /** @throws UserError when the new file cannot be written; nothing has changed then */
  prepare(config: Config): EveChange {
    if (this.#config.eve.file === config.eve.file) {
      return {
        commit: async () => {
          this.#eve?.reopen();
          return Promise.resolve();
        },
        cancel: async () => Promise.resolve(),
      };
    }
    const eve = this.#openEve(config.eve);
    return {
      commit: async () => {
        const old = this.#eve;
        this.#eve = eve;
        await old?.close();
      },
      cancel: async () => eve?.close(),
    };
  }

  /** The file that is in use is opened again, whatever became of a new configuration: it may have been rotated. */
  reopen(): void {
    this.#eve?.reopen();
  }

  /** @throws UserError when the file cannot be written now; later trouble is reported and waited out */
  #openEve({ file, perSecond }: Config['eve']): EveLog | null {
    if (file === null) return null;
    let isOpen = false;
    const eve = EveLog.open(file, {
      perSecond,
      onLost: (dropped) => {
        this.#log.warn(
          `records that are not in the event log: ${dropped}; more came than eve.per_second, or than the disk took`,
          'eve-lost',
        );
      },
      onTrouble: ({ message }) => {
        if (isOpen) this.#log.warn(message, 'eve-log');
      },
      onHealed: (dropped) => {
        this.#log.warn(`the event log can be written again; ${dropped} lines were lost`, 'eve-log');
      },
    });
    if (eve.trouble !== null) {
      void eve.close();
      throw new UserError('eve-file', `${eve.trouble.message}; check eve.file`, exitUnavailable);
    }
    isOpen = true;
    return eve;
  }

  hear(worker: number, message: DecisionMessage): void {
    const { action, timeMicros, inInterface, outInterface, flow } = message;
    const seen: DoubtReport = {
      time: timeText(timeMicros),
      worker,
      in_interface: this.#nameOf(inInterface),
      out_interface: this.#nameOf(outInterface),
      flow: { ...flow, flow_id: flowId(worker, flow.flow_id) },
    };
    if (action === 'pass') {
      this.doubtful.add(seen);
      if (this.#config.eve.suspects) this.#eve?.doubt(seen);
      return;
    }
    const blocks = this.#config.mode === 'enforce' || action === 'accept';
    const decision: DecisionReport = { ...seen, action: blocks ? action : `monitor-${action}` };
    this.decisions.add(decision);
    this.hosts.add(decision);
    this.#eve?.decision(decision);
  }

  /** Looks a flow up: in the workers' tables, then among the last decisions and doubts. */
  async explain(
    args: Record<string, unknown>,
    tellAll: (message: ToWorker) => number,
  ): Promise<LiveExplanation> {
    const ends = flowEndsOf(args);
    if (ends === null)
      throw new UserError('bad-flow', 'name a flow by its two ends, each an address and a port');
    const found = await this.search.find(ends, tellAll);
    const decision = this.decisions.find(ends);
    const doubt = this.doubtful.find(ends);
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
      this.swarm.about(client, client_port, server),
      this.swarm.about(server, server_port, client),
    ];
    return ends.filter((end) => end !== null);
  }
}
