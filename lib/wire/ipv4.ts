/** IPv4 (RFC 791). The header checksum is not verified: captures on a sender with offload hold it unfilled. */
import { type Cursor, protocolAh, type Step, tooShort, tunnelNone, word } from './cursor.js';
import { enterTunnel, fragmentCheck, protocolStep } from './ip.js';
import { Fragment, Malformed, Ok, type Packet } from './packet.js';

const headerMin = 20;
const totalLengthAt = 2;
const identificationAt = 4;
const fragmentAt = 6;
const protocolAt = 9;
const sourceAt = 12;
const destinationAt = 16;

const moreFragments = 0x2000;
const fragmentOffsetMask = 0x1fff;

/** Reads the header at the cursor into the packet; the cursor then covers exactly the IP payload. */
export function decodeIpv4(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  const room = cursor.end - at;
  if (room < headerMin) return tooShort(packet, cursor);
  const first = bytes[at]!;
  const header = (first & 15) << 2;
  if (first >> 4 !== 4 || header < headerMin) return Malformed;
  const wireRoom = cursor.wireEnd - at;
  let total = (bytes[at + totalLengthAt]! << 8) | bytes[at + totalLengthAt + 1]!;
  if (cursor.tunnel !== tunnelNone) {
    // Inside a tunnel the outer length is known for sure, so an inner packet must fit: this is also what tells a
    // tunnel from a datagram that merely begins like one.
    if (total < header || total > wireRoom) return Malformed;
    const entered = header > room ? tooShort(packet, cursor) : enterTunnel(packet, cursor);
    if (entered !== Ok) return entered;
  } else {
    // A sender with segmentation offload is captured before the length is filled in.
    if (total === 0) total = wireRoom;
    if (total < header) return Malformed;
    if (header > room) return tooShort(packet, cursor);
  }

  const protocol = bytes[at + protocolAt]!;
  packet.ipVersion = 4;
  packet.ipStart = at;
  const end = total < room ? at + total : cursor.end;
  packet.ipEnd = end;
  packet.ipWireLength = total;
  packet.protocol = protocol;
  packet.source0 = word(bytes, at + sourceAt);
  packet.source1 = 0;
  packet.source2 = 0;
  packet.source3 = 0;
  packet.destination0 = word(bytes, at + destinationAt);
  packet.destination1 = 0;
  packet.destination2 = 0;
  packet.destination3 = 0;
  cursor.at = at + header;
  cursor.end = end;
  cursor.wireEnd = at + total;
  const fragment = (bytes[at + fragmentAt]! << 8) | bytes[at + fragmentAt + 1]!;
  if ((fragment & (moreFragments | fragmentOffsetMask)) !== 0) {
    return fragmentOf(packet, bytes, cursor, fragment);
  }
  if (protocol === protocolAh) return stepOverAh(packet, bytes, cursor);
  return protocolStep(protocol);
}

function fragmentOf(packet: Packet, bytes: Uint8Array, cursor: Cursor, fragment: number): Step {
  const idAt = packet.ipStart + identificationAt;
  const length = cursor.wireEnd - cursor.at;
  packet.fragmentId = (bytes[idAt]! << 8) | bytes[idAt + 1]!;
  packet.fragmentOffset = (fragment & fragmentOffsetMask) << 3;
  packet.fragmentMore = (fragment & moreFragments) !== 0;
  packet.fragmentStart = cursor.at;
  packet.fragmentEnd = cursor.end;
  packet.fragmentWireLength = length;
  packet.fragmentHeaderEnd = cursor.at;
  packet.fragmentProtocol = packet.protocol;
  return fragmentCheck(packet.protocol, packet.fragmentOffset, length) === Ok ? Fragment : Malformed;
}

/** Authentication header (RFC 4302): what follows is in the clear. One is enough; a second one is OtherProtocol. */
function stepOverAh(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  const ahMin = 12;
  if (cursor.end - at < ahMin) return tooShort(packet, cursor);
  const length = (bytes[at + 1]! + 2) << 2;
  if (length < ahMin || at + length > cursor.wireEnd) return Malformed;
  if (at + length > cursor.end) return tooShort(packet, cursor);
  packet.protocol = bytes[at]!;
  cursor.at = at + length;
  return protocolStep(packet.protocol);
}
