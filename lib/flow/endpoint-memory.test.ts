import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError } from '../invariant.js';
import { hearsaySeconds, listenerShare, provenSeconds, speakerEndpointsMax } from '../limits.js';
import { EndpointMemory } from './endpoint-memory.js';
import { memoryOf, publicAddress, speaker, start, v4, v6, type Address } from './endpoint-memory-testing.js';
import { quotaWindowSeconds } from './shared-quota.js';
import { NamedEndpoint, TrustedEndpoint, UnknownEndpoint, type EndpointGrade } from './swarm.js';

class World {
  readonly memory: EndpointMemory;
  readonly listener: number;
  constructor(capacity = 4096) {
    this.memory = memoryOf(capacity);
    this.listener = speaker(this.memory, '10.0.0.1');
  }
  name(address: Address, port: number, from: string, seconds = start, to = '10.0.0.1'): void {
    this.memory.name(...address, port, speaker(this.memory, from), speaker(this.memory, to), seconds);
  }
  prove(address: Address, port: number, partner: string, seconds = start): void {
    this.memory.prove(...address, port, speaker(this.memory, partner), seconds);
  }
  grade(address: Address, port: number, seconds = start): EndpointGrade {
    return this.memory.grade(...address, port, this.listener, seconds);
  }
  /** As `grade`, asked by another local network. */
  gradeFor(asker: string, address: Address, port: number, seconds = start): EndpointGrade {
    return this.memory.grade(...address, port, speaker(this.memory, asker), seconds);
  }
}

const peer = v4('198.51.100.7');
const peer6 = v6(0x20010db8, 1, 2, 3);

test('hearsay names, only a proof makes it trusted', () => {
  for (const address of [peer, peer6]) {
    const world = new World();
    assert.equal(world.grade(address, 6881), UnknownEndpoint);
    world.name(address, 6881, '192.0.2.1');
    assert.equal(world.grade(address, 6881), NamedEndpoint);
    world.name(address, 6881, '203.0.113.1');
    assert.equal(world.grade(address, 6881), NamedEndpoint);
    world.prove(address, 6882, '10.0.0.1');
    assert.equal(world.grade(address, 6882), TrustedEndpoint);
    assert.equal(world.memory.learned, 2);
    assert.equal(world.memory.used(start), 2);
    world.prove(address, 6881, '10.0.0.1');
    assert.equal(world.grade(address, 6881), TrustedEndpoint);
    assert.equal(world.memory.used(start), 3, 'what was said and what was proven are two rows');
  }
});

test('hearsay told to one network says nothing to another; a proof says it to all', () => {
  for (const address of [peer, peer6]) {
    for (const port of [6881, 3074]) {
      const world = new World();
      for (const from of ['192.0.2.1', '203.0.113.1', '198.18.0.1']) world.name(address, port, from);
      assert.equal(world.grade(address, port), NamedEndpoint);
      assert.equal(world.gradeFor('10.0.0.254', address, port), NamedEndpoint, 'a neighbour');
      for (const other of ['10.0.1.1', '10.1.0.1', '192.0.2.1', '198.51.100.7'])
        assert.equal(world.gradeFor(other, address, port), UnknownEndpoint, other);
      for (const asker of [0, 1, -1])
        assert.equal(world.memory.grade(...address, port, asker, start), UnknownEndpoint);
      for (const partner of ['10.0.0.1', '10.0.3.1']) world.prove(address, port, partner);
      for (const anyone of ['10.0.0.1', '10.0.1.1', '192.0.2.1'])
        assert.equal(world.gradeFor(anyone, address, port), TrustedEndpoint, anyone);
    }
  }
});

test('attack: hearsay told to no network in particular is no proof', () => {
  const world = new World();
  world.memory.name(...peer, 6881, 5, 0, start);
  assert.equal(world.memory.grade(...peer, 6881, 0, start), NamedEndpoint);
  assert.equal(world.grade(peer, 6881), UnknownEndpoint);
});

test('on a service port the speakers to two networks are not added up', () => {
  const world = new World();
  world.name(peer, 3074, '192.0.2.1', start, '10.0.0.1');
  world.name(peer, 3074, '203.0.113.1', start, '10.0.1.1');
  for (const asker of ['10.0.0.1', '10.0.1.1'])
    assert.equal(world.gradeFor(asker, peer, 3074), UnknownEndpoint);
  world.name(peer, 3074, '192.0.2.1', start, '10.0.1.1');
  assert.equal(world.gradeFor('10.0.0.1', peer, 3074), UnknownEndpoint);
  assert.equal(world.gradeFor('10.0.1.1', peer, 3074), NamedEndpoint);
  assert.equal(world.memory.learned, 2, 'a row for each network');
  assert.equal(world.memory.used(start), 2);
});

test('attack: an endpoint that very many networks name stays hearsay, at any time and on any port', () => {
  for (const port of [6881, 3074]) {
    const world = new World();
    for (let i = 0; i < 10_000; i++) {
      world.memory.name(...peer, port, (i + 1) * 7919, world.listener, start + (i >> 2));
      if (world.grade(peer, port, start + (i >> 2)) > NamedEndpoint) assert.fail(`trusted after ${i}`);
    }
    assert.equal(world.grade(peer, port, start + 2500), NamedEndpoint);
    assert.equal(world.memory.learned, 1);
  }
});

test('attack: a name told to many networks uses up its speaker as often', () => {
  const world = new World(16_384);
  for (let i = 0; i < 1000; i++) world.name(peer, 6881, '192.0.2.1', start, `10.${i >> 8}.${i & 255}.1`);
  assert.equal(world.memory.used(start), speakerEndpointsMax);
  assert.equal(world.memory.refusedSpeaker, 1000 - speakerEndpointsMax);
});

test('attack: two speakers in one /24, or in one /48, or behind one 6to4 network, count as one', () => {
  const { memory, listener } = new World();
  const same = [
    [v4('192.0.2.1'), v4('192.0.2.254')],
    [v6(0x20010db8, 0x00070000, 1), v6(0x20010db8, 0x0007ffff, 9, 9)],
    [v6(0x2002c000, 0x02010000), v6(0x2002c000, 0x02ff0001)],
    [v4('192.0.2.1'), v6(0x2002c000, 0x02ff0001)],
  ] as const;
  const servicePorts = [22, 443, 3074, 25_565];
  for (const [i, [one, other]] of same.entries()) {
    const port = servicePorts[i]!;
    const numbers = [
      memory.speakerOf(one[0], one[1], one[2]),
      memory.speakerOf(other[0], other[1], other[2]),
    ];
    assert.equal(numbers[0], numbers[1]);
    for (const number of numbers) memory.name(...peer, port, number, listener, start);
    assert.equal(memory.grade(...peer, port, listener, start), UnknownEndpoint);
    memory.name(...peer, port, speaker(memory, '192.0.3.1'), listener, start);
    assert.equal(memory.grade(...peer, port, listener, start), NamedEndpoint, 'a second network');
  }
  assert.notEqual(speaker(memory, '192.0.2.1'), speaker(memory, '192.0.3.1'));
});

test('version, each word and the port tell endpoints apart', () => {
  const world = new World();
  world.prove(peer6, 6881, '10.0.0.1');
  const others: [Address, number][] = [
    [v6(0x20010db9, 1, 2, 3), 6881],
    [v6(0x20010db8, 0, 2, 3), 6881],
    [v6(0x20010db8, 1, 3, 3), 6881],
    [v6(0x20010db8, 1, 2, 0), 6881],
    [v6(0x20010db8, 2, 1, 3), 6881],
    [[4, 0x20010db8, 1, 2, 3], 6881],
    [peer6, 6882],
    [peer6, 0],
  ];
  for (const [address, port] of others) assert.equal(world.grade(address, port), UnknownEndpoint);
  assert.equal(world.grade(peer6, 6881), TrustedEndpoint);
  const said = new World();
  said.name(peer6, 6881, '192.0.2.1');
  for (const [address, port] of others) assert.equal(said.grade(address, port), UnknownEndpoint);
  assert.equal(said.grade(peer6, 6881), NamedEndpoint);
});

test('words given as signed or as unsigned are the same address', () => {
  const world = new World();
  world.prove([4, 0xc6336407, 0, 0, 0], 6881, '10.0.0.1');
  assert.equal(world.grade([4, 0xc6336407 | 0, 0, 0, 0], 6881), TrustedEndpoint);
  world.memory.name(4, 0xc6336407, 0, 0, 0, 6882, 5, 0xf0000001, start);
  assert.equal(world.memory.grade(4, 0xc6336407 | 0, 0, 0, 0, 6882, 0xf0000001 | 0, start), NamedEndpoint);
});

test('addresses and ports that no peer can have are never learned', () => {
  const never = [
    ...['0.0.0.0', '0.1.2.3', '127.0.0.1', '169.254.1.1', '224.0.0.1', '239.192.152.143', '240.0.0.1'].map(
      v4,
    ),
    v4('255.255.255.255'),
    v6(0),
    v6(0, 0, 0, 1),
    v6(0, 0, 0xffff, 0x01020304),
    v6(0xfe800000, 0, 0, 1),
    v6(0xfebfffff, 1, 1, 1),
    v6(0xff020000, 0, 0, 1),
    [5, 0x08080808, 0, 0, 0],
  ] as Address[];
  const world = new World();
  for (const address of never) {
    world.name(address, 6881, '192.0.2.1');
    world.prove(address, 6881, '192.0.2.1');
    assert.equal(world.grade(address, 6881), UnknownEndpoint, address.join(' '));
  }
  world.prove(peer, 0, '192.0.2.1');
  assert.equal(world.grade(peer, 0), UnknownEndpoint);
  assert.equal(world.memory.used(start), 0);
  for (const address of [v4('10.1.2.3'), v4('192.168.1.1'), v6(0xfd000000, 1), v6(0xfec00000)]) {
    world.prove(address, 6881, '192.0.2.1');
    assert.equal(world.grade(address, 6881), TrustedEndpoint);
  }
});

test('hearsay and proofs are forgotten after their own time, each speaker for itself', () => {
  const world = new World();
  for (const port of [6881, 3074]) {
    world.name(peer, port, '192.0.2.1', start);
    world.name(peer, port, '203.0.113.1', start + 1000);
    assert.equal(world.grade(peer, port, start + hearsaySeconds), NamedEndpoint);
  }
  assert.equal(world.grade(peer, 3074, start + hearsaySeconds + 1), UnknownEndpoint, 'one is left of two');
  assert.equal(world.grade(peer, 6881, start + hearsaySeconds + 1), NamedEndpoint);
  assert.equal(world.grade(peer, 6881, start + hearsaySeconds + 1000), NamedEndpoint);
  assert.equal(world.grade(peer, 6881, start + hearsaySeconds + 1001), UnknownEndpoint);
  for (const [partner, seconds] of [
    ['10.0.0.1', start],
    ['10.0.1.1', start + 1000],
  ] as const)
    world.prove(peer, 443, partner, seconds);
  assert.equal(world.grade(peer, 443, start + provenSeconds), TrustedEndpoint);
  assert.equal(world.grade(peer, 443, start + provenSeconds + 1), UnknownEndpoint, 'one is left of two');
  world.prove(peer, 6882, '10.0.0.1', start);
  assert.equal(world.grade(peer, 6882, start + provenSeconds), TrustedEndpoint);
  assert.equal(world.grade(peer, 6882, start + provenSeconds + 1), UnknownEndpoint);
  assert.equal(world.memory.used(start + 2 * provenSeconds), 0);
});

test('a row that is renewed for days forgets what is old, and short times never come round again', () => {
  const world = new World();
  for (const port of [6881, 3074]) world.name(peer, port, '203.0.113.1', start);
  for (let t = 0; t < 3 * 86_400; t += 1500) {
    for (const port of [6881, 3074]) world.name(peer, port, '192.0.2.1', start + t);
    assert.equal(world.grade(peer, 6881, start + t), NamedEndpoint);
    // Of the first speaker nothing is left but for its half hour.
    assert.equal(world.grade(peer, 3074, start + t), t <= hearsaySeconds ? NamedEndpoint : UnknownEndpoint);
  }
  world.prove(peer, 6883, '10.0.0.1', start);
  for (let t = provenSeconds + 1; t < 140_000; t += 601)
    assert.equal(world.grade(peer, 6883, start + t), UnknownEndpoint);
});

test('a clock that runs backwards or is anywhere breaks nothing', () => {
  const world = new World();
  world.name(peer, 6881, '192.0.2.1', start);
  assert.equal(world.grade(peer, 6881, start - hearsaySeconds), NamedEndpoint);
  assert.equal(world.grade(peer, 6881, start - hearsaySeconds - 1), UnknownEndpoint);
  world.name(peer, 3074, '192.0.2.1', start);
  world.name(peer, 3074, '203.0.113.1', start - 600);
  assert.equal(world.grade(peer, 3074, start), NamedEndpoint);
  assert.equal(world.grade(peer, 3074, start + hearsaySeconds), UnknownEndpoint);
  let port = 7000;
  for (const seconds of [0, 1, -1, -5000, 0x7fffffff, 0x80000000, 0xffffffff, 2 ** 40, 1e15, 1.5]) {
    world.prove(peer, ++port, '10.0.0.1', seconds);
    world.name(peer, port, '192.0.2.1', seconds);
    assert.equal(world.grade(peer, port, seconds), TrustedEndpoint, `at ${seconds}`);
    assert.equal(world.grade(peer, port, seconds + 10_000), UnknownEndpoint);
    world.name(peer, port + 40_000, '192.0.2.1', seconds);
    assert.equal(world.grade(peer, port + 40_000, seconds), NamedEndpoint, `at ${seconds}`);
    assert.equal(world.grade(peer, port + 40_000, seconds + 10_000), UnknownEndpoint);
  }
});

test('attack: a liar names a game server or another service on its well-known port', () => {
  for (const port of [22, 443, 3074, 25_565, 27_015, 51_820]) {
    const world = new World();
    world.name(peer, port, '192.0.2.1');
    assert.equal(world.grade(peer, port), UnknownEndpoint, 'one network says nothing');
    world.name(peer, port, '203.0.113.1');
    assert.equal(world.grade(peer, port), NamedEndpoint);
    for (const from of ['198.18.0.1', '100.64.0.1', '10.0.0.1']) {
      world.name(peer, port, from);
      assert.equal(world.grade(peer, port), NamedEndpoint, 'nor do more networks say more');
    }
    const proven = new World();
    proven.prove(peer, port, '10.0.0.1');
    assert.equal(proven.grade(peer, port), UnknownEndpoint, 'one partner may be forged');
    for (const from of ['192.0.2.1', '203.0.113.1', '198.18.0.1']) proven.name(peer, port, from);
    assert.equal(proven.grade(peer, port), NamedEndpoint, 'hearsay is no second partner');
    proven.prove(peer, port, '10.0.0.99');
    assert.equal(
      proven.grade(peer, port),
      NamedEndpoint,
      'a second host of the same network is no second partner',
    );
    proven.prove(peer, port, '10.0.1.1');
    assert.equal(proven.grade(peer, port), TrustedEndpoint);
  }
});

test("attack: an outsider names addresses of the listener's own network; only its own hosts may", () => {
  const world = new World();
  for (const from of ['192.0.2.1', '203.0.113.1', '198.18.0.1']) world.name(v4('10.0.0.80'), 6881, from);
  assert.equal(world.grade(v4('10.0.0.80'), 6881), UnknownEndpoint);
  world.name(v4('10.0.0.80'), 6881, '10.0.0.80');
  assert.equal(world.grade(v4('10.0.0.80'), 6881), NamedEndpoint, 'LSD');
});

test('attack: a liar names the addresses of its own network, which stay hearsay within its quota', () => {
  const world = new World(16_384);
  for (let i = 0; i < 255 * 8; i++) world.name(v4(`192.0.2.${1 + (i >> 3)}`), 6881 + (i & 7), '192.0.2.1');
  assert.equal(world.memory.used(start), speakerEndpointsMax);
  assert.equal(world.grade(v4('192.0.2.1'), 6881), NamedEndpoint);
});

test('attack: a liar fills the table: a million names of one speaker change nothing for others', () => {
  const world = new World(65_536);
  for (let i = 0; i < 300; i++) {
    world.name(v4(`198.51.100.${i % 250}`), 20_000 + i, '203.0.113.1');
    world.prove(v4(`198.51.101.${i % 250}`), 20_000 + i, '10.0.0.1');
  }
  for (let i = 0; i < 1_000_000; i++) world.name(publicAddress(i), 6881, '192.0.2.1');
  for (let i = 0; i < 300; i++) {
    assert.equal(world.grade(v4(`198.51.100.${i % 250}`), 20_000 + i), NamedEndpoint);
    assert.equal(world.grade(v4(`198.51.101.${i % 250}`), 20_000 + i), TrustedEndpoint);
  }
  assert.equal(world.memory.used(start), 600 + speakerEndpointsMax);
  assert.equal(world.memory.refusedSpeaker, 1_000_000 - speakerEndpointsMax);
  assert.equal(world.memory.evicted, 0);
  assert.equal(world.memory.byteLength, EndpointMemory.byteLength(65_536));
  world.name(peer, 6999, '192.0.2.1', start + quotaWindowSeconds);
  assert.equal(
    world.grade(peer, 6999, start + quotaWindowSeconds),
    NamedEndpoint,
    'a new window, a new quota',
  );
});

test('attack: a million liars tell one local network a million names: its quota ends it', () => {
  const world = new World(65_536);
  for (let i = 0; i < 300; i++) world.prove(v4(`198.51.101.${i % 250}`), 20_000 + i, '10.0.0.1');
  for (let i = 0; i < 1_000_000; i++)
    world.memory.name(...publicAddress(i), 6881, i + 1, world.listener, start);
  for (let i = 0; i < 300; i++)
    assert.equal(world.grade(v4(`198.51.101.${i % 250}`), 20_000 + i), TrustedEndpoint);
  const listenerMax = 65_536 / listenerShare;
  assert.equal(world.memory.used(start), 300 + listenerMax);
  assert.ok(world.memory.refusedListener > 900_000);
  world.memory.name(...peer, 7001, 5, speaker(world.memory, '10.0.9.1'), start);
  assert.ok(world.memory.learned > 300 + listenerMax, 'another local network still learns');
  assert.equal(world.gradeFor('10.0.9.1', peer, 7001), NamedEndpoint);
  assert.equal(world.grade(peer, 7001), UnknownEndpoint);
});

test('attack: liars with any number of networks and listeners never push out what is proven', () => {
  const world = new World(1024);
  // A bucket that happens to get more than eight of them loses some to the others, not to liars.
  const proven = Array.from({ length: 256 }, (_, i) => publicAddress(1_000_000 + i));
  for (const address of proven) world.prove(address, 6881, '10.0.0.1');
  const before = proven.filter((address) => world.grade(address, 6881) === TrustedEndpoint);
  assert.ok(before.length > 250);
  for (let i = 0; i < 200_000; i++) world.memory.name(...publicAddress(i), 6881, i + 1, i + 7, start);
  for (const address of before) assert.equal(world.grade(address, 6881), TrustedEndpoint);
  assert.ok(world.memory.evicted > 100_000);
  assert.ok(world.memory.used(start) <= 1024);
});

test('when full, hearsay of one goes before hearsay of several, and a bucket of proven endpoints refuses hearsay', () => {
  const world = new World(8);
  const several = Array.from({ length: 4 }, (_, i) => publicAddress(i));
  // On a service port, so that both speakers have to be left.
  for (const [i, address] of several.entries())
    for (const number of [1, 2]) world.memory.name(...address, 3074, number * 1000, 50 + i, start);
  for (let i = 100; i < 1000; i++) world.memory.name(...publicAddress(i), 6881, i, 5000 + i, start + i);
  assert.ok(world.memory.evicted > 800);
  for (const [i, address] of several.entries())
    assert.equal(world.memory.grade(...address, 3074, 50 + i, start + 1000), NamedEndpoint);
  for (let i = 0; i < 8; i++) world.prove(publicAddress(5000 + i), 6881, '10.0.0.1', start + 1000);
  world.memory.name(...peer, 6881, 3, 4, start + 1001);
  assert.equal(world.memory.grade(...peer, 6881, 4, start + 1001), UnknownEndpoint);
  assert.equal(world.memory.refusedFull, 1);
  world.prove(peer, 6881, '10.0.0.1', start + 1001);
  assert.equal(world.grade(peer, 6881, start + 1001), TrustedEndpoint);
  assert.equal(world.memory.used(start + 1001), 8);
});

test('two workers share what they learn; another seed is a defect', () => {
  const shared = new SharedArrayBuffer(EndpointMemory.byteLength(64));
  const one = new EndpointMemory(shared, 5);
  const other = new EndpointMemory(shared, 5);
  one.prove(...peer, 6881, 1, start);
  assert.equal(other.grade(...peer, 6881, 1, start), TrustedEndpoint);
  one.name(...peer, 6882, 1, 3, start);
  assert.equal(other.grade(...peer, 6882, 3, start), NamedEndpoint);
  assert.equal(other.grade(...peer, 6882, 4, start), UnknownEndpoint);
  assert.equal(other.speakerOf(peer[0], peer[1], peer[2]), one.speakerOf(peer[0], peer[1], peer[2]));
  assert.throws(() => new EndpointMemory(shared, 6), InvariantError);
  assert.throws(
    () => new EndpointMemory(new SharedArrayBuffer(EndpointMemory.byteLength(64) + 4), 5),
    InvariantError,
  );
});
