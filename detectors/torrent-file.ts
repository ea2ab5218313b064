/**
 * Metainfo files (BEP 3; version 2 BEP 52; also BEP 12, 17, 19, 5 for their keys) on their way over HTTP, FTP data or
 * any plain stream that begins with one. https://www.bittorrent.org/beps/bep_0003.html#metainfo-files
 *
 * The body itself is read: the keys of its dictionary with the types that they must have. The content type alone is a
 * strong word, and only before a body that cannot be read; the name of the file is nothing here.
 */
import { More, No, yesInOpening, yesInPayload } from './detector.js';
import type { Detector, Outcome, View } from './detector.js';
import {
  bencodeEnd,
  dictionaryValue,
  dictionaryValueOf,
  Incomplete,
  integerEnd,
  Malformed,
  stringStart,
} from '../lib/wire/bencode.js';
import { bodyData, headEnd, isResponse, mayBecomeHttp } from '../lib/wire/http.js';
import { ascii, decimal, find, isDigit, needle } from '../lib/wire/text.js';

const infoProof = 0;
const keysProof = 1;
const keysStrong = 2;
const typeStrong = 3;

const info = ascii('info');
const announce = ascii('announce');
const announceList = ascii('announce-list');
const comment = ascii('comment');
const createdBy = ascii('created by');
const creationDate = ascii('creation date');
const encoding = ascii('encoding');
const httpSeeds = ascii('httpseeds');
const urlList = ascii('url-list');
const nodes = ascii('nodes');
const pieceLayers = ascii('piece layers');
const pieceLength = ascii('piece length');
const pieces = ascii('pieces');
const files = ascii('files');
const fileLength = ascii('length');
const fileName = ascii('name');
const fileTree = ascii('file tree');
const metaVersion = ascii('meta version');
const contentType = needle('application/x-bittorrent');

const letterD = 0x64;
const sha1Bytes = 20;
/** A kept stream this long does not grow much more: what is missing is judged as missing. */
const enoughBytes = 3072;
/** Segment so short that only a stream still being kept can tell. */
const shortBytes = 16;

/** True if the value of `key` in the dictionary at `start` is a whole integer. */
function hasInteger(bytes: Uint8Array, start: number, end: number, key: Uint8Array): boolean {
  const at = dictionaryValue(bytes, start, end, key);
  return at >= 0 && integerEnd(bytes, at, end) > 0;
}

/** True if `pieces` is there and its declared length is a multiple of 20, whether or not all of it is. */
function hasPieces(bytes: Uint8Array, start: number, end: number): boolean {
  const at = dictionaryValueOf(bytes, start, end, pieces, '0');
  if (at < 0) return false;
  const from = stringStart(bytes, at, end);
  if (from < 0) return false;
  const length = decimal(bytes, at, from - 1);
  return length > 0 && length % sha1Bytes === 0;
}

/** Marks of an info dictionary in what is here of it; two are enough, BEP 3 demands at least four. */
function infoMarks(bytes: Uint8Array, at: number, end: number): number {
  return (
    (hasInteger(bytes, at, end, pieceLength) ? 1 : 0) +
    (hasPieces(bytes, at, end) ? 1 : 0) +
    (hasInteger(bytes, at, end, metaVersion) ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, fileTree, 'd') >= 0 ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, files, 'l') >= 0 ? 1 : 0) +
    (hasInteger(bytes, at, end, fileLength) ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, fileName, '0') >= 0 ? 1 : 0)
  );
}

/** True if the string at `at` begins like the URL of a tracker: a scheme of up to five letters and `://`. */
function isUrl(bytes: Uint8Array, at: number, end: number): boolean {
  const from = stringStart(bytes, at, end);
  if (from < 0) return false;
  for (let i = from + 2; i <= from + 5 && i + 2 < end; i++)
    if (bytes[i] === 0x3a) return bytes[i + 1] === 0x2f && bytes[i + 2] === 0x2f;
  return false;
}

/** Marks of a metainfo dictionary beside its info: keys with the types that the BEPs give them. */
function outerMarks(bytes: Uint8Array, at: number, end: number): number {
  const tracker = dictionaryValueOf(bytes, at, end, announce, '0');
  return (
    (tracker >= 0 && isUrl(bytes, tracker, end) ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, announceList, 'l') >= 0 ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, createdBy, '0') >= 0 ? 1 : 0) +
    (hasInteger(bytes, at, end, creationDate) ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, comment, '0') >= 0 ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, encoding, '0') >= 0 ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, httpSeeds, 'l') >= 0 ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, nodes, 'l') >= 0 ? 1 : 0) +
    (dictionaryValue(bytes, at, end, urlList) >= 0 ? 1 : 0) +
    (dictionaryValueOf(bytes, at, end, pieceLayers, 'd') >= 0 ? 1 : 0)
  );
}

/** True if `[at, end)` begins with a dictionary, as far as two bytes can tell. */
function beginsDictionary(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 2 && bytes[at] === letterD && bytes[at + 1] !== 0x30 && isDigit(bytes[at + 1]!);
}

/** What the dictionary at `at` is: a finding, -1 no metainfo, -2 not decided by what is here. */
function findingOf(bytes: Uint8Array, at: number, end: number): number {
  const infoAt = dictionaryValueOf(bytes, at, end, info, 'd');
  if (infoAt >= 0 && infoMarks(bytes, infoAt, end) >= 2) return infoProof;
  const whole = bencodeEnd(bytes, at, end);
  return whole === Incomplete ? -2 : -1;
}

/** What can be said of a metainfo whose info is not in reach. */
function grade(bytes: Uint8Array, at: number, end: number): number {
  const marks = outerMarks(bytes, at, end);
  if (marks >= 3) return keysProof;
  const tracker = dictionaryValueOf(bytes, at, end, announce, '0');
  return marks === 2 && tracker >= 0 && isUrl(bytes, tracker, end) ? keysStrong : -1;
}

/** Judges the body that begins at `body`. `waits` says whether more of it will be shown together with this. */
function judgeBody(
  view: View,
  bytes: Uint8Array,
  body: number,
  end: number,
  inOpening: boolean,
  waits: boolean,
): Outcome {
  if (!beginsDictionary(bytes, body, end)) return No;
  let finding = findingOf(bytes, body, end);
  if (finding === -2) {
    if (waits) return More;
    finding = grade(bytes, body, end);
  }
  if (finding < 0) return No;
  const whole = bencodeEnd(bytes, body, end);
  const to = whole === Malformed || whole === Incomplete ? end : whole;
  return inOpening ? yesInOpening(view, finding, body, to) : yesInPayload(view, finding, body, to);
}

function isText(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f && byte !== letterD;
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
  const outcome = judgeBody(view, bytes, body, end, inOpening, waits);
  if (outcome !== No) return outcome;
  // Pages and JSON under this type are a site's errors; only what cannot be read (content coding) is taken at its word.
  if (body < end && isText(bytes[body]!)) return No;
  const named = find(bytes, start, head, contentType);
  if (named < 0) return No;
  const to = named + contentType.text.length;
  return inOpening ? yesInOpening(view, typeStrong, named, to) : yesInPayload(view, typeStrong, named, to);
}

function inspect(view: View): Outcome {
  const { bytes, start, end, opening, openingStart, openingEnd } = view;
  const length = end - start;
  const kept = openingEnd - openingStart;
  const isFirst = kept === length || kept === 0;
  // Waiting is possible where a stream begins to be kept: with its first bytes, or here when nothing is kept.
  const waits = (isFirst ? length : kept) < enoughBytes && view.wireLength === length;
  if (kept > length) {
    const first = opening[openingStart]!;
    let outcome: Outcome = No;
    if (first === letterD) outcome = judgeBody(view, opening, openingStart, openingEnd, true, waits);
    else if (isResponse(opening, openingStart, openingEnd))
      outcome = judgeResponse(view, opening, openingStart, openingEnd, true, waits);
    if (outcome !== No) return outcome;
  }
  if (isResponse(bytes, start, end)) return judgeResponse(view, bytes, start, end, false, isFirst && waits);
  // A body without its head: a second segment, FTP data, or a plain stream.
  if (beginsDictionary(bytes, start, end)) return judgeBody(view, bytes, start, end, false, isFirst && waits);
  if (!isFirst || length >= shortBytes) return No;
  return mayBecomeHttp(bytes, start, end) || (length === 1 && bytes[start] === letterD) ? More : No;
}

export const torrentFile: Detector = {
  name: 'torrent-file',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 5, BEP 12, BEP 17, BEP 19, BEP 52',
  summary: 'metainfo (.torrent) files fetched over HTTP, FTP data or a plain stream',
  limits:
    'not inside TLS; a body with content coding (gzip, br) only by its content type; not inside archives or mails',
  scope: 'packets',
  packetsMax: 16,
  firstBytes: [0x48, 0x64],
  where: 'anywhere',
  findings: [
    { text: 'metainfo file with its info dictionary', kind: 'torrent-file', confidence: 'proof' },
    { text: 'metainfo file by three or more of its keys', kind: 'torrent-file', confidence: 'proof' },
    { text: 'metainfo file by its tracker and one more key', kind: 'torrent-file', confidence: 'strong' },
    { text: 'answer of type application/x-bittorrent', kind: 'torrent-file', confidence: 'strong' },
  ],
  nearMisses: [],
  inspect,
};
