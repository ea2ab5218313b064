import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  bytesText,
  clockText,
  countText,
  durationText,
  endpointText,
  isoMicros,
  parseIsoMicros,
  percentText,
  plural,
} from './format.js';
import { HostTable, hostOf, isLocalAddress, kindsOf, peersMax, peersText } from './hosts.js';
import { fakeReport } from './testing.js';

test('bytes have SI units and three digits', () => {
  const cases: [number, string][] = [
    [0, '0 bytes'],
    [1, '1 byte'],
    [999, '999 bytes'],
    [1000, '1.00 kB'],
    [9996, '10.0 kB'],
    [99_960, '100 kB'],
    [999_499, '999 kB'],
    [999_500, '1.00 MB'],
    [34_100_000, '34.1 MB'],
    [1.2e12, '1.20 TB'],
  ];
  for (const [bytes, text] of cases) assert.equal(bytesText(bytes), text);
});

test('counts, shares and plurals', () => {
  assert.equal(countText(1_234_567), '1,234,567');
  assert.equal(countText(999), '999');
  assert.equal(plural(1, 'flow'), '1 flow');
  assert.equal(plural(1200, 'flow'), '1,200 flows');
  assert.equal(percentText(0, 10), '0 %');
  assert.equal(percentText(1, 1_000_000), 'under 0.1 %');
  assert.equal(percentText(999_999, 1_000_000), 'over 99 %');
  assert.equal(percentText(18, 100), '18 %');
  assert.equal(percentText(1, 0), '0 %');
  assert.equal(percentText(5, 5), '100 %');
});

test('durations', () => {
  const cases: [number, string][] = [
    [0, '0.0 ms'],
    [0.0421, '42 ms'],
    [3.2, '3.2 s'],
    [59.4, '59 s'],
    [59.6, '1 min 0 s'],
    [250, '4 min 10 s'],
    [7500, '2 h 5 min'],
    [273_600, '3 d 4 h'],
    [Number.NaN, '0 s'],
  ];
  for (const [seconds, text] of cases) assert.equal(durationText(seconds), text);
});

test('times keep their microseconds there and back', () => {
  const micros = 1_769_862_896_123_456;
  assert.equal(isoMicros(micros), '2026-01-31T12:34:56.123456Z');
  assert.equal(parseIsoMicros(isoMicros(micros)), micros);
  assert.equal(clockText(micros), '2026-01-31 12:34:56 UTC');
  assert.equal(isoMicros(-1), '1969-12-31T23:59:59.999999Z');
  assert.doesNotThrow(() => isoMicros(1e25));
});

test('IPv6 endpoints have brackets', () => {
  assert.equal(endpointText('192.0.2.1', 80), '192.0.2.1:80');
  assert.equal(endpointText('2001:db8::1', 80), '[2001:db8::1]:80');
});

test('local addresses', () => {
  for (const local of [
    '10.1.2.3',
    '172.16.0.1',
    '172.31.9.9',
    '192.168.0.1',
    '100.64.0.1',
    '169.254.1.1',
    '127.0.0.1',
    '::1',
    'fe80::1',
    'fd00::1',
    '::ffff:10.0.0.1',
  ]) {
    assert.ok(isLocalAddress(local), local);
  }
  for (const other of [
    '11.1.2.3',
    '172.32.0.1',
    '100.128.0.1',
    '192.0.2.1',
    '2001:db8::1',
    'ff02::1',
    '239.192.152.143',
    '::ffff:8.8.8.8',
    'fec:1::',
  ]) {
    assert.ok(!isLocalAddress(other), other);
  }
});

test('the host is the local side, else the client', () => {
  const hostOfPair = (client: string, server: string): string => hostOf({ client, server }).host;
  assert.equal(hostOfPair('192.168.1.2', '198.51.100.1'), '192.168.1.2');
  assert.equal(hostOfPair('198.51.100.1', '192.168.1.2'), '192.168.1.2');
  assert.equal(hostOfPair('192.168.1.3', '192.168.1.2'), '192.168.1.3');
  assert.equal(hostOfPair('198.51.100.1', '203.0.113.1'), '198.51.100.1');
  assert.equal(hostOfPair('239.192.152.143', '203.0.113.1'), '203.0.113.1');
  assert.equal(hostOfPair('ff15::efc0:988f', '2001:db8::1'), '2001:db8::1');
  assert.equal(hostOfPair('198.51.100.1', '239.192.152.143'), '198.51.100.1');
});

test('the host table adds up, orders by bytes and stays within its bound', () => {
  const table = new HostTable(2);
  table.add(fakeReport({ bytes: 10, kind: 'dht' }));
  table.add(fakeReport({ bytes: 10, kind: 'peer' }));
  table.add(fakeReport({ bytes: 5, kind: 'peer', client: '203.0.113.9', server: '192.168.1.10' }));
  table.add(fakeReport({ bytes: 100, client: '203.0.113.1' }));
  table.add(fakeReport({ bytes: 7, client: '203.0.113.2' }));
  assert.deepEqual(
    table.list().map((host) => [host.address, host.flows, host.bytes, peersText(host)]),
    [
      ['203.0.113.1', 1, 100, '1'],
      ['192.168.1.10', 3, 25, '2'],
    ],
  );
  assert.deepEqual(kindsOf(table.list()[1]!), ['peer', 'dht']);
  assert.equal(table.localCount, 1);
  assert.equal(table.flowsLeftOut, 1);
  assert.equal(table.bytesLeftOut, 7);
});

test('peers of a host are bounded and the text says so', () => {
  const table = new HostTable();
  for (let i = 0; i <= peersMax; i++) table.add(fakeReport({ server: `203.0.${i >> 8}.${i & 255}` }));
  assert.equal(peersText(table.list()[0]!), `${peersMax}+`);
});
