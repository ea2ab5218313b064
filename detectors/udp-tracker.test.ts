import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromHex, fromText, SeededRandom } from '../lib/testing.js';
import { More, No, View, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { udpTracker } from './udp-tracker.js';

const connection = fromHex('7c1f93a4e05bd286');
const hash = fromHex('9f1c04e2a7d85b3366c0fe17884baa2d71305cee');
const unnamed = fromHex('5de1c77a9f0b23bb4e81d6a3f9107cc22e95b84d');
const named = fromText('-TR4050-k1x8z0qv3m7d');
const magic = fromHex('0000041727101980');

function announce(peerId: Uint8Array, tail = '00000002 00000000 661e86e1 ffffffff c8d5'): Uint8Array {
  const counters = fromHex('0000000000000000 000000002bc00000 0000000000000000');
  return concat(connection, fromHex('00000001 8a89e7ad'), hash, peerId, counters, fromHex(tail));
}

const run = (...steps: [boolean, Uint8Array][]): ReturnType<typeof runDetector> =>
  runDetector(udpTracker, {
    fromStart: true,
    clientPort: 50000,
    serverPort: 6969,
    steps: steps.map(([fromClient, payload]) => ({ fromClient, payload })),
  });

test('BEP 15: connect is 96 fixed bits', () => {
  const connect = concat(magic, fromHex('00000000 facb0e99'));
  assert.equal(run([true, connect]).finding, 'UDP tracker connect request');
  for (let bit = 0; bit < 96; bit++) {
    const other = connect.slice();
    other[bit >> 3] = other[bit >> 3]! ^ (1 << (bit & 7));
    assert.notEqual(run([true, other]).finding, 'UDP tracker connect request', `bit ${bit}`);
  }
});

test('peer-ids of BitSpirit have its version before its name', () => {
  const spirit = (head: string): Uint8Array => concat(fromText(head), unnamed.subarray(4));
  for (const head of ['\0\x02BS', '\0\x03BS'])
    assert.equal(run([true, announce(spirit(head))]).outcome, Yes, head);
  assert.notEqual(run([true, announce(spirit('\0\x04BS'))]).outcome, Yes);
});

test('BEP 15: rules on event, number wanted and port', () => {
  assert.equal(run([true, announce(named)]).outcome, Yes);
  for (const [what, tail] of [
    ['event 5', '00000005 00000000 661e86e1 ffffffff c8d5'],
    ['half a million wanted', '00000002 00000000 661e86e1 00080000 c8d5'],
    ['-2 wanted', '00000002 00000000 661e86e1 fffffffe c8d5'],
    ['port 0', '00000002 00000000 661e86e1 ffffffff 0000'],
  ] as const)
    assert.equal(run([true, announce(named, tail)]).outcome, No, what);
});

test('BEP 41: options behind the announce', () => {
  const tail = '00000002 00000000 661e86e1 ffffffff c8d5';
  const asked = (options: string): number =>
    run([true, announce(unnamed, `${tail} ${options}`)], [true, announce(unnamed, `${tail} ${options}`)])
      .outcome;
  assert.equal(asked('02 03 2f6162'), Yes);
  assert.equal(asked('01 01 02 00 00'), Yes);
  assert.equal(asked('07 07'), No);
  assert.equal(asked('02 09 2f6162'), No, 'longer than the datagram');
});

test('an answer needs the request with its transaction', () => {
  const answer = (transaction: string, rest: string): Uint8Array =>
    fromHex(`00000001 ${transaction} 00000708 00000001 00000001 ${rest}`);
  const asks: [boolean, Uint8Array] = [true, announce(unnamed)];
  assert.equal(run(asks).outcome, More);
  assert.equal(run(asks, [false, answer('8a89e7ad', 'c0000205c8d5')]).outcome, Yes);
  assert.equal(run(asks, [false, answer('8a89e7ad', '20010db8000000000000000000000001c8d5')]).outcome, Yes);
  assert.equal(run(asks, [false, answer('8a89e7ae', 'c0000205c8d5')]).outcome, No);
  assert.equal(run(asks, [false, answer('8a89e7ad', 'c0000205c8')]).outcome, No, 'not a multiple of 6');
  assert.equal(run([false, answer('8a89e7ad', 'c0000205c8d5')]).outcome, No, 'nobody asked');
});

test('a capture may have cut an announce behind the beginning of its peer-id', () => {
  const view = new View();
  const bytes = announce(named);
  view.bytes = bytes;
  view.wireLength = 98;
  for (view.end = 0; view.end < 98; view.end++)
    assert.equal(udpTracker.inspect(view), view.end < 44 ? No : Yes, String(view.end));
  view.end = 54;
  view.wireLength = 54;
  assert.equal(udpTracker.inspect(view), No, 'too short on the wire');
});

test('two million random datagrams of its lengths are never proof', () => {
  const random = new SeededRandom(15);
  const view = new View();
  const pool = random.bytes(65_536);
  for (let round = 0; round < 2_000_000; round++) {
    view.bytes = pool;
    view.start = random.below(65_000);
    view.end = view.start + [16, 98, 36, 20, 26, 109][round % 6]!;
    view.wireLength = view.end - view.start;
    view.payloadPacket = 1 + (round & 1);
    if (udpTracker.inspect(view) === Yes) assert.notEqual(view.finding, 0);
  }
});
