import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromText } from '../lib/testing.js';
import { More, No, View, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { peerHandshake } from './peer-handshake.js';

const name = fromText('\x13BitTorrent protocol');
const infoHash = Uint8Array.from({ length: 20 }, (_, i) => i + 1);

function handshake(reserved: readonly number[], peerId: string): Uint8Array {
  return concat(name, Uint8Array.from(reserved), infoHash, fromText(peerId.padEnd(20, '\x01')));
}

function run(...payloads: readonly Uint8Array[]) {
  const steps = payloads.map((payload) => ({ fromClient: true, payload }));
  return runDetector(peerHandshake, { steps, fromStart: true, clientPort: 1, serverPort: 2 });
}

test('every strict prefix of the header wants more, everything from 20 bytes on is believed', () => {
  const whole = handshake([0, 0, 0, 0, 0, 0, 0, 0], '-TR4060-');
  for (let length = 1; length < 20; length++) assert.equal(run(whole.slice(0, length)).outcome, More);
  for (let length = 20; length <= 68; length++) assert.equal(run(whole.slice(0, length)).outcome, Yes);
});

test('one wrong byte of the header is no handshake, wherever it is', () => {
  for (let at = 0; at < 20; at++) {
    const bytes = handshake([0, 0, 0, 0, 0, 0, 0, 0], '-TR4060-');
    bytes[at]! ^= 0x20;
    assert.equal(run(bytes).outcome, No, `byte ${at}`);
  }
});

test('the info-hash is noted from 48 bytes on, the client from 68', () => {
  const whole = handshake([0, 0, 0, 0, 0, 0, 0, 0], '-TR4060-');
  assert.equal(run(whole.slice(0, 47)).infoHash, '');
  assert.equal(run(whole.slice(0, 48)).infoHash, Buffer.from(infoHash).toString('hex'));
  assert.equal(run(whole.slice(0, 67)).client, '');
  assert.equal(run(whole).client, '-TR4060-');
  assert.equal(run(handshake([0, 0, 0, 0, 0, 0, 0, 0], 'M7-10-5--')).client, 'M7-10-5-');
  assert.equal(run(handshake([0, 0, 0, 0, 0, 0, 0, 0], '\x80\x81')).client, '');
});

test('reserved bits choose the sentence', () => {
  assert.match(run(handshake([0, 0, 0, 0, 0, 0, 0, 4], '-TR4060-')).finding!, /handshake \(BEP 3\)$/);
  assert.match(run(handshake([0, 0, 0, 0, 0, 0x10, 0, 4], '-TR4060-')).finding!, /BEP 10/);
  assert.match(run(handshake([0, 0, 0, 0, 0, 0x10, 0, 0x14], '-TR4060-')).finding!, /BEP 52/);
});

test('a No is final for its side, the other side is asked on its own', () => {
  const whole = handshake([0, 0, 0, 0, 0, 0, 0, 0], '-TR4060-');
  assert.equal(run(fromText('GET / HTTP/1.1\r\n'), whole).outcome, No);
  const steps = [
    { fromClient: true, payload: fromText('garbage') },
    { fromClient: false, payload: whole },
  ];
  assert.equal(
    runDetector(peerHandshake, { steps, fromStart: true, clientPort: 1, serverPort: 2 }).outcome,
    Yes,
  );
});

test('a capture that ends in the header leaves enough of it from 8 bytes on', () => {
  const whole = handshake([0, 0, 0, 0, 0, 0, 0, 0], '-TR4060-');
  const outcomeAt = (length: number, wireLength: number) => {
    const view = new View();
    view.bytes = view.opening = whole.slice(0, length);
    view.end = view.openingEnd = length;
    view.wireLength = view.openingWireLength = wireLength;
    return peerHandshake.inspect(view);
  };
  for (let length = 8; length < 20; length++) {
    assert.equal(outcomeAt(length, 68), Yes);
    assert.equal(outcomeAt(length, 47), More);
    assert.equal(outcomeAt(length, length), More);
  }
  assert.equal(outcomeAt(7, 68), More);
});
