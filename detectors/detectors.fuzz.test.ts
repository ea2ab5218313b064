/**
 * Every detector in the registry on mutations of its own fixtures: never throws, never reads outside its ranges, and its
 * check of the header refuses nothing that it would take, whatever is kept of the two sides.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fuzz, mutate } from '../lib/fuzzing.js';
import { repositoryPath, SeededRandom } from '../lib/testing.js';
import { peersPerMessageMax, type PeerList } from '../lib/wire/peer-list.js';
import { No, View, Yes, type Detector, type Outcome } from './detector.js';
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

/** What `inspect` says, after a check that the header's check does not keep it away from what it would take. */
function inspect(detector: Detector, view: View): Outcome {
  const likely = detector.header?.(view.bytes, view.start, view.end, view.wireLength);
  const outcome = detector.inspect(view);
  if (likely === false)
    assert.deepEqual(
      [outcome, view.near],
      [No, -1],
      'the check of the header keeps out what inspect would take',
    );
  return outcome;
}

/** An array that ends with `bytes`, where a DataView throws at the next one; offset and memory differ, as in the engine. */
function ending(bytes: Uint8Array, random: SeededRandom): [array: Uint8Array, start: number] {
  const start = random.below(4);
  const memory =
    random.below(2) === 0
      ? new ArrayBuffer(3 + start + bytes.length)
      : new SharedArrayBuffer(3 + start + bytes.length);
  const array = new Uint8Array(memory, 3);
  array.set(bytes, start);
  return [array, start];
}

/** Shows `bytes` beside payloads of any detector that are kept of the two sides, all cut by a snap length now and then. */
function showBesideOthers(detector: Detector, bytes: Uint8Array, others: readonly Uint8Array[]): void {
  const random = new SeededRandom(bytes.reduce((sum, byte) => Math.imul(sum, 31) + byte, bytes.length));
  const any = (): Uint8Array => others[random.below(others.length)]!;
  const kept = (): Uint8Array => (random.below(2) === 0 ? any() : mutate(random, any(), any()));
  const cut = (): number => (random.below(3) === 0 ? random.below(600) : 0);
  const view = new View();
  [view.bytes, view.start] = ending(bytes, random);
  view.end = view.start + bytes.length;
  view.wireLength = bytes.length + cut();
  const [other, opening] = [kept(), kept()];
  [view.other, view.otherStart] = ending(other, random);
  view.otherEnd = view.otherStart + other.length;
  view.otherWireLength = other.length + cut();
  [view.opening, view.openingStart] = ending(opening, random);
  view.openingEnd = view.openingStart + opening.length;
  view.openingWireLength = opening.length + cut();
  view.turn = random.below(7);
  for (let i = 0; i < view.turnBytes.length; i++) view.turnBytes[i] = random.below(700);
  view.fromClient = random.below(2) === 0;
  view.payloadPacket = 1 + random.below(3);
  view.ipVersion = random.below(2) === 0 ? 4 : 6;
  inspect(detector, view);
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
  const outcome = inspect(detector, view);
  if (outcome === Yes) {
    assert.ok(view.finding >= 0 && view.finding < detector.findings.length);
    assert.ok(view.at >= 0 && view.length > 0 && view.at + view.length <= bytes.length);
    assert.ok(Number.isInteger(view.listenPort) && view.listenPort >= 0 && view.listenPort <= 65_535);
    return `${outcome} ${view.finding} ${view.at} ${view.length} ${view.listenPort} ${sanePeers(view.peers)}`;
  }
  return `${outcome} ${view.finding} ${view.near} ${view.at} ${view.length}`;
}

const seeds = { tcp: [] as Uint8Array[], udp: [] as Uint8Array[] };
for (const detector of detectors) seeds[detector.transport].push(...seedsOf(detector));

for (const detector of detectors) {
  fuzz(detector.name, seedsOf(detector), (bytes) => {
    // An engine never shows an empty payload.
    if (bytes.length === 0) return;
    assert.equal(
      answer(detector, bytes, 0x00),
      answer(detector, bytes, 0x65),
      'a byte outside the range was read',
    );
    showBesideOthers(detector, bytes, seeds[detector.transport]);
  });
}
