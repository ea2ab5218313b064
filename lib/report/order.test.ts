import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostsText, Tally } from './aggregate.js';
import { HostTable, kindsOf } from './hosts.js';
import { compareText } from './order.js';
import { fakeReport } from './testing.js';

test('text is ordered by code units', () => {
  assert.deepEqual(['b', 'a', 'B', '10', '9', 'a'].sort(compareText), ['10', '9', 'B', 'a', 'a', 'b']);
});

test('hosts, kinds and texts with equal numbers do not hang on the order of flows', () => {
  const flows = (['192.168.1.9', '192.168.1.20', '192.168.1.3'] as const).flatMap((client) =>
    (['peer', 'dht'] as const).map((kind) => fakeReport({ client, kind, bytes: 10 })),
  );
  for (const order of [flows, [...flows].reverse()]) {
    const table = new HostTable();
    const tally = new Tally();
    for (const flow of order) {
      table.add(flow);
      tally.add(flow.client, 10, flow.server);
    }
    const hosts = table.list();
    assert.deepEqual(
      hosts.map(({ address }) => address),
      ['192.168.1.20', '192.168.1.3', '192.168.1.9'],
    );
    assert.deepEqual(
      tally.list().map(({ text }) => text),
      ['192.168.1.20', '192.168.1.3', '192.168.1.9'],
    );
    for (const host of hosts) assert.deepEqual(kindsOf(host), ['dht', 'peer']);
  }
});

test('a tally keeps a bounded number of hosts, of one text and of all, and says that there were more', () => {
  const tally = new Tally();
  for (let text = 0; text < 1000; text++)
    for (let host = 0; host < 101; host++) tally.add(`text ${text}`, 1, `host ${text} ${host}`);
  const entries = tally.list();
  const kept = entries.map(({ hosts }) => hosts.size);
  assert.equal(
    kept.reduce((sum, size) => sum + size, 0),
    50_000,
  );
  assert.equal(Math.max(...kept), 100);
  const text = (name: string): string =>
    hostsText(
      entries.find((entry) => entry.text === name)!,
      2,
      (host) => host,
    );
  assert.equal(text('text 0'), 'host 0 0, host 0 1 and more than 98 more');
  assert.equal(text('text 999'), 'not kept');
  const small = new Tally();
  for (const host of ['a', 'b', 'b', 'c']) small.add('x', 1, host);
  assert.equal(
    hostsText(small.list()[0]!, 2, (host) => host),
    'a, b and 1 more',
  );
});
