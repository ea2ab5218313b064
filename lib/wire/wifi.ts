/**
 * IEEE 802.11 data frames (802.11-2020 clause 9) bare or behind radiotap (radiotap.org). The frame check sequence at
 * the end needs no care: the IP length cuts it off.
 */
import { type Cursor, type Step, tooShort } from './cursor.js';
import { decodeLlc } from './ethernet.js';
import { Encrypted, Malformed, NotIp, type Packet } from './packet.js';

const headerMin = 24;
const addressLength = 6;
const address1At = 4;
const address3At = 16;
const sequenceControlAt = 22;
const qosLength = 2;
const htControlLength = 4;
const subframeHeader = 14;

const typeData = 2;
const subtypeNoData = 0x4;
const subtypeQos = 0x8;
const flagToDs = 0x01;
const flagFromDs = 0x02;
const flagProtected = 0x40;
const flagHtControl = 0x80;
const qosAmsdu = 0x80;

/** Version and type bits of frame control, and what they are for data frames. */
const controlMask = 0x0f;
const controlData = typeData << 2;

/** Ways in which a header differs from the standard's. */
const controlSwapped = 1;
const headerPadded = 2;

const radiotapMin = 8;
const radiotapTsft = 0x1;
const radiotapFlags = 0x2;
const radiotapMore = 0x8000_0000;
const radiotapDataPad = 0x20;

/** Reads an 802.11 header at the cursor. Of an aggregate (A-MSDU) the first frame is read. */
export function decodeWifi(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  return dataFrame(packet, bytes, cursor, 0);
}

/**
 * Reads an 802.11 header inside CAPWAP (RFC 5416). Controllers are known that send the two bytes of frame control the
 * wrong way round; frames on this way go to or from the distribution system, so one order only makes sense.
 */
export function decodeWrappedWifi(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 2) return tooShort(packet, cursor);
  const isSwapped =
    (bytes[at]! & controlMask) !== controlData && (bytes[at + 1]! & controlMask) === controlData;
  return dataFrame(packet, bytes, cursor, isSwapped ? controlSwapped : 0);
}

/** Steps over radiotap, whose flags tell whether the 802.11 header is padded to 32 bits. */
export function decodeRadiotap(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  const room = cursor.end - at;
  if (room < radiotapMin) return tooShort(packet, cursor);
  const length = bytes[at + 2]! | (bytes[at + 3]! << 8);
  if (bytes[at] !== 0 || length < radiotapMin) return Malformed;
  if (length > room) return tooShort(packet, cursor);
  const padded = (radiotapFlagsOf(bytes, at, at + length) & radiotapDataPad) !== 0;
  cursor.at = at + length;
  return dataFrame(packet, bytes, cursor, padded ? headerPadded : 0);
}

function littleWord(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/** The flags field: behind all presence words, and behind the 64-bit time stamp if there is one. */
function radiotapFlagsOf(bytes: Uint8Array, start: number, end: number): number {
  let at = start + 4;
  const present = littleWord(bytes, at);
  if ((present & radiotapFlags) === 0) return 0;
  while (at + 4 <= end && (littleWord(bytes, at) & radiotapMore) !== 0) at += 4;
  at += 4;
  // Fields are aligned to their own size, counted from the start of the radiotap header.
  if ((present & radiotapTsft) !== 0) at = start + ((at - start + 7) & ~7) + 8;
  return at < end ? bytes[at]! : 0;
}

function dataFrame(packet: Packet, bytes: Uint8Array, cursor: Cursor, form: number): Step {
  const at = cursor.at;
  if (cursor.end - at < 2) return tooShort(packet, cursor);
  const isSwapped = (form & controlSwapped) !== 0;
  const control = bytes[isSwapped ? at + 1 : at]!;
  const flags = bytes[isSwapped ? at : at + 1]!;
  const subtype = control >> 4;
  if ((control & 3) !== 0) return Malformed;
  if (((control >> 2) & 3) !== typeData || (subtype & subtypeNoData) !== 0) return NotIp;
  if (cursor.end - at < headerMin) return tooShort(packet, cursor);
  if ((flags & flagProtected) !== 0) return Encrypted;
  // A later fragment of an 802.11 frame begins in the middle of an IP packet.
  if ((bytes[at + sequenceControlAt]! & 0x0f) !== 0) return NotIp;

  let length = headerMin;
  if ((flags & flagToDs) !== 0 && (flags & flagFromDs) !== 0) length += addressLength;
  let aggregate = false;
  if ((subtype & subtypeQos) !== 0) {
    if (cursor.end - at < length + qosLength) return tooShort(packet, cursor);
    aggregate = (bytes[at + length]! & qosAmsdu) !== 0;
    length += qosLength;
    if ((flags & flagHtControl) !== 0) length += htControlLength;
  }
  if ((form & headerPadded) !== 0) length = (length + 3) & ~3;
  if (aggregate) length += subframeHeader;
  // Inside a tunnel the addresses are not those of this link.
  if (packet.ipVersion === 0) packet.macStart = at + ((flags & flagToDs) !== 0 ? address3At : address1At);
  cursor.at = at + length;
  return decodeLlc(packet, bytes, cursor);
}
