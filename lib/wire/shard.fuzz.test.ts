/** Hostile bytes: sharding reads nothing outside its range, never throws, and agrees with what the decoder finds. */
import assert from 'node:assert/strict';
import { fuzz } from '../fuzzing.js';
import { concat, fromHex, fromText } from '../testing.js';
import { decodePacket } from './decode.js';
import { linkRaw, supportedLinkTypes } from './link.js';
import { Fragment, Ok, OtherProtocol, Packet } from './packet.js';
import { shardOf } from './shard.js';
import { ethernet, extension, ipv4, ipv6, tcp, udp, words16, words32 } from './testing.js';

const payload = fromText('hello, swarm');
const inner = ipv4(6, tcp(payload));
const seeds = [
  ethernet(0x0800, inner),
  ethernet(0x86dd, ipv6(0, extension(60, extension(6, tcp(payload))))),
  ethernet(0x8100, concat(fromHex('0007 86dd'), ipv6(17, udp(payload)))),
  ethernet(0x8864, concat(fromHex('1100 0001 0000 0021'), inner)),
  ethernet(0x8847, concat(fromHex('00011140 00000000'), ethernet(0x0800, inner))),
  concat(new Uint8Array(14), fromHex('0800'), inner),
  concat(fromHex('0800'), new Uint8Array(18), inner),
  concat(fromHex('02000000'), inner),
  concat(fromHex('0000 0900 02000000 10 8801'), new Uint8Array(24), fromHex('aaaa03000000 0800'), inner),
  ipv4(47, concat(fromHex('3081 880b 0040 0001 00000001 00000009 21'), inner)),
];

const linkTypes = [...supportedLinkTypes, 147];
const margin = 64;
const zeros = new Uint8Array(65_536 + 2 * margin);
const ones = new Uint8Array(65_536 + 2 * margin);
const packet = new Packet();
const seed = 99;

/** A header with the outermost addresses of the decoded packet, the other way round. */
function answer(): Uint8Array {
  const p = packet;
  const isOuter = p.depth > 0;
  const source = isOuter
    ? [p.outerSource0, p.outerSource1, p.outerSource2, p.outerSource3]
    : [p.source0, p.source1, p.source2, p.source3];
  const destination = isOuter
    ? [p.outerDestination0, p.outerDestination1, p.outerDestination2, p.outerDestination3]
    : [p.destination0, p.destination1, p.destination2, p.destination3];
  return (isOuter ? p.outerVersion : p.ipVersion) === 4
    ? concat(words16(0x4500, 0, 0, 0, 0, 0), words32(destination[0]!, source[0]!))
    : concat(words32(0x6000_0000, 0), words32(...destination), words32(...source));
}

fuzz('shardOf over all link types', seeds, (input) => {
  zeros.fill(0, 0, input.length + 2 * margin).set(input, margin);
  ones.fill(0x45, 0, input.length + 2 * margin).set(input, margin);
  const end = margin + input.length;
  for (const linkType of linkTypes) {
    const found = shardOf(zeros, margin, end, linkType, seed);
    assert.ok(found === (found | 0) && found >= 0, 'a whole number that V8 does not box');
    assert.equal(shardOf(ones, margin, end, linkType, seed), found, 'nothing outside is read');
    const outcome = decodePacket(packet, zeros, margin, end, input.length, linkType);
    if (outcome !== Ok && outcome !== Fragment && outcome !== OtherProtocol) continue;
    const back = answer();
    assert.equal(shardOf(back, 0, back.length, linkRaw, seed), found, `link type ${linkType}`);
  }
});
