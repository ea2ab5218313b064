import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../testing.js';
import { word16, word32 } from './words.js';

test('reads big-endian words at an offset', () => {
  const bytes = fromHex('00 ff 01 02 03');
  assert.equal(word16(bytes, 1), 0xff01);
  assert.equal(word32(bytes, 1), 0xff010203 | 0);
});
