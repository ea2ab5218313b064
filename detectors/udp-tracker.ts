/**
 * UDP tracker protocol (BEP 15, URL data BEP 41): connect, announce, scrape and their answers.
 * https://www.bittorrent.org/beps/bep_0015.html
 *
 * A connect request is 96 fixed bits. An announce request is believed by its own structure when the peer-id names a
 * client, or by the answer to it. Answers have almost no structure of their own (their first bytes, 00 00 00 00 to
 * 00 00 00 03, begin many other protocols): they are believed only together with the other side's request and its
 * transaction id, or in the order connect, announce from one side where both have the sizes, the random ids and the
 * plausible numbers that BEP 15 asks for. That is some 98 fixed bits for random bytes; a protocol that counts its
 * packets from 0 in the first word, and sends 16 bytes first, still has to hit an interval of 10 s to a day and two
 * small counts: once in 2^31.
 */
import { More, No, noteClient, noteInfoHash, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import { compact6Bytes, compactBytes } from '../lib/wire/peer-list.js';
import { ascii, decimal, isAlphanumeric, startsWith } from '../lib/wire/text.js';
import { dataOf, word16 } from '../lib/wire/words.js';

const connectProof = 0;
const announceProof = 1;
const answeredProof = 2;
const announceStrong = 3;
const answersInOrder = 4;
const refusedInOrder = 5;

/** Actions, BEP 15. */
const connectAction = 0;
const announceAction = 1;
const scrapeAction = 2;
const errorAction = 3;

/** The protocol id of a connect request, 0x41727101980, as two words. */
const protocolHigh = 0x417;
const protocolLow = 0x27101980;

const connectBytes = 16;
const announceBytes = 98;
const scrapeHeadBytes = 16;
const hashBytes = 20;
const announceAnswerHead = 20;
const scrapeAnswerHead = 8;
const countsBytes = 12;
/** Requests of 74 info-hashes are the most that one datagram takes (BEP 15). */
const scrapeBytesMax = scrapeHeadBytes + 74 * hashBytes;
const datagramMax = 2048;
/** Interval of an announce answer, seconds. */
const intervalMin = 10;
const intervalMax = 86_400;

/** Offsets in an announce request. */
const actionAt = 8;
const transactionAt = 12;
const infoHashAt = 16;
const peerIdAt = 36;
const countersAt = 56;
const eventAt = 80;
const wantedAt = 92;
const portAt = 96;

/** BEP 15 names 0 to 3; libtorrent also sends 4 for the paused event of BEP 21. */
const eventMax = 4;
const wantedMax = 0xffff;
const dash = 0x2d;

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function isConnect(bytes: Uint8Array, start: number, length: number, wireLength: number): boolean {
  return (
    wireLength >= connectBytes &&
    wireLength <= datagramMax &&
    length >= 12 &&
    word(bytes, start) === protocolHigh &&
    word(bytes, start + 4) === protocolLow &&
    word(bytes, start + actionAt) === connectAction
  );
}

/** Zero bytes in `[from, from + length)`: 20 random bytes have more than 4 once in 100 million. */
function zeros(bytes: Uint8Array, from: number, length: number): number {
  let count = 0;
  for (let i = from; i < from + length; i++) if (bytes[i] === 0) count++;
  return count;
}

/**
 * True if 20 bytes may be a hash: hardly any zeros, and not text. At least 17 of 20 printable are so once in 100,000
 * hashes, and always in the name of a DNS query, whose additional-records count of 1 stands where an announce has its
 * action.
 */
function mayBeHash(bytes: Uint8Array, from: number): boolean {
  let nulls = 0;
  let printable = 0;
  for (let i = from; i < from + hashBytes; i++) {
    const byte = bytes[i]!;
    if (byte === 0) nulls++;
    else if (byte >= 0x20 && byte < 0x7f) printable++;
  }
  return nulls <= 4 && printable < 17;
}

/** True if a 64-bit counter is a plausible number of bytes: below 2^56, or the -1 or 2^63-1 of a magnet link. */
function isByteCount(bytes: Uint8Array, at: number): boolean {
  const high = word(bytes, at);
  return high >>> 24 === 0 || ((high === 0x7fffffff || high === -1) && word(bytes, at + 4) === -1);
}

/** Names without dashes that begin a peer-id: XBT, BitComet twice, Burst, BitSpirit (behind its version) twice. */
const bareNames = ['XBT', 'exbc', 'FUTB', 'Mbrst', '\0\x02BS', '\0\x03BS'].map(ascii);
/** Names with four digits behind them: Azureus and Opera. */
const numberedNames = [ascii('AZ'), ascii('OP')] as const;

/** True if the peer-id names a client in a way of its own, older than BEP 20. */
function namesOldClient(bytes: Uint8Array, at: number, end: number): boolean {
  for (let i = 0; i < bareNames.length; i++) if (startsWith(bytes, at, end, bareNames[i]!)) return true;
  for (let i = 0; i < numberedNames.length; i++)
    if (startsWith(bytes, at, end, numberedNames[i]!) && decimal(bytes, at + 2, at + 6) >= 0) return true;
  return false;
}

/** True for `-XXnnnn-`, the one form that is believed where the capture cut the rest of the announce. */
function namesAzureusStyle(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== dash || bytes[at + 7] !== dash) return false;
  for (let i = 1; i < 7; i++) if (!isAlphanumeric(bytes[at + i]!)) return false;
  return true;
}

/** True if the peer-id names a client as BEP 20 says (`-XX1234-`), or as mainline (`M7-2-0-`) and aria2 (`A2-1-36-`) do. */
function namesClient(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] === dash) {
    for (let i = 1; i < 7; i++) {
      const byte = bytes[at + i]!;
      if (!isAlphanumeric(byte) && (i < 3 || (byte !== 0x2e && byte !== dash))) return false;
    }
    // Some clients put a letter of their own, not a dash, in the last place.
    return bytes[at + 7] === dash || isAlphanumeric(bytes[at + 7]!);
  }
  return isAlphanumeric(bytes[at]!) && isAlphanumeric(bytes[at + 1]!) && countDashes(bytes, at) >= 2;
}

function countDashes(bytes: Uint8Array, at: number): number {
  let count = 0;
  for (let i = at + 2; i < at + 8; i++) {
    if (bytes[i] === dash) count++;
    else if (!isAlphanumeric(bytes[i]!)) return 0;
  }
  return count;
}

/** True if what follows an announce is empty, zero padding, or options (BEP 41): end, nop, or type, length and data. */
function areOptions(bytes: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end) {
    const type = bytes[at]!;
    if (type === 0) return true;
    if (type === 1) at++;
    else if (type !== 2 || at + 1 >= end) return false;
    else at += 2 + bytes[at + 1]!;
  }
  return at === end;
}

/**
 * Grades a datagram that could be an announce request: 0 it is none, 1 its structure holds, 2 the peer-id names a
 * client as well. A capture may have cut it anywhere behind the peer-id's beginning.
 */
function announceGrade(bytes: Uint8Array, start: number, end: number, wireLength: number): 0 | 1 | 2 {
  const length = end - start;
  if (wireLength < announceBytes || wireLength > datagramMax || length < peerIdAt + 8) return 0;
  if (word(bytes, start + actionAt) !== announceAction) return 0;
  if (word(bytes, start) === 0 && word(bytes, start + 4) === 0) return 0;
  if (!mayBeHash(bytes, start + infoHashAt)) return 0;
  const peerId = start + peerIdAt;
  if (length < announceBytes) return namesAzureusStyle(bytes, peerId) ? 2 : 0;
  const named = namesClient(bytes, peerId) || namesOldClient(bytes, peerId, end);
  if (
    !isByteCount(bytes, start + countersAt) ||
    !isByteCount(bytes, start + countersAt + 8) ||
    !isByteCount(bytes, start + countersAt + 16)
  )
    return 0;
  const event = word(bytes, start + eventAt);
  const wanted = word(bytes, start + wantedAt);
  if (event < 0 || event > eventMax || wanted < -1 || wanted > wantedMax) return 0;
  if (bytes[start + portAt] === 0 && bytes[start + portAt + 1] === 0) return 0;
  if (named) return 2;
  if (zeros(bytes, peerId, hashBytes) > 4) return 0;
  return wireLength > length || areOptions(bytes, start + announceBytes, end) ? 1 : 0;
}

function isScrapeRequest(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  const hashes = wireLength - scrapeHeadBytes;
  return (
    hashes >= hashBytes &&
    hashes % hashBytes === 0 &&
    wireLength <= scrapeBytesMax &&
    end - start >= scrapeHeadBytes &&
    word(bytes, start + actionAt) === scrapeAction &&
    (word(bytes, start) !== 0 || word(bytes, start + 4) !== 0) &&
    areHashes(bytes, start + scrapeHeadBytes, end)
  );
}

/** True if all that is there of a list of hashes may be such: numbers and names of other protocols may not. */
function areHashes(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at + hashBytes <= end; at += hashBytes) if (!mayBeHash(bytes, at)) return false;
  return true;
}

/** True if the datagram has the form of an answer to a request whose action was `asked`. */
function answers(view: View, asked: number): boolean {
  const { bytes, start, end, wireLength } = view;
  const action = word(bytes, start);
  if (action === errorAction) return isMessage(bytes, start + 8, end);
  if (action !== asked) return false;
  if (action === connectAction) return wireLength >= connectBytes;
  if (action === announceAction)
    return wireLength >= announceAnswerHead && (wireLength - announceAnswerHead) % compactBytes === 0;
  const counts = wireLength - scrapeAnswerHead;
  return counts > 0 && counts % countsBytes === 0 && counts <= countsBytes * hashesAsked(view);
}

/** Info-hashes in the kept scrape request. */
function hashesAsked(view: View): number {
  return (view.otherWireLength - scrapeHeadBytes) / hashBytes;
}

function isMessage(bytes: Uint8Array, from: number, end: number): boolean {
  for (let i = from; i < end; i++)
    if (bytes[i]! < 0x20 || bytes[i] === 0x7f) return i > from && bytes[i] === 0;
  return end > from;
}

/** True if all of it is ASCII text: without the request beside it, a message in any bytes above would be anything. */
function isReadable(bytes: Uint8Array, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (bytes[i]! < 0x20 || bytes[i]! >= 0x7f) return false;
  return true;
}

/** An answer whose request the other side sent before: transaction ids are equal, and the form fits the request. */
function judgeAnswer(view: View): Outcome {
  const { bytes, start, end, other, otherStart, otherEnd, otherWireLength } = view;
  if (otherEnd - otherStart < scrapeHeadBytes) return No;
  if (word(bytes, start + 4) !== word(other, otherStart + transactionAt)) return No;
  const grade = announceGrade(other, otherStart, otherEnd, otherWireLength);
  if (grade > 0) {
    if (!answers(view, announceAction)) return No;
    noteAnnounce(view, other, otherStart, grade);
    if (word(bytes, start) === announceAction) notePeers(view);
    return yesInPayload(view, answeredProof, start, end);
  }
  if (!isScrapeRequest(other, otherStart, otherEnd, otherWireLength) || !answers(view, scrapeAction))
    return No;
  if (otherEnd - otherStart >= scrapeHeadBytes + hashBytes)
    noteInfoHash(view, other, otherStart + scrapeHeadBytes, hashBytes);
  return yesInPayload(view, answeredProof, start, end);
}

/** Peers of an announce answer: the family of the packet says how long their addresses are (BEP 15). */
function notePeers(view: View): void {
  const unit = view.ipVersion === 6 ? compact6Bytes : compactBytes;
  const from = view.start + announceAnswerHead;
  if ((view.wireLength - announceAnswerHead) % unit === 0)
    view.peers.addCompact(view.bytes, from, view.end, unit, 0);
}

function noteAnnounce(view: View, bytes: Uint8Array, start: number, grade: number): void {
  noteInfoHash(view, bytes, start + infoHashAt, hashBytes);
  if (grade < 2) return;
  const from = start + peerIdAt;
  let to = from;
  while (to < from + 8 && bytes[to]! > 0x20 && bytes[to]! < 0x7f) to++;
  noteClient(view, bytes, from, to);
}

/** An announce answer by its own numbers: an interval of 10 s to a day, swarm counts that can hold the peers listed. */
function looksLikeAnnounceAnswer(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  const listed = wireLength - announceAnswerHead;
  if (listed < 0 || listed % compactBytes !== 0 || end - start < announceAnswerHead) return false;
  const interval = word(bytes, start + 8);
  const leechers = word(bytes, start + 12);
  const seeders = word(bytes, start + 16);
  if (interval < intervalMin || interval > intervalMax) return false;
  if (leechers < 0 || seeders < 0 || leechers > 0xffffff || seeders > 0xffffff) return false;
  return listed / peer6Or4(listed) <= leechers + seeders + 1;
}

function peer6Or4(listed: number): number {
  return listed % compact6Bytes === 0 ? compact6Bytes : compactBytes;
}

/**
 * One side only: a connect answer was kept, and now comes what reads as an announce answer with another transaction, or
 * a refusal in words. Where the other side was seen it has to have asked for a connection: then its announce is not kept,
 * because the flow is known, and the peers of the answer are wanted all the same.
 */
function judgeOneWay(view: View): Outcome {
  const { bytes, start, end, wireLength, opening, openingStart, openingEnd } = view;
  const action = word(bytes, start);
  if (action === connectAction) return wireLength === connectBytes && isRandom(bytes, start + 4) ? More : No;
  if (view.openingWireLength !== connectBytes || !(view.oneWay || wasConnecting(view))) return No;
  if (action !== announceAction && action !== errorAction) return No;
  if (openingEnd - openingStart < connectBytes || word(opening, openingStart) !== connectAction) return No;
  if (word(opening, openingStart + 4) === word(bytes, start + 4)) return No;
  if (action === errorAction)
    return isReadable(bytes, start + 8, end) ? yesInPayload(view, refusedInOrder, start, end) : No;
  if (!looksLikeAnnounceAnswer(bytes, start, end, wireLength)) return No;
  notePeers(view);
  return yesInPayload(view, answersInOrder, start, end);
}

/** True if the other side's kept datagram is a connect request. */
function wasConnecting({ other, otherStart, otherEnd, otherWireLength }: View): boolean {
  const length = otherEnd - otherStart;
  return length >= connectBytes && isConnect(other, otherStart, length, otherWireLength);
}

/** True if the 12 bytes of a transaction and a connection id are no small numbers: at most two of them are zero. */
function isRandom(bytes: Uint8Array, from: number): boolean {
  return zeros(bytes, from, 12) <= 2 && bytes[from] !== bytes[from + 1];
}

/** What stands at a fixed place in every request and answer: the action, and with a connect request the protocol's id. */
function hasHeader(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  const length = end - start;
  if (length < scrapeAnswerHead) return false;
  const data = dataOf(bytes);
  const first = data.getInt32(start);
  if (first >= connectAction && first <= errorAction) return true;
  if (length < transactionAt) return false;
  switch (data.getInt32(start + actionAt)) {
    case connectAction:
      return first === protocolHigh && data.getInt32(start + 4) === protocolLow;
    case announceAction:
      return wireLength >= announceBytes && wireLength <= datagramMax;
    case scrapeAction:
      return wireLength >= scrapeHeadBytes + hashBytes && wireLength <= scrapeBytesMax;
    default:
      return false;
  }
}

function inspect(view: View): Outcome {
  const { bytes, start, end, wireLength } = view;
  const length = end - start;
  if (length < connectBytes)
    return length >= 12 && isConnect(bytes, start, length, wireLength) ? cutConnect(view) : answerOrNo(view);
  const action = word(bytes, start + actionAt);
  if (action === connectAction && isConnect(bytes, start, length, wireLength))
    return yesInPayload(view, connectProof, start, start + connectBytes);
  if (action === announceAction) {
    const grade = announceGrade(bytes, start, end, wireLength);
    if (grade === 0) return answerOrNo(view);
    noteAnnounce(view, bytes, start, grade);
    if (length >= announceBytes) view.listenPort = word16(bytes, start + portAt);
    if (grade === 2 || knowsConnection(view)) return yesInPayload(view, announceProof, start, end);
    view.infoHashLength = 0;
    // The same side announcing again (BEP 15 repeats a request) is worth a strong word; the first waits for its answer.
    if (view.payloadPacket === 1) return More;
    noteAnnounce(view, bytes, start, grade);
    return yesInPayload(view, announceStrong, start, end);
  }
  if (action === scrapeAction && isScrapeRequest(bytes, start, end, wireLength)) return More;
  return answerOrNo(view);
}

/** A connect request that the capture cut behind its action is still whole on the wire. */
function cutConnect(view: View): Outcome {
  return yesInPayload(view, connectProof, view.start, view.end);
}

/** True if the other side's kept datagram is a connect answer that gave out this announce's connection id. */
function knowsConnection(view: View): boolean {
  const { bytes, start, other, otherStart, otherEnd } = view;
  return (
    otherEnd - otherStart >= connectBytes &&
    word(other, otherStart) === connectAction &&
    word(other, otherStart + 8) === word(bytes, start) &&
    word(other, otherStart + 12) === word(bytes, start + 4)
  );
}

function answerOrNo(view: View): Outcome {
  const { bytes, start, end } = view;
  // Answers begin with their action, 0 to 3, in four bytes.
  if (
    end - start < scrapeAnswerHead ||
    bytes[start] !== 0 ||
    bytes[start + 1] !== 0 ||
    bytes[start + 2] !== 0
  )
    return No;
  if (bytes[start + 3]! > errorAction) return No;
  const outcome = view.otherEnd > view.otherStart ? judgeAnswer(view) : No;
  return outcome === No && end - start >= connectBytes ? judgeOneWay(view) : outcome;
}

export const udpTracker: Detector = {
  name: 'udp-tracker',
  transport: 'udp',
  confidence: 'proof',
  reference: 'BEP 15, BEP 41',
  summary: 'UDP tracker connect, announce and scrape, and answers that fit a request',
  limits: 'one direction captured: answers only in the order connect, announce; a scrape needs its answer',
  scope: 'packets',
  packetsMax: 12,
  firstBytes: null,
  where: 'anywhere',
  teaches: true,
  findings: [
    { text: 'UDP tracker connect request', kind: 'udp-tracker', confidence: 'proof' },
    { text: 'UDP tracker announce request', kind: 'udp-tracker', confidence: 'proof' },
    { text: 'UDP tracker request and its answer', kind: 'udp-tracker', confidence: 'proof' },
    { text: 'announce request of an unnamed client, unanswered', kind: 'udp-tracker', confidence: 'strong' },
    {
      text: 'connect and announce answers of a UDP tracker, in order',
      kind: 'udp-tracker',
      confidence: 'proof',
    },
    {
      text: 'connect answer of a UDP tracker, then an error in words',
      kind: 'udp-tracker',
      confidence: 'strong',
    },
  ],
  nearMisses: [],
  header: hasHeader,
  inspect,
};
