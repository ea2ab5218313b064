import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromHex, fromText } from '../lib/testing.js';
import { More, No, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { webtorrentTracker } from './webtorrent-tracker.js';

const upgrade = fromText(
  'GET / HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
);
const key = fromHex('7a8322c4');

function masked(text: string): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'utf8'));
  const head = Uint8Array.of(0x81, 0x80 | 126, bytes.length >> 8, bytes.length & 255);
  return concat(
    head,
    key,
    bytes.map((byte, i) => byte ^ key[i & 3]!),
  );
}

const run = (...payloads: Uint8Array[]): ReturnType<typeof runDetector> =>
  runDetector(webtorrentTracker, {
    fromStart: true,
    clientPort: 50000,
    serverPort: 80,
    steps: payloads.map((payload) => ({ fromClient: true, payload })),
  });

const hash = '\xff\x00"\\\xe9abcdefghijklmno';
const announce = JSON.stringify({
  numwant: 5,
  action: 'announce',
  info_hash: hash,
  peer_id: '-WW0109-FzpFt9iRh8QV',
  offers: [],
});

test('reads a masked announce, whole and split at every byte', () => {
  const frame = masked(announce);
  const whole = run(upgrade, frame);
  assert.equal(whole.finding, 'WebTorrent tracker announce');
  assert.equal(whole.infoHash, Buffer.from(hash, 'latin1').toString('hex'));
  assert.equal(whole.client, '-WW0109-');
  for (let cut = 1; cut < frame.length; cut++)
    assert.equal(run(upgrade, frame.slice(0, cut), frame.slice(cut)).outcome, Yes, String(cut));
});

test('an upgrade waits, another request does not', () => {
  assert.equal(run(upgrade).outcome, More);
  assert.equal(run(fromText('GET / HTTP/1.1\r\nHost: x\r\n\r\n')).outcome, No);
});

test('needs the action, the info-hash and a companion', () => {
  const said = (object: unknown): string | null => run(upgrade, masked(JSON.stringify(object))).finding;
  assert.equal(said({ action: 'announce', info_hash: hash }), null);
  assert.equal(said({ action: 'announce', info_hash: hash, uploaded: 0 }), null);
  assert.equal(
    said({ action: 'announce', info_hash: hash, uploaded: 0, left: 1 }),
    'WebTorrent tracker announce',
  );
  assert.equal(said({ action: 'announce', info_hash: hash.slice(1), peer_id: 'x' }), null);
  assert.equal(said({ action: 'subscribe', info_hash: hash, peer_id: '-WW0109-FzpFt9iRh8QV' }), null);
  assert.equal(said({ action: 'scrape', info_hash: [hash] }), 'WebTorrent tracker scrape');
  assert.equal(
    said({ info_hash: hash, peer_id: '-WW0109-FzpFt9iRh8QV', offers: [] }),
    'WebTorrent tracker announce',
  );
});

test('names a compressed message as what it is', () => {
  assert.equal(run(upgrade, fromHex('c1857a8322c40102030405')).near, 'compressed WebSocket message');
});
