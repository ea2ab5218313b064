/** IP addresses as text in byte ranges, read in place: dotted decimal, and IPv6 as in RFC 4291 section 2.2. */
import { hexDigit } from './text.js';

const dot = 0x2e;
const colon = 0x3a;
const digit0 = 0x30;
/** The longest: eight groups, the last two of them as dotted decimal. */
const textMax = 45;
const groupsMax = 8;

/** The address just read as big-endian words (IPv4 has the first): answer of `readAddress`, valid until its next call. */
export const addressWords = new Int32Array(4);
const groups = new Int32Array(groupsMax);

/** Reads the address that fills `[start, end)` into `addressWords`: 4 or 6, or 0 if it is none (a host name). */
export function readAddress(bytes: Uint8Array, start: number, end: number): 0 | 4 | 6 {
  if (end - start < 2 || end - start > textMax) return 0;
  if (isDotted(bytes, start, end)) return 4;
  return isGroups(bytes, start, end) ? 6 : 0;
}

/** Reads four decimal numbers between dots into the first word. */
function isDotted(bytes: Uint8Array, start: number, end: number): boolean {
  let word = 0;
  let part = -1;
  let parts = 1;
  let digits = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === dot) {
      if (part < 0 || ++parts > 4) return false;
      word = (word << 8) | part;
      part = -1;
      digits = 0;
      continue;
    }
    const digit = byte - digit0;
    if (digit < 0 || digit > 9 || ++digits > 3) return false;
    part = (part < 0 ? 0 : part * 10) + digit;
    if (part > 255) return false;
  }
  if (parts !== 4 || part < 0) return false;
  addressWords.fill(0);
  addressWords[0] = (word << 8) | part;
  return true;
}

/** Reads groups of hexadecimal digits between colons, one run of them left out as `::`, into the four words. */
function isGroups(bytes: Uint8Array, start: number, end: number): boolean {
  let count = 0;
  let gap = -1;
  let at = start;
  if (bytes[at] === colon) {
    if (bytes[at + 1] !== colon) return false;
    gap = 0;
    at += 2;
  }
  while (at < end) {
    if (count === groupsMax) return false;
    const from = at;
    let value = 0;
    for (; at < end && at - from < 5; at++) {
      const digit = hexDigit(bytes[at]!);
      if (digit < 0) break;
      value = value * 16 + digit;
    }
    if (at < end && bytes[at] === dot && count <= groupsMax - 2 && isDotted(bytes, from, end)) {
      groups[count++] = addressWords[0]! >>> 16;
      groups[count++] = addressWords[0]! & 0xffff;
      break;
    }
    if (at === from || at - from > 4) return false;
    groups[count++] = value;
    if (at === end) break;
    if (bytes[at] !== colon || ++at === end) return false;
    if (bytes[at] !== colon) continue;
    if (gap >= 0) return false;
    gap = count;
    at++;
  }
  return gap < 0 ? count === groupsMax && join(count, count) : count < groupsMax && join(gap, count);
}

/** Puts the groups before the gap at the front of the words and those behind it at the back. */
function join(gap: number, count: number): boolean {
  addressWords.fill(0);
  for (let i = 0; i < count; i++) {
    const place = i < gap ? i : groupsMax - count + i;
    addressWords[place >> 1]! |= groups[i]! << ((place & 1) === 0 ? 16 : 0);
  }
  return true;
}
