import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../lib/testing.js';
import { More, No, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { torrentFile } from './torrent-file.js';

const ask = (...texts: string[]): ReturnType<typeof runDetector> =>
  runDetector(torrentFile, {
    fromStart: true,
    clientPort: 50000,
    serverPort: 80,
    steps: texts.map((text) => ({ fromClient: false, payload: fromText(text) })),
  });
const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n';
const info = 'd6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:abcdefghijklmnopqrste';
const file = `d8:announce18:http://t.example/a4:info${info}e`;

test('BEP 3: two marks of the info dictionary are enough', () => {
  assert.equal(ask(head + file).finding, 'metainfo file with its info dictionary');
  assert.equal(ask(`${head}d4:info${info}e`).outcome, Yes);
  assert.equal(ask(`${head}d4:infod4:name1:aee`).outcome, No, 'a name alone is none');
  assert.equal(ask(`${head}d4:infod6:pieces19:abcdefghijklmnopqrsee`).outcome, No, 'no multiple of 20');
});

test('head and body may be split at every byte', () => {
  const whole = head + file;
  for (let cut = 1; cut < whole.length; cut++)
    assert.equal(ask(whole.slice(0, cut), whole.slice(cut)).outcome, Yes, String(cut));
});

test('waits for info behind a list of trackers, then grades what it has', () => {
  const list = `13:announce-listll18:http://t.example/aee`;
  assert.equal(ask(`d8:announce18:http://t.example/a${list}`).outcome, More);
  const long = `7:comment4000:${'x'.repeat(4000)}`;
  assert.equal(
    ask(`d8:announce18:http://t.example/a${list}${long}`).finding,
    'metainfo file by three or more marks: its keys, lists of trackers, content type',
  );
  assert.equal(
    ask(`d8:announce18:http://t.example/a${long}`).finding,
    'metainfo file by its tracker and one more key',
  );
  assert.equal(ask(`d8:announce6:a text${long}`).outcome, No, 'no URL');
});

test('the content type alone is strong', () => {
  const typed = 'HTTP/1.1 200 OK\r\nContent-Type: Application/X-BitTorrent\r\n\r\n';
  assert.equal(ask(`${typed}\x1f\x8b\x08`).finding, 'answer of type application/x-bittorrent');
  assert.equal(ask(`${typed}<html>`).outcome, No, 'an error page');
  assert.equal(ask(`${head}application/x-bittorrent`).outcome, No, 'in the body');
});

test('the content type counts as a whole, in its own field', () => {
  const typed = (field: string): number => ask(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n\x1f\x8b\x08`).outcome;
  assert.equal(typed('Content-Type: application/x-bittorrent; x=y'), Yes);
  assert.equal(typed('Content-Type: application/x-bittorrent-search'), No);
  assert.equal(typed('X-Allowed-Types: application/x-bittorrent'), No);
});

test('the first entry of a long list or tree of files is enough', () => {
  assert.equal(ask('d4:infod5:filesld6:lengthi5e4:pathl1:aee').outcome, Yes);
  assert.equal(ask('d4:infod5:filesld6:lengthi5e5:owner1:aee').outcome, More);
  const leaf = (root: string): string => `d4:infod9:file treed1:ad1:bd0:d6:lengthi5e11:pieces root${root}`;
  assert.equal(ask(leaf('32:abc')).outcome, Yes);
  assert.equal(ask(leaf('20:abc')).outcome, More);
});

test('three keys are said at once', () => {
  const file = 'd8:announce18:http://t.example/a7:comment1:x13:creation datei1e4:info';
  assert.equal(
    ask(file).finding,
    'metainfo file by three or more marks: its keys, lists of trackers, content type',
  );
});
