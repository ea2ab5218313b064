/**
 * What the table and HTML reports remember of a scan. Clear flows are only counted, so a million of them cost no
 * memory; every list has a bound and counts what it left out.
 */
import type { Confidence, Kind } from '../../detectors/detector.js';
import { BitTorrent, Clear, codeOf, Suspect, Unknown, verdicts, type Verdict } from '../engine/verdict.js';
import { HostTable, hostOf } from './hosts.js';
import { compareText } from './order.js';
import type { EndedFlow, EvidenceReport, FlowEssence, FlowReport } from './report.js';

/** Different info-hashes, client names and near-miss reasons kept. When full: further ones are only counted. */
export const talliedMax = 5000;
const hostsPerTallyMax = 100;
/** Hosts kept with all texts of one tally; some 90 bytes each. */
const hostsOfAllMax = 50_000;
const examplesMax = 3;

/** The flows with most bytes, at most `max` of them; holds up to twice as many while it collects. */
export class TopFlows {
  readonly #max: number;
  #flows: FlowReport[] = [];
  /** With fewer bytes a flow has no place; known once the list was full. */
  #bytesMin = 0;
  /** Flows offered, kept or not. */
  offered = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Offers a flow; its record, which is built only if it may have a place, or null. */
  offer(flow: EndedFlow): FlowReport | null {
    this.offered++;
    if (flow.bytes < this.#bytesMin) return null;
    const report = flow.report();
    this.#flows.push(report);
    if (this.#flows.length >= 2 * this.#max) this.#cut();
    return report;
  }

  list(): readonly FlowReport[] {
    this.#cut();
    return this.#flows;
  }

  #cut(): void {
    this.#flows.sort((a, b) => b.bytes - a.bytes || a.flow_id - b.flow_id);
    if (this.#flows.length < this.#max) return;
    this.#flows.length = this.#max;
    this.#bytesMin = this.#flows.at(-1)?.bytes ?? 0;
  }
}

export interface TallyEntry {
  readonly text: string;
  flows: number;
  bytes: number;
  readonly hosts: Set<string>;
  /** There were more hosts than are kept. */
  hasMoreHosts: boolean;
}

/** The first `most` hosts of an entry, each as `word` writes it, and how many more there are as far as is known. */
export function hostsText(
  { hosts, hasMoreHosts }: TallyEntry,
  most: number,
  word: (host: string) => string,
): string {
  if (hosts.size === 0) return 'not kept';
  const shown = [...hosts].slice(0, most).map((host) => word(host));
  const others = hosts.size - shown.length;
  if (hasMoreHosts) return `${shown.join(', ')} and ${others === 0 ? 'more' : `more than ${others} more`}`;
  return shown.join(', ') + (others === 0 ? '' : ` and ${others} more`);
}

/** Counts distinct texts (info-hashes, client names) with the hosts that used them. */
export class Tally {
  readonly #entries = new Map<string, TallyEntry>();
  #hosts = 0;
  /** Mentions that found no place. */
  leftOut = 0;

  get size(): number {
    return this.#entries.size;
  }

  add(text: string, bytes: number, host: string): void {
    let entry = this.#entries.get(text);
    if (entry === undefined) {
      if (this.#entries.size >= talliedMax) {
        this.leftOut++;
        return;
      }
      entry = { text, flows: 0, bytes: 0, hosts: new Set(), hasMoreHosts: false };
      this.#entries.set(text, entry);
    }
    entry.flows++;
    entry.bytes += bytes;
    if (entry.hosts.has(host)) return;
    if (entry.hosts.size >= hostsPerTallyMax || this.#hosts >= hostsOfAllMax) {
      entry.hasMoreHosts = true;
      return;
    }
    entry.hosts.add(host);
    this.#hosts++;
  }

  list(): TallyEntry[] {
    return [...this.#entries.values()].sort(
      (a, b) => b.flows - a.flows || b.bytes - a.bytes || compareText(a.text, b.text),
    );
  }
}

export interface KindEntry {
  readonly kind: Kind;
  flows: number;
  bytes: number;
  readonly confidence: Record<Confidence, number>;
}

export interface NearMissEntry {
  readonly detector: string;
  readonly kind: Kind;
  readonly finding: string;
  times: number;
  readonly examples: { readonly flow: FlowReport; readonly item: EvidenceReport }[];
}

export interface AggregateLimits {
  readonly flowsMax: number;
  readonly suspectsMax: number;
}

export class Aggregate {
  /** By the code of the verdict. */
  readonly #bytes = new Float64Array(verdicts.length);
  readonly kinds = new Map<Kind, KindEntry>();
  readonly hosts = new HostTable();
  readonly infoHashes = new Tally();
  readonly software = new Tally();
  readonly nearMisses = new Map<string, NearMissEntry>();
  nearMissesLeftOut = 0;
  nearMissFlows = 0;
  readonly top: TopFlows;
  readonly suspects: TopFlows;

  constructor(limits: AggregateLimits) {
    this.top = new TopFlows(limits.flowsMax);
    this.suspects = new TopFlows(limits.suspectsMax);
  }

  get bytesByVerdict(): Record<Verdict, number> {
    return {
      unknown: this.#bytes[Unknown]!,
      clear: this.#bytes[Clear]!,
      suspect: this.#bytes[Suspect]!,
      bittorrent: this.#bytes[BitTorrent]!,
    };
  }

  add(flow: EndedFlow): void {
    const { verdict } = flow;
    this.#bytes[codeOf(verdict)]! += flow.bytes;
    const spoke = verdict === 'bittorrent' || verdict === 'suspect';
    if (!spoke && flow.nearMissCount === 0) return;
    let report: FlowReport | null = null;
    if (verdict === 'bittorrent') {
      report = this.top.offer(flow);
      this.#addBitTorrent(report ?? flow.essence());
    } else if (verdict === 'suspect') report = this.suspects.offer(flow);
    if (flow.nearMissCount > 0) this.#addNearMisses(flow, report);
  }

  #addBitTorrent(flow: FlowEssence): void {
    this.hosts.add(flow);
    if (flow.kind !== null) this.#addKind(flow.kind, flow);
    const { host } = hostOf(flow);
    for (const hash of flow.info_hashes) this.infoHashes.add(hash, flow.bytes, host);
    for (const name of flow.client_software) this.software.add(name, flow.bytes, host);
  }

  #addKind(kind: Kind, flow: FlowEssence): void {
    let entry = this.kinds.get(kind);
    if (entry === undefined) {
      entry = { kind, flows: 0, bytes: 0, confidence: { proof: 0, strong: 0, hint: 0 } };
      this.kinds.set(kind, entry);
    }
    entry.flows++;
    entry.bytes += flow.bytes;
    if (flow.confidence !== null) entry.confidence[flow.confidence]++;
  }

  /** @param known the record of the flow if it was built already */
  #addNearMisses(flow: EndedFlow, known: FlowReport | null): void {
    let report = known;
    this.nearMissFlows++;
    for (const [i, { detector, kind, finding }] of flow.nearMisses().entries()) {
      const key = `${detector}\0${finding}`;
      let entry = this.nearMisses.get(key);
      if (entry === undefined) {
        if (this.nearMisses.size >= talliedMax) {
          this.nearMissesLeftOut++;
          continue;
        }
        entry = { detector, kind, finding, times: 0, examples: [] };
        this.nearMisses.set(key, entry);
      }
      entry.times++;
      if (entry.examples.length >= examplesMax) continue;
      report ??= flow.report();
      entry.examples.push({ flow: report, item: report.near_misses[i]! });
    }
  }

  kindList(): KindEntry[] {
    return [...this.kinds.values()].sort(
      (a, b) => b.bytes - a.bytes || b.flows - a.flows || compareText(a.kind, b.kind),
    );
  }

  nearMissList(): NearMissEntry[] {
    return [...this.nearMisses.values()].sort(
      (a, b) => b.times - a.times || compareText(a.detector, b.detector) || compareText(a.finding, b.finding),
    );
  }
}
