import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantError } from '../invariant.js';
import { KeyedHash, secretWord } from './keyed-hash.js';
import { isPeerAddress } from './peer-address.js';
import { isServicePort, serviceGroups } from './service-ports.js';
import { quotaWindowSeconds, SharedQuota } from './shared-quota.js';
import { distance, latest, SharedRows, value0 } from './shared-rows.js';

const word = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const rowWords = fc.array(word, { minLength: 6, maxLength: 6 });

function put(rows: SharedRows, handle: number, tag0: number, tag1: number, row: readonly number[]): void {
  row.forEach((value, i) => (rows.row[i] = value));
  rows.store(handle, tag0, tag1);
}

test('attack: rows torn by other workers: no mixture of two rows is believed, wherever each word comes from', () => {
  const memory = new SharedArrayBuffer(SharedRows.byteLength(8));
  const rows = new SharedRows(memory, 0, 8, 99);
  const words = new Int32Array(memory);
  // tag0 and the seven words of row 0, as two writers leave them.
  const places = [0, 8, 9, 10, 11, 12, 13, 14];
  fc.assert(
    fc.property(word, word, word, rowWords, rowWords, (tag0, tag1, otherTag1, mine, other) => {
      for (const [writer0, writer1] of [
        [tag0, tag1],
        [tag0, otherTag1],
      ] as const) {
        put(rows, 0, writer0, writer1, other);
        const second = places.map((place) => words[place]!);
        put(rows, 0, tag0, tag1, mine);
        const first = places.map((place) => words[place]!);
        for (let mixture = 0; mixture < 256; mixture++) {
          places.forEach((place, i) => (words[place] = ((mixture >> i) & 1) === 0 ? first[i]! : second[i]!));
          const now = words[9]!;
          const found = rows.find(tag0, tag1, 0, now, 10);
          if (found < 0) continue;
          const whole = places.map((place) => words[place]!).join();
          assert.ok(whole === first.join() || whole === second.join(), 'a mixture was believed');
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('a stored row is found by its fingerprint and time only', () => {
  const rows = new SharedRows(new SharedArrayBuffer(SharedRows.byteLength(64)), 0, 64, 99);
  put(rows, rows.first(3) + 5, 1, 2, [1000, 1, 2, 3, 4, 5]);
  rows.clear();
  assert.equal(rows.find(1, 2, 3, 1010, 10), rows.first(3) + 5);
  assert.deepEqual([...rows.row], [1000, 1, 2, 3, 4, 5]);
  assert.equal(rows.row[latest], 1000);
  assert.equal(rows.row[value0], 1);
  assert.equal(rows.find(1, 2, 3, 1011, 10), -1);
  assert.equal(rows.find(1, 3, 3, 1000, 10), -1);
  assert.equal(rows.find(2, 2, 3, 1000, 10), -1);
  assert.equal(rows.find(1, 2, 4, 1000, 10), -1);
  assert.equal(rows.find(0, 0, 3, 0, 10), -1, 'an empty row is nobody');
  assert.equal(rows.first(3 + 8), rows.first(3), 'places beyond the buckets come round');
  for (const capacity of [0, 4, 24, 64.5, 1 << 20])
    assert.throws(() => new SharedRows(new SharedArrayBuffer(0), 0, capacity, 1), InvariantError);
});

test('distance of times is the same both ways, modulo 2^32', () => {
  assert.equal(distance(5, 8), 3);
  assert.equal(distance(8, 5), 3);
  assert.equal(distance(-1, 1), 2);
  assert.equal(distance(0x7fffffff, -0x80000000), 1);
  assert.equal(distance(0, -0x80000000), 0x7fffffff);
});

test('attack: words chosen so that their differences cancel whatever the seed do not agree in both tags', () => {
  // Bit 18 of a scrambled word becomes bit 31 of murmur's state, which an odd multiplier cannot move (see keyed-hash.ts).
  const unscramble = (k: number): number => {
    let value = Math.imul(k, 0x56ed309b);
    value = (value >>> 15) | (value << 17);
    return Math.imul(value, 0xdee13bb1);
  };
  let agreed = 0;
  for (let seed = 0; seed < 2000; seed++) {
    const hash = new KeyedHash(secretWord(seed, 5));
    hash.address(6, unscramble(seed), unscramble(77), 3, 4, 6881, 0, 0);
    const { tag0, tag1 } = hash;
    hash.address(6, unscramble(seed ^ (1 << 18)), unscramble(77 ^ 0x80008000), 3, 4, 6881, 0, 0);
    if (hash.tag0 === tag0 && hash.tag1 === tag1) agreed++;
  }
  assert.equal(agreed, 0);
});

test('each part of an address, and each extra bit, changes the tags', () => {
  const hash = new KeyedHash(4);
  const of = (...a: Parameters<KeyedHash['address']>): string => {
    hash.address(...a);
    return `${hash.tag0} ${hash.tag1} ${hash.place}`;
  };
  const base = [6, 1, 2, 3, 4, 5, 6, 7] as const;
  const all = new Set([of(...base)]);
  for (let i = 0; i < base.length; i++) {
    for (const bit of [0, 8, 15, 16, 31]) {
      if (bit > 15 && (i === 0 || i === 5)) continue;
      all.add(of(...(base.map((v, j) => (j === i ? v ^ (1 << bit) : v)) as unknown as typeof base)));
    }
  }
  assert.equal(all.size, 1 + 6 * 5 + 2 * 3);
});

test('places are spread evenly over the buckets', () => {
  const hash = new KeyedHash(secretWord(3, 4));
  const buckets = new Int32Array(1024);
  for (let i = 0; i < 102_400; i++) {
    hash.address(4, 0x0a000000 + i, 0, 0, 0, 6881, 0, 0);
    buckets[hash.place & 1023]!++;
  }
  assert.ok(Math.max(...buckets) < 200 && Math.min(...buckets) > 20);
});

test('quota: so many per window, none lost to a clock that goes back over the border', () => {
  const quota = new SharedQuota(new SharedArrayBuffer(SharedQuota.byteLength), 0, 10, 5);
  const border = quotaWindowSeconds * 3_000_000;
  for (let i = 0; i < 10; i++) {
    assert.equal(quota.allows(7, border), true);
    quota.count(7, border);
  }
  assert.equal(quota.allows(7, border), false);
  assert.equal(quota.allows(7, border - 1), false, 'a worker that lags behind does not begin anew');
  assert.equal(quota.allows(7, border + quotaWindowSeconds - 1), false);
  assert.equal(quota.allows(8, border), true);
  assert.equal(quota.allows(7, border + quotaWindowSeconds), true);
  assert.equal(quota.allows(7, border - 10 * quotaWindowSeconds), true, 'a clock that was set back does');
});

test('quota: others never add to it, and few lose to their neighbours', () => {
  const quota = new SharedQuota(new SharedArrayBuffer(SharedQuota.byteLength), 0, 10, 5);
  for (let key = 0; key < 100; key++) for (let i = 0; i < 10; i++) quota.count(key, 0);
  for (let key = 0; key < 100; key++) assert.equal(quota.allows(key, 0), false);
  let lost = 0;
  for (let key = 100; key < 10_100; key++) if (!quota.allows(key, 0)) lost++;
  assert.ok(lost < 50, `${lost} of 10000 lost`);
});

test('service ports: all below 1024 and the listed ones, none of the usual ports of peers', () => {
  for (const port of [0, 22, 53, 443, 1023, 1194, 3074, 5228, 8443, 25_565, 27_000, 27_050, 51_820])
    assert.equal(isServicePort(port), true, String(port));
  // Defaults of BitTorrent clients: the old range, Transmission, Deluge, rTorrent, aria2, Vuze.
  const peers = [1024, 6881, 6889, 6890, 6969, 6999, 16_881, 49_152, 51_413, 58_846, 65_535];
  for (const port of peers) assert.equal(isServicePort(port), false, String(port));
  let count = 0;
  for (let port = 1024; port < 65_536; port++) if (isServicePort(port)) count++;
  assert.ok(count < 200, `${count} service ports`);
  for (const { why } of serviceGroups) assert.ok(why.length > 20);
});

test('isPeerAddress', () => {
  assert.equal(isPeerAddress(4, 0xdfffffff | 0, 0), true);
  assert.equal(isPeerAddress(4, 0xe0000000 | 0, 0), false);
  assert.equal(isPeerAddress(6, 0x20010db8, 0), true);
  assert.equal(isPeerAddress(6, 0, 1), true);
  assert.equal(isPeerAddress(6, 0, 0), false);
  assert.equal(isPeerAddress(0, 1, 1), false);
});
