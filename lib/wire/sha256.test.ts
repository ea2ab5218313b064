import assert from 'node:assert/strict';
import { createHmac, hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import { SeededRandom } from '../testing.js';
import { Hmac, labelInfo } from './sha256.js';

test('HMAC-SHA-256 as node:crypto makes it, for every length it takes', () => {
  const random = new SeededRandom(256);
  const hmac = new Hmac();
  const out = new Uint8Array(32);
  for (let keyBytes = 0; keyBytes <= 64; keyBytes++) {
    for (let length = 0; length <= 55; length += 5) {
      const key = random.bytes(keyBytes + 2);
      const message = random.bytes(length + 2);
      hmac.setKey(key, 1, 1 + keyBytes);
      hmac.sign(message, 1, 1 + length, out);
      const expected = createHmac('sha256', key.subarray(1, 1 + keyBytes)).update(
        message.subarray(1, 1 + length),
      );
      assert.deepEqual(Buffer.from(out), expected.digest(), `${keyBytes} ${length}`);
    }
  }
});

test('the labels of HKDF-Expand-Label', () => {
  const secret = new SeededRandom(1).bytes(32);
  const info = labelInfo('quic key', 16);
  const hmac = new Hmac();
  const out = new Uint8Array(32);
  hmac.setKey(secret, 0, 32);
  hmac.sign(info, 0, info.length, out);
  // hkdfSync extracts first; the first block of its output is HMAC(PRK, info | 1).
  const salt = new Uint8Array(32);
  const prk = createHmac('sha256', salt).update(secret).digest();
  hmac.setKey(prk, 0, 32);
  hmac.sign(info, 0, info.length, out);
  const expected = hkdfSync('sha256', secret, salt, info.subarray(0, -1), 32);
  assert.deepEqual(Buffer.from(out), Buffer.from(expected));
});
