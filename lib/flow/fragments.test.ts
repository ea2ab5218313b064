import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { concat, fromText, SeededRandom } from '../testing.js';
import { decodePacket } from '../wire/decode.js';
import { linkRaw } from '../wire/link.js';
import { decodeOutcomes, Fragment, Ok, Packet, tunnelNames } from '../wire/packet.js';
import { extension, fragment6, ipv4, ipv6, tcp, udp } from '../wire/testing.js';
import { FragmentTable } from './fragments.js';

interface Piece {
  readonly offset: number;
  readonly data: Uint8Array;
  readonly more: boolean;
}

type Family = 4 | 6;

/** One fragment as a packet; IPv6 with a destination options header before the fragment header. */
function wrap(family: Family, piece: Piece, id = 77, protocol = 17): Uint8Array {
  if (family === 4) {
    return ipv4(protocol, piece.data, { id, offset: piece.offset, more: piece.more, options: 1 });
  }
  return ipv6(60, extension(44, fragment6(protocol, id, piece.offset, piece.more, piece.data)));
}

/** Cuts at multiples of 8; the first piece keeps at least 24 bytes, so that the transport header is whole. */
function cutAt(data: Uint8Array, cuts: readonly number[]): Piece[] {
  const ends = [...new Set(cuts.map((cut) => Math.floor(cut / 8) * 8))]
    .filter((end) => end >= 24 && end < data.length)
    .sort((a, b) => a - b);
  const edges = [0, ...ends, data.length];
  return edges.slice(1).map((end, i) => ({
    offset: edges[i]!,
    data: data.subarray(edges[i], end),
    more: end < data.length,
  }));
}

const packet = new Packet();

function offer(table: FragmentTable, bytes: Uint8Array, timeMicros = 0, end = bytes.length): boolean {
  const outcome = decodePacket(packet, bytes, 0, end, bytes.length, linkRaw);
  assert.equal(outcome, Fragment, decodeOutcomes[outcome]);
  packet.timeMicros = timeMicros;
  return table.offer(packet);
}

function payload(): Uint8Array {
  return packet.bytes.slice(packet.payloadStart, packet.payloadEnd);
}

const family = fc.constantFrom<Family>(4, 6);
const table = new FragmentTable({ datagramsMax: 8 });

/** A new identification per datagram, so that one table serves all runs and its slots are used again and again. */
let nextId = 0;

test('any cut, any order, any duplicates: the same datagram', () => {
  const content = fc.tuple(fc.integer({ min: 30, max: 4000 }), fc.integer());
  const cuts = fc.array(fc.integer({ min: 24, max: 4000 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(family, content, cuts, fc.integer(), (version, [length, seed], at, order) => {
      const random = new SeededRandom(seed);
      const data = random.bytes(length);
      const pieces = cutAt(udp(data, [1000, 2000]), at);
      fc.pre(pieces.length > 1);
      const id = (nextId = (nextId + 1) & 0xffff);
      const shuffle = new SeededRandom(order);
      const queue = pieces.map((piece) => wrap(version, piece, id));
      for (let i = queue.length - 1; i > 0; i--) {
        const j = shuffle.below(i + 1);
        [queue[i], queue[j]] = [queue[j]!, queue[i]!];
      }
      queue.forEach((bytes, i) => {
        const last = i === queue.length - 1;
        if (!last && shuffle.below(3) === 0) assert.equal(offer(table, bytes), false);
        assert.equal(offer(table, bytes), last);
      });
      assert.equal(packet.outcome, Ok);
      assert.equal(packet.ipVersion, version);
      assert.deepEqual([packet.sourcePort, packet.destinationPort], [1000, 2000]);
      assert.deepEqual(payload(), data);
      assert.equal(packet.payloadWireLength, data.length);
      assert.equal(table.size, 0);
    }),
    { numRuns: 300 },
  );
});

test('any real overlap: never delivered, and later fragments are blocked', () => {
  const blocks = fc.integer({ min: 4, max: 60 });
  fc.assert(
    fc.property(family, blocks, fc.integer(), (version, count, seed) => {
      const random = new SeededRandom(seed);
      const data = udp(random.bytes(count * 8));
      const pieces = cutAt(data, [24 + random.below(count) * 8, 24 + random.below(count) * 8]);
      fc.pre(pieces.length > 1);
      const overlapped = new FragmentTable({ datagramsMax: 4 });
      const queue = pieces.map((piece) => wrap(version, piece));
      const start = random.below(count - 1) * 8;
      const length = 24 + 8 * random.below(count);
      const bad = { offset: start, data: random.bytes(Math.min(length, count * 8 - start)), more: true };
      const exact = pieces.some((p) => p.offset === bad.offset && p.data.length === bad.data.length);
      fc.pre(!exact && bad.data.length >= 8 && bad.data.length % 8 === 0);
      // Before the last piece, so that the datagram is still open when the overlap comes.
      queue.splice(random.below(queue.length), 0, wrap(version, bad));
      for (const bytes of queue) assert.equal(offer(overlapped, bytes), false);
      assert.equal(overlapped.counters.overlaps + overlapped.counters.malformed, 1);
      for (const bytes of queue) assert.equal(offer(overlapped, bytes), false);
      assert.equal(overlapped.counters.reassembled, 0);
      assert.ok(overlapped.counters.blocked >= queue.length);
    }),
    { numRuns: 300 },
  );
});

const body = fromText('0123456789abcdef0123456789abcdef0123456789abcdef');
const whole = udp(body);
const [one, two, three] = cutAt(whole, [24, 40]) as [Piece, Piece, Piece];

test('a duplicate with other bytes is an overlap', () => {
  for (const version of [4, 6] as const) {
    const fresh = new FragmentTable({ datagramsMax: 2 });
    const forged = { ...two, data: two.data.slice().fill(0x20) };
    assert.equal(offer(fresh, wrap(version, two)), false);
    assert.equal(offer(fresh, wrap(version, two)), false);
    assert.equal(fresh.counters.duplicates, 1);
    assert.equal(offer(fresh, wrap(version, forged)), false);
    assert.equal(fresh.counters.overlaps, 1);
  }
});

test('lengths that cannot be discard the datagram', () => {
  const cases: [string, Piece[]][] = [
    ['not a multiple of 8', [{ offset: 24, data: new Uint8Array(9), more: true }]],
    ['empty', [{ offset: 24, data: new Uint8Array(0), more: true }]],
    ['beyond 65,535', [{ offset: 65_528, data: new Uint8Array(8), more: false }]],
    ['two ends', [three, { ...three, data: three.data.subarray(0, 8) }]],
    ['data behind the end', [three, { offset: 80, data: new Uint8Array(8), more: true }]],
    ['end before data', [{ offset: 80, data: new Uint8Array(8), more: true }, three]],
    ['last, then not last', [three, { ...three, more: true }]],
    ['not last, then last', [{ ...three, more: true }, three]],
  ];
  for (const version of [4, 6] as const) {
    for (const [name, pieces] of cases) {
      const fresh = new FragmentTable({ datagramsMax: 2 });
      for (const piece of pieces) assert.equal(offer(fresh, wrap(version, piece)), false, name);
      assert.equal(fresh.counters.malformed, 1, `${name}, IPv${version}`);
      for (const piece of [one, two, three]) assert.equal(offer(fresh, wrap(version, piece)), false, name);
    }
  }
});

test('the largest datagram fits', () => {
  for (const version of [4, 6] as const) {
    const data = new SeededRandom(version).bytes(65_535 - 24 - 8);
    const pieces = cutAt(udp(data), [30_000, 1480, 64_000]);
    const fresh = new FragmentTable({ datagramsMax: 2 });
    const results = pieces.map((piece) => offer(fresh, wrap(version, piece)));
    assert.deepEqual(results, [false, false, false, true]);
    assert.deepEqual(payload(), data);
  }
});

test('datagrams are told apart by address, identification, version, and in IPv4 by protocol', () => {
  const fresh = new FragmentTable({ datagramsMax: 8 });
  assert.equal(offer(fresh, wrap(4, one)), false);
  assert.equal(offer(fresh, wrap(6, one)), false);
  assert.equal(offer(fresh, wrap(4, two, 78)), false);
  assert.equal(offer(fresh, wrap(4, two, 77, 132)), false);
  assert.equal(offer(fresh, ipv4(17, two.data, { id: 77, offset: 24, more: true, source: 9 })), false);
  assert.equal(fresh.size, 5);
  assert.equal(offer(fresh, wrap(4, two)), false);
  assert.equal(offer(fresh, wrap(4, three)), true);
  // RFC 8200: the next header of later fragments is of no account.
  assert.equal(offer(fresh, wrap(6, two, 77, 0)), false);
  assert.equal(offer(fresh, wrap(6, three)), true);
  assert.equal(packet.protocol, 17);
});

test('time-out by packet time, and a clock that jumps back', () => {
  const fresh = new FragmentTable({ datagramsMax: 2, timeoutSeconds: 30 });
  offer(fresh, wrap(4, one), 1e6);
  offer(fresh, wrap(4, two), 31e6);
  assert.equal(fresh.counters.timedOut, 0);
  assert.equal(offer(fresh, wrap(4, three), 31_000_001), false);
  assert.equal(fresh.counters.timedOut, 1);
  offer(fresh, wrap(4, one, 5), -5e6);
  assert.equal(fresh.counters.timedOut, 2);
  assert.equal(fresh.size, 1);
});

test('when full the oldest is given up', () => {
  const fresh = new FragmentTable({ datagramsMax: 3 });
  for (let id = 0; id < 5; id++) offer(fresh, wrap(6, one, id));
  assert.equal(fresh.counters.evicted, 2);
  assert.equal(fresh.size, 3);
  offer(fresh, wrap(6, two, 4));
  assert.equal(offer(fresh, wrap(6, three, 4)), true);
  assert.equal(fresh.size, 2);
});

test('a fragment cut by the snap length gives the datagram up', () => {
  const fresh = new FragmentTable({ datagramsMax: 2 });
  const first = wrap(4, one);
  assert.equal(offer(fresh, first, 0, first.length - 1), false);
  assert.deepEqual([fresh.counters.cut, fresh.size], [1, 1]);
  assert.equal(offer(fresh, wrap(4, two)), false);
  assert.equal(offer(fresh, wrap(4, three)), false);
  assert.equal(fresh.counters.blocked, 2);
});

test('a fragment inside a tunnel keeps its outer fields', () => {
  const fresh = new FragmentTable({ datagramsMax: 2 });
  const results = [three, one, two].map((piece) => offer(fresh, ipv4(41, wrap(6, piece))));
  assert.deepEqual(results, [false, false, true]);
  assert.deepEqual(payload(), body);
  assert.deepEqual([packet.depth, tunnelNames[packet.tunnel], packet.outerVersion], [1, '6in4', 4]);
  assert.equal(packet.fragmentId, 0);
  assert.equal(packet.macStart, -1);
});

test('a tunnel packet in pieces that holds a piece', () => {
  const fresh = new FragmentTable({ datagramsMax: 2 });
  const carried = cutAt(tcp(concat(body, body)), [64]);
  let results: boolean[] = [];
  carried.forEach((piece, i) => {
    const tunnelled = wrap(6, piece, 9, 6);
    results = cutAt(tunnelled, [32, 80]).map((outer) => offer(fresh, wrap(4, outer, i, 41)));
    assert.equal(results.at(-1), i === 1);
  });
  assert.equal(packet.outcome, Ok);
  assert.deepEqual(payload(), concat(body, body));
  assert.deepEqual([packet.ipVersion, packet.depth, packet.outerProtocol], [6, 1, 41]);
  assert.equal(fresh.counters.reassembled, 3);
  assert.equal(fresh.size, 0);
});
