/**
 * WebTorrent's tracker protocol: JSON messages in WebSocket text frames (RFC 6455), which trade WebRTC offers and
 * answers for an info-hash. No BEP; the reference is the bittorrent-tracker package and aquatic_ws_protocol.
 * https://github.com/webtorrent/bittorrent-tracker
 *
 * A message is believed when an action goes with an info-hash of 20 Latin-1 characters and with at least one more
 * member that only this protocol has; words inside other members or inside texts are never looked at.
 */
import { More, No, nearMiss, noteClient, noteInfoHash, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  headEnd,
  headerValue,
  isGet,
  isRequestWorthReading,
  isResponse,
  mayBecomeHttp,
  statusCode,
} from '../lib/wire/http.js';
import {
  isJsonNumber,
  jsonIs,
  jsonLatin1,
  jsonMember,
  jsonStringEnd,
  memberNames,
  readMembers,
} from '../lib/wire/json.js';
import { ascii, needle } from '../lib/wire/text.js';
import {
  frameLength,
  framePayload,
  isMasked,
  isTextFrame,
  mayBeFrame,
  NoFrame,
  unmask,
  unmaskedByte,
  unmaskedBytes,
  unmaskedBytesMax,
} from '../lib/wire/websocket.js';

const announceProof = 0;
const scrapeProof = 1;
const offerStrong = 2;

const compressed = 0;

const announceValue = ascii('"announce"');
const scrapeValue = ascii('"scrape"');
const sdp = ascii('"sdp"');
/** Members of a message, found in one walk; then those that go with an info-hash, and the counters. */
const members = memberNames([
  ...['action', 'info_hash', 'files', 'peer_id', 'offer', 'answer'],
  ...['offers', 'offer_id', 'to_peer_id', 'numwant', 'failure reason'],
  ...['interval', 'complete', 'incomplete', 'uploaded', 'downloaded', 'left'],
]);
/** Beside an info-hash in a scrape's answer. */
const swarmCounts = memberNames(['complete', 'incomplete', 'downloaded']);
const action = 0;
const infoHash = 1;
const files = 2;
const peerId = 3;
const offer = 4;
const answer = 5;
const offerId = 7;
const toPeerId = 8;
/** From the peer-id to the failure reason: in announces, their answers, and relayed offers and answers. */
const firstCompanion = peerId;
const firstCounter = 11;
const upgrade = needle('\nsec-websocket-key:');

const openBrace = 0x7b;
const openBracket = 0x5b;
const quote = 0x22;
const colon = 0x3a;
const space = 0x20;
/** Part of a description in which its `sdp` member must begin: only its type may stand before it. */
const descriptionBytesMax = 256;
const hashBytes = 20;
const letterG = 0x47;
const letterH = 0x48;
/** A status line up to its code. */
const statusLineBytes = 12;
const switchingProtocols = 101;
const compressedText = 0x41;
/** Frames looked at in one kept opening. */
const framesMax = 8;
/** A kept opening this long is near its bound: nothing more is waited for. */
const enoughBytes = 4000;

/** Reads the info-hash member into `view.infoHash`; true if it is 20 characters. */
function readInfoHash(view: View, bytes: Uint8Array, end: number): boolean {
  let value = members.values[infoHash]!;
  // A scrape may name several in a list.
  if (value >= 0 && bytes[value] === openBracket) value++;
  return jsonLatin1(bytes, value, end, view.infoHash) === hashBytes;
}

function hasCompanion(bytes: Uint8Array, end: number): boolean {
  const { values } = members;
  for (let i = firstCompanion; i < firstCounter; i++) if (values[i]! >= 0) return true;
  let counts = 0;
  for (let i = firstCounter; i < values.length; i++) if (isJsonNumber(bytes, values[i]!, end)) counts++;
  return counts >= 2;
}

/** A scrape's answer: `files` is an object whose first key is an info-hash of 20 characters, with counts of its swarm. */
function isScrapeAnswer(view: View, bytes: Uint8Array, end: number): boolean {
  const value = members.values[files]!;
  if (value < 0 || bytes[value] !== openBrace || value + 1 >= end || bytes[value + 1] !== quote) return false;
  let counts = jsonStringEnd(bytes, value + 1, end);
  if (counts < 0 || jsonLatin1(bytes, value + 1, end, view.infoHash) !== hashBytes) return false;
  while (counts < end && (bytes[counts] === colon || bytes[counts] === space)) counts++;
  if (counts >= end || bytes[counts] !== openBrace) return false;
  readMembers(bytes, counts, end, swarmCounts);
  const { values } = swarmCounts;
  for (let i = 0; i < values.length; i++) if (isJsonNumber(bytes, values[i]!, end)) return true;
  return false;
}

/** True if the member is a session description: an object with an `sdp` member. */
function isDescription(bytes: Uint8Array, end: number, member: number): boolean {
  const value = members.values[member]!;
  return value >= 0 && jsonMember(bytes, value, Math.min(end, value + descriptionBytesMax), sdp) >= 0;
}

/**
 * What the object at `at` says: a finding, or -1. Leaves the info-hash noted when there is one. `isWhole` if the message
 * ends at `end`: then an offer without info-hash, and without a word of a tracker, is another service's.
 */
function findingOf(view: View, bytes: Uint8Array, at: number, end: number, isWhole: boolean): number {
  readMembers(bytes, at, end, members);
  const what = members.values[action]!;
  const announces = jsonIs(bytes, what, end, announceValue);
  const scrapes = !announces && jsonIs(bytes, what, end, scrapeValue);
  if (what >= 0 && !announces && !scrapes) return -1;
  if (readInfoHash(view, bytes, end)) {
    if (scrapes || (announces && hasCompanion(bytes, end)) || isOldAnnounce(view, bytes, end)) {
      noteInfoHash(view, view.infoHash, 0, hashBytes);
      return scrapes ? scrapeProof : announceProof;
    }
    return -1;
  }
  if (scrapes && isScrapeAnswer(view, bytes, end)) {
    noteInfoHash(view, view.infoHash, 0, hashBytes);
    return scrapeProof;
  }
  if (!announces || (isWhole && !isRelayed())) return -1;
  return isDescription(bytes, end, offer) || isDescription(bytes, end, answer) ? offerStrong : -1;
}

/** True if the message names a peer or numbers its offer, as a tracker does that relays it. */
function isRelayed(): boolean {
  const { values } = members;
  return values[peerId]! >= 0 || values[offerId]! >= 0 || values[toPeerId]! >= 0;
}

/** Messages of the first trackers had no action: the peer-id and an offer list, or an answer, stand in for it. */
function isOldAnnounce(view: View, bytes: Uint8Array, end: number): boolean {
  return (
    jsonLatin1(bytes, members.values[peerId]!, end, view.client) === hashBytes && hasCompanion(bytes, end)
  );
}

/** Notes the peer-id of the message that was just read. */
function notePeerId(view: View, bytes: Uint8Array, end: number): void {
  view.clientLength = 0;
  if (jsonLatin1(bytes, members.values[peerId]!, end, view.client) === hashBytes)
    noteClient(view, view.client, 0, 8);
}

/**
 * Judges the text frame at `at`, whose head is whole: a finding, or -1. Only a payload that begins as an object is
 * unmasked.
 */
function judgeFrame(view: View, bytes: Uint8Array, at: number, payload: number, end: number): number {
  const length = frameLength(bytes, at);
  const to = Math.min(end, payload + Math.min(length, unmaskedBytesMax));
  if (to - payload < 16) return -1;
  const isWhole = to - payload === length;
  if (!isMasked(bytes, at)) {
    if (bytes[payload] !== openBrace) return -1;
    const finding = findingOf(view, bytes, payload, to, isWhole);
    if (finding >= 0) notePeerId(view, bytes, to);
    return finding;
  }
  if (unmaskedByte(bytes, payload, 0) !== openBrace) return -1;
  const unmasked = unmask(bytes, payload, to);
  const finding = findingOf(view, unmaskedBytes(), 0, unmasked, isWhole);
  if (finding >= 0) notePeerId(view, unmaskedBytes(), unmasked);
  return finding;
}

/** Walks the frames of the kept stream from `at` on. */
function walk(view: View, at: number): Outcome {
  const { opening, openingStart, openingEnd } = view;
  const waits = openingEnd - openingStart < enoughBytes;
  for (let frames = 0; frames < framesMax; frames++) {
    if (at >= openingEnd) return waits ? More : No;
    if ((opening[at]! & 0x4f) === compressedText) return nearMiss(view, compressed);
    if (!mayBeFrame(opening, at, openingEnd)) return No;
    const payload = framePayload(opening, at, openingEnd);
    if (payload === NoFrame) return waits ? More : No;
    const next = payload + frameLength(opening, at);
    if (isTextFrame(opening, at, openingEnd)) {
      const finding = judgeFrame(view, opening, at, payload, openingEnd);
      // An offer names its info-hash last: while the message is not whole, the rest is worth waiting for.
      if (finding >= 0 && !(finding === offerStrong && next > openingEnd && waits))
        return yesInOpening(view, finding, at, Math.min(next, openingEnd));
    }
    if (next >= openingEnd) return waits ? More : No;
    at = next;
  }
  return No;
}

/** The kept stream: an upgrade and its frames, or frames from the beginning when the start was not seen. */
function judgeOpening(view: View): Outcome {
  const { opening, openingStart, openingEnd } = view;
  const first = opening[openingStart]!;
  if (first === letterG || first === letterH) {
    const newBytes = view.end - view.start;
    if (!isRequestWorthReading(opening, openingStart, openingEnd, newBytes, view.payloadPacket)) return More;
    if (!isUpgrade(opening, openingStart, openingEnd)) return waitsForUpgrade(view) ? More : No;
    const head = headEnd(opening, openingStart, openingEnd);
    return head < 0 ? More : walk(view, head);
  }
  return isTextFrame(opening, openingStart, openingEnd) ? walk(view, openingStart) : No;
}

function waitsForUpgrade(view: View): boolean {
  const { opening, openingStart, openingEnd } = view;
  if (openingEnd - openingStart >= enoughBytes) return false;
  if (isGet(opening, openingStart, openingEnd)) return headEnd(opening, openingStart, openingEnd) < 0;
  return openingEnd - openingStart < statusLineBytes;
}

/** True if a WebSocket handshake (RFC 6455 section 4) begins at `start`: the client's request or the server's 101. */
function isUpgrade(bytes: Uint8Array, start: number, end: number): boolean {
  if (isGet(bytes, start, end)) return headerValue(bytes, start, end, upgrade) >= 0;
  return isResponse(bytes, start, end) && statusCode(bytes, start, end) === switchingProtocols;
}

function inspect(view: View): Outcome {
  const { bytes, start, end } = view;
  const length = end - start;
  const kept = view.openingEnd - view.openingStart;
  if (length < 2 && kept <= length) return view.wireLength > length || !mayBegin(bytes[start]!) ? No : More;
  const isText = (bytes[start]! & 0x7f) === 0x01;
  if (isText) {
    const payload = framePayload(bytes, start, end);
    const finding = payload === NoFrame ? -1 : judgeFrame(view, bytes, start, payload, end);
    const whole = payload !== NoFrame && payload + frameLength(bytes, start) <= end;
    const isFirst = kept === length || kept === 0;
    const waits = Math.max(kept, length) < enoughBytes && view.wireLength === length;
    if (finding >= 0 && (whole || !waits || finding !== offerStrong))
      return yesInPayload(view, finding, start, end);
    // Only a stream that is being kept can show the rest.
    if (isFirst) return !whole && waits && mayBeObject(bytes, start, end) ? More : No;
  }
  if (kept > length) return judgeOpening(view);
  if (kept !== length || (bytes[start] !== letterG && bytes[start] !== letterH)) return No;
  if (isUpgrade(bytes, start, end)) return walkOrWait(view);
  return mayBecomeUpgrade(view) ? More : No;
}

/** True if a text frame, a request or a response can begin with this byte. */
function mayBegin(byte: number): boolean {
  return (byte & 0x7f) === 0x01 || byte === letterG || byte === letterH;
}

/** True if the range ends with an empty line. */
function endsLine(bytes: Uint8Array, end: number): boolean {
  return bytes[end - 1] === 0x0a && bytes[end - 2] === 0x0d && bytes[end - 3] === 0x0a;
}

/** True while the header block that could ask for the upgrade, or the status line that could grant it, is not whole. */
function mayBecomeUpgrade(view: View): boolean {
  const { bytes, start, end } = view;
  if (view.wireLength > end - start) return false;
  // Most requests end with their head: one look instead of a search.
  if (isGet(bytes, start, end)) return !endsLine(bytes, end) && headEnd(bytes, start, end) < 0;
  return end - start < statusLineBytes && mayBecomeHttp(bytes, start, Math.min(end, start + 4));
}

/** True unless the payload's first byte is there and is no brace. */
function mayBeObject(bytes: Uint8Array, start: number, end: number): boolean {
  const payload = framePayload(bytes, start, end);
  if (payload === NoFrame || payload >= end) return true;
  return (isMasked(bytes, start) ? unmaskedByte(bytes, payload, 0) : bytes[payload]) === openBrace;
}

/** A handshake as first payload: frames may follow at once, else they are waited for. */
function walkOrWait(view: View): Outcome {
  const head = headEnd(view.opening, view.openingStart, view.openingEnd);
  return head < 0 ? More : walk(view, head);
}

export const webtorrentTracker: Detector = {
  name: 'webtorrent-tracker',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'RFC 6455; bittorrent-tracker (no BEP)',
  summary: "WebTorrent's announce, scrape, offer and answer messages over WebSocket",
  limits: 'not inside TLS (wss, the usual case); messages compressed with permessage-deflate cannot be read',
  scope: 'packets',
  packetsMax: 16,
  firstBytes: [0x01, 0x81, 0x47, 0x48],
  where: 'anywhere',
  findings: [
    { text: 'WebTorrent tracker announce', kind: 'webtorrent', confidence: 'proof' },
    { text: 'WebTorrent tracker scrape', kind: 'webtorrent', confidence: 'proof' },
    { text: 'WebRTC offer relayed by a tracker', kind: 'webtorrent', confidence: 'strong' },
  ],
  nearMisses: ['compressed WebSocket message'],
  inspect,
};
