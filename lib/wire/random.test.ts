/** Error rates of the randomness tests, both ways: simulated with a seeded cipher stream, and the chi-square's exactly. */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { fromText, repositoryPath, SeededRandom } from '../testing.js';
import { beginsLikeAnother, falseRefusalRate, looksRandom, randomBytesMin } from './random.js';

/** Bytes that no test can tell from random, always the same ones. */
function cipherBytes(length: number, seed: number): Uint8Array {
  const key = Buffer.alloc(16, seed);
  const stream = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
  return new Uint8Array(stream);
}

/** How many of `count` windows of `length` bytes are refused. */
function refused(bytes: Uint8Array, length: number, count: number): number {
  let no = 0;
  const step = Math.max(1, Math.floor((bytes.length - length) / count));
  for (let i = 0; i < count; i++) if (!looksRandom(bytes, i * step, i * step + length)) no++;
  return no;
}

for (const length of [14, 40, 96, 200, 256, 608]) {
  test(`random bytes are not refused: 200,000 messages of ${length}`, (t) => {
    const count = 200_000;
    const no = refused(cipherBytes(50 * count + length, length & 0xff), length, count);
    t.diagnostic(`${no} of ${count} refused; stated: fewer than ${count * falseRefusalRate}`);
    // 200,000 times one in a million: three or more once in 850 runs, if the rate was just met.
    assert.ok(no <= 2, `${no} refused`);
  });
}

/** Probability that a chi-square over 16 equal cells of `n` bytes exceeds the bound: by all distributions of the counts. */
function exactTail(n: number, rate: number): number {
  const x = Math.log(1 / rate);
  const limit = Math.floor((n * (n + 15 + 2 * Math.sqrt(15 * x) + 2 * x)) / 16);
  const logFactorial = [0];
  for (let i = 1; i <= n; i++) logFactorial.push(logFactorial[i - 1]! + Math.log(i));
  const width = limit + 1;
  // Probability of having put `used` bytes into the cells so far with a sum of squares `s`.
  let now = new Float64Array((n + 1) * width);
  now[0] = 1;
  for (let cell = 0; cell < 16; cell++) {
    const next = new Float64Array((n + 1) * width);
    const p = 1 / (16 - cell);
    for (let used = 0; used <= n; used++) {
      const left = n - used;
      for (let k = p === 1 ? left : 0; k <= left && k * k <= limit; k++) {
        const ways = logFactorial[left]! - logFactorial[k]! - logFactorial[left - k]!;
        const rest = left === k ? 0 : (left - k) * Math.log(1 - p);
        const probability = Math.exp(ways + k * Math.log(p) + rest);
        if (probability < 1e-18) continue;
        for (let s = 0; s + k * k <= limit; s++) {
          next[(used + k) * width + s + k * k]! += now[used * width + s]! * probability;
        }
      }
    }
    now = next;
  }
  return 1 - now.subarray(n * width).reduce((sum, probability) => sum + probability, 0);
}

test('the chi-square of few bytes keeps its bound, computed exactly', (t) => {
  for (const n of [32, 56, 96, 160]) {
    const tail = exactTail(n, 5e-8);
    t.diagnostic(`${n} bytes: ${tail.toExponential(1)}`);
    assert.ok(tail <= 5e-8, `${n}: ${tail}`);
  }
});

const random = new SeededRandom(0xacc);
const times = (length: number, make: (i: number) => number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => make(i));

/** Data of one kind, and the share of its messages of 96 and of 256 bytes that may be taken for random. */
const kindsOfData: readonly { name: string; bytes: () => Uint8Array; at96: number; at256: number }[] = [
  { name: 'source text', bytes: () => readFileSync(repositoryPath('ARCHITECTURE.md')), at96: 0, at256: 0 },
  {
    name: 'base64',
    bytes: () => fromText(Buffer.from(cipherBytes(60_000, 1)).toString('base64')),
    at96: 0,
    at256: 0,
  },
  {
    name: 'hexadecimal',
    bytes: () => fromText(Buffer.from(cipherBytes(60_000, 1)).toString('hex')),
    at96: 0,
    at256: 0,
  },
  { name: 'Cyrillic text (UTF-8)', bytes: cyrillic, at96: 0, at256: 0 },
  {
    name: 'UTF-16 text',
    bytes: () => times(60_000, (i) => (i % 2 ? 0 : 97 + random.below(26))),
    at96: 0,
    at256: 0,
  },
  { name: 'machine code (node)', bytes: machineCode, at96: 0.02, at256: 0.01 },
  { name: 'fields with tags and small numbers', bytes: tagged, at96: 0.02, at256: 0 },
  { name: 'structures of 32-bit numbers', bytes: structures, at96: 0, at256: 0 },
  {
    name: 'doubles',
    bytes: () => new Uint8Array(Float64Array.from({ length: 8000 }, () => random.below(1e6) / 7).buffer),
    at96: 0.3,
    at256: 0.01,
  },
  {
    name: 'voice, 8 bits',
    bytes: () => times(60_000, (i) => 128 + 90 * Math.sin(i / 9) + random.below(9)),
    at96: 0.9,
    at256: 0.01,
  },
  { name: 'counter', bytes: () => times(60_000, (i) => i & 255), at96: 1, at256: 1 },
  { name: 'deflate without header', bytes: () => deflated(false), at96: 1, at256: 1 },
];

function cyrillic(): Uint8Array {
  const word = (): string =>
    String.fromCharCode(...Array.from({ length: 2 + random.below(9) }, () => 0x430 + random.below(32)));
  return new TextEncoder().encode(Array.from({ length: 6000 }, word).join(' '));
}

function machineCode(): Uint8Array {
  const program = readFileSync(process.execPath);
  const middle = program.length >> 1;
  return new Uint8Array(program.subarray(middle, middle + 400_000));
}

function tagged(): Uint8Array {
  const out: number[] = [];
  while (out.length < 60_000) {
    out.push(
      ((1 + random.below(12)) << 3) | random.below(3),
      random.below(3) === 0 ? 0x80 | random.below(128) : 1,
    );
    out.push(random.below(100));
    if (random.below(4) === 0) out.push(0x12, 6, ...Array.from({ length: 6 }, () => 97 + random.below(26)));
  }
  return Uint8Array.from(out);
}

function structures(): Uint8Array {
  return new Uint8Array(Int32Array.from({ length: 15_000 }, (_, i) => i * 16 + random.below(1000)).buffer);
}

function deflated(header: boolean): Uint8Array {
  const text = readFileSync(repositoryPath('lib', 'engine', 'inspect.ts'));
  return new Uint8Array(header ? gzipSync(text) : deflateRawSync(text));
}

for (const { name, bytes, at96, at256 } of kindsOfData) {
  test(`taken for random: ${name}`, (t) => {
    const data = Uint8Array.from(bytes());
    for (const [length, most] of [
      [96, at96],
      [256, at256],
    ] as const) {
      const count = Math.min(2000, data.length - length);
      const share = 1 - refused(data, length, count) / count;
      t.diagnostic(`${length} bytes: ${(100 * share).toFixed(1)} %`);
      assert.ok(share <= most, `${length} bytes: ${share}`);
    }
  });
}

test('nothing outside the range is read, and short ranges are judged too', () => {
  for (let length = 0; length < randomBytesMin; length++) {
    const bytes = new Uint8Array(length + 64).fill(0x41);
    bytes.set(cipherBytes(length, 9), 32);
    assert.equal(looksRandom(bytes, 32, 32 + length), true, `${length}`);
  }
});

test('a long message is judged by its beginning and its end', () => {
  const bytes = cipherBytes(608, 3);
  assert.ok(looksRandom(bytes, 0, 608));
  assert.ok(!looksRandom(Uint8Array.from([...bytes.subarray(0, 200), ...new Uint8Array(64)]), 0, 264));
  assert.ok(!looksRandom(Uint8Array.from([...new Uint8Array(96), ...bytes]), 0, 704));
});

const opening = (hex: string, length = 300): [Uint8Array, number] => {
  const bytes = cipherBytes(length, 5);
  bytes.set(Buffer.from(hex, 'hex'));
  return [bytes, length];
};

test('openings of other protocols and of files', () => {
  for (const hex of [
    '1603010200',
    '1703030100',
    '504b0304',
    '1f8b08',
    '89504e470d0a',
    'ffd8ffe0',
    '28b52ffd',
    '789c',
    '5353482d322e30',
    '474554202f',
    '0982a4416c676f00',
    '4452504321212131',
    '0312345678000000',
    '0300012c',
    '012a',
    '2a01',
    '012c',
    '2c01',
    '000129',
    '29010001',
    '00000128',
    '28010000',
    '0000012c',
    '510000012b',
    '812a01',
  ]) {
    const [bytes, length] = opening(hex);
    assert.ok(beginsLikeAnother(bytes, 0, length, length), hex);
    assert.ok(!beginsLikeAnother(bytes, 3, length, length - 3), `${hex} cut off`);
  }
});

test('random bytes begin like another protocol once in 8,000', (t) => {
  const count = 400_000;
  const bytes = cipherBytes(count * 8, 6);
  let yes = 0;
  for (let i = 0; i < count; i++) {
    if (beginsLikeAnother(bytes, i * 8, i * 8 + 8, 96 + (i & 511))) yes++;
  }
  t.diagnostic(`${yes} of ${count}, ${((100 * yes) / count).toFixed(4)} %`);
  assert.ok(yes <= count / 6000, `${yes}`);
});
