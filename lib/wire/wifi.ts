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

const radiotapMin = 8;
const radiotapTsft = 0x1;
const radiotapFlags = 0x2;
const radiotapMore = 0x8000_0000;
const radiotapDataPad = 0x20;

/** Reads an 802.11 header at the cursor. Of an aggregate (A-MSDU) the first frame is read. */
export function decodeWifi(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  return dataFrame(packet, bytes, cursor, false);
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
  return dataFrame(packet, bytes, cursor, padded);
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

function dataFrame(packet: Packet, bytes: Uint8Array, cursor: Cursor, padded: boolean): Step {
  const at = cursor.at;
  if (cursor.end - at < 2) return tooShort(packet, cursor);
  const control = bytes[at]!;
  const flags = bytes[at + 1]!;
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
  if (padded) length = (length + 3) & ~3;
  if (aggregate) length += subframeHeader;
  packet.macStart = at + ((flags & flagToDs) !== 0 ? address3At : address1At);
  cursor.at = at + length;
  return decodeLlc(packet, bytes, cursor);
}
