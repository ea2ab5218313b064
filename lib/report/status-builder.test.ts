import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counterAt, counterNames, latencyBucket, latencyBuckets } from '../engine/counters.js';
import { kinds } from '../../detectors/detector.js';
import { latencyPercentiles, perSecond, rates, statusParts, sumCounters } from './status-builder.js';
import { fakeCounters } from './status-testing.js';

test('workers are added up, whatever the length of their arrays', () => {
  const sum = sumCounters([fakeCounters(), fakeCounters(), new Float64Array(1)]);
  assert.equal(sum[counterAt('packets')], 2 * 1_234_567);
  assert.equal(sumCounters([])[counterAt('packets')], 0);
});

test('the parts of a status', () => {
  const parts = statusParts(fakeCounters());
  assert.equal(parts.packets, 1_234_567);
  assert.deepEqual(parts.actions, { passed: 800_000, accepted: 430_000, dropped: 4500, rejected: 67 });
  assert.deepEqual(parts.flows.by_verdict, { unknown: 9000, clear: 10_000, suspect: 100, bittorrent: 900 });
  assert.equal(parts.flows.by_kind.dht, 600);
  assert.deepEqual(Object.keys(parts.flows.by_kind), [...kinds]);
  assert.equal(parts.flows.by_reason.proof, 850);
  assert.equal(parts.decode.malformed, 567);
  assert.equal(parts.counters['busySeconds'], 1.5);
  assert.ok(!('packets' in parts.counters));
  assert.equal(parts.latency_histogram.length, latencyBuckets);
});

test('every count is in the status, in its own place or by its name', () => {
  for (const name of counterNames) {
    const counters = new Float64Array(fakeCounters().length);
    counters[counterAt(name)] = 98_765;
    assert.match(JSON.stringify(statusParts(counters)), /98765/, name);
  }
});

test('percentiles are the upper edge of their bucket', () => {
  const histogram = new Array<number>(latencyBuckets).fill(0);
  assert.deepEqual(latencyPercentiles(histogram), { p50: 0, p90: 0, p99: 0, max: 0 });
  for (let micros = 1; micros <= 1000; micros++) histogram[latencyBucket(micros)]!++;
  const { p50, p90, p99, max } = latencyPercentiles(histogram);
  for (const [value, exact] of [
    [p50, 500],
    [p90, 900],
    [p99, 990],
    [max, 1000],
  ] as const) {
    assert.ok(value >= exact && value < exact * 1.2, `${value} for ${exact}`);
  }
  assert.equal(latencyPercentiles([1]).p50, latencyPercentiles([1]).max);
});

test('rates are never negative or infinite', () => {
  const before = fakeCounters();
  const after = sumCounters([before]);
  after[counterAt('packets')]! += 500;
  after[counterAt('bytes')]! += 1000;
  assert.deepEqual(rates(before, after, 2), { packets_per_second: 250, bits_per_second: 4000 });
  assert.deepEqual(rates(after, before, 2), { packets_per_second: 0, bits_per_second: 0 });
  assert.equal(perSecond(5, 0), 0);
  assert.equal(perSecond(Number.NaN, 1), 0);
});
