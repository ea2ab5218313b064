/** Part `monitor`: what the passive monitor keeps up with, beside tcpdump. */
import { capProblem } from '../lib/io/open-live.js';
import { benchMonitor, losslessRate, targetRate, type MonitorFigures, type Watcher } from './monitor.js';
import type { Context, Note } from './context.js';
import { less, more, type Outcome, type Target } from './result.js';

/** Of what tcpdump takes whole, where the target's rate is more than this machine can. */
const besideTcpdumpMin = 0.8;
/** As in losslessRate: a packet may be under way when the counts are read. */
const losslessPercent = 99.99;
const rates = [100_000, 150_000, 200_000, 250_000, targetRate];

const percent = (value: number | null): string => (value === null ? '-' : value.toFixed(2));

/** A rate counts as reached when so much of it arrived: on a busy machine the sender falls short. */
const arrivedMin = 0.95;

function targetOf(results: readonly MonitorFigures[]): Target {
  const atTarget = results.find(
    ({ watcher, rate, arrived }) =>
      watcher === 'ring' && rate === targetRate && arrived >= arrivedMin * targetRate,
  );
  const share = losslessRate(results, 'ring') / losslessRate(results, 'tcpdump');
  const whole = atTarget === undefined ? null : atTarget.takenPercent >= losslessPercent;
  const enough = Number.isFinite(share) ? share >= besideTcpdumpMin : null;
  return {
    what: `ring at ${targetRate / 1000} thousand packets/s, or beside tcpdump without loss`,
    wanted: `100 %, or >= ${besideTcpdumpMin} times`,
    reached: `${atTarget === undefined ? 'did not arrive' : `${percent(atTarget.takenPercent)} %`}, ${Number.isFinite(share) ? share.toFixed(2) : '-'} times`,
    met: whole === true ? true : (enough ?? whole),
  };
}

export function monitorOutcome(results: readonly MonitorFigures[], absent: readonly string[]): Outcome {
  const watchers = [...new Set(results.map(({ watcher }) => watcher))];
  return {
    tables: [
      {
        title: 'Small packets over a veth pair, all in short flows',
        head: ['', 'asked k/s', 'arrived k/s', 'taken %', 'kernel dropped %', 'skipped %', 'CPU µs/packet'],
        rows: results.map((each) => [
          each.watcher,
          (each.rate / 1000).toFixed(0),
          (each.arrived / 1000).toFixed(0),
          percent(each.takenPercent),
          percent(each.droppedPercent),
          percent(each.skippedPercent),
          each.cpuMicros.toFixed(2),
        ]),
        notes: [
          ...watchers.map(
            (watcher) =>
              `${watcher}: all taken up to ${(losslessRate(results, watcher) / 1000).toFixed(0)} thousand packets/s.`,
          ),
          ...absent,
        ],
      },
    ],
    figures: [
      ...watchers.map((watcher) => more(`${watcher}, lossless`, losslessRate(results, watcher), '/s')),
      ...results.map(({ watcher, rate, cpuMicros }) => less(`${watcher} at ${rate}/s, CPU`, cpuMicros, 'µs')),
    ],
    targets: [targetOf(results)],
  };
}

export async function measureMonitor({ quick, repeat }: Context, note: Note): Promise<Outcome> {
  const cap = capProblem();
  const watchers: Watcher[] = cap === null ? ['ring', 'cap', 'tcpdump'] : ['ring', 'tcpdump'];
  const results = await benchMonitor({
    rates: quick ? [100_000, targetRate] : rates,
    watchers,
    seconds: quick ? 1 : 2,
    repeat: quick ? 1 : Math.min(repeat, 2),
    note,
  });
  return monitorOutcome(results, cap === null ? [] : [`cap: left out, ${cap}.`]);
}
