import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tally } from './aggregate.js';
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
