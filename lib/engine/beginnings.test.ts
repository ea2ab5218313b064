import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakePacket } from '../flow/testing.js';
import { fromText } from '../testing.js';
import { Beginnings } from './beginnings.js';
import { openingDetector, up } from './testing.js';

const message = fromText('12345678901234567890');
const followed = { ...openingDetector(), beginning: { bytes: message, finding: 0 } };
const made = (): Beginnings => {
  const beginnings = new Beginnings([openingDetector(), followed], 64);
  beginnings.begin(3);
  return beginnings;
};
const sends = (beginnings: Beginnings, payload: string | Uint8Array, sequence: number, side = 0): boolean => {
  const bytes = typeof payload === 'string' ? fromText(payload) : payload;
  return beginnings.follow(fakePacket({ ...up, payload: bytes }), 3, side, sequence | 0, true);
};

test('without a detector that has a beginning nothing is followed', () => {
  const beginnings = new Beginnings([openingDetector()], 64);
  beginnings.begin(3);
  beginnings.syn(3, 0, 1);
  assert.ok(!sends(beginnings, message, 1));
  assert.ok(!beginnings.isPartly(3));
  assert.equal(beginnings.id, -1);
});

test('every position has to be seen at its place, across the wrap of sequence numbers', () => {
  const beginnings = made();
  const first = 0xfffffff8;
  beginnings.syn(3, 0, first | 0);
  assert.ok(!sends(beginnings, 'xxxx567890', first));
  assert.ok(!sends(beginnings, '1234', first + 1));
  assert.ok(!sends(beginnings, '1234567890 and so on', first + 10));
  assert.ok(sends(beginnings, '?1234', first - 1));
});

test('each side for itself: two halves of two sides are no message', () => {
  const beginnings = made();
  for (const side of [0, 1]) beginnings.syn(3, side, 100);
  assert.ok(!sends(beginnings, message.subarray(0, 10), 100, 0));
  assert.ok(!sends(beginnings, message.subarray(10), 110, 1));
  assert.ok(sends(beginnings, message.subarray(10), 110, 0));
});

test('partly means four positions, and a new flow in the same place has none', () => {
  const beginnings = made();
  beginnings.syn(3, 0, 100);
  sends(beginnings, '123', 100);
  assert.ok(!beginnings.isPartly(3));
  sends(beginnings, '7', 106);
  assert.ok(beginnings.isPartly(3));
  beginnings.begin(3);
  assert.ok(!beginnings.isPartly(3));
});

test('a SYN takes the numbering before it along, the one that got further', () => {
  const beginnings = made();
  beginnings.syn(3, 0, 100);
  sends(beginnings, message.subarray(0, 10), 100);
  for (const forged of [5_000_000, 6_000_000, 7_000_000]) {
    beginnings.keep(3);
    beginnings.begin(3);
    beginnings.syn(3, 0, forged);
    sends(beginnings, '12', forged);
  }
  assert.ok(sends(beginnings, message.subarray(10), 110));
});

test('the message far from the beginning of its stream counts only while the side is asked about', () => {
  const packet = fakePacket({ ...up, payload: message });
  for (const asked of [false, true]) {
    const beginnings = made();
    beginnings.syn(3, 0, 100);
    assert.equal(beginnings.follow(packet, 3, 0, 0x20000000, asked), asked);
  }
  const near = made();
  near.syn(3, 0, 100);
  assert.ok(!sends(near, message, 5000), 'inside the window it is content');
});
