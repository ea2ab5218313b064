/** Hostile bytes: the decoder reads nothing outside its range, keeps its offsets in order and never throws. */
import assert from 'node:assert/strict';
import { fuzz } from '../fuzzing.js';
import { concat, fromHex, fromText } from '../testing.js';
import { decodePacket } from './decode.js';
import { linkEthernet, linkIpv4, supportedLinkTypes } from './link.js';
import { Fragment, Ok, OtherProtocol, Packet } from './packet.js';
import { ethernet, extension, fragment6, ipv4, ipv6, tcp, udp } from './testing.js';

const payload = fromText('hello, swarm');
const inner = ipv4(6, tcp(payload));
const teredo = ipv6(6, tcp(payload), { source: [0x20010000, 1, 2, 3] });
const vxlan = concat(fromHex('08000000 00002a00'), ethernet(0x0800, inner));
const gtp = concat(fromHex('36ff 003c 00000001 00010085 01000900'), inner);
const wifi = concat(new Uint8Array(22), fromHex('aaaa03000000 0800'), inner);

const seeds = [
  ethernet(0x0800, inner),
  ethernet(0x8100, concat(fromHex('0007 86dd'), ipv6(0, extension(60, extension(6, tcp(payload)))))),
  ethernet(0x8864, concat(fromHex('1100 0001 0000 0021'), inner)),
  ethernet(0x8847, concat(fromHex('00011140 00000000'), ethernet(0x0800, inner))),
  ethernet(0x0800, ipv4(17, udp(vxlan, [4789, 4789]))),
  ethernet(0x0800, ipv4(17, udp(gtp, [2152, 2152]))),
  ipv4(17, udp(concat(fromHex('0000 ffff 00000000'), teredo))),
  ipv4(17, udp(concat(fromHex('0a02 0001 0001 0000 0000 0002 0000 0021'), inner), [1701, 1701])),
  ipv4(47, concat(fromHex('3081 880b 0040 0001 00000001 00000009 21'), inner)),
  ipv4(47, concat(fromHex('2001 6400 0042 0700'), ethernet(0x0800, inner))),
  ipv4(97, concat(fromHex('3000'), ethernet(0x0800, inner))),
  ipv4(17, udp(concat(fromHex('0140 6558 00002a00 01028000'), ethernet(0x0800, inner)), [6081, 6081])),
  ipv4(17, udp(concat(fromHex('0c000003 00002a00'), ethernet(0x0800, inner)), [4790, 4790])),
  ipv4(17, udp(concat(fromHex('01000001 00 0a01c8 01'), ethernet(0x0800, inner)), [37_008, 37_008])),
  ipv4(17, udp(concat(fromHex('00100300 00000000 0108'), wifi), [5247, 5247])),
  ipv4(4, ipv4(4, ipv4(4, ipv4(4, inner)))),
  ipv4(41, ipv6(44, fragment6(60, 1, 0, true, extension(6, tcp(payload))))),
  ipv4(17, payload, { offset: 8, more: true }),
  concat(new Uint8Array(14), fromHex('0800'), inner),
  concat(fromHex('02000000'), inner),
  concat(fromHex('0000 0900 02000000 10 8801'), new Uint8Array(24), fromHex('aaaa03000000 0800'), inner),
  concat(fromHex('0800'), new Uint8Array(22), fromHex('aaaa03000000 86dd'), ipv6(17, udp(payload))),
  concat(fromHex('02000000 0500 0a00 66000000 3800 0900'), inner),
  concat(fromHex('00 00 0800 69000000 0800'), new Uint8Array(22), fromHex('aaaa03000000 0800'), inner),
];

const linkTypes = [...supportedLinkTypes, 147];
const margin = 64;
const largest = 65_536 + 2 * margin;
const zeros = new Uint8Array(largest);
const ones = new Uint8Array(largest);
const fresh = new Packet();
const used = new Packet();

fuzz('decodePacket over all link types', seeds, (input) => {
  zeros.fill(0, 0, input.length + 2 * margin).set(input, margin);
  ones.fill(0x45, 0, input.length + 2 * margin).set(input, margin);
  const end = margin + input.length;
  // Now and then the wire length is larger than what was captured, as behind a snap length.
  const wire = input.length + (input.length % 3) * 100;
  for (const linkType of linkTypes) {
    Object.assign(fresh, new Packet());
    const outcome = decodePacket(fresh, zeros, margin, end, wire, linkType);
    checkOffsets(fresh, margin, end);
    // `used` still holds whatever it decoded last: neither that nor the bytes around the packet may show.
    assert.equal(decodePacket(used, ones, margin, end, wire, linkType), outcome);
    for (const key of Object.keys(fresh) as (keyof Packet)[]) {
      const value = fresh[key];
      if (key === 'bytes') continue;
      if (key !== 'fragmentMore' && key !== 'heldOther')
        assert.ok(value === ((value as number) | 0), `${key} is a 32-bit integer`);
      assert.equal(used[key], value, `${key}, link type ${linkType}`);
    }
  }
});

/** Plain frames: what the straight lane reads by a DataView, which throws where an array answers undefined. */
const plain = [
  ethernet(0x0800, inner),
  ethernet(0x0800, ipv4(17, udp(payload))),
  ethernet(0x0800, ipv4(17, udp(fromHex('08')))),
];

fuzz('plain frames in arrays that end where they do', plain, (input) => {
  const start = input.length % 5;
  const size = 3 + start + input.length;
  const memory = input.length % 2 === 0 ? new ArrayBuffer(size) : new SharedArrayBuffer(size);
  const exact = new Uint8Array(memory, 3);
  exact.set(input, start);
  const outcome = decodePacket(used, exact, start, start + input.length, input.length, linkEthernet);
  zeros.fill(0x45, 0, input.length + 2 * margin).set(input, start);
  assert.equal(decodePacket(fresh, zeros, start, start + input.length, input.length, linkEthernet), outcome);
  for (const key of Object.keys(fresh) as (keyof Packet)[])
    if (key !== 'bytes') assert.equal(used[key], fresh[key], key);
});

fuzz('the straight lane against the readers', seeds, (input) => {
  zeros.fill(0, 0, input.length + 2 * margin).set(input, margin);
  zeros.set([0x08, 0x00], margin - 2);
  const end = margin + input.length;
  const general = decodePacket(fresh, zeros, margin, end, input.length, linkIpv4);
  assert.equal(decodePacket(used, zeros, margin - 14, end, input.length + 14, linkEthernet), general);
  for (const key of Object.keys(fresh) as (keyof Packet)[]) {
    if (key !== 'macStart' && key !== 'bytes') assert.equal(used[key], fresh[key], key);
  }
});

function checkOffsets(packet: Packet, start: number, end: number): void {
  const { outcome, ipStart, ipEnd } = packet;
  if (outcome !== Ok && outcome !== OtherProtocol && outcome !== Fragment) return;
  assert.ok(start <= ipStart && ipStart < ipEnd && ipEnd <= end, 'IP packet inside the frame');
  assert.ok(packet.ipWireLength >= ipEnd - ipStart, 'captured at most what was on the wire');
  assert.ok(packet.ipVersion === 4 || packet.ipVersion === 6);
  if (outcome === Ok) {
    const { payloadStart, payloadEnd } = packet;
    assert.ok(ipStart < payloadStart && payloadStart <= payloadEnd && payloadEnd <= ipEnd, 'payload inside');
    assert.ok(packet.payloadWireLength >= payloadEnd - payloadStart);
    assert.ok(packet.protocol === 6 || packet.protocol === 17);
  }
  if (outcome === Fragment) {
    const { fragmentStart, fragmentEnd, fragmentHeaderEnd } = packet;
    assert.ok(ipStart < fragmentHeaderEnd && fragmentHeaderEnd <= fragmentStart, 'headers before data');
    assert.ok(fragmentStart <= fragmentEnd && fragmentEnd === ipEnd, 'fragment inside');
    assert.ok(packet.fragmentWireLength >= fragmentEnd - fragmentStart);
  }
  assert.equal(packet.depth === 0, packet.outerVersion === 0);
}
