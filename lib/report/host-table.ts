/**
 * Which hosts a running filter decided about, bounded: when the table is full the host that was seen least recently
 * makes room. `hostOf` says which end of a flow is the host.
 */
import type { Kind } from '../../detectors/detector.js';
import { hostOf } from './hosts.js';
import type { DecisionReport, HostReport } from './status.js';

export const liveHostsMax = 4096;

interface Entry {
  flows: number;
  readonly kinds: Partial<Record<Kind, number>>;
  readonly firstSeen: string;
  lastSeen: string;
}

export class LiveHosts {
  /** In the order in which they were last seen, the oldest first. */
  readonly #entries = new Map<string, Entry>();
  readonly #max: number;

  constructor(max = liveHostsMax) {
    this.#max = Math.max(1, max);
  }

  get size(): number {
    return this.#entries.size;
  }

  add({ flow, time }: Pick<DecisionReport, 'flow' | 'time'>): void {
    const { host } = hostOf(flow);
    const entry = this.#entries.get(host) ?? { flows: 0, kinds: {}, firstSeen: time, lastSeen: time };
    this.#entries.delete(host);
    this.#entries.set(host, entry);
    entry.flows++;
    entry.lastSeen = time;
    if (flow.kind !== null) entry.kinds[flow.kind] = (entry.kinds[flow.kind] ?? 0) + 1;
    if (this.#entries.size <= this.#max) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
  }

  /** The hosts with most flows, of equal ones the most recently seen first. */
  top(count: number): HostReport[] {
    return [...this.#entries]
      .reverse()
      .sort(([, a], [, b]) => b.flows - a.flows)
      .slice(0, count)
      .map(([address, { flows, kinds, firstSeen, lastSeen }]) => ({
        address,
        flows,
        kinds: { ...kinds },
        first_seen: firstSeen,
        last_seen: lastSeen,
      }));
  }
}
