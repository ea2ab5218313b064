/**
 * HTTP tracker requests: announce (BEP 3, compact BEP 23, IPv6 BEP 7) and scrape (BEP 48).
 * https://www.bittorrent.org/beps/bep_0003.html#trackers
 *
 * A request is recognised by the parameters of its target, in any order, on any path, host and port: an `info_hash`
 * that decodes to exactly 20 bytes with the peer's own particulars beside it. An announce URL that is itself the value
 * of a parameter (a search, a redirect) or stands in a header or body is never looked at.
 */
import { More, No, nearMiss, noteClient, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  headerValue,
  isGet,
  isRequestLineWorthReading,
  lastSegment,
  lineEnd,
  mayBecomeHttp,
  parameterEnd,
  queryStart,
  requestLineWasOpen,
} from '../lib/wire/http.js';
import {
  ascii,
  decimal,
  hexDecode,
  hexDigit,
  isAlphanumeric,
  isCounter,
  needle,
  percentDecode,
  startsWith,
  startsWithIgnoringCase,
} from '../lib/wire/text.js';

const announceProof = 0;
const scrapeProof = 1;
const hashOnly = 2;
const hexHash = 3;

const notTwentyBytes = 0;
const nothingBeside = 1;
const scrapeAll = 2;

const names = ['info_hash=', 'peer_id=', 'port=', 'uploaded=', 'downloaded=', 'left=', 'piece='].map(ascii);
const infoHash = 0;
const peerId = 1;
const port = 2;
const uploaded = 3;
const downloaded = 4;
const left = 5;
const piece = 6;
/** Parameters of one query that are looked at: announces have up to 20. */
const parametersMax = 64;
/** Where the value of each parameter begins, or -1: answer of `readParameters`, valid until its next call. */
const values = new Int32Array(names.length);

const announceName = ascii('announce');
const scrapeName = ascii('scrape');
const userAgent = needle('\nuser-agent:');

const targetOffset = 4;
const hashBytes = 20;
const hexHashBytes = 40;
const slash = 0x2f;
const letterG = 0x47;
const ampersand = 0x26;
const questionMark = 0x3f;
const percent = 0x25;
const dash = 0x2d;

/** Notes where the values of the wanted parameters begin, in one walk over the query; the first of equal names counts. */
function readParameters(bytes: Uint8Array, query: number, end: number): void {
  values.fill(-1);
  let at = query;
  for (let parameters = 0; parameters < parametersMax && at < end; parameters++) {
    for (let i = 0; i < names.length; i++) {
      const name = names[i]!;
      if (values[i]! >= 0 || bytes[at] !== name[0] || !startsWith(bytes, at, end, name)) continue;
      values[i] = at + name.length;
      break;
    }
    at = parameterEnd(bytes, at, end);
    if (at >= end || bytes[at] !== ampersand) return;
    at++;
  }
}

/**
 * Where the parameters begin, given where the query does: an announce URL that has a passkey as its query gets a second
 * question mark from careless clients (`/announce.php?passkey=0123?info_hash=`).
 */
function parametersStart(bytes: Uint8Array, query: number, end: number): number {
  let at = query;
  while (at < end && isPlain(bytes[at]!)) at++;
  return at < end && bytes[at] === questionMark ? at + 1 : query;
}

function isPlain(byte: number): boolean {
  return isAlphanumeric(byte) || byte === 0x5f || byte === 0x3d || byte === dash;
}

/** The last segment of the path, or the one before it if that is empty (`/scrape/?info_hash=`). */
function nameSegment(bytes: Uint8Array, target: number, pathEnd: number): number {
  const isEmpty = pathEnd - 1 > target && bytes[pathEnd - 1] === slash;
  return lastSegment(bytes, target, isEmpty ? pathEnd - 1 : pathEnd);
}

/** A counter parameter (`uploaded=`, `left=`...): 1 if it is there and a number, else 0. Clients write -1 as unknown. */
function counter(bytes: Uint8Array, end: number, name: number): number {
  const at = values[name]!;
  if (at < 0) return 0;
  const to = parameterEnd(bytes, at, end);
  return isCounter(bytes, bytes[at] === dash ? at + 1 : at, to) ? 1 : 0;
}

function counters(bytes: Uint8Array, end: number): number {
  return counter(bytes, end, uploaded) + counter(bytes, end, downloaded) + counter(bytes, end, left);
}

/** Decodes the peer-id into `view.client`; true if it is 20 bytes. */
function readPeerId(view: View, bytes: Uint8Array, end: number): boolean {
  const at = values[peerId]!;
  if (at < 0) return false;
  const to = parameterEnd(bytes, at, end);
  return to < end && percentDecode(bytes, at, to, view.client) === hashBytes;
}

/** Decodes an info-hash of 40 hexadecimal digits into `view.infoHash`; false if it is none. */
function readHexHash(view: View, bytes: Uint8Array, at: number, to: number): boolean {
  return to - at === hexHashBytes && hexDecode(bytes, at, to, view.infoHash);
}

/** Notes the User-Agent, else the readable beginning of the peer-id that `readPeerId` left in `view.client`. */
function noteSoftware(view: View, bytes: Uint8Array, start: number, end: number, hasPeerId: boolean): void {
  const at = headerValue(bytes, start, end, userAgent);
  const to = at < 0 ? at : lineEnd(bytes, at, end);
  if (to > at && to < end) {
    noteClient(view, bytes, at, to);
    return;
  }
  view.clientLength = 0;
  if (!hasPeerId) return;
  while (view.clientLength < 8) {
    const byte = view.client[view.clientLength]!;
    if (byte <= 0x20 || byte >= 0x7f) break;
    view.clientLength++;
  }
}

/**
 * How a request whose end the capture cut off inside the info-hash is believed: a finding, or -1. A path called announce
 * or scrape whose `info_hash` is being written in escapes, at least three and one of them no character, is nothing else;
 * nor is one that begins its query with an `info_hash` that is not hexadecimal (snap lengths of old leave few bytes of it).
 * Elsewhere in the query one such escape as the first byte is what 10 of 16 random hashes begin with and no readable
 * parameter does: strong.
 */
function cutFinding(bytes: Uint8Array, path: number, query: number, hash: number, end: number): number {
  const isScrape = startsWithIgnoringCase(bytes, path, end, scrapeName);
  if (!isScrape && !startsWithIgnoringCase(bytes, path, end, announceName)) return -1;
  let escapes = 0;
  let binary = false;
  let raw = false;
  for (let i = hash; i < end; i++) {
    if (bytes[i]! <= 0x20) return -1;
    raw ||= hexDigit(bytes[i]!) < 0;
    if (bytes[i] !== percent || i + 2 >= end) continue;
    escapes++;
    binary ||= isBinary(bytes[i + 1]!);
  }
  const isFirst = hash - query === names[infoHash]!.length;
  if ((escapes >= 3 && binary) || (isFirst && raw)) return isScrape ? scrapeProof : announceProof;
  return end - hash >= 3 && bytes[hash] === percent && isBinary(bytes[hash + 1]!) ? hashOnly : -1;
}

/** The first digit of an escape tells: 0 and 1 are control characters, 8 to f are beyond ASCII. */
function isBinary(digit: number): boolean {
  return digit <= 0x31 || digit >= 0x38;
}

/** Answers about a request that the capture cut inside `[hash, end)`. */
function judgeCut(
  view: View,
  bytes: Uint8Array,
  start: number,
  path: number,
  query: number,
  hash: number,
  end: number,
  inOpening: boolean,
): Outcome {
  const finding = cutFinding(bytes, path, query, hash, end);
  return finding < 0 ? No : say(view, finding, start, end, inOpening);
}

/** Judges the request that begins at `start`. */
function judge(view: View, bytes: Uint8Array, start: number, end: number, inOpening: boolean): Outcome {
  const target = start + targetOffset;
  const firstQuery = queryStart(bytes, target, end);
  const cut = view.wireLength > view.end - view.start;
  if (firstQuery < 0) return judgeBare(view, bytes, target, end);
  if (firstQuery === end) return cut ? No : More;
  const query = parametersStart(bytes, firstQuery, end);
  readParameters(bytes, query, end);
  const hash = values[infoHash]!;
  if (hash < 0) return isWholeTarget(bytes, query, end) || cut ? No : More;
  const hashEnd = parameterEnd(bytes, hash, end);
  const path = nameSegment(bytes, target, firstQuery - 1);
  if (hashEnd === end) {
    return cut ? judgeCut(view, bytes, start, path, query, hash, end, inOpening) : More;
  }
  const isHex = readHexHash(view, bytes, hash, hashEnd);
  if (!isHex && percentDecode(bytes, hash, hashEnd, view.infoHash) !== hashBytes)
    return nearMiss(view, notTwentyBytes);
  const outcome = isHex
    ? judgeHex(view, bytes, start, query, end, inOpening)
    : judgeHashed(view, bytes, start, query, path, end, inOpening);
  if (outcome === No || outcome === More) view.infoHashLength = 0;
  return outcome;
}

/** An info-hash in hexadecimal: no tracker takes it, but with all the rest of an announce beside it the intent is clear. */
function judgeHex(
  view: View,
  bytes: Uint8Array,
  start: number,
  query: number,
  end: number,
  inOpening: boolean,
): Outcome {
  if (!isWholeTarget(bytes, query, end)) return view.wireLength > view.end - view.start ? No : More;
  const hasPeerId = readPeerId(view, bytes, end);
  if ((values[peerId]! < 0 && !hasPortNumber(bytes, end)) || counters(bytes, end) < 2)
    return nearMiss(view, notTwentyBytes);
  view.infoHashLength = hashBytes;
  view.listenPort = portNumber(bytes, end);
  noteSoftware(view, bytes, start, end, hasPeerId);
  return say(view, hexHash, start, end, inOpening);
}

/** A request with an info-hash of 20 bytes: whose is it? */
function judgeHashed(
  view: View,
  bytes: Uint8Array,
  start: number,
  query: number,
  path: number,
  end: number,
  inOpening: boolean,
): Outcome {
  view.infoHashLength = hashBytes;
  const hasPeerId = readPeerId(view, bytes, end);
  const hasPort = hasPortNumber(bytes, end);
  const counted = counters(bytes, end);
  const isAnnounce = hasPeerId ? hasPort || counted >= 2 : counted + (hasPort ? 1 : 0) >= 3;
  const isScrape = startsWithIgnoringCase(bytes, path, end, scrapeName);
  if (isAnnounce || isScrape) {
    if (isAnnounce) view.listenPort = portNumber(bytes, end);
    noteSoftware(view, bytes, start, end, hasPeerId);
    return say(view, isAnnounce ? announceProof : scrapeProof, start, end, inOpening);
  }
  if (!isWholeTarget(bytes, query, end)) {
    const cut = view.wireLength > view.end - view.start;
    return cut ? judgeCut(view, bytes, start, path, query, query, end, inOpening) : More;
  }
  // An HTTP seed's request (BEP 17) also has an info-hash; it belongs to the web-seed detector.
  if (values[piece]! >= 0) return No;
  if (!startsWithIgnoringCase(bytes, path, end, announceName)) return nearMiss(view, nothingBeside);
  noteSoftware(view, bytes, start, end, hasPeerId);
  return say(view, hashOnly, start, end, inOpening);
}

function hasPortNumber(bytes: Uint8Array, end: number): boolean {
  const at = values[port]!;
  if (at < 0) return false;
  const value = decimal(bytes, at, parameterEnd(bytes, at, end));
  return value >= 0 && value <= 65_535;
}

/** The port at which this client listens (BEP 3), 0 if it does not say or the number may go on behind the range. */
function portNumber(bytes: Uint8Array, end: number): number {
  const at = values[port]!;
  if (at < 0) return 0;
  const to = parameterEnd(bytes, at, end);
  const value = to < end ? decimal(bytes, at, to) : 0;
  return value > 0 && value <= 65_535 ? value : 0;
}

/**
 * A target without a query: a scrape of everything that the tracker has (BEP 48), or no tracker request. The path alone
 * is no evidence, because programs that collect web pages or metrics are called scrapers too.
 */
function judgeBare(view: View, bytes: Uint8Array, target: number, end: number): Outcome {
  const targetEnd = parameterEnd(bytes, target, end);
  const path = lastSegment(bytes, target, targetEnd);
  const isScrape = targetEnd - path === scrapeName.length && startsWith(bytes, path, targetEnd, scrapeName);
  return isScrape ? nearMiss(view, scrapeAll) : No;
}

/** True if the target ends in this range: the white space after it is there. */
function isWholeTarget(bytes: Uint8Array, query: number, end: number): boolean {
  let i = query;
  while (i < end && bytes[i]! > 0x20) i++;
  return i < end;
}

function say(view: View, finding: number, from: number, to: number, inOpening: boolean): Outcome {
  const end = lineEnd(inOpening ? view.opening : view.bytes, from, to);
  return inOpening ? yesInOpening(view, finding, from, end) : yesInPayload(view, finding, from, end);
}

function inspect(view: View): Outcome {
  const { bytes, start, end } = view;
  if (isGet(bytes, start, end)) return judge(view, bytes, start, end, false);
  const { opening, openingStart, openingEnd } = view;
  if (openingEnd - openingStart > end - start) {
    if (opening[openingStart] !== letterG) return No;
    if (!isRequestLineWorthReading(opening, openingStart, openingEnd, end - start, view.payloadPacket))
      return More;
    if (!requestLineWasOpen(opening, openingStart, openingEnd, end - start)) return No;
    return isGet(opening, openingStart, openingEnd)
      ? judge(view, opening, openingStart, openingEnd, true)
      : More;
  }
  return end - start <= targetOffset && mayBecomeHttp(bytes, start, end) ? More : No;
}

export const httpTracker: Detector = {
  name: 'http-tracker',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 7, BEP 23, BEP 48',
  summary: 'announce and scrape requests to an HTTP tracker, by their parameters',
  limits:
    'not inside TLS; a request line longer than the kept opening is not read to its end; an info_hash in ' +
    'hexadecimal is only strong; one inside another parameter, a header or a body is not believed',
  scope: 'packets',
  packetsMax: 24,
  firstBytes: [0x47],
  where: 'anywhere',
  findings: [
    { text: 'HTTP tracker announce', kind: 'http-tracker', confidence: 'proof' },
    { text: 'HTTP tracker scrape', kind: 'http-tracker', confidence: 'proof' },
    {
      text: 'announce path with an info-hash but no particulars',
      kind: 'http-tracker',
      confidence: 'strong',
    },
    {
      text: 'announce with its info-hash in hexadecimal',
      kind: 'http-tracker',
      confidence: 'strong',
    },
  ],
  nearMisses: [
    'info_hash parameter that is not 20 bytes',
    'info_hash parameter without the other parameters of an announce',
    'scrape path without an info-hash',
  ],
  inspect,
};
