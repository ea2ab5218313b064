/** UDP header (RFC 768; RFC 2675 for a length of 0). */
import { type Cursor, type Step, tooShort } from './cursor.js';
import { Malformed, Ok, type Packet } from './packet.js';

const headerLength = 8;
const destinationPortAt = 2;
const lengthAt = 4;

/**
 * Reads the header at the cursor, which covers the IP payload. A length smaller than the IP payload trims it. A length
 * of 0 means "all of it" where receivers agree: in IPv6 (jumbograms; Linux asks no further) and where offload left the
 * IPv4 total length unfilled as well.
 */
export function decodeUdp(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  const wireRoom = cursor.wireEnd - at;
  if (cursor.end - at < headerLength) return wireRoom < headerLength ? Malformed : tooShort(packet, cursor);
  let length = (bytes[at + lengthAt]! << 8) | bytes[at + lengthAt + 1]!;
  if (length === 0 && (packet.ipVersion === 6 || lengthUnfilled(packet, bytes))) length = wireRoom;
  if (length < headerLength || length > wireRoom) return Malformed;
  const wireEnd = at + length;
  packet.sourcePort = (bytes[at]! << 8) | bytes[at + 1]!;
  packet.destinationPort = (bytes[at + destinationPortAt]! << 8) | bytes[at + destinationPortAt + 1]!;
  packet.sequence = 0;
  packet.acknowledgement = 0;
  packet.tcpFlags = 0;
  packet.payloadStart = at + headerLength;
  packet.payloadEnd = wireEnd < cursor.end ? wireEnd : cursor.end;
  packet.payloadWireLength = length - headerLength;
  return Ok;
}

function lengthUnfilled(packet: Packet, bytes: Uint8Array): boolean {
  return bytes[packet.ipStart + 2] === 0 && bytes[packet.ipStart + 3] === 0;
}
