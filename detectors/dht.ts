/**
 * The DHT (BEP 5) and what was added to it: IPv6 nodes (BEP 32), scrapes (BEP 33), node ids bound to addresses
 * (BEP 42), stored data (BEP 44) and info-hash samples (BEP 51). A datagram is one bencoded dictionary to its last
 * byte; `t` is the transaction, `y` says query, response or error, and queries and responses carry a 20-byte node id.
 *
 * Bencode alone says nothing (rtpengine and others speak it too): the keys and the sizes decide. A datagram that the
 * capture cut needs `a` or `r` whose first key, as far as it is there, is `id` of 20 bytes.
 */
import {
  bencodeEnd,
  dictionaryValue,
  dictionaryValueOf,
  Incomplete,
  integerEnd,
  stringEnd,
  stringIs,
  stringLength,
  stringStart,
} from '../lib/wire/bencode.js';
import { ascii, isAlphanumeric, isBeginningOf, writeDecimal } from '../lib/wire/text.js';
import {
  nearMiss,
  No,
  noteClient,
  noteInfoHash,
  yesInPayload,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const keyA = ascii('a');
const keyBs = ascii('bs');
const keyE = ascii('e');
const keyQ = ascii('q');
const keyR = ascii('r');
const keyT = ascii('t');
const keyV = ascii('v');
const keyY = ascii('y');
const keyId = ascii('id');
const keyInfoHash = ascii('info_hash');
const keyNodes = ascii('nodes');
const keyNodes6 = ascii('nodes6');
const keyPort = ascii('port');
const keyImpliedPort = ascii('implied_port');
const keyTarget = ascii('target');
const keyToken = ascii('token');
const keyValues = ascii('values');
/** How `a` and `r` begin, and how much of that a cut has to leave. */
const idFirst = ascii('d2:id20:');
const idFirstMin = 5;

const ping = ascii('ping');
const findNode = ascii('find_node');
const getPeers = ascii('get_peers');
const announcePeer = ascii('announce_peer');
const getData = ascii('get');
const putData = ascii('put');
const sampleInfohashes = ascii('sample_infohashes');

const idLength = 20;
const nodeLength = 26;
const node6Length = 38;
const peerLength = 6;
const peer6Length = 18;
const transactionLengthMax = 32;
const queryNameLengthMax = 32;
const clientLengthMax = 32;
/** Bytes of an id that a lookup for its own neighbourhood shares with its target. */
const neighbourhoodBytes = 4;

const letterU = 0x55;
const letterT = 0x54;
const space = 0x20;
const point = 0x2e;

const query = 0;
const queryForPeers = 1;
const announce = 2;
const response = 3;
const responsePeers = 4;
const error = 5;
const unusualQuery = 6;
const unusualResponse = 7;
const unusualError = 8;

const brokenBencode = 0;
const notKrpc = 1;
const noNodeId = 2;

export const dht: Detector = {
  name: 'dht',
  transport: 'udp',
  confidence: 'proof',
  reference: 'BEP 5, BEP 32, BEP 33, BEP 42, BEP 44, BEP 51',
  summary: 'DHT queries, responses and errors: strict bencode with KRPC keys and exact sizes',
  limits:
    'bencode that is not KRPC is not taken; a datagram cut by a snap length needs the beginning of its node id; the ' +
    'target of a get_peers that only looks for nodes (near its own id, or marked `bs`) is not noted as an info-hash',
  scope: 'packets',
  packetsMax: 16,
  firstBytes: [0x64],
  where: 'anywhere',
  findings: [
    { text: 'DHT query (BEP 5)', kind: 'dht', confidence: 'proof' },
    { text: 'DHT query for the peers of an info-hash (BEP 5)', kind: 'dht', confidence: 'proof' },
    { text: 'DHT announcement of a peer for an info-hash (BEP 5)', kind: 'dht', confidence: 'proof' },
    { text: 'DHT response (BEP 5)', kind: 'dht', confidence: 'proof' },
    { text: 'DHT response that names peers (BEP 5)', kind: 'dht', confidence: 'proof' },
    { text: 'DHT error (BEP 5)', kind: 'dht', confidence: 'proof' },
    {
      text: 'query in the form of the DHT, of unknown name or with unusual arguments (BEP 5)',
      kind: 'dht',
      confidence: 'strong',
    },
    { text: 'response in the form of the DHT with unusual sizes (BEP 5)', kind: 'dht', confidence: 'strong' },
    { text: 'error in the form of the DHT with an unknown code (BEP 5)', kind: 'dht', confidence: 'strong' },
  ],
  nearMisses: [
    'a bencoded dictionary, but not exactly one to the end of the datagram',
    'bencode without the keys of a DHT message',
    'keys of a DHT message, but no 20-byte node id',
  ],
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    if (end - start < 12 || bytes[start] !== 0x64) return No;
    const digit = bytes[start + 1]!;
    if (digit < 0x31 || digit > 0x39) return No;
    const whole = bencodeEnd(bytes, start, end);
    if (whole === end && view.wireLength === end - start) return readMessage(view, bytes, start, end);
    if (whole === Incomplete && view.wireLength > end - start) return readCut(view, bytes, start, end);
    // Text that begins with "d1" is no near miss: the first key has to be a whole string.
    return stringEnd(bytes, start + 1, end) > 0 && whole !== -1 ? nearMiss(view, brokenBencode) : No;
  },
};

/** A whole dictionary: `y` and `t` first, then what belongs to the kind of message. */
function readMessage(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const y = dictionaryValue(bytes, start, end, keyY);
  const t = dictionaryValue(bytes, start, end, keyT);
  if (y < 0 || t < 0 || stringLength(bytes, y, end) !== 1) return nearMiss(view, notKrpc);
  const transaction = stringLength(bytes, t, end);
  if (transaction < 0 || transaction > transactionLengthMax) return nearMiss(view, notKrpc);
  const type = bytes[y + 2]!;
  if (type === keyQ[0]) return readQuery(view, bytes, start, end);
  if (type === keyR[0]) return readResponse(view, bytes, start, end);
  if (type === keyE[0]) return readError(view, bytes, start, end);
  return nearMiss(view, notKrpc);
}

function readQuery(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const q = dictionaryValueOf(bytes, start, end, keyQ, '0');
  const a = dictionaryValueOf(bytes, start, end, keyA, 'd');
  if (q < 0 || a < 0) return nearMiss(view, notKrpc);
  const nameLength = stringLength(bytes, q, end);
  if (nameLength === 0 || nameLength > queryNameLengthMax) return nearMiss(view, notKrpc);
  if (!hasString(bytes, a, end, keyId, idLength)) return nearMiss(view, noNodeId);
  noteVersion(view, bytes, start, end);
  return yesInPayload(view, queryFinding(view, bytes, q, a, end), start, end);
}

/** Which finding the query `q` with the arguments `a` is. */
function queryFinding(view: View, bytes: Uint8Array, q: number, a: number, end: number): number {
  if (stringIs(bytes, q, end, ping)) return query;
  if (stringIs(bytes, q, end, findNode) || stringIs(bytes, q, end, getData)) {
    return hasString(bytes, a, end, keyTarget, idLength) ? query : unusualQuery;
  }
  if (stringIs(bytes, q, end, sampleInfohashes)) {
    return hasString(bytes, a, end, keyTarget, idLength) ? query : unusualQuery;
  }
  if (stringIs(bytes, q, end, putData)) {
    const value = dictionaryValue(bytes, a, end, keyV);
    return value >= 0 && dictionaryValueOf(bytes, a, end, keyToken, '0') >= 0 ? query : unusualQuery;
  }
  const announcing = stringIs(bytes, q, end, announcePeer);
  if (!announcing && !stringIs(bytes, q, end, getPeers)) return unusualQuery;
  if (!hasString(bytes, a, end, keyInfoHash, idLength)) return unusualQuery;
  if (announcing || namesTorrent(bytes, a, end)) {
    const hash = dictionaryValue(bytes, a, end, keyInfoHash);
    noteInfoHash(view, bytes, stringStart(bytes, hash, end), idLength);
  }
  if (!announcing) return queryForPeers;
  const port =
    dictionaryValueOf(bytes, a, end, keyPort, 'i') >= 0 ||
    dictionaryValueOf(bytes, a, end, keyImpliedPort, 'i') >= 0;
  return port && dictionaryValueOf(bytes, a, end, keyToken, '0') >= 0 ? announce : unusualQuery;
}

function readResponse(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const r = dictionaryValueOf(bytes, start, end, keyR, 'd');
  if (r < 0) return nearMiss(view, notKrpc);
  if (!hasString(bytes, r, end, keyId, idLength)) return nearMiss(view, noNodeId);
  noteVersion(view, bytes, start, end);
  if (
    !isMultiple(bytes, r, end, keyNodes, nodeLength) ||
    !isMultiple(bytes, r, end, keyNodes6, node6Length)
  ) {
    return yesInPayload(view, unusualResponse, start, end);
  }
  const values = dictionaryValue(bytes, r, end, keyValues);
  if (values < 0) return yesInPayload(view, response, start, end);
  return yesInPayload(view, isPeerList(bytes, values, end) ? responsePeers : unusualResponse, start, end);
}

/** `e` is a list of a code and a sentence; BEP 5 names 201 to 204, BEP 44 205 to 207, 301 and 302. */
function readError(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const e = dictionaryValueOf(bytes, start, end, keyE, 'l');
  if (e < 0) return nearMiss(view, notKrpc);
  const code = e + 1;
  const sentence = integerEnd(bytes, code, end);
  if (sentence < 0) return nearMiss(view, notKrpc);
  const sentenceEnd = stringEnd(bytes, sentence, end);
  if (sentenceEnd < 0 || bytes[sentenceEnd] !== 0x65) return nearMiss(view, notKrpc);
  noteVersion(view, bytes, start, end);
  const family = bytes[code + 1];
  const known = sentence - code === 5 && (family === 0x32 || family === 0x33) && bytes[code + 2] === 0x30;
  return yesInPayload(view, known ? error : unusualError, start, end);
}

/** A datagram that the capture cut: the node id inside `a` or `r` has to be visible, and everything before it valid. */
function readCut(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const a = dictionaryValueOf(bytes, start, end, keyA, 'd');
  const inner = a >= 0 ? a : dictionaryValueOf(bytes, start, end, keyR, 'd');
  if (inner < 0) return nearMiss(view, notKrpc);
  const id = dictionaryValue(bytes, inner, end, keyId);
  const hasId = id >= 0 && claimsIdLength(bytes, id, end);
  if (!hasId && !endsInId(bytes, inner, end)) return nearMiss(view, noNodeId);
  const hash = a < 0 ? -1 : dictionaryValue(bytes, a, end, keyInfoHash);
  if (hash >= 0 && stringLength(bytes, hash, end) === idLength && namesTorrent(bytes, a, end)) {
    noteInfoHash(view, bytes, stringStart(bytes, hash, end), idLength);
  }
  return yesInPayload(view, a >= 0 ? query : response, start, end);
}

/** True if the cut left `d2:id` and no more than `20:` of the dictionary at `at`. */
function endsInId(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= idFirstMin && isBeginningOf(bytes, at, end, idFirst);
}

/**
 * True if the `info_hash` of a get_peers with the arguments `a` is a torrent's. Clients fill their routing table with
 * get_peers as well: for targets next to their own id (libtorrent, uTorrent), or with the key `bs` (libtorrent's
 * bootstrap). A torrent's hash shares 32 bits with an id once in 4 * 10^9.
 */
function namesTorrent(bytes: Uint8Array, a: number, end: number): boolean {
  if (dictionaryValue(bytes, a, end, keyBs) >= 0) return false;
  const id = stringStart(bytes, dictionaryValue(bytes, a, end, keyId), end);
  const hash = stringStart(bytes, dictionaryValue(bytes, a, end, keyInfoHash), end);
  for (let i = 0; i < neighbourhoodBytes; i++) if (bytes[id + i] !== bytes[hash + i]) return true;
  return false;
}

/** True if the string at `at` begins with `20:`, whether or not all of it is there. */
function claimsIdLength(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 3 && bytes[at] === 0x32 && bytes[at + 1] === 0x30 && bytes[at + 2] === 0x3a;
}

function hasString(bytes: Uint8Array, at: number, end: number, key: Uint8Array, length: number): boolean {
  const value = dictionaryValue(bytes, at, end, key);
  return value >= 0 && stringLength(bytes, value, end) === length;
}

/** True if the key is absent, or is a string whose length is a multiple of `unit`. */
function isMultiple(bytes: Uint8Array, at: number, end: number, key: Uint8Array, unit: number): boolean {
  const value = dictionaryValue(bytes, at, end, key);
  if (value < 0) return true;
  const length = stringLength(bytes, value, end);
  return length >= 0 && length % unit === 0;
}

/** BEP 5 and 32: a list of strings of 6 or 18 bytes. */
function isPeerList(bytes: Uint8Array, at: number, end: number): boolean {
  if (bytes[at] !== 0x6c) return false;
  let item = at + 1;
  while (item < end && bytes[item] !== 0x65) {
    const length = stringLength(bytes, item, end);
    if (length !== peerLength && length !== peer6Length) return false;
    item = stringEnd(bytes, item, end);
  }
  return true;
}

/**
 * `v` names the client: two letters and two numbers in most (LT 2.8, A2 0.3), the number of the build in uTorrent
 * (UT 45852); as it stands where it is something else.
 */
function noteVersion(view: View, bytes: Uint8Array, start: number, end: number): void {
  const v = dictionaryValueOf(bytes, start, end, keyV, '0');
  if (v < 0) return;
  const length = stringLength(bytes, v, end);
  if (length < 1 || length > clientLengthMax) return;
  const from = stringStart(bytes, v, end);
  if (length !== 4 || !isAlphanumeric(bytes[from]!) || !isAlphanumeric(bytes[from + 1]!)) {
    noteClient(view, bytes, from, from + length);
    return;
  }
  const isBuild = bytes[from] === letterU && bytes[from + 1] === letterT;
  if (!isBuild && isAlphanumeric(bytes[from + 2]!) && isAlphanumeric(bytes[from + 3]!)) {
    noteClient(view, bytes, from, from + length);
    return;
  }
  noteNumbers(view, bytes, from, isBuild);
}

/** Writes two letters and the two numbers behind them, or the one big-endian number that they are together. */
function noteNumbers(view: View, bytes: Uint8Array, from: number, together: boolean): void {
  const client = view.client;
  const high = bytes[from + 2]!;
  const low = bytes[from + 3]!;
  client[0] = bytes[from]!;
  client[1] = bytes[from + 1]!;
  client[2] = space;
  if (together) {
    view.clientLength = writeDecimal(client, 3, (high << 8) | low);
    return;
  }
  const dot = writeDecimal(client, 3, high);
  client[dot] = point;
  view.clientLength = writeDecimal(client, dot + 1, low);
}
