import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kinds } from '../../detectors/detector.js';
import { counterNames } from '../engine/counters.js';
import { reasons, verdicts } from '../engine/verdict.js';
import { decodeOutcomes } from '../wire/packet.js';
import { parseMetrics } from './metrics-testing.js';
import { escapeHelp, escapeLabel, metricsText, numberText } from './metrics.js';
import { fakeDoubt, fakeStatus } from './status-testing.js';
import { fakeReport, hostileTexts } from './testing.js';

const families = parseMetrics(metricsText(fakeStatus()));
const value = (name: string, labels: Record<string, string> = {}): number | undefined =>
  families.get(name)?.samples.find((sample) => JSON.stringify(sample.labels) === JSON.stringify(labels))
    ?.value;

test('figures arrive in base units', () => {
  assert.equal(value('swarmgate_packets_total'), 1_234_567);
  assert.equal(value('swarmgate_bytes_total'), 987_654_321);
  assert.equal(value('swarmgate_up'), 1);
  assert.equal(value('swarmgate_enforcing'), 1);
  assert.equal(value('swarmgate_start_time_seconds'), 1_769_862_896);
  assert.equal(value('swarmgate_build_info', { version: '0.0.0-test', instance: 'default' }), 1);
  assert.equal(value('swarmgate_actions_total', { action: 'dropped' }), 4500);
  assert.equal(value('swarmgate_flow_kinds_total', { kind: 'dht' }), 600);
  assert.equal(value('swarmgate_rules_state', { state: 'intact' }), 1);
  assert.equal(value('swarmgate_rules_state', { state: 'damaged' }), 0);
  assert.equal(value('swarmgate_payload_bytes_before_verdict_total'), 45_678);
  assert.equal(value('swarmgate_flows_first_packet_total'), 850);
  assert.equal(value('swarmgate_flows_doubtful_total'), 123);
  assert.equal(value('swarmgate_conntrack_entries'), 1234);
  assert.equal(value('swarmgate_conntrack_entries_limit'), 262_144);
  assert.equal(value('swarmgate_endpoints'), 4321);
  assert.equal(value('swarmgate_endpoints_learned_total'), 5432);
  assert.equal(value('swarmgate_endpoints_refused_total', { cause: 'listener' }), 22);
  assert.equal(value('swarmgate_endpoints_evicted_total'), 44);
  assert.equal(value('swarmgate_active_hosts'), 55);
  assert.equal(value('swarmgate_swarm_memory_bytes'), 7_000_000);
  assert.equal(value('swarmgate_queue_kernel_dropped_total', { worker: '0' }), 5);
  assert.equal(value('swarmgate_queue_kernel_dropped_total', { worker: '1' }), undefined);
});

test('the histogram holds every batch once', () => {
  const { samples } = families.get('swarmgate_batch_duration_seconds')!;
  const upTo = (le: string): number | undefined =>
    samples.find((sample) => sample.labels['le'] === le)?.value;
  assert.equal(upTo('0.000032'), 0);
  assert.equal(upTo('0.000064'), 900);
  assert.equal(upTo('0.000256'), 990);
  assert.equal(upTo('+Inf'), 1000);
  assert.ok(samples.length < 30);
});

test('labels are of fixed vocabularies; no address and nothing from the wire is among them', () => {
  const vocabulary: Record<string, readonly string[]> = {
    kind: kinds,
    verdict: verdicts,
    reason: reasons,
    outcome: decodeOutcomes,
    action: ['passed', 'accepted', 'dropped', 'rejected'],
    worker: ['0', '1'],
    mode: ['monitor', 'enforce'],
    cause: ['speaker', 'listener', 'full'],
    state: ['intact', 'damaged', 'absent', 'unknown'],
    version: ['0.0.0-test'],
    instance: ['default'],
  };
  for (const { samples } of families.values()) {
    for (const [name, word] of samples.flatMap(({ labels }) => Object.entries(labels))) {
      if (name !== 'le') assert.ok(vocabulary[name]?.includes(word), `${name}="${word}"`);
    }
  }
  const hostile = fakeStatus({
    decisions: hostileTexts.map((text) => ({
      ...fakeStatus().decisions[0]!,
      flow: fakeReport({ client: text }),
    })),
    doubtful: hostileTexts.map((text) => fakeDoubt({ flow: fakeReport({ client: text }) })),
  });
  assert.equal(metricsText(hostile), metricsText(fakeStatus()));
});

test('the event log: records and lost ones, and nothing where there is none', () => {
  assert.match(
    metricsText(fakeStatus()),
    /swarmgate_eve_records_total 987\n[^]*swarmgate_eve_records_lost_total 65\n/,
  );
  assert.doesNotMatch(metricsText(fakeStatus({ events: null })), /eve_records/);
});

test('every growing count is a metric', () => {
  const placed = ['flowsNow', 'busySeconds', 'heartbeat'];
  const base = fakeStatus();
  for (const name of counterNames) {
    if (placed.includes(name) || !(name in base.counters)) continue;
    const text = metricsText({ ...base, counters: { ...base.counters, [name]: 98_765 } });
    assert.match(text, / 98765\n/, name);
  }
});

test('a status without anything is valid too', () => {
  const bare = fakeStatus({ workers: [], decode: {}, counters: {}, latency_histogram: [], started: 'never' });
  parseMetrics(metricsText(bare));
  assert.match(metricsText(bare), /swarmgate_up 0\n/);
});

test('any text survives as label and help', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[\\"n\n{},= ]*$/)), (text) => {
      const page = `# HELP x ${escapeHelp(text)}\n# TYPE x gauge\nx{a="${escapeLabel(text)}",b="${escapeLabel(text)}"} 1\n`;
      const family = parseMetrics(page).get('x')!;
      assert.deepEqual(family.samples[0]!.labels, { a: text, b: text });
      assert.equal(family.help, text);
    }),
  );
  for (const text of hostileTexts) parseMetrics(metricsText(fakeStatus({ instance: text, version: text })));
});

test('any number survives', () => {
  fc.assert(
    fc.property(fc.double(), (number) => {
      const page = `# HELP x x\n# TYPE x gauge\nx ${numberText(number)}\n`;
      const found = parseMetrics(page).get('x')!.samples[0]!.value;
      assert.ok(Object.is(found, number) || found === number);
    }),
  );
});

test('the reader of the tests refuses what a scraper would', () => {
  const head = '# HELP x x\n# TYPE x gauge\n';
  for (const bad of [
    'x 1',
    'x 1\n',
    `${head}y 1\n`,
    `${head}x 1\nx 2\n`,
    `${head}x{a="1" 2\n`,
    `${head}x{a="\\x"} 2\n`,
    `${head}x one\n`,
    head,
    '# HELP x x\n# TYPE x counter\nx 1\n',
    '# TYPE x gauge\nx 1\n',
    '# HELP x x\n# TYPE x histogram\nx_bucket{le="1"} 2\nx_sum 1\nx_count 2\n',
  ])
    assert.throws(() => parseMetrics(bad), bad);
});
