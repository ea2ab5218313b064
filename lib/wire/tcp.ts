/** TCP header (RFC 9293 section 3.1). */
import { type Cursor, type Step, tooShort, word } from './cursor.js';
import { Malformed, Ok, type Packet } from './packet.js';

const headerMin = 20;
const destinationPortAt = 2;
const sequenceAt = 4;
const acknowledgementAt = 8;
const dataOffsetAt = 12;
const flagsAt = 13;

/** Reads the header at the cursor, which covers the IP payload. */
export function decodeTcp(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < headerMin) {
    return cursor.wireEnd - at < headerMin ? Malformed : tooShort(packet, cursor);
  }
  const header = (bytes[at + dataOffsetAt]! >> 4) << 2;
  const payload = at + header;
  if (header < headerMin || payload > cursor.wireEnd) return Malformed;
  if (payload > cursor.end) return tooShort(packet, cursor);
  packet.sourcePort = (bytes[at]! << 8) | bytes[at + 1]!;
  packet.destinationPort = (bytes[at + destinationPortAt]! << 8) | bytes[at + destinationPortAt + 1]!;
  packet.sequence = word(bytes, at + sequenceAt);
  packet.acknowledgement = word(bytes, at + acknowledgementAt);
  packet.tcpFlags = bytes[at + flagsAt]!;
  packet.payloadStart = payload;
  packet.payloadEnd = cursor.end;
  packet.payloadWireLength = cursor.wireEnd - payload;
  return Ok;
}
