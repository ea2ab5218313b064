/**
 * Metainfo files (BEP 3; version 2 BEP 52; also BEP 5, 12, 17, 19, 30 for their keys) on their way over HTTP, FTP data or
 * any plain stream that begins with one. https://www.bittorrent.org/beps/bep_0003.html#metainfo-files
 *
 * The body itself is read: the keys of its dictionary with the types that they must have. The content type alone is a
 * strong word, and only before a body that cannot be read; the name of the file is nothing here. Each dictionary is
 * walked once, whatever is asked of it.
 */
import { More, No, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  declaredLength,
  dictionaryKeys,
  Incomplete,
  integerEnd,
  isWorthReading,
  readDictionary,
  stringEnd,
  stringStart,
  type DictionaryKeys,
} from '../lib/wire/bencode.js';
import { bodyData, headEnd, headerValue, isResponse, mayBecomeHttp } from '../lib/wire/http.js';
import { ascii, isDigit, needle, startsWithIgnoringCase } from '../lib/wire/text.js';

const infoProof = 0;
const keysProof = 1;
const keysStrong = 2;
const typeStrong = 3;

/** Keys beside the info dictionary, with the types that the BEPs give them. */
const outer = dictionaryKeys([
  ['info', 'd'],
  ['announce', '0'],
  ['announce-list', 'l'],
  ['comment', '0'],
  ['created by', '0'],
  ['creation date', 'i'],
  ['encoding', '0'],
  ['httpseeds', 'l'],
  ['nodes', 'l'],
  ['piece layers', 'd'],
  ['url-list', '*'],
]);
const infoKey = 0;
const announceKey = 1;
const announceListKey = 2;

const inner = dictionaryKeys([
  ['files', 'l'],
  ['file tree', 'd'],
  ['pieces', '0'],
  ['length', 'i'],
  ['meta version', 'i'],
  ['name', '0'],
  ['piece length', 'i'],
  ['root hash', '0'],
]);
const filesKey = 0;
const fileTreeKey = 1;
const piecesKey = 2;
const versionKey = 4;
const pieceLengthKey = 6;
const rootKey = 7;

/** The first file of version 1's list (BEP 3), and of version 2's tree (BEP 52). */
const listed = dictionaryKeys([
  ['length', 'i'],
  ['path', 'l'],
]);
const leaf = dictionaryKeys([
  ['length', 'i'],
  ['pieces root', '0'],
]);

const contentType = needle('\ncontent-type:');
const torrentType = ascii('application/x-bittorrent');

const letterD = 0x64;
const letterE = 0x65;
const letterI = 0x69;
const letterL = 0x6c;
const sha1Bytes = 20;
const sha256Bytes = 32;
/** Folders that the first file of a tree may lie in. */
const foldersMax = 8;
/** A kept stream this long does not grow much more: what is missing is judged as missing. */
const enoughBytes = 3072;
/** Packets of a side with each of which the kept stream is read. */
const readPacketsMax = 4;
/** Segment so short that only a stream still being kept can tell. */
const shortBytes = 16;

/** How many of the keys from `first` on were read; an integer must be whole. */
function countFrom(first: number, keys: DictionaryKeys, bytes: Uint8Array, end: number): number {
  let count = 0;
  for (let i = first; i < keys.values.length; i++) {
    const at = keys.values[i]!;
    if (at >= 0 && (bytes[at] !== letterI || integerEnd(bytes, at, end) > 0)) count++;
  }
  return count;
}

/** True if the list of files at `at` begins with an entry that has a length and a path. */
function isFileList(bytes: Uint8Array, at: number, end: number): boolean {
  readDictionary(bytes, at + 1, end, listed);
  return countFrom(0, listed, bytes, end) === 2;
}

/** True if the first file of the tree at `at`, which may lie in folders, has a length and the root of its hash tree. */
function isFileTree(bytes: Uint8Array, at: number, end: number): boolean {
  for (let folders = 0; folders <= foldersMax; folders++) {
    const value = stringEnd(bytes, at + 1, end);
    if (value < 0 || value >= end || bytes[value] !== letterD) return false;
    // A key of no characters (`0:`) says that what follows is the file itself.
    if (value === at + 3) {
      readDictionary(bytes, value, end, leaf);
      return (
        countFrom(0, leaf, bytes, end) === 2 && declaredLength(bytes, leaf.values[1]!, end) === sha256Bytes
      );
    }
    at = value;
  }
  return false;
}

/**
 * Marks of an info dictionary in what is here of it; two are enough, BEP 3 demands at least four. Of a long list of
 * files only the beginning may be in reach, so its first entry is a mark of its own. One that is all here is none
 * without a piece length, and hashes (BEP 30: their root) or a tree of files: lengths and names are in other protocols'
 * dictionaries too. One that is cut by a chunk's size line is not all here.
 */
function infoMarks(bytes: Uint8Array, at: number, end: number): number {
  const isWhole = readDictionary(bytes, at, end, inner) > 0;
  const { values } = inner;
  let marks = countFrom(piecesKey + 1, inner, bytes, end);
  const hashes = declaredLength(bytes, values[piecesKey]!, end);
  const hasHashes = hashes >= 0 && hashes % sha1Bytes === 0;
  const hasTree = values[fileTreeKey]! >= 0 && values[versionKey]! >= 0;
  const hasRoot = declaredLength(bytes, values[rootKey]!, end) === sha1Bytes;
  if (isWhole && (values[pieceLengthKey]! < 0 || !(hasHashes || hasTree || hasRoot))) return 0;
  if (hasHashes && hashes > 0) marks++;
  if (values[filesKey]! >= 0) marks += isFileList(bytes, values[filesKey]!, end) ? 2 : 1;
  if (values[fileTreeKey]! >= 0) marks += isFileTree(bytes, values[fileTreeKey]!, end) ? 2 : 1;
  return marks;
}

/** True if the string at `at` begins like the URL of a tracker: a scheme of up to five letters and `://`. */
function isUrl(bytes: Uint8Array, at: number, end: number): boolean {
  const from = at < 0 ? -1 : stringStart(bytes, at, end);
  if (from < 0) return false;
  for (let i = from + 2; i <= from + 5 && i + 2 < end; i++)
    if (bytes[i] === 0x3a) return bytes[i + 1] === 0x2f && bytes[i + 2] === 0x2f;
  return false;
}

/** Lists of trackers that `listsTrackers` looks at. */
const tiersEnough = 3;

/** True if the value at `at` begins as lists of trackers' URLs (BEP 12), of which there may be more than is kept. */
function listsTrackers(bytes: Uint8Array, at: number, end: number): boolean {
  if (at < 0 || bytes[at] !== letterL) return false;
  let next = at + 1;
  for (let tiers = 0; tiers < tiersEnough; tiers++) {
    if (next >= end || bytes[next] !== letterL || !isUrl(bytes, next + 1, end)) return false;
    next++;
    while (next < end && bytes[next] !== letterE) {
      next = stringEnd(bytes, next, end);
      if (next < 0) return false;
    }
    next++;
  }
  return true;
}

/** True if `[at, end)` begins with a dictionary, as far as two bytes can tell. */
function beginsDictionary(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 2 && bytes[at] === letterD && bytes[at + 1] !== 0x30 && isDigit(bytes[at + 1]!);
}

/**
 * What the dictionary that was just read says: a finding, or -1. `whole` is what the reading answered; `typed` if it came
 * as application/x-bittorrent, which is a mark like a key.
 */
function findingOf(bytes: Uint8Array, whole: number, end: number, typed: boolean): number {
  const info = outer.values[infoKey]!;
  if (info >= 0 && infoMarks(bytes, info, end) >= 2) return infoProof;
  // Without its info a metainfo is believed only while the info can still come.
  if (whole !== Incomplete) return -1;
  const tracker = isUrl(bytes, outer.values[announceKey]!, end) ? 1 : 0;
  const lists = listsTrackers(bytes, outer.values[announceListKey]!, end) ? 1 : 0;
  const marks = tracker + lists + (typed ? 1 : 0) + countFrom(announceKey + 1, outer, bytes, end);
  return marks >= 3 ? keysProof : marks === 2 && tracker === 1 ? keysStrong : -1;
}

/**
 * Judges the body that begins at `body`. `waits` says whether more of it will be shown together with this, `typed` whether
 * a head before it says what it is.
 */
function judgeBody(
  view: View,
  bytes: Uint8Array,
  body: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
  typed: boolean,
): Outcome {
  if (!beginsDictionary(bytes, body, end)) return No;
  const whole = readDictionary(bytes, body, end, outer);
  const finding = findingOf(bytes, whole, end, typed);
  if (whole === Incomplete && waits && finding !== infoProof && finding !== keysProof) return More;
  if (finding < 0) return No;
  const to = whole < 0 ? end : whole;
  return inOpening ? yesInOpening(view, finding, body, to) : yesInPayload(view, finding, body, to);
}

function isText(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f && byte !== letterD;
}

/** True if the value of the field at `at` is the type, ended by its parameters, white space or the line's end. */
function isTorrentType(bytes: Uint8Array, at: number, end: number): boolean {
  if (!startsWithIgnoringCase(bytes, at, end, torrentType)) return false;
  const next = at + torrentType.length;
  return next < end && (bytes[next] === 0x3b || bytes[next]! <= 0x20);
}

/** Judges the response at `start`: its body, else its content type. */
function judgeResponse(
  view: View,
  bytes: Uint8Array,
  start: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
): Outcome {
  const head = headEnd(bytes, start, end);
  if (head < 0) return waits ? More : No;
  const body = bodyData(bytes, head, end);
  if (end - body < 2 && waits) return More;
  // Pages and JSON are a site's errors under any type; only what cannot be read (content coding) is taken at its word.
  if (body < end && isText(bytes[body]!)) return No;
  const named = headerValue(bytes, start, head, contentType);
  const typed = named >= 0 && isTorrentType(bytes, named, head);
  const outcome = judgeBody(view, bytes, body, end, inOpening, waits, typed);
  if (outcome !== No) return outcome;
  if (!typed) return No;
  const to = named + torrentType.length;
  return inOpening ? yesInOpening(view, typeStrong, named, to) : yesInPayload(view, typeStrong, named, to);
}

/**
 * The kept stream. A head and its body, however they are cut, are read at once; later the stream is read again when
 * enough of it is new. Its bound, 3072, is a multiple of 256, so that it is read there.
 */
function judgeOpening(view: View, waits: boolean): Outcome {
  const { opening, openingStart, openingEnd } = view;
  const isBody = opening[openingStart] === letterD;
  if (!isBody && !isResponse(opening, openingStart, openingEnd)) return No;
  const packet = view.payloadPacket;
  const newBytes = view.end - view.start;
  if (packet > readPacketsMax && !isWorthReading(opening, openingStart, openingEnd, newBytes, packet))
    return waits ? More : No;
  return isBody
    ? judgeBody(view, opening, openingStart, openingEnd, true, waits, false)
    : judgeResponse(view, opening, openingStart, openingEnd, true, waits);
}

function inspect(view: View): Outcome {
  const { bytes, start, end, openingStart, openingEnd } = view;
  const length = end - start;
  const kept = openingEnd - openingStart;
  const isFirst = kept === length || kept === 0;
  // Waiting is possible where a stream begins to be kept: with its first bytes, or here when nothing is kept.
  const waits = (isFirst ? length : kept) < enoughBytes && view.wireLength === length;
  if (kept > length) {
    const outcome = judgeOpening(view, waits);
    if (outcome !== No) return outcome;
  }
  if (isResponse(bytes, start, end)) return judgeResponse(view, bytes, start, end, false, isFirst && waits);
  // A body without its head: a second segment, FTP data, or a plain stream.
  if (beginsDictionary(bytes, start, end))
    return judgeBody(view, bytes, start, end, false, isFirst && waits, false);
  if (!isFirst || length >= shortBytes) return No;
  return mayBecomeHttp(bytes, start, end) || (length === 1 && bytes[start] === letterD) ? More : No;
}

export const torrentFile: Detector = {
  name: 'torrent-file',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 5, BEP 12, BEP 17, BEP 19, BEP 30, BEP 52',
  summary: 'metainfo (.torrent) files fetched over HTTP, FTP data or a plain stream',
  limits:
    'not inside TLS; a body with content coding (gzip, br) only by its content type; not inside archives or mails',
  scope: 'packets',
  packetsMax: 16,
  firstBytes: [0x48, 0x64],
  where: 'anywhere',
  findings: [
    { text: 'metainfo file with its info dictionary', kind: 'torrent-file', confidence: 'proof' },
    {
      text: 'metainfo file by three or more marks: its keys, lists of trackers, content type',
      kind: 'torrent-file',
      confidence: 'proof',
    },
    { text: 'metainfo file by its tracker and one more key', kind: 'torrent-file', confidence: 'strong' },
    { text: 'answer of type application/x-bittorrent', kind: 'torrent-file', confidence: 'strong' },
  ],
  nearMisses: [],
  inspect,
};
