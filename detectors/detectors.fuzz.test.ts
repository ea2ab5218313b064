/** Every detector in the registry on mutations of its own fixtures: never throws, never reads outside its ranges. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fuzz } from '../lib/fuzzing.js';
import { repositoryPath } from '../lib/testing.js';
import { peersPerMessageMax, type PeerList } from '../lib/wire/peer-list.js';
import { No, View, Yes, type Detector } from './detector.js';
import { parseFixture } from './harness.js';
import { everyDetector as detectors } from './testing.js';

function seedsOf(detector: Detector): Uint8Array[] {
  const folder = repositoryPath('fixtures', 'detectors', detector.name);
  return ['match', 'near'].flatMap((kind) =>
    readdirSync(join(folder, kind)).flatMap((name) =>
      parseFixture(readFileSync(join(folder, kind, name), 'utf8')).steps.map(({ payload }) => payload),
    ),
  );
}

/** The peers named, after a check that each of them could be one. */
function sanePeers(peers: PeerList): string {
  assert.ok(peers.count >= 0 && peers.count <= peersPerMessageMax);
  const words = peers.words.slice(0, peers.count * 4);
  for (let i = 0; i < peers.count; i++) {
    assert.ok(peers.version[i] === 4 || peers.version[i] === 6);
    assert.ok(peers.port[i]! > 0);
    if (peers.version[i] === 4) assert.deepEqual([...words.subarray(i * 4 + 1, i * 4 + 4)], [0, 0, 0]);
  }
  return `${words.join(' ')} ${peers.port.slice(0, peers.count).join(' ')}`;
}

/** Answer to `bytes` between two fillers, with itself or its first half as what was kept before. */
function answer(detector: Detector, bytes: Uint8Array, filler: number): string {
  const view = new View();
  const padded = new Uint8Array(bytes.length + 16).fill(filler);
  padded.set(bytes, 8);
  view.bytes = view.opening = view.other = padded;
  view.start = view.openingStart = view.otherStart = 8;
  view.end = view.openingEnd = 8 + bytes.length;
  view.otherEnd = 8 + (bytes.length >> 1);
  view.wireLength = view.openingWireLength = bytes.length;
  view.otherWireLength = view.otherEnd - 8;
  view.fromStart = false;
  view.sourcePort = 6881;
  view.ipVersion = bytes.length % 2 === 0 ? 4 : 6;
  const outcome = detector.inspect(view);
  if (detector.header?.(padded, 8, 8 + bytes.length, bytes.length) === false)
    assert.deepEqual(
      [outcome, view.near],
      [No, -1],
      'the check of the header keeps out what inspect would take',
    );
  if (outcome === Yes) {
    assert.ok(view.finding >= 0 && view.finding < detector.findings.length);
    assert.ok(view.at >= 0 && view.length > 0 && view.at + view.length <= bytes.length);
    assert.ok(Number.isInteger(view.listenPort) && view.listenPort >= 0 && view.listenPort <= 65_535);
    return `${outcome} ${view.finding} ${view.at} ${view.length} ${view.listenPort} ${sanePeers(view.peers)}`;
  }
  return `${outcome} ${view.finding} ${view.near} ${view.at} ${view.length}`;
}

for (const detector of detectors) {
  fuzz(detector.name, seedsOf(detector), (bytes) => {
    // An engine never shows an empty payload.
    if (bytes.length === 0) return;
    assert.equal(
      answer(detector, bytes, 0x00),
      answer(detector, bytes, 0x65),
      'a byte outside the range was read',
    );
  });
}
