/**
 * Shapes of the datagrams of well-known UDP protocols, enough to name a flow: each answers whether the payload
 * `[start, end)` has it. At least eight bytes are there.
 */
import { word16, word32 } from './words.js';

/** NTP (RFC 5905): 48 bytes or more in words, version 1 to 4, a mode that is in use. */
export function isNtp(bytes: Uint8Array, start: number, wireLength: number): boolean {
  const version = (bytes[start]! >> 3) & 7;
  const mode = bytes[start]! & 7;
  return (
    version >= 1 && version <= 4 && mode !== 0 && (wireLength >= 48 || mode >= 6) && wireLength % 4 === 0
  );
}

/** IKE header (RFC 7296 section 3.1); on port 4500 behind four zero bytes. */
export function isIsakmp(
  bytes: Uint8Array,
  start: number,
  end: number,
  wireLength: number,
  marker: number,
): boolean {
  const at = start + marker;
  if (end - at < 28 || (marker > 0 && word32(bytes, start) !== 0)) return false;
  const version = bytes[at + 17]!;
  return (version === 0x10 || version === 0x20) && word32(bytes, at + 24) === wireLength - marker;
}

/** GTP version 1 or 2 whose length field is the datagram's. */
export function isGtp(bytes: Uint8Array, start: number, wireLength: number): boolean {
  const version = bytes[start]! >> 5;
  const size = word16(bytes, start + 2);
  return version === 1 ? size === wireLength - 8 : version === 2 && size === wireLength - 4;
}

/** Multicast DNS (RFC 6762): a DNS header with few records, and without a question often. */
export function isMulticastDns(bytes: Uint8Array, start: number, length: number): boolean {
  return (
    length >= 12 &&
    (word16(bytes, start + 2) & 0x7b0f) === 0 &&
    word16(bytes, start + 4) + word16(bytes, start + 6) > 0 &&
    word16(bytes, start + 4) < 256 &&
    word16(bytes, start + 6) < 256
  );
}

/** QUIC long header (RFC 9000 section 17.2): a known version, or version negotiation, and ids of at most 20 bytes. */
export function isQuicLong(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 20) return false;
  const version = word32(bytes, start + 1);
  const draft = version >>> 8 === 0xff0000;
  const google = version >>> 24 === 0x51 && bytes[start + 2] === 0x30;
  if (version !== 1 && version !== 0x6b3343cf && !draft && !google) return false;
  return google || bytes[start + 5]! <= 20;
}

/** DTLS record (RFC 6347 section 4.1): version 1.0 or 1.2, and a length that fits. */
export function isDtls(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 13 || bytes[start + 1] !== 0xfe) return false;
  return (bytes[start + 2] === 0xff || bytes[start + 2] === 0xfd) && word16(bytes, start + 11) <= 16_640;
}

/** STUN (RFC 8489): magic cookie, or the classic form of RFC 3489 on its port, and a length that is the datagram's. */
export function isStun(
  bytes: Uint8Array,
  start: number,
  end: number,
  wireLength: number,
  onItsPort: boolean,
): boolean {
  if (end - start < 20) return false;
  const size = word16(bytes, start + 2);
  if (size !== wireLength - 20 || (size & 3) !== 0) return false;
  return word32(bytes, start + 4) === 0x2112a442 || onItsPort;
}

/** WireGuard messages 1 to 3 have fixed sizes; data (4) is recognised by its counter's upper half being zero. */
export function isWireguard(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  if (end - start < 16 || bytes[start + 1] !== 0 || bytes[start + 2] !== 0 || bytes[start + 3] !== 0)
    return false;
  switch (bytes[start]) {
    case 1:
      return wireLength === 148;
    case 2:
      return wireLength === 92;
    case 3:
      return wireLength === 64;
    default:
      return (
        wireLength >= 32 &&
        (wireLength & 15) === 0 &&
        word32(bytes, start + 12) === 0 &&
        word32(bytes, start + 4) !== 0
      );
  }
}

/** Syslog (RFC 5424, RFC 3164): a priority of one to three digits in angle brackets, then a printable character. */
export function isSyslog(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start + 1;
  while (at < end && at < start + 4 && bytes[at]! >= 0x30 && bytes[at]! <= 0x39) at++;
  return (
    at > start + 1 && at + 1 < end && bytes[at] === 0x3e && bytes[at + 1]! >= 0x20 && bytes[at + 1]! < 0x7f
  );
}

/** SNMP (RFC 3416): a sequence whose length is the datagram's, version 0, 1 or 3. */
export function isSnmp(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  const size = bytes[start + 1]!;
  const head = size < 0x80 ? 2 : size === 0x81 ? 3 : size === 0x82 ? 4 : 0;
  if (head === 0 || end - start < head + 5) return false;
  const length = head === 2 ? size : head === 3 ? bytes[start + 2]! : word16(bytes, start + 2);
  const at = start + head;
  const version = bytes[at + 2]!;
  return (
    length + head === wireLength &&
    bytes[at] === 0x02 &&
    bytes[at + 1] === 0x01 &&
    version <= 3 &&
    version !== 2 &&
    (bytes[at + 3] === 0x04 || bytes[at + 3] === 0x30)
  );
}

/** RTP (RFC 3550): static audio and video payload types only, a source id, counters, and a size that codecs use. */
export function isRtp(
  bytes: Uint8Array,
  start: number,
  end: number,
  wireLength: number,
  sourcePort: number,
  destinationPort: number,
): boolean {
  if (end - start < 12 || wireLength < 24 || sourcePort < 1024 || destinationPort < 1024) return false;
  const type = bytes[start + 1]! & 0x7f;
  const isStatic =
    type === 0 || type === 8 || type === 9 || type === 18 || type === 3 || type === 26 || type === 34;
  if (!isStatic || (sourcePort & 1) !== 0 || (destinationPort & 1) !== 0) return false;
  const timestamp = word32(bytes, start + 4);
  // Counters that start at zero both (SRT, mosh), and words in their place, are others'.
  if (timestamp === 0 && bytes[start + 2] === 0 && bytes[start + 3] === 0) return false;
  return word32(bytes, start + 8) !== 0 && !isText(bytes, start + 4, start + 12);
}

function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at]! < 0x20 || bytes[at]! > 0x7e) return false;
  return true;
}

/** Fields of dht-rpc's message behind the request id, all of bytes: their tags are 3 to 10 of wire type 2. */
const rpcFieldFirst = 3;
const rpcFieldLast = 10;

/**
 * Message of dht-rpc 4, which Hyperswarm 2 speaks (that package's schema.proto): protocol buffers with version 1, a type
 * (query, update, response), a request id, then fields of bytes, one at least and each once, to the datagram's end.
 */
export function isDhtRpc(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  const type = bytes[start + 3]!;
  if (word16(bytes, start) !== 0x5801 || bytes[start + 2] !== 0x08 || type < 1 || type > 3) return false;
  if (bytes[start + 4] !== 0x10) return false;
  let at = varintEnd(bytes, start + 5, Math.min(end, start + 15));
  if (at === 0 || at === end) return false;
  const wireEnd = start + wireLength;
  for (let seen = 0; at < end;) {
    const tag = bytes[at]!;
    const field = tag >> 3;
    if ((tag & 7) !== 2 || field < rpcFieldFirst || field > rpcFieldLast || (seen & (1 << field)) !== 0)
      return false;
    seen |= 1 << field;
    const from = varintEnd(bytes, at + 1, Math.min(end, at + 3));
    if (from === 0) return end - at <= 2 && end < wireEnd;
    const length = from === at + 2 ? bytes[at + 1]! : (bytes[at + 1]! & 0x7f) | (bytes[at + 2]! << 7);
    at = from + length;
    if (at > wireEnd) return false;
  }
  // Of a message that the kernel or a capture has cut, what is there.
  return at === wireEnd || end < wireEnd;
}

/** Behind a number of protocol buffers that begins at `at` and ends before `end`, or 0. */
function varintEnd(bytes: Uint8Array, at: number, end: number): number {
  while (at < end) if (bytes[at++]! < 0x80) return at;
  return 0;
}
