/** Parts `scan` and `reader`: whole programs beside their peers over the same file. */
import type { Mix } from './mix.js';
import { mixOf, smallMixOf, type Context, type Note } from './context.js';
import { less, target, type Figure, type Outcome, type Table, type Target } from './result.js';
import { compareReaders, compareScan, compareTshark, ourTable, type Comparison } from './scan.js';

const ndpiRatioMin = 8;
const peakMegabytesMax = 300;

function megabytes(bytes: number): string {
  return Number.isFinite(bytes) ? (bytes / 1e6).toFixed(0) : '-';
}

export function describeMix(mix: Mix): string {
  return `${megabytes(mix.bytes)} MB, ${mix.packets.toLocaleString('en')} packets, ${mix.copies.toLocaleString('en')} copies of ${mix.recordings} recordings of ${mix.origin}.`;
}

function wallOf({ measured }: Comparison, name: string): number {
  return measured.find((each) => each.name === name)?.wallSeconds ?? NaN;
}

export function comparisonTable(comparison: Comparison): Table {
  const { title, mix, measured, reference, absent } = comparison;
  const base = wallOf(comparison, reference);
  return {
    title,
    head: ['', 'wall s', 'range', 'CPU s', 'peak MB', 'million packets/s', 'GB/s', `times ${reference}`],
    rows: measured.map((each) =>
      each.runs === 0
        ? [each.name, 'failed']
        : [
            each.name,
            each.wallSeconds.toFixed(2),
            `${each.fastestSeconds.toFixed(2)}-${each.slowestSeconds.toFixed(2)}`,
            each.cpuSeconds.toFixed(2),
            megabytes(each.peakBytes),
            (mix.packets / each.wallSeconds / 1e6).toFixed(2),
            (mix.bytes / each.wallSeconds / 1e9).toFixed(3),
            Number.isFinite(base) ? (base / each.wallSeconds).toFixed(1) : '-',
          ],
    ),
    notes: [
      `${describeMix(mix)} Medians of ${Math.max(...measured.map(({ runs }) => runs))}.`,
      ...measured.flatMap(({ name, failure }) => (failure === null ? [] : [`${name}: ${failure}.`])),
      ...absent.map((name) => `${name}: not installed here, left out.`),
    ],
  };
}

function figuresOf({ title, mix, measured }: Comparison): Figure[] {
  return measured
    .filter(({ runs }) => runs > 0)
    .flatMap(({ name, wallSeconds, peakBytes }) => [
      less(`${title}: ${name}, wall`, (wallSeconds * 1e9) / mix.packets, 'ns/packet'),
      less(`${title}: ${name}, peak`, peakBytes / 1e6, 'MB'),
    ]);
}

export async function measureScan(context: Context, note: Note): Promise<Outcome> {
  const { repeat, largeMix } = context;
  const plans = [{ title: 'Scan of the mix', mix: mixOf(context), formats: ['table', 'jsonl'] }];
  if (largeMix !== null) plans.push({ title: 'Scan of a larger mix', mix: largeMix, formats: ['table'] });
  const scans: Comparison[] = [];
  for (const plan of plans) scans.push(await compareScan(plan, repeat, note));
  const small = await compareTshark(smallMixOf(context), repeat, note);
  return {
    tables: [...scans, small].map(comparisonTable),
    figures: [...scans, small].flatMap(figuresOf),
    targets: scans.flatMap(targetsOf),
  };
}

function targetsOf(comparison: Comparison): Target[] {
  const { title, measured, reference } = comparison;
  const ratio = wallOf(comparison, reference) / wallOf(comparison, ourTable);
  const peak = measured.find(({ name }) => name === ourTable)?.peakBytes ?? NaN;
  return [
    target(`${title}, beside ndpiReader`, ratio, ['>=', ndpiRatioMin], ' times', 1),
    target(`${title}, peak memory`, peak / 1e6, ['<', peakMegabytesMax], ' MB', 0),
  ];
}

export async function measureReader(context: Context, note: Note): Promise<Outcome> {
  const readers = await compareReaders(mixOf(context), context.repeat, note);
  return { tables: [comparisonTable(readers)], figures: figuresOf(readers), targets: [] };
}
