/** Part `ring`: the rings in shared memory between capture loops and workers. */
import type { Context, Note } from './context.js';
import { less, more, target, type Outcome, type Table } from './result.js';
import { benchRing, ringPlan, type RingResults, type RingRow } from './ring.js';
import { scalingTable } from './scaling.js';

const millionPerSecondMin = 3;

function throughputTable(rows: readonly RingRow[]): Table {
  const millions = (value: number): string => (value / 1e6).toFixed(2);
  return {
    title: 'One producer, consumers that do next to nothing',
    head: [
      'consumers',
      'packet, bytes',
      'batch',
      'million/s',
      'slowest-fastest run',
      'collections',
      'packets',
    ],
    rows: rows.map((row) => [
      String(row.workers),
      String(row.packetBytes),
      String(row.batchPackets),
      millions(row.perSecond),
      `${millions(row.slowest)}-${millions(row.fastest)}`,
      String(row.collections),
      row.packets.toLocaleString('en'),
    ]),
    notes: ['"collections" are garbage collections of all threads while the clock ran.'],
  };
}

export function ringOutcome({ throughput, delays }: RingResults): Outcome {
  const usual = throughput.filter(({ batchPackets }) => batchPackets === 64);
  const rate = (workers: number, bytes: number): number =>
    usual.find((row) => row.workers === workers && row.packetBytes === bytes)?.perSecond ?? NaN;
  const sizes = [...new Set(usual.map(({ packetBytes }) => packetBytes))];
  const scaled = sizes.map((bytes) => ({
    ...{ what: `ring, packets of ${bytes} bytes`, unit: 'packets/s' },
    ...{ one: rate(1, bytes), two: rate(2, bytes) },
  }));
  const two = throughput.filter(({ workers }) => workers === 2);
  return {
    tables: [
      throughputTable(throughput),
      {
        title: 'From arrival to being handed to a worker',
        head: ['batch', 'arrive together', 'p50 µs', 'p99 µs'],
        rows: delays.map((row) => [
          String(row.batchPackets),
          String(row.burst),
          row.p50Micros.toFixed(0),
          row.p99Micros.toFixed(0),
        ]),
        notes: [],
      },
      scalingTable(scaled, [
        'The producer is a third thread: two cores are too few for it and two consumers.',
      ]),
    ],
    figures: [
      ...throughput.map(({ workers, packetBytes, batchPackets, perSecond }, index) =>
        more(
          `${workers} consumers, ${packetBytes} bytes, batches of ${batchPackets}${index >= usual.length ? ' again' : ''}`,
          perSecond,
          '/s',
        ),
      ),
      ...delays.map(({ batchPackets, burst, p99Micros }) =>
        less(`delay p99, batches of ${batchPackets}, ${burst} together`, p99Micros, 'µs'),
      ),
    ],
    targets: [
      target(
        'one producer, two consumers',
        rate(2, Math.min(...sizes)) / 1e6,
        ['>=', millionPerSecondMin],
        ' million packets/s',
      ),
      target(
        `collections over ${Math.min(...two.map(({ packets }) => packets)).toLocaleString('en')} packets`,
        Math.max(...two.map(({ collections }) => collections)),
        ['<=', 0],
        '',
        0,
      ),
    ],
  };
}

export async function measureRing({ quick, repeat }: Context, note: Note): Promise<Outcome> {
  const quickPlan = { ...ringPlan, packets: 1_000_000, runs: 1, batches: [1, 64] };
  return ringOutcome(await benchRing(quick ? quickPlan : { ...ringPlan, runs: repeat }, note));
}
