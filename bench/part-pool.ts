/** Part `pool`: the scan of many files by one thread beside several. */
import type { Context, Note } from './context.js';
import { benchPool, speedUps, type PoolComparison } from './pool.js';
import { less, target, type Outcome, type Table } from './result.js';
import { scalingTable, type Scaled } from './scaling.js';

/** Two threads beside one, over many files (issue: the second core of the machine is not a whole one). */
const twoThreadsMin = 1.3;

function tableOf(comparison: PoolComparison): Table {
  const ratios = speedUps(comparison);
  return {
    title: comparison.title,
    head: ['threads', 'wall s', 'range', 'CPU s', 'peak MB', 'times one thread'],
    rows: comparison.measured.map((run, i) =>
      run.runs === 0
        ? [String(comparison.threads[i]), 'failed']
        : [
            String(comparison.threads[i]),
            run.wallSeconds.toFixed(2),
            `${run.fastestSeconds.toFixed(2)}-${run.slowestSeconds.toFixed(2)}`,
            run.cpuSeconds.toFixed(2),
            (run.peakBytes / 1e6).toFixed(0),
            ratios[i]!.toFixed(2),
          ],
    ),
    notes: [
      `Medians of ${Math.max(...comparison.measured.map(({ runs }) => runs))}.`,
      ...comparison.measured.flatMap(({ name, failure }) =>
        failure === null ? [] : [`${name}: ${failure}.`],
      ),
    ],
  };
}

/** Scans per second by one thread and by two. */
function scaledOf({ title, threads, measured }: PoolComparison): Scaled {
  const rate = (count: number): number => 1 / (measured[threads.indexOf(count)]?.wallSeconds ?? NaN);
  return { what: title, unit: 'scans/s', one: rate(1), two: rate(2) };
}

export function poolOutcome(comparisons: readonly PoolComparison[]): Outcome {
  const [first] = comparisons;
  const two = first === undefined ? NaN : (speedUps(first)[first.threads.indexOf(2)] ?? NaN);
  return {
    tables: [...comparisons.map(tableOf), scalingTable(comparisons.map(scaledOf), [])],
    figures: comparisons.flatMap(({ title, threads, measured }) =>
      measured.map(({ wallSeconds }, i) => less(`${title}, ${threads[i]!} threads, wall`, wallSeconds, 's')),
    ),
    targets: [target(`two threads, ${first?.title ?? ''}`, two, ['>=', twoThreadsMin], ' times')],
  };
}

export async function measurePool({ quick, repeat }: Context, note: Note): Promise<Outcome> {
  const size = quick ? { files: 4, megabytes: 10, links: 2 } : { files: 8, megabytes: 150, links: 8 };
  return poolOutcome(await benchPool({ ...size, repeat }, note));
}
