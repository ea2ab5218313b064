import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pcapFile } from '../io/capture-writer.js';
import { concat, fromHex, fromText } from '../testing.js';
import { decodePacket } from './decode.js';
import { linkEthernet, linkRaw } from './link.js';
import { decodeOutcomes, Fragment, Ok, OtherProtocol, Packet, tunnelNames } from './packet.js';
import { clientAddress, ethernet, ipv4, ipv6, tcp, udp, words16 } from './testing.js';

const payload = fromText('hello, swarm');
const inner4 = ipv4(6, tcp(payload), { source: 0x7f7f7f7f });
const inner6 = ipv6(6, tcp(payload));
const teredo6 = ipv6(6, tcp(payload), { source: [0x20010000, 1, 2, 3] });

function decode(bytes: Uint8Array): Packet {
  const packet = new Packet();
  decodePacket(packet, bytes, 0, bytes.length, bytes.length, linkRaw);
  return packet;
}

function payloadOf(packet: Packet): string {
  return Buffer.from(packet.bytes.subarray(packet.payloadStart, packet.payloadEnd)).toString('latin1');
}

function overUdp(port: number, content: Uint8Array): Uint8Array {
  return ipv4(17, udp(content, [40_000, port]));
}

const vxlanHeader = fromHex('08000000 00002a00');
const gtp = (flags: number, content: Uint8Array, optional: Uint8Array = new Uint8Array(0)): Uint8Array =>
  concat(
    Uint8Array.of(flags, 255),
    words16(content.length + optional.length),
    fromHex('00000001'),
    optional,
    content,
  );

/** MikroTik's header: length of the frame in network order, tunnel id little-endian. */
const eoip = (frame: Uint8Array, length = frame.length): Uint8Array =>
  concat(fromHex('2001 6400'), words16(length), fromHex('0700'), frame);

/** An 802.11 data frame with the two bytes of frame control as given, and the LLC header of RFC 1042. */
const wifi = (control: string, type: number, content: Uint8Array): Uint8Array =>
  concat(fromHex(control), new Uint8Array(22), fromHex('aaaa03 000000'), words16(type), content);

const opened: [string, number, Uint8Array][] = [
  ['ipip', 1, ipv4(4, inner4)],
  ['6in4', 1, ipv4(41, inner6)],
  ['4in6', 1, ipv6(4, inner4)],
  ['ip6ip6', 1, ipv6(41, inner6)],
  ['gre', 1, ipv4(47, concat(fromHex('0000 0800'), inner4))],
  ['gre', 1, ipv6(47, concat(fromHex('0000 86dd'), inner6))],
  ['gre', 1, ipv4(47, concat(fromHex('b000 0800 00000000 00000001 00000002'), inner4))],
  ['gre', 1, ipv4(47, concat(fromHex('2000 6558 00000001'), ethernet(0x0800, inner4)))],
  ['gre', 1, ipv4(47, concat(fromHex('0000 8847 00011140'), inner4))],
  ['gre', 1, ipv4(47, concat(fromHex('0000 88be'), ethernet(0x0800, inner4)))],
  ['gre', 1, ipv4(47, concat(fromHex('1000 88be 00000001 1000000000000000'), ethernet(0x0800, inner4)))],
  [
    'gre',
    1,
    ipv4(47, concat(fromHex('1000 22eb 00000001 2001000000000000 00000000'), ethernet(0x0800, inner4))),
  ],
  ['gre', 1, ipv4(47, concat(fromHex('3001 880b 0040 0001 00000001 ff030021'), inner4))],
  ['gre', 1, ipv4(47, concat(fromHex('3081 880b 0040 0001 00000001 00000009 21'), inner4))],
  ['vxlan', 1, overUdp(4789, concat(vxlanHeader, ethernet(0x0800, inner4)))],
  ['vxlan', 1, overUdp(8472, concat(vxlanHeader, ethernet(0x86dd, inner6)))],
  ['gtp-u', 1, overUdp(2152, gtp(0x30, inner4))],
  ['gtp-u', 1, overUdp(2152, gtp(0x36, inner6, fromHex('00010085 01000900 00000000').subarray(0, 8)))],
  ['teredo', 1, overUdp(61_234, teredo6)],
  ['teredo', 1, overUdp(3544, concat(fromHex('0000 ffff 00000000'), teredo6))],
  ['teredo', 1, overUdp(3544, concat(fromHex('0001 0000 0000000000000000 00'), teredo6))],
  ['l2tp', 1, overUdp(1701, concat(fromHex('0002 0001 0001 ff03 0021'), inner4))],
  ['l2tp', 1, overUdp(1701, concat(fromHex('0a02 0001 0001 0000 0000 0002 0000 0057'), inner6))],
  ['etherip', 1, ipv4(97, concat(fromHex('3000'), ethernet(0x0800, inner4)))],
  ['eoip', 1, ipv4(47, eoip(ethernet(0x0800, inner4)))],
  ['geneve', 1, overUdp(6081, concat(fromHex('0000 6558 00002a00'), ethernet(0x0800, inner4)))],
  [
    'geneve',
    1,
    overUdp(6081, concat(fromHex('0240 6558 00002a00 0102 8001 00000007'), ethernet(0x86dd, inner6))),
  ],
  ['geneve', 1, overUdp(6081, concat(fromHex('0000 0800 00002a00'), inner4))],
  ['vxlan-gpe', 1, overUdp(4790, concat(fromHex('0c000003 00002a00'), ethernet(0x0800, inner4)))],
  ['vxlan-gpe', 1, overUdp(4790, concat(fromHex('0c000002 00002a00'), inner6))],
  ['tzsp', 1, overUdp(37_008, concat(fromHex('01000001 01'), ethernet(0x0800, inner4)))],
  ['tzsp', 1, overUdp(37_008, concat(fromHex('01000001 00 0a01c8 00 01'), ethernet(0x0800, inner4)))],
  ['tzsp', 1, overUdp(37_008, concat(fromHex('01000012 01'), wifi('0802', 0x0800, inner4)))],
  ['capwap', 1, overUdp(5247, concat(fromHex('00100200 00000000'), ethernet(0x0800, inner4)))],
  ['capwap', 1, overUdp(5247, concat(fromHex('00100300 00000000'), wifi('0802', 0x0800, inner4)))],
  ['capwap', 1, overUdp(5247, concat(fromHex('00180300 00000000 00000000'), wifi('0108', 0x86dd, inner6)))],
  ['6in4', 2, ipv4(4, ipv4(41, inner6))],
  ['gtp-u', 4, ipv4(4, ipv4(4, ipv4(4, overUdp(2152, gtp(0x30, inner4)))))],
];

test('every tunnel shows the innermost flow and the outermost header', () => {
  for (const [name, depth, bytes] of opened) {
    const packet = decode(bytes);
    assert.equal(decodeOutcomes[packet.outcome], 'ok', name);
    assert.equal(payloadOf(packet), 'hello, swarm', name);
    assert.equal(tunnelNames[packet.tunnel], name);
    assert.equal(packet.depth, depth, name);
    assert.equal(packet.outerVersion, bytes[0]! >> 4, name);
    assert.equal(packet.outerProtocol, packet.outerVersion === 4 ? bytes[9] : bytes[6], name);
    assert.equal(packet.outerSource0, packet.outerVersion === 4 ? clientAddress[0] : 0x20010db8, name);
    assert.equal(packet.outerSourcePort, packet.outerProtocol === 17 ? 40_000 : 0, name);
  }
});

const hasTshark = spawnSync('tshark', ['-v']).status === 0;

test('tshark opens the same tunnels', { skip: hasTshark ? false : 'tshark is not installed' }, (t) => {
  // It takes frame control in the standard's order for the other one, and does not know ERSPAN without a header (type I).
  const erspan1 = opened.find(
    ([name, , bytes]) => name === 'gre' && bytes[20] === 0 && bytes[22] === 0x88 && bytes[23] === 0xbe,
  );
  const judged = opened.filter((entry) => entry[0] !== 'capwap' && entry !== erspan1);
  const file = pcapFile(
    judged.map(([, , bytes], i) => ({ bytes, timeMicros: i })),
    { linkType: linkRaw },
  );
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-tunnels-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const path = join(folder, 'tunnels.pcap');
  writeFileSync(path, file);
  const ports = ['-d', 'udp.port==8472,vxlan', '-d', 'udp.port==61234,teredo'];
  const run = spawnSync(
    'tshark',
    ['-n', '-r', path, ...ports, '-T', 'fields', '-e', 'tcp.len', '-e', 'frame.protocols'],
    {
      encoding: 'latin1',
    },
  );
  assert.equal(run.status, 0, run.stderr);
  const lines = run.stdout.trim().split('\n');
  assert.equal(lines.length, judged.length);
  for (const [i, [name]] of judged.entries()) assert.match(lines[i]!, /^12\t.*:tcp/, `${name}: ${lines[i]!}`);
});

test('a cut anywhere in a tunnel never reads on and never shows half a header', () => {
  for (const [name, , bytes] of opened) {
    for (let cut = 0; cut < bytes.length; cut++) {
      const packet = new Packet();
      const outcome = decodePacket(packet, bytes, 0, cut, bytes.length, linkRaw);
      assert.ok(packet.payloadEnd <= cut && packet.ipEnd <= cut, `${name} cut at ${cut}`);
      const known = ['ok', 'truncated', 'other-protocol'].includes(decodeOutcomes[outcome]);
      assert.ok(known, `${name} cut at ${cut}: ${decodeOutcomes[outcome]}`);
    }
  }
});

test('what only looks like a UDP tunnel stays a plain UDP flow, outer fields clean', () => {
  const wrongLength = inner4.slice();
  wrongLength[3] = wrongLength[3]! + 1;
  const longer = concat(teredo6, Uint8Array.of(0));
  const cases: [string, number, Uint8Array][] = [
    ['VXLAN without flag', 4789, concat(new Uint8Array(8), ethernet(0x0800, inner4))],
    ['VXLAN with ARP', 4789, concat(vxlanHeader, ethernet(0x0806, payload))],
    ['VXLAN with a length beyond', 4789, concat(vxlanHeader, ethernet(0x0800, wrongLength))],
    ['GTP echo', 2152, concat(fromHex('32010004 00000000 00000000'), payload)],
    ['GTP with ICMP', 2152, gtp(0x30, ipv4(1, payload))],
    ['GTP with wrong length', 2152, concat(gtp(0x30, inner4), payload)],
    ['GTP with endless extension', 2152, gtp(0x34, inner4, fromHex('000000c0 00000000'))],
    ['Geneve of another version', 6081, concat(fromHex('4000 6558 00002a00'), ethernet(0x0800, inner4))],
    ['Geneve with a reserved bit', 6081, concat(fromHex('0001 6558 00002a00'), ethernet(0x0800, inner4))],
    ['Geneve with a reserved byte', 6081, concat(fromHex('0000 6558 00002a01'), ethernet(0x0800, inner4))],
    ['VXLAN-GPE with reserved bytes', 4790, concat(fromHex('0c010003 00002a00'), ethernet(0x0800, inner4))],
    ['VXLAN-GPE with a reserved byte', 4790, concat(fromHex('0c000003 00002a01'), ethernet(0x0800, inner4))],
    ['Geneve with options beyond', 6081, concat(fromHex('3f00 6558 00002a00'), ethernet(0x0800, inner4))],
    ['Geneve with no EtherType', 6081, concat(fromHex('0000 0001 00002a00'), inner4)],
    ['Geneve with ARP', 6081, concat(fromHex('0000 6558 00002a00'), ethernet(0x0806, payload))],
    ['VXLAN-GPE without next protocol', 4790, concat(fromHex('08000003 00002a00'), ethernet(0x0800, inner4))],
    ['VXLAN-GPE with NSH', 4790, concat(fromHex('0c000004 00002a00'), inner4)],
    ['VXLAN-GPE operations', 4790, concat(fromHex('0d000003 00002a00'), ethernet(0x0800, inner4))],
    ['TZSP keep-alive', 37_008, concat(fromHex('01040001 01'), ethernet(0x0800, inner4))],
    ['TZSP of another version', 37_008, concat(fromHex('02000001 01'), ethernet(0x0800, inner4))],
    ['TZSP without an end of tags', 37_008, concat(fromHex('01000001'), new Uint8Array(40))],
    ['TZSP with a tag beyond', 37_008, concat(fromHex('01000001 0aff'), inner4)],
    ['TZSP with Prism headers', 37_008, concat(fromHex('01000077 01'), ethernet(0x0800, inner4))],
    ['TZSP with a protected frame', 37_008, concat(fromHex('01000012 01'), wifi('0841', 0x0800, inner4))],
    ['CAPWAP with DTLS', 5247, concat(fromHex('01000000 00000000'), ethernet(0x0800, inner4))],
    ['CAPWAP fragment', 5247, concat(fromHex('00100280 00000000'), ethernet(0x0800, inner4))],
    ['CAPWAP keep-alive', 5247, concat(fromHex('00100208 00000000'), ethernet(0x0800, inner4))],
    ['CAPWAP of another radio', 5247, concat(fromHex('00100500 00000000'), wifi('0802', 0x0800, inner4))],
    ['CAPWAP with a beacon', 5247, concat(fromHex('00100300 00000000'), wifi('8000', 0x0800, inner4))],
    ['L2TP control', 1701, fromHex('c802 000c 0001 0000 0000 0001')],
    ['L2TP with PPP negotiation', 1701, fromHex('0002 0001 0001 ff03 c021 0101 0004')],
    ['Teredo with a byte too many', 3544, longer],
    ['IPv6 without Teredo address', 3544, inner6],
    ['Teredo bubble', 3544, ipv6(59, new Uint8Array(0), { source: [0x20010000, 1, 2, 3] })],
    ['Teredo with ICMPv6', 3544, ipv6(58, payload, { source: [0x20010000, 1, 2, 3] })],
    ['broken TCP in Teredo', 3544, ipv6(6, payload, { source: [0x20010000, 1, 2, 3] })],
  ];
  for (const [name, port, content] of cases) {
    const packet = decode(overUdp(port, content));
    const plain = decode(overUdp(port, new Uint8Array(content.length)));
    assert.equal(packet.outcome, Ok, name);
    packet.bytes = plain.bytes;
    packet.heldOther = false;
    assert.deepEqual(packet, plain, name);
  }
});

test('a tunnel is looked for at the port that it is sent to, not at the one that a sender chose', () => {
  const frame = ethernet(0x0800, inner4);
  for (const [header, port, either] of [
    ['08000000 00002a00', 4789, false],
    ['08000000 00002a00', 8472, false],
    ['0c000003 00002a00', 4790, false],
    ['0000 6558 00002a00', 6081, false],
    ['01000001 01', 37_008, false],
    ['00100200 00000000', 5247, true],
  ] as const) {
    const content = concat(fromHex(header), frame);
    assert.equal(decode(ipv4(17, udp(content, [port, port]))).depth, 1, String(port));
    assert.equal(decode(ipv4(17, udp(content, [port, 40_000]))).depth, either ? 1 : 0, String(port));
  }
  assert.equal(decode(ipv4(17, udp(gtp(0x30, inner4), [2152, 40_000]))).depth, 0);
  const l2tp = concat(fromHex('0002 0001 0001 ff03 0021'), inner4);
  assert.equal(decode(ipv4(17, udp(l2tp, [1701, 40_000]))).depth, 1);
});

test('UDP that held something else in a tunnel says so', () => {
  const arp = overUdp(6081, concat(fromHex('0000 6558 00002a00'), ethernet(0x0806, payload)));
  assert.equal(decode(arp).heldOther, true);
  assert.equal(decode(ipv4(4, arp)).heldOther, false, 'itself tunnelled');
  assert.equal(decode(overUdp(6081, payload)).heldOther, false);
  const packet = decode(arp);
  decodePacket(packet, inner4, 0, inner4.length, inner4.length, linkRaw);
  assert.equal(packet.heldOther, false);
});

test('a failed tunnel inside a tunnel falls back to the inner UDP flow only', () => {
  const packet = decode(ipv4(41, ipv6(17, udp(concat(vxlanHeader, payload), [1, 4789]))));
  assert.equal(packet.outcome, Ok);
  assert.deepEqual([packet.depth, tunnelNames[packet.tunnel], packet.outerVersion], [1, '6in4', 4]);
  assert.deepEqual([packet.ipVersion, packet.destinationPort, packet.payloadWireLength], [6, 4789, 20]);
});

test('IP tunnels with something else inside', () => {
  const icmp = decode(ipv4(41, ipv6(58, payload)));
  assert.deepEqual([icmp.outcome, icmp.ipVersion, icmp.protocol, icmp.depth], [OtherProtocol, 6, 58, 1]);
  for (const gre of ['0000 0806 0001', '0000 0000', '4000 0800 0000', '2001 880b 0000 0001', '0000 6558']) {
    const content = concat(fromHex(gre), ethernet(0x0806, payload));
    const packet = decode(ipv4(47, content));
    assert.deepEqual([packet.outcome, packet.protocol, packet.depth], [OtherProtocol, 47, 0], gre);
    assert.equal(packet.outerVersion, 0);
  }
  for (const frame of [eoip(new Uint8Array(0)), eoip(ethernet(0x0800, inner4), 40)])
    assert.deepEqual([decode(ipv4(47, frame)).outcome, decode(ipv4(47, frame)).depth], [OtherProtocol, 0]);
  for (const version of ['2000', '3001'])
    assert.equal(decode(ipv4(97, concat(fromHex(version), ethernet(0x0800, inner4)))).outcome, OtherProtocol);
  assert.equal(decodeOutcomes[decode(ipv4(4, ipv4(6, payload, { total: 33 }))).outcome], 'malformed');
  assert.equal(decodeOutcomes[decode(ipv4(4, payload)).outcome], 'malformed');
  let deep = inner4;
  for (let i = 0; i < 5; i++) deep = ipv4(4, deep);
  assert.equal(decodeOutcomes[decode(deep).outcome], 'too-deep');
});

test('UDP tunnels deeper than the limit stay the UDP flow at the limit', () => {
  let deep = inner4;
  for (let i = 0; i < 6; i++) deep = overUdp(2152, gtp(0x30, deep));
  const packet = decode(deep);
  assert.deepEqual([packet.outcome, packet.depth, packet.protocol], [Ok, 4, 17]);
});

test('networks of Geneve and VXLAN stay apart by their number, and no number is left over', () => {
  const frame = ethernet(0x0800, inner4);
  const inGeneve = (network: string): Uint8Array =>
    overUdp(6081, concat(fromHex(`0000 6558 ${network} 00`), frame));
  assert.equal(decode(inGeneve('00002a')).tunnelId, 42);
  assert.equal(decode(overUdp(4789, concat(vxlanHeader, frame))).tunnelId, 42);
  assert.equal(decode(overUdp(4790, concat(fromHex('0c000003 00002b00'), frame))).tunnelId, 43);
  assert.equal(decode(ipv4(4, inner4)).tunnelId, 0);
});

test('802.11 inside a tunnel does not give the addresses of this link', () => {
  const bytes = concat(
    fromHex('020000000001 020000000002 0800'),
    overUdp(5247, concat(fromHex('00100300 00000000'), wifi('0802', 0x0800, inner4))),
  );
  const packet = new Packet();
  decodePacket(packet, bytes, 0, bytes.length, bytes.length, linkEthernet);
  assert.deepEqual([tunnelNames[packet.tunnel], packet.macStart], ['capwap', 0]);
});

test('a fragment inside a tunnel keeps the outer fields', () => {
  const packet = decode(overUdp(2152, gtp(0x30, ipv4(17, udp(payload), { more: true, id: 5 }))));
  assert.equal(packet.outcome, Fragment);
  assert.deepEqual([packet.depth, packet.outerDestinationPort, packet.fragmentId], [1, 2152, 5]);
});
