/**
 * The DHT (BEP 5) and what was added to it: IPv6 nodes (BEP 32), scrapes (BEP 33), node ids bound to addresses
 * (BEP 42), stored data (BEP 44) and info-hash samples (BEP 51). A datagram is one bencoded dictionary to its last
 * byte; `t` is the transaction, `y` says query, response or error, and queries and responses carry a 20-byte node id.
 *
 * Bencode alone says nothing (rtpengine and others speak it too): the keys and the sizes decide. A datagram that the
 * capture cut needs `a` or `r` whose first key, as far as it is there, is `id` of 20 bytes.
 */
import {
  declaredLength,
  dictionaryKeys,
  Incomplete,
  integerEnd,
  integerValue,
  Malformed,
  readDictionary,
  stringEnd,
  stringIs,
  stringLength,
  stringStart,
} from '../lib/wire/bencode.js';
import { compact6Bytes, compactBytes, peersPerMessageMax } from '../lib/wire/peer-list.js';
import { ascii, isAlphanumeric, isBeginningOf, writeDecimal } from '../lib/wire/text.js';
import { dataOf } from '../lib/wire/words.js';
import {
  nearMiss,
  No,
  Yes,
  noteClient,
  noteInfoHash,
  yesInPayload,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

/** Keys of a message, and of its arguments or its return values: each dictionary is walked once. */
const outer = dictionaryKeys([
  ['a', 'd'],
  ['e', 'l'],
  ['q', '0'],
  ['r', 'd'],
  ['t', '*'],
  ['v', '0'],
  ['y', '0'],
]);
const keyA = 0;
const keyE = 1;
const keyQ = 2;
const keyR = 3;
const keyT = 4;
const keyV = 5;
const keyY = 6;

const inner = dictionaryKeys([
  ['bs', '*'],
  ['id', '0'],
  ['implied_port', 'i'],
  ['info_hash', '0'],
  ['nodes', '*'],
  ['nodes6', '*'],
  ['port', 'i'],
  ['target', '0'],
  ['token', '0'],
  ['v', '*'],
  ['values', '*'],
]);
const keyBs = 0;
const keyId = 1;
const keyImpliedPort = 2;
const keyInfoHash = 3;
const keyNodes = 4;
const keyNodes6 = 5;
const keyPort = 6;
const keyTarget = 7;
const keyToken = 8;
const keyValue = 9;
const keyValues = 10;

/** How `a` and `r` begin, and how much of that a cut has to leave. */
const idFirst = ascii('d2:id20:');
const idFirstMin = 5;

const ping = ascii('ping');
const findNode = ascii('find_node');
const getPeers = ascii('get_peers');
const announcePeer = ascii('announce_peer');
const getData = ascii('get');
const putData = ascii('put');
const vote = ascii('vote');
const sampleInfohashes = ascii('sample_infohashes');

const idLength = 20;
const nodeLength = idLength + compactBytes;
const node6Length = idLength + compact6Bytes;
const transactionLengthMax = 32;
/** Longest transaction of a message that is still believed a little. */
const oddTransactionMax = 64;
/** Bytes behind a message: padding or a checksum of somebody's own. */
const trailingMax = 16;
const queryNameLengthMax = 32;
const clientLengthMax = 32;
/** Bytes of an id that a lookup for its own neighbourhood shares with its target. */
const neighbourhoodBytes = 4;
/** Shorter dictionaries cannot hold a type and a transaction. */
const messageMin = 12;
/** `d1` and `d9`. */
const firstBeginning = 0x6431;
const lastBeginning = 0x6439;

const letterE = 0x65;
const letterQ = 0x71;
const letterR = 0x72;
const letterU = 0x55;
const letterL = 0x4c;
const letterT = 0x54;
const space = 0x20;
const point = 0x2e;

/** Answers of `transactionForm`. */
const noTransaction = 0;
const oddTransaction = 1;
const usualTransaction = 2;

const query = 0;
const queryForPeers = 1;
const announce = 2;
const response = 3;
const responsePeers = 4;
const error = 5;
const unusualQuery = 6;
const unusualResponse = 7;
const unusualError = 8;
const unusualFrame = 9;

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
  teaches: true,
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
    {
      text: 'DHT message with bytes behind it or a transaction of unusual form (BEP 5)',
      kind: 'dht',
      confidence: 'strong',
    },
  ],
  nearMisses: [
    'a bencoded dictionary, but not exactly one to the end of the datagram',
    'bencode without the keys of a DHT message',
    'keys of a DHT message, but no 20-byte node id',
  ],
  header: beginsDictionary,
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    if (!beginsDictionary(bytes, start, end)) return No;
    const whole = readDictionary(bytes, start, end, outer);
    const isCut = view.wireLength > end - start;
    if (whole > 0 && !isCut && end - whole <= trailingMax) return readMessage(view, bytes, start, whole);
    if (whole === Incomplete && isCut) return readCut(view, bytes, end);
    // Text that begins with "d1" is no near miss: the first key has to be a whole string.
    return stringEnd(bytes, start + 1, end) > 0 && whole !== Malformed ? nearMiss(view, brokenBencode) : No;
  },
};

/** A dictionary with a key: `d`, then the key's length, which does not begin with a zero. */
function beginsDictionary(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start < messageMin) return false;
  const beginning = dataOf(bytes).getUint16(start);
  return beginning >= firstBeginning && beginning <= lastBeginning;
}

/** A whole dictionary `[start, end)`, behind which a few bytes may follow: `y` and `t` first, then what it says. */
function readMessage(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const y = outer.values[keyY]!;
  const t = outer.values[keyT]!;
  if (y < 0 || t < 0 || stringLength(bytes, y, end) !== 1) return nearMiss(view, notKrpc);
  const transaction = transactionForm(bytes, t, end);
  if (transaction === noTransaction) return nearMiss(view, notKrpc);
  const type = bytes[y + 2]!;
  const outcome =
    type === letterQ
      ? readQuery(view, bytes, start, end)
      : type === letterR
        ? readResponse(view, bytes, start, end)
        : type === letterE
          ? readError(view, bytes, start, end)
          : nearMiss(view, notKrpc);
  if (outcome !== Yes || (transaction === usualTransaction && end === view.end)) return outcome;
  if (view.finding < unusualQuery) return yesInPayload(view, unusualFrame, start, end);
  // Unusual in two ways: not believed.
  view.infoHashLength = 0;
  view.clientLength = 0;
  view.peers.count = 0;
  view.listenPort = 0;
  return nearMiss(view, end === view.end ? notKrpc : brokenBencode);
}

/** BEP 5 asks for a short string; numbers and longer strings are seen from clients of few users. */
function transactionForm(bytes: Uint8Array, t: number, end: number): number {
  if (integerEnd(bytes, t, end) > 0) return oddTransaction;
  const length = stringLength(bytes, t, end);
  if (length < 0 || length > oddTransactionMax) return noTransaction;
  return length > transactionLengthMax ? oddTransaction : usualTransaction;
}

function readQuery(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const q = outer.values[keyQ]!;
  const a = outer.values[keyA]!;
  if (q < 0 || a < 0) return nearMiss(view, notKrpc);
  const nameLength = stringLength(bytes, q, end);
  if (nameLength === 0 || nameLength > queryNameLengthMax) return nearMiss(view, notKrpc);
  readDictionary(bytes, a, end, inner);
  if (!hasString(bytes, end, keyId, idLength)) return nearMiss(view, noNodeId);
  noteVersion(view, bytes, end);
  return yesInPayload(view, queryFinding(view, bytes, q, end), start, end);
}

/** Which finding the query `q` with the arguments just read is. */
function queryFinding(view: View, bytes: Uint8Array, q: number, end: number): number {
  if (stringIs(bytes, q, end, ping)) return query;
  if (
    stringIs(bytes, q, end, findNode) ||
    stringIs(bytes, q, end, getData) ||
    stringIs(bytes, q, end, sampleInfohashes)
  ) {
    return hasString(bytes, end, keyTarget, idLength) ? query : unusualQuery;
  }
  // uTorrent's ratings. No BEP names it.
  if (stringIs(bytes, q, end, vote)) {
    const isVote = hasString(bytes, end, keyTarget, idLength) && inner.values[keyToken]! >= 0;
    return isVote ? query : unusualQuery;
  }
  if (stringIs(bytes, q, end, putData)) {
    return inner.values[keyValue]! >= 0 && inner.values[keyToken]! >= 0 ? query : unusualQuery;
  }
  const announcing = stringIs(bytes, q, end, announcePeer);
  if (!announcing && !stringIs(bytes, q, end, getPeers)) return unusualQuery;
  if (!hasString(bytes, end, keyInfoHash, idLength)) return unusualQuery;
  if (announcing || namesTorrent(bytes, end)) {
    noteInfoHash(view, bytes, stringStart(bytes, inner.values[keyInfoHash]!, end), idLength);
  }
  if (!announcing) return queryForPeers;
  const port = inner.values[keyPort]! >= 0 || inner.values[keyImpliedPort]! >= 0;
  if (!port || inner.values[keyToken]! < 0) return unusualQuery;
  view.listenPort = announcedPort(view, bytes, end);
  return announce;
}

/** Where the sender of an announcement listens: on the port that it names, or on this very socket (BEP 5). */
function announcedPort(view: View, bytes: Uint8Array, end: number): number {
  const implied = inner.values[keyImpliedPort]!;
  if (implied >= 0 && integerValue(bytes, implied, end) !== 0) return view.sourcePort;
  const at = inner.values[keyPort]!;
  const port = at < 0 ? 0 : integerValue(bytes, at, end);
  return port > 0 && port <= 65_535 ? port : 0;
}

function readResponse(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const r = outer.values[keyR]!;
  if (r < 0) return nearMiss(view, notKrpc);
  readDictionary(bytes, r, end, inner);
  if (!hasString(bytes, end, keyId, idLength)) return nearMiss(view, noNodeId);
  noteVersion(view, bytes, end);
  if (!isMultiple(bytes, end, keyNodes, nodeLength) || !isMultiple(bytes, end, keyNodes6, node6Length)) {
    return yesInPayload(view, unusualResponse, start, end);
  }
  notePeers(view, bytes, end);
  const values = inner.values[keyValues]!;
  if (values < 0) return yesInPayload(view, response, start, end);
  return yesInPayload(view, isPeerList(bytes, values, end) ? responsePeers : unusualResponse, start, end);
}

/** `e` is a list of a code and a sentence; BEP 5 names 201 to 204, BEP 44 205 to 207, 301 and 302. */
function readError(view: View, bytes: Uint8Array, start: number, end: number): Outcome {
  const e = outer.values[keyE]!;
  if (e < 0) return nearMiss(view, notKrpc);
  const code = e + 1;
  const sentence = integerEnd(bytes, code, end);
  if (sentence < 0) return nearMiss(view, notKrpc);
  const sentenceEnd = stringEnd(bytes, sentence, end);
  if (sentenceEnd < 0 || bytes[sentenceEnd] !== 0x65) return nearMiss(view, notKrpc);
  noteVersion(view, bytes, end);
  const family = bytes[code + 1];
  const known = sentence - code === 5 && (family === 0x32 || family === 0x33) && bytes[code + 2] === 0x30;
  return yesInPayload(view, known ? error : unusualError, start, end);
}

/** A datagram that the capture cut: the node id inside `a` or `r` has to be visible, and everything before it valid. */
function readCut(view: View, bytes: Uint8Array, end: number): Outcome {
  const a = outer.values[keyA]!;
  const at = a >= 0 ? a : outer.values[keyR]!;
  if (at < 0) return nearMiss(view, notKrpc);
  readDictionary(bytes, at, end, inner);
  const id = inner.values[keyId]!;
  const hasId = id >= 0 && claimsIdLength(bytes, id, end);
  if (!hasId && !endsInId(bytes, at, end)) return nearMiss(view, noNodeId);
  if (a >= 0 && hasString(bytes, end, keyInfoHash, idLength) && namesTorrent(bytes, end)) {
    noteInfoHash(view, bytes, stringStart(bytes, inner.values[keyInfoHash]!, end), idLength);
  }
  if (a < 0) notePeers(view, bytes, end);
  return yesInPayload(view, a >= 0 ? query : response, view.start, end);
}

/** True if the cut left `d2:id` and no more than `20:` of the dictionary at `at`. */
function endsInId(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= idFirstMin && isBeginningOf(bytes, at, end, idFirst);
}

/**
 * True if the `info_hash` of a get_peers with the arguments just read is a torrent's. Clients fill their routing table with
 * get_peers as well: for targets next to their own id (libtorrent, uTorrent), or with the key `bs` (libtorrent's
 * bootstrap). A torrent's hash shares 32 bits with an id once in 4 * 10^9.
 */
function namesTorrent(bytes: Uint8Array, end: number): boolean {
  const { values } = inner;
  if (values[keyBs]! >= 0) return false;
  const id = stringStart(bytes, values[keyId]!, end);
  const hash = stringStart(bytes, values[keyInfoHash]!, end);
  for (let i = 0; i < neighbourhoodBytes; i++) if (bytes[id + i] !== bytes[hash + i]) return true;
  return false;
}

/** True if the string at `at` begins with `20:`, whether or not all of it is there. */
function claimsIdLength(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 3 && bytes[at] === 0x32 && bytes[at + 1] === 0x30 && bytes[at + 2] === 0x3a;
}

function hasString(bytes: Uint8Array, end: number, key: number, length: number): boolean {
  const value = inner.values[key]!;
  return value >= 0 && stringLength(bytes, value, end) === length;
}

/** True if the key is absent, or is a string whose length is a multiple of `unit`. */
function isMultiple(bytes: Uint8Array, end: number, key: number, unit: number): boolean {
  const value = inner.values[key]!;
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
    if (length !== compactBytes && length !== compact6Bytes) return false;
    item = stringEnd(bytes, item, end);
  }
  return true;
}

/** Notes the peers, then the nodes, of the response just read, as far as they are there. */
function notePeers(view: View, bytes: Uint8Array, end: number): void {
  const values = inner.values[keyValues]!;
  if (values >= 0 && bytes[values] === 0x6c) noteValues(view, bytes, values + 1, end);
  noteNodes(view, bytes, keyNodes, end, nodeLength);
  noteNodes(view, bytes, keyNodes6, end, node6Length);
}

/** The strings of 6 and 18 bytes from `at` on; the list is as long as the datagram lets it. */
function noteValues(view: View, bytes: Uint8Array, at: number, end: number): void {
  let item = at;
  for (let items = 0; items < peersPerMessageMax; items++) {
    const to = stringEnd(bytes, item, end);
    if (to < 0) return;
    const from = stringStart(bytes, item, end);
    if (to - from === compactBytes) view.peers.add4(bytes, from);
    else if (to - from === compact6Bytes) view.peers.add6(bytes, from);
    item = to;
  }
}

function noteNodes(view: View, bytes: Uint8Array, key: number, end: number, unit: number): void {
  const at = inner.values[key]!;
  const length = at < 0 ? 0 : declaredLength(bytes, at, end);
  if (length <= 0 || length % unit !== 0) return;
  const from = stringStart(bytes, at, end);
  view.peers.addCompact(bytes, from, Math.min(end, from + length), unit, idLength);
}

/**
 * `v` names the client: two letters and two numbers in most (A2 0.3), the number of the build in uTorrent (UT 45852),
 * three numbers in libtorrent since 1.2 (LT 2.0.8: the second byte has four bits for each of the last two, as its
 * kademlia/node.cpp writes it); as it stands where it is something else.
 */
function noteVersion(view: View, bytes: Uint8Array, end: number): void {
  const v = outer.values[keyV]!;
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

/** libtorrent wrote its minor version as a whole byte up to 1.1. */
function hasThreeNumbers(bytes: Uint8Array, from: number): boolean {
  if (bytes[from] !== letterL || bytes[from + 1] !== letterT) return false;
  const major = bytes[from + 2]!;
  return major > 1 || (major === 1 && bytes[from + 3]! >= 0x20);
}

/** Writes two letters and the two or three numbers behind them, or the one big-endian number that they are together. */
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
  if (!hasThreeNumbers(bytes, from)) {
    view.clientLength = writeDecimal(client, dot + 1, low);
    return;
  }
  const last = writeDecimal(client, dot + 1, low >> 4);
  client[last] = point;
  view.clientLength = writeDecimal(client, last + 1, low & 15);
}
