import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MonitorFigures } from './monitor.js';
import { monitorOutcome } from './part-monitor.js';
import { poolOutcome } from './part-pool.js';
import { ringOutcome } from './part-ring.js';
import { splitOutcome } from './part-split.js';
import { parts } from './parts.js';
import { partNames } from './result.js';

test('every part that can be asked for can be run', () => {
  assert.deepEqual(Object.keys(parts), [...partNames]);
});

test('the ring: targets by the smallest packets and the usual batch, scaling for each size of packet', () => {
  const row = (workers: number, packetBytes: number, batchPackets: number, perSecond: number) => ({
    ...{ workers, packetBytes, batchPackets, perSecond, slowest: perSecond, fastest: perSecond },
    ...{ collections: 0, packets: 10_000_000 },
  });
  const throughput = [
    row(1, 64, 64, 5e6),
    row(2, 64, 64, 4e6),
    row(1, 512, 64, 3e6),
    row(2, 512, 64, 2e6),
    row(2, 64, 1, 1e6),
    row(2, 64, 64, 9e6),
  ];
  const delays = [{ batchPackets: 64, burst: 1, p50Micros: 30, p99Micros: 90.4 }];
  const { targets, tables, figures } = ringOutcome({ throughput, delays });
  assert.deepEqual(
    targets.map(({ reached, met }) => [reached, met]),
    [
      ['4.00 million packets/s', true],
      ['0', true],
    ],
  );
  assert.deepEqual(
    tables[2]!.rows.map(([what, , one, two]) => [what, one, two]),
    [
      ['ring, packets of 64 bytes', '5000000', '4000000'],
      ['ring, packets of 512 bytes', '3000000', '2000000'],
    ],
  );
  assert.equal(new Set(figures.map(({ name }) => name)).size, figures.length, 'names of figures are unique');
  const collecting = ringOutcome({ throughput: [{ ...throughput[1]!, collections: 2 }], delays });
  assert.equal(collecting.targets[1]!.met, false);
});

test('one file: ratios to one thread, and whether all ways found the same', () => {
  const rows = [
    { way: 'one thread', wallSeconds: [2, 3, 2], cpuSeconds: [2, 2, 2], flows: [5, 1] },
    { way: 'two', wallSeconds: [4, 4, 5], cpuSeconds: [6, 6, 6], flows: [5, 1] },
  ];
  const [table] = splitOutcome(rows, 1e9, 'A mix.').tables;
  assert.deepEqual(table!.rows, [
    ['one thread', '2.00', '2.00-3.00', '2.00', '1.00'],
    ['two', '4.00', '4.00-5.00', '6.00', '0.50'],
  ]);
  assert.ok(table!.notes.some((note) => note.startsWith('All ways find')));
  const other = splitOutcome([rows[0]!, { ...rows[1]!, flows: [6, 0] }], 1, '').tables[0]!;
  assert.ok(other.notes.some((note) => note.includes('do NOT find')));
});

test('many files: the target is two threads over the first folder, and every folder is extrapolated', () => {
  const run = (wallSeconds: number, failure: string | null = null) => ({
    ...{ name: 'n', wallSeconds, cpuSeconds: 4, peakBytes: 200e6, fastestSeconds: 2, slowestSeconds: 5 },
    ...{ runs: failure === null ? 3 : 0, failure },
  });
  const comparison = (title: string, ...measured: ReturnType<typeof run>[]) => ({
    ...{ title, threads: [1, 2, 4], measured },
  });
  const { tables, targets } = poolOutcome([
    comparison('8 files', run(4), run(2.5), run(2)),
    comparison('small', run(1), run(2), run(NaN, 'ended with status 1')),
  ]);
  assert.deepEqual(targets, [
    { what: 'two threads, 8 files', wanted: '>= 1.3 times', reached: '1.60 times', met: true },
  ]);
  assert.deepEqual(tables[0]!.rows[1], ['2', '2.50', '2.00-5.00', '4.00', '200', '1.60']);
  assert.deepEqual(tables[1]!.rows[2], ['4', 'failed']);
  assert.ok(tables[1]!.notes.includes('n: ended with status 1.'));
  assert.deepEqual(
    tables[2]!.rows.map(([title, , , , times]) => [title, times]),
    [
      ['8 files', '1.60'],
      ['small', '0.50'],
    ],
  );
});

test('the monitor: nothing skipped at the wanted rate, or four fifths of what tcpdump takes whole', () => {
  const at = (watcher: 'ring' | 'tcpdump', rate: number, lost: number): MonitorFigures => ({
    ...{ watcher, rate, arrived: rate, takenPercent: 100 - lost, droppedPercent: 0, cpuMicros: 1.5 },
    skippedPercent: watcher === 'ring' ? lost : null,
  });
  const reached = (...all: MonitorFigures[]): readonly [string, boolean | null] => {
    const [first] = monitorOutcome(all, []).targets;
    return [first!.reached, first!.met];
  };
  const tcpdump = at('tcpdump', 250_000, 0);
  assert.deepEqual(reached(at('ring', 300_000, 0), tcpdump), ['100.00 %, 1.20 times', true]);
  assert.deepEqual(reached(at('ring', 200_000, 0), at('ring', 300_000, 5), tcpdump), [
    '95.00 %, 0.80 times',
    true,
  ]);
  assert.deepEqual(reached(at('ring', 100_000, 0), at('ring', 300_000, 5), tcpdump), [
    '95.00 %, 0.40 times',
    false,
  ]);
  const short = { ...at('ring', 300_000, 0), arrived: 40_000 };
  assert.deepEqual(reached(short, tcpdump), ['did not arrive, 0.16 times', false]);
  assert.deepEqual(reached(short, at('tcpdump', 250_000, 1)), ['did not arrive, - times', null]);
  const { tables } = monitorOutcome([at('ring', 100_000, 0), tcpdump], ['cap: left out, no compiler.']);
  assert.deepEqual(tables[0]!.rows[1], ['tcpdump', '250', '250', '100.00', '0.00', '-', '1.50']);
  assert.ok(tables[0]!.notes.includes('ring: all taken up to 100 thousand packets/s.'));
  assert.ok(tables[0]!.notes.includes('cap: left out, no compiler.'));
});
