/** The benchmark's results as plain text: aligned columns, units in the headings. */
import type { DetectorCost, DetectorReport } from './detectors.js';
import type { EngineReport } from './engine.js';
import type { Machine } from './machine.js';
import type { Mix } from './mix.js';
import { payloads } from './payloads.js';
import type { Comparison } from './scan.js';

export interface Results {
  readonly machine: Machine;
  readonly peers: Readonly<Record<string, string>>;
  readonly detectors?: DetectorReport;
  readonly engine?: { readonly mix: Mix; readonly report: EngineReport };
  readonly comparisons: readonly Comparison[];
}

/** What DESIGN's issue demands, to be read beside the figures. */
const targets = { missNs: 100, engineNs: 300, ndpiRatio: 8, peakMegabytes: 300 };

/**
 * Published by the Go blocker (gopacket, go-nfqueue) for its own payloads; measured on a machine of the same kind in
 * November 2026, not here.
 */
const goPublished: readonly (readonly [string, string])[] = [
  ['signature, 28 B', '22'],
  ['HTTP GET, 62 B', '1213'],
  ['100 B "high entropy"', '459'],
  ['signatures, 82 B', '64'],
  ['entropy, 1024 B', '1522'],
  ['UDP tracker, 98 B', '7.2'],
  ['MSE, 120 B', '1600'],
  ['LSD, 78 B', '2.6'],
  ['HTTP BitTorrent, 111 B', '14.5'],
  ['DHT nodes, 38 B', '24'],
  ['bencode DHT, 56 B', '8.1'],
  ['uTP, 20 B', '4.0'],
  ['peer message, 9 B', '2.9'],
];
const goWhole: Readonly<Record<string, string>> = {
  'TLS 1448 B': '4912',
  'HTML answer 1448 B': '8352',
  'HTTP GET 406 B': '3487',
};

type Cell = string | number;

/** Columns aligned: the first to the left, all others to the right. */
function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const texts = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...texts.map((row) => (row[column] ?? '').length)));
  return texts
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function ns(value: number): string {
  return Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : '-';
}

function megabytes(bytes: number): string {
  return Number.isFinite(bytes) ? (bytes / 1e6).toFixed(0) : '-';
}

function section(title: string, ...parts: readonly string[]): string {
  return [title, '='.repeat(title.length), ...parts].join('\n');
}

function renderMachine({ machine, peers }: Results): string {
  const versions = Object.entries(peers).map(([name, version]) => `${name}: ${version}`);
  return section(
    `Swarmgate benchmark, ${machine.date}, commit ${machine.commit}`,
    `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB; ${machine.kernel}; Node ${machine.node}, V8 ${machine.v8}`,
    `load average when it began: ${machine.loadBefore.toFixed(2)}`,
    ...versions,
  );
}

function renderMisses(report: DetectorReport, transport: string): string {
  const columns = payloads.filter((payload) => payload.transport === transport).map(({ name }) => name);
  const rows = report.detectors
    .filter((each) => each.transport === transport)
    .map((each): Cell[] => [each.detector, ...columns.map((name) => missCell(each, name)), hitCell(each)]);
  const together = columns.map((name) =>
    ns(report.together.find((each) => each.payload === name && each.transport === transport)?.ns ?? NaN),
  );
  rows.push(['all of them', ...together, '']);
  if (transport === 'tcp') {
    rows.push(['Go blocker, published', ...columns.map((name) => goWhole[name] ?? '-'), '']);
  }
  return table([`${transport.toUpperCase()}, ns per call`, ...columns, 'hit: median / slowest'], rows);
}

function missCell(cost: DetectorCost, payload: string): string {
  const miss = cost.miss.find((each) => each.payload === payload);
  if (miss === undefined) return '-';
  return miss.outcome === 'no' ? ns(miss.ns) : `${ns(miss.ns)} ${miss.outcome}`;
}

function hitCell({ hit }: DetectorCost): string {
  return hit === null ? 'no fixtures' : `${ns(hit.medianNs)} / ${ns(hit.slowestNs)} (${hit.fixtures})`;
}

function renderDetectors(report: DetectorReport): string {
  const large = report.detectors.flatMap(({ detector, miss }) =>
    miss
      .filter(({ payload, outcome }) => payload.includes('1448') && outcome === 'no')
      .map((each) => ({ ...each, detector })),
  );
  const worst = large.sort((a, b) => b.ns - a.ns)[0];
  return section(
    'Detectors alone',
    `An empty call is ${ns(report.emptyCallNs)} ns and is in every figure but those of "all of them". "more" and "yes" mark answers other than no.`,
    '',
    renderMisses(report, 'tcp'),
    '',
    renderMisses(report, 'udp'),
    '',
    worst === undefined
      ? 'no misses were measured'
      : `slowest miss of a 1448-byte segment: ${worst.detector} on ${worst.payload}, ${ns(worst.ns)} ns (target: below ${targets.missNs})`,
    `entropy (Shannon) of 1400 bytes in plain JavaScript, used by no detector: ${ns(report.entropyNs)} ns`,
    '',
    'Go blocker, published, measured on a machine of the same kind (its own payloads, ns per call):',
    ...goPublished.map(([name, value]) => `  ${name.padEnd(24)} ${value.padStart(6)}`),
    'Its whole analyzer on a miss of 300 random bytes: 2395; gopacket adds 600 to each packet.',
  );
}

function renderEngine({ mix, report }: NonNullable<Results['engine']>): string {
  return section(
    'Engine without reading, averaged over the mix',
    describeMix(mix),
    table(
      ['ns per packet', ''],
      [
        ['decode', ns(report.decodeNs)],
        ['decode + flow table', ns(report.decodeAndFlowNs)],
        ['decode + flow + all pending detectors', ns(report.allNs)],
        ['  target: below', targets.engineNs],
        ['detector calls per packet', report.detectorCallsPerPacket.toFixed(2)],
        ['flows', report.flows],
      ],
    ),
    '',
    table(
      ['flow lookup, random order', 'ns'],
      report.lookups.map((each) => [`${each.flows.toLocaleString('en')} flows in the table`, ns(each.ns)]),
    ),
  );
}

function describeMix(mix: Mix): string {
  return `${megabytes(mix.bytes)} MB, ${mix.packets.toLocaleString('en')} packets, ${mix.copies.toLocaleString('en')} copies of ${mix.recordings} recordings of ${mix.origin}`;
}

function renderComparison({ title, mix, measured, reference, absent }: Comparison): string {
  const base = measured.find(({ name }) => name === reference)?.wallSeconds ?? NaN;
  const rows = measured.map((each): Cell[] => {
    if (each.runs === 0) return [each.name, 'failed'];
    return [
      each.name,
      each.wallSeconds.toFixed(2),
      `${each.fastestSeconds.toFixed(2)}-${each.slowestSeconds.toFixed(2)}`,
      each.cpuSeconds.toFixed(2),
      megabytes(each.peakBytes),
      (mix.packets / each.wallSeconds / 1e6).toFixed(2),
      (mix.bytes / each.wallSeconds / 1e9).toFixed(3),
      Number.isFinite(base) ? (base / each.wallSeconds).toFixed(1) : '-',
    ];
  });
  const head = ['', 'wall s', 'range', 'CPU s', 'peak MB', 'million packets/s', 'GB/s', `times ${reference}`];
  return section(
    title,
    `${describeMix(mix)}; medians of ${Math.max(...measured.map(({ runs }) => runs))}`,
    table(head, rows),
    ...measured.flatMap(({ name, failure }) => (failure === null ? [] : [`${name}: ${failure}`])),
    ...absent.map((name) => `${name}: not installed here, left out`),
    ...(title === 'Scan of the mix'
      ? [`targets: ${targets.ndpiRatio} times ndpiReader or more, peak below ${targets.peakMegabytes} MB`]
      : []),
  );
}

export function render(results: Results): string {
  return [
    renderMachine(results),
    ...(results.detectors === undefined ? [] : [renderDetectors(results.detectors)]),
    ...(results.engine === undefined ? [] : [renderEngine(results.engine)]),
    ...results.comparisons.map(renderComparison),
  ].join('\n\n');
}
