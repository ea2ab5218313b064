import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../lib/testing.js';
import { No } from './detector.js';
import { runDetector } from './harness.js';
import { webDownload } from './web-download.js';

const ask = (text: string): ReturnType<typeof runDetector> =>
  runDetector(webDownload, {
    fromStart: true,
    clientPort: 50000,
    serverPort: 80,
    steps: [{ fromClient: true, payload: fromText(text) }],
  });

test('a hint for a closed range of a downloader that also speaks BitTorrent', () => {
  const request = (range: string): string =>
    `GET /a HTTP/1.1\r\nUser-Agent: aria2/1.36.0\r\n${range}\r\n\r\n`;
  assert.equal(ask(request('Range: bytes=0-99')).finding, 'byte range fetched by a general downloader');
  assert.equal(ask(request('Range: bytes=100-')).outcome, No);
  assert.equal(ask(request('Accept: */*')).outcome, No);
});

test('a hint for a path that ends in .torrent', () => {
  assert.equal(ask('GET /a.TORRENT?x HTTP/1.1\r\n\r\n').finding, 'request for a path ending in .torrent');
  assert.equal(ask('GET /a?file=b.torrent HTTP/1.1\r\n\r\n').outcome, No);
  assert.equal(webDownload.confidence, 'hint');
});
