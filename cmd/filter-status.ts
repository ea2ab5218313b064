/** Puts the status of a running filter together from what its parts know. */
import type { Config } from '../lib/config/config.js';
import { readQueueStats } from '../lib/control/queue-stats.js';
import type { Firewall, RulesState } from '../lib/firewall/firewall.js';
import { decisionsMax, type DecisionList } from '../lib/report/decision-list.js';
import { liveHostsMax, type LiveHosts } from '../lib/report/host-table.js';
import { countOf, rates, statusParts, sumCounters } from '../lib/report/status-builder.js';
import type { DoubtReport, StatusReport, WorkerReport } from '../lib/report/status.js';
import { version } from '../lib/version.js';
import type { SwarmReader } from './swarm-status.js';
import type { WorkerPool } from './worker-pool.js';

const hostsShown = 64;
const decisionsShown = 64;
/** Rates are taken over at least this time, so that two askers in a row do not get noise. */
const rateMillis = 900;

export interface StatusSources {
  readonly all: boolean;
  readonly pool: WorkerPool | null;
  readonly firewall: Firewall | null;
  readonly rulesState: RulesState | 'unknown';
  readonly decisions: DecisionList;
  readonly doubtful: DecisionList<DoubtReport>;
  readonly swarm: SwarmReader;
  readonly hosts: LiveHosts;
}

export class StatusMaker {
  rulesRestored = 0;
  rulesProblem: string | null = null;
  readonly #started = new Date();
  #modeSince = new Date();
  #config: Config;
  #last = { millis: performance.now(), sum: sumCounters([]) };
  #rates = { packets_per_second: 0, bits_per_second: 0 };

  constructor(config: Config) {
    this.#config = config;
  }

  configure(config: Config): void {
    if (config.mode !== this.#config.mode) this.#modeSince = new Date();
    this.#config = config;
  }

  report(sources: StatusSources): StatusReport {
    const { all, pool, firewall, rulesState, decisions, doubtful, swarm, hosts } = sources;
    const states = pool?.states ?? [];
    const counts = states.map(({ worker }) => pool!.countsOf(worker));
    const sum = sumCounters(counts);
    this.#measure(sum);
    const none = firewall === null;
    return {
      version,
      instance: this.#config.instance,
      mode: this.#config.mode,
      mode_since: this.#modeSince.toISOString(),
      pid: process.pid,
      started: this.#started.toISOString(),
      uptime_seconds: (Date.now() - this.#started.getTime()) / 1000,
      rules: {
        backend: firewall?.name ?? 'none',
        state: none ? 'unknown' : rulesState,
        restored: this.rulesRestored,
        problem: rulesState === 'intact' ? null : this.rulesProblem,
      },
      ...statusParts(sum),
      ...this.#rates,
      swarm: swarm.report(),
      workers: workerReports(states, counts),
      hosts: hosts.top(all ? liveHostsMax : hostsShown),
      decisions: decisions.newest(all ? decisionsMax : decisionsShown),
      doubtful: doubtful.newest(all ? decisionsMax : decisionsShown),
      memory_bytes: process.memoryUsage.rss(),
    };
  }

  #measure(sum: Float64Array): void {
    const now = performance.now();
    const millis = now - this.#last.millis;
    if (millis < rateMillis) return;
    this.#rates = rates(this.#last.sum, sum, millis / 1000);
    this.#last = { millis: now, sum };
  }
}

function workerReports(states: WorkerPool['states'], counts: readonly Float64Array[]): WorkerReport[] {
  const queues = readQueueStats();
  return states.map(({ worker, queue, state, restarts }, index) => {
    const kernel = queues.get(queue);
    return {
      worker,
      queue,
      state,
      restarts,
      packets: countOf(counts[index]!, 'packets'),
      flows: countOf(counts[index]!, 'flowsNow'),
      waiting: kernel?.waiting ?? null,
      kernel_dropped: kernel?.queueDropped ?? null,
      socket_dropped: kernel?.userDropped ?? null,
    };
  });
}
