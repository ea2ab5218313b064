/**
 * IPv6 (RFC 8200) with extension headers, jumbo payload (RFC 2675) and atomic fragments (RFC 6946). A chain is followed
 * to its end or the packet is named TooDeep or Malformed: an extension header never hides what comes behind it.
 */
import { extensionHeadersMax } from '../limits.js';
import { type Cursor, protocolAh, type Step, tooShort, tunnelNone, word } from './cursor.js';
import { enterTunnel, fragmentCheck, protocolStep } from './ip.js';
import { Fragment, Malformed, Ok, type Packet, protocolTcp, protocolUdp, TooDeep } from './packet.js';

export const ipv6Header = 40;
export const ipv6PayloadLengthAt = 4;
const nextHeaderAt = 6;
const sourceAt = 8;
const destinationAt = 24;

const hopByHop = 0;
const routing = 43;
const fragmentHeader = 44;
const destinationOptions = 60;
const mobility = 135;
const hostIdentity = 139;
const shim6 = 140;

const optionPad1 = 0;
const optionJumbo = 0xc2;
/** No interface sends more; Linux stops at 512 KiB (BIG TCP). Keeps all lengths far from 32 bits. */
const jumboBytesMax = 0x00ff_ffff;

/** Reads the header and its extensions into the packet; the cursor then covers what the upper protocol owns. */
export function decodeIpv6(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  const room = cursor.end - at;
  if (room < ipv6Header) return tooShort(packet, cursor);
  if (bytes[at]! >> 4 !== 6) return Malformed;
  const wireRoom = cursor.wireEnd - at;
  const next = bytes[at + nextHeaderAt]!;
  let total = ipv6Header + ((bytes[at + ipv6PayloadLengthAt]! << 8) | bytes[at + ipv6PayloadLengthAt + 1]!);
  if (total === ipv6Header) {
    total = next === hopByHop ? jumboLength(bytes, at, cursor.end) : unfilledLength(cursor, wireRoom);
    if (total < 0) return Malformed;
  }
  if (cursor.tunnel !== tunnelNone) {
    if (total > wireRoom) return Malformed;
    const entered = enterTunnel(packet, cursor);
    if (entered !== Ok) return entered;
  }
  const end = total < room ? at + total : cursor.end;
  packet.ipVersion = 6;
  packet.ipStart = at;
  packet.ipEnd = end;
  packet.ipWireLength = total;
  packet.protocol = next;
  packet.source0 = word(bytes, at + sourceAt);
  packet.source1 = word(bytes, at + sourceAt + 4);
  packet.source2 = word(bytes, at + sourceAt + 8);
  packet.source3 = word(bytes, at + sourceAt + 12);
  packet.destination0 = word(bytes, at + destinationAt);
  packet.destination1 = word(bytes, at + destinationAt + 4);
  packet.destination2 = word(bytes, at + destinationAt + 8);
  packet.destination3 = word(bytes, at + destinationAt + 12);
  cursor.at = at + ipv6Header;
  cursor.end = end;
  cursor.wireEnd = at + total;
  if (next === protocolTcp || next === protocolUdp) return protocolStep(next);
  return stepOverExtensions(packet, bytes, cursor);
}

/** A payload length of 0 without jumbo option: unfilled by segmentation offload on the outermost header, else empty. */
function unfilledLength(cursor: Cursor, wireRoom: number): number {
  return cursor.tunnel === tunnelNone ? wireRoom : ipv6Header;
}

/** Total length from the jumbo payload option, 40 if the hop-by-hop header has none, -1 if it contradicts itself. */
function jumboLength(bytes: Uint8Array, ipStart: number, end: number): number {
  let at = ipStart + ipv6Header;
  if (at + 8 > end) return ipv6Header;
  const optionsEnd = at + ((bytes[at + 1]! + 1) << 3);
  const limit = optionsEnd < end ? optionsEnd : end;
  at += 2;
  while (at + 6 <= limit) {
    const option = bytes[at]!;
    if (option === optionPad1) at += 1;
    else if (option === optionJumbo) {
      const length = word(bytes, at + 2);
      return bytes[at + 1] !== 4 || length <= 0xffff || length > jumboBytesMax ? -1 : ipv6Header + length;
    } else at += 2 + bytes[at + 1]!;
  }
  return ipv6Header;
}

/** Length of an extension header in bytes, or 0 if the protocol number is none. `second` is the header's second byte. */
function extensionLength(protocol: number, second: number): number {
  switch (protocol) {
    case hopByHop:
    case routing:
    case destinationOptions:
    case mobility:
    case hostIdentity:
    case shim6:
      return (second + 1) << 3;
    case protocolAh:
      return (second + 2) << 2;
    case fragmentHeader:
      return 8;
    default:
      return 0;
  }
}

function isExtension(protocol: number): boolean {
  return extensionLength(protocol, 0) !== 0;
}

function stepOverExtensions(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  let at = cursor.at;
  let protocol = packet.protocol;
  for (let count = 0; isExtension(protocol); count++) {
    if (count >= extensionHeadersMax) return TooDeep;
    // Hop-by-hop options stand first or nowhere (RFC 8200 section 4.1); hosts drop the packet otherwise.
    if (protocol === hopByHop && count > 0) return Malformed;
    if (cursor.wireEnd - at < 8) return Malformed;
    if (cursor.end - at < 8) return tooShort(packet, cursor);
    const length = extensionLength(protocol, bytes[at + 1]!);
    if (at + length > cursor.wireEnd) return Malformed;
    if (at + length > cursor.end) return tooShort(packet, cursor);
    if (protocol === fragmentHeader) {
      const pieces = ((bytes[at + 2]! << 8) | bytes[at + 3]!) & 0xfff9;
      // With offset 0 and nothing to follow it is an atomic fragment: whole, whatever other fragments exist.
      if (pieces !== 0) return fragmentOf(packet, bytes, cursor, at);
    }
    protocol = bytes[at]!;
    at += length;
  }
  packet.protocol = protocol;
  cursor.at = at;
  return protocolStep(protocol);
}

function fragmentOf(packet: Packet, bytes: Uint8Array, cursor: Cursor, at: number): Step {
  // A jumbogram cannot be fragmented (RFC 2675 section 3).
  if (packet.ipWireLength > ipv6Header + 0xffff) return Malformed;
  const pieces = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  packet.fragmentHeaderEnd = at;
  packet.fragmentProtocol = bytes[at]!;
  packet.protocol = packet.fragmentProtocol;
  packet.fragmentOffset = pieces & 0xfff8;
  packet.fragmentMore = (pieces & 1) !== 0;
  packet.fragmentId = word(bytes, at + 4);
  packet.fragmentStart = at + 8;
  packet.fragmentEnd = cursor.end;
  packet.fragmentWireLength = cursor.wireEnd - at - 8;
  if (packet.fragmentOffset === 0) return firstFragment(packet, bytes, cursor);
  return fragmentCheck(packet.fragmentProtocol, packet.fragmentOffset, packet.fragmentWireLength) === Ok
    ? Fragment
    : Malformed;
}

/** The first fragment must hold the whole header chain (RFC 7112 section 5). */
function firstFragment(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  let at = packet.fragmentStart;
  let protocol = packet.fragmentProtocol;
  for (let count = 0; isExtension(protocol); count++) {
    if (count >= extensionHeadersMax) return TooDeep;
    if (protocol === hopByHop || protocol === fragmentHeader) return Malformed;
    if (cursor.wireEnd - at < 8) return Malformed;
    // Cut by the snap length: the rest of the chain is unknown, and the fragment table will give it up.
    if (cursor.end - at < 8) return Fragment;
    const length = extensionLength(protocol, bytes[at + 1]!);
    if (at + length > cursor.wireEnd) return Malformed;
    protocol = bytes[at]!;
    at += length;
  }
  packet.protocol = protocol;
  return fragmentCheck(protocol, 0, cursor.wireEnd - at) === Ok ? Fragment : Malformed;
}

/**
 * Offset of the next-header byte that names the fragment header at `fragmentAt`, in an IPv6 packet that was decoded as
 * Fragment. Reassembly writes the fragment header's own next header there (RFC 8200 section 4.5).
 */
export function fragmentNextHeaderAt(bytes: Uint8Array, ipStart: number, fragmentAt: number): number {
  let nameAt = ipStart + nextHeaderAt;
  let at = ipStart + ipv6Header;
  for (let count = 0; at < fragmentAt && count < extensionHeadersMax; count++) {
    const length = extensionLength(bytes[nameAt]!, bytes[at + 1]!);
    nameAt = at;
    at += length;
  }
  return nameAt;
}
