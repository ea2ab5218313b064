/** Part `batch`: what the size of a batch does to throughput and to delay. The rings have the same in their own part. */
import { benchBatches } from './engine.js';
import { middle, type Figures, type Rounds } from './nfqueue-report.js';
import { benchQueueBatches, queueProblem } from './nfqueue-run.js';
import { ns } from './part-detectors.js';
import { describeMix } from './part-programs.js';
import { mixOf, type Context } from './context.js';
import { less, more, type Outcome, type Table } from './result.js';

const sizes = [1, 4, 16, 64, 256];
/** Each takes eight seconds in each round. */
const queueSizes = [1, 16, 64, 256];

async function offline(context: Context): Promise<Outcome> {
  const mix = mixOf(context);
  const costs = await benchBatches(mix.path, sizes, Math.min(context.repeat, 2));
  const usual = costs[sizes.indexOf(64)]!;
  return {
    tables: [
      {
        title: 'Captures: walked and inspected in batches',
        head: ['packets in a batch', 'ns per packet', 'times 64'],
        rows: sizes.map((size, i) => [String(size), ns(costs[i]!), (costs[i]! / usual).toFixed(2)]),
        notes: [describeMix(mix)],
      },
    ],
    figures: sizes.map((size, i) => less(`captures, batches of ${size}`, costs[i]!, 'ns')),
    targets: [],
  };
}

const columns: readonly (readonly [title: string, key: keyof Figures, scale: number, digits: number])[] = [
  ['overload k/s', 'handled', 1e-3, 0],
  ['user µs', 'userMicros', 1, 2],
  ['system µs', 'systemMicros', 1, 2],
  ['idle RTT µs', 'idleMedian', 1, 0],
  ['p99', 'idleLate', 1, 0],
  ['half load RTT µs', 'halfMedian', 1, 0],
  ['p99', 'halfLate', 1, 0],
];

function queueTable(rounds: Rounds): Table {
  return {
    title: 'Inline: our addon, every packet accepted',
    head: ['packets in a batch, at most', ...columns.map(([title]) => title)],
    rows: [...rounds.keys()].map((name) => [
      name,
      ...columns.map(([, key, scale, digits]) => (middle(rounds, name, key) * scale).toFixed(digits)),
    ]),
    notes: [
      'A batch is whatever is there, at most so many: on an idle link it is one packet and nothing waits.',
    ],
  };
}

export async function measureBatch(context: Context): Promise<Outcome> {
  const captures = await offline(context);
  const problem = queueProblem();
  if (problem !== null) {
    const none: Table = { title: 'Inline', head: [], rows: [], notes: [`Not measured: ${problem}.`] };
    return { ...captures, tables: [...captures.tables, none] };
  }
  const rounds = await benchQueueBatches(queueSizes, context.quick ? 1 : 2, context.quick ? 0.5 : 1.5);
  return {
    tables: [...captures.tables, queueTable(rounds)],
    figures: [
      ...captures.figures,
      ...[...rounds.keys()].flatMap((name) => [
        more(`inline, batches of ${name}, overload`, middle(rounds, name, 'handled'), '/s'),
        less(`inline, batches of ${name}, idle`, middle(rounds, name, 'idleMedian'), 'µs'),
      ]),
    ],
    targets: [],
  };
}
