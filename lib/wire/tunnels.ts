/**
 * IP in IP (RFC 2003, 2473, 4213), EtherIP (RFC 3378), GRE (RFC 2784, 2890, PPTP's version 1 in RFC 2637, MikroTik's
 * EoIP), VXLAN (RFC 7348) and its generic form (draft-ietf-nvo3-vxlan-gpe), Geneve (RFC 8926), GTP-U (3GPP TS 29.281),
 * Teredo (RFC 4380), L2TP version 2 (RFC 2661), CAPWAP data (RFC 5415) and TZSP, in which routers send what they
 * overhear. A tunnel is opened here and entered (depth, outer fields) only when the IP header inside has been checked.
 */
import {
  type Cursor,
  protocolEtherIp,
  protocolGre,
  protocolIpv4,
  type Step,
  stepEthernet,
  stepIpv4,
  stepIpv6,
  stepPpp,
  tooShort,
  tunnel4in6,
  tunnel6in4,
  tunnelCapwap,
  tunnelEoip,
  tunnelEtherIp,
  tunnelGeneve,
  tunnelGre,
  tunnelGtpU,
  tunnelIp6ip6,
  tunnelIpip,
  tunnelL2tp,
  tunnelTeredo,
  tunnelTzsp,
  tunnelVxlan,
  tunnelVxlanGpe,
  word,
} from './cursor.js';
import { decodeEtherType, ethernetHeader, etherTypeMin } from './ethernet.js';
import { Ok, OtherProtocol, type Packet } from './packet.js';
import { decodeWrappedWifi } from './wifi.js';

const portVxlan = 4789;
/** Linux's VXLAN port from before the assignment, still its default without `dstport`. */
const portVxlanLinux = 8472;
const portVxlanGpe = 4790;
const portGeneve = 6081;
const portCapwapData = 5247;
const portTzsp = 37008;
const portGtpU = 2152;
const portL2tp = 1701;
/** Captured payload below which nothing is tried: the header readers look at up to 12 bytes unchecked. */
const udpTunnelMin = 12;

/** Opens IP in IP or GRE as `packet.protocol` says; the cursor covers the IP payload. */
export function openIpTunnel(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  if (packet.protocol === protocolGre) return openGre(packet, bytes, cursor);
  if (packet.protocol === protocolEtherIp) return openEtherIp(packet, bytes, cursor);
  const outer4 = packet.ipVersion === 4;
  if (packet.protocol === protocolIpv4) {
    cursor.tunnel = outer4 ? tunnelIpip : tunnel4in6;
    return stepIpv4;
  }
  cursor.tunnel = outer4 ? tunnel6in4 : tunnelIp6ip6;
  return stepIpv6;
}

/** Version 3 in the upper four bits, the other twelve reserved and zero, then an Ethernet frame. */
function openEtherIp(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  if (cursor.end - cursor.at < 2) return tooShort(packet, cursor);
  if (bytes[cursor.at] !== 0x30 || bytes[cursor.at + 1] !== 0) return OtherProtocol;
  cursor.at += 2;
  cursor.tunnel = tunnelEtherIp;
  return stepEthernet;
}

const greChecksum = 0x8000;
const greRouting = 0x4000;
const greKey = 0x2000;
const greSequence = 0x1000;
const greAcknowledgement = 0x0080;
const greVersionMask = 0x0007;
/** Transparent Ethernet bridging. */
const etherBridged = 0x6558;
const greTypePpp = 0x880b;
const greTypeErspan = 0x88be;
const greTypeErspan3 = 0x22eb;
/** MikroTik's Ethernet over IP: flags 2001, then length of the frame (network order) and tunnel id (little-endian). */
const greTypeEoip = 0x6400;
const eoipHeader = 8;

function openGre(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 4) return tooShort(packet, cursor);
  const flags = (bytes[at]! << 8) | bytes[at + 1]!;
  const type = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  const version = flags & greVersionMask;
  // Source routing of RFC 1701 was withdrawn; nobody sends it.
  if (version > 1 || (flags & greRouting) !== 0) return OtherProtocol;
  let length = 4;
  if (version === 1) {
    if (type === greTypeEoip && flags === (greKey | 1)) return openEoip(packet, bytes, cursor);
    if (type !== greTypePpp || (flags & greKey) === 0) return OtherProtocol;
    // Key field holds payload length and call id; an acknowledgement alone has no sequence number and no payload.
    if ((flags & greSequence) === 0) return OtherProtocol;
    length += (flags & greAcknowledgement) !== 0 ? 12 : 8;
  } else {
    if ((flags & greChecksum) !== 0) length += 4;
    if ((flags & greKey) !== 0) length += 4;
    if ((flags & greSequence) !== 0) length += 4;
    if (type === greTypeErspan && (flags & greSequence) !== 0) length += 8;
    if (type === greTypeErspan3) length += erspan3Length(bytes, at + length, cursor.end);
  }
  if (cursor.end - at < length) return tooShort(packet, cursor);
  cursor.at = at + length;
  cursor.tunnel = tunnelGre;
  if (version === 1) return stepPpp;
  if (type === etherBridged || type === greTypeErspan || type === greTypeErspan3) return stepEthernet;
  return type < etherTypeMin ? OtherProtocol : decodeEtherType(packet, bytes, cursor, type);
}

function openEoip(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < eoipHeader) return tooShort(packet, cursor);
  const frame = (bytes[at + 4]! << 8) | bytes[at + 5]!;
  // Keep-alives have no frame.
  if (frame < ethernetHeader || at + eoipHeader + frame !== cursor.wireEnd) return OtherProtocol;
  cursor.at = at + eoipHeader;
  cursor.tunnel = tunnelEoip;
  return stepEthernet;
}

/** ERSPAN type III: 12 bytes, and 8 more with the platform sub-header (last bit). */
function erspan3Length(bytes: Uint8Array, at: number, end: number): number {
  return at + 12 <= end && (bytes[at + 11]! & 1) !== 0 ? 20 : 12;
}

/**
 * Opens a tunnel in the payload of the UDP packet just decoded, or returns Ok if nothing there looks like one. Ports
 * only choose which structure is tried; Teredo is tried on all, since its peers use any port.
 */
export function openUdpTunnel(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = packet.payloadStart;
  const end = packet.payloadEnd;
  if (end - at < udpTunnelMin) return Ok;
  cursor.end = end;
  cursor.wireEnd = at + packet.payloadWireLength;
  const step = openAtPort(packet, bytes, cursor, at);
  return step === Ok ? openTeredo(bytes, cursor, at) : step;
}

function openAtPort(packet: Packet, bytes: Uint8Array, cursor: Cursor, at: number): Step {
  switch (tunnelPort(packet.sourcePort, packet.destinationPort)) {
    case portVxlan:
      return openVxlan(bytes, cursor, at);
    case portVxlanGpe:
      return openVxlanGpe(bytes, cursor, at);
    case portGeneve:
      return openGeneve(packet, bytes, cursor, at);
    case portTzsp:
      return openTzsp(packet, bytes, cursor, at);
    case portGtpU:
      return openGtpU(bytes, cursor, at);
    case portCapwapData:
      return openCapwap(packet, bytes, cursor, at);
    case portL2tp:
      return openL2tp(bytes, cursor, at);
    default:
      return Ok;
  }
}

/**
 * The port that says which tunnel is tried, or 0. Most are sent to the same port in both directions, from any (RFC 7348,
 * RFC 8926, 3GPP TS 29.281); from the port alone nothing is concluded, or a sender could choose it to be misread. CAPWAP
 * and L2TP answer to the port that asked.
 */
function tunnelPort(sourcePort: number, destinationPort: number): number {
  switch (destinationPort) {
    case portVxlan:
    case portVxlanLinux:
      return portVxlan;
    case portVxlanGpe:
    case portGeneve:
    case portTzsp:
    case portGtpU:
    case portCapwapData:
    case portL2tp:
      return destinationPort;
    default:
      return sourcePort === portCapwapData || sourcePort === portL2tp ? sourcePort : 0;
  }
}

/**
 * True if tunnelled packets are to be expected in this flow, in this direction or the other. TZSP is none of them: it
 * brings copies of what was overheard, and its port is one that systems give to clients.
 */
export function hasTunnelPort({ sourcePort, destinationPort }: Packet): boolean {
  return (
    isCarrier(tunnelPort(sourcePort, destinationPort)) || isCarrier(tunnelPort(destinationPort, sourcePort))
  );
}

function isCarrier(port: number): boolean {
  return port !== 0 && port !== portTzsp;
}

/**
 * False if openUdpTunnel would certainly find nothing; costs less than asking it. `wireLength` is the length of the UDP
 * payload on the wire, bytes.
 */
export function mayBeUdpTunnel(
  bytes: Uint8Array,
  start: number,
  end: number,
  wireLength: number,
  sourcePort: number,
  destinationPort: number,
): boolean {
  if (end - start < udpTunnelMin) return false;
  if (tunnelPort(sourcePort, destinationPort) !== 0) return true;
  const first = bytes[start]!;
  // Teredo begins with an indication (0) or with IPv6; the latter tells its length, unlike bencode, which begins alike.
  if (first >> 4 === 6) return ((bytes[start + 4]! << 8) | bytes[start + 5]!) + 40 === wireLength;
  return first === 0;
}

/** Flags with the network identifier bit (the group policy bit may be set as well), last byte reserved. */
function openVxlan(bytes: Uint8Array, cursor: Cursor, at: number): Step {
  if ((bytes[at]! & 0x7f) !== 0x08 || bytes[at + 7] !== 0) return Ok;
  cursor.at = at + 8;
  cursor.networkId = networkAt(bytes, at + 4);
  cursor.tunnel = tunnelVxlan;
  return stepEthernet;
}

function networkAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

/** Version 0, a flag that says that the next protocol is named, and that protocol. Operations messages are not opened. */
function openVxlanGpe(bytes: Uint8Array, cursor: Cursor, at: number): Step {
  const flags = bytes[at]!;
  const nextProtocolPresent = 0x04;
  const operations = 0x01;
  const versionMask = 0x30;
  if ((flags & nextProtocolPresent) === 0 || (flags & (operations | versionMask)) !== 0) return Ok;
  if (bytes[at + 1] !== 0 || bytes[at + 2] !== 0 || bytes[at + 7] !== 0) return Ok;
  cursor.networkId = networkAt(bytes, at + 4);
  if (bytes[at + 3] !== 3) return bytes[at + 3]! > 2 ? Ok : openBare(bytes, cursor, at + 8, tunnelVxlanGpe);
  cursor.at = at + 8;
  cursor.tunnel = tunnelVxlanGpe;
  return stepEthernet;
}

const geneveHeader = 8;

/** Version 0 and the length of the options, two flags and reserved bits, an EtherType, VNI, reserved byte, options. */
function openGeneve(packet: Packet, bytes: Uint8Array, cursor: Cursor, at: number): Step {
  if (bytes[at]! >> 6 !== 0 || (bytes[at + 1]! & 0x3f) !== 0 || bytes[at + 7] !== 0) return Ok;
  const inner = at + geneveHeader + ((bytes[at]! & 0x3f) << 2);
  if (inner >= cursor.end) return Ok;
  const type = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (type < etherTypeMin) return Ok;
  cursor.at = inner;
  cursor.networkId = networkAt(bytes, at + 4);
  cursor.tunnel = tunnelGeneve;
  return type === etherBridged ? stepEthernet : decodeEtherType(packet, bytes, cursor, type);
}

/** The wireless binding of IEEE 802.11 (RFC 5416). */
const capwapWifi = 1;

/**
 * Access points to their controller (RFC 5415 section 4.3): preamble 0, header length in words, what is inside, flags.
 * Fragments, keep-alives and what DTLS protects are not opened.
 */
function openCapwap(packet: Packet, bytes: Uint8Array, cursor: Cursor, at: number): Step {
  if (bytes[at] !== 0) return Ok;
  const headerLength = (bytes[at + 1]! >> 3) << 2;
  const fragmentOrKeepAlive = 0x88;
  if (headerLength < 8 || (bytes[at + 3]! & fragmentOrKeepAlive) !== 0) return Ok;
  if (at + headerLength >= cursor.end) return Ok;
  const binding = (bytes[at + 2]! >> 1) & 0x1f;
  const isNative = (bytes[at + 2]! & 1) !== 0;
  if (isNative && binding !== capwapWifi) return Ok;
  cursor.at = at + headerLength;
  cursor.tunnel = tunnelCapwap;
  return isNative ? decodeWrappedWifi(packet, bytes, cursor) : stepEthernet;
}

const tzspEthernet = 0x01;
const tzspWifi = 0x12;
const tzspTagPadding = 0;
const tzspTagEnd = 1;

/** Version 1, a received or to-be-sent packet, Ethernet or 802.11, then tags up to the one that ends them. */
function openTzsp(packet: Packet, bytes: Uint8Array, cursor: Cursor, start: number): Step {
  const inside = (bytes[start + 2]! << 8) | bytes[start + 3]!;
  if (bytes[start] !== 1 || bytes[start + 1]! > 1) return Ok;
  if (inside !== tzspEthernet && inside !== tzspWifi) return Ok;
  let at = start + 4;
  // A tag is one byte (padding) or type, length and content: at least one byte per turn.
  while (at < cursor.end && bytes[at] !== tzspTagEnd) {
    if (bytes[at] === tzspTagPadding) at++;
    else if (at + 1 < cursor.end) at += 2 + bytes[at + 1]!;
    else return Ok;
  }
  if (at + 1 >= cursor.end) return Ok;
  cursor.at = at + 1;
  cursor.tunnel = tunnelTzsp;
  return inside === tzspEthernet ? stepEthernet : decodeWrappedWifi(packet, bytes, cursor);
}

/** Version 1, protocol type 1, message type 255 (G-PDU), length, then optional fields and extension headers. */
function openGtpU(bytes: Uint8Array, cursor: Cursor, start: number): Step {
  const flags = bytes[start]!;
  if (flags >> 4 !== 3 || (flags & 0x08) !== 0 || bytes[start + 1] !== 255) return Ok;
  const length = (bytes[start + 2]! << 8) | bytes[start + 3]!;
  if (start + 8 + length !== cursor.wireEnd) return Ok;
  let at = start + 8;
  if ((flags & 0x07) !== 0) {
    let next = (flags & 0x04) !== 0 ? bytes[start + 11]! : 0;
    at += 4;
    // Each extension header: length in units of 4 bytes, content, type of the next one. At least 4 bytes per turn.
    while (next !== 0) {
      if (at >= cursor.end) return Ok;
      const size = bytes[at]! << 2;
      if (size === 0 || at + size > cursor.end) return Ok;
      next = bytes[at + size - 1]!;
      at += size;
    }
  }
  return openBare(bytes, cursor, at, tunnelGtpU);
}

/** Version 2 data message: flags say which of length, sequence numbers and offset are there. */
function openL2tp(bytes: Uint8Array, cursor: Cursor, start: number): Step {
  const flags = (bytes[start]! << 8) | bytes[start + 1]!;
  const control = 0x8000;
  const reserved = 0x34f0;
  if ((flags & (control | reserved)) !== 0 || (flags & 0x0f) !== 2) return Ok;
  let at = start + 2;
  if ((flags & 0x4000) !== 0) {
    const length = (bytes[at]! << 8) | bytes[at + 1]!;
    if (start + length > cursor.wireEnd) return Ok;
    at += 2;
  }
  at += 4;
  if ((flags & 0x0800) !== 0) at += 4;
  if ((flags & 0x0200) !== 0) {
    if (at + 2 > cursor.end) return Ok;
    at += 2 + ((bytes[at]! << 8) | bytes[at + 1]!);
  }
  if (at >= cursor.end) return Ok;
  cursor.at = at;
  cursor.tunnel = tunnelL2tp;
  return stepPpp;
}

const teredoPrefix = 0x2001_0000;
const teredoAuthentication = 0x0001;
const teredoOrigin = 0x0000;
const teredoOriginLength = 8;

/**
 * Optional authentication and origin indications (RFC 4380 section 5.1.1), then an IPv6 packet that fills the datagram
 * to the byte and has a Teredo address on one side. Router solicitations have none, but they carry ICMPv6 and would be
 * reported as the outer UDP flow anyway.
 */
function openTeredo(bytes: Uint8Array, cursor: Cursor, start: number): Step {
  let at = start;
  const end = cursor.end;
  if (((bytes[at]! << 8) | bytes[at + 1]!) === teredoAuthentication) {
    at += 4 + bytes[at + 2]! + bytes[at + 3]! + 9;
  }
  if (at + 2 <= end && ((bytes[at]! << 8) | bytes[at + 1]!) === teredoOrigin) at += teredoOriginLength;
  if (end - at < 40 || bytes[at]! >> 4 !== 6) return Ok;
  const length = (bytes[at + 4]! << 8) | bytes[at + 5]!;
  if (at + 40 + length !== cursor.wireEnd) return Ok;
  if (word(bytes, at + 8) !== teredoPrefix && word(bytes, at + 24) !== teredoPrefix) return Ok;
  cursor.at = at;
  cursor.tunnel = tunnelTeredo;
  return stepIpv6;
}

function openBare(bytes: Uint8Array, cursor: Cursor, at: number, tunnel: number): Step {
  if (at >= cursor.end) return Ok;
  const nibble = bytes[at]! >> 4;
  if (nibble !== 4 && nibble !== 6) return Ok;
  cursor.at = at;
  cursor.tunnel = tunnel;
  return nibble === 4 ? stepIpv4 : stepIpv6;
}
