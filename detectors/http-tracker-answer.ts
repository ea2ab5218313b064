/**
 * Answers of an HTTP tracker: a bencoded dictionary as body, with peers (BEP 3; compact BEP 23; IPv6 BEP 7), a failure
 * reason, or the statistics of a scrape (BEP 48). https://www.bittorrent.org/beps/bep_0003.html#trackers
 *
 * Only the body speaks: the status, content type and length say nothing, because trackers send any of them. A segment
 * that begins with the body itself is read too, so that one direction of a connection is enough. A body that begins with
 * the numbers of a swarm (`d8:completei...e10:incompletei...`, 27 fixed bytes) or of several (`d5:filesd20:`, 12) is
 * believed even where the capture ends there: random bytes are that once in 2^96, and text does not begin so.
 */
import { More, No, nearMiss, noteInfoHash, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  declaredLength,
  dictionaryKeys,
  Incomplete,
  integerEnd,
  integerValue,
  isWorthReading,
  readDictionary,
  stringEnd,
  stringStart,
  type DictionaryKeys,
} from '../lib/wire/bencode.js';
import { bodyData, isResponse, mayBecomeHttp, NoBodyYet, responseBody } from '../lib/wire/http.js';
import { compact6Bytes, compactBytes, peersPerMessageMax } from '../lib/wire/peer-list.js';
import { ascii, decimal, isDigit, startsWith } from '../lib/wire/text.js';

const peersProof = 0;
const failureProof = 1;
const scrapeProof = 2;
const countsOnly = 3;
const beginsWithCounts = 4;
const bareStrong = 5;
const failureStrong = 6;

const oddPeers = 0;
const textBehind = 1;

/** Keys of an answer; its dictionary is walked once, whatever is asked of it. */
const outer = dictionaryKeys([
  ['interval', '*'],
  ['min interval', 'i'],
  ['complete', 'i'],
  ['incomplete', 'i'],
  ['peers', '*'],
  ['peers6', '*'],
  ['failure reason', '0'],
  ['warning message', '0'],
  ['tracker id', '0'],
  ['files', 'd'],
]);
const interval = 0;
const minInterval = 1;
const complete = 2;
const incomplete = 3;
const peers = 4;
const peers6 = 5;
const failureReason = 6;
const warningMessage = 7;
const trackerId = 8;
const files = 9;

/** A peer as a dictionary (BEP 3), and the counts of one info-hash (BEP 48). */
const peerKeys = dictionaryKeys([
  ['ip', '0'],
  ['port', 'i'],
]);
const countKeys = dictionaryKeys([
  ['complete', 'i'],
  ['incomplete', 'i'],
  ['downloaded', 'i'],
]);
const completeFirst = ascii('d8:complete');
const incompleteNext = ascii('10:incompletei');
const filesFirst = ascii('d5:filesd20:');
const htmlComment = ascii('<!--');
/** Bytes behind a dictionary that say too little: the size of a chunk may go on in the next packet. */
const partialMax = 8;

/** `d5:peers` and `d5:files`. */
const keyHeadBytes = 8;
/** `d14:failure reason`. */
const reasonHeadBytes = 18;

const letterD = 0x64;
const letterE = 0x65;
const letterL = 0x6c;

const hashBytes = 20;
/** A kept stream this long does not grow much more: what is missing is judged as missing. */
const enoughBytes = 3072;
/** Packets of a side with each of which the kept stream is read. */
const readPacketsMax = 4;
/** White space, or a byte order mark, that careless scripts print before the dictionary. */
const leadMax = 4;

function hasInteger(bytes: Uint8Array, end: number, keys: DictionaryKeys, key: number): boolean {
  const at = keys.values[key]!;
  return at >= 0 && integerEnd(bytes, at, end) > 0;
}

/** The interval is an integer; some scripts write its digits as a string. */
function hasIntervalNumber(bytes: Uint8Array, end: number): boolean {
  const at = outer.values[interval]!;
  if (at < 0 || integerEnd(bytes, at, end) > 0) return at >= 0;
  const to = stringEnd(bytes, at, end);
  return to > 0 && decimal(bytes, stringStart(bytes, at, end), to) >= 0;
}

/** True if the value at `at` is a list of peers as dictionaries (BEP 3), or an empty list. */
function isPeerList(bytes: Uint8Array, at: number, end: number): boolean {
  if (bytes[at] !== letterL || at + 1 >= end) return false;
  if (bytes[at + 1] === letterE) return true;
  readDictionary(bytes, at + 1, end, peerKeys);
  return peerKeys.values[0]! >= 0 && peerKeys.values[1]! >= 0;
}

/** 1 if the dictionary holds peers in a form that a tracker sends, 0 if it has none, -1 if their form is wrong. */
function peersForm(bytes: Uint8Array, end: number): -1 | 0 | 1 {
  let form: -1 | 0 | 1 = 0;
  const four = outer.values[peers]!;
  if (four >= 0) {
    const length = declaredLength(bytes, four, end);
    if (length < 0 ? isPeerList(bytes, four, end) : length % compactBytes === 0) form = 1;
    else if (length >= 0) return -1;
  }
  const six = outer.values[peers6]!;
  if (six < 0) return form;
  const length = declaredLength(bytes, six, end);
  return length < 0 ? form : length % compact6Bytes === 0 ? 1 : -1;
}

/** Notes the peers of the answer just read, as far as they are there; host names are left out. */
function notePeers(view: View, bytes: Uint8Array, end: number): void {
  const four = outer.values[peers]!;
  const six = outer.values[peers6]!;
  if (four >= 0) {
    if (bytes[four] === letterL) notePeerList(view, bytes, four + 1, end);
    else noteCompact(view, bytes, four, end, compactBytes);
  }
  if (six >= 0) noteCompact(view, bytes, six, end, compact6Bytes);
}

/** The peers in compact form of the string at `at`, which may be cut. */
function noteCompact(view: View, bytes: Uint8Array, at: number, end: number, unit: number): void {
  const length = declaredLength(bytes, at, end);
  if (length <= 0 || length % unit !== 0) return;
  const from = stringStart(bytes, at, end);
  view.peers.addCompact(bytes, from, Math.min(end, from + length), unit, 0);
}

/** The peers as dictionaries from `at` on (BEP 3). */
function notePeerList(view: View, bytes: Uint8Array, at: number, end: number): void {
  let next = at;
  for (let items = 0; items < peersPerMessageMax && next < end && bytes[next] === letterD; items++) {
    next = readDictionary(bytes, next, end, peerKeys);
    if (next < 0) return;
    const ip = peerKeys.values[0]!;
    const port = peerKeys.values[1]!;
    if (ip < 0 || port < 0) continue;
    const to = stringEnd(bytes, ip, end);
    if (to > 0) view.peers.addText(bytes, stringStart(bytes, ip, end), to, integerValue(bytes, port, end));
  }
}

/** True if the value at `at` begins a scrape's `files`: 20-byte keys, each with a dictionary of counts (BEP 48). */
function isScrapeFiles(view: View, bytes: Uint8Array, at: number, end: number): boolean {
  if (bytes[at] !== letterD || at + 1 >= end) return false;
  const key = at + 1;
  const value = stringEnd(bytes, key, end);
  if (value < 0 || value >= end || value - stringStart(bytes, key, end) !== hashBytes) return false;
  readDictionary(bytes, value, end, countKeys);
  if (
    !hasInteger(bytes, end, countKeys, 0) &&
    !hasInteger(bytes, end, countKeys, 1) &&
    !hasInteger(bytes, end, countKeys, 2)
  )
    return false;
  noteInfoHash(view, bytes, value - hashBytes, hashBytes);
  return true;
}

/** True if the value at `at` is the beginning of readable text: a failure reason is a sentence for people. */
function isSentence(bytes: Uint8Array, at: number, end: number): boolean {
  const from = stringStart(bytes, at, end);
  if (from < 0) return false;
  const length = decimal(bytes, at, from - 1);
  if (length < 0 || length > 4096) return false;
  const to = Math.min(end, from + length);
  for (let i = from; i < to; i++)
    if (bytes[i]! < 0x20 && bytes[i] !== 0x0a && bytes[i] !== 0x0d) return false;
  return to > from || length === 0;
}

/** True if the failure reason at `reason` is all that the dictionary at `at` holds. */
function isAlone(bytes: Uint8Array, at: number, reason: number, end: number): boolean {
  return reason === at + reasonHeadBytes && stringEnd(bytes, reason, end) + 1 === end;
}

/** True if the dictionary at `at` begins with how many have everything, and how many do not. */
function opensWithCounts(bytes: Uint8Array, at: number, end: number): boolean {
  if (!startsWith(bytes, at, end, completeFirst)) return false;
  const next = integerEnd(bytes, at + completeFirst.length, end);
  const digit = next + incompleteNext.length;
  return next > 0 && digit < end && startsWith(bytes, next, end, incompleteNext) && isDigit(bytes[digit]!);
}

/** True if the dictionary at `at` begins with the statistics of an info-hash, whose value is one as far as it is there. */
function opensWithFiles(bytes: Uint8Array, at: number, end: number): boolean {
  if (!startsWith(bytes, at, end, filesFirst)) return false;
  const value = at + filesFirst.length + hashBytes;
  return value >= end || bytes[value] === letterD;
}

/**
 * True if a whole answer holds nothing but peers, or statistics of no torrent: `d5:peers0:e`, `d5:filesdee`. Short
 * words, so they are strong only where the dictionary begins with them.
 */
function isBare(bytes: Uint8Array, at: number, form: number): boolean {
  const first = at + keyHeadBytes;
  if (form > 0) return outer.values[peers] === first;
  return outer.values[files] === first && bytes[first + 1] === letterE;
}

/**
 * What the dictionary at `at`, just read, says: a finding, or -1. `isWhole` if it ends at `end`; `isBody` if HTTP is before
 * it. Without that, a reason among other keys may be an answer of some other protocol that has picked bencode.
 */
function findingOf(
  view: View,
  bytes: Uint8Array,
  at: number,
  end: number,
  isWhole: boolean,
  isBody: boolean,
): number {
  const { values } = outer;
  const hasInterval = hasIntervalNumber(bytes, end);
  const form = peersForm(bytes, end);
  if (form < 0) {
    view.near = oddPeers;
    return -1;
  }
  const reason = values[failureReason]!;
  if (reason >= 0 && isSentence(bytes, reason, end))
    return isBody || isAlone(bytes, at, reason, end) ? failureProof : failureStrong;
  const counts =
    (hasInteger(bytes, end, outer, complete) ? 1 : 0) +
    (hasInteger(bytes, end, outer, incomplete) ? 1 : 0) +
    (hasInteger(bytes, end, outer, minInterval) ? 1 : 0);
  const words = (values[warningMessage]! >= 0 ? 1 : 0) + (values[trackerId]! >= 0 ? 1 : 0);
  // Some trackers leave out the interval when the client is told to stop, but never everything else as well.
  if (form > 0 && (hasInterval || counts + words >= 2)) return peersProof;
  const statistics = values[files]!;
  if (statistics >= 0 && isScrapeFiles(view, bytes, statistics, end)) return scrapeProof;
  const cut = view.wireLength > view.end - view.start;
  if ((hasInterval || cut) && opensWithCounts(bytes, at, end)) return beginsWithCounts;
  if (cut && opensWithFiles(bytes, at, end)) return scrapeProof;
  if (hasInterval && counts + words > 0) return countsOnly;
  return isWhole && isBare(bytes, at, form) ? bareStrong : -1;
}

/** Where the dictionary begins in the body at `body`: behind up to four bytes of line ends or a byte order mark. */
function dictionaryStart(bytes: Uint8Array, body: number, end: number): number {
  let at = body;
  const to = Math.min(end, body + leadMax);
  while (at < to && isLead(bytes[at]!)) at++;
  return at;
}

function isLead(byte: number): boolean {
  return byte === 0x0d || byte === 0x0a || byte === 0xef || byte === 0xbb || byte === 0xbf;
}

/**
 * True if what stands behind a whole dictionary may be there in an answer: line ends, the end of a chunk or another chunk,
 * another response, or the comment that hosts add to every page. A text that begins with an example goes on otherwise.
 */
function mayFollow(bytes: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end && (isLead(bytes[at]!) || bytes[at] === 0x20 || bytes[at] === 0x09 || bytes[at] === 0))
    at++;
  if (end - at <= partialMax || isResponse(bytes, at, end)) return true;
  return startsWith(bytes, at, end, htmlComment) || (at > from && bodyData(bytes, at, end) !== at);
}

/**
 * Judges the body that begins at `body`. `waits` says whether more of it will be shown together with this, `isBody` whether
 * the head of an HTTP response is before it.
 */
function judge(
  view: View,
  bytes: Uint8Array,
  body: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
  isBody: boolean,
): Outcome {
  const mayLead = body < end && isLead(bytes[body]!);
  if (mayLead) body = dictionaryStart(bytes, body, end);
  if (mayLead && body === end) return waits ? More : No;
  if (bytes[body] !== letterD) return No;
  const next = body + 1 < end ? bytes[body + 1]! : 0x31;
  if (next < 0x31 || next > 0x39) return No;
  // A second chunk's size line makes the rest malformed; what stands before it still speaks.
  const whole = readDictionary(bytes, body, end, outer);
  const to = whole < 0 ? end : whole;
  if (whole > 0 && !mayFollow(bytes, whole, end)) return nearMiss(view, textBehind);
  const mayGrow = whole === Incomplete && waits;
  const finding = findingOf(view, bytes, body, to, whole > 0, isBody);
  if (finding < 0) return view.near >= 0 ? nearMiss(view, view.near) : mayGrow ? More : No;
  // Counts without peers: the peers may still come.
  if ((finding === countsOnly || finding === beginsWithCounts) && mayGrow) return More;
  notePeers(view, bytes, to);
  return inOpening ? yesInOpening(view, finding, body, to) : yesInPayload(view, finding, body, to);
}

/** True if a body can begin at `start` without a header block before it: `d` and a digit, or a chunk's size line. */
function mayBeBody(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < 8) return false;
  const first = bytes[start]!;
  const second = bytes[start + 1]!;
  if (first === letterD && second >= 0x31 && second <= 0x39) return true;
  if ((first | 0x20) > 0x66) return false;
  const data = bodyData(bytes, start, end);
  return data !== start && data < end;
}

/** The kept stream: read with the first packets, later when enough of it is new. */
function judgeOpening(view: View, waits: boolean): Outcome {
  const { opening, openingStart, openingEnd } = view;
  const packet = view.payloadPacket;
  const newBytes = view.end - view.start;
  if (packet > readPacketsMax && !isWorthReading(opening, openingStart, openingEnd, newBytes, packet))
    return waits ? More : No;
  const body = responseBody(opening, openingStart, openingEnd);
  if (body === NoBodyYet) return waits ? More : No;
  return judge(view, opening, body, openingEnd, true, waits, true);
}

function inspect(view: View): Outcome {
  const { bytes, start, end, opening, openingStart, openingEnd } = view;
  const kept = openingEnd - openingStart;
  // Waiting is possible where a stream begins to be kept: with its first bytes, or here when nothing is kept.
  const isFirst = kept === end - start || kept === 0;
  const cut = view.wireLength > end - start;
  if (isResponse(bytes, start, end)) {
    const body = responseBody(bytes, start, end);
    if (body === NoBodyYet) return isFirst && !cut ? More : No;
    return judge(view, bytes, body, end, false, isFirst && !cut && kept < enoughBytes, true);
  }
  if (kept > end - start && isResponse(opening, openingStart, openingEnd)) {
    const outcome = judgeOpening(view, kept < enoughBytes);
    if (outcome !== No) return outcome;
  }
  // Who opened the connection asks; what it says without HTTP is no answer.
  if (view.fromStart && view.fromClient) return No;
  if (mayBeBody(bytes, start, end)) {
    const body = bodyData(bytes, start, end);
    return judge(view, bytes, body, end, false, isFirst && !cut && kept < enoughBytes, false);
  }
  return end - start < 8 && isFirst && mayBecomeHttp(bytes, start, end) ? More : No;
}

export const httpTrackerAnswer: Detector = {
  name: 'http-tracker-answer',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 7, BEP 23, BEP 48',
  summary: 'bencoded answers of an HTTP tracker: peers, failure reason, scrape statistics',
  limits:
    'not inside TLS; a body with content coding (gzip, deflate) cannot be read; only the first chunk is read',
  scope: 'packets',
  packetsMax: 24,
  firstBytes: [
    0x48, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46,
    0x61, 0x62, 0x63, 0x64, 0x65, 0x66,
  ],
  where: 'anywhere',
  teaches: true,
  findings: [
    { text: 'HTTP tracker answer with peers', kind: 'http-tracker', confidence: 'proof' },
    { text: 'HTTP tracker failure answer', kind: 'http-tracker', confidence: 'proof' },
    { text: 'HTTP tracker scrape answer', kind: 'http-tracker', confidence: 'proof' },
    { text: 'HTTP tracker answer, no peers seen', kind: 'http-tracker', confidence: 'strong' },
    {
      text: 'HTTP tracker answer that begins with the numbers of its swarm, no peers seen',
      kind: 'http-tracker',
      confidence: 'proof',
    },
    {
      text: 'HTTP tracker answer with nothing but peers, or the statistics of no torrent',
      kind: 'http-tracker',
      confidence: 'strong',
    },
    { text: 'failure reason among other keys, without HTTP', kind: 'http-tracker', confidence: 'strong' },
  ],
  nearMisses: [
    'bencoded answer whose peers are not multiples of 6 or 18 bytes',
    'text that begins with what a tracker answers',
  ],
  inspect,
};
