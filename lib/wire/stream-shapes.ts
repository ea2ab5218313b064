/**
 * Shapes of the first message of well-known TCP protocols, enough to name a flow: each answers whether the payload
 * `[start, end)` has it. At least six bytes are there, unless said otherwise.
 */
import { word16, word32 } from './words.js';

export function isHandshake(type: number): boolean {
  return type === 1 || type === 2 || type === 4 || type === 11 || type === 16 || type === 20;
}

/** TPKT (RFC 1006) whose length is the segment's, with the connection request or confirm of X.224 in it. */
export function isTpkt(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  if (end - start < 11 || bytes[start + 1] !== 0 || word16(bytes, start + 2) !== wireLength) return false;
  const code = bytes[start + 5]! & 0xf0;
  return code === 0xe0 || code === 0xd0;
}

/** SOCKS5 greeting (RFC 1928): version, number of methods, and exactly so many. The two-byte choice is too short. */
export function isSocks5(bytes: Uint8Array, start: number, end: number): boolean {
  const methods = bytes[start + 1]!;
  return methods > 0 && methods <= 8 && end - start === 2 + methods && bytes[start + 2]! <= 0x0a;
}

/** SOCKS4 request: version, command 1 or 2, port, address, and a name that ends in zero. */
export function isSocks4(bytes: Uint8Array, start: number, end: number): boolean {
  const command = bytes[start + 1]!;
  return (command === 1 || command === 2) && end - start >= 9 && end - start < 512 && bytes[end - 1] === 0;
}

/** MQTT CONNECT: remaining length, then the protocol's name (MQTT, or MQIsdp in version 3.1). */
export function isMqttConnect(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start + 1;
  while (at < end && at < start + 4 && bytes[at]! >= 0x80) at++;
  at++;
  if (end - at < 8 || bytes[at] !== 0) return false;
  return bytes[at + 2] === 0x4d && bytes[at + 3] === 0x51 && (bytes[at + 1] === 4 || bytes[at + 1] === 6);
}

/** LDAP message (RFC 4511): a sequence, a small message id, and an operation that opens a conversation. */
export function isLdap(bytes: Uint8Array, start: number, end: number): boolean {
  const size = bytes[start + 1]!;
  const at = start + 2 + (size > 0x80 && size <= 0x84 ? size - 0x80 : 0);
  if (size === 0x80 || size > 0x84 || end - at < 4 || bytes[at] !== 0x02) return false;
  const idBytes = bytes[at + 1]!;
  if (idBytes < 1 || idBytes > 4 || at + 2 + idBytes >= end) return false;
  const operation = bytes[at + 2 + idBytes]!;
  return (
    operation === 0x60 || operation === 0x61 || operation === 0x63 || operation === 0x64 || operation === 0x77
  );
}

/** `220 ` or `220-`: greeting of SMTP and of FTP. */
export function isBanner(bytes: Uint8Array, start: number, end: number): boolean {
  const separator = bytes[start + 3];
  return (
    bytes[start + 1] === 0x32 &&
    bytes[start + 2] === 0x30 &&
    (separator === 0x20 || separator === 0x2d) &&
    (bytes[end - 1] === 0x0a || end - start > 512)
  );
}

export function isSmb2(bytes: Uint8Array, start: number): boolean {
  return word32(bytes, start + 4) === (0xfe534d42 | 0);
}

/** MySQL's first packet: its length in three bytes, sequence 0, protocol 10, and a version that begins with a digit. */
export function isMysqlGreeting(bytes: Uint8Array, start: number, wireLength: number): boolean {
  const size = bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16);
  const digit = bytes[start + 5]!;
  return size === wireLength - 4 && digit >= 0x33 && digit <= 0x39 && bytes[start + 6] === 0x2e;
}

/** A DNS message (RFC 1035): one question at least, its first name of proper labels, and a known class behind it. */
export function isDns(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 17) return false;
  const flags = word16(bytes, start + 2);
  const questions = word16(bytes, start + 4);
  if ((flags & 0x7800) > 0x2800 || (flags & 0x40) !== 0 || questions !== 1) return false;
  if (word16(bytes, start + 6) > 256 || word16(bytes, start + 8) > 256 || word16(bytes, start + 10) > 256)
    return false;
  // A query has no answers.
  if (flags >= 0 && (flags & 0x8000) === 0 && word16(bytes, start + 6) !== 0) return false;
  let at = start + 12;
  while (at < end && bytes[at] !== 0) {
    if (bytes[at]! > 63) return false;
    at += 1 + bytes[at]!;
  }
  if (at + 5 > end) return false;
  const type = word16(bytes, at + 1);
  const kind = word16(bytes, at + 3) & 0x7fff;
  return type > 0 && type <= 32_769 && (kind === 1 || kind === 3 || kind === 255);
}
