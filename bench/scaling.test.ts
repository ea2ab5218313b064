import assert from 'node:assert/strict';
import { test } from 'node:test';
import { efficiency, extrapolated, scalingTable, serialShare } from './scaling.js';

test('a second worker that takes over everything, half, or nothing', () => {
  assert.equal(serialShare(100, 200), 0);
  assert.equal(serialShare(100, 100), 1);
  assert.ok(Math.abs(serialShare(100, 150) - 1 / 3) < 1e-12);
  assert.equal(efficiency(100, 150), 0.75);
});

test('measurements beyond the possible give no more than linear, and no less than one worker', () => {
  assert.equal(extrapolated(100, 260, 64), 6400);
  assert.equal(extrapolated(100, 40, 64), 100);
});

test('the extrapolation goes through what was measured', () => {
  assert.ok(Math.abs(extrapolated(100, 170, 1) - 100) < 1e-9);
  assert.ok(Math.abs(extrapolated(100, 170, 2) - 170) < 1e-9);
  assert.ok(extrapolated(100, 170, 64) < 100 / serialShare(100, 170));
});

test('what was not measured is called an extrapolation, with its formula', () => {
  const { head, rows, notes } = scalingTable(
    [{ what: 'pool', unit: 'MB/s', one: 500, two: 1000 }],
    ['and a note'],
  );
  assert.deepEqual(rows, [['pool', 'MB/s', '500', '1000', '2.00', '100 %', '4000', '32000']]);
  assert.equal(head.filter((title) => title.includes('EXTRAPOLATED')).length, 2);
  assert.ok(notes.some((note) => note.includes('s = 2 / (T(2) / T(1)) - 1')));
  assert.equal(notes.at(-1), 'and a note');
});
