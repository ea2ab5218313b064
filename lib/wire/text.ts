/**
 * Latin-1 text in byte ranges: comparisons, searches and decoding that read only `[start, end)` and allocate nothing.
 */

const upperA = 0x41;
const upperZ = 0x5a;
const digit0 = 0x30;

/** ASCII lower case of every byte; all other bytes stay what they are. */
const lower = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= upperA && byte <= upperZ ? byte + 32 : byte,
);

/** True if `[start, end)` begins with `text` (bytes equal). */
export function startsWith(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false;
  return true;
}

/** True if `[start, end)` begins with `text`, ASCII letters of either case being equal; `text` is lower case. */
export function startsWithIgnoringCase(
  bytes: Uint8Array,
  start: number,
  end: number,
  text: Uint8Array,
): boolean {
  if (end - start < text.length) return false;
  for (let i = 0; i < text.length; i++) if (lower[bytes[start + i]!] !== text[i]) return false;
  return true;
}

/** True if `[start, end)` is a proper beginning of `text`: more bytes could make it begin with `text`. */
export function isBeginningOf(bytes: Uint8Array, start: number, end: number, text: Uint8Array): boolean {
  if (end - start >= text.length) return false;
  for (let i = start; i < end; i++) if (bytes[i] !== text[i - start]) return false;
  return true;
}

/** Literal ASCII text as bytes, for constants beside the code that compares with them. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A text to search for, prepared once: how far the window may move for each byte under its last place. */
export interface Needle {
  readonly text: Uint8Array;
  readonly skip: Uint8Array;
}

/** Prepares an ASCII text of 1 to 255 characters for `find`. */
export function needle(text: string): Needle {
  const bytes = ascii(text.toLowerCase());
  const skip = new Uint8Array(256).fill(bytes.length);
  for (let i = 0; i < bytes.length - 1; i++) skip[bytes[i]!] = bytes.length - 1 - i;
  // A capital under the window moves it as far as its small letter does.
  for (let byte = upperA; byte <= upperZ; byte++) skip[byte] = skip[byte + 32]!;
  return { text: bytes, skip };
}

/**
 * Where `what` first occurs in `[start, end)`, ASCII letters of either case being equal, or -1. Horspool's search: a
 * name of 12 characters is looked for in a 400-byte head with about 40 probes.
 */
export function find(bytes: Uint8Array, start: number, end: number, what: Needle): number {
  const { text, skip } = what;
  const last = text.length - 1;
  for (let at = start + last; at < end; at += skip[bytes[at]!]!) {
    let i = last;
    while (i >= 0 && lower[bytes[at - last + i]!] === text[i]) i--;
    if (i < 0) return at - last;
  }
  return -1;
}

/** Where `byte` first occurs in `[start, end)`, or `end`. */
export function indexOfByte(bytes: Uint8Array, start: number, end: number, byte: number): number {
  for (let i = start; i < end; i++) if (bytes[i] === byte) return i;
  return end;
}

const blockBytes = 256;

/** True if a kept stream that grew from `before` to `after` bytes passed another multiple of 256: then it is read again. */
export function passesBlock(before: number, after: number): boolean {
  return Math.floor(after / blockBytes) !== Math.floor(before / blockBytes);
}

/** Value of a hexadecimal digit, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= digit0 && byte <= 0x39) return byte - digit0;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** True for A to Z, a to z and 0 to 9. */
export function isAlphanumeric(byte: number): boolean {
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || (byte >= digit0 && byte <= 0x39);
}

/** True for 0 to 9. */
export function isDigit(byte: number): boolean {
  return byte >= digit0 && byte <= 0x39;
}

/** The decimal number that fills `[start, end)`, at most nine digits; -1 if it is anything else. */
export function decimal(bytes: Uint8Array, start: number, end: number): number {
  if (end <= start || end - start > 9) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - digit0;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** True if `[start, end)` is one to twenty decimal digits, as byte counters of 64 bits are written. */
export function isCounter(bytes: Uint8Array, start: number, end: number): boolean {
  if (end <= start || end - start > 20) return false;
  for (let i = start; i < end; i++) if (bytes[i]! < digit0 || bytes[i]! > 0x39) return false;
  return true;
}

/** Writes a whole number from 0 to 65,535 in decimal at `at` of `into` and answers where it ends. */
export function writeDecimal(into: Uint8Array, at: number, value: number): number {
  let unit = 1;
  while (unit * 10 <= value) unit *= 10;
  let rest = value;
  for (; unit >= 1; unit = Math.floor(unit / 10)) {
    const digit = Math.floor(rest / unit);
    into[at++] = digit0 + digit;
    rest -= digit * unit;
  }
  return at;
}

/** Turns the hexadecimal digits `[start, end)`, an even number, into bytes of `into`; false if one is none. */
export function hexDecode(bytes: Uint8Array, start: number, end: number, into: Uint8Array): boolean {
  for (let at = start, i = 0; at < end; at += 2, i++) {
    const high = hexDigit(bytes[at]!);
    const low = hexDigit(bytes[at + 1]!);
    if (high < 0 || low < 0) return false;
    into[i] = high * 16 + low;
  }
  return true;
}

/**
 * Decodes percent-encoded text (RFC 3986 section 2.1) from `[start, end)` into `into` and answers its length; -1 if an
 * escape is malformed or the text is longer than `into`.
 */
export function percentDecode(bytes: Uint8Array, start: number, end: number, into: Uint8Array): number {
  let length = 0;
  for (let i = start; i < end; i++) {
    let byte = bytes[i]!;
    if (byte === 0x25) {
      if (end - i < 3) return -1;
      const high = hexDigit(bytes[i + 1]!);
      const low = hexDigit(bytes[i + 2]!);
      if (high < 0 || low < 0) return -1;
      byte = high * 16 + low;
      i += 2;
    }
    if (length >= into.length) return -1;
    into[length++] = byte;
  }
  return length;
}
