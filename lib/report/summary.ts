/** The outcome of a scan in plain words: what was found, what was not, and what could not be looked at. */
import type { Aggregate } from './aggregate.js';
import { bytesText, countText, isoMicros, percentText, plural } from './format.js';
import { kindsOf } from './hosts.js';
import { printable } from './escape.js';
import type { LimitsReached, ScanSummary, WarningReport } from './report.js';

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
      `${countText(summary.filesFailed)} of ${plural(summary.files, 'file')} could not be read. ${all}.`,
    );
  }
  const skipped = summary.unsupportedLinks.reduce((sum, link) => sum + link.packets, 0);
  if (skipped > 0) out.push(`${plural(skipped, 'packet')} of unsupported link types were skipped.`);
  out.push(...damageCaveats(summary.warningCounts));
  const limits = limitsCaveat(summary.limits);
  if (limits !== '') out.push(limits);
  return out;
}

/** One sentence about the limits that were reached, with the option that helps; empty if none was. */
function limitsCaveat(limits: LimitsReached): string {
  const { flowsEvicted, openingsTakenOver, evidenceDropped, datagramsEvicted } = limits;
  const parts: [number, string, string][] = [
    [
      flowsEvicted,
      plural(flowsEvicted, 'flow'),
      'ended early because the flow table was full (a larger --flows-max helps)',
    ],
    [
      openingsTakenOver,
      plural(openingsTakenOver, 'opening'),
      'judged before the end because newer ones needed the room',
    ],
    [
      evidenceDropped,
      plural(evidenceDropped, 'item of evidence', 'items of evidence'),
      'not kept because the store of evidence was full',
    ],
    [
      datagramsEvicted,
      plural(datagramsEvicted, 'fragmented datagram'),
      'given up because too many were incomplete at once',
    ],
  ];
  const said = parts
    .filter(([count]) => count > 0)
    .map(([count, what, why]) => `${what} ${count === 1 ? 'was' : 'were'} ${why}`);
  return said.length === 0 ? '' : `Limits were reached: ${said.join('; ')}.`;
}

/** Codes as lib/io gives them; any other warning is only counted, its text stands in the list of warnings. */
function damageCaveats(counts: Readonly<Record<string, number>>): string[] {
  const out: string[] = [];
  const cut = counts['capture-cut'] ?? 0;
  const damaged = counts['capture-malformed'] ?? 0;
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
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
  const others = all - cut - damaged;
  if (others > 0)
    out.push(
      `${plural(others, cut + damaged > 0 ? 'further warning' : 'warning')}: see the list of warnings.`,
    );
  return out;
}

/** Where warnings that a report does not show can be found. */
export function warningsElsewhere(summary: ScanSummary): string {
  return summary.warningsLeftOut > 0
    ? `The first ${countText(summary.warnings.length)}: --format json; all: standard error.`
    : 'All: --format json.';
}

/** What became of files in folders that are no captures; empty if there was none. */
export function passedOverText(summary: ScanSummary): string {
  const count = summary.filesPassedOver;
  if (count === 0) return '';
  return `${plural(count, 'file')} in the folders passed over: ${count === 1 ? 'it is no capture' : 'they are no captures'}.`;
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
    files_passed_over: summary.filesPassedOver,
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
    limits: {
      flows_evicted: summary.limits.flowsEvicted,
      openings_taken_over: summary.limits.openingsTakenOver,
      evidence_dropped: summary.limits.evidenceDropped,
      datagrams_evicted: summary.limits.datagramsEvicted,
    },
    warnings: summary.warnings,
    warnings_by_code: summary.warningCounts,
    warnings_left_out: summary.warningsLeftOut,
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
