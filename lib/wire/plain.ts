/**
 * The straight lane: Ethernet, IPv4 without fragmentation, TCP, all headers captured. That is nearly all traffic, and
 * read in one function without a cursor it costs about 20 ns instead of 33 (AMD EPYC, Node 20.20, November 2026).
 * It takes no decision of its own: whatever is unusual is left to the readers of decode.ts, and decode.test.ts and the
 * fuzz target hold that both ways fill the same fields.
 */
import { word } from './cursor.js';
import { type Packet, protocolTcp } from './packet.js';

const ethernetHeader = 14;
const etherTypeAt = 12;
const headersMin = ethernetHeader + 20 + 20;
const fragmentBits = 0x3fff;

/** Reads the frame if it is a plain one and returns true; otherwise returns false and leaves the packet as it was. */
export function decodePlain(packet: Packet, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < headersMin) return false;
  if (bytes[start + etherTypeAt] !== 0x08 || bytes[start + etherTypeAt + 1] !== 0x00) return false;
  const ip = start + ethernetHeader;
  const first = bytes[ip]!;
  const header = (first & 15) << 2;
  const total = (bytes[ip + 2]! << 8) | bytes[ip + 3]!;
  const tcp = ip + header;
  const ipEnd = ip + total < end ? ip + total : end;
  if (first >> 4 !== 4 || header < 20 || ipEnd - tcp < 20) return false;
  if ((((bytes[ip + 6]! << 8) | bytes[ip + 7]!) & fragmentBits) !== 0) return false;
  if (bytes[ip + 9] !== protocolTcp) return false;
  const payload = tcp + ((bytes[tcp + 12]! >> 4) << 2);
  if (payload < tcp + 20 || payload > ipEnd) return false;
  packet.bytes = bytes;
  packet.macStart = start;
  packet.ipVersion = 4;
  packet.ipStart = ip;
  packet.ipEnd = ipEnd;
  packet.ipWireLength = total;
  packet.protocol = protocolTcp;
  packet.source0 = word(bytes, ip + 12);
  packet.source1 = 0;
  packet.source2 = 0;
  packet.source3 = 0;
  packet.destination0 = word(bytes, ip + 16);
  packet.destination1 = 0;
  packet.destination2 = 0;
  packet.destination3 = 0;
  packet.sourcePort = (bytes[tcp]! << 8) | bytes[tcp + 1]!;
  packet.destinationPort = (bytes[tcp + 2]! << 8) | bytes[tcp + 3]!;
  packet.sequence = word(bytes, tcp + 4);
  packet.acknowledgement = word(bytes, tcp + 8);
  packet.tcpFlags = bytes[tcp + 13]!;
  packet.payloadStart = payload;
  packet.payloadEnd = ipEnd;
  packet.payloadWireLength = ip + total - payload;
  return true;
}
