import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, SeededRandom } from '../testing.js';
import { Aes128 } from './aes.js';

test('FIPS 197 appendix B', () => {
  const aes = new Aes128();
  const out = new Uint8Array(16);
  aes.setKey(fromHex('2b7e151628aed2a6abf7158809cf4f3c'));
  aes.encrypt(fromHex('3243f6a8885a308d313198a2e0370734'), 0, out);
  assert.deepEqual(out, fromHex('3925841d02dc09fbdc118597196a0b32'));
});

test('as node:crypto encrypts', () => {
  const random = new SeededRandom(128);
  const aes = new Aes128();
  for (let round = 0; round < 500; round++) {
    const key = random.bytes(16);
    const block = random.bytes(20);
    const out = new Uint8Array(16);
    aes.setKey(key);
    aes.encrypt(block, 3, out);
    const expected = createCipheriv('aes-128-ecb', key, null).update(block.subarray(3, 19));
    assert.deepEqual(Buffer.from(out), expected);
  }
});
