/**
 * What a scan counts: by one thread over all files, or by a worker over one file and then added up in the order of the
 * files, which gives the same sums, lists and order.
 */
import { BitTorrent, Clear, codeOf, Suspect, Unknown, verdicts } from '../lib/engine/verdict.js';
import { linkTypeName } from '../lib/io/link-types.js';
import type { EndedFlow, LimitsReached, ScanSummary, WarningReport } from '../lib/report/report.js';
import { version } from '../lib/version.js';
import { decodeOutcomes, NotIp, Ok } from '../lib/wire/packet.js';

const warningsMax = 1000;

/** The counts of some files as plain data, which a thread can send. Flows are not among them: who shows them counts them. */
export interface ScanPart {
  readonly files: number;
  readonly failed: number;
  readonly passedOver: number;
  readonly incomplete: number;
  readonly packets: number;
  readonly bytes: number;
  readonly firstSeen: number;
  readonly lastSeen: number;
  readonly outcomes: Float64Array;
  readonly unsupported: ReadonlyMap<number, number>;
  readonly warnings: readonly WarningReport[];
  readonly limits: LimitsReached;
}

export const noLimits: LimitsReached = {
  flowsEvicted: 0,
  openingsTakenOver: 0,
  evidenceDropped: 0,
  datagramsEvicted: 0,
};

export class ScanTally {
  files = 0;
  failed = 0;
  passedOver = 0;
  /** Files of which nothing or not everything could be read. */
  incomplete = 0;
  packets = 0;
  bytes = 0;
  firstSeen = Number.POSITIVE_INFINITY;
  lastSeen = Number.NEGATIVE_INFINITY;
  flows = 0;
  /** Frames by the outcome of their decode. */
  readonly outcomes = new Float64Array(decodeOutcomes.length);
  /** Packets by the number of their link type, if that is not supported. */
  readonly unsupported = new Map<number, number>();
  readonly warnings: WarningReport[] = [];
  /** Limits reached in parts that were added. */
  limits = noLimits;
  /** Flows by the code of their verdict. */
  readonly #verdicts = new Float64Array(verdicts.length);
  readonly #warningCounts = new Map<string, number>();
  #warningsLeftOut = 0;
  readonly #started = performance.now();

  flow(flow: EndedFlow): void {
    this.flows++;
    this.#verdicts[codeOf(flow.verdict)]! += 1;
  }

  link(linkType: number, packets: number): void {
    this.unsupported.set(linkType, (this.unsupported.get(linkType) ?? 0) + packets);
  }

  warn(warning: WarningReport): void {
    const { code } = warning;
    this.#warningCounts.set(code, (this.#warningCounts.get(code) ?? 0) + 1);
    if (this.warnings.length < warningsMax) this.warnings.push(warning);
    else this.#warningsLeftOut++;
  }

  add(part: ScanPart): void {
    this.files += part.files;
    this.failed += part.failed;
    this.passedOver += part.passedOver;
    this.incomplete += part.incomplete;
    this.packets += part.packets;
    this.bytes += part.bytes;
    this.firstSeen = Math.min(this.firstSeen, part.firstSeen);
    this.lastSeen = Math.max(this.lastSeen, part.lastSeen);
    for (const [outcome, count] of part.outcomes.entries()) this.outcomes[outcome]! += count;
    for (const [linkType, packets] of part.unsupported) this.link(linkType, packets);
    for (const warning of part.warnings) this.warn(warning);
    this.limits = sum(this.limits, part.limits);
  }

  /** These counts as a part. @param limits those of this thread's own tables */
  part(limits: LimitsReached): ScanPart {
    const { files, failed, passedOver, incomplete, packets, bytes, firstSeen, lastSeen } = this;
    const { outcomes, unsupported, warnings } = this;
    return {
      ...{ files, failed, passedOver, incomplete, packets, bytes, firstSeen, lastSeen },
      ...{ outcomes, unsupported, warnings, limits },
    };
  }

  /** @param limits those of this thread's own tables, beside those of the parts */
  summary(limits: LimitsReached = noLimits): ScanSummary {
    const frames: Record<string, number> = {};
    for (const [index, name] of decodeOutcomes.entries()) {
      if (this.outcomes[index]! > 0 || index === Ok || index === NotIp) frames[name] = this.outcomes[index]!;
    }
    return {
      version,
      files: this.files,
      filesFailed: this.failed,
      filesPassedOver: this.passedOver,
      packets: this.packets,
      bytes: this.bytes,
      flows: this.flows,
      flowsByVerdict: {
        bittorrent: this.#verdicts[BitTorrent]!,
        suspect: this.#verdicts[Suspect]!,
        clear: this.#verdicts[Clear]!,
        unknown: this.#verdicts[Unknown]!,
      },
      frames,
      unsupportedLinks: [...this.unsupported].map(([linkType, packets]) => ({
        linkType,
        name: linkTypeName(linkType),
        packets,
      })),
      warnings: this.warnings,
      warningCounts: Object.fromEntries(this.#warningCounts),
      warningsLeftOut: this.#warningsLeftOut,
      limits: sum(this.limits, limits),
      firstSeenMicros: Number.isFinite(this.firstSeen) ? this.firstSeen : null,
      lastSeenMicros: Number.isFinite(this.lastSeen) ? this.lastSeen : null,
      elapsedSeconds: (performance.now() - this.#started) / 1000,
    };
  }
}

export function difference(a: LimitsReached, b: LimitsReached): LimitsReached {
  return {
    flowsEvicted: a.flowsEvicted - b.flowsEvicted,
    openingsTakenOver: a.openingsTakenOver - b.openingsTakenOver,
    evidenceDropped: a.evidenceDropped - b.evidenceDropped,
    datagramsEvicted: a.datagramsEvicted - b.datagramsEvicted,
  };
}

function sum(a: LimitsReached, b: LimitsReached): LimitsReached {
  return {
    flowsEvicted: a.flowsEvicted + b.flowsEvicted,
    openingsTakenOver: a.openingsTakenOver + b.openingsTakenOver,
    evidenceDropped: a.evidenceDropped + b.evidenceDropped,
    datagramsEvicted: a.datagramsEvicted + b.datagramsEvicted,
  };
}
