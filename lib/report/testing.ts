/** Fake ended flows and summaries for tests of the writers. */
import { isoMicros } from './format.js';
import type {
  EndedFlow,
  EvidenceReport,
  FlowReport,
  ReportFactory,
  ReportOptions,
  ScanSummary,
} from './report.js';

/** 2026-01-31T12:34:56Z. */
export const testStartMicros = 1_769_862_896_000_000;

export const testOptions: ReportOptions = { colour: false, columns: 100, version: '0.0.0-test' };

/** What a hostile peer might call itself: markup, quotes, a terminal escape, a bidi override, a formula. */
export const hostileTexts = [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  "' onmouseover='alert(1)",
  '\x1b[2J\x1b]0;owned\x07',
  'safe\u202Egnp.exe',
  '\u200B\u2066x\u2069\x9b31m',
  '=HYPERLINK("http://evil.example","x")',
  '\t@SUM(1)',
  'line\r\nbreak,"quoted"',
] as const;

let nextFlowId = 1;

/** A BitTorrent peer flow with one item of evidence; any field can be replaced. */
export function fakeReport(changes: Partial<FlowReport> = {}): FlowReport {
  const id = changes.flow_id ?? nextFlowId++;
  return {
    file: 'capture.pcap',
    flow_id: id,
    proto: 'tcp',
    client: '192.168.1.10',
    client_port: 51413,
    server: '198.51.100.7',
    server_port: 6881,
    first_packet: 12,
    packets: 40,
    bytes: 34_567,
    packets_to_server: 22,
    packets_to_client: 18,
    bytes_to_server: 4567,
    bytes_to_client: 30_000,
    first_seen: isoMicros(testStartMicros),
    last_seen: isoMicros(testStartMicros + 3_200_000),
    verdict: 'bittorrent',
    reason: 'proof',
    kind: 'peer',
    confidence: 'proof',
    protocol: null,
    decided_packet: 4,
    decided_frame: 15,
    payload_bytes_before_decision: 0,
    evidence: [fakeEvidence()],
    near_misses: [],
    info_hashes: ['0123456789abcdef0123456789abcdef01234567'],
    client_software: ['-TR4050-'],
    ...changes,
  };
}

export function fakeEvidence(changes: Partial<EvidenceReport> = {}): EvidenceReport {
  return {
    detector: 'peer-handshake',
    kind: 'peer',
    finding: 'peer handshake: length byte 19 and protocol string',
    confidence: 'proof',
    side: 'client',
    packet: 4,
    frame: 15,
    time: isoMicros(testStartMicros + 42_000),
    of: 'opening',
    offset: 0,
    length: 68,
    info_hash: '0123456789abcdef0123456789abcdef01234567',
    client_software: '-TR4050-',
    ...changes,
  };
}

/** A flow that was recognised as another protocol. */
export function fakeClear(changes: Partial<FlowReport> = {}): FlowReport {
  return fakeReport({
    server_port: 443,
    verdict: 'clear',
    reason: 'other-protocol',
    kind: null,
    confidence: null,
    protocol: 'tls',
    decided_packet: null,
    decided_frame: null,
    payload_bytes_before_decision: null,
    evidence: [],
    info_hashes: [],
    client_software: [],
    ...changes,
  });
}

/** A flow that was not recognised and nearly looked like DHT. */
export function fakeNear(changes: Partial<FlowReport> = {}): FlowReport {
  return fakeClear({
    proto: 'udp',
    verdict: 'unknown',
    reason: 'nothing-matched',
    protocol: null,
    near_misses: [
      fakeEvidence({
        detector: 'dht',
        kind: 'dht',
        confidence: 'near',
        finding: 'a bencoded dictionary, but without transaction id',
        of: 'payload',
      }),
    ],
    ...changes,
  });
}

/** The ended flow of a record; `onReport` sees every time that the record is built. */
export function fakeEnded(report: FlowReport, onReport: () => void = () => undefined): EndedFlow {
  return {
    verdict: report.verdict,
    kind: report.kind,
    protocol: report.protocol,
    packets: report.packets,
    bytes: report.bytes,
    firstSeenMicros: Date.parse(report.first_seen) * 1000,
    lastSeenMicros: Date.parse(report.last_seen) * 1000,
    nearMissCount: report.near_misses.length,
    report() {
      onReport();
      return report;
    },
    essence: () => report,
    nearMisses: () => report.near_misses,
  };
}

/** The summary that fits the flows. */
export function fakeSummary(flows: readonly FlowReport[], changes: Partial<ScanSummary> = {}): ScanSummary {
  const warningCounts: Record<string, number> = {};
  for (const { code } of changes.warnings ?? []) warningCounts[code] = (warningCounts[code] ?? 0) + 1;
  const flowsByVerdict = { unknown: 0, clear: 0, suspect: 0, bittorrent: 0 };
  for (const flow of flows) flowsByVerdict[flow.verdict]++;
  const packets = flows.reduce((sum, flow) => sum + flow.packets, 0);
  return {
    version: '0.0.0-test',
    files: 1,
    filesFailed: 0,
    filesPassedOver: 0,
    packets,
    bytes: flows.reduce((sum, flow) => sum + flow.bytes, 0),
    flows: flows.length,
    flowsByVerdict,
    frames: { ok: packets },
    unsupportedLinks: [],
    warnings: [],
    warningCounts,
    warningsLeftOut: 0,
    limits: { flowsEvicted: 0, openingsTakenOver: 0, evidenceDropped: 0, datagramsEvicted: 0 },
    firstSeenMicros: flows.length > 0 ? testStartMicros : null,
    lastSeenMicros: flows.length > 0 ? testStartMicros + 3_200_000 : null,
    elapsedSeconds: 0.25,
    ...changes,
  };
}

/** Runs a writer over the flows and returns all it wrote. */
export function render(
  factory: ReportFactory,
  flows: readonly FlowReport[],
  changes: { options?: Partial<ReportOptions>; summary?: Partial<ScanSummary> } = {},
): string {
  let text = '';
  const output = {
    write(part: string) {
      text += part;
    },
  };
  const writer = factory(output, { ...testOptions, ...changes.options });
  for (const flow of flows) writer.flow(fakeEnded(flow));
  writer.end(fakeSummary(flows, changes.summary));
  return text;
}
