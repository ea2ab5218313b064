import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, fromHex, fromText } from '../testing.js';
import { decodePacket } from './decode.js';
import {
  linkCiscoHdlc,
  linkEthernet,
  linkIpv4,
  linkIpv6,
  linkLinuxSll,
  linkLinuxSll2,
  linkLoop,
  linkNflog,
  linkNull,
  linkPktap,
  linkPpi,
  linkPpp,
  linkPppHdlc,
  linkPppoe,
  linkRadiotap,
  linkRaw,
  linkWifi,
  supportedLinkTypes,
} from './link.js';
import * as outcomes from './packet.js';
import { decodeOutcomes, Packet } from './packet.js';
import { ethernet, extension, fragment6, ipv4, ipv6, tcp, udp, words16, words32 } from './testing.js';

const payload = fromText('hello, swarm');
const inner4 = ipv4(6, tcp(payload));
const inner6 = ipv6(6, tcp(payload));

function decode(bytes: Uint8Array, linkType: number = linkRaw, wireLength = bytes.length): Packet {
  const packet = new Packet();
  const outcome = decodePacket(packet, bytes, 0, bytes.length, wireLength, linkType);
  assert.equal(outcome, packet.outcome);
  return packet;
}

function outcomeOf(bytes: Uint8Array, linkType: number = linkRaw, wireLength = bytes.length): string {
  return decodeOutcomes[decode(bytes, linkType, wireLength).outcome];
}

function fieldsOf(packet: Packet): Record<string, unknown> {
  return Object.fromEntries(Object.entries(packet));
}

function payloadOf(packet: Packet): string {
  return Buffer.from(packet.bytes.subarray(packet.payloadStart, packet.payloadEnd)).toString('latin1');
}

function carries(name: string, bytes: Uint8Array, linkType: number): void {
  const packet = decode(bytes, linkType);
  assert.equal(decodeOutcomes[packet.outcome], 'ok', name);
  assert.equal(payloadOf(packet), 'hello, swarm', name);
  assert.equal(packet.depth, 0, name);
}

test('Ethernet, IPv4, TCP: every field', () => {
  const packet = decode(ethernet(0x0800, concat(inner4, new Uint8Array(6))), linkEthernet);
  assert.deepEqual(
    { ...fieldsOf(packet), bytes: null },
    {
      ...fieldsOf(new Packet()),
      bytes: null,
      outcome: outcomes.Ok,
      macStart: 0,
      ipVersion: 4,
      ipStart: 14,
      ipEnd: 14 + inner4.length,
      ipWireLength: inner4.length,
      protocol: 6,
      source0: 0x0a000001,
      destination0: 0xc0000201 | 0,
      sourcePort: 6881,
      destinationPort: 51413,
      tcpFlags: 0x18,
      sequence: 0x11223344,
      acknowledgement: 0x80000001 | 0,
      payloadStart: 54,
      payloadEnd: 66,
      payloadWireLength: 12,
    },
  );
});

test('IPv6 and UDP: every field', () => {
  const bytes = ipv6(17, udp(payload));
  const packet = decode(bytes);
  assert.deepEqual(
    { ...fieldsOf(packet), bytes: null },
    {
      ...fieldsOf(new Packet()),
      bytes: null,
      outcome: outcomes.Ok,
      ipVersion: 6,
      ipEnd: bytes.length,
      ipWireLength: bytes.length,
      protocol: 17,
      source0: 0x20010db8,
      source1: 1,
      source2: 2,
      source3: 3,
      destination0: 0x20010db8,
      destination1: 4,
      destination2: 5,
      destination3: 0x80000006 | 0,
      sourcePort: 6881,
      destinationPort: 51413,
      payloadStart: 48,
      payloadEnd: 60,
      payloadWireLength: 12,
    },
  );
});

test('the straight lane and the readers fill the same fields', () => {
  for (const datagram of [inner4, ipv4(6, tcp(payload, [1, 2], 3), { options: 2 })]) {
    const plain = decode(ethernet(0x0800, datagram), linkEthernet);
    const tagged = decode(ethernet(0x8100, concat(words16(7, 0x0800), datagram)), linkEthernet);
    for (const [name, value] of Object.entries(plain)) {
      if (typeof value !== 'number' || name === 'macStart') continue;
      const shift = ['ipStart', 'ipEnd', 'payloadStart', 'payloadEnd'].includes(name) ? 4 : 0;
      assert.equal(tagged[name as keyof Packet], value + shift, name);
    }
  }
});

test('a decode leaves nothing of the packet before', () => {
  const frames: [Uint8Array, number][] = [
    [ipv4(4, ipv4(17, udp(payload))), linkRaw],
    [ipv4(17, payload, { offset: 8, more: true }), linkRaw],
    [ethernet(0x0800, inner4), linkEthernet],
    [inner6, linkRaw],
    [ipv4(1, payload), linkRaw],
    [ethernet(0x0806, payload), linkEthernet],
    [ipv4(47, payload), linkRaw],
    [payload, 9999],
  ];
  for (const [first, firstLink] of frames) {
    for (const [second, secondLink] of frames) {
      const used = new Packet();
      decodePacket(used, first, 0, first.length, first.length, firstLink);
      decodePacket(used, second, 0, second.length, second.length, secondLink);
      assert.deepEqual(used, decode(second, secondLink));
    }
  }
});

test('every cut of a whole packet is Truncated until the transport header is whole', () => {
  for (const [datagram, header] of [
    [inner4, 40],
    [inner6, 60],
    [ipv4(17, udp(payload), { options: 1 }), 32],
    [ipv6(0, extension(60, extension(6, tcp(payload)))), 76],
  ] as const) {
    for (let cut = 0; cut < datagram.length; cut++) {
      const packet = decode(datagram.subarray(0, cut), linkRaw, datagram.length);
      assert.equal(decodeOutcomes[packet.outcome], cut < header ? 'truncated' : 'ok', `cut at ${cut}`);
      if (packet.outcome !== outcomes.Ok) continue;
      assert.equal(packet.payloadWireLength, payload.length);
      assert.equal(packet.payloadEnd - packet.payloadStart, cut - header);
    }
  }
});

test('IPv4 headers that cannot be', () => {
  const broken = (at: number, value: number): Uint8Array => {
    const bytes = inner4.slice();
    bytes[at] = value;
    return bytes;
  };
  assert.equal(outcomeOf(broken(0, 0x44)), 'malformed', 'header length 16');
  assert.equal(outcomeOf(broken(0, 0x65), linkIpv4), 'malformed', 'version 6');
  assert.equal(outcomeOf(broken(3, 19)), 'malformed', 'total length below header');
  assert.equal(outcomeOf(broken(3, 39)), 'malformed', 'no room for TCP');
  assert.equal(outcomeOf(broken(32, 0x40)), 'malformed', 'TCP header of 16 bytes');
  assert.equal(outcomeOf(broken(32, 0xf0)), 'malformed', 'TCP header beyond the packet');
  assert.equal(outcomeOf(Uint8Array.of(0x55)), 'not-ip');
});

test('lengths left unfilled by offload mean all that was captured', () => {
  const packet = decode(ipv4(6, tcp(payload), { total: 0 }));
  assert.equal(payloadOf(packet), 'hello, swarm');
  assert.equal(payloadOf(decode(ipv4(17, udp(payload, [1, 2], 0), { total: 0 }))), 'hello, swarm');
  assert.equal(payloadOf(decode(ipv6(6, tcp(payload), { length: 0 }))), 'hello, swarm');
  assert.equal(payloadOf(decode(ipv6(17, udp(payload, [1, 2], 0)))), 'hello, swarm');
  assert.equal(outcomeOf(ipv4(17, udp(payload, [1, 2], 0))), 'malformed');
});

test('UDP length against IP length', () => {
  const trimmed = decode(ipv4(17, udp(payload, [1, 2], 13)));
  assert.equal(payloadOf(trimmed), 'hello');
  assert.equal(trimmed.payloadWireLength, 5);
  assert.equal(outcomeOf(ipv4(17, udp(payload, [1, 2], 7))), 'malformed');
  assert.equal(outcomeOf(ipv4(17, udp(payload, [1, 2], 21))), 'malformed');
});

test('IPv6 extension headers are followed to the end', () => {
  const chain = ipv6(0, extension(43, extension(60, extension(135, extension(6, tcp(payload)), 3))));
  assert.equal(payloadOf(decode(chain)), 'hello, swarm');
  const ah = concat(Uint8Array.of(6, 4), new Uint8Array(22), tcp(payload));
  assert.equal(payloadOf(decode(ipv6(51, ah))), 'hello, swarm');
  assert.equal(payloadOf(decode(ipv4(51, ah))), 'hello, swarm');
  assert.equal(
    outcomeOf(ipv6(60, extension(0, extension(6, tcp(payload))))),
    'malformed',
    'hop-by-hop later',
  );
  assert.equal(
    outcomeOf(ipv6(60, extension(6, payload, 9).subarray(0, 16))),
    'malformed',
    'beyond the packet',
  );
  let deep = extension(6, tcp(payload));
  for (let i = 0; i < 8; i++) deep = extension(60, deep);
  assert.equal(outcomeOf(ipv6(60, deep)), 'too-deep');
  assert.equal(outcomeOf(ipv6(59, new Uint8Array(0))), 'other-protocol');
});

test('jumbo payload (RFC 2675)', () => {
  const data = new Uint8Array(70_000);
  const jumbo = (length: number): Uint8Array =>
    ipv6(0, concat(fromHex('06 00 c2 04'), words32(length), tcp(data)), { length: 0 });
  const packet = decode(jumbo(70_028));
  assert.equal(decodeOutcomes[packet.outcome], 'ok');
  assert.equal(packet.payloadWireLength, 70_000);
  assert.equal(outcomeOf(jumbo(65_535)), 'malformed');
  assert.equal(outcomeOf(jumbo(0x80000000 | 0)), 'malformed');
});

test('fragments: fields, atomic fragments, tiny fragments', () => {
  const first = decode(ipv4(17, udp(payload), { id: 0xbeef, more: true, options: 1 }));
  assert.equal(first.outcome, outcomes.Fragment);
  assert.deepEqual(
    [first.fragmentId, first.fragmentOffset, first.fragmentMore, first.fragmentStart, first.fragmentEnd],
    [0xbeef, 0, true, 24, 44],
  );
  assert.deepEqual([first.fragmentHeaderEnd, first.fragmentWireLength, first.fragmentProtocol], [24, 20, 17]);
  const later = decode(ipv6(60, extension(44, fragment6(17, -2, 64, false, payload))));
  assert.equal(later.outcome, outcomes.Fragment);
  assert.deepEqual(
    [later.fragmentId, later.fragmentOffset, later.fragmentMore, later.fragmentStart, later.fragmentEnd],
    [-2, 64, false, 56, 68],
  );
  assert.deepEqual([later.fragmentHeaderEnd, later.fragmentProtocol], [48, 17]);
  assert.equal(
    payloadOf(decode(ipv6(44, fragment6(6, 1, 0, false, tcp(payload))))),
    'hello, swarm',
    'atomic',
  );

  assert.equal(outcomeOf(ipv4(6, tcp(payload).subarray(0, 16), { more: true })), 'malformed', 'RFC 1858');
  assert.equal(outcomeOf(ipv4(6, payload, { offset: 8 })), 'malformed', 'RFC 3128');
  assert.equal(outcomeOf(ipv4(17, payload, { offset: 8 })), 'fragment');
  assert.equal(outcomeOf(ipv4(17, new Uint8Array(4), { more: true })), 'malformed');
  const split = extension(6, tcp(payload)).subarray(0, 24);
  assert.equal(outcomeOf(ipv6(44, fragment6(60, 1, 0, true, split))), 'malformed', 'RFC 7112');
  assert.equal(outcomeOf(ipv6(44, fragment6(6, 1, 8, true, payload))), 'malformed');
});

test('link types', () => {
  const snap = fromHex('aa aa 03 00 00 00 08 00');
  carries('SLL', concat(new Uint8Array(14), words16(0x0800), inner4), linkLinuxSll);
  carries('SLL2', concat(words16(0x86dd), new Uint8Array(18), inner6), linkLinuxSll2);
  carries('raw', inner6, linkRaw);
  carries('raw of old files', inner4, 12);
  carries('raw of old files', inner4, 14);
  carries('IPv4', inner4, linkIpv4);
  carries('IPv6', inner6, linkIpv6);
  for (const family of [10, 24, 28, 30]) {
    carries('NULL little-endian', concat(Uint8Array.of(family, 0, 0, 0), inner6), linkNull);
    carries('NULL big-endian', concat(Uint8Array.of(0, 0, 0, family), inner6), linkNull);
  }
  carries('LOOP', concat(words32(2), inner4), linkLoop);
  carries('PPP', concat(fromHex('ff03 0021'), inner4), linkPpp);
  carries('PPP compressed', concat(fromHex('57'), inner6), linkPpp);
  carries('PPP HDLC', concat(fromHex('ff03 0057'), inner6), linkPppHdlc);
  carries('Cisco HDLC', concat(fromHex('0f00 0800'), inner4), linkCiscoHdlc);
  carries('PPPoE', concat(fromHex('1100 0001 0000 0021'), inner4), linkPppoe);
  carries('NFLOG', concat(fromHex('02000000 0500 0a00 66000000'), nflogPayload(inner4)), linkNflog);
  carries('PPI', concat(fromHex('00 00 0800 65000000'), inner4), linkPpi);
  carries('PKTAP', concat(fromHex('0c000000 01000000 65000000'), inner4), linkPktap);
  const wifi = (head: string, rest = ''): Uint8Array =>
    concat(fromHex(head), new Uint8Array(22), fromHex(rest), snap, inner4, new Uint8Array(4));
  carries('802.11', wifi('0801'), linkWifi);
  carries('802.11 QoS', wifi('8802', '0000'), linkWifi);
  carries('802.11 QoS with HT control', wifi('8882', '0000 00000000'), linkWifi);
  carries('802.11 four addresses', wifi('0803', '000000000000'), linkWifi);
  carries('802.11 aggregate', wifi('8801', '8000'.concat('00'.repeat(14))), linkWifi);
  carries('radiotap', concat(fromHex('0000 0900 02000000 10'), wifi('0801')), linkRadiotap);
  const pad = fromHex('0000 1900 030000a0 00000000 00000000 0000000000000000 20');
  carries('radiotap, long, padded', concat(pad, wifi('8801', '0000 0000')), linkRadiotap);
  assert.equal(outcomeOf(wifi('0841'), linkWifi), 'encrypted');
  assert.equal(outcomeOf(wifi('8000'), linkWifi), 'not-ip', 'beacon');
  assert.equal(outcomeOf(inner4, 147), 'unsupported-link');
  for (const linkType of supportedLinkTypes) {
    assert.notEqual(outcomeOf(new Uint8Array(64), linkType), 'unsupported-link', `link ${linkType}`);
    assert.equal(outcomeOf(new Uint8Array(0), linkType), 'truncated', `link ${linkType}`);
  }
});

function nflogPayload(datagram: Uint8Array): Uint8Array {
  const length = datagram.length + 4;
  return concat(Uint8Array.of(length & 0xff, length >> 8, 9, 0), datagram);
}

test('tags, labels and LLC on Ethernet', () => {
  const carried = (name: string, type: number, rest: Uint8Array): void => {
    carries(name, ethernet(type, rest), linkEthernet);
  };
  carried('VLAN', 0x8100, concat(words16(7, 0x0800), inner4));
  carried('QinQ', 0x88a8, concat(words16(7, 0x8100, 8, 0x86dd), inner6));
  carried('old QinQ', 0x9100, concat(words16(7, 0x8100, 8, 0x0800), inner4));
  carried('E-tag', 0x893f, concat(words16(0, 0, 0, 0x0800), inner4));
  carried('VN-tag', 0x8926, concat(words16(0, 0, 0x0800), inner4));
  carried('MPLS', 0x8847, concat(fromHex('00010040 00011140'), inner4));
  carried('MPLS IPv6', 0x8848, concat(fromHex('00011140'), inner6));
  carried('pseudowire', 0x8847, concat(fromHex('00011140 00000000'), ethernet(0x0800, inner4)));
  carried('pseudowire without control word', 0x8847, concat(fromHex('00011140'), ethernet(0x0800, inner4)));
  carried('PPPoE', 0x8864, concat(fromHex('1100 0001 0000 0057'), inner6));
  carried('SNAP', inner4.length + 8, concat(fromHex('aa aa 03 00 00 00 08 00'), inner4));
  carried('LLC IP', inner4.length + 3, concat(fromHex('06 06 03'), inner4));
  assert.equal(outcomeOf(ethernet(0x0806, payload), linkEthernet), 'not-ip');
  assert.equal(outcomeOf(ethernet(38, fromHex('42 42 03 0000')), linkEthernet), 'not-ip', 'spanning tree');
  const tags = new Uint8Array(36);
  for (let at = 2; at < 36; at += 4) tags.set([0x81, 0x00], at);
  assert.equal(outcomeOf(ethernet(0x8100, concat(tags, inner4)), linkEthernet), 'too-deep');
  assert.equal(outcomeOf(ethernet(0x8847, new Uint8Array(64)), linkEthernet), 'too-deep');
});
