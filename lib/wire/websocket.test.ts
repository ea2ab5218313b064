import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, fromText } from '../testing.js';
import {
  frameLength,
  framePayload,
  isMasked,
  isTextFrame,
  mayBeFrame,
  NoFrame,
  unmask,
  unmaskedByte,
  unmaskedBytes,
} from './websocket.js';

test('reads the examples of RFC 6455 section 5.7', () => {
  const plain = fromHex('81 05 48 65 6c 6c 6f');
  assert.ok(isTextFrame(plain, 0, plain.length) && !isMasked(plain, 0));
  assert.equal(framePayload(plain, 0, plain.length), 2);
  assert.equal(frameLength(plain, 0), 5);
  const masked = fromHex('81 85 37 fa 21 3d 7f 9f 4d 51 58');
  const payload = framePayload(masked, 0, masked.length);
  assert.equal(payload, 6);
  assert.equal(unmaskedByte(masked, payload, 4), 0x6f);
  assert.equal(unmask(masked, payload, masked.length), 5);
  assert.deepEqual(unmaskedBytes().slice(0, 5), fromText('Hello'));
});

test('reads long lengths, and says when the head is cut', () => {
  assert.equal(frameLength(fromHex('82 7e 01 00'), 0), 256);
  assert.equal(frameLength(fromHex('82 7f 00 00 00 00 00 01 00 00'), 0), 65_536);
  assert.equal(frameLength(fromHex('82 7f 00 00 00 01 00 01 00 00'), 0), 0x7fffffff);
  const head = fromHex('81 fe 01 00 01 02 03 04');
  for (let length = 0; length < head.length; length++) assert.equal(framePayload(head, 0, length), NoFrame);
  assert.equal(framePayload(head, 0, head.length), 8);
});

test('knows opcodes and reserved bits', () => {
  assert.ok(mayBeFrame(fromHex('89 00'), 0, 2) && !mayBeFrame(fromHex('8b 00'), 0, 2));
  assert.ok(!mayBeFrame(fromHex('c1 00'), 0, 2), 'RSV1 marks a compressed message');
  assert.ok(!mayBeFrame(fromHex('81'), 0, 0));
  assert.ok(!isTextFrame(fromHex('c1 00'), 0, 2));
});
