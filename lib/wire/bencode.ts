/**
 * Bencode (BEP 3, "bencoding") read in place: a strict bounded scanner over `[start, end)` and accessors to the parts
 * of what it accepted. Iterative, reads only within its range, allocates nothing, never throws.
 *
 * Strict means: a length or an integer has no leading zero, there is no negative zero, dictionary keys are strings and
 * every key has a value. The order of keys is not demanded here: BEP 3 asks for it, several clients ignore it, and a
 * detector can ask for it itself. More nesting or more items than lib/limits.ts allows counts as malformed.
 */
import { bencodeDepthMax, bencodeItemsMax } from '../limits.js';
import { invariant } from '../invariant.js';
import { decimal, passesBlock } from './text.js';

invariant(2 ** bencodeDepthMax <= 2 ** 31, 'the nesting is kept in the bits of one small integer');

/** No bencode, whatever follows. */
export const Malformed = -1;
/** Bencode so far, but the range ends before the value does. */
export const Incomplete = -2;
/** More items than allowed; never leaves this file. */
const tooManyItems = -3;
/** Answer of `integerValue` when there is no integer. */
export const NotInteger = -0x4000_0000;

/** Integers beyond this are answered as this (same sign): larger numbers would have to be allocated on return. */
export const integerMax = 0x3fff_ffff;

/**
 * Keys of one dictionary that are looked at: KRPC messages, tracker answers and metainfo files have fewer than 30. What
 * stands behind more of them is not found, so that a dictionary of a thousand tiny keys costs no more than any other.
 */
export const dictionaryKeysMax = 64;

/** Items that one reading of a dictionary goes through: a kept stream holds the URLs of about a hundred trackers. */
const readItemsMax = 256;

/** Payload packets of a side in which the end of a value is a reason to read. */
const endingPacketsMax = 12;

/** Digits of a string length: nine reach 999,999,999, more than any range. */
const lengthDigitsMax = 9;
/** Digits of an integer: twenty reach 2^64. */
const integerDigitsMax = 20;

const digit0 = 0x30;
const colon = 0x3a;
const minus = 0x2d;
const letterD = 0x64;
const letterE = 0x65;
const letterI = 0x69;
const letterL = 0x6c;

/** Where the string at `at` ends (exclusive), or Malformed or Incomplete. */
export function stringEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return Incomplete;
  let length = bytes[at]! - digit0;
  if (length < 0 || length > 9) return Malformed;
  const leadingZero = length === 0;
  const digitsEnd = at + lengthDigitsMax;
  for (at++; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === colon) return end - at - 1 < length ? Incomplete : at + 1 + length;
    const digit = byte - digit0;
    if (digit < 0 || digit > 9 || leadingZero || at >= digitsEnd) return Malformed;
    length = length * 10 + digit;
  }
  return Incomplete;
}

/** Where the content of the string at `at` begins (past the colon), or Malformed or Incomplete; its end is not checked. */
export function stringStart(bytes: Uint8Array, at: number, end: number): number {
  const limit = Math.min(end, at + lengthDigitsMax + 1);
  for (let i = at; i < limit; i++) {
    const byte = bytes[i]!;
    if (byte === colon) return i === at ? Malformed : i + 1;
    if (byte < digit0 || byte > digit0 + 9) return Malformed;
  }
  return limit === end ? Incomplete : Malformed;
}

/** Length of the string at `at` if all of it lies in the range, or Malformed or Incomplete. */
export function stringLength(bytes: Uint8Array, at: number, end: number): number {
  const to = stringEnd(bytes, at, end);
  return to < 0 ? to : to - stringStart(bytes, at, end);
}

/**
 * Length that the string at `at` declares, whether or not all of it is here; -1 if its head is not whole or no string, or
 * `at` is -1, a value that was not found.
 */
export function declaredLength(bytes: Uint8Array, at: number, end: number): number {
  if (at < 0) return -1;
  const from = stringStart(bytes, at, end);
  return from < 0 ? -1 : decimal(bytes, at, from - 1);
}

/** True if the value at `at` is a string whose content is exactly `text`. */
export function stringIs(bytes: Uint8Array, at: number, end: number, text: Uint8Array): boolean {
  const to = stringEnd(bytes, at, end);
  if (to < 0) return false;
  const from = stringStart(bytes, at, end);
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}

/** Where the integer at `at` (its `i`) ends, or Malformed or Incomplete. */
export function integerEnd(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return Incomplete;
  if (bytes[at] !== letterI) return Malformed;
  let first = at + 1;
  if (first < end && bytes[first] === minus) first++;
  const negative = first !== at + 1;
  for (let i = first; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === letterE) return i === first ? Malformed : i + 1;
    if (byte < digit0 || byte > digit0 + 9 || i - first >= integerDigitsMax) return Malformed;
    if (bytes[first] === digit0 && (negative || i > first)) return Malformed;
  }
  return Incomplete;
}

/** The integer at `at`, held within plus and minus `integerMax`; NotInteger if there is no whole integer. */
export function integerValue(bytes: Uint8Array, at: number, end: number): number {
  const to = integerEnd(bytes, at, end);
  if (to < 0) return NotInteger;
  const negative = bytes[at + 1] === minus;
  let value = 0;
  for (let i = negative ? at + 2 : at + 1; i < to - 1; i++) {
    value = value * 10 + bytes[i]! - digit0;
    if (value > integerMax) value = integerMax;
  }
  return negative ? -value : value;
}

/**
 * Where the bencoded value at `start` ends (exclusive, at most `end`), Malformed (-1) or Incomplete (-2). The value need
 * not fill the range: whoever wants that compares the answer with `end`.
 */
export function bencodeEnd(bytes: Uint8Array, start: number, end: number): number {
  const to = walk(bytes, start, end, bencodeItemsMax, null);
  return to === tooManyItems ? Malformed : to;
}

/** Walks over one value; the values of a dictionary's own wanted keys are noted on the way. */
function walk(
  bytes: Uint8Array,
  start: number,
  end: number,
  itemsMax: number,
  keys: DictionaryKeys | null,
): number {
  let at = start;
  let depth = 0;
  let items = 0;
  // Bit n says of the container at nesting n: it is a dictionary; it is a dictionary that now wants a key.
  let dictionaries = 0;
  let wantsKey = 0;
  for (;;) {
    if (at >= end) return Incomplete;
    const byte = bytes[at]!;
    const level = depth === 0 ? 0 : 1 << (depth - 1);
    if (byte === letterE) {
      if (depth === 0 || (dictionaries & level) !== (wantsKey & level)) return Malformed;
      at++;
      depth--;
    } else {
      if (++items > itemsMax) return tooManyItems;
      if (byte === letterD || byte === letterL) {
        if (depth === bencodeDepthMax || (wantsKey & level) !== 0) return Malformed;
        const inner = 1 << depth++;
        dictionaries = byte === letterD ? dictionaries | inner : dictionaries & ~inner;
        wantsKey = byte === letterD ? wantsKey | inner : wantsKey & ~inner;
        at++;
        wantsKey |= dictionaries & level;
        continue;
      }
      if (byte === letterI && (wantsKey & level) !== 0) return Malformed;
      const key = at;
      at = byte === letterI ? integerEnd(bytes, at, end) : stringEnd(bytes, at, end);
      if (at < 0) return at;
      if (keys !== null && depth === 1 && (wantsKey & 1) !== 0 && at < end) noteValue(bytes, key, at, keys);
      // After a key comes its value, after a value the next key; lists and the outermost value have no bit to turn.
      wantsKey ^= dictionaries & level;
    }
    if (depth === 0) return at;
  }
}

/**
 * Start of the value of `key` in the dictionary at `start`, or -1 if there is none in the range. Only the dictionary's
 * own keys are looked at, not those of nested ones. The range may be cut off: what is whole before the cut is found,
 * and the value itself may be cut.
 */
export function dictionaryValue(bytes: Uint8Array, start: number, end: number, key: Uint8Array): number {
  if (start >= end || bytes[start] !== letterD) return -1;
  let at = start + 1;
  for (let keys = 0; keys < dictionaryKeysMax; keys++) {
    if (at >= end || bytes[at] === letterE) return -1;
    const value = stringEnd(bytes, at, end);
    if (value < 0 || value >= end) return -1;
    if (stringIs(bytes, at, end, key)) return value;
    at = bencodeEnd(bytes, value, end);
    if (at < 0) return -1;
  }
  return -1;
}

/** As dictionaryValue, but only for a value of type dictionary (`d`), list (`l`), integer (`i`) or string (`0`). */
export function dictionaryValueOf(
  bytes: Uint8Array,
  start: number,
  end: number,
  key: Uint8Array,
  type: 'd' | 'l' | 'i' | '0',
): number {
  const at = dictionaryValue(bytes, start, end, key);
  if (at < 0) return -1;
  const byte = bytes[at]!;
  if (type === '0') return byte >= digit0 && byte <= digit0 + 9 ? at : -1;
  return byte === (type === 'd' ? letterD : type === 'l' ? letterL : letterI) ? at : -1;
}

/** Keys that are looked for together, in one walk over a dictionary. Made once; `readDictionary` fills in `values`. */
export interface DictionaryKeys {
  readonly texts: readonly Uint8Array[];
  /** First byte of a value of the wanted type (0x30 for a string), 0 for any. */
  readonly types: readonly number[];
  /** Indexes into `texts` by the length of the key. */
  readonly byLength: readonly (readonly number[])[];
  /** Where the value of each key begins, or -1; valid until the next call with these keys. */
  readonly values: Int32Array;
}

/** Prepares keys of up to 99 characters, each with the type its value must have (`*` any). */
export function dictionaryKeys(
  wanted: readonly (readonly [key: string, type: 'd' | 'l' | 'i' | '0' | '*'])[],
): DictionaryKeys {
  const texts = wanted.map(([key]) => Uint8Array.from(key, (character) => character.charCodeAt(0)));
  const byLength = Array.from({ length: 100 }, (_, length) =>
    [...texts.keys()].filter((index) => texts[index]!.length === length),
  );
  const types = wanted.map(([, type]) => (type === '*' ? 0 : type.charCodeAt(0)));
  return { texts, types, byLength, values: new Int32Array(wanted.length).fill(-1) };
}

/**
 * Reads the dictionary at `start` once and notes in `keys.values` where the values of the wanted keys begin; the first
 * of equal keys counts. Answers where the dictionary ends, or Malformed or Incomplete: what stands before the fault or
 * the cut has been noted all the same, and the last value noted may itself be cut. What stands behind 256 items counts
 * as cut off.
 */
export function readDictionary(bytes: Uint8Array, start: number, end: number, keys: DictionaryKeys): number {
  const { values } = keys;
  for (let i = 0; i < values.length; i++) values[i] = -1;
  if (start < end && bytes[start] !== letterD) return Malformed;
  const to = walk(bytes, start, end, readItemsMax, keys);
  return to === tooManyItems ? Incomplete : to;
}

/** Notes the value at `value` if the key `[at, value)` is wanted and the value's type fits. */
function noteValue(bytes: Uint8Array, at: number, value: number, keys: DictionaryKeys): void {
  const from = bytes[at + 1] === colon ? at + 2 : at + 3;
  // Three digits of length: longer than any key that is asked for.
  if (bytes[from - 1] !== colon) return;
  const candidates = keys.byLength[value - from]!;
  for (let i = 0; i < candidates.length; i++) {
    const index = candidates[i]!;
    if (keys.values[index]! >= 0 || !isSame(bytes, from, keys.texts[index]!)) continue;
    const first = bytes[value]!;
    const type = first >= digit0 && first <= digit0 + 9 ? digit0 : first;
    if (keys.types[index] === 0 || keys.types[index] === type) keys.values[index] = value;
    return;
  }
}

function isSame(bytes: Uint8Array, from: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}

/**
 * True if a kept stream `[start, end)`, of which the last `newBytes` have just come with the side's payload packet `packet`,
 * is worth reading again: it has passed another multiple of 256 bytes, or ends as a bencoded value (`e`), a header line or a
 * chunk does, which counts in the first twelve packets only. A stream that comes in tiny segments is thus not read from its
 * beginning with each of them.
 */
export function isWorthReading(
  bytes: Uint8Array,
  start: number,
  end: number,
  newBytes: number,
  packet: number,
): boolean {
  if (newBytes <= 0) return false;
  const last = bytes[end - 1];
  if (packet <= endingPacketsMax && (last === letterE || last === 0x0a)) return true;
  return passesBlock(Math.max(0, end - start - newBytes), end - start);
}
