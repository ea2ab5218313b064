import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Machine } from './machine.js';
import { names, workerCounts, workersName } from './nfqueue-consumers.js';
import {
  compared,
  type Figures,
  middle,
  percentile,
  queueOutcome,
  type Rounds,
  targets,
} from './nfqueue-report.js';

const machine: Machine = {
  ...{ cpu: 'a processor', cores: 2, memoryBytes: 2 ** 34, kernel: 'Linux 6', node: 'v20', v8: '11' },
  ...{ date: '2026-11-21', commit: 'abc1234', loadBefore: 0.5 },
};

const rounds: Rounds = new Map<string, (Figures | null)[]>([
  [names.none, [{ idleMedian: 20, goesOnMedian: 19 }, null, { gigabits: 10 }, { gigabits: 20 }]],
  [names.same, [{ handled: 400_000, ordinary: 500_000 }, { handled: 200_000 }]],
  [
    names.swarmgate,
    [
      { handled: 380_000, ordinary: 700_000, idleMedian: 70, goesOnMedian: 30, loss: 0 },
      null,
      { gigabits: 9 },
      { gigabits: 20 },
    ],
  ],
  [names.inspect, [{ handled: 410_000 }]],
  [names.peer, [{ handled: 100_000, ordinary: 100_000 }]],
  [names.peerSame, [{ handled: 80_000 }]],
]);

test('percentiles are values that occurred', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  assert.equal(percentile(values, 0.5), 50);
  assert.equal(percentile(values, 0.99), 99);
  assert.equal(percentile([7], 0.99), 7);
  assert.equal(percentile([1, Number.POSITIVE_INFINITY], 1), Number.POSITIVE_INFINITY);
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test('medians and comparisons leave out rounds that failed', () => {
  assert.equal(middle(rounds, names.same, 'handled'), 300_000);
  assert.ok(Number.isNaN(middle(rounds, names.hold, 'handled')));
  const quotient = (a: number, b: number): number => a / b;
  assert.equal(compared(rounds, [names.swarmgate, names.same], 'handled', quotient), 0.95);
  assert.equal(compared(rounds, [names.swarmgate, names.none], 'gigabits', quotient), 0.95);
  assert.ok(Number.isNaN(compared(rounds, [names.swarmgate, names.hold], 'gigabits', quotient)));
});

test('targets say yes, no, or that nothing was measured', () => {
  const found = new Map(targets({ machine, rounds, memory: null }).map((each) => [each.what, each]));
  assert.equal(found.get('overload, all behind our rules, beside C')?.met, true);
  assert.equal(found.get('overload, all behind one rule, beside C')?.met, null);
  assert.equal(found.get('overload, all behind one rule, beside npm nfqueue')?.met, true);
  assert.equal(found.get('overload, all behind our rules, beside npm nfqueue')?.met, true);
  assert.equal(found.get('overload, we behind our rules, it behind one, beside npm nfqueue')?.met, false);
  assert.equal(found.get('overload, 1,024 flows, forwarded, beside C behind our rules')?.reached, '1.40');
  assert.equal(found.get('overload, 1,024 flows, forwarded, beside C behind one rule')?.met, null);
  assert.equal(found.get('overload, 1,024 flows, forwarded, beside npm nfqueue')?.met, true);
  assert.equal(found.get('TCP, offloaded, beside no queue')?.reached, '0.95');
  assert.equal(found.get('TCP, offloaded, beside no queue')?.met, false);
  assert.equal(found.get('added round trip, idle, every packet looked at, median')?.reached, '50 µs');
  assert.equal(found.get('added round trip, idle, one flow that goes on, median')?.reached, '11 µs');
  assert.equal(found.get('loss at 100 thousand/s')?.met, true);
  assert.equal(found.get('memory of the whole process with them')?.met, null);
});

test('the tables have every consumer that was measured, with its ratios', () => {
  const memory = {
    ...{ flows: 210_000, evicted: 0, workers: 4, packets: 424_000, seconds: 7 },
    ...{ idleBytes: 140e6, peakBytes: 190e6, residentBytes: 186e6 },
  };
  const { tables, figures } = queueOutcome({ machine, rounds, memory });
  const [flood, times, used] = tables;
  assert.deepEqual(
    flood!.rows.map(([name, , seen]) => [name, seen]),
    [
      [names.same, '300 (1.00)'],
      [names.swarmgate, '380 (0.95)'],
      [names.inspect, '410 (1.02)'],
      [names.peer, '100 (0.25)'],
      [names.peerSame, '80 (0.20)'],
    ],
  );
  assert.deepEqual(
    times!.rows.map(([name]) => name),
    [names.none, names.swarmgate],
  );
  assert.deepEqual(used!.rows, [['210000', '0', '4', '424000', '7', '140 MB', '190 MB', '186 MB']]);
  assert.deepEqual(
    figures.find(({ name }) => name === `${names.swarmgate}, handled`),
    { name: `${names.swarmgate}, handled`, value: 380_000, unit: '/s', better: 'more' },
  );
  assert.ok(!figures.some(({ name }) => name.startsWith(names.hold)));
});

test('workers: from one to two, and one per core beside two', () => {
  const several: Rounds = new Map<string, (Figures | null)[]>([
    [names.swarmgate, [{ handled: 200_000 }]],
    [workersName(2), [{ handled: 300_000 }]],
    [workersName(4), [{ handled: 330_000 }]],
  ]);
  const tables = queueOutcome({ machine, rounds: several, memory: null }).tables;
  const scaling = tables.find(({ title }) => title === 'From one worker to two')!;
  assert.deepEqual(scaling.rows[0]!.slice(0, 6), ['overload, seen', 'k/s', '200', '300', '1.50', '75 %']);
  const pools = tables.find(({ title }) => title === 'Workers per core')!;
  assert.deepEqual(pools.head, ['k/s', '1 x cores: 2', '2 x cores: 4', 'times']);
  assert.deepEqual(pools.rows, [['overload, seen', '300', '330', '1.10']]);
  assert.deepEqual(workerCounts(2), [2, 4]);
  assert.deepEqual(workerCounts(1), [2]);
  assert.deepEqual(workerCounts(64), [2, 64, 128]);
});
