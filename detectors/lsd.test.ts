import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../lib/testing.js';
import { No, View, Yes } from './detector.js';
import { lsd } from './lsd.js';

const hash = '0123456789abcdef0123456789ABCDEF01234567';

function view(text: string, wireLength = text.length): View {
  const shown = new View();
  shown.bytes = fromText(text);
  shown.end = text.length;
  shown.wireLength = wireLength;
  return shown;
}

const message = (infoHash: string, port = '6881') =>
  `BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: ${port}\r\nInfohash: ${infoHash}\r\n\r\n\r\n`;

test('an announcement is believed and its info-hash noted', () => {
  const shown = view(message(hash));
  assert.equal(lsd.inspect(shown), Yes);
  assert.equal(
    Buffer.from(shown.infoHash.subarray(0, shown.infoHashLength)).toString('hex'),
    hash.toLowerCase(),
  );
});

test('an info-hash has 40 digits, or 64 for v2', () => {
  for (const length of [0, 39, 41, 63, 65]) {
    assert.equal(lsd.inspect(view(message('a'.repeat(length)))), No, `${length}`);
  }
  const v2 = view(message('b'.repeat(64)));
  assert.equal(lsd.inspect(v2), Yes);
  assert.equal(v2.infoHashLength, 32);
});

test('a port of letters or zero is no port', () => {
  assert.equal(lsd.inspect(view(message(hash, 'none'))), No);
  assert.equal(lsd.inspect(view(message(hash, '0'))), No);
});

test('what a capture cut off is believed by its request line, what ended early is not', () => {
  const cut = message(hash).slice(0, 54);
  assert.equal(lsd.inspect(view(cut)), No);
  assert.equal(lsd.inspect(view(cut, 140)), Yes);
  assert.equal(lsd.inspect(view('BT-SEARCH * HT', 140)), No);
});

test('reads only inside its range', () => {
  const text = message(hash);
  for (let length = 0; length < text.length; length++) {
    const shown = view(text);
    shown.end = length;
    shown.wireLength = length;
    const believed = lsd.inspect(shown) === Yes;
    assert.equal(believed, length >= text.indexOf(hash) + hash.length, `${length}`);
  }
});
