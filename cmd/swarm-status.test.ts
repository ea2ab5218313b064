import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EndpointMemory } from '../lib/flow/endpoint-memory.js';
import { HostEvidence } from '../lib/flow/host-evidence.js';
import { endpointsMax, hearsaySeconds, hostRowsMax } from '../lib/limits.js';
import { makeSwarmMemory } from './swarm-memory.js';
import { SwarmReader } from './swarm-status.js';

const now = 1_800_000_000;
const host = 0x0a000005;
const [speaker, listener] = [1, 2];

test('what workers remember is counted, once a second at the most', () => {
  const memory = makeSwarmMemory();
  const reader = new SwarmReader(memory);
  const empty = reader.report(0, now);
  assert.deepEqual([empty.endpoints, empty.learned, empty.hosts], [0, 0, 0]);
  assert.deepEqual([empty.endpoints_max, empty.hosts_max], [endpointsMax, hostRowsMax]);
  assert.equal(empty.bytes, memory.endpoints.byteLength + memory.hosts.byteLength);

  const endpoints = new EndpointMemory(memory.endpoints, memory.seed);
  const hosts = new HostEvidence(memory.hosts, memory.seed);
  for (let i = 0; i < 10; i++) endpoints.name(4, 0xcb007100 + i, 0, 0, 0, 6881, speaker, listener, now);
  hosts.note(4, host, 0, 0, 0, 6881, 0, speaker, now);
  const kept = reader.report(999, now);
  assert.deepEqual([kept.endpoints, kept.hosts], [0, 0], 'not read again so soon');
  assert.equal(kept.learned, 10, 'costs nothing, so it is new');
  const anew = reader.report(1000, now);
  assert.deepEqual([anew.endpoints, anew.learned, anew.hosts], [10, 10, 2]);
  assert.deepEqual(anew.refused, { speaker: 0, listener: 0, full: 0 });
  assert.equal(reader.report(2000, now + hearsaySeconds + 1).endpoints, 0);
});

test('what one speaker is refused shows', () => {
  const memory = makeSwarmMemory();
  const endpoints = new EndpointMemory(memory.endpoints, memory.seed);
  for (let i = 0; i < 5000; i++) endpoints.name(4, 0xcb000000 + i * 7, 0, 0, 0, 6881, speaker, listener, now);
  const { learned, refused } = new SwarmReader(memory).report(0, now);
  assert.ok(learned > 0 && refused.speaker > 0);
  assert.equal(learned + refused.speaker, 5000);
});

test('one end of a flow', () => {
  const memory = makeSwarmMemory();
  const reader = new SwarmReader(memory);
  const hosts = new HostEvidence(memory.hosts, memory.seed);
  hosts.note(4, host, 0, 0, 0, 6881, 2, speaker, now);
  const end = reader.about('10.0.0.5', 6881, '10.0.0.9', now + 12)!;
  assert.equal(end.endpoint, 'unknown');
  assert.deepEqual(end.host_port, { kinds: ['dht'], partners: 1, age_seconds: 12 });
  assert.deepEqual(end.host, end.host_port);
  assert.equal(reader.about('10.0.0.5', 1, '10.0.0.9', now)!.host_port, null);
  assert.equal(reader.about('2001:db8::5', 6881, '2001:db8::9', now)!.host, null);
  assert.equal(reader.about('nonsense', 6881, '10.0.0.9', now), null);
});
