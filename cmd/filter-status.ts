/** Puts the status of a running instance together from what its parts know. */
import type { Config } from '../lib/config/config.js';
import { readQueueStats } from '../lib/control/queue-stats.js';
import { decisionsMax } from '../lib/report/decision-list.js';
import { liveHostsMax } from '../lib/report/host-table.js';
import { countOf, rates, statusParts, sumCounters } from '../lib/report/status-builder.js';
import type { StatusReport, WorkerReport } from '../lib/report/status.js';
import { version } from '../lib/version.js';
import type { Intake } from './intake.js';
import type { Reports } from './reports.js';
import type { WorkerPool } from './worker-pool.js';

const hostsShown = 64;
const decisionsShown = 64;
/** Rates are taken over at least this time, so that two askers in a row do not get noise. */
const rateMillis = 900;

export interface StatusSources {
  readonly all: boolean;
  readonly pool: WorkerPool | null;
  readonly intake: Intake;
  readonly reports: Reports;
}

export class StatusMaker {
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
    const { all, pool, intake } = sources;
    const { decisions, doubtful, swarm, hosts } = sources.reports;
    const states = pool?.states ?? [];
    const counts = states.map(({ worker }) => pool!.countsOf(worker));
    const sum = sumCounters(counts);
    this.#measure(sum);
    return {
      version,
      instance: this.#config.instance,
      mode: this.#config.mode,
      mode_since: this.#modeSince.toISOString(),
      pid: process.pid,
      started: this.#started.toISOString(),
      uptime_seconds: (Date.now() - this.#started.getTime()) / 1000,
      ...intake.status(sum),
      ...statusParts(sum),
      ...this.#rates,
      swarm: swarm.report(),
      events: sources.reports.events,
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
  const queues = states.some(({ queue }) => queue !== null) ? readQueueStats() : null;
  return states.map(({ worker, queue, state, restarts }, index) => {
    const kernel = queue === null ? undefined : queues?.get(queue);
    return {
      worker,
      queue,
      state,
      restarts,
      packets: countOf(counts[index]!, 'packets'),
      flows: countOf(counts[index]!, 'flowsNow'),
      waiting: kernel?.waiting ?? null,
      uninspected: queue === null ? null : countOf(counts[index]!, 'overruns'),
      kernel_dropped: kernel?.queueDropped ?? null,
      socket_dropped: kernel?.userDropped ?? null,
    };
  });
}
