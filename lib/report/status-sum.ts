/** Several instances on one machine as one: their sums, and a page with a line for each. */
import { bytesText, countText, plural } from './format.js';
import { latencyPercentiles } from './status-builder.js';
import { bitsText, lostBy, verdictOf } from './status-view.js';
import type { StatusReport } from './status.js';
import { printable } from './escape.js';
import { textTable, wrap } from './text-table.js';

/** What can be added up; a flow that two instances saw counts twice. */
export interface StatusSum extends Pick<
  StatusReport,
  | 'packets'
  | 'bytes'
  | 'packets_per_second'
  | 'bits_per_second'
  | 'actions'
  | 'flows'
  | 'decode'
  | 'counters'
  | 'latency_micros'
  | 'latency_histogram'
  | 'memory_bytes'
> {
  readonly instances: number;
  readonly workers: { readonly running: number; readonly configured: number };
  /** Packets that the kernel could not hand over. */
  readonly lost: number;
}

/** Adds numbers wherever they stand; what only one of them has is taken as it is. */
function added(a: unknown, b: unknown): unknown {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  if (Array.isArray(a) && Array.isArray(b)) {
    const longer = a.length >= b.length ? a : b;
    return longer.map((_, index) => added(a[index] ?? 0, b[index] ?? 0));
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a ?? b;
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return Object.fromEntries(
    [...names].map((name) => [name, added(left[name] ?? right[name], name in left ? right[name] : 0)]),
  );
}

const lostIn = ({ workers, capture }: StatusReport): number =>
  workers.reduce((sum, each) => sum + (lostBy(each) ?? 0), 0) +
  (capture?.interfaces ?? []).reduce((sum, each) => sum + (each.kernel_dropped ?? 0) + each.skipped, 0);
const runningIn = ({ workers }: StatusReport): number =>
  workers.filter(({ state }) => state === 'running').length;

function countsOf(status: StatusReport): Omit<StatusSum, 'latency_micros'> {
  const { packets, bytes, packets_per_second, bits_per_second, actions, flows } = status;
  const { decode, counters, latency_histogram, memory_bytes } = status;
  return {
    ...{ instances: 1, packets, bytes, packets_per_second, bits_per_second, actions, flows },
    ...{ decode, counters, latency_histogram, memory_bytes },
    workers: { running: runningIn(status), configured: status.workers.length },
    lost: lostIn(status),
  };
}

/** @param statuses one or more */
export function sumStatus(statuses: readonly StatusReport[]): StatusSum {
  const sum = statuses.map(countsOf).reduce((a, b) => added(a, b) as typeof a);
  return { ...sum, latency_micros: latencyPercentiles(sum.latency_histogram) };
}

const columns = [
  { title: 'Instance' },
  { title: 'Mode' },
  { title: 'Packets/s', right: true },
  { title: 'Traffic', right: true },
  { title: 'BitTorrent', right: true },
  { title: 'Flows', right: true },
  { title: 'Workers', right: true },
  { title: 'Lost', right: true },
];

function row(name: string, mode: string, sum: StatusSum): string[] {
  return [
    ...[name, mode, countText(sum.packets_per_second), `${bitsText(sum.bits_per_second)}/s`],
    ...[countText(sum.flows.by_verdict.bittorrent), countText(sum.flows.now)],
    `${sum.workers.running}/${sum.workers.configured}`,
    countText(sum.lost),
  ];
}

export interface SumViewOptions {
  readonly width: number;
  readonly colour: boolean;
}

/** The page for several instances, with a newline at the end. */
export function renderSum(statuses: readonly StatusReport[], { width, colour }: SumViewOptions): string {
  const paint = (code: string, text: string): string => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const sum = sumStatus(statuses);
  const verdicts = statuses.map((status) => ({ name: printable(status.instance), ...verdictOf(status) }));
  const lines = verdicts.map(({ name, colour: code, text }) =>
    wrap(`${name}: ${text}`, width, '', '  ')
      .split('\n')
      .map((line) => paint(code, line))
      .join('\n'),
  );
  const rows = statuses.map((status) => row(printable(status.instance), status.mode, sumStatus([status])));
  const modes = new Set(statuses.map(({ mode }) => mode));
  rows.push(row('all', modes.size === 1 ? [...modes][0]! : 'mixed', sum));
  lines.push('', ...textTable(columns, rows, width, (text) => paint('2', text)));
  const { dropped, rejected } = sum.actions;
  const done =
    `${plural(sum.packets, 'packet')} inspected, ${countText(dropped)} dropped, ${countText(rejected)} rejected; ` +
    `${bytesText(sum.memory_bytes)} of memory. One instance: swarmgate status --instance NAME.`;
  lines.push(
    '',
    ...wrap(done, width)
      .split('\n')
      .map((line) => paint('2', line)),
  );
  return `${lines.join('\n')}\n`;
}
