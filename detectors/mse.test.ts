/**
 * MSE turn by turn, and the error rates of its form: how many exchanges of the specification are recognised, and how many
 * random conversations are taken for one.
 */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { SeededRandom } from '../lib/testing.js';
import { More, No, View, Yes, type Outcome } from './detector.js';
import { mse } from './mse.js';

const openingMax = 4096;
/** Bytes that no test can tell from random, always the same ones. */
const noise = new Uint8Array(
  createCipheriv('aes-128-ctr', Buffer.alloc(16, 7), Buffer.alloc(16)).update(Buffer.alloc(1 << 20)),
);

/** Segment lengths of each turn. */
type Conversation = readonly (readonly number[])[];

/** What is said about a conversation of random bytes, drawn anew for each. */
class Listener {
  readonly view = new View();
  readonly #sides = [new Uint8Array(openingMax), new Uint8Array(openingMax)];
  readonly #length = [0, 0];
  readonly #packets = [0, 0];
  /** Findings in order, without repetition. */
  said: number[] = [];
  near = -1;
  outcome: Outcome = No;

  listen(turns: Conversation, random: SeededRandom, firstSide = 0): this {
    const { view } = this;
    this.#length.fill(0);
    this.#packets.fill(0);
    view.turnBytes.fill(0);
    view.fromStart = true;
    this.said = [];
    this.near = -1;
    let followed = true;
    for (const [turn, segments] of turns.entries()) {
      for (const length of segments) {
        const side = (turn + firstSide) & 1;
        this.#put(side, length, random.below(noise.length - 1500));
        view.turnBytes[turn]! += length;
        view.turn = followed ? turn + 1 : 0;
        if (this.#packets[side]! > mse.packetsMax) continue;
        view.reset();
        this.outcome = mse.inspect(view);
        if (turn === 0 && this.outcome === No) followed = false;
        if (this.outcome === Yes && !this.said.includes(view.finding)) this.said.push(view.finding);
        if (view.near >= 0) this.near = view.near;
      }
    }
    return this;
  }

  #put(side: number, length: number, from: number): void {
    const { view } = this;
    const own = this.#sides[side]!;
    const kept = Math.min(length, openingMax - this.#length[side]!);
    own.set(noise.subarray(from, from + kept), this.#length[side]);
    this.#length[side]! += kept;
    this.#packets[side]! += 1;
    view.bytes = noise;
    view.start = from;
    view.end = from + length;
    view.wireLength = length;
    view.payloadPacket = this.#packets[side]!;
    view.fromClient = side === 0;
    view.opening = own;
    view.openingEnd = this.#length[side]!;
    view.other = this.#sides[1 - side]!;
    view.otherEnd = this.#length[1 - side]!;
  }
}

const one = (...lengths: number[]): number[][] => lengths.map((length) => [length]);
const hear = (turns: Conversation, firstSide = 0): Listener =>
  new Listener().listen(turns, new SeededRandom(11), firstSide);

test('turn lengths that clients have sent', () => {
  for (const [lengths, said] of [
    [
      [270, 420, 606, 82, 214],
      [0, 1, 3],
    ],
    [
      [399, 435, 124, 82, 117],
      [0, 1, 3],
    ],
    [
      [462, 186, 124, 690, 117],
      [0, 1, 3],
    ],
    [
      [97, 157, 184, 14, 68],
      [0, 1, 3],
    ],
    [
      [330, 340, 479, 82, 252],
      [0, 1, 3],
    ],
    [
      [548, 428, 423],
      [0, 1],
    ],
    [
      [301, 361, 64, 130, 68],
      [0, 1, 2, 3],
    ],
    [
      [588, 492, 493, 39, 68],
      [0, 1, 2, 3],
    ],
    [
      [505, 465, 385, 423, 68],
      [0, 1, 2, 3],
    ],
    [
      [579, 324, 124, 217, 177],
      [0, 1, 3],
    ],
    [[606], [0]],
    [[96], [0]],
  ] as const) {
    const heard = hear(one(...lengths)).said;
    assert.deepEqual(heard.slice(0, said.length), said, lengths.join());
  }
});

test('each bound of the lengths, on either side of it', () => {
  const base = [303, 361, 225, 300, 90];
  for (const [turn, good, bad, near] of [
    [0, 608, 609, 1],
    [1, 608, 609, 3],
    [1, 96, 95, 11],
    [2, 56, 55, 4],
    [2, 636, 637, 5],
    [3, 526 + 68, 4691, 7],
  ] as const) {
    const set = (length: number): number[] => base.map((usual, i) => (i === turn ? length : usual));
    assert.ok(hear(one(...set(good))).said.includes(2), `${turn}: ${good}`);
    const heard = hear(set(bad).map((length) => (length > 1400 ? segmented(length) : [length])));
    assert.ok(!heard.said.includes(2) && !heard.said.includes(3), `${turn}: ${bad}`);
    assert.equal(heard.near, near, `${turn}: ${bad}`);
  }
});

/** A message in full segments. */
function segmented(length: number): number[] {
  const out: number[] = [];
  for (let left = length; left > 0; left -= 1400) out.push(Math.min(left, 1400));
  return out;
}

test('without room for a handshake in the third message the fourth answers none, and the fifth is one', () => {
  assert.equal(hear(one(303, 361, 101, 527, 90)).near, 7);
  assert.deepEqual(hear(one(303, 361, 101, 526, 90)).said, [0, 1, 2]);
  assert.equal(hear(one(303, 361, 101, 526, 67)).near, 9);
});

test('padding that was written apart may come late', () => {
  assert.ok(hear([[96], [96], [512, 301], [512, 400]]).said.includes(2));
  assert.ok(hear([[96], [96], [1101], [513]]).said.includes(2));
  assert.ok(!hear([[97], [97], [1101], [513]]).said.includes(2));
});

test('a first segment that is less than a key is waited for; longer cuts are not', () => {
  assert.equal(hear([[40]]).outcome, More);
  assert.deepEqual(hear([[40, 56]]).said, [0]);
  assert.equal(hear([[300], [90]]).outcome, More);
  assert.deepEqual(hear([[300], [90, 6]]).said, [0, 1]);
  assert.equal(hear([[300], [301], [301], [13]]).outcome, More);
  assert.deepEqual(hear([[300], [301], [301], [13, 30]]).said, [0, 1, 2]);
});

test('who accepted the connection does not speak first', () => {
  const heard = hear(one(301, 361, 225, 300), 1);
  assert.deepEqual(heard.said, []);
  assert.equal(heard.near, 0);
});

test('a flow without a beginning is left to others', () => {
  const view = new View();
  view.bytes = view.opening = noise;
  view.end = view.openingEnd = view.wireLength = 300;
  view.turn = 0;
  assert.equal(mse.inspect(view), No);
});

/** The share of `count` conversations in which each finding is said. */
function shares(count: number, seed: number, make: (random: SeededRandom) => Conversation): number[] {
  const random = new SeededRandom(seed);
  const listener = new Listener();
  const hits = mse.findings.map(() => 0);
  for (let i = 0; i < count; i++) {
    for (const finding of listener.listen(make(random), random).said) hits[finding]!++;
  }
  return hits.map((n) => n / count);
}

const percent = (share: number): string => `${(100 * share).toFixed(3)} %`;

test('exchanges after the specification are recognised', (t) => {
  /** Padding random in all four messages (libtorrent, aria2), or only behind the keys (Transmission). */
  for (const [name, padsLater, withPayload] of [
    ['padding everywhere, initial payload', true, true],
    ['padding everywhere, no payload', true, false],
    ['padding behind keys only, initial payload', false, true],
    ['padding behind keys only, no payload', false, false],
  ] as const) {
    const rates = shares(20_000, 0x6d5e, (random) => {
      const pad = (): number => random.below(513);
      const later = (): number => (padsLater ? pad() : 0);
      const answered = withPayload ? 68 + random.below(400) : 0;
      const fifth = withPayload ? 20 + random.below(300) : 68;
      return one(
        96 + pad(),
        96 + pad(),
        56 + later() + (withPayload ? 68 : 0),
        14 + later() + answered,
        fifth,
      );
    });
    const strong = rates[2]! + rates[3]!;
    t.diagnostic(
      `${name}: four messages or handshake ${percent(Math.min(1, strong))}, handshake ${percent(rates[3]!)}`,
    );
    assert.ok(rates[0]! > 0.9995 && rates[1]! > 0.999, name);
    assert.ok(Math.max(rates[2]!, rates[3]!) > (padsLater && !withPayload ? 0.98 : 0.9), name);
  }
});

const logUniform = (random: SeededRandom, from: number, to: number): number =>
  Math.floor(from * Math.exp((random.below(1 << 24) / (1 << 24)) * Math.log((to + 1) / from)));

/** A turn of one segment, and of another one more with probability `more`, each log-uniform. */
function turnOf(random: SeededRandom, from: number, more: number): number[] {
  const out = [logUniform(random, from, 1460)];
  while (out.length < 6 && random.below(1000) < 1000 * more) out.push(logUniform(random, from, 1460));
  return out;
}

/**
 * Shadowsocks (AEAD) that carries TLS: salt 32, a length (18), address and hello, tag; then chunks with 34 bytes each.
 * Half of the hellos are short (before post-quantum keys), half of the sessions are resumed.
 */
function tunnelledTls(random: SeededRandom): Conversation {
  const hello = random.below(2) === 0 ? 517 : 1500 + random.below(400);
  const first = 32 + 34 + 7 + random.below(20) + hello;
  const answer = 32 + 34 + (random.below(2) === 0 ? 200 + random.below(120) : 2500 + random.below(2500));
  const request = 34 + 58 + (random.below(2) === 0 ? 34 : 0) + logUniform(random, 60, 1200);
  return [first, answer, request, 34 + logUniform(random, 200, 8000), 34 + logUniform(random, 40, 1400)].map(
    segmented,
  );
}

test('random conversations are taken for an exchange no more often than is stated', (t) => {
  const count = 200_000;
  for (const [name, make, fourMax, handshakeMax] of [
    [
      'ordinary: segments log-uniform 20 to 1,460, 30 % chance of another one',
      (random: SeededRandom) => Array.from({ length: 5 }, () => turnOf(random, 20, 0.3)),
      0.12,
      0.002,
    ],
    [
      'one segment per turn, log-uniform 20 to 1,460',
      (random: SeededRandom) => Array.from({ length: 5 }, () => turnOf(random, 20, 0)),
      0.15,
      0.005,
    ],
    [
      'small: one segment per turn, log-uniform 8 to 1,460',
      (random: SeededRandom) => Array.from({ length: 5 }, () => turnOf(random, 8, 0)),
      0.15,
      0.005,
    ],
    ['Shadowsocks with TLS in it', tunnelledTls, 0.2, 0.002],
  ] as const) {
    const rates = shares(count, 0xe44, make);
    t.diagnostic(
      `${name}: first ${percent(rates[0]!)}, two ${percent(rates[1]!)}, four ${percent(rates[2]!)}, handshake ${percent(rates[3]!)}`,
    );
    assert.ok(rates[2]! <= fourMax && rates[3]! <= handshakeMax, name);
  }
});

test('what is shown is read within its range only, and never throws', () => {
  const random = new SeededRandom(0xf022);
  const view = new View();
  for (let round = 0; round < 20_000; round++) {
    const ranges = Array.from({ length: 2 }, () => {
      const start = random.below(5000);
      return [start, start + random.below(700)] as const;
    });
    view.reset();
    view.fromClient = random.below(2) === 0;
    view.turn = random.below(7);
    view.oneWay = random.below(4) === 0;
    for (let i = 0; i < 6; i++) view.turnBytes[i] = random.below(4) === 0 ? 68 : random.below(700);
    [view.openingStart, view.openingEnd] = ranges[0]!;
    [view.otherStart, view.otherEnd] = ranges[1]!;
    view.bytes = view.opening = view.other = noise;
    view.start = view.openingStart;
    view.end = view.openingEnd;
    view.wireLength = view.end - view.start;
    const outcome = mse.inspect(view);
    if (outcome === Yes) {
      assert.ok(
        view.at >= 0 && view.length > 0 && view.at + view.length <= view.openingEnd - view.openingStart,
      );
    }
  }
});
