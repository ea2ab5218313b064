/** Link types of capture files (tcpdump.org/linktypes.html) and the headers that are too small for a file of their own. */
import { type Cursor, type Step, stepIpv4, stepIpv6, stepLink, tooShort } from './cursor.js';
import { decodeEthernet, decodeEtherType, decodePppoe } from './ethernet.js';
import { Malformed, NotIp, type Packet, UnsupportedLink } from './packet.js';
import { decodePpp } from './ppp.js';
import { decodeRadiotap, decodeWifi } from './wifi.js';

export const linkNull = 0;
export const linkEthernet = 1;
export const linkPpp = 9;
/** Raw IP under the numbers that old files of BSD systems have (DLT_RAW is not the same everywhere). */
export const linkRawOld = 12;
export const linkRawOldOpenbsd = 14;
export const linkPppHdlc = 50;
export const linkPppoe = 51;
export const linkRaw = 101;
export const linkCiscoHdlc = 104;
export const linkWifi = 105;
export const linkLoop = 108;
export const linkLinuxSll = 113;
export const linkRadiotap = 127;
export const linkPpi = 192;
export const linkIpv4 = 228;
export const linkIpv6 = 229;
export const linkNflog = 239;
export const linkPktap = 258;
export const linkLinuxSll2 = 276;

/** Every link type that decodePacket reads. */
export const supportedLinkTypes: readonly number[] = [
  linkNull,
  linkEthernet,
  linkPpp,
  linkRawOld,
  linkRawOldOpenbsd,
  linkPppHdlc,
  linkPppoe,
  linkRaw,
  linkCiscoHdlc,
  linkWifi,
  linkLoop,
  linkLinuxSll,
  linkRadiotap,
  linkPpi,
  linkIpv4,
  linkIpv6,
  linkNflog,
  linkPktap,
  linkLinuxSll2,
];

/** Reads the link header that `cursor.linkType` names. */
export function decodeLink(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  switch (cursor.linkType) {
    case linkEthernet:
      packet.macStart = cursor.at;
      return decodeEthernet(packet, bytes, cursor);
    case linkRaw:
    case linkRawOld:
    case linkRawOldOpenbsd:
      return decodeRaw(packet, bytes, cursor);
    case linkIpv4:
      return stepIpv4;
    case linkIpv6:
      return stepIpv6;
    case linkLinuxSll:
      return decodeSll(packet, bytes, cursor);
    case linkLinuxSll2:
      return decodeSll2(packet, bytes, cursor);
    case linkNull:
    case linkLoop:
      return decodeLoopback(packet, bytes, cursor);
    case linkPpp:
      return decodePpp(packet, bytes, cursor);
    case linkPppHdlc:
    case linkCiscoHdlc:
      return decodeHdlc(packet, bytes, cursor);
    case linkPppoe:
      return decodePppoe(packet, bytes, cursor);
    case linkWifi:
      return decodeWifi(packet, bytes, cursor);
    case linkRadiotap:
      return decodeRadiotap(packet, bytes, cursor);
    case linkNflog:
      return decodeNflog(packet, bytes, cursor);
    case linkPpi:
      return decodePpi(packet, bytes, cursor);
    case linkPktap:
      return decodePktap(packet, bytes, cursor);
    default:
      return UnsupportedLink;
  }
}

/** No link header: the version nibble tells. */
export function decodeRaw(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  if (cursor.at >= cursor.end) return tooShort(packet, cursor);
  const nibble = bytes[cursor.at]! >> 4;
  if (nibble === 4) return stepIpv4;
  return nibble === 6 ? stepIpv6 : NotIp;
}

/** Linux cooked capture: packet type, ARPHRD_ type, address length and address, EtherType (16 bytes). */
function decodeSll(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 16) return tooShort(packet, cursor);
  cursor.at = at + 16;
  return decodeCooked(packet, bytes, cursor, (bytes[at + 14]! << 8) | bytes[at + 15]!);
}

/** Linux cooked capture, second version: EtherType first, then interface and address (20 bytes). */
function decodeSll2(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 20) return tooShort(packet, cursor);
  cursor.at = at + 20;
  return decodeCooked(packet, bytes, cursor, (bytes[at]! << 8) | bytes[at + 1]!);
}

function decodeCooked(packet: Packet, bytes: Uint8Array, cursor: Cursor, type: number): Step {
  const novell = 0x0001;
  const llc = 0x0004;
  if (type === novell || (type < 0x0600 && type !== llc)) return NotIp;
  return decodeEtherType(packet, bytes, cursor, type);
}

/** BSD loopback: address family in the byte order of the host that captured (NULL) or of the network (LOOP). */
function decodeLoopback(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 4) return tooShort(packet, cursor);
  cursor.at = at + 4;
  const big = (bytes[at]! | bytes[at + 1]! | bytes[at + 2]!) === 0;
  const little = (bytes[at + 1]! | bytes[at + 2]! | bytes[at + 3]!) === 0;
  if (!big && !little) return NotIp;
  switch (big ? bytes[at + 3]! : bytes[at]!) {
    case 2:
      return stepIpv4;
    case 10: // Linux
    case 24: // NetBSD, OpenBSD
    case 28: // FreeBSD
    case 30: // Darwin
      return stepIpv6;
    default:
      return NotIp;
  }
}

/** PPP in HDLC framing (RFC 1662), or Cisco HDLC with an EtherType (first byte 0x0f unicast, 0x8f broadcast). */
function decodeHdlc(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 4) return tooShort(packet, cursor);
  const address = bytes[at]!;
  if (address !== 0x0f && address !== 0x8f) return decodePpp(packet, bytes, cursor);
  cursor.at = at + 4;
  const type = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  return type < 0x0600 ? NotIp : decodeEtherType(packet, bytes, cursor, type);
}

/**
 * Linux netfilter log: attributes of length, type (host order, little-endian on every machine that matters) and value
 * padded to four bytes; NFULA_PAYLOAD holds the IP packet.
 */
function decodeNflog(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const payloadAttribute = 9;
  let at = cursor.at;
  if (cursor.end - at < 4) return tooShort(packet, cursor);
  if (bytes[at + 1] !== 0) return Malformed;
  at += 4;
  while (cursor.end - at >= 4) {
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & 0x3fff;
    if (length < 4) return Malformed;
    if (type === payloadAttribute) {
      cursor.at = at + 4;
      if (at + length < cursor.end) cursor.end = at + length;
      if (at + length < cursor.wireEnd) cursor.wireEnd = at + length;
      return decodeRaw(packet, bytes, cursor);
    }
    at += (length + 3) & ~3;
  }
  return NotIp;
}

/** Per-packet information (CACE PPI): version, flags, length and link type, little-endian. */
function decodePpi(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 8) return tooShort(packet, cursor);
  const length = bytes[at + 2]! | (bytes[at + 3]! << 8);
  if (bytes[at] !== 0 || length < 8) return Malformed;
  return named(packet, cursor, length, bytes[at + 4]! | (bytes[at + 5]! << 8));
}

/** Apple PKTAP: header length, record type, link type, 32 bits each, little-endian. */
function decodePktap(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 12) return tooShort(packet, cursor);
  const length = bytes[at]! | (bytes[at + 1]! << 8);
  if ((bytes[at + 2]! | bytes[at + 3]!) !== 0 || length < 12) return Malformed;
  return named(packet, cursor, length, bytes[at + 8]! | (bytes[at + 9]! << 8));
}

function named(packet: Packet, cursor: Cursor, length: number, linkType: number): Step {
  if (cursor.end - cursor.at < length) return tooShort(packet, cursor);
  cursor.at += length;
  cursor.linkType = linkType;
  return stepLink;
}
