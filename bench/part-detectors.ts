/** Part `detectors`: each detector alone, on packets that are not its protocol and on those that are. */
import { benchDetectors, type DetectorCost, type DetectorReport } from './detectors.js';
import type { Context } from './context.js';
import { payloads } from './payloads.js';
import { less, target, type Figure, type Outcome, type Table } from './result.js';

/** On a miss of a 1448-byte segment, ns. */
const missNsMax = 100;

/**
 * Published by the Go blocker (gopacket, go-nfqueue) for its own payloads; measured on a machine of the same kind in
 * November 2026, not here.
 */
const goPublished: readonly (readonly [string, string])[] = [
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
  ['gopacket, each packet', '600'],
];

export function ns(value: number): string {
  return Number.isFinite(value) ? value.toFixed(value < 10 ? 1 : 0) : '-';
}

function missCell(cost: DetectorCost, payload: string): string {
  const miss = cost.miss.find((each) => each.payload === payload);
  if (miss === undefined) return '-';
  return miss.outcome === 'no' ? ns(miss.ns) : `${ns(miss.ns)} ${miss.outcome}`;
}

function hitCell({ hit }: DetectorCost): string {
  return hit === null ? 'no fixtures' : `${ns(hit.medianNs)} / ${ns(hit.slowestNs)} (${hit.fixtures})`;
}

function costTable(report: DetectorReport, transport: 'tcp' | 'udp'): Table {
  const columns = payloads.filter((payload) => payload.transport === transport).map(({ name }) => name);
  const together = columns.map((name) =>
    ns(report.together.find((each) => each.payload === name && each.transport === transport)?.ns ?? NaN),
  );
  return {
    title: `${transport.toUpperCase()}, ns per call`,
    head: ['', ...columns, 'hit: median / slowest'],
    rows: [
      ...report.detectors
        .filter((each) => each.transport === transport)
        .map((each) => [each.detector, ...columns.map((name) => missCell(each, name)), hitCell(each)]),
      ['all of them', ...together, ''],
    ],
    notes: [
      `An empty call is ${ns(report.emptyCallNs)} ns and is in every figure but those of "all of them". "more" and "yes" mark answers other than no.`,
    ],
  };
}

function figuresOf(report: DetectorReport): Figure[] {
  return report.detectors.flatMap(({ detector, miss, hit }) => [
    ...miss.map(({ payload, ns: cost }) => less(`${detector}, ${payload}`, cost, 'ns')),
    ...(hit === null ? [] : [less(`${detector}, hit`, hit.medianNs, 'ns')]),
  ]);
}

export function detectorOutcome(report: DetectorReport): Outcome {
  const misses = report.detectors.flatMap(({ detector, miss }) =>
    miss
      .filter(({ payload, outcome }) => payload.includes('1448') && outcome === 'no')
      .map((each) => ({ ...each, detector })),
  );
  const worst = misses.sort((a, b) => b.ns - a.ns)[0];
  return {
    tables: [
      costTable(report, 'tcp'),
      costTable(report, 'udp'),
      {
        title: 'Go blocker, published, not measured here',
        head: ['its own payloads', 'ns per call'],
        rows: goPublished.map(([name, value]) => [name, value]),
        notes: [
          `Entropy (Shannon) of 1400 bytes in plain JavaScript, used by no detector: ${ns(report.entropyNs)} ns.`,
        ],
      },
    ],
    figures: figuresOf(report),
    targets: [
      target(
        `slowest miss of a 1448-byte segment${worst === undefined ? '' : ` (${worst.detector}, ${worst.payload})`}`,
        worst?.ns ?? NaN,
        ['<', missNsMax],
        ' ns',
        0,
      ),
    ],
  };
}

export function measureDetectors({ rounds }: Context): Outcome {
  return detectorOutcome(benchDetectors(rounds));
}
