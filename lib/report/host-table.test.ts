import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveHosts } from './host-table.js';
import { hostOf, isLocalAddress } from './hosts.js';
import { fakeDecision } from './status-testing.js';
import { fakeReport } from './testing.js';

const at = (client: string, time: string, kind: 'peer' | 'dht' = 'peer') =>
  fakeDecision({ time, flow: fakeReport({ client, kind }) });

test('which addresses are local', () => {
  for (const local of ['10.0.0.1', '172.16.0.1', '172.31.255.1', '192.168.0.1', '100.64.0.1', '100.127.0.1'])
    assert.ok(isLocalAddress(local), local);
  for (const local of ['169.254.1.1', 'fd00::1', 'fc00::1', 'fe80::1', '::ffff:10.0.0.1'])
    assert.ok(isLocalAddress(local), local);
  for (const other of ['172.15.0.1', '172.32.0.1', '100.63.0.1', '100.128.0.1', '192.169.0.1', '2001:db8::1'])
    assert.ok(!isLocalAddress(other), other);
});

test('the host is the client, unless only the server is local', () => {
  const host = (client: string, server: string): string => hostOf({ client, server }).host;
  assert.equal(host('192.168.1.5', '198.51.100.1'), '192.168.1.5');
  assert.equal(host('198.51.100.1', '192.168.1.5'), '192.168.1.5');
  assert.equal(host('2001:db8::1', 'fd00::5'), 'fd00::5');
  assert.equal(host('198.51.100.1', '203.0.113.1'), '198.51.100.1');
  assert.equal(host('10.0.0.1', '10.0.0.2'), '10.0.0.1');
});

test('flows and kinds are counted, those with most flows come first', () => {
  const hosts = new LiveHosts();
  hosts.add(at('10.0.0.1', 'T1'));
  hosts.add(at('10.0.0.2', 'T2'));
  hosts.add(at('10.0.0.1', 'T3', 'dht'));
  assert.deepEqual(hosts.top(5), [
    { address: '10.0.0.1', flows: 2, kinds: { peer: 1, dht: 1 }, first_seen: 'T1', last_seen: 'T3' },
    { address: '10.0.0.2', flows: 1, kinds: { peer: 1 }, first_seen: 'T2', last_seen: 'T2' },
  ]);
  assert.equal(hosts.top(1).length, 1);
  assert.equal(hosts.top(0).length, 0);
});

test('a full table gives up the host that was seen least recently', () => {
  const hosts = new LiveHosts(2);
  hosts.add(at('10.0.0.1', 'T1'));
  hosts.add(at('10.0.0.2', 'T2'));
  hosts.add(at('10.0.0.1', 'T3'));
  hosts.add(at('10.0.0.3', 'T4'));
  assert.equal(hosts.size, 2);
  assert.deepEqual(
    hosts.top(5).map(({ address }) => address),
    ['10.0.0.1', '10.0.0.3'],
  );
});
