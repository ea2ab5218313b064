import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../testing.js';
import { bucketsMax, Timeline } from './timeline.js';

function totals(timeline: Timeline): { bittorrent: number; other: number } {
  const sum = { bittorrent: 0, other: 0 };
  for (const bucket of timeline.list()) {
    sum.bittorrent += bucket.bittorrent;
    sum.other += bucket.other;
  }
  return sum;
}

test('empty, one instant, one flow', () => {
  const timeline = new Timeline();
  assert.deepEqual(timeline.list(), []);
  timeline.add(5_000_000, 5_000_000, 100, true);
  assert.deepEqual(timeline.list(), [{ startMicros: 5_000_000, bittorrent: 100, other: 0 }]);
});

test('bytes are neither lost nor moved outside the span, whatever the order of flows', () => {
  const random = new SeededRandom(7);
  const timeline = new Timeline();
  const start = 1_769_862_896_000_000;
  let expected = 0;
  let first = Infinity;
  let last = 0;
  for (let i = 0; i < 2000; i++) {
    const from = start + random.below(2_000_000_000) - random.below(1_000_000_000);
    const to = from + random.below(i % 50 === 0 ? 2_000_000_000 : 1_000_000);
    first = Math.min(first, from);
    last = Math.max(last, to);
    expected += 1500;
    timeline.add(from, to, 1500, i % 3 === 0);
  }
  const { bittorrent, other } = totals(timeline);
  assert.ok(Math.abs(bittorrent + other - expected) < 1e-3 * expected);
  assert.ok(Math.abs(bittorrent - 667 * 1500) < 1);
  const buckets = timeline.list();
  assert.ok(buckets.length <= bucketsMax && buckets.length > bucketsMax / 4);
  assert.ok(buckets[0]!.startMicros <= first && buckets[0]!.startMicros + timeline.widthMicros > first);
  assert.ok(buckets.at(-1)!.startMicros <= last && buckets.at(-1)!.startMicros + timeline.widthMicros > last);
});

test('a later flow lands in the right bucket after widening, also to the left', () => {
  const timeline = new Timeline();
  timeline.add(100e6, 100e6, 10, true);
  timeline.add(1000e6, 1000e6, 20, false);
  timeline.add(50e6, 50e6, 30, false);
  const at = (micros: number) =>
    timeline.list().find((b) => b.startMicros <= micros && micros < b.startMicros + timeline.widthMicros)!;
  assert.equal(at(100e6).bittorrent, 10);
  assert.equal(at(1000e6).other, 20);
  assert.equal(at(50e6).other, 30);
});

test('nonsense times neither hang nor throw', () => {
  const timeline = new Timeline();
  timeline.add(0, 1, 1, true);
  timeline.add(1.8e19, 1.8e19, 1, true);
  timeline.add(Number.NaN, 5, 1, true);
  timeline.add(9, 3, 1, true);
  assert.equal(totals(timeline).bittorrent, 3);
});
