/** Evasion below TCP: fragments, extension headers, padding, tunnels, ports. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromHex, fromText } from '../../testing.js';
import {
  ethernet,
  extension,
  fragment6,
  ipv4,
  ipv6,
  tcp,
  udp,
  words16,
  words32,
} from '../../wire/testing.js';
import { connection, garbage, handshake, ip4, tcpOnly, tcpSegment, usualPorts, Wire } from './testing.js';

const segment = tcpSegment(0, handshake);
const tcpNumber = 6;
const hopByHop = 0;
const routing = 43;
const fragmentHeader = 44;
const destinationOptions = 60;

describe('IPv4 fragments', () => {
  /** The segment from byte `from` on, cut at the places given (multiples of 8). */
  const cut = (bytes: Uint8Array, places: readonly number[], id = 9): Uint8Array[] =>
    [0, ...places].map((from, i) => {
      const to = places[i] ?? bytes.length;
      const more = to < bytes.length;
      return ethernet(0x0800, ipv4(tcpNumber, bytes.subarray(from, to), { id, offset: from, more }));
    });

  test('in order and out of order', () => {
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
      [1, 2, 0],
    ]) {
      const wire = connection();
      const pieces = cut(segment, [24, 64]);
      for (const i of order) wire.frame(pieces[i]!);
      wire.found();
    }
  });

  test('as small as a receiver takes them', () => {
    const wire = connection();
    for (const piece of cut(segment, [24, 32, 40, 48, 56, 64, 72, 80])) wire.frame(piece);
    wire.found();
  });

  test('every one twice', () => {
    const wire = connection();
    for (const piece of cut(segment, [24, 32, 64]))
      for (let i = 0; i < 2; i++) if (wire.offlineAt === 0) wire.frame(piece);
    wire.found();
  });

  test('a segment in two pieces, each of them a fragmented packet', () => {
    const wire = connection();
    for (const [i, [from, to]] of [
      [0, 10],
      [10, 68],
    ].entries()) {
      const bytes = tcpSegment(0, handshake.subarray(from, to), { at: from! });
      for (const piece of cut(bytes, [24], 20 + i)) wire.frame(piece);
    }
    wire.found();
  });

  /** Receivers differ in what they make of it: it must not go through as two things. What comes whole is still seen. */
  test('overlapping with different content: nothing is made of them, the retransmission is judged', () => {
    const wire = connection();
    const [first, last] = cut(segment, [24]);
    wire.frame(first!);
    wire.frame(ethernet(0x0800, ipv4(tcpNumber, garbage(64), { id: 9, offset: 24, more: true })));
    wire.frame(last!);
    wire.missed();
    wire.up(handshake).found();
  });

  test('garbage with the same identification and a short time to live first', () => {
    const wire = connection();
    const [first, last] = cut(segment, [24]);
    const bogus = ethernet(0x0800, ipv4(tcpNumber, garbage(64), { id: 9, offset: 24 }));
    wire.frame(bogus);
    wire.frame(first!);
    wire.frame(last!);
    wire.up(handshake).found();
  });
});

describe('IPv6', () => {
  const frame = (next: number, payload: Uint8Array): Uint8Array => ethernet(0x86dd, ipv6(next, payload));
  const plain = tcp(handshake);

  test('fragments, in order, out of order, and one that is whole (RFC 6946)', () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ]) {
      const wire = new Wire();
      const pieces = [
        frame(fragmentHeader, fragment6(tcpNumber, 5, 0, true, plain.subarray(0, 24))),
        frame(fragmentHeader, fragment6(tcpNumber, 5, 24, false, plain.subarray(24))),
      ];
      for (const i of order) wire.frame(pieces[i]!);
      wire.found();
    }
    const atomic = new Wire();
    atomic.frame(frame(fragmentHeader, fragment6(tcpNumber, 5, 0, false, plain)));
    atomic.found();
  });

  test('a fragment header behind and before other headers', () => {
    const inner = extension(tcpNumber, plain);
    const wire = new Wire();
    for (const [from, to, more] of [
      [0, 40, true],
      [40, inner.length, false],
    ] as const) {
      const piece = fragment6(destinationOptions, 6, from, more, inner.subarray(from, to));
      wire.frame(frame(hopByHop, extension(routing, extension(fragmentHeader, piece))));
    }
    wire.found();
  });

  test('extension headers, alone and in chains up to the limit', () => {
    for (const number of [hopByHop, routing, destinationOptions]) {
      const wire = new Wire();
      wire.frame(frame(number, extension(tcpNumber, plain, 4)));
      wire.found();
    }
    for (let length = 1; length <= 8; length++) {
      let chain = extension(tcpNumber, plain);
      for (let i = 1; i < length; i++) chain = extension(destinationOptions, chain);
      const wire = new Wire();
      wire.frame(frame(destinationOptions, chain));
      wire.found();
    }
  });

  test('overlapping fragments are thrown away as receivers must (RFC 5722), a retransmission is judged', () => {
    const wire = new Wire();
    wire.frame(frame(fragmentHeader, fragment6(tcpNumber, 5, 0, true, plain.subarray(0, 24))));
    wire.frame(frame(fragmentHeader, fragment6(tcpNumber, 5, 16, false, plain.subarray(16))));
    wire.missed();
    wire.frame(frame(tcpNumber, plain));
    wire.found();
  });
});

describe('padding and lengths', () => {
  test('Ethernet padding behind a short packet is no payload', () => {
    const wire = connection();
    const empty = ip4(0, tcpNumber, tcpSegment(0, new Uint8Array(0), { flags: tcpOnly.ack }));
    wire.frame(ethernet(0x0800, concat(empty, handshake)));
    wire.missed();
    wire.frame(ethernet(0x0800, concat(ip4(0, tcpNumber, segment), garbage(20))));
    wire.found();
  });
  test('a handshake cut by padding is not completed by it', () => {
    const wire = connection();
    const half = ip4(0, tcpNumber, tcpSegment(0, handshake.subarray(0, 10)));
    wire.frame(ethernet(0x0800, concat(half, handshake.subarray(10))));
    wire.missed();
  });
  test('IP options', () => {
    for (let options = 1; options <= 10; options++) {
      const wire = connection();
      wire.frame(ethernet(0x0800, ipv4(tcpNumber, segment, { options })));
      wire.found();
    }
  });
});

const ports = [22, 53, 80, 443, 3478, 1194, 51_820, 25, 500, 4500, 5060];

const ping = fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe');
const findNode = concat(
  fromText('d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:ab1:y1:qe'),
);
/** uTP: SYN, then STATE that acknowledges it (BEP 29). */
const utpSyn = fromHex('4100 1234 00112233 00000000 00100000 0001 0000');
const utpState = fromHex('2100 1234 00112299 00000066 00100000 8888 0001');

describe('ports prove nothing', () => {
  for (const port of ports)
    test(`TCP, DHT and uTP to and from port ${port}`, () => {
      for (const pair of [
        [50_000, port],
        [port, 50_000],
        [port, port],
      ] as const) {
        connection({ ports: pair }).up(handshake, { ports: pair }).found();
        connection({ ports: pair }).down(handshake, { ports: pair }).found();
        const dht = new Wire();
        dht.frame(ethernet(0x0800, ip4(0, 17, udp(findNode, pair))));
        dht.found();
        const utp = new Wire();
        utp.frame(ethernet(0x0800, ip4(0, 17, udp(utpSyn, pair))));
        utp.frame(ethernet(0x0800, ip4(1, 17, udp(utpState, [pair[1], pair[0]]))));
        const base = new Wire();
        base.frame(ethernet(0x0800, ip4(0, 17, udp(utpSyn, usualPorts))));
        base.frame(ethernet(0x0800, ip4(1, 17, udp(utpState, [usualPorts[1], usualPorts[0]]))));
        assert.deepEqual([utp.offlineAt, utp.inlineAt], [base.offlineAt, base.inlineAt]);
        assert.equal(base.offlineAt, 2);
      }
    });
  test('a DHT ping on port 53', () => {
    const wire = new Wire();
    wire.frame(ethernet(0x0800, ip4(0, 17, udp(ping, [50_000, 53]))));
    wire.found();
  });
});

describe('tunnels', () => {
  const inner4 = ipv4(tcpNumber, tcp(handshake));
  const inner6 = ipv6(tcpNumber, tcp(handshake));
  const teredo6 = ipv6(tcpNumber, tcp(handshake), { source: [0x20010000, 0x0a000001, 3, 4] });
  const vxlan = concat(words32(0x08000000, 42 << 8), ethernet(0x0800, inner4));
  const frame4 = ethernet(0x0800, inner4);
  const geneve = concat(words32(0x00006558, 42 << 8), frame4);
  const vxlanGpe = concat(words32(0x0c000001, 42 << 8), inner4);
  const tzsp = concat(words32(0x01000001), Uint8Array.of(1), frame4);
  const capwap = concat(words32(0x00100200, 0), frame4);
  const eoip = concat(words16(0x2001, 0x6400, frame4.length, 0x0700), frame4);
  const gtpU = concat(fromHex('30 ff'), words16(inner4.length), words32(7), inner4);
  const ppp = concat(words16(0x1100, 1, inner4.length + 2, 0x0021), inner4);
  const vlan = (payload: Uint8Array, type = 0x0800): Uint8Array => concat(words16(5, type), payload);
  const frames: readonly (readonly [string, Uint8Array])[] = [
    ['IPIP', ethernet(0x0800, ipv4(4, inner4))],
    ['6in4', ethernet(0x0800, ipv4(41, inner6))],
    ['4in6', ethernet(0x86dd, ipv6(4, inner4))],
    ['IPv6 in IPv6', ethernet(0x86dd, ipv6(41, inner6))],
    ['GRE', ethernet(0x0800, ipv4(47, concat(words16(0, 0x0800), inner4)))],
    [
      'GRE with key and sequence',
      ethernet(0x0800, ipv4(47, concat(words16(0x3000, 0x86dd), words32(1, 2), inner6))),
    ],
    [
      'GRE with Ethernet inside',
      ethernet(0x0800, ipv4(47, concat(words16(0, 0x6558), ethernet(0x0800, inner4)))),
    ],
    ['VXLAN', ethernet(0x0800, ipv4(17, udp(vxlan, [40_000, 4789])))],
    ['Geneve', ethernet(0x0800, ipv4(17, udp(geneve, [40_000, 6081])))],
    ['VXLAN-GPE', ethernet(0x0800, ipv4(17, udp(vxlanGpe, [40_000, 4790])))],
    ['TZSP', ethernet(0x0800, ipv4(17, udp(tzsp, [40_000, 37_008])))],
    ['CAPWAP', ethernet(0x0800, ipv4(17, udp(capwap, [40_000, 5247])))],
    ['EoIP', ethernet(0x0800, ipv4(47, eoip))],
    ['EtherIP', ethernet(0x0800, ipv4(97, concat(words16(0x3000), frame4)))],
    ['GTP-U', ethernet(0x0800, ipv4(17, udp(gtpU, [2152, 2152])))],
    ['Teredo', ethernet(0x0800, ipv4(17, udp(teredo6, [40_000, 3544])))],
    ['VLAN', ethernet(0x8100, vlan(inner4))],
    ['QinQ', ethernet(0x88a8, vlan(vlan(inner6, 0x86dd), 0x8100))],
    ['MPLS', ethernet(0x8847, concat(words32(0x00010040, 0x00020140), inner4))],
    ['PPPoE', ethernet(0x8864, ppp)],
    ['GRE in IPIP in VLAN', ethernet(0x8100, vlan(ipv4(4, ipv4(47, concat(words16(0, 0x0800), inner4)))))],
  ];
  for (const [name, frame] of frames)
    test(name, () => {
      const wire = new Wire();
      wire.frame(frame);
      wire.found();
    });
  test('fragments of a tunnel packet that holds a fragment', () => {
    const wire = new Wire();
    const bytes = tcp(handshake);
    for (const [i, [from, to]] of [
      [0, 32],
      [32, bytes.length],
    ].entries()) {
      const inner = ipv4(tcpNumber, bytes.subarray(from, to), { id: 3, offset: from!, more: i === 0 });
      for (const [start, end] of [
        [0, 24],
        [24, inner.length],
      ] as const) {
        const piece = inner.subarray(start, end);
        wire.frame(ethernet(0x0800, ipv4(4, piece, { id: 30 + i, offset: start, more: start === 0 })));
      }
    }
    wire.found();
  });
});
