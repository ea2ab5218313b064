import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { kinds } from '../../detectors/detector.js';
import { eveRules } from './eve-rules.js';
import { eve, eveTime, signatures } from './eve.js';
import type { FlowReport } from './report.js';
import { fakeClear, fakeEvidence, fakeNear, fakeReport, hostileTexts, render } from './testing.js';

const valid = new Ajv({ allErrors: true, strict: false }).compile(eveRules);

interface EveEvent {
  readonly event_type: string;
  readonly timestamp: string;
  readonly flow_id: number;
  readonly app_proto?: string;
  readonly pcap_cnt?: number;
  readonly alert?: {
    readonly signature_id: number;
    readonly signature: string;
    readonly metadata: { readonly tag: readonly string[] };
  };
  readonly flow?: {
    readonly age: number;
    readonly state: string;
    readonly reason: string;
    readonly alerted: boolean;
  };
}

function events(flows: readonly FlowReport[]): EveEvent[] {
  const text = render(eve, flows);
  assert.ok(text.endsWith('\n'));
  const lines = text.trimEnd().split('\n');
  return lines.map((line) => {
    const event: unknown = JSON.parse(line);
    assert.ok(valid(event), `${JSON.stringify(valid.errors)} in ${line}`);
    return event as EveEvent;
  });
}

test('every flow gives a flow event, every BitTorrent flow an alert before it', () => {
  const found = fakeReport();
  const list = events([fakeClear(), found, fakeNear()]);
  assert.deepEqual(
    list.map((event) => event.event_type),
    ['flow', 'alert', 'flow', 'flow'],
  );
  assert.equal(list[1]!.flow_id, found.flow_id);
  assert.equal(list[2]!.flow?.alerted, true);
  assert.equal(list[3]!.flow?.alerted, false);
});

test('all kinds are valid and have signatures of their own in the local range', () => {
  const list = events(kinds.map((kind) => fakeReport({ kind, proto: kind === 'dht' ? 'udp' : 'tcp' })));
  const ids = new Set(list.flatMap((event) => event.alert?.signature_id ?? []));
  assert.equal(ids.size, kinds.length);
  assert.equal(list[0]!.alert?.signature_id, signatures.peer.id);
  assert.equal(events([fakeReport({ kind: 'dht' })])[0]!.app_proto, 'bittorrent-dht');
  assert.equal(events([fakeClear()])[0]!.app_proto, 'tls');
});

test('the alert carries time and frame of the deciding packet and its evidence as tags', () => {
  const [alert] = events([fakeReport({ info_hashes: ['ab'.repeat(20)] })]);
  assert.equal(alert!.timestamp, '2026-01-31T12:34:56.042000+0000');
  assert.equal(alert!.pcap_cnt, 15);
  const tags = alert!.alert!.metadata.tag;
  for (const tag of [
    'file:capture.pcap',
    'kind:peer',
    'confidence:proof',
    'decided_frame:15',
    `info_hash:${'ab'.repeat(20)}`,
    'client:-TR4050-',
  ]) {
    assert.ok(tags.includes(tag), tag);
  }
});

test('odd records stay valid: no evidence, no kind, a tunnel, hostile names, times out of range', () => {
  events([
    fakeReport({ evidence: [], kind: null, confidence: null, decided_packet: null, decided_frame: null }),
    fakeReport({ tunnel: 'vxlan', outer: ['192.0.2.1', 4789, '192.0.2.2', 4789] }),
    fakeReport({ tunnel: 'gre' }),
    ...hostileTexts.map((name) => fakeReport({ file: name, client_software: [name] })),
    fakeClear({ first_seen: '000000Z', last_seen: '000000Z' }),
    fakeReport({ first_seen: '+010000-01-01T00:00:00.000000Z', evidence: [fakeEvidence({ time: '' })] }),
  ]);
});

test('how a flow ended becomes its state and reason', () => {
  const stateOf = (changes: Partial<FlowReport>): [string, string] => {
    const flow = events([fakeClear(changes)])[0]!.flow!;
    return [flow.state, flow.reason];
  };
  assert.deepEqual(stateOf({}), ['established', 'shutdown']);
  assert.deepEqual(stateOf({ packets_to_client: 0 }), ['new', 'shutdown']);
  assert.deepEqual(stateOf({ ended: 'idle' }), ['established', 'timeout']);
  assert.deepEqual(stateOf({ ended: 'closed' }), ['closed', 'timeout']);
  assert.deepEqual(stateOf({ ended: 'evicted' }), ['established', 'forced']);
});

test('times are written as Suricata writes them', () => {
  assert.equal(eveTime('2026-01-31T12:34:56.123456Z'), '2026-01-31T12:34:56.123456+0000');
  assert.equal(events([fakeClear()])[0]!.flow!.age, 3);
});

test('the rules themselves refuse an own field, an empty list and a Z', () => {
  const line = JSON.parse(render(eve, [fakeReport()]).split('\n')[0]!) as Record<string, unknown>;
  assert.ok(valid(line));
  assert.ok(!valid({ ...line, kind: 'peer' }));
  assert.ok(!valid({ ...line, timestamp: '2026-01-31T12:34:56.123456Z' }));
  assert.ok(!valid({ ...line, alert: { ...(line['alert'] as object), metadata: { tag: [] } } }));
  assert.ok(!valid({ ...line, flow_id: '1' }));
});
