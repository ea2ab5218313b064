/**
 * JSON objects (RFC 8259) read from a prefix: finds the members of one object, without looking into the values of
 * others, and may be cut anywhere. Iterative, reads only within its range, allocates nothing, never throws.
 */
import { ascii, hexDigit } from './text.js';

/** Members looked at in one object. */
const membersMax = 64;
/** Longest name that `readMembers` looks for, with its quotes. */
const nameBytesMax = 32;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** First byte at or after `at` that is no white space. */
export function skipSpace(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && (bytes[i] === 0x20 || (bytes[i]! >= 0x09 && bytes[i]! <= 0x0d))) i++;
  return i;
}

/** Where the string whose quote is at `at` ends, past its closing quote, or -1 if the range ends first. */
export function jsonStringEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    if (bytes[i] === backslash) i++;
    else if (bytes[i] === quote) return i + 1;
  }
  return -1;
}

/** Where the value at `at` ends, or -1 if the range ends first. */
export function jsonValueEnd(bytes: Uint8Array, at: number, end: number): number {
  let depth = 0;
  let i = at;
  while (i < end) {
    const byte = bytes[i]!;
    if (byte === quote) {
      i = jsonStringEnd(bytes, i, end);
      if (i < 0) return -1;
      if (depth === 0) return i;
      continue;
    }
    if (byte === openBrace || byte === openBracket) depth++;
    else if (byte === closeBrace || byte === closeBracket) {
      if (depth === 0) return i;
      if (--depth === 0) return i + 1;
    } else if (byte === comma && depth === 0) return i;
    i++;
  }
  return -1;
}

/**
 * Where the value of the member `name` of the object at `start` begins, or -1 if the object has none in this range.
 * `name` comes with its quotes. The value itself may be cut.
 */
export function jsonMember(bytes: Uint8Array, start: number, end: number, name: Uint8Array): number {
  if (start >= end || bytes[start] !== openBrace) return -1;
  let at = skipSpace(bytes, start + 1, end);
  for (let members = 0; members < membersMax; members++) {
    if (at >= end || bytes[at] !== quote) return -1;
    const keyEnd = jsonStringEnd(bytes, at, end);
    if (keyEnd < 0) return -1;
    let value = skipSpace(bytes, keyEnd, end);
    if (value >= end || bytes[value] !== colon) return -1;
    value = skipSpace(bytes, value + 1, end);
    if (value >= end) return -1;
    if (keyEnd - at === name.length && sameBytes(bytes, at, name)) return value;
    at = jsonValueEnd(bytes, value, end);
    if (at < 0) return -1;
    at = skipSpace(bytes, at, end);
    if (at >= end || bytes[at] !== comma) return -1;
    at = skipSpace(bytes, at + 1, end);
  }
  return -1;
}

function sameBytes(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** Names that are looked for together, in one walk over an object. Made once; `readMembers` fills in `values`. */
export interface MemberNames {
  /** The names with their quotes. */
  readonly texts: readonly Uint8Array[];
  /** Indexes into `texts` by length. */
  readonly byLength: readonly (readonly number[])[];
  /** Where the value of each member begins, or -1; valid until the next call with these names. */
  readonly values: Int32Array;
}

/** Prepares names (without quotes) of up to 30 characters. */
export function memberNames(names: readonly string[]): MemberNames {
  const texts = names.map((name) => ascii(`"${name}"`));
  const byLength = Array.from({ length: nameBytesMax + 1 }, (_, length) =>
    [...texts.keys()].filter((index) => texts[index]!.length === length),
  );
  return { texts, byLength, values: new Int32Array(names.length).fill(-1) };
}

/**
 * Reads the object at `start` once and notes in `names.values` where the values of the wanted members begin; the first
 * of equal names counts. As jsonMember otherwise.
 */
export function readMembers(bytes: Uint8Array, start: number, end: number, names: MemberNames): void {
  const { values } = names;
  for (let i = 0; i < values.length; i++) values[i] = -1;
  if (start >= end || bytes[start] !== openBrace) return;
  let at = skipSpace(bytes, start + 1, end);
  for (let members = 0; members < membersMax; members++) {
    if (at >= end || bytes[at] !== quote) return;
    const keyEnd = jsonStringEnd(bytes, at, end);
    if (keyEnd < 0) return;
    let value = skipSpace(bytes, keyEnd, end);
    if (value >= end || bytes[value] !== colon) return;
    value = skipSpace(bytes, value + 1, end);
    if (value >= end) return;
    if (keyEnd - at <= nameBytesMax) noteMember(bytes, at, keyEnd, value, names);
    at = jsonValueEnd(bytes, value, end);
    if (at < 0) return;
    at = skipSpace(bytes, at, end);
    if (at >= end || bytes[at] !== comma) return;
    at = skipSpace(bytes, at + 1, end);
  }
}

function noteMember(bytes: Uint8Array, at: number, keyEnd: number, value: number, names: MemberNames): void {
  const candidates = names.byLength[keyEnd - at]!;
  for (let i = 0; i < candidates.length; i++) {
    const index = candidates[i]!;
    if (names.values[index]! >= 0 || !sameBytes(bytes, at, names.texts[index]!)) continue;
    names.values[index] = value;
    return;
  }
}

/** True if the value at `at` is exactly `text` (a string with its quotes), and whole. */
export function jsonIs(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  return at >= 0 && end - at >= text.length && sameBytes(bytes, at, text);
}

/** True if the value at `at` is an unsigned or negative whole number, by its first digit, or null. */
export function isJsonNumber(bytes: Uint8Array, at: number, end: number): boolean {
  if (at < 0 || at >= end) return false;
  const first = bytes[at] === 0x2d && at + 1 < end ? bytes[at + 1]! : bytes[at]!;
  return first >= 0x30 && first <= 0x39;
}

/**
 * Decodes the string whose quote is at `at` into `into`, one byte per character, and answers its length; -1 if it is
 * cut, longer than `into`, or holds a character beyond Latin-1. UTF-8 and escapes are undone.
 */
export function jsonLatin1(bytes: Uint8Array, at: number, end: number, into: Uint8Array): number {
  if (at < 0 || at >= end || bytes[at] !== quote) return -1;
  let length = 0;
  let i = at + 1;
  while (i < end && bytes[i] !== quote) {
    if (length >= into.length) return -1;
    const byte = bytes[i]!;
    if (byte === backslash) {
      if (i + 1 >= end) return -1;
      const kind = bytes[i + 1]!;
      const character = kind === 0x75 ? escapedCharacter(bytes, i + 2, end) : shortEscape(kind);
      if (character < 0 || character > 0xff) return -1;
      into[length++] = character;
      i += kind === 0x75 ? 6 : 2;
    } else if (byte < 0x80) {
      into[length++] = byte;
      i++;
    } else {
      if ((byte & 0xfc) !== 0xc0 || i + 1 >= end || (bytes[i + 1]! & 0xc0) !== 0x80) return -1;
      into[length++] = ((byte & 0x03) << 6) | (bytes[i + 1]! & 0x3f);
      i += 2;
    }
  }
  return i < end ? length : -1;
}

function escapedCharacter(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < 4) return -1;
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const digit = hexDigit(bytes[i]!);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function shortEscape(kind: number): number {
  switch (kind) {
    case 0x62:
      return 0x08;
    case 0x66:
      return 0x0c;
    case 0x6e:
      return 0x0a;
    case 0x72:
      return 0x0d;
    case 0x74:
      return 0x09;
    case quote:
    case backslash:
    case 0x2f:
      return kind;
    default:
      return -1;
  }
}
