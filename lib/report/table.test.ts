import assert from 'node:assert/strict';
import { test } from 'node:test';
import { html } from './html.js';
import { json } from './json.js';
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

function summaryOf(text: string): Record<string, unknown> {
  return (JSON.parse(text) as { summary: Record<string, unknown> }).summary;
}

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
  assert.match(top, /1 of 3 files could not be read\. Nothing is known about what it holds\./);
  assert.match(top, /7 packets of unsupported link types were skipped\./);
  assert.match(top, /1 capture ends in the middle of a packet/);
  assert.match(text, /Suspects[^]*198\.51\.100\.7:6881/);
  assert.match(text, /Near misses[^]*dht {2,}a bencoded dictionary/);
  assert.match(text, /189 {2}USB_LINUX/);
  assert.match(text, /Warnings\n {2}a\.pcap: ends in the middle of record 9 \(capture-cut\)/);
});

test('when every file was refused the table claims nothing', () => {
  const text = render(table, [], { summary: { files: 2, filesFailed: 2 } });
  assert.match(text, /2 of 2 files could not be read\. This says nothing about the traffic\./);
});

test('warnings that found no room are counted in every sentence about them', () => {
  const warnings = Array.from({ length: 1000 }, (_, i) => ({
    file: `${i}.pcap`,
    code: i < 900 ? 'capture-cut' : 'unreadable',
    message: `${i}.pcap: something`,
  }));
  const summary = {
    warnings,
    warningCounts: { 'capture-cut': 2900, unreadable: 100 },
    warningsLeftOut: 2000,
  };
  const text = render(table, [fakeClear()], { summary });
  assert.match(text, /2,900 captures end in the middle of a packet/);
  assert.match(text, /100 further warnings: see the list/);
  assert.match(text, /2,980 more warnings not shown\. The first 1,000: --format json; all: standard error\./);
  const record = summaryOf(render(json, [fakeClear()], { summary }));
  assert.equal(record['warnings_left_out'], 2000);
  assert.deepEqual(record['warnings_by_code'], summary.warningCounts);
  assert.match(render(html, [fakeClear()], { summary }), /2,800 more warnings not shown\. The first 1,000/);
});

test('limits that were reached are said in one sentence, with the option that helps', () => {
  const none = render(table, [fakeClear()]);
  assert.doesNotMatch(none, /[Ll]imit/);
  const summary = {
    limits: { flowsEvicted: 12, openingsTakenOver: 0, evidenceDropped: 1, datagramsEvicted: 3 },
  };
  const sentence =
    'Limits were reached: 12 flows were ended early because the flow table was full (a larger --flows-max helps); ' +
    '1 item of evidence was not kept because the store of evidence was full; ' +
    '3 fragmented datagrams were given up because too many were incomplete at once.';
  const text = render(table, [fakeClear()], { summary, options: { columns: 1000 } });
  assert.ok(text.includes(`${sentence}\n`), text);
  assert.ok(render(html, [fakeClear()], { summary }).includes(sentence));
  const record = summaryOf(render(json, [fakeClear()], { summary }));
  assert.ok((record['caveats'] as string[]).includes(sentence));
  assert.deepEqual(record['limits'], {
    flows_evicted: 12,
    openings_taken_over: 0,
    evidence_dropped: 1,
    datagrams_evicted: 3,
  });
});

test('files of folders that are no captures are said in one line', () => {
  const summary = { filesPassedOver: 1234 };
  const line = /^1,234 files in the folders passed over: they are no captures\.$/m;
  assert.match(render(table, [fakeClear()], { summary }), line);
  assert.doesNotMatch(render(table, [fakeClear()]), /passed over/);
  assert.equal(summaryOf(render(json, [fakeClear()], { summary }))['files_passed_over'], 1234);
  assert.match(render(html, [fakeClear()], { summary }), /1,234 files in the folders passed over/);
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
