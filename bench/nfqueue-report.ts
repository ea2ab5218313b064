/** What the queue benchmark found: tables of medians, and the targets with what was reached. Pure functions. */
import type { Machine } from './machine.js';
import { names, workersName } from './nfqueue-consumers.js';
import { type Figure, less, more, type Outcome, type Table, type Target, target } from './result.js';
import { scalingTable } from './scaling.js';
import { median } from './stopwatch.js';

/** Of one consumer in one round; what was not measured is not there. Rates are per second, times microseconds. */
export interface Figures {
  readonly offered?: number;
  readonly forwarded?: number;
  /** Packets that user space gave a verdict; without a queue, those forwarded. */
  readonly handled?: number;
  readonly seenPercent?: number;
  readonly userMicros?: number;
  readonly systemMicros?: number;
  readonly ordinary?: number;
  readonly ordinarySeen?: number;
  readonly loss?: number;
  readonly lossSeen?: number;
  /** Of flows so short that each packet is looked at. */
  readonly idleMedian?: number;
  readonly idleLate?: number;
  /** Of one flow, from its first packet on. */
  readonly goesOnMedian?: number;
  readonly goesOnLate?: number;
  readonly halfMedian?: number;
  readonly halfLate?: number;
  /** By the congestion control that is the machine's default. */
  readonly gigabits?: number;
  readonly retransmits?: number;
  /** Packets of the transfer that user space saw. */
  readonly tcpSeen?: number;
  readonly gigabitsCubic?: number;
  readonly gigabitsReno?: number;
  /** Segments of a short transfer that were put aside because one before them was missing. */
  readonly disorder?: number;
}

export interface MemoryFigures {
  readonly flows: number;
  readonly evicted: number;
  readonly workers: number;
  readonly packets: number;
  readonly seconds: number;
  /** Resident before the first packet, at the most, and with the flows. */
  readonly idleBytes: number;
  readonly peakBytes: number;
  readonly residentBytes: number;
}

/** Rounds of each consumer, in the order of the table; a round that failed is null. */
export type Rounds = ReadonlyMap<string, readonly (Figures | null)[]>;

export interface QueueResults {
  readonly machine: Machine;
  readonly rounds: Rounds;
  readonly memory: MemoryFigures | null;
  /** The machine's default for TCP. */
  readonly congestionControl?: string;
}

/** The smallest value that `share` of all values do not exceed. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

export function middle(rounds: Rounds, name: string, key: keyof Figures): number {
  return median((rounds.get(name) ?? []).flatMap((figures) => figures?.[key] ?? []));
}

/** How one consumer compares with another: the median over the rounds in which both were measured. */
export function compared(
  rounds: Rounds,
  [name, other]: readonly [string, string],
  key: keyof Figures,
  how: (value: number, reference: number) => number,
): number {
  const references = rounds.get(other) ?? [];
  return median(
    (rounds.get(name) ?? []).flatMap((figures, round) => {
      const value = figures?.[key];
      const reference = references[round]?.[key];
      return value === undefined || reference === undefined ? [] : [how(value, reference)];
    }),
  );
}

const quotient = (value: number, reference: number): number => value / reference;
const difference = (value: number, reference: number): number => value - reference;

interface Column {
  readonly title: string;
  readonly key: keyof Figures;
  readonly digits: number;
  readonly scale?: number;
  /** Consumer with which it is compared, in brackets. */
  readonly beside?: string;
}

const floodColumns: readonly Column[] = [
  { title: 'offered k/s', key: 'offered', digits: 0, scale: 1e-3 },
  { title: 'seen k/s', key: 'handled', digits: 0, scale: 1e-3, beside: names.same },
  { title: 'seen %', key: 'seenPercent', digits: 0 },
  { title: 'user µs', key: 'userMicros', digits: 2 },
  { title: 'system µs', key: 'systemMicros', digits: 2 },
  { title: 'long flows k/s', key: 'ordinary', digits: 0, scale: 1e-3, beside: names.conntrack },
  { title: 'of these seen %', key: 'ordinarySeen', digits: 1 },
  { title: 'loss % at 100k', key: 'loss', digits: 3 },
  { title: 'seen % at 100k', key: 'lossSeen', digits: 1 },
];

const timeColumns: readonly Column[] = [
  { title: 'idle RTT µs', key: 'idleMedian', digits: 0 },
  { title: 'p99', key: 'idleLate', digits: 0 },
  { title: 'one flow µs', key: 'goesOnMedian', digits: 0 },
  { title: 'p99', key: 'goesOnLate', digits: 0 },
  { title: 'half load RTT µs', key: 'halfMedian', digits: 0 },
  { title: 'p99', key: 'halfLate', digits: 0 },
  { title: 'TCP Gbit/s', key: 'gigabits', digits: 1, beside: names.none },
  { title: 'beside conntrack', key: 'gigabits', digits: 1, beside: names.conntrack },
  { title: 'retransmits', key: 'retransmits', digits: 0 },
  { title: 'seen packets', key: 'tcpSeen', digits: 0 },
  { title: 'by cubic Gbit/s', key: 'gigabitsCubic', digits: 1, beside: names.none },
  { title: 'by reno Gbit/s', key: 'gigabitsReno', digits: 1, beside: names.none },
  { title: 'out of order', key: 'disorder', digits: 2 },
];

function cell(rounds: Rounds, name: string, { key, digits, scale = 1, beside }: Column): string {
  const value = middle(rounds, name, key);
  if (Number.isNaN(value)) return '-';
  const ratio = beside === undefined ? Number.NaN : compared(rounds, [name, beside], key, quotient);
  return `${(value * scale).toFixed(digits)}${Number.isNaN(ratio) ? '' : ` (${ratio.toFixed(2)})`}`;
}

function tableOf(rounds: Rounds, title: string, columns: readonly Column[], notes: readonly string[]): Table {
  return {
    title,
    head: ['', ...columns.map((column) => column.title)],
    rows: [...rounds.keys()]
      .map((name) => [name, ...columns.map((column) => cell(rounds, name, column))])
      .filter(([, ...cells]) => cells.some((text) => text !== '-')),
    notes,
  };
}

/** What the filter is to reach. Ratios are medians over rounds, so that a slow minute of the machine hits both sides. */
export function targets({ rounds, memory }: QueueResults): Target[] {
  const { swarmgate, inspect, bare, same, short, peer, peerSame, hold, none, conntrack } = names;
  const ratio = (name: string, other: string, key: keyof Figures): number =>
    compared(rounds, [name, other], key, quotient);
  const megabytes = memory === null ? Number.NaN : memory.peakBytes / 1e6;
  return [
    target('overload, all behind our rules, beside C', ratio(swarmgate, same, 'handled'), ['>=', 0.9], ''),
    target(
      'overload, all behind our rules, beside C with a short queue',
      ratio(swarmgate, short, 'handled'),
      ['>=', 0.9],
      '',
    ),
    target('overload, all behind one rule, beside C', ratio(inspect, bare, 'handled'), ['>=', 0.9], ''),
    ...(
      [
        ['all behind one rule', inspect, peer],
        ['all behind our rules', swarmgate, peerSame],
        ['we behind our rules, it behind one', swarmgate, peer],
      ] as const
    ).map(([how, ours, theirs]) =>
      target(`overload, ${how}, beside npm nfqueue`, ratio(ours, theirs, 'handled'), ['>=', 4], '', 1),
    ),
    target(
      'overload, 1,024 flows, forwarded, beside C behind our rules',
      ratio(swarmgate, same, 'ordinary'),
      ['>=', 0.9],
      '',
    ),
    target(
      'overload, 1,024 flows, forwarded, beside C behind one rule',
      ratio(swarmgate, bare, 'ordinary'),
      ['>=', 0.9],
      '',
    ),
    target(
      'overload, 1,024 flows, forwarded, beside npm nfqueue',
      ratio(swarmgate, peer, 'ordinary'),
      ['>=', 4],
      '',
      1,
    ),
    target('TCP, inspected and held, beside no queue', ratio(hold, none, 'gigabits'), ['>=', 0.85], ''),
    target('TCP, inspected and held, beside conntrack', ratio(hold, conntrack, 'gigabits'), ['>=', 0.85], ''),
    target(
      'TCP by reno, inspected and held, beside no queue',
      ratio(hold, none, 'gigabitsReno'),
      ['>=', 0.85],
      '',
    ),
    target('TCP, offloaded, beside no queue', ratio(swarmgate, none, 'gigabits'), ['>=', 0.97], ''),
    target('TCP, offloaded, beside conntrack', ratio(swarmgate, conntrack, 'gigabits'), ['>=', 0.97], ''),
    target(
      'TCP by reno, offloaded, beside no queue',
      ratio(swarmgate, none, 'gigabitsReno'),
      ['>=', 0.97],
      '',
    ),
    target(
      'added round trip, idle, every packet looked at, median',
      compared(rounds, [swarmgate, none], 'idleMedian', difference),
      ['<=', 60],
      ' µs',
      0,
    ),
    target(
      'added round trip, idle, one flow that goes on, median',
      compared(rounds, [swarmgate, none], 'goesOnMedian', difference),
      ['<=', 30],
      ' µs',
      0,
    ),
    target('round trip at half load, p99', middle(rounds, swarmgate, 'halfLate'), ['<', 1000], ' µs', 0),
    target('loss at 100 thousand/s', middle(rounds, swarmgate, 'loss'), ['<=', 0], ' %', 3),
    target('of these inspected', middle(rounds, swarmgate, 'lossSeen'), ['>=', 99.9], ' %', 1),
    target('flows in the tables', memory?.flows ?? Number.NaN, ['>=', 200_000], '', 0),
    target('memory of the whole process with them', megabytes, ['<', 400], ' MB', 0),
  ];
}

function memoryTable({ flows, evicted, workers, packets, seconds, ...bytes }: MemoryFigures): Table {
  const megabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`;
  return {
    title: 'Memory of the whole process',
    head: [
      'flows at once',
      'pushed out',
      'workers',
      'packets',
      'seconds',
      'before',
      'at the most',
      'with them',
    ],
    rows: [
      [
        ...[flows, evicted, workers, packets].map(String),
        seconds.toFixed(0),
        ...[bytes.idleBytes, bytes.peakBytes, bytes.residentBytes].map(megabytes),
      ],
    ],
    notes: [],
  };
}

const sharedCores = [
  'The sender and the kernel of both ends run on the same cores as the workers: on two cores a second worker finds none free.',
];

/** One worker per core beside two, and from one worker to two. */
function workerTables(rounds: Rounds, cores: number): Table[] {
  const nameOf = (workers: number): string => (workers === 1 ? names.swarmgate : workersName(workers));
  const perSecond = (workers: number, key: keyof Figures): number =>
    middle(rounds, nameOf(workers), key) / 1000;
  const loads = [
    ['overload, seen', 'handled'],
    ['long flows, forwarded', 'ordinary'],
  ] as const;
  const scaled = loads
    .map(([what, key]) => ({ what, unit: 'k/s', one: perSecond(1, key), two: perSecond(2, key) }))
    .filter(({ one, two }) => one > 0 && two > 0);
  const pools = loads
    .map(([what, key]) => [what, perSecond(cores, key), perSecond(2 * cores, key)] as const)
    .filter(([, one, two]) => one > 0 && two > 0)
    .map(([what, one, two]) => [what, one.toFixed(0), two.toFixed(0), (two / one).toFixed(2)]);
  const head = ['k/s', `1 x cores: ${cores}`, `2 x cores: ${2 * cores}`, 'times'];
  return [
    ...(scaled.length === 0 ? [] : [scalingTable(scaled, sharedCores)]),
    ...(pools.length === 0 ? [] : [{ title: 'Workers per core', head, rows: pools, notes: [] }]),
  ];
}

function figuresOf(rounds: Rounds): Figure[] {
  const units: readonly (readonly [keyof Figures, string, typeof more])[] = [
    ['handled', '/s', more],
    ['ordinary', '/s', more],
    ['userMicros', 'µs', less],
    ['idleMedian', 'µs', less],
    ['goesOnMedian', 'µs', less],
    ['halfLate', 'µs', less],
    ['gigabits', 'Gbit/s', more],
    ['gigabitsCubic', 'Gbit/s', more],
    ['gigabitsReno', 'Gbit/s', more],
    ['disorder', '', less],
  ];
  return [...rounds.keys()].flatMap((name) =>
    units
      .map(([key, unit, make]) => make(`${name}, ${key}`, middle(rounds, name, key), unit))
      .filter(({ value }) => !Number.isNaN(value)),
  );
}

/** The tables, figures and targets of a run. */
export function queueOutcome(results: QueueResults): Outcome {
  const { machine, rounds, memory, congestionControl = 'not known' } = results;
  const measured = (key: keyof Figures): number =>
    Math.max(
      0,
      ...[...rounds.values()].map((all) => all.filter((figures) => figures?.[key] !== undefined).length),
    );
  return {
    tables: [
      tableOf(rounds, 'Small UDP packets through one queue, overload', floodColumns, [
        `Medians of ${measured('handled')} rounds. In brackets: times "${names.same}", long flows times "${names.conntrack}".`,
        'Who stands behind one rule has no connection tracking to pay for: see the targets for like beside like.',
      ]),
      tableOf(rounds, 'Round trips of a UDP echo, and TCP', timeColumns, [
        `TCP: medians of ${measured('gigabits')} rounds. In brackets: times "${names.none}", then times "${names.conntrack}".`,
        `The first TCP columns by the sender's default congestion control, which is ${congestionControl} here.`,
        'Idle RTT: every packet is looked at. One flow: 500 round trips of one flow from its first packet on; the kernel has all but some 16 to itself.',
        'Out of order: segments per transfer of 3 MB, as large as TCP has them, put aside because one before them was late or lost.',
      ]),
      ...workerTables(rounds, machine.cores),
      ...(memory === null ? [] : [memoryTable(memory)]),
    ],
    figures: figuresOf(rounds),
    targets: targets(results),
  };
}
