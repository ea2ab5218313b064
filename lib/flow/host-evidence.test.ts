import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantError } from '../invariant.js';
import { hostEvidenceSeconds, keySeconds, shapeSeconds } from '../limits.js';
import { HostEvidence } from './host-evidence.js';
import { ActiveHost, ActivePort, cutByShape, cutByThree, QuietHost, type HostAddress } from './swarm.js';

const start = 1_790_000_400;
type Address = readonly [number, number, number, number, number];
const host: Address = [4, 0x0a000005, 0, 0, 0];
const host6: Address = [6, 0x20010db8, 1, 2, 3];
const hostAt = (i: number): Address => [4, 0x0a000000 + i, 0, 0, 0];

function evidenceOf(capacity = 1024): HostEvidence {
  return new HostEvidence(new SharedArrayBuffer(HostEvidence.byteLength(capacity)), 9);
}

const wordsOf = (address: Address): [number, number, number, number] => [
  address[1],
  address[2],
  address[3],
  address[4],
];

/** Partners whose bits differ, so that they are told apart. */
function partnersOf(count: number): number[] {
  const hosts = evidenceOf();
  const found: number[] = [];
  for (let i = 100; found.length < count; i++) {
    hosts.note(...host, 0, 1, i, start);
    if (hosts.describe(4, wordsOf(host), 0, start)!.partners > found.length) found.push(i);
  }
  return found;
}
const [firstPartner, secondPartner, thirdPartner] = partnersOf(3) as [number, number, number];

test('a proof makes the host active, and its port if that stays', () => {
  for (const address of [host, host6]) {
    const hosts = evidenceOf();
    assert.equal(hosts.grade(...address, 6881, start), QuietHost);
    hosts.note(...address, 6881, 3, 100, start);
    assert.equal(hosts.grade(...address, 6881, start), ActivePort);
    assert.equal(hosts.grade(...address, 6882, start), ActiveHost);
    assert.equal(hosts.grade(...address, 0, start), ActiveHost);
    assert.equal(hosts.grade(address[0], address[1] ^ 1, address[2], 2, 3, 6881, start), QuietHost);
    if (address === host6)
      assert.equal(hosts.grade(6, address[1], address[2] ^ 1, 2, 3, 0, start), QuietHost);
    assert.equal(hosts.used(start), 2);
  }
});

test('the port of a service is active with a second partner', () => {
  for (const address of [host, host6]) {
    for (const port of [22, 443, 3074, 51_820]) {
      const hosts = evidenceOf();
      for (let i = 0; i < 10; i++) hosts.note(...address, port, i, firstPartner, start + i);
      assert.equal(hosts.grade(...address, port, start + 10), ActiveHost, 'one partner');
      hosts.note(...address, 6881, 1, secondPartner, start + 11);
      hosts.note(...address, 0, 1, thirdPartner, start + 11);
      assert.equal(hosts.grade(...address, port, start + 11), ActiveHost, 'of the host, not of its port');
      assert.equal(hosts.grade(...address, 6881, start + 11), ActivePort);
      hosts.note(...address, port, 1, secondPartner, start + 12);
      assert.equal(hosts.grade(...address, port, start + 12), ActivePort);
      assert.equal(hosts.grade(...address, port + 1, start + 12), ActiveHost);
      assert.equal(hosts.grade(...address, port, start + 12 + hostEvidenceSeconds), ActivePort);
      assert.equal(hosts.grade(...address, port, start + 13 + hostEvidenceSeconds), QuietHost);
      hosts.note(...address, port, 1, firstPartner, start + 13 + hostEvidenceSeconds);
      assert.equal(
        hosts.grade(...address, port, start + 13 + hostEvidenceSeconds),
        ActiveHost,
        'from the start',
      );
    }
  }
});

test('the port of an IPv6 host is that of its address: a neighbour in its /64 may serve anything there', () => {
  const [, net0, net1] = host6;
  const hosts = evidenceOf();
  hosts.note(...host6, 8388, 3, 100, start);
  assert.equal(hosts.grade(...host6, 8388, start), ActivePort);
  for (const neighbour of [[2, 4] as const, [9, 3] as const]) {
    const address: Address = [6, net0, net1, ...neighbour];
    assert.equal(hosts.grade(...address, 8388, start), ActiveHost);
    assert.equal(hosts.describe(6, wordsOf(address), 8388, start), null);
  }
  assert.equal(hosts.describe(6, wordsOf(host6), 8388, start)?.kinds, 8);
});

test('attack: one with rows for as many addresses as it likes leaves the others theirs', () => {
  const [, net0, net1] = host6;
  const hosts = evidenceOf();
  for (const partner of [firstPartner, secondPartner]) hosts.note(...host, 6881, 1, partner, start);
  for (let i = 0; i < 10_000; i++) hosts.note(6, net0, net1, i * 77, ~i, 6881, 1, firstPartner, start + 1);
  assert.equal(hosts.grade(...host, 6881, start + 1), ActivePort);
});

test('attack: an IPv6 host with many addresses in its /64 is one host', () => {
  const [, net0, net1] = host6;
  const hosts = evidenceOf();
  for (let i = 0; i < 10_000; i++) hosts.note(6, net0, net1, i * 77, ~i, 0, i % 3, 100 + i, start);
  assert.equal(hosts.used(start), 1);
  assert.equal(hosts.evicted, 0);
  const fresh: Address = [6, net0, net1, 0x12345678, -1];
  assert.equal(hosts.grade(...fresh, 6881, start), ActiveHost);
  assert.equal(hosts.describe(6, wordsOf(fresh), 0, start)?.kinds, 7);
  assert.equal(hosts.shape(6, net0, net1, 1, 1, 1, start), 1);
  assert.equal(hosts.shape(6, net0, net1, 2, 9, 2, start), 2);
  hosts.unlike(6, net0, net1, 3, 3, 3, start);
  assert.equal(hosts.isUnlike(...fresh, 3, start), true);
  assert.equal(hosts.shape(...fresh, 3, start), 0);
  assert.equal(hosts.key(6, net0, net1, 1, 1, 11, 12, 1, start), false);
  assert.equal(hosts.key(6, net0, net1, 2, 1, 11, 12, 2, start), true);
  for (const [word0, word1] of [
    [net0 ^ 1, net1],
    [net0, net1 ^ 1],
    [net0, net1 ^ (1 << 31)],
  ] as const) {
    const other: Address = [6, word0, word1, host6[3], host6[4]];
    assert.equal(hosts.grade(...other, 6881, start), QuietHost, 'another /64');
    assert.equal(hosts.describe(6, wordsOf(other), 0, start), null);
    assert.equal(hosts.isUnlike(...other, 3, start), false);
    assert.equal(hosts.shape(...other, 3, start), 1);
    assert.equal(hosts.key(...other, 11, 12, 3, start), false);
  }
});

test('IPv4 hosts that differ in one bit are two hosts', () => {
  for (let bit = 0; bit < 24; bit++) {
    const hosts = evidenceOf();
    const other: Address = [4, host[1] ^ (1 << bit), 0, 0, 0];
    hosts.note(...host, 6881, 3, 100, start);
    hosts.unlike(...host, 1, start);
    assert.equal(hosts.grade(...other, 6881, start), QuietHost);
    assert.equal(hosts.isUnlike(...other, 1, start), false);
  }
});

test('evidence decays, whichever way the clock runs, and a renewed host forgets nothing', () => {
  const hosts = evidenceOf();
  hosts.note(...host, 6881, 3, 100, start);
  for (const away of [hostEvidenceSeconds, -hostEvidenceSeconds])
    assert.equal(hosts.grade(...host, 6881, start + away), ActivePort);
  for (const away of [hostEvidenceSeconds + 1, -hostEvidenceSeconds - 1, 65_536, 2 ** 31])
    assert.equal(hosts.grade(...host, 6881, start + away), QuietHost);
  hosts.note(...host, 0, 4, 101, start + 800);
  assert.equal(hosts.grade(...host, 6881, start + 1600), ActiveHost, 'the port was not renewed');
  assert.equal(hosts.describe(4, wordsOf(host), 0, start + 1600)?.kinds, (1 << 3) | (1 << 4));
});

test('describe: kinds, partners, age; null for a stranger', () => {
  const hosts = evidenceOf();
  for (let i = 0; i < 20; i++) hosts.note(...host6, 6881, i % 3, 5000 + i, start);
  const found = hosts.describe(6, wordsOf(host6), 6881, start + 7);
  assert.equal(found?.kinds, 7);
  assert.equal(found.ageSeconds, 7);
  assert.ok(found.partners >= 12 && found.partners <= 30, `${found.partners} partners`);
  assert.equal(hosts.describe(6, wordsOf(host), 6881, start), null);
  for (let i = 0; i < 5000; i++) hosts.note(...host, 0, 99, i, start);
  assert.deepEqual(hosts.describe(4, wordsOf(host), 0, start), { kinds: 0, partners: 111, ageSeconds: 0 });
});

test('shapes: different remotes within two minutes are counted, up to four', () => {
  const hosts = evidenceOf();
  assert.equal(hosts.shape(...host, 1, start), 1);
  assert.equal(hosts.shape(...host, 1, start + 1), 1);
  assert.equal(hosts.shape(...host, 2, start + 30), 2);
  assert.equal(hosts.shape(...host, 3, start + 60), 3);
  assert.equal(hosts.shape(...host, 4, start + 90), 4);
  assert.equal(hosts.shape(...host, 5, start + 95), 4);
  assert.equal(hosts.shape(...host6, 5, start + 95), 1, 'another host has its own');
  assert.equal(hosts.shape(...host, 6, start + 95 + shapeSeconds), 2);
  assert.equal(hosts.shape(...host, 7, start + 97 + 2 * shapeSeconds), 1);
  assert.equal(hosts.grade(...host, 0, start), QuietHost, 'a shape is no proof');
});

test('unlike: a remote with another shape does not count, nor later if it had counted before', () => {
  for (const address of [host, host6]) {
    const hosts = evidenceOf();
    for (const remote of [1, 2, 3]) hosts.shape(...address, remote, start);
    assert.equal(hosts.isUnlike(...address, 3, start), false);
    hosts.unlike(...address, 3, start + 1);
    assert.equal(hosts.isUnlike(...address, 3, start + 1), true);
    assert.equal(hosts.isUnlike(...address, 2, start + 1), false, 'another remote');
    assert.equal(hosts.isUnlike(...hostAt(77), 3, start + 1), false, 'another host');
    assert.equal(hosts.shape(...address, 3, start + 2), 0);
    assert.equal(hosts.shape(...address, 1, start + 3), 2, 'the third was taken back');
    assert.equal(hosts.shape(...address, 4, start + 4), 3);
    assert.equal(hosts.shape(...hostAt(77), 3, start + 4), 1);
    assert.equal(hosts.grade(...address, 0, start), QuietHost);
  }
});

test('unlike: as many remotes of another shape as of this one within two minutes leave nothing', () => {
  for (const address of [host, host6]) {
    for (const count of [1, 2, 3, 4]) {
      const hosts = evidenceOf();
      for (let i = 0; i < count; i++) hosts.unlike(...address, 100 + i, start);
      for (let i = 0; i < 4; i++) {
        const expected = i + 1 > count ? i + 1 : 0;
        assert.equal(hosts.shape(...address, 1 + i, start + 1), expected, `${i + 1} like, ${count} unlike`);
      }
      assert.equal(hosts.shape(...hostAt(77), 1, start + 1), 1, 'another host');
      hosts.unlike(...address, 100, start + 2);
      assert.equal(
        hosts.shape(...address, 1, start + 2),
        count < 4 ? 4 : 0,
        'the same one again is no other',
      );
    }
  }
});

test('unlike: the veto is over after two minutes, isUnlike after ten', () => {
  const hosts = evidenceOf();
  hosts.unlike(...host, 9, start);
  for (const away of [shapeSeconds, -shapeSeconds]) assert.equal(hosts.shape(...host, 1, start + away), 0);
  const late = evidenceOf();
  late.unlike(...host, 9, start);
  assert.equal(late.shape(...host, 1, start + shapeSeconds + 1), 1);
  for (const away of [0, keySeconds, -keySeconds]) {
    assert.equal(late.isUnlike(...host, 9, start + away), true);
    assert.equal(late.shape(...host, 9, start + away), 0);
  }
  for (const away of [keySeconds + 1, -keySeconds - 1, 65_536, 2 ** 31])
    assert.equal(late.isUnlike(...host, 9, start + away), false);
  assert.equal(late.shape(...host, 9, start + keySeconds + 1), 1, 'it counts again');
  late.unlike(...host, 9, start + 1000);
  late.unlike(...host, 9, start + 1500);
  assert.equal(late.isUnlike(...host, 9, start + 1500 + keySeconds), true, 'renewed');
});

test('unlike: says nothing about keys, nor keys about it', () => {
  const hosts = evidenceOf();
  // As a key of these words it would have the row of the remote.
  for (const word of [0x756e_6c69, 0]) {
    hosts.key(...host, 5, word, 1, start);
    assert.equal(hosts.isUnlike(...host, 5, start), false);
  }
  hosts.unlike(...host, 6, start);
  assert.equal(hosts.key(...host, 6, 0x756e_6c69, 7, start), false);
});

test('attack: a million remotes of another shape displace old rows only, and invent nothing', () => {
  const hosts = evidenceOf(1024);
  hosts.note(...host, 6881, 1, 1, start);
  hosts.key(...host, 11, 12, 1, start);
  for (let i = 0; i < 1_000_000; i++) hosts.unlike(4, 0x2e000000 + i, 0, 0, 0, i, start);
  assert.ok(hosts.evicted > 900_000);
  assert.equal(hosts.grade(...host, 6881, start), ActivePort);
  assert.equal(hosts.key(...host, 11, 12, 2, start), true);
  for (let i = 0; i < 100_000; i++)
    if (hosts.isUnlike(...hostAt(i), i, start)) assert.fail(`host ${i} had no other shape`);
  assert.equal(hosts.shape(...host, 1, start), 1);
});

test('keys: the same key towards another remote is told, for ten minutes', () => {
  const hosts = evidenceOf();
  assert.equal(hosts.key(...host, 11, 12, 1, start), false);
  assert.equal(hosts.key(...host, 11, 12, 1, start + 1), false, 'the same remote again');
  assert.equal(hosts.key(...host, 11, 13, 2, start + 2), false, 'another key');
  assert.equal(hosts.key(...host, 12, 11, 2, start + 2), false);
  assert.equal(hosts.key(...host6, 11, 12, 2, start + 2), false, 'another host');
  assert.equal(hosts.key(...host, 11, 12, 2, start + 3), true);
  assert.equal(hosts.key(...host, 11, 12, 1, start + 4), true);
  assert.equal(hosts.key(...host, 11, 12, 3, start + 5 + keySeconds), false);
});

test('addresses that no host beyond a router has are not noted', () => {
  const hosts = evidenceOf();
  const group: Address = [4, 0xefc0988f | 0, 0, 0, 0];
  hosts.note(...group, 6771, 1, 1, start);
  assert.equal(hosts.grade(...group, 6771, start), QuietHost);
  for (const remote of [1, 2, 3]) assert.equal(hosts.shape(...group, remote, start), 1);
  for (const remote of [1, 2]) assert.equal(hosts.key(...group, 1, 1, remote, start), false);
  hosts.unlike(...group, 9, start);
  assert.equal(hosts.isUnlike(...group, 9, start), false);
  assert.equal(hosts.shape(...group, 9, start), 1);
  assert.equal(hosts.used(start), 0);
});

test('attack: a flood of outside peers does not push out hosts with many partners that renew their proof', () => {
  const hosts = evidenceOf(1024);
  for (let round = 0; round < 100; round++) {
    for (let i = 1; i <= 100; i++)
      for (const partner of [1, 2, 3]) hosts.note(...hostAt(i), 0, 1, partner * 77 + round, start + round);
    for (let i = 0; i < 2000; i++)
      hosts.note(4, 0x2e000000 + round * 2000 + i, 0, 0, 0, 6881, 1, 1, start + round);
  }
  for (let i = 1; i <= 100; i++) assert.equal(hosts.grade(...hostAt(i), 0, start + 100), ActiveHost);
  assert.ok(hosts.evicted > 100_000);
  assert.ok(hosts.used(start + 100) <= 1024);
  assert.equal(hosts.byteLength, HostEvidence.byteLength(1024));
});

test('attack: a host with a million keys and shapes displaces old rows only, and invents nothing', () => {
  const hosts = evidenceOf(1024);
  for (let i = 0; i < 1_000_000; i++) {
    if (hosts.key(...host, i, i >>> 3, i, start)) assert.fail(`key ${i} was never used before`);
  }
  for (let i = 0; i < 100_000; i++) hosts.shape(4, 0x2e000000 + i, 0, 0, 0, i, start);
  assert.equal(hosts.shape(...host, 1, start), 1);
});

test('two workers share what they know; another seed is a defect', () => {
  const shared = new SharedArrayBuffer(HostEvidence.byteLength(64));
  const one = new HostEvidence(shared, 5);
  const other = new HostEvidence(shared, 5);
  one.note(...host, 6881, 1, 1, start);
  assert.equal(other.grade(...host, 6881, start), ActivePort);
  one.unlike(...host, 3, start);
  assert.equal(other.isUnlike(...host, 3, start), true);
  assert.throws(() => new HostEvidence(shared, 6), InvariantError);
  assert.throws(() => new HostEvidence(new SharedArrayBuffer(100), 6), InvariantError);
});

test('memory: a header and four tables of rows of 32 bytes', () => {
  assert.equal(HostEvidence.byteLength(), 48 + 4 * 16_384 * 32);
  assert.equal(evidenceOf(1024).capacity, 1024);
});

/** Hosts of the properties: each second one IPv6, of which `low` counts only together with a port. */
const mixedHost = (i: number, low: number): Address =>
  i % 2 === 0 ? hostAt(i + 1) : [6, 0x20010db8, i, low, low * 3];

test('property: agrees with a map that keeps everything, while the table is far from full', () => {
  const ports = [0, 6881, 6882, 443, 3074];
  const partners = [firstPartner, secondPartner, thirdPartner];
  const operations = fc.array(
    fc.record({
      host: fc.oneof(fc.nat(3), fc.nat(30)),
      low: fc.nat(5),
      port: fc.constantFrom(...ports),
      kind: fc.nat(15),
      partner: fc.constantFrom(...partners),
      step: fc.oneof(fc.nat(30), fc.nat(400)),
    }),
    { maxLength: 200, size: 'max' },
  );
  const seen = [0, 0, 0];
  fc.assert(
    fc.property(operations, (all) => {
      const hosts = evidenceOf(4096);
      const rows = new Map<string, { latest: number; partners: Set<number> }>();
      let now = start;
      const keyOf = (h: number, low: number, p: number): string =>
        `${h} ${p} ${h % 2 === 0 || p === 0 ? 0 : low}`;
      const live = (h: number, low: number, p: number): number => {
        const row = rows.get(keyOf(h, low, p));
        return row !== undefined && now - row.latest <= hostEvidenceSeconds ? row.partners.size : 0;
      };
      for (const { host: h, low, port, kind, partner, step } of all) {
        now += step;
        hosts.note(...mixedHost(h, low), port, kind, partner, now);
        for (const p of new Set([0, port])) {
          const before = live(h, low, p) > 0 ? rows.get(keyOf(h, low, p))!.partners : [];
          rows.set(keyOf(h, low, p), { latest: now, partners: new Set([...before, partner]) });
        }
        for (let i = 0; i <= 30; i++) {
          for (const p of ports) {
            const enough = p === 443 || p === 3074 ? 2 : 1;
            const expected =
              p > 0 && live(i, 3, p) >= enough ? ActivePort : live(i, 3, 0) > 0 ? ActiveHost : QuietHost;
            const grade = hosts.grade(...mixedHost(i, 3), p, now);
            assert.equal(grade, expected, `host ${i} port ${p}`);
            seen[grade]!++;
          }
        }
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(Math.min(...seen) > 1000, `grades seen: ${seen.join(' ')}`);
});

test('who was cut off: one host, one address and port, for two minutes, unless the remote was unlike', () => {
  const at = (version: number, word0: number, word3 = 0): HostAddress => ({
    version,
    word0,
    word1: 0,
    word2: 0,
    word3,
  });
  const own = at(4, 0x0a00_0005);
  const remote = at(4, 0x5db8_d822);
  const hosts = evidenceOf(4096);
  hosts.cut(own, remote, 51413, cutByThree, start);
  assert.ok(hosts.wasCut(own, remote, 51413, 77, cutByThree, start + shapeSeconds));
  assert.ok(!hosts.wasCut(own, remote, 51413, 77, cutByThree, start + shapeSeconds + 1));
  assert.ok(!hosts.wasCut(own, remote, 51414, 77, cutByThree, start));
  assert.ok(!hosts.wasCut(own, remote, 51413, 77, cutByShape, start), 'for another reason');
  assert.ok(!hosts.wasCut(own, at(4, 0x5db8_d823), 51413, 77, cutByThree, start));
  assert.ok(!hosts.wasCut(at(4, 0x0a00_0006), remote, 51413, 77, cutByThree, start));
  assert.ok(!hosts.wasCut(remote, own, 51413, 77, cutByThree, start));
  hosts.unlike(4, own.word0, 0, 0, 0, 77, start);
  assert.ok(!hosts.wasCut(own, remote, 51413, 77, cutByThree, start));
  assert.ok(hosts.wasCut(own, remote, 51413, 78, cutByThree, start), 'another network was unlike');
  const six = at(6, 0x2001_0db8, 1);
  hosts.cut(six, at(6, 0x2001_0db9, 9), 51413, cutByThree, start);
  assert.ok(
    hosts.wasCut(at(6, 0x2001_0db8, 2), at(6, 0x2001_0db9, 9), 51413, 77, cutByThree, start),
    'the host is its network',
  );
  assert.ok(
    !hosts.wasCut(six, at(6, 0x2001_0db9, 8), 51413, 77, cutByThree, start),
    'the remote is its address',
  );
});

test('remotes that a host dialled are counted apart from those of all its connections', () => {
  const own = { version: 4, word0: 0x0a00_0005, word1: 0, word2: 0, word3: 0 };
  const hosts = evidenceOf(4096);
  for (const remote of [1, 2, 3]) hosts.shape(4, own.word0, 0, 0, 0, remote, start);
  assert.equal(hosts.dial(own, 4, start), 1);
  assert.equal(hosts.dial(own, 5, start), 2);
  assert.equal(hosts.dial(own, 5, start), 2);
  assert.equal(hosts.dial(own, 6, start + shapeSeconds + 1), 1);
});

test('a pair that was cut off again and again outlasts no remote that was unlike', () => {
  const own = { version: 4, word0: 0x0a00_0005, word1: 0, word2: 0, word3: 0 };
  const hosts = evidenceOf(8);
  for (let port = 1; port <= 7; port++)
    for (const again of [0, 1]) hosts.cut(own, own, port, cutByThree, start + again);
  hosts.unlike(4, own.word0, 0, 0, 0, 77, start + 300);
  hosts.cut(own, own, 8, cutByThree, start + 301);
  assert.ok(hosts.isUnlike(4, own.word0, 0, 0, 0, 77, start + 301));
});

test('property: shapes agree with a map that keeps everything, while the table is far from full', () => {
  const operations = fc.array(
    fc.record({
      isLike: fc.constantFrom(true, true, true, true, false),
      host: fc.nat(1),
      low: fc.nat(5),
      remote: fc.nat(3),
      step: fc.oneof(fc.nat(5), fc.nat(5), fc.nat(60), fc.nat(700)),
    }),
    { maxLength: 200, size: 'max' },
  );
  const seen = [0, 0, 0, 0, 0];
  fc.assert(
    fc.property(operations, (all) => {
      const hosts = evidenceOf(4096);
      const likes = new Map<string, number>();
      const unlikes = new Map<string, number>();
      let now = start;
      const live = (map: Map<string, number>, key: string, max: number): boolean =>
        now - (map.get(key) ?? -Infinity) <= max;
      const count = (map: Map<string, number>, h: number): number =>
        [0, 1, 2, 3].filter((remote) => live(map, `${h} ${remote}`, shapeSeconds)).length;
      for (const { isLike, host: h, low, remote, step } of all) {
        now += step;
        const key = `${h} ${remote}`;
        if (isLike) {
          const isUnlike = live(unlikes, key, keySeconds);
          if (!isUnlike) likes.set(key, now);
          const expected = isUnlike || count(unlikes, h) >= count(likes, h) ? 0 : count(likes, h);
          const found = hosts.shape(...mixedHost(h, low), 1 + remote, now);
          assert.equal(found, expected);
          seen[found]!++;
        } else {
          hosts.unlike(...mixedHost(h, low), 1 + remote, now);
          unlikes.set(key, now);
          likes.delete(key);
        }
        for (let i = 0; i <= 2; i++)
          for (let r = 0; r <= 3; r++)
            assert.equal(
              hosts.isUnlike(...mixedHost(i, 9), 1 + r, now),
              live(unlikes, `${i} ${r}`, keySeconds),
            );
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(Math.min(...seen) > 20, `counts seen: ${seen.join(' ')}`);
});
