/** Evasion by segmentation: small, late, doubled, disordered and conflicting pieces of a handshake. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromText, SeededRandom } from '../../testing.js';
import { connection, garbage, handshake, tcpOnly, Wire } from './testing.js';

const other = garbage(68);

describe('small pieces', () => {
  test('a handshake in one-byte segments', () => {
    const wire = connection();
    for (let i = 0; i < handshake.length; i++) wire.part(handshake, i, i + 1);
    wire.foundSomewhere();
    assert.ok(wire.offlineAt <= 3 + 20);
  });

  test('both handshakes in one-byte segments, in turn', () => {
    const wire = connection();
    for (let i = 0; i < handshake.length; i++) {
      wire.down(handshake.subarray(i, i + 1), i);
      wire.part(handshake, i, i + 1);
    }
    wire.foundSomewhere();
    assert.ok(wire.offlineAt <= 3 + 2 * 20);
  });

  test('one-byte segments from the last to the first', () => {
    const wire = connection();
    for (let i = handshake.length - 1; i >= 0; i--) wire.part(handshake, i, i + 1);
    wire.found();
  });

  test('one-byte segments in any order', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = new SeededRandom(seed);
      const order = Array.from(handshake, (_, i) => i);
      for (let i = order.length - 1; i > 0; i--) {
        const j = random.below(i + 1);
        [order[i], order[j]] = [order[j]!, order[i]!];
      }
      const wire = connection();
      for (const i of order) wire.part(handshake, i, i + 1);
      wire.foundSomewhere();
    }
  });

  test('the first bytes a hundred times before the rest', () => {
    const wire = connection();
    for (let i = 0; i < 100; i++) wire.part(handshake, 0, 10);
    wire.part(handshake, 10, 68).found();
  });

  test('growing retransmissions, each one byte longer', () => {
    const wire = connection();
    for (let i = 1; i <= 20; i++) wire.part(handshake, 0, i);
    wire.foundSomewhere();
  });

  test('keep-alive probes with a byte of garbage, zero-window probes, window updates', () => {
    const wire = connection();
    for (let i = 0; i < 40; i++) wire.up(other.subarray(0, 1), -1);
    wire.part(handshake, 0, 1);
    for (let i = 0; i < 40; i++) wire.up('', 1).down('', 0).part(handshake, 1, 2);
    wire.part(handshake, 2, 68).found();
  });
});

describe('order and overlap with equal content', () => {
  for (const size of [2, 7, 17, 34])
    test(`pieces of ${size} bytes backwards`, () => {
      const wire = connection();
      for (let at = Math.ceil(68 / size) - 1; at >= 0; at--)
        wire.part(handshake, at * size, Math.min(68, (at + 1) * size));
      wire.found();
    });

  test('every piece twice, each overlapping its neighbours', () => {
    const wire = connection();
    for (let at = 48; at >= 0; at -= 6)
      for (let copy = 0; copy < 2; copy++) wire.part(handshake, at, at + 12);
    wire.foundSomewhere();
  });

  test('a hole filled last', () => {
    connection().part(handshake, 0, 5).part(handshake, 6, 68).part(handshake, 5, 6).found();
  });

  test('a hole behind which everything is repeated', () => {
    const wire = connection().part(handshake, 1, 30);
    for (let i = 0; i < 50; i++) wire.part(handshake, 1 + (i % 20), 30 + i);
    wire.part(handshake, 0, 1).found();
  });
});

/** What a receiver that throws some segments away must still be able to put together. */
describe('overlap with different content', () => {
  test('garbage first, then the handshake in its place', () => {
    connection().up(other).up(handshake).found();
  });
  test('the handshake first, then garbage in its place', () => {
    connection().up(handshake).up(other).found(4);
  });
  test('garbage first, then the handshake in two pieces', () => {
    connection().up(other).part(handshake, 0, 9).part(handshake, 9, 68).found();
  });
  test('garbage first, then the handshake in two pieces, the second one first', () => {
    connection().up(other).part(handshake, 9, 68).part(handshake, 0, 9).found();
  });
  test('garbage first, then the handshake in one-byte segments', () => {
    const wire = connection().up(other);
    for (let i = 0; i < 20; i++) wire.part(handshake, i, i + 1);
    wire.foundSomewhere();
  });
  test('a piece, garbage behind it, then the rest', () => {
    connection().part(handshake, 0, 9).part(other, 9, 68).part(handshake, 9, 68).found();
  });
  test('garbage for a later piece first', () => {
    connection().part(other, 9, 68).part(handshake, 9, 68).part(handshake, 0, 9).found();
  });
  test('garbage for a later piece last, before the hole is filled', () => {
    connection().part(handshake, 9, 68).part(other, 9, 68).part(handshake, 0, 9).found();
  });
  test('of one piece the first copy is garbage, of the other one the second', () => {
    const wire = connection().part(handshake, 0, 9).part(other, 0, 9);
    wire.part(other, 9, 68).part(handshake, 9, 68).found();
    const late = connection().part(handshake, 9, 14).part(other, 9, 14).part(other, 14, 68);
    late.part(handshake, 14, 68).part(other, 0, 9).part(handshake, 0, 9).found();
  });
  test('garbage that reaches into a piece from the left, and from the right', () => {
    connection().part(other, 3, 12).part(handshake, 8, 68).part(handshake, 0, 8).found();
    connection()
      .part(other, 12, 30)
      .part(handshake, 8, 16)
      .part(handshake, 16, 68)
      .part(handshake, 0, 8)
      .found();
  });
  test('garbage behind each byte, and before each byte', () => {
    for (const garbageFirst of [true, false]) {
      const wire = connection();
      for (let i = 0; i < 20; i++) {
        if (garbageFirst) wire.part(other, i, i + 20);
        wire.part(handshake, i, i + 1);
        if (!garbageFirst) wire.part(other, i, i + 20);
      }
      wire.foundSomewhere();
    }
  });
  test('every order of two garbage pieces among two real ones', () => {
    const pieces = [handshake.subarray(0, 9), handshake.subarray(9), other.subarray(0, 9), other.subarray(9)];
    for (const order of permutations([0, 1, 2, 3])) {
      const wire = connection();
      for (const i of order) wire.up(pieces[i]!, (i & 1) * 9);
      wire.foundSomewhere();
    }
  });
  test('content that changes long after it was judged', () => {
    const wire = connection();
    for (let i = 0; i < 8; i++) wire.up(garbage(700, i), i * 700).down(garbage(300, i), i * 300);
    wire
      .part(handshake, 0, 30)
      .part(handshake, 30, 68)
      .found(wire.frames - 1);
  });
});

function permutations(items: readonly number[]): number[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item) =>
    permutations(items.filter((x) => x !== item)).map((rest) => [item, ...rest]),
  );
}

describe('segments that the receiver never takes', () => {
  const insertions = [
    ['with a short time to live', { ttl: 2 }],
    ['with a wrong TCP checksum', { badTcpChecksum: true }],
    ['with a wrong IP checksum', { badIpChecksum: true }],
    ['without the ACK flag', { flags: 0 }],
  ] as const;
  for (const [how, segment] of insertions) {
    test(`garbage ${how} before the handshake`, () => {
      connection().up(other, segment).up(handshake).found();
    });
    test(`garbage ${how} before each half`, () => {
      const wire = connection().part(other, 0, 10, segment).part(handshake, 0, 10);
      wire.part(other, 10, 68, segment).part(handshake, 10, 68).found();
    });
  }
  test('the handshake itself with wrong checksums: as captured on a sender with offload', () => {
    connection().up(handshake, { badTcpChecksum: true, badIpChecksum: true }).found();
  });
  for (const at of [0x100000, 0x20000000, -0x100000, -0x20000000, 5000, -5000])
    for (const first of [0x00, 0x13, 0x47, 0xaa])
      test(`garbage at ${at} that begins with ${first}`, () => {
        const outside = garbage(100);
        outside[0] = first;
        const wire = connection();
        for (let i = 0; i < 4; i++) wire.up(outside, at + i * 1000);
        wire.part(handshake, 0, 10).up(outside, at).part(handshake, 10, 68).foundSomewhere();
      });
  test('thirty segments outside the window', () => {
    const wire = connection();
    for (let i = 0; i < 30; i++) wire.up(garbage(1400), 0x100000 + i * 1400);
    wire.up(handshake).found();
  });
  test('RST with a short time to live, and outside the window', () => {
    for (const at of [0, 0x20000000]) {
      const wire = connection().up('', { at, flags: tcpOnly.rst, ttl: 2 }).part(handshake, 0, 10);
      wire.down('', { at, flags: tcpOnly.rst, ttl: 2 }).part(handshake, 10, 68).found();
    }
  });
  test('FIN of both sides, and the stream goes on', () => {
    const wire = connection().up('', { at: 5, flags: tcpOnly.fin, ttl: 2 });
    wire.down('', { flags: tcpOnly.fin, ttl: 2 }).part(handshake, 0, 10).part(handshake, 10, 68).found();
  });
  test('FIN and then a SYN with ACK of another sequence number', () => {
    const wire = connection().part(handshake, 0, 10).down('', { flags: tcpOnly.fin, ttl: 2 });
    wire.down('', { at: 0x1234567, flags: tcpOnly.synAck, ttl: 2 }).part(handshake, 10, 68).found();
  });
});

describe('a forged SYN', () => {
  const forged = { at: 0x12345678, flags: tcpOnly.syn, ttl: 2 };
  test('before the handshake', () => {
    connection().up('', forged).up(handshake).found();
    connection().up('', forged).part(handshake, 0, 10).part(handshake, 10, 68).found();
  });
  test('before a handshake in disorder', () => {
    connection().up('', forged).part(handshake, 10, 68).part(handshake, 0, 10).found();
  });
  test('twice, and with garbage of its own', () => {
    const wire = connection()
      .up('', forged)
      .up('', { ...forged, at: 0x2345678 });
    wire.up(other, 0x2345678).part(handshake, 0, 10).part(handshake, 10, 68).found();
  });
  test('in the middle of the handshake', () => {
    connection().part(handshake, 0, 10).up('', forged).part(handshake, 10, 68).found();
  });
  test('between all the bytes of the handshake', () => {
    const wire = connection();
    for (let i = 0; i < 20; i++)
      wire.part(handshake, i, i + 1).up('', { ...forged, at: 0x1000000 * (i + 1) });
    wire.foundSomewhere();
  });
  test('of the other side, in the middle of its handshake', () => {
    const wire = connection().down(handshake.subarray(0, 10));
    wire.up('', forged).down(handshake.subarray(10), 10).found();
  });
  test('from the server’s side', () => {
    const wire = connection()
      .part(handshake, 0, 10)
      .down('', { ...forged, flags: tcpOnly.synAck });
    wire.down('', forged).part(handshake, 10, 68).found();
  });
  test('while the real SYN was never seen', () => {
    new Wire().up('', forged).up(handshake).found();
  });
});

const announce = fromText(
  `GET /announce?info_hash=${'%9A'.repeat(20)}&peer_id=-LT20A0-AbCdEfGhIjKl&port=6881&uploaded=0&downloaded=0&left=9` +
    '&compact=1&event=started HTTP/1.1\r\nHost: tracker.example.org\r\nUser-Agent: libtorrent\r\n\r\n',
);
const decoy = fromText('GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n');

describe('a tracker announce', () => {
  test('behind garbage or another request in its place', () => {
    for (const first of [garbage(announce.length), decoy, garbage(600)]) {
      connection().up(first, { ttl: 2 }).up(announce).found();
      const wire = connection().up(first, { badTcpChecksum: true });
      wire.part(announce, 0, 60).part(announce, 60, announce.length).foundSomewhere();
    }
  });
  test('behind a forged SYN', () => {
    const wire = connection().up('', { at: 0x12345678, flags: tcpOnly.syn, ttl: 2 });
    wire.part(announce, 0, 60).part(announce, 60, announce.length).foundSomewhere();
  });
  test('residual: its second half behind garbage, the first one so short that it says nothing', () => {
    const wire = connection().part(announce, 0, 12).part(garbage(400), 12, 400, { ttl: 2 });
    wire.part(announce, 12, announce.length).missed();
  });
});

test('a stream that repeats its first segment says nothing new', () => {
  const block = concat(Uint8Array.of(0, 0, 0x40, 9, 7, 0, 0, 0, 5, 0, 0, 0x40, 0), garbage(1000));
  const wire = connection();
  for (let i = 0; i < 10; i++) wire.up(block);
  wire.missed();
});

test('residual: more garbage before the first byte than the budget has packets', () => {
  const wire = connection();
  for (let i = 0; i < 40; i++) wire.up(garbage(1400), 0x100000 + i * 1400);
  wire.up(handshake);
  assert.ok(wire.letGoAt > 0 && wire.inlineAt === 0);
});

describe('odd segments', () => {
  test('the handshake on the SYN itself (RFC 7413)', () => {
    new Wire().up(handshake, { flags: tcpOnly.syn }).found();
    new Wire()
      .up(handshake.subarray(0, 10), { flags: tcpOnly.syn })
      .down('', { flags: tcpOnly.synAck })
      .part(handshake, 10, 68)
      .found();
  });
  test('garbage on the SYN that the server does not take', () => {
    const wire = new Wire().up(other, { flags: tcpOnly.syn }).down('', { flags: tcpOnly.synAck });
    wire.part(handshake, 0, 10).part(handshake, 10, 68).found();
  });
  test('urgent data', () => {
    connection().up(handshake, { flags: tcpOnly.urgent, urgent: 5 }).found();
  });
  test('residual: an urgent byte that the receiver takes out of the stream', () => {
    const wire = connection().part(handshake, 0, 10);
    wire.up(other.subarray(0, 1), { at: 10, flags: tcpOnly.urgent, urgent: 1 });
    wire.up(handshake.subarray(10), 11).missed();
  });
  test('every length of TCP options', () => {
    for (let options = 0; options <= 10; options++) connection().up(handshake, { options }).found();
  });
});
