import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FlowReport } from './report.js';
import { table } from './table.js';
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
import { textTable, wrap } from './text-table.js';

/** The escape sequences that the table itself uses. */
const colours = new RegExp(String.raw`\u001b\[[\d;]+m`, 'g');

const suspect = fakeReport({
  verdict: 'suspect',
  reason: 'single-strong',
  kind: 'utp',
  confidence: 'strong',
  decided_packet: null,
  decided_frame: null,
  payload_bytes_before_decision: null,
});

test('the verdict stands first, in plain words', () => {
  const flows = [fakeReport({ bytes: 34_100_000 }), fakeClear({ bytes: 155_300_000 })];
  assert.match(
    render(table, flows),
    /^BitTorrent found: 1 of 2 flows, 1 local host, 34\.1 MB \(18 % of the traffic\)\.\n/,
  );
  assert.match(render(table, [fakeClear(), fakeClear()]), /^No BitTorrent found in 2 flows\.\n/);
  assert.match(render(table, []), /^Nothing to judge: no packets\.\n/);
  assert.match(
    render(table, [], { summary: { packets: 5 } }),
    /^Nothing to judge: no TCP or UDP flows in 5 packets\./,
  );
});

test('suspects, unknown flows, refused and cut files and skipped links are said beside the verdict', () => {
  const text = render(table, [fakeClear(), suspect, fakeNear()], {
    summary: {
      files: 3,
      filesFailed: 1,
      unsupportedLinks: [{ linkType: 189, name: 'USB_LINUX', packets: 7 }],
      warnings: [{ file: 'a.pcap', code: 'capture-cut', message: 'a.pcap: ends in the middle of record 9' }],
    },
  });
  const top = text.slice(0, text.indexOf('\n\n')).replaceAll('\n', ' ');
  assert.match(top, /^No BitTorrent found in 3 flows\. 1 flow is suspect: /);
  assert.match(top, /1 flow was not recognised as any protocol; encrypted BitTorrent/);
  assert.match(top, /1 file of 3 could not be read\. Nothing is known about what it holds\./);
  assert.match(top, /7 packets of unsupported link types were skipped\./);
  assert.match(top, /1 capture ends in the middle of a packet/);
  assert.match(text, /Suspects[^]*198\.51\.100\.7:6881/);
  assert.match(text, /Near misses[^]*dht {2,}a bencoded dictionary/);
  assert.match(text, /189 {2}USB_LINUX/);
  assert.match(text, /Warnings\n {2}a\.pcap: ends in the middle of record 9 \(capture-cut\)/);
});

test('when every file was refused the table claims nothing', () => {
  const text = render(table, [], { summary: { files: 2, filesFailed: 2 } });
  assert.match(text, /2 files of 2 could not be read\. This says nothing about the traffic\./);
});

test('lists are bounded and say what is left out', () => {
  const flows = Array.from({ length: 75 }, (_, i) =>
    fakeReport({ bytes: 1000 + i, client: `192.168.2.${i}` }),
  );
  const text = render(table, flows);
  assert.match(text, /25 more flows not shown\. All: --format jsonl, csv or html\./);
  assert.match(text, /45 more hosts not shown\./);
  assert.ok(text.includes('192.168.2.74:51413'), 'the flow with most bytes is shown');
  assert.ok(!text.includes('192.168.2.0:51413'));
});

test('clear flows are only counted: their record is never built', () => {
  let built = 0;
  const count = (): void => {
    built++;
  };
  const writer = table({ write: () => undefined }, testOptions);
  const clear = fakeClear();
  for (let i = 0; i < 100_000; i++) writer.flow(fakeEnded(clear, count));
  writer.flow(fakeEnded(fakeReport(), count));
  writer.flow(fakeEnded(fakeNear(), count));
  writer.end(fakeSummary([clear]));
  assert.equal(built, 2);
});

const long: FlowReport = fakeReport({
  client: 'fd00:1111:2222:3333:4444:5555:6666:7777',
  server: '2001:db8:1111:2222:3333:4444:5555:6666',
});

test('lines fit the columns, and addresses stay whole even where they do not', () => {
  for (const columns of [40, 60, 80, 100, 200]) {
    const text = render(table, [fakeReport({ kind: 'http-tracker' }), long, suspect, fakeNear()], {
      options: { columns },
    });
    for (const line of text.split('\n')) {
      const whole = line.trim().split(/ {2,}/);
      assert.ok(line.length <= columns || whole.length === 1, `${columns}: ${line}`);
    }
    assert.ok(text.includes(`[${long.client}]:51413`));
    assert.ok(text.includes(`[${long.server}]:6881`));
  }
});

test('colour only when allowed, and never anything from the wire that acts on a terminal', () => {
  const flows = hostileTexts.map((name) =>
    fakeReport({ client_software: [name], file: name, info_hashes: [name], client: name }),
  );
  const summary = { warnings: [{ file: hostileTexts[3], code: 'x', message: hostileTexts[5] }] };
  const plain = render(table, flows, { summary });
  assert.doesNotMatch(plain.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u);
  const coloured = render(table, flows, { summary, options: { colour: true } });
  assert.ok(coloured.startsWith('\x1b[1;31mBitTorrent found'));
  assert.equal(coloured.replace(colours, ''), plain);
});

test('textTable cuts only what may be cut; wrap keeps long words whole', () => {
  const lines = textTable(
    [{ title: 'A' }, { title: 'B', shrinkTo: 4 }],
    [['12345', 'abcdefgh']],
    14,
    (text) => text,
  );
  assert.deepEqual(lines, ['  A      B', '  12345  abcd…']);
  const path = [{ title: 'File', shrinkTo: 6, keepEnd: true }];
  assert.deepEqual(
    textTable(path, [['/long/path/x.pcap']], 10, (text) => text),
    ['  File', '  …/x.pcap'],
  );
  assert.equal(wrap('aa bb cccccccccc d', 6, '', ' '), 'aa bb\n cccccccccc\n d');
});
