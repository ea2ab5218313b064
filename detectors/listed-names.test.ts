/** What the conformance suite does not ask of the detectors of listed names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat } from '../lib/testing.js';
import { cryptoFrame, realHello, sealInitial } from '../lib/wire/testing.js';
import { Yes, View, type Detector } from './detector.js';
import { runDetector, type Run } from './harness.js';
import { listedNames, listsOf } from './listed-names.js';

const lists = listsOf({ listed: ['listed.example'], alpn: [] }, 1);
const byName = new Map(listedNames(lists).map((detector) => [detector.name, detector]));
const tls = byName.get('listed-names-tls')!;
const quic = byName.get('listed-names-quic')!;
const ports = { fromStart: true, clientPort: 50_000, serverPort: 443 };

const run = (detector: Detector, ...payloads: Uint8Array[]): Run =>
  runDetector(detector, { ...ports, steps: payloads.map((payload) => ({ fromClient: true, payload })) });

const hello = await realHello({ name: 'tracker.listed.example', curves: 'X25519' });

test('a new list counts from the next hello on', () => {
  const changing = listsOf({ listed: [], alpn: [] }, 1);
  const detector = listedNames(changing)[0]!;
  assert.notEqual(run(detector, hello).outcome, Yes);
  Object.assign(changing, listsOf({ listed: ['=tracker.listed.example'], alpn: [] }, 2));
  assert.equal(run(detector, hello).outcome, Yes);
  Object.assign(changing, listsOf({ listed: [], alpn: [] }, 3));
  assert.notEqual(run(detector, hello).outcome, Yes);
});

test('the evidence of a TLS hello is the name', () => {
  const view = new View();
  view.bytes = view.opening = hello;
  view.end = view.openingEnd = view.wireLength = view.openingWireLength = hello.length;
  assert.equal(tls.inspect(view), Yes);
  const said = hello.subarray(view.at, view.at + view.length);
  assert.equal(Buffer.from(said).toString('latin1'), 'tracker.listed.example');
});

test('a TLS hello is recognised in segments of any size', () => {
  for (const size of [12, 40, 100, 200, 536]) {
    const segments = [];
    for (let at = 0; at < hello.length; at += size) segments.push(hello.subarray(at, at + size));
    assert.equal(run(tls, ...segments).outcome, segments.length <= 32 ? Yes : 1, String(size));
  }
});

test('a QUIC hello of two datagrams is recognised wherever it is cut, and in either order', () => {
  const stream = hello.subarray(5);
  for (let at = 1; at < stream.length; at += 7) {
    const halves = [cryptoFrame(stream, 0, at), cryptoFrame(stream, at, stream.length)];
    const datagrams = halves.map((payload, number) => sealInitial({ version: 1, number, payload }));
    assert.equal(run(quic, ...datagrams).outcome, Yes, String(at));
    assert.equal(run(quic, ...datagrams.reverse()).outcome, Yes, `${at} reversed`);
  }
});

test('a QUIC hello as large as post-quantum keys make it, in scrambled pieces over two datagrams', () => {
  // The extension of the keys stands first, so that the name is in the second half.
  const plain = hello.subarray(5);
  const session = 38 + 1 + plain[38]!;
  const suites = session + 2 + ((plain[session]! << 8) | plain[session + 1]!);
  const extensions = suites + 1 + plain[suites]!;
  const keys = concat(Uint8Array.of(0xff, 0x01, 1300 >> 8, 1300 & 0xff), new Uint8Array(1300).fill(0x5a));
  const stream = concat(plain.subarray(0, extensions + 2), keys, plain.subarray(extensions + 2));
  const grow = (at: number): void => {
    const value = ((stream[at]! << 8) | stream[at + 1]!) + keys.length;
    stream[at] = value >> 8;
    stream[at + 1] = value & 0xff;
  };
  grow(2);
  grow(extensions);
  const n = stream.length;
  const frames = (...ranges: [number, number][]): Uint8Array =>
    concat(...ranges.map(([from, to]) => concat(cryptoFrame(stream, from, to), Uint8Array.of(1, 0))));
  const first = sealInitial({ version: 1, number: 0, payload: frames([n - 60, n], [500, 1200], [0, 100]) });
  const second = sealInitial({ version: 1, number: 1, payload: frames([1200, n - 60], [100, 500]) });
  assert.equal(run(quic, first).outcome, 1);
  assert.equal(run(quic, first, second).outcome, Yes);
});

test('what no list speaks of is let go at once', () => {
  const other = listedNames(listsOf({ listed: ['other.example'], alpn: [] }, 1));
  const at = Buffer.from(hello).indexOf('listed.example') + 'listed.example'.length;
  assert.equal(
    run(other[0]!, hello.subarray(0, at)).outcome,
    0,
    'the name is known, and nothing else is asked',
  );
  const withProtocols = listedNames(listsOf({ listed: [], alpn: ['webtorrent'] }, 1));
  assert.equal(run(withProtocols[0]!, hello.subarray(0, at)).outcome, 1, 'protocols may follow');
  assert.equal(run(withProtocols[0]!, hello).outcome, 0);
});
