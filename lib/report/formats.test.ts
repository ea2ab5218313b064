/** json, jsonl and csv: read back what was written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csv } from './csv.js';
import { eve } from './eve.js';
import { flowJson } from './flow-json.js';
import { formats } from './index.js';
import { json } from './json.js';
import { jsonl } from './jsonl.js';
import type { FlowReport } from './report.js';
import {
  fakeClear,
  fakeEnded,
  fakeNear,
  fakeReport,
  fakeSummary,
  hostileTexts,
  render,
  testOptions,
} from './testing.js';

const mixed: readonly FlowReport[] = [
  fakeReport(),
  fakeClear(),
  fakeNear(),
  ...hostileTexts.map((name) => fakeReport({ client_software: [name], file: name })),
];

/** A reader of RFC 4180 text that shares nothing with the writer. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let cell = '';
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') cell += text[++i]!;
      else quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === ',') {
      row.push(cell);
      cell = '';
    } else if (c === '\r' && text[i + 1] === '\n') {
      rows.push([...row, cell]);
      row = [];
      cell = '';
      i++;
    } else cell += c;
  }
  assert.equal(cell, '', 'the last row is ended');
  return rows;
}

test('jsonl: one record per line, unchanged, in order', () => {
  const lines = render(jsonl, mixed).split('\n');
  assert.equal(lines.pop(), '');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    mixed,
  );
  assert.equal(render(jsonl, []), '');
});

test('jsonl: optional fields, and names in the order of JSON.stringify', () => {
  const full = fakeReport({
    outer: ['192.0.2.1', 1, 'fd00::1', 2],
    tunnel: 'vxlan',
    ended: 'idle',
    protocol: 'quic',
  });
  assert.deepEqual(JSON.parse(flowJson(full)), full);
  assert.equal(flowJson(mixed[0]!), JSON.stringify(mixed[0]));
});

test('json and jsonl write nothing that a terminal would act on', () => {
  for (const factory of [json, jsonl, eve]) {
    assert.doesNotMatch(
      render(factory, mixed).replaceAll('\n', ''),
      /[\p{Cc}\u200b-\u200f\u202a-\u202e\u2066-\u2069]/u,
    );
  }
});

test('json: one valid object with flows, summary, hosts and kinds', () => {
  const whole = JSON.parse(render(json, mixed)) as {
    flows: unknown[];
    summary: { flows: number; text: string; bytes_by_verdict: Record<string, number>; first_seen: string };
    hosts: { address: string; flows: number; kinds: string[] }[];
    kinds: { kind: string; flows: number }[];
  };
  assert.deepEqual(whole.flows, mixed);
  assert.equal(whole.summary.flows, mixed.length);
  assert.match(whole.summary.text, /^BitTorrent found: 10 of 12 flows, 1 local host, /);
  assert.equal(whole.summary.bytes_by_verdict['bittorrent'], 345_670);
  assert.equal(whole.summary.first_seen, '2026-01-31T12:34:56.000000Z');
  assert.deepEqual(
    whole.hosts.map((host) => [host.address, host.flows, host.kinds]),
    [['192.168.1.10', 10, ['peer']]],
  );
  assert.deepEqual(
    whole.kinds.map((entry) => [entry.kind, entry.flows]),
    [['peer', 10]],
  );
});

test('json: valid without any flow, and the record is built once per flow', () => {
  assert.deepEqual((JSON.parse(render(json, [])) as { flows: unknown[] }).flows, []);
  let built = 0;
  const writer = json({ write: () => undefined }, testOptions);
  writer.flow(fakeEnded(fakeReport(), () => built++));
  writer.end(fakeSummary([]));
  assert.equal(built, 1);
});

test('csv: header and rows of one width, values as in the record', () => {
  const [header, ...rows] = parseCsv(render(csv, mixed));
  assert.equal(rows.length, mixed.length);
  for (const row of rows) assert.equal(row.length, header!.length);
  const first = Object.fromEntries(header!.map((name, i) => [name, rows[0]![i]!]));
  assert.equal(first['client'], '192.168.1.10');
  assert.equal(first['bytes'], '34567');
  assert.equal(first['kind'], 'peer');
  assert.match(first['evidence']!, /^peer-handshake \(proof\) frame 15: peer handshake/);
  const second = Object.fromEntries(header!.map((name, i) => [name, rows[1]![i]!]));
  assert.equal(second['kind'], '');
  assert.equal(second['decided_packet'], '');
});

test('csv: no cell is a formula and none holds a control character', () => {
  for (const cell of parseCsv(render(csv, mixed)).flat()) {
    assert.doesNotMatch(cell, /^[=+@\t\r-]/);
    assert.doesNotMatch(cell, /[\p{Cc}\p{Cf}]/u);
  }
  const cells = parseCsv(render(csv, mixed)).flat();
  assert.ok(cells.includes(`'=HYPERLINK("http://evil.example","x")`));
  assert.ok(cells.includes(`'\\x09@SUM(1)`));
});

test('all six formats are registered and survive an empty scan', async () => {
  assert.deepEqual(Object.keys(formats).sort(), ['csv', 'eve', 'html', 'json', 'jsonl', 'table']);
  for (const load of Object.values(formats)) assert.equal(typeof render(await load(), []), 'string');
});
