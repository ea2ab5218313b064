/** Hostile fragments: a stream of mutated fragments into one small table, which stays bounded and keeps its promises. */
import assert from 'node:assert/strict';
import { fuzz } from '../fuzzing.js';
import { SeededRandom } from '../testing.js';
import { decodePacket } from '../wire/decode.js';
import { linkRaw } from '../wire/link.js';
import { Fragment, Packet } from '../wire/packet.js';
import { fragment6, ipv4, ipv6, udp } from '../wire/testing.js';
import { FragmentTable } from './fragments.js';

const data = udp(new SeededRandom(7).bytes(80));
const seeds = [0, 24, 48].flatMap((offset) => {
  const more = offset < 48;
  const piece = data.subarray(offset, more ? offset + 24 : data.length);
  const four = ipv4(17, piece, { offset, more, id: 1 });
  return [
    four,
    ipv6(44, fragment6(17, 1, offset, more, piece)),
    ipv4(4, four, { offset: 0, more: true, id: 2 }),
  ];
});

const datagramsMax = 4;
const table = new FragmentTable({ datagramsMax });
const packet = new Packet();
let timeMicros = 0;

fuzz('FragmentTable.offer', seeds, (bytes) => {
  timeMicros += (bytes.length % 7) * 1e6;
  if (decodePacket(packet, bytes, 0, bytes.length, bytes.length, linkRaw) !== Fragment) return;
  const before = table.counters.reassembled;
  packet.timeMicros = timeMicros;
  const whole = table.offer(packet);
  assert.ok(table.size <= datagramsMax);
  if (whole) {
    assert.notEqual(packet.outcome, Fragment);
    assert.ok(table.counters.reassembled > before);
    assert.ok(packet.payloadStart <= packet.payloadEnd && packet.payloadEnd <= packet.bytes.length);
  } else {
    assert.equal(packet.outcome, Fragment);
  }
});
