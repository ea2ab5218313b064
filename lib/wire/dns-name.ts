/**
 * The name that a DNS message asks for (RFC 1035 section 4.1), as text: queries and their answers, over UDP or, behind a
 * length of two bytes, over TCP. Only the question is read. It stands first, so no compression pointer can be in it: there
 * is nothing before it to point to, and a message that has one there is not believed.
 */
import { labelByte, nameBytesMax } from './name-set.js';

export const NoQuestion = 0;
/** Could be, is not all here. */
export const OpenQuestion = 1;
export const WholeQuestion = 2;
export type QuestionOutcome = typeof NoQuestion | typeof OpenQuestion | typeof WholeQuestion;

const headerBytes = 12;
const labelBytesMax = 63;
const dot = 0x2e;
const classInternet = 1;
const classAny = 255;
/** The top bit of a class asks mDNS for an answer to one only (RFC 6762 section 5.4); plain DNS has it at 0. */
const typeLargest = 0xff00;
/** Records that a query carries besides its question: EDNS, TSIG, cookies. */
const extrasMax = 4;

/** One instance is reused for every message. */
export class DnsQuestion {
  /** The name with dots between its labels, lower case, and how long it is. */
  readonly text: Uint8Array = new Uint8Array(nameBytesMax);
  length = 0;
  /** Where the labels lie in the message. */
  nameStart = 0;
  nameEnd = 0;

  /** Reads the message of which `[start, end)` is here. */
  read(bytes: Uint8Array, start: number, end: number): QuestionOutcome {
    this.length = 0;
    if (!mayBeHeader(bytes, start, end)) return NoQuestion;
    if (end - start < headerBytes) return OpenQuestion;
    const after = this.#readName(bytes, start + headerBytes, end);
    if (after === 0) return NoQuestion;
    if (after < 0 || after + 4 > end) return OpenQuestion;
    const type = (bytes[after]! << 8) | bytes[after + 1]!;
    const kind = (bytes[after + 2]! << 8) | bytes[after + 3]!;
    if (type === 0 || type > typeLargest || (kind !== classInternet && kind !== classAny)) return NoQuestion;
    this.nameStart = start + headerBytes;
    this.nameEnd = after;
    return WholeQuestion;
  }

  /** Where the name at `start` ends, -1 if it is not all here, 0 if it is no host name. */
  #readName(bytes: Uint8Array, start: number, end: number): number {
    const text = this.text;
    let length = 0;
    let at = start;
    while (at < end) {
      const label = bytes[at++]!;
      if (label === 0) {
        this.length = length;
        return length > 0 ? at : 0;
      }
      if (label > labelBytesMax || length + label + 1 > nameBytesMax) return 0;
      if (length > 0) text[length++] = dot;
      for (let i = 0; i < label && at < end; i++, at++) {
        const byte = labelByte(bytes[at]!);
        if (byte === 0) return 0;
        text[length++] = byte;
      }
    }
    return -1;
  }
}

/** Whether `[start, end)` is, as far as it reaches, the header of a message with one question. */
function mayBeHeader(bytes: Uint8Array, start: number, end: number): boolean {
  const length = Math.min(end - start, headerBytes);
  // Opcode 0 (a standard query), and the reserved bit.
  if (length > 2 && (bytes[start + 2]! & 0x78) !== 0) return false;
  if (length > 3 && (bytes[start + 3]! & 0x40) !== 0) return false;
  const isAnswer = length > 2 && (bytes[start + 2]! & 0x80) !== 0;
  if (length > 4 && bytes[start + 4] !== 0) return false;
  if (length > 5 && bytes[start + 5] !== 1) return false;
  if (isAnswer) return true;
  // A query has neither answers nor authorities, a status, or more than a few extra records.
  if (length > 3 && (bytes[start + 3]! & 0x0f) !== 0) return false;
  for (let i = 6; i < 11 && i < length; i++) if (bytes[start + i] !== 0) return false;
  return length < headerBytes || bytes[start + 11]! <= extrasMax;
}
