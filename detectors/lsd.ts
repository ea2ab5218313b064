/**
 * Local service discovery (BEP 14): a datagram `BT-SEARCH * HTTP/1.1` with the headers Host, Port and one or more
 * Infohash, sent to 239.192.152.143:6771 or [ff15::efc0:988f]:6771. The address is not asked for: the request line
 * with an info-hash says it all, and clients may be set to other ports.
 */
import { ascii, decimal, hexDigit, isDigit, startsWith } from '../lib/wire/text.js';
import {
  nearMiss,
  No,
  noteHexInfoHash,
  yesInPayload,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const requestLine = ascii('BT-SEARCH * HTTP/1.1\r\n');
const infoHashName = ascii('infohash:');
const portName = ascii('port:');

const announced = 0;

const noInfoHash = 0;

const hexDigitsV1 = 40;
const hexDigitsV2 = 64;
/** Header lines looked at: Host, Port, Cookie and, in one datagram of 1,400 bytes, at most 26 info-hashes. */
const linesMax = 64;

export const lsd: Detector = {
  name: 'lsd',
  transport: 'udp',
  confidence: 'proof',
  reference: 'BEP 14',
  summary: 'local service discovery: BT-SEARCH with port and info-hash',
  limits: 'a request line with another case or version is not taken',
  scope: 'packets',
  packetsMax: 4,
  firstBytes: [0x42],
  where: 'anywhere',
  findings: [{ text: 'local service discovery: BT-SEARCH (BEP 14)', kind: 'lsd', confidence: 'proof' }],
  nearMisses: ['BT-SEARCH without a port and an info-hash'],
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    if (end - start < requestLine.length || bytes[start] !== 0x42) return No;
    if (!startsWith(bytes, start, end, requestLine)) return No;
    return readHeaders(view, bytes, start, end);
  },
};

/** Walks the header lines for a port and the first info-hash. */
function readHeaders(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  let hash = -1;
  let digits = 0;
  let port = false;
  let at = start + requestLine.length;
  for (let lines = 0; lines < linesMax && at < end; lines++) {
    if (bytes[at] === 0x0d) break;
    if (isHeader(bytes, at, end, portName)) {
      const value = skipSpaces(bytes, at + portName.length, end);
      port = value < end && bytes[value]! >= 0x31 && bytes[value]! <= 0x39;
      view.listenPort = portNumber(bytes, value, end);
    } else if (hash < 0 && isHeader(bytes, at, end, infoHashName)) {
      const value = skipSpaces(bytes, at + infoHashName.length, end);
      digits = hexRun(bytes, value, end);
      if (digits === hexDigitsV1 || digits === hexDigitsV2) hash = value;
    }
    while (at < end && bytes[at] !== 0x0a) at++;
    at++;
  }
  if (hash >= 0 && port) {
    noteHexInfoHash(view, bytes, hash, hash + digits);
    return yesInPayload(view, announced, start, Math.min(end, hash + digits));
  }
  // The request line is BEP 14's own; a capture that cut the datagram leaves nothing else it could be.
  if (view.wireLength > end - start) return yesInPayload(view, announced, start, end);
  return nearMiss(view, noInfoHash);
}

/** The port that stands at `at` with something behind it, or 0. */
function portNumber(bytes: Uint8Array, at: number, end: number): number {
  let to = at;
  while (to < end && isDigit(bytes[to]!)) to++;
  const port = to < end ? decimal(bytes, at, to) : 0;
  return port > 0 && port <= 65_535 ? port : 0;
}

/** Header names are compared without case, as in HTTP. */
function isHeader(bytes: Uint8Array, at: number, end: number, header: Uint8Array): boolean {
  if (end - at < header.length) return false;
  for (let i = 0; i < header.length; i++) {
    const byte = bytes[at + i]!;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== header[i]) return false;
  }
  return true;
}

function skipSpaces(bytes: Uint8Array, at: number, end: number): number {
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0x09)) at++;
  return at;
}

/** Number of hex digits from `at`, counted up to one more than the longest hash has. */
function hexRun(bytes: Uint8Array, at: number, end: number): number {
  const limit = Math.min(end, at + hexDigitsV2 + 1);
  let i = at;
  while (i < limit && hexDigit(bytes[i]!) >= 0) i++;
  return i - at;
}
