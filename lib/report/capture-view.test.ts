/** A monitor's status for people, and its metrics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetrics } from './metrics-testing.js';
import { metricsText } from './metrics.js';
import { fakeCapture, fakeStatus } from './status-testing.js';
import { renderStatus, verdictOf } from './status-view.js';
import type { CaptureReport, SavedReport } from './status.js';
import { hostileTexts } from './testing.js';

const plain = { width: 100, colour: false };
const [eth0, eth2] = fakeCapture().interfaces as [
  CaptureReport['interfaces'][number],
  CaptureReport['interfaces'][number],
];
const saved: SavedReport = {
  directory: '/var/tmp',
  packets: 1234,
  bytes: 5_000_000,
  dropped: 0,
  files: 3,
  removed: 1,
  problem: null,
};
const monitor = (changes: Partial<CaptureReport> = {}): Parameters<typeof renderStatus>[0] =>
  fakeStatus({
    mode: 'monitor',
    rules: { backend: 'none', state: 'unknown', restored: 0, problem: null },
    tracking: null,
    capture: fakeCapture(changes),
    workers: fakeStatus().workers.map((worker) => ({
      ...worker,
      queue: null,
      waiting: null,
      kernel_dropped: null,
      uninspected: null,
      socket_dropped: null,
    })),
  });

test('the first line says what is watched and what is not', () => {
  const text = (changes: Partial<CaptureReport>): string => verdictOf(monitor(changes)).text;
  assert.match(text({ interfaces: [eth0] }), /^Watching eth0 \(ring\) since .* nothing is blocked\.$/);
  assert.match(text({}), /^Watching eth0 \(ring\) since .* NOT WATCHED now: eth2 \(waiting\)\.$/);
  assert.match(text({ interfaces: [eth2] }), /^NOT WORKING: no interface is watched now, eth2 \(waiting\)/);
  assert.match(verdictOf({ ...monitor(), workers: [] }).text, /^NOT WORKING: no worker runs/);
  assert.equal(verdictOf(monitor({ interfaces: [eth0] })).colour, '1;32');
});

test('interfaces, losses and saved packets are there; of queues and rules nothing is said', () => {
  const text = renderStatus(monitor({ saved }), plain);
  assert.match(text, /eth0 +ring +watching +1,234,567 +89 +12 +0\n/);
  assert.match(text, /eth2 +cap +waiting +4,321 +- +0 +1\n/);
  assert.match(text, /89 packets were dropped by the kernel/);
  assert.match(text, /12 packets were skipped: .* the rings \(67\.1 MB\) were full/);
  assert.match(text, /eth2: there is no interface eth2/);
  assert.match(text, /saved {6}1,234 packets in 3 files \(5\.00 MB\) below \/var\/tmp/);
  assert.match(text, /blocked +nothing: these are copies of packets/);
  assert.match(text, /0 +rings +running/);
  assert.doesNotMatch(text, /rules (intact|not managed)|were lost|fell at/);
  const trouble = renderStatus(monitor({ saved: { ...saved, dropped: 7, problem: 'ENOSPC' } }), plain);
  assert.match(trouble, /7 packets of detected flows are in no file/);
  assert.match(trouble, /Saving fails: ENOSPC/);
});

test('without losses nothing is said of them, and no name of an interface reaches the terminal as it is', () => {
  const quiet = renderStatus(monitor({ interfaces: [{ ...eth0, kernel_dropped: 0, skipped: 0 }] }), plain);
  assert.doesNotMatch(quiet, /dropped by the kernel|skipped:/);
  for (const hostile of hostileTexts) {
    const text = renderStatus(
      monitor({ interfaces: [{ ...eth0, interface: hostile, problem: hostile }] }),
      plain,
    );
    // eslint-disable-next-line no-control-regex -- it is these that must not be there
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  }
});

test('metrics of a monitor, by interface; an inline filter has none of them', () => {
  const families = parseMetrics(metricsText(monitor({ saved })));
  const value = (name: string, labels: Record<string, string> = {}): number | undefined =>
    families
      .get(`swarmgate_${name}`)
      ?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))?.value;
  const ofEth0 = { interface: 'eth0', source: 'ring' };
  const ofEth2 = { interface: 'eth2', source: 'cap' };
  assert.equal(value('interface_captured_packets_total', ofEth0), 1_234_567);
  assert.equal(value('interface_kernel_dropped_packets_total', ofEth0), 89);
  assert.equal(value('interface_kernel_dropped_packets_total', ofEth2), undefined);
  assert.equal(value('interface_skipped_packets_total', ofEth0), 12);
  assert.equal(value('interface_restarts_total', ofEth2), 1);
  assert.equal(value('interface_state', { ...ofEth0, state: 'watching' }), 1);
  assert.equal(value('interface_state', { ...ofEth2, state: 'watching' }), 0);
  assert.equal(value('interface_state', { ...ofEth2, state: 'waiting' }), 1);
  assert.equal(value('ring_bytes'), 64 * 1024 * 1024);
  assert.equal(value('saved_packets_total'), 1234);
  assert.equal(value('saving_failed'), 0);
  const inline = parseMetrics(metricsText(fakeStatus()));
  assert.ok(![...inline.keys()].some((name) => /^swarmgate_(interface|saved|ring)_/.test(name)));
});
