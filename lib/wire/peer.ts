/**
 * The peer protocol in place: the handshake's layout, one message (a 4-byte length, an id, a body: BEP 3; BEP 5 port;
 * BEP 6 FAST; BEP 10 extended, with BEP 9 metadata and BEP 11 peer exchange inside; BEP 52 hashes), and chains of them.
 * A length prefix and a small id are common among protocols, so each message that fits is also weighed: how much in it
 * do only BitTorrent's rules explain?
 */
import {
  dictionaryKeys,
  Incomplete,
  integerValue,
  readDictionary,
  stringEnd,
  stringLength,
  stringStart,
} from './bencode.js';
import { compact6Bytes, compactBytes, type PeerList } from './peer-list.js';
import { ascii, isAlphanumeric } from './text.js';

/** How a handshake begins, and where the reserved bytes, the info-hash and the peer id stand in it (BEP 3). */
export const handshakeHeader = ascii('\x13BitTorrent protocol');
export const reservedAt = 20;
export const infoHashAt = 28;
export const peerIdAt = 48;
export const handshakeBytes = 68;

const dash = 0x2d;
const azureusStyleLength = 8;
const namePrefixMin = 3;

/** Not a message of the peer protocol. */
export const NotMessage = -1;

/**
 * Weights. Eight says as much as a request for a usual block: 17 bytes in which 102 of 136 bits can have no other
 * value; the header of a usual block fixes 69 of 104. Random bytes look so less than once in 10^20 packets.
 */
export const weightNone = 0;
export const weightSmall = 1;
export const weightBlock = 2;
export const weightDictionary = 3;
export const weightUsualBlock = 8;
export const weightKnownExtension = 9;
export const weightExtensionHandshake = 10;

const idInterestedMax = 3;
const idHave = 4;
export const idBitfield = 5;
export const idRequest = 6;
export const idPiece = 7;
const idCancel = 8;
const idPort = 9;
const idSuggest = 13;
const idHaveAll = 14;
const idHaveNone = 15;
const idReject = 16;
const idAllowedFast = 17;
export const idExtended = 20;
const idHashRequest = 21;
const idHashes = 22;
const idHashReject = 23;

/** libtorrent's ceiling is 2^21 pieces of a torrent, other clients stay below. */
const piecesMax = 0x20_0000;
const bitfieldMax = 1 + piecesMax / 8;
/** 16 KiB is what everybody asks for; BEP 3 speaks of 128 KiB as the most that was ever accepted. */
const usualBlock = 16_384;
const blockMin = 1024;
const blockMax = 131_072;
const pieceBytesMax = 0x1000_0000;
const extendedMax = 1 << 20;
/** Extended messages that are not bencode are short: upload_only 1 byte, lt_donthave 4, ut_holepunch up to 24. */
const binaryExtensionMax = 24;
/** Clients number the extensions that they know from 1 on: libtorrent to 8, others to some more. */
const extensionsMax = 15;
const hashLength = 32;
const hashHeader = 49;
const hashesMax = hashHeader + 8192 * hashLength;
const hashLayersMax = 64;

/** Keys of extended messages; each dictionary is walked once. */
const extended = dictionaryKeys([
  ['m', 'd'],
  ['msg_type', 'i'],
  ['piece', 'i'],
  ['added', '*'],
  ['added6', '*'],
  ['dropped', '*'],
  ['dropped6', '*'],
  ['comments', 'l'],
  ['num', 'i'],
  ['filter', '0'],
  ['p', 'i'],
  ['v', '0'],
  ['reqq', 'i'],
  ['yourip', '0'],
  ['metadata_size', 'i'],
  ['upload_only', 'i'],
]);
const keyM = 0;
const keyMsgType = 1;
const keyPiece = 2;
const keyAdded = 3;
const keyAdded6 = 4;
const keyDropped = 5;
const keyDropped6 = 6;
/** From here to `p`: of ut_comment, beside `msg_type`. */
const keyComments = 7;
const keyP = 10;
/** From `p` on: what a handshake has beside `m`, or without it when it is sent again for a change; `p` and `v` say little. */
const keyReqq = 12;
const particularsMin = 2;
const letterD = 0x64;
const letterL = 0x6c;
const metadataData = 1;

export function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/**
 * Weight of the message at `at`, or NotMessage. At least its length and id (5 bytes) must lie before `end`; the rest
 * may be cut off there, and what cannot be seen weighs nothing. Keep-alives (length 0) are the caller's.
 */
export function messageWeight(bytes: Uint8Array, at: number, end: number): number {
  const length = u32(bytes, at);
  const whole = at + 4 + length <= end;
  const body = at + 5;
  const id = bytes[at + 4]!;
  switch (id) {
    case 0:
    case 1:
    case 2:
    case idInterestedMax:
    case idHaveAll:
    case idHaveNone:
      return length === 1 ? weightSmall : NotMessage;
    case idHave:
    case idSuggest:
    case idAllowedFast:
      if (length !== 5) return NotMessage;
      // Suggestions are rare, and in other protocols an id of 13 and four bytes is a field with a float.
      if (!whole || id === idSuggest) return weightNone;
      return u32(bytes, body) < piecesMax ? weightSmall : NotMessage;
    case idBitfield:
      return length >= 2 && length <= bitfieldMax ? weightNone : NotMessage;
    case idRequest:
    case idCancel:
    case idReject:
      if (length !== 13) return NotMessage;
      return whole ? blockWeight(bytes, body, u32(bytes, body + 8)) : weightNone;
    case idPiece:
      if (length < 10 || length > 9 + blockMax) return NotMessage;
      return end - body >= 8 ? blockWeight(bytes, body, length - 9) : weightNone;
    case idPort:
      if (length !== 3) return NotMessage;
      return !whole ? weightNone : (bytes[body]! | bytes[body + 1]!) !== 0 ? weightSmall : NotMessage;
    case idExtended:
      if (length < 2 || length > extendedMax) return NotMessage;
      return extendedWeight(bytes, body, Math.min(end, at + 4 + length), whole);
    case idHashRequest:
    case idHashes:
    case idHashReject:
      return hashWeight(bytes, at, end, id, length);
    default:
      return NotMessage;
  }
}

/**
 * Piece index, offset in the piece and block length, as in request, cancel, reject and piece. BEP 3: the length is a power
 * of two, unless the end of the file cuts it. So the offset is a multiple of the usual block, or of the power of two that
 * holds this one. At offset 0 any three numbers of another protocol are: that fits, but says nothing.
 */
function blockWeight(bytes: Uint8Array, at: number, length: number): number {
  const begin = u32(bytes, at + 4);
  if (u32(bytes, at) >= piecesMax || begin >= pieceBytesMax) return NotMessage;
  if (length === 0 || length > blockMax) return NotMessage;
  const aligned = begin % usualBlock === 0;
  if (aligned && length === usualBlock) return weightUsualBlock;
  if (!aligned && begin % uncutLength(length) !== 0) return NotMessage;
  return begin === 0 ? weightNone : weightBlock;
}

/** True if a message that weighs as a block is about one of another length than BEP 3 has where no file ends. */
function isCutBlock(bytes: Uint8Array, at: number, id: number, length: number): boolean {
  const block = id === idPiece ? length - 9 : u32(bytes, at + 13);
  return uncutLength(block) !== block;
}

/** The power of two that a block cut to `length` was before; nobody asks for less than 1 KiB. */
function uncutLength(length: number): number {
  return Math.max(blockMin, 1 << (32 - Math.clz32(length - 1)));
}

/** BEP 52: root of the pieces, base layer, index, length (a power of two), proof layers; in `hashes` the hashes too. */
function hashWeight(bytes: Uint8Array, at: number, end: number, id: number, length: number): number {
  if (id === idHashes) {
    if (length < hashHeader + hashLength || length > hashesMax || (length - hashHeader) % hashLength !== 0) {
      return NotMessage;
    }
  } else if (length !== hashHeader) return NotMessage;
  const fields = at + 5 + hashLength;
  if (end - fields < 16) return weightNone;
  const count = u32(bytes, fields + 8);
  if (u32(bytes, fields) >= hashLayersMax || u32(bytes, fields + 12) >= hashLayersMax) return NotMessage;
  if (count < 2 || count > 8192 || (count & (count - 1)) !== 0) return NotMessage;
  return u32(bytes, fields + 4) % count === 0 ? weightUsualBlock : NotMessage;
}

/** `[at, end)` is the extended message's own id and its body, all of it if `whole`. */
function extendedWeight(bytes: Uint8Array, at: number, end: number, whole: boolean): number {
  const body = at + 1;
  if (body >= end) return weightNone;
  if (bytes[body] !== letterD) {
    if (bytes[at] === 0 || !whole || end - body > binaryExtensionMax) return NotMessage;
    // upload_only, or what else says yes or no.
    return end - body === 1 && bytes[body]! <= 1 && bytes[at]! <= extensionsMax ? weightSmall : weightNone;
  }
  const dictionary = readDictionary(bytes, body, end, extended);
  if (dictionary < 0 && (whole || dictionary !== Incomplete)) return NotMessage;
  if (bytes[at] === 0) {
    if (dictionary >= 0 && dictionary !== end) return NotMessage;
    if (extended.values[keyM]! >= 0) return weightExtensionHandshake;
    if (dictionary >= 0 && hasParticulars()) return weightExtensionHandshake;
    return dictionary < 0 ? weightSmall : weightDictionary;
  }
  return knownExtensionWeight(bytes, end, dictionary);
}

function hasParticulars(): boolean {
  const own = keysFrom(keyReqq, extended.values.length);
  return own > 0 && own + keysFrom(keyP, keyReqq) >= particularsMin;
}

/** How many of these keys the dictionary has. */
function keysFrom(first: number, end: number): number {
  let there = 0;
  for (let key = first; key < end; key++) if (extended.values[key]! >= 0) there++;
  return there;
}

/**
 * ut_metadata (BEP 9), ut_pex (BEP 11), uTorrent's ut_comment, libtorrent's lt_tex (lists of trackers): told apart by their
 * keys, since every peer numbers extensions itself.
 */
function knownExtensionWeight(bytes: Uint8Array, end: number, dictionary: number): number {
  const type = extended.values[keyMsgType]!;
  if (type >= 0 && extended.values[keyPiece]! >= 0) {
    const data = integerValue(bytes, type, end) === metadataData;
    return dictionary >= 0 && dictionary !== end && !data ? NotMessage : weightKnownExtension;
  }
  if (dictionary >= 0 && dictionary !== end) return NotMessage;
  if (dictionary >= 0 && isList(bytes, keyAdded)) return weightKnownExtension;
  if (dictionary >= 0 && type >= 0 && keysFrom(keyComments, keyP) > 0) return weightKnownExtension;
  if (isPeerString(bytes, end, keyAdded, compactBytes)) return weightKnownExtension;
  if (isPeerString(bytes, end, keyAdded6, compact6Bytes)) return weightKnownExtension;
  if (isPeerString(bytes, end, keyDropped, compactBytes)) return weightKnownExtension;
  if (isPeerString(bytes, end, keyDropped6, compact6Bytes)) return weightKnownExtension;
  return dictionary < 0 ? weightSmall : weightDictionary;
}

/** 455 haves fill the longest opening; the bound only matters for segments that the network card has joined. */
export const messagesMax = 512;
const keepAlivesMax = 4;
/** Messages without a body that count: states come in pairs, and a protocol of numbered commands has more of them. */
const simpleMax = 2;
/** What light messages (states, haves, ports) weigh together at most: however many there are, they are no proof. */
const lightMax = 4;
/** Blocks that the end of a file cuts and that count: a torrent has one, of several files (BEP 52) one each. */
const cutBlocksMax = 2;
/** A have of piece 0 or 1 weighs nothing: other protocols say no and yes with these. */
const booleanMax = 1;

/** Answer of `weighChain`: scratch, valid until the next call. */
export const chain = {
  weight: 0,
  /** Weight and start of the heaviest message, and start of the last message that weighed anything. */
  heaviest: 0,
  heaviestAt: 0,
  lastAt: 0,
  messages: 0,
  /** Messages with just one keep-alive before them. */
  behindKeepAlive: 0,
  /** Start of the first extended message that weighed anything, or -1: `readExtended` looks into those from there on. */
  extendedAt: -1,
  /** Where the last message ends; beyond the range if it goes on in the next packet. */
  end: 0,
};

/**
 * Walks the chain of messages that fills `[start, end)` and weighs it into `chain`; false if it is no chain, or if a
 * keep-alive stands before each message: then lengths have eight bytes (unless one is known by its content). Only the last
 * message may be cut. Repetitions weigh nothing, light messages together no more than `lightMax`, and of the blocks
 * that the end of a file cuts only the first ones weigh: other protocols have many messages of three numbers.
 */
export function weighChain(bytes: Uint8Array, start: number, end: number): boolean {
  if (!walkChain(bytes, start, end)) return false;
  return chain.behindKeepAlive < chain.messages || chain.heaviest >= weightKnownExtension;
}

function walkChain(bytes: Uint8Array, start: number, end: number): boolean {
  beginChain(start);
  let alive = 0;
  let hasBitfield = false;
  let keepAlives = 0;
  let cutBlocks = 0;
  let at = start;
  while (at < end && chain.messages < messagesMax) {
    if (end - at < 5) return endsOrBegins(bytes, at, end);
    const length = u32(bytes, at);
    if (length === 0) {
      if (++keepAlives > keepAlivesMax) return false;
      alive++;
      at += 4;
      continue;
    }
    const weight = messageWeight(bytes, at, end);
    if (weight === NotMessage) return false;
    if (alive === 1) chain.behindKeepAlive++;
    alive = 0;
    const id = bytes[at + 4]!;
    if (id === idBitfield && hasBitfield) return false;
    hasBitfield ||= id === idBitfield;
    const isLight = weight === weightSmall && (id < idExtended || length === 3);
    if (id === idExtended && weight > weightNone && chain.extendedAt < 0) chain.extendedAt = at;
    if (isLight) count(lightWeight(bytes, at, id, length), at);
    else if (weight === weightBlock && isCutBlock(bytes, at, id, length) && ++cutBlocks > cutBlocksMax)
      count(weightNone, at);
    else count(weight, at);
    at += 4 + length;
    chain.end = at;
  }
  return chain.messages > 0;
}

/** What the light messages before said: scratch of one walk. */
const light = { weight: 0, seen: 0, simple: 0, piece: -1, olderPiece: -1, step: -1 };

function beginChain(start: number): void {
  chain.weight = 0;
  chain.heaviest = 0;
  chain.heaviestAt = start;
  chain.lastAt = start;
  chain.messages = 0;
  chain.behindKeepAlive = 0;
  chain.extendedAt = -1;
  chain.end = start;
  light.weight = 0;
  light.seen = 0;
  light.simple = 0;
  light.piece = -1;
  light.olderPiece = -1;
  light.step = -1;
}

/** Weight of a state, a port, a have or an allowed piece after the light messages before it. */
function lightWeight(bytes: Uint8Array, at: number, id: number, length: number): number {
  const says =
    length === 5
      ? isNewPiece(u32(bytes, at + 5))
      : (light.seen & (1 << id)) === 0 && (length !== 1 || ++light.simple <= simpleMax);
  light.seen |= 1 << id;
  if (!says || light.weight === lightMax) return weightNone;
  light.weight += weightSmall;
  return weightSmall;
}

/** False for what other protocols send in this form: a state said again, two states in turn, yes and no, a counter. */
function isNewPiece(piece: number): boolean {
  const step = light.piece < 0 ? -1 : Math.abs(piece - light.piece);
  if (step === 0) return false;
  const isNew = piece > booleanMax && piece !== light.olderPiece && (step < 0 || step !== light.step);
  light.step = step;
  light.olderPiece = light.piece;
  light.piece = piece;
  return isNew;
}

/** Fewer than five bytes at the end: a keep-alive, or the beginning of a message that goes on in the next packet. */
function endsOrBegins(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at === 4 && u32(bytes, at) === 0) return chain.messages > 0;
  return bytes[at] === 0 && chain.messages > 0;
}

/**
 * Adds to `peers` whom the extended messages of the chain just walked name (BEP 11), and answers the port on which their
 * sender says it listens (BEP 10, `p`), or 0. Walks the chain, which ends at `end`,
 * again from its first such message.
 */
export function readExtended(bytes: Uint8Array, end: number, peers: PeerList): number {
  let port = 0;
  let at = chain.extendedAt;
  for (let messages = 0; messages < messagesMax && at >= 0 && end - at > 6; messages++) {
    const length = u32(bytes, at);
    const to = Math.min(end, at + 4 + length);
    if (length > 2 && bytes[at + 4] === idExtended && bytes[at + 6] === letterD) {
      const dictionary = readDictionary(bytes, at + 6, to, extended);
      if (bytes[at + 5] === 0) port = integerPort(bytes, to);
      else if (dictionary === to && to === at + 4 + length) readExchange(bytes, to, peers);
    }
    at += 4 + length;
  }
  return port;
}

function integerPort(bytes: Uint8Array, end: number): number {
  const at = extended.values[keyP]!;
  const port = at < 0 ? 0 : integerValue(bytes, at, end);
  return port > 0 && port <= 65_535 ? port : 0;
}

/** The peers added, as the dictionary just read has them. */
function readExchange(bytes: Uint8Array, end: number, peers: PeerList): void {
  if (isPeerString(bytes, end, keyAdded, compactBytes)) addAll(bytes, end, peers, keyAdded, compactBytes);
  if (isPeerString(bytes, end, keyAdded6, compact6Bytes)) addAll(bytes, end, peers, keyAdded6, compact6Bytes);
}

function addAll(bytes: Uint8Array, end: number, peers: PeerList, key: number, unit: number): void {
  const value = extended.values[key]!;
  peers.addCompact(bytes, stringStart(bytes, value, end), stringEnd(bytes, value, end), unit, 0);
}

function count(weight: number, at: number): void {
  chain.messages++;
  if (weight === weightNone) return;
  chain.weight += weight;
  chain.lastAt = at;
  if (weight > chain.heaviest) {
    chain.heaviest = weight;
    chain.heaviestAt = at;
  }
}

/**
 * Length of the readable beginning of the peer id at `at` (BEP 20): eight bytes as in `-TR4060-`, or the letters,
 * digits, dots and dashes that the other styles begin with; 0 for a peer id that is random and names nobody.
 */
export function peerIdNameLength(bytes: Uint8Array, at: number): number {
  if (bytes[at] === dash && bytes[at + azureusStyleLength - 1] === dash) return azureusStyleLength;
  let to = at;
  while (to < at + azureusStyleLength && isNameByte(bytes[to]!)) to++;
  return to - at >= namePrefixMin ? to - at : 0;
}

function isNameByte(byte: number): boolean {
  return isAlphanumeric(byte) || byte === dash || byte === 0x2e;
}

function isList(bytes: Uint8Array, key: number): boolean {
  const value = extended.values[key]!;
  return value >= 0 && bytes[value] === letterL;
}

function isPeerString(bytes: Uint8Array, end: number, key: number, unit: number): boolean {
  const value = extended.values[key]!;
  if (value < 0) return false;
  const length = stringLength(bytes, value, end);
  return length >= 0 && length % unit === 0;
}
