import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lowerQuartile, median, timeAll, timeBatches } from './stopwatch.js';

test('the lower quartile is a value than which a quarter are smaller', () => {
  assert.equal(lowerQuartile([9, 1, 8, 2, 7, 3, 6, 4, 5]), 3);
  assert.equal(lowerQuartile([4]), 4);
  assert.equal(median([9, 1, 8, 2, 7, 3, 6, 4, 5]), 5);
  assert.ok(Number.isNaN(lowerQuartile([])));
});

test('every batch is made ready before it is timed, and never twice', () => {
  let ready = 0;
  let batches = 0;
  const batched = {
    name: 'batches',
    size: 1000,
    prepare: () => {
      assert.equal(ready, 0);
      ready++;
    },
    run: () => {
      assert.equal(ready, 1);
      ready--;
      const until = performance.now() + 0.5;
      while (performance.now() < until) batches++;
      return 1;
    },
  };
  const [ns] = timeBatches([batched], 3);
  assert.ok(ns! >= 500, 'half a millisecond for a thousand pieces');
  assert.ok(batches > 0);
});

test('the cases of a run are asked for as many calls as they are divided by', () => {
  let calls = 0;
  const [ns] = timeAll([{ name: 'spin', run: (count) => spin(count) }], 2);
  function spin(count: number): number {
    const until = performance.now() + count / 1000;
    while (performance.now() < until) calls++;
    return calls;
  }
  assert.ok(ns! >= 1000, 'a microsecond for each call');
});
