import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromText, SeededRandom } from '../lib/testing.js';
import { More, No, View, Yes, type Outcome } from './detector.js';
import { runDetector } from './harness.js';
import { peerHandshakeLate } from './peer-handshake-late.js';

const random = new SeededRandom(0x1a7e);
const name = fromText('\x13BitTorrent protocol');
const infoHash = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
const named = concat(name, new Uint8Array(8), infoHash, fromText('-TR4060-'.padEnd(20, '\x01')));
const keyExchange = [random.bytes(131), random.bytes(100)];
const unchoke = Uint8Array.of(0, 0, 0, 1, 1);

function run(...payloads: readonly Uint8Array[]) {
  const steps = payloads.map((payload) => ({ fromClient: true, payload }));
  const answer = runDetector(peerHandshakeLate, { steps, fromStart: true, clientPort: 1, serverPort: 2 });
  const grade = peerHandshakeLate.findings.find(({ text }) => text === answer.finding)?.confidence ?? null;
  return { ...answer, grade };
}

test('a handshake that ends its segment, or goes on with messages, is proof', () => {
  for (const behind of [[], [0], [0, 0, 0, 0], [...unchoke], [...unchoke, 0, 0, 0, 2, 5, 0xff]]) {
    const answer = run(...keyExchange, concat(named, Uint8Array.from(behind)));
    assert.equal(answer.grade, 'proof', behind.join());
    assert.equal(answer.client, '-TR4060-');
    assert.equal(answer.infoHash, Buffer.from(infoHash).toString('hex'));
  }
});

test('anything else behind it is a copy of something', () => {
  for (const behind of ['x', 'GET / HTTP/1.1\r\n', '\0\0\0\x01\x63', '\xd4\xc3\xb2\xa1\x02\0\x04\0']) {
    const answer = run(...keyExchange, concat(named, fromText(behind)));
    assert.equal(answer.outcome, No, behind);
    assert.match(answer.near!, /no peer protocol/);
  }
});

test('the first segment of a side is left to peer-handshake', () => {
  assert.equal(run(named).outcome, No);
});

test('what came before must not be text, where it was kept', () => {
  assert.match(run(fromText('HTTP/1.1 200 OK\r\nServer: x\r\n\r\n'), named).near!, /behind text/);
  assert.equal(run(random.bytes(40), named).outcome, Yes);
});

test('reserved bytes full of bits, or an info-hash of zeros, are none', () => {
  for (const [at, length, byte] of [
    [20, 5, 1],
    [28, 5, 0],
  ] as const) {
    // prettier-ignore
    const bytes = named.slice();
    bytes.fill(byte, at, at + length);
    assert.equal(run(...keyExchange, bytes).outcome, No, `${at}`);
  }
});

test('a part of it is waited for', () => {
  for (let length = 1; length < 68; length++) {
    assert.equal(run(...keyExchange, named.slice(0, length)).outcome, More, `${length}`);
  }
});

test('cut by a snap length it is strong, and proof if the segment was a handshake long', () => {
  const cut = (length: number, wireLength: number): [Outcome, number] => {
    const view = new View();
    view.bytes = named.slice(0, length);
    view.end = length;
    view.wireLength = wireLength;
    view.payloadPacket = 3;
    return [peerHandshakeLate.inspect(view), view.finding];
  };
  assert.deepEqual(cut(30, 68), [Yes, 0]);
  assert.deepEqual(cut(30, 301), [Yes, 1]);
  assert.equal(cut(27, 301)[0], No);
  assert.equal(cut(30, 60)[0], No);
});
