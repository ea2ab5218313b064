/** The outcome of a scan in plain words: what was found, what was not, and what could not be looked at. */
import type { Aggregate } from './aggregate.js';
import { bytesText, countText, isoMicros, percentText, plural } from './format.js';
import { kindsOf } from './hosts.js';
import { printable } from './escape.js';
import type { ScanSummary, WarningReport } from './report.js';

/** The first sentence of every report. */
export function verdictSentence(summary: ScanSummary, aggregate: Aggregate): string {
  const found = summary.flowsByVerdict.bittorrent;
  if (summary.flows === 0) {
    const what =
      summary.packets === 0 ? 'no packets' : `no TCP or UDP flows in ${plural(summary.packets, 'packet')}`;
    return `Nothing to judge: ${what}.`;
  }
  if (found === 0) return `No BitTorrent found in ${plural(summary.flows, 'flow')}.`;
  const bytes = aggregate.bytesByVerdict.bittorrent;
  return (
    `BitTorrent found: ${countText(found)} of ${plural(summary.flows, 'flow')}, ${hostsText(aggregate)}, ` +
    `${bytesText(bytes)} (${percentText(bytes, summary.bytes)} of the traffic).`
  );
}

function hostsText(aggregate: Aggregate): string {
  const { size, localCount, flowsLeftOut } = aggregate.hosts;
  const more = flowsLeftOut > 0 ? 'more than ' : '';
  if (localCount === 0 || localCount === size) {
    const word = localCount > 0 ? 'local host' : 'host';
    return `${more}${plural(size, word)}`;
  }
  return `${more}${plural(size, 'host')} (${countText(localCount)} local)`;
}

/** Sentences that qualify the first one; empty if nothing has to be said. */
export function caveats(summary: ScanSummary): string[] {
  const out: string[] = [];
  const { suspect, unknown } = summary.flowsByVerdict;
  if (suspect > 0) {
    const verb = suspect === 1 ? 'is' : 'are';
    out.push(
      `${plural(suspect, 'flow')} ${verb} suspect: something spoke for BitTorrent, but not enough to decide.`,
    );
  }
  if (unknown > 0 && summary.flows > 0) {
    const verb = unknown === 1 ? 'was' : 'were';
    out.push(
      `${plural(unknown, 'flow')} ${verb} not recognised as any protocol; encrypted BitTorrent would be among such flows.`,
    );
  }
  out.push(...inputCaveats(summary));
  return out;
}

function inputCaveats(summary: ScanSummary): string[] {
  const out: string[] = [];
  if (summary.filesFailed > 0) {
    const all =
      summary.filesFailed >= summary.files
        ? 'This says nothing about the traffic'
        : `Nothing is known about what ${summary.filesFailed === 1 ? 'it holds' : 'they hold'}`;
    out.push(
      `${plural(summary.filesFailed, 'file')} of ${countText(summary.files)} could not be read. ${all}.`,
    );
  }
  const skipped = summary.unsupportedLinks.reduce((sum, link) => sum + link.packets, 0);
  if (skipped > 0) out.push(`${plural(skipped, 'packet')} of unsupported link types were skipped.`);
  out.push(...damageCaveats(summary.warnings));
  return out;
}

/** Codes as lib/io gives them; any other warning is only counted, its text stands in the list of warnings. */
function damageCaveats(warnings: readonly WarningReport[]): string[] {
  const out: string[] = [];
  const cut = warnings.filter((warning) => warning.code === 'capture-cut').length;
  const damaged = warnings.filter((warning) => warning.code === 'capture-malformed').length;
  if (cut > 0) {
    const verb = cut === 1 ? 'ends' : 'end';
    out.push(
      `${plural(cut, 'capture')} ${verb} in the middle of a packet; everything up to the cut was judged.`,
    );
  }
  if (damaged > 0) {
    const verb = damaged === 1 ? 'is' : 'are';
    out.push(`${plural(damaged, 'capture')} ${verb} damaged; nothing after the damage was read.`);
  }
  const others = warnings.length - cut - damaged;
  if (others > 0)
    out.push(
      `${plural(others, cut + damaged > 0 ? 'further warning' : 'warning')}: see the list of warnings.`,
    );
  return out;
}

/** A warning as one line; most messages begin with the file's name already. */
export function warningText(warning: WarningReport): string {
  const file = printable(warning.file);
  const message = printable(warning.message, 500);
  return message.includes(file) ? message : `${file}: ${message}`;
}

/** Key names of the JSON format; like FlowReport they are public. */
export function summaryRecord(summary: ScanSummary, aggregate: Aggregate): Record<string, unknown> {
  const { firstSeenMicros, lastSeenMicros } = summary;
  return {
    text: verdictSentence(summary, aggregate),
    caveats: caveats(summary),
    version: summary.version,
    files: summary.files,
    files_failed: summary.filesFailed,
    packets: summary.packets,
    bytes: summary.bytes,
    flows: summary.flows,
    flows_by_verdict: summary.flowsByVerdict,
    bytes_by_verdict: aggregate.bytesByVerdict,
    frames: summary.frames,
    unsupported_links: summary.unsupportedLinks.map((link) => ({
      link_type: link.linkType,
      name: link.name,
      packets: link.packets,
    })),
    warnings: summary.warnings,
    first_seen: firstSeenMicros === null ? null : isoMicros(firstSeenMicros),
    last_seen: lastSeenMicros === null ? null : isoMicros(lastSeenMicros),
    elapsed_seconds: summary.elapsedSeconds,
  };
}

/** Hosts for the JSON format. */
export function hostRecords(aggregate: Aggregate): Record<string, unknown>[] {
  return aggregate.hosts.list().map((host) => ({
    address: host.address,
    local: host.local,
    flows: host.flows,
    bytes: host.bytes,
    peers: host.peers.size,
    peers_counted_all: !host.morePeers,
    kinds: kindsOf(host),
    client_software: [...host.software],
  }));
}

/** Kinds for the JSON format. */
export function kindRecords(aggregate: Aggregate): Record<string, unknown>[] {
  return aggregate.kindList().map((entry) => ({ ...entry }));
}
