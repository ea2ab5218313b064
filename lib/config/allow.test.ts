/** The allow list against judges: node's net.BlockList for networks, plain comparison for the rest. */
import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressText } from '../wire/address.js';
import { Packet } from '../wire/packet.js';
import { AllowList } from './allow.js';
import type { Config } from './config.js';
import { networkText, parseNetwork, withHostBits, type Network } from './network.js';

const nothing: Config['allow'] = { networks: [], ports: [], interfaces: [], macs: [], infoHashes: [] };
const listOf = (allow: Partial<Config['allow']>): AllowList => new AllowList({ ...nothing, ...allow });

function packetOf(version: 4 | 6, source: readonly number[], destination: readonly number[]): Packet {
  const packet = new Packet();
  packet.outcome = 0;
  packet.ipVersion = version;
  [packet.source0 = 0, packet.source1 = 0, packet.source2 = 0, packet.source3 = 0] = source;
  [packet.destination0 = 0, packet.destination1 = 0, packet.destination2 = 0, packet.destination3 = 0] =
    destination;
  return packet;
}

const int32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
/** Few different words, so that networks nest, touch and meet the addresses. */
const word = fc.oneof(int32, fc.constantFrom(0, -1, 1, -0x8000_0000, 0x7fff_ffff, 0x0a00_0000, 0x0aff_ffff));
const wordsOf = (version: 4 | 6): fc.Arbitrary<number[]> => {
  const count = version === 4 ? 1 : 4;
  return fc.array(word, { minLength: count, maxLength: count });
};

const networkOf = (version: 4 | 6): fc.Arbitrary<Network> =>
  fc
    .tuple(wordsOf(version), fc.integer({ min: 0, max: version === 4 ? 32 : 128 }))
    .map(([words, bits]) => ({ version, words: withHostBits(words, bits, 0), bits }));

/** The first and last address of each network, and their neighbours: where an error by one would show. */
const edges = ({ words, bits }: Network): number[][] =>
  [withHostBits(words, bits, 0), withHostBits(words, bits, 1)].flatMap((bound) =>
    [-1, 0, 1].map((step) =>
      bound.map((part, index) => (index === bound.length - 1 ? (part + step) | 0 : part)),
    ),
  );

for (const version of [4, 6] as const) {
  test(`IPv${version} networks: the same answers as net.BlockList`, () => {
    const cases = fc.tuple(
      fc.array(networkOf(version), { maxLength: 12 }),
      fc.array(wordsOf(version), { maxLength: 12 }),
    );
    const text = (words: readonly number[]): string => addressText(version, Int32Array.from(words), 0);
    fc.assert(
      fc.property(cases, ([networks, addresses]) => {
        // net.BlockList takes mapped addresses for IPv4; parseNetwork refuses networks of them.
        const mapped = (words: readonly number[]): boolean => text(words).startsWith('::ffff:');
        const usable = networks.filter(({ words }) => !mapped(words));
        const judge = new BlockList();
        for (const { words, bits } of usable) judge.addSubnet(text(words), bits, `ipv${version}`);
        const list = listOf({ networks: usable.map(networkText) });
        for (const address of [...addresses, ...usable.flatMap(edges)].filter((words) => !mapped(words))) {
          const expected = judge.check(text(address), `ipv${version}`);
          const other = new Array<number>(address.length).fill(0x5555_5555);
          const otherToo = expected || judge.check(text(other), `ipv${version}`);
          assert.equal(list.matches(packetOf(version, address, address)), expected, text(address));
          assert.equal(list.matches(packetOf(version, address, other)), otherToo);
          assert.equal(list.matches(packetOf(version, other, address)), otherToo);
        }
      }),
    );
  });
}

test('a network of one family says nothing about the other', () => {
  const list = listOf({ networks: ['0.0.0.0/0'] });
  assert.ok(list.matches(packetOf(4, [1], [2])));
  assert.ok(!list.matches(packetOf(6, [1, 0, 0, 0], [2, 0, 0, 0])));
  assert.ok(list.coversAll(4) && !list.coversAll(6));
  assert.ok(!listOf({ networks: ['0.0.0.0/1', '128.0.0.0/2'] }).coversAll(4));
  assert.ok(listOf({ networks: ['128.0.0.0/1', '0.0.0.0/1'] }).coversAll(4));
});

test('ports: both ends, and only of TCP and UDP', () => {
  const range = fc
    .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 0, max: 40 }))
    .map(([first, more]) => ({ first, last: Math.min(first + more, 65_535) }));
  const port = fc.integer({ min: 0, max: 65_535 });
  fc.assert(
    fc.property(fc.array(range, { maxLength: 5 }), port, port, (ports, source, destination) => {
      const list = listOf({ ports });
      for (const near of [
        source,
        ...ports.flatMap(({ first, last }) => [first - 1, first, last, last + 1]),
      ]) {
        const packet = packetOf(4, [1], [2]);
        [packet.sourcePort, packet.destinationPort] = [near, destination];
        const wanted = ports.some(
          ({ first, last }) =>
            (near >= first && near <= last) || (destination >= first && destination <= last),
        );
        assert.equal(list.matches(packet), wanted);
        packet.outcome = 5;
        assert.equal(list.matches(packet), false);
      }
    }),
  );
});

test('hardware addresses: the same answers as comparing texts', () => {
  const octets = fc.array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 6, maxLength: 6 });
  const text = (parts: readonly number[]): string =>
    parts.map((part) => part.toString(16).padStart(2, '0')).join(':');
  fc.assert(
    fc.property(fc.array(octets, { maxLength: 20 }), octets, (macs, asked) => {
      const list = listOf({ macs: macs.map(text) });
      for (const mac of [...macs, asked]) {
        const bytes = Uint8Array.from([9, ...mac, 9]);
        assert.equal(list.matchesMac(bytes, 1), macs.map(text).includes(text(mac)));
      }
    }),
  );
  assert.ok(!listOf({ macs: ['00:00:00:00:00:00'] }).matchesMac(new Uint8Array(6), 1), 'cut short');
  assert.ok(!listOf({ macs: ['00:00:00:00:00:00'] }).matchesMac(new Uint8Array(6), -1), 'no address there');
});

test('interfaces match by the number they have now', () => {
  const list = listOf({ interfaces: ['lan0', 'gone0'] });
  assert.ok(list.any && !list.matchesInterface(3));
  list.resolveInterfaces((name) => (name === 'lan0' ? 3 : null));
  assert.ok(list.matchesInterface(3));
  assert.ok(!list.matchesInterface(0) && !list.matchesInterface(4));
});

test('info-hashes: whole, and a version 2 hash cut to 20 bytes', () => {
  const list = listOf({ infoHashes: ['01'.repeat(20), '02'.repeat(32)] });
  assert.ok(!list.any, 'they do not spare any packet the inspection');
  const hash = (value: number): Uint8Array => new Uint8Array(32).fill(value);
  assert.ok(list.matchesInfoHash(hash(1), 20) && list.matchesInfoHash(hash(2), 32));
  assert.ok(list.matchesInfoHash(hash(2), 20));
  assert.ok(!list.matchesInfoHash(hash(1), 32) && !list.matchesInfoHash(hash(3), 20));
  assert.ok(!list.matchesInfoHash(hash(1), 0));
});

test('thousands of networks cost less than a microsecond per packet', () => {
  const networks = Array.from(
    { length: 8000 },
    (_, i) => `${10 + (i >> 12)}.${(i >> 4) & 255}.${(i & 15) * 16}.0/24`,
  );
  const list = listOf({ networks });
  const packet = packetOf(4, [0], [0x0101_0101]);
  let hits = 0;
  const rounds = 300_000;
  const begin = process.hrtime.bigint();
  for (let i = 0; i < rounds; i++) {
    packet.source0 = (0x0a00_0000 + i * 2654) | 0;
    if (list.matches(packet)) hits++;
  }
  const nanos = Number(process.hrtime.bigint() - begin) / rounds;
  assert.ok(hits > 0);
  assert.ok(nanos < 1000, `${nanos.toFixed(0)} ns`);
});

test('a network is told with what would be right', () => {
  assert.deepEqual(parseNetwork('192.0.2.1'), { version: 4, words: [-0x3fff_fdff], bits: 32 });
  assert.throws(() => parseNetwork('10.0.0.0/8/8'), /is not a network/);
  assert.throws(() => parseNetwork('10.0.0.0/ 8'), /prefix length/);
});

test('of a tunnelled packet the ends of the tunnel count as well', () => {
  const packet = packetOf(4, [0x0a000001], [0x0a000002]);
  packet.depth = 1;
  packet.outerVersion = 4;
  packet.outerSource0 = 0xc0000201 | 0;
  packet.outerDestination0 = 0xc0000202 | 0;
  packet.outerSourcePort = 4000;
  packet.outerDestinationPort = 6081;
  assert.ok(listOf({ networks: ['192.0.2.2/32'] }).matches(packet));
  assert.ok(listOf({ networks: ['192.0.2.1/32'] }).matches(packet));
  assert.ok(listOf({ ports: [{ first: 6081, last: 6081 }] }).matches(packet));
  assert.ok(listOf({ networks: ['10.0.0.2/32'] }).matches(packet));
  assert.ok(!listOf({ networks: ['192.0.2.3/32'], ports: [{ first: 80, last: 80 }] }).matches(packet));
  packet.depth = 0;
  assert.ok(!listOf({ networks: ['192.0.2.2/32'] }).matches(packet));
});
