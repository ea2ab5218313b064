/** Part `split`: one capture file by one thread, beside a reader that hands its flows to workers. */
import { median } from './stopwatch.js';
import { describeMix } from './part-programs.js';
import { mixOf, type Context } from './context.js';
import { less, type Outcome } from './result.js';
import { benchSplit, type SplitRow } from './split.js';

const range = (values: readonly number[]): string =>
  `${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)}`;

export function splitOutcome(rows: readonly SplitRow[], packets: number, mix: string): Outcome {
  const alone = median(rows[0]!.wallSeconds);
  const same = rows.every(({ flows }) => flows.join() === rows[0]!.flows.join());
  return {
    tables: [
      {
        title: 'One file, all detectors',
        head: ['', 'wall s', 'range', 'CPU s', 'times one thread'],
        rows: rows.map(({ way, wallSeconds, cpuSeconds }) => [
          way,
          median(wallSeconds).toFixed(2),
          range(wallSeconds),
          median(cpuSeconds).toFixed(2),
          (alone / median(wallSeconds)).toFixed(2),
        ]),
        notes: [
          `${mix} Medians of ${rows[0]!.wallSeconds.length}; starting threads is not in the time.`,
          same
            ? 'All ways find as many flows of every verdict.'
            : 'The ways do NOT find as many flows of every verdict.',
        ],
      },
    ],
    figures: rows.map(({ way, wallSeconds }) =>
      less(`${way}, wall`, (median(wallSeconds) * 1e9) / packets, 'ns/packet'),
    ),
    targets: [],
  };
}

export function measureSplit(context: Context): Outcome {
  const mix = mixOf(context);
  return splitOutcome(benchSplit(mix.path, context.repeat), mix.packets, describeMix(mix));
}
