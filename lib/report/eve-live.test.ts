import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { kinds } from '../../detectors/detector.js';
import { doubtLine, eveLine } from './eve-live.js';
import { eveRules } from './eve-rules.js';
import { doubtfulSignature, signatures } from './eve.js';
import { fakeDecision, fakeDoubt } from './status-testing.js';
import { fakeEvidence, fakeNear, fakeReport, hostileTexts } from './testing.js';
import type { DecisionReport } from './status.js';

const valid = new Ajv({ allErrors: true, strict: false }).compile(eveRules);

interface Alert {
  readonly timestamp: string;
  readonly in_iface?: string;
  readonly alert: {
    readonly action: string;
    readonly signature_id: number;
    readonly metadata: { readonly tag: string[] };
  };
}

const alertOf = (decision: DecisionReport): Alert => alertIn(eveLine(decision));

function alertIn(line: string): Alert {
  assert.equal(line.indexOf('\n'), line.length - 1);
  const event: unknown = JSON.parse(line);
  assert.ok(valid(event), `${JSON.stringify(valid.errors)} in ${line}`);
  return event as Alert;
}

test('what was done with the flow is the action', () => {
  const actionOf = (action: DecisionReport['action']): string =>
    alertOf(fakeDecision({ action })).alert.action;
  assert.equal(actionOf('drop'), 'blocked');
  assert.equal(actionOf('reject'), 'blocked');
  for (const action of ['accept', 'monitor-drop', 'monitor-reject'] as const)
    assert.equal(actionOf(action), 'allowed');
});

test('time, interfaces, worker and evidence are there; no capture file is claimed', () => {
  const event = alertOf(fakeDecision({ flow: fakeReport({ file: '' }) }));
  assert.equal(event.timestamp, '2026-01-31T12:34:56.042000+0000');
  assert.equal(event.in_iface, 'eth0');
  assert.equal(event.alert.signature_id, signatures.peer.id);
  const { tag } = event.alert.metadata;
  for (const wanted of [
    'payload_bytes_before_decision:0',
    'action:drop',
    'worker:1',
    'out_iface:eth1',
    'detector:peer-handshake',
    'kind:peer',
  ])
    assert.ok(tag.includes(wanted), wanted);
  assert.ok(!tag.some((text) => text.startsWith('file:')));
  assert.ok(!('pcap_cnt' in event));
});

test('odd decisions stay valid', () => {
  for (const kind of kinds) alertOf(fakeDecision({ flow: fakeReport({ kind }) }));
  alertOf(
    fakeDecision({ in_interface: null, out_interface: null, flow: fakeReport({ evidence: [], kind: null }) }),
  );
  for (const name of hostileTexts) {
    const line = eveLine(fakeDecision({ in_interface: name, flow: fakeReport({ client_software: [name] }) }));
    assert.doesNotMatch(line.trimEnd(), /[\p{Cc}\p{Cf}]/u);
    assert.ok(valid(JSON.parse(line)));
  }
});

test('a flow that passed in doubt is allowed, under its own signature, with what was seen', () => {
  const event = alertIn(doubtLine(fakeDoubt()));
  assert.equal(event.alert.action, 'allowed');
  assert.equal(event.alert.signature_id, doubtfulSignature.id);
  assert.ok(!Object.values(signatures).some(({ id }) => id === doubtfulSignature.id));
  for (const wanted of [
    'action:pass',
    'verdict:unknown',
    'reason:nothing-matched',
    'out_iface:eth1',
    'near_miss:dht: a bencoded dictionary, but without transaction id',
  ])
    assert.ok(event.alert.metadata.tag.includes(wanted), wanted);
  const evidence = [fakeEvidence({ detector: 'mse', finding: 'four messages', confidence: 'strong' })];
  const suspect = fakeNear({ verdict: 'suspect', reason: 'single-strong', kind: 'encrypted', evidence });
  const { tag } = alertIn(doubtLine(fakeDoubt({ flow: suspect, in_interface: null, out_interface: null })))
    .alert.metadata;
  for (const wanted of ['verdict:suspect', 'kind:encrypted', 'evidence:mse: four messages'])
    assert.ok(tag.includes(wanted), wanted);
});

test('odd doubts stay valid', () => {
  for (const text of hostileTexts) {
    const evidence = [fakeEvidence({ finding: text, detector: text })];
    const flow = fakeReport({ evidence, near_misses: evidence, protocol: 'tls', verdict: 'clear' });
    const line = doubtLine(fakeDoubt({ flow, in_interface: text }));
    assert.doesNotMatch(line.trimEnd(), /[\p{Cc}\p{Cf}]/u);
    alertIn(line);
  }
});
