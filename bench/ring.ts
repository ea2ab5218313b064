/** The rings between capture loops and workers: packets per second, garbage collections, delay, by size of the batch. */
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { makeBell } from '../lib/io/bell.js';
import { makeSlabRing } from '../lib/io/slab-ring.js';
import { sharedWords, type RingFigures, type RingRole, type RingSettings } from './ring-threads.js';
import { median } from './stopwatch.js';

export interface RingRow {
  readonly workers: number;
  readonly packetBytes: number;
  readonly batchPackets: number;
  /** Of all threads together, over the packets of all runs. */
  readonly collections: number;
  readonly packets: number;
  /** Packets per second: median, slowest and fastest run. */
  readonly perSecond: number;
  readonly slowest: number;
  readonly fastest: number;
}

export interface DelayRow {
  readonly batchPackets: number;
  /** Packets that arrived together. */
  readonly burst: number;
  /** From arrival to being handed to the worker, microseconds. */
  readonly p50Micros: number;
  readonly p99Micros: number;
}

export interface RingResults {
  readonly throughput: readonly RingRow[];
  readonly delays: readonly DelayRow[];
}

export interface RingPlan {
  readonly packets: number;
  readonly runs: number;
  readonly batches: readonly number[];
  readonly sizes: readonly number[];
}

export const ringPlan: RingPlan = {
  packets: 10_000_000,
  runs: 3,
  batches: [1, 8, 16, 64, 128, 256],
  sizes: [64, 512],
};

const slabBytes = 8 * 1024 * 1024;
const packetsMax = 16_384;
const batchUsual = 64;
const delayPackets = 20_000;

interface Load {
  readonly workers: number;
  readonly packetBytes: number;
  readonly batchPackets: number;
  readonly packets: number;
  readonly burst: number;
}

async function runOnce(load: Load): Promise<RingFigures[]> {
  const { workers, ...rest } = load;
  const settings: RingSettings = {
    ...rest,
    warmUp: load.burst > 0 ? 20 * load.burst : 1_000_000,
    rings: Array.from({ length: workers }, () => makeSlabRing({ slabBytes, packetsMax })),
    bells: Array.from({ length: workers }, makeBell),
    shared: new SharedArrayBuffer(sharedWords(workers) * 4),
  };
  const roles: RingRole[] = [
    { ...settings, role: 'producer', worker: 0 },
    ...settings.rings.map((_, worker): RingRole => ({ ...settings, role: 'consumer', worker })),
  ];
  return Promise.all(
    roles.map((role) => {
      const thread = new Worker(new URL('ring-threads.js', import.meta.url), { workerData: role });
      return new Promise<RingFigures>((resolve, reject) => {
        thread.once('message', resolve);
        thread.once('error', reject);
      });
    }),
  );
}

function checked(figures: readonly RingFigures[]): readonly RingFigures[] {
  if (!figures.every(({ observed }) => observed))
    throw new Error('collections are not seen: run node with --expose-gc');
  if (figures.some(({ skipped }) => skipped > 0)) throw new Error('the benchmark skipped packets');
  return figures;
}

async function throughput(load: Omit<Load, 'burst' | 'packets'>, plan: RingPlan): Promise<RingRow> {
  const rates: number[] = [];
  let collections = 0;
  for (let i = 0; i < plan.runs; i++) {
    const figures = checked(await runOnce({ ...load, burst: 0, packets: plan.packets }));
    rates.push(plan.packets / figures[0]!.seconds);
    collections += figures.reduce((sum, thread) => sum + thread.collections, 0);
  }
  return {
    ...load,
    collections,
    packets: plan.packets * plan.runs,
    perSecond: median(rates),
    slowest: Math.min(...rates),
    fastest: Math.max(...rates),
  };
}

async function delay(batchPackets: number, burst: number): Promise<DelayRow> {
  const packets = Math.min(delayPackets, 1500 * burst);
  const figures = checked(await runOnce({ workers: 2, packetBytes: 512, batchPackets, burst, packets }));
  const delays = Float64Array.from(figures.flatMap(({ delays }) => [...delays])).sort();
  const at = (share: number): number => delays[Math.floor(share * (delays.length - 1))]!;
  return { batchPackets, burst, p50Micros: at(0.5), p99Micros: at(0.99) };
}

export async function benchRing(plan: RingPlan, note: (text: string) => void): Promise<RingResults> {
  const rows: RingRow[] = [];
  for (const packetBytes of plan.sizes) {
    for (const workers of [1, 2]) {
      note(`${packetBytes} bytes, ${workers} worker(s)`);
      rows.push(await throughput({ workers, packetBytes, batchPackets: batchUsual }, plan));
    }
  }
  for (const batchPackets of plan.batches) {
    note(`batches of ${batchPackets}`);
    rows.push(await throughput({ workers: 2, packetBytes: plan.sizes[0]!, batchPackets }, plan));
  }
  const delays: DelayRow[] = [];
  for (const batchPackets of plan.batches) {
    for (const burst of [1, 256]) {
      note(`delay, batches of ${batchPackets}, ${burst} at once`);
      delays.push(await delay(batchPackets, burst));
    }
  }
  return { throughput: rows, delays };
}

const millions = (value: number): string => (value / 1e6).toFixed(2);

/** Two Markdown tables. */
export function renderRing({ throughput: rows, delays }: RingResults): string {
  return [
    '| workers | packet, bytes | batch | million/s, median | slowest to fastest | collections | packets |',
    '|---|---|---|---|---|---|---|',
    ...rows.map(
      (row) =>
        `| ${row.workers} | ${row.packetBytes} | ${row.batchPackets} | ${millions(row.perSecond)} | ` +
        `${millions(row.slowest)} to ${millions(row.fastest)} | ${row.collections} | ${row.packets} |`,
    ),
    '',
    '| batch | arrive together | p50 µs | p99 µs |',
    '|---|---|---|---|',
    ...delays.map(
      (row) =>
        `| ${row.batchPackets} | ${row.burst} | ${row.p50Micros.toFixed(0)} | ${row.p99Micros.toFixed(0)} |`,
    ),
    '',
  ].join('\n');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const quick = process.argv.includes('--quick');
  const plan = quick ? { ...ringPlan, packets: 1_000_000, runs: 1, batches: [1, 64] } : ringPlan;
  const results = await benchRing(plan, (text) => process.stderr.write(`ring: ${text}\n`));
  process.stdout.write(renderRing(results));
}
