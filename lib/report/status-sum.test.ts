/** Several instances as one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latencyPercentiles } from './status-builder.js';
import { renderSum, sumStatus } from './status-sum.js';
import { fakeCapture, fakeStatus } from './status-testing.js';

const one = fakeStatus({ instance: 'node0' });
const two = fakeStatus({
  instance: 'node1',
  mode: 'monitor',
  packets: 5,
  memory_bytes: 7,
  decode: { ...one.decode, malformed: 9 },
  flows: { ...one.flows, by_kind: { ...one.flows.by_kind, utp: 11 }, by_reason: { proof: 1 } },
});

test('counts are added wherever they stand, also where only one instance has them', () => {
  const sum = sumStatus([one, two]);
  assert.equal(sum.instances, 2);
  assert.equal(sum.packets, one.packets + 5);
  assert.equal(sum.memory_bytes, one.memory_bytes + 7);
  assert.equal(sum.actions.dropped, 2 * one.actions.dropped);
  assert.equal(sum.decode.malformed, (one.decode.malformed ?? 0) + 9);
  assert.equal(sum.flows.by_kind.utp, one.flows.by_kind.utp + 11);
  assert.equal(sum.flows.by_reason.proof, one.flows.by_reason.proof! + 1);
  assert.equal(sum.flows.by_reason['two-strong'], one.flows.by_reason['two-strong']);
  assert.equal(sum.workers.configured, one.workers.length + two.workers.length);
  const doubled = one.latency_histogram.map((count) => 2 * count);
  assert.deepEqual(sum.latency_histogram, doubled);
  assert.deepEqual(sum.latency_micros, latencyPercentiles(doubled));
});

test('packets that passed uninspected are lost', () => {
  const [first, ...others] = one.workers;
  const status = { ...one, workers: [{ ...first!, uninspected: first!.uninspected! + 1234 }, ...others] };
  assert.equal(sumStatus([status]).lost, sumStatus([one]).lost + 1234);
});

test('what a monitor skipped, and the kernel dropped for it, is lost too', () => {
  const { lost } = sumStatus([one]);
  assert.equal(sumStatus([{ ...one, capture: fakeCapture() }]).lost, lost + 89 + 12);
});

test('the sum of one is that one', () => {
  const { packets, flows, actions, latency_micros } = sumStatus([one]);
  assert.deepEqual([packets, flows, actions], [one.packets, one.flows, one.actions]);
  assert.deepEqual(latency_micros, latencyPercentiles(one.latency_histogram));
});

test('the page: a sentence and a line for each, and the sum', () => {
  const text = renderSum([one, two], { width: 80, colour: false });
  assert.match(text, /^node0: Blocking BitTorrent since/m);
  assert.match(text, /^node1: Watching only since/m);
  assert.match(text, /^ {2}node1 +monitor /m);
  assert.match(text, /^ {2}all +mixed /m);
  for (const line of text.split('\n')) assert.ok(line.length <= 80, line);
  assert.match(text, /^1,234,572 packets inspected, 9,000 dropped/m);
  assert.ok(!text.includes('\x1b'));
  assert.ok(renderSum([one, two], { width: 120, colour: true }).includes('\x1b[1;32m'));
});
