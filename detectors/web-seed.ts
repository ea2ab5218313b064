/**
 * Web seeds: pieces fetched over HTTP from an ordinary server (BEP 19) or from an HTTP seed script (BEP 17).
 * https://www.bittorrent.org/beps/bep_0019.html https://www.bittorrent.org/beps/bep_0017.html
 *
 * On the wire a BEP 19 request is a plain GET with a byte range; only the User-Agent tells it from a download. It is
 * believed when the User-Agent begins with the name of a program that does nothing but BitTorrent and the range has both
 * ends, as a piece has. A name in the middle of a User-Agent proves nothing (browsers, bots and extensions carry all
 * sorts of words).
 */
import { judgeGetRequest, More, No, nearMiss, noteClient, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  headEnd,
  headerValue,
  isClosedRange,
  lineEnd,
  parameterEnd,
  parameterValue,
  queryStart,
} from '../lib/wire/http.js';
import {
  ascii,
  decimal,
  find,
  isAlphanumeric,
  isDigit,
  needle,
  percentDecode,
  startsWith,
  startsWithIgnoringCase,
  type Needle,
} from '../lib/wire/text.js';

const rangeProof = 0;
const pieceProof = 1;
const requestStrong = 2;
const longTermStrong = 3;
const helperHint = 4;

const nameInside = 0;
const programUpdate = 1;

const userAgent = needle('\nuser-agent:');
const range = needle('\nrange:');
const infoHash = ascii('info_hash=');
const piece = ascii('piece=');
const torrentSuffix = ascii('.torrent');
const insideName = needle('bittorrent');
const updater = needle(' sparkle/');
const longTermFile = ascii('/data?fid=');
const longTermSize = ascii('&size=');
const longTermFileCharacters = 40;

const targetOffset = 4;
const hashBytes = 20;
/** A User-Agent is searched this far for the name; browsers' have 70 to 130 characters. */
const agentBytesMax = 120;

/**
 * Names that begin the User-Agent of programs that do nothing but BitTorrent, as they write them in their requests
 * (`btsp` is BitSpirit). Left out: programs of several networks (Shareaza, MLDonkey, FrostWire), general downloaders
 * (Folx), and names that are everyday words (Rain).
 */
const clients = [
  'anacrolix-torrent',
  'azureus',
  'biglybt',
  'bitcomet',
  'bitlord',
  'bitspirit',
  'bittornado',
  'bittorrent',
  'bittorrent mac',
  'bittorrentmac',
  'bittyrant',
  'btsp',
  'deluge',
  'enhanced-ctorrent',
  'ctorrent',
  'flud',
  'go-torrent',
  'halite',
  'ktorrent',
  'libretorrent',
  'libtorrent',
  'monotorrent',
  'picotorrent',
  'qbittorrent',
  'rqbit',
  'rtorrent',
  'tixati',
  'torrentflux',
  'transmission',
  'tribler',
  'ttorrent',
  'utorrent',
  'utorrent mac',
  'utorrentmac',
  '\xb5torrent',
  '\xc2\xb5torrent',
  'vuze',
  'webtorrent',
].map(ascii);
/** uTorrent's and BitTorrent's helper: it fetches pieces, but mostly feeds, advertisements and program updates. */
const helper = ascii('btwebclient');

/** The names by the byte, of either case, that they begin with: a browser's `Mozilla` is compared with one of them. */
const byFirstByte: readonly (readonly Uint8Array[])[] = Array.from({ length: 256 }, (_, byte) => {
  const small = byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
  return [...clients, helper].filter((name) => name[0] === small);
});

/**
 * True if the name is followed by a version or nothing, as in `Transmission/3.00`, `Deluge 2.0.3`, `Azureus 4.3;`,
 * `qBittorrent v3.3`, `Halite v 0.4`. Other words (`BitTorrent Sync`, `Transmission Remote`) make it the name of another
 * program.
 */
function isWholeName(bytes: Uint8Array, at: number, end: number): boolean {
  if (at >= end) return true;
  const byte = bytes[at]!;
  if (byte === 0x2f || byte === 0x3b || byte === 0x0d || byte === 0x0a) return true;
  if (byte !== 0x20 || at + 1 >= end) return false;
  let version = at + 1;
  if ((bytes[version]! | 0x20) === 0x76) version++;
  if (version > at + 1 && version < end && bytes[version] === 0x20) version++;
  return version < end && isDigit(bytes[version]!);
}

/** 2 if the User-Agent at `at` is a BitTorrent-only program, 1 if it is their helper, 0 otherwise. */
function clientGrade(bytes: Uint8Array, at: number, end: number): 0 | 1 | 2 {
  if (at >= end) return 0;
  const names = byFirstByte[bytes[at]!]!;
  for (let i = 0; i < names.length; i++) {
    const name = names[i]!;
    if (startsWithIgnoringCase(bytes, at, end, name) && isWholeName(bytes, at + name.length, end))
      return name === helper ? 1 : 2;
  }
  return 0;
}

/** BEP 17: `?info_hash=` of 20 bytes and `&piece=` with a number. Decodes into `view.infoHash`. */
function isPieceRequest(view: View, bytes: Uint8Array, query: number, end: number): boolean {
  const number = parameterValue(bytes, query, end, piece);
  if (number < 0) return false;
  const numberEnd = parameterEnd(bytes, number, end);
  if (numberEnd === end || decimal(bytes, number, numberEnd) < 0) return false;
  const hash = parameterValue(bytes, query, end, infoHash);
  if (hash < 0) return false;
  const hashEnd = parameterEnd(bytes, hash, end);
  if (hashEnd === end || percentDecode(bytes, hash, hashEnd, view.infoHash) !== hashBytes) return false;
  view.infoHashLength = hashBytes;
  return true;
}

/**
 * True if the target is BitComet's request to a long-term seed: `/data?fid=` of 40 characters `&size=` of a number. Only
 * nDPI's source describes it, so it is a strong word and no proof.
 */
function isLongTermSeed(bytes: Uint8Array, target: number, end: number): boolean {
  if (!startsWith(bytes, target, end, longTermFile)) return false;
  const file = target + longTermFile.length;
  const size = file + longTermFileCharacters;
  if (!startsWith(bytes, size, end, longTermSize)) return false;
  for (let i = file; i < size; i++) if (!isAlphanumeric(bytes[i]!)) return false;
  const number = size + longTermSize.length;
  return number < end && isDigit(bytes[number]!);
}

/** True for targets that other detectors judge: a tracker request, or a metainfo file. */
function isOtherTarget(bytes: Uint8Array, target: number, query: number, end: number): boolean {
  if (query >= 0 && parameterValue(bytes, query, end, infoHash) >= 0) return true;
  const pathEnd = query >= 0 ? query - 1 : parameterEnd(bytes, target, end);
  return (
    pathEnd - target >= torrentSuffix.length &&
    startsWithIgnoringCase(bytes, pathEnd - torrentSuffix.length, pathEnd, torrentSuffix)
  );
}

/** Judges the request that begins at `start`. `waits` says whether more of its head will be shown with this. */
function judge(
  view: View,
  bytes: Uint8Array,
  start: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
): Outcome {
  const target = start + targetOffset;
  const query = queryStart(bytes, target, end);
  if (query === end) return waits ? More : No;
  if (query >= 0 && isPieceRequest(view, bytes, query, end))
    return say(view, pieceProof, start, end, inOpening);
  const agent = headerValue(bytes, start, end, userAgent);
  if (waits && isOpenField(bytes, start, agent, end)) return More;
  const grade = agent < 0 ? 0 : clientGrade(bytes, agent, end);
  if (grade === 0) {
    if (isLongTermSeed(bytes, target, end)) return say(view, longTermStrong, start, end, inOpening);
    return agent < 0 ? No : nameIn(view, bytes, agent, end);
  }
  if (isOtherTarget(bytes, target, query, end)) return No;
  if (mentions(bytes, agent, end, updater)) return nearMiss(view, programUpdate);
  const ranges = headerValue(bytes, start, end, range);
  if (waits && isOpenField(bytes, start, ranges, end)) return More;
  noteClient(view, bytes, agent, lineEnd(bytes, agent, end));
  if (grade === 1) return say(view, helperHint, start, end, inOpening);
  // Blocklists, feeds and program updates are fetched from their beginning, or resumed: the range then has no end.
  const finding = isClosedRange(bytes, ranges, end) ? rangeProof : requestStrong;
  return say(view, finding, start, end, inOpening);
}

/**
 * True if the field whose value is at `value` (-1: it was not found) may still come or become longer. A head is searched
 * for its end only when a field was not found.
 */
function isOpenField(bytes: Uint8Array, start: number, value: number, end: number): boolean {
  return value < 0 ? headEnd(bytes, start, end) < 0 : lineEnd(bytes, value, end) === end;
}

/** True if the line at `at` holds the word within the part of a User-Agent that is searched. */
function mentions(bytes: Uint8Array, at: number, end: number, word: Needle): boolean {
  const to = Math.min(end, at + agentBytesMax);
  const found = find(bytes, at, to, word);
  return found >= 0 && found < lineEnd(bytes, at, to);
}

/** Not a client's User-Agent; the report wants to know when it mentions the name all the same. */
function nameIn(view: View, bytes: Uint8Array, agent: number, end: number): Outcome {
  return mentions(bytes, agent, end, insideName) ? nearMiss(view, nameInside) : No;
}

function say(view: View, finding: number, from: number, end: number, inOpening: boolean): Outcome {
  const head = headEnd(inOpening ? view.opening : view.bytes, from, end);
  const to = head < 0 ? end : head;
  return inOpening ? yesInOpening(view, finding, from, to) : yesInPayload(view, finding, from, to);
}

function inspect(view: View): Outcome {
  return judgeGetRequest(view, judge);
}

export const webSeed: Detector = {
  name: 'web-seed',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 17, BEP 19',
  summary: 'pieces fetched from a web server by a BitTorrent-only client, or from an HTTP seed',
  limits:
    'not inside TLS; clients that call themselves a browser or a general downloader, or have no name at all ' +
    "(libtorrent's anonymous mode), look like a download; " +
    'FTP web seeds are not recognised',
  scope: 'packets',
  packetsMax: 16,
  firstBytes: [0x47],
  where: 'anywhere',
  findings: [
    { text: 'byte range fetched by a BitTorrent client', kind: 'web-seed', confidence: 'proof' },
    { text: 'piece fetched from an HTTP seed', kind: 'web-seed', confidence: 'proof' },
    { text: 'request of a BitTorrent client to a web server', kind: 'web-seed', confidence: 'strong' },
    { text: 'request to a BitComet long-term seed', kind: 'web-seed', confidence: 'strong' },
    { text: "request of uTorrent's or BitTorrent's web helper", kind: 'web-seed', confidence: 'hint' },
  ],
  nearMisses: [
    'User-Agent that mentions BitTorrent but is not a BitTorrent client',
    'program update of a BitTorrent client',
  ],
  inspect,
};
