import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantError } from '../invariant.js';
import { hostEvidenceSeconds, keySeconds, shapeSeconds } from '../limits.js';
import { HostEvidence } from './host-evidence.js';
import { ActiveHost, ActivePort, QuietHost } from './swarm.js';

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

test('a proof makes the host active, and its port if that stays', () => {
  for (const address of [host, host6]) {
    const hosts = evidenceOf();
    assert.equal(hosts.grade(...address, 6881, start), QuietHost);
    hosts.note(...address, 6881, 3, 100, start);
    assert.equal(hosts.grade(...address, 6881, start), ActivePort);
    assert.equal(hosts.grade(...address, 6882, start), ActiveHost);
    assert.equal(hosts.grade(...address, 0, start), ActiveHost);
    assert.equal(hosts.grade(address[0], address[1] ^ 1, address[2], 2, 3, 6881, start), QuietHost);
    assert.equal(hosts.used(start), 2);
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
  assert.throws(() => new HostEvidence(shared, 6), InvariantError);
  assert.throws(() => new HostEvidence(new SharedArrayBuffer(100), 6), InvariantError);
});

test('property: agrees with a map that keeps everything, while the table is far from full', () => {
  const operations = fc.array(
    fc.record({ host: fc.nat(30), port: fc.nat(3), kind: fc.nat(15), step: fc.nat(400) }),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(operations, (all) => {
      const hosts = evidenceOf(4096);
      const last = new Map<string, number>();
      let now = start;
      const isLive = (h: number, p: number): boolean =>
        now - (last.get(`${h} ${p}`) ?? -Infinity) <= hostEvidenceSeconds;
      for (const { host: h, port, kind, step } of all) {
        now += step;
        hosts.note(...hostAt(h + 1), port, kind, 1, now);
        last.set(`${h} 0`, now);
        last.set(`${h} ${port}`, now);
        for (let i = 0; i <= 30; i++) {
          for (let p = 0; p <= 3; p++) {
            const expected = p > 0 && isLive(i, p) ? ActivePort : isLive(i, 0) ? ActiveHost : QuietHost;
            assert.equal(hosts.grade(...hostAt(i + 1), p, now), expected);
          }
        }
      }
    }),
    { numRuns: 60 },
  );
});
