/**
 * The peer protocol of a flow whose beginning was not seen: packets that are filled exactly by a chain of messages
 * (BEP 3, 5, 6, 10, 11, 52; one message is lib/wire/peer.ts). Only the last message may go on in the next packet.
 *
 * Length prefixes are everywhere (SSH, LDAP with SASL, VNC, H.264 start codes), so the chain is weighed: haves, chokes
 * and bitfields say little, a request for an aligned block of 16 KiB says much, an extension handshake says it all.
 * What is too light alone is kept, and the bytes that follow it are weighed together with it.
 */
import { dictionaryValueOf, stringEnd, stringStart } from '../lib/wire/bencode.js';
import {
  idBitfield,
  idExtended,
  idPiece,
  idRequest,
  messageWeight,
  NotMessage,
  u32,
  weightBlock,
  weightExtensionHandshake,
  weightKnownExtension,
  weightNone,
  weightSmall,
  weightUsualBlock,
} from '../lib/wire/peer.js';
import { ascii } from '../lib/wire/text.js';
import {
  More,
  nearMiss,
  No,
  noteClient,
  yesInOpening,
  yesInPayload,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const extensionHandshake = 0;
const extensionMessage = 1;
const chain = 2;
const requestAndPiece = 3;
const usualBlock = 4;
const fewMessages = 5;

const tooLight = 0;

/** Weight that is believed by itself: one request for a usual block, four for odd ones, or eight different haves. */
const proofWeight = weightUsualBlock;
const strongWeight = proofWeight / 2;

/** 455 haves fill the longest opening; the bound only matters for segments that the network card has joined. */
const messagesMax = 512;
const keepAlivesMax = 4;
/** Longest first part of a message that carries its weight: a request. */
const weightedBytes = 17;
const clientLengthMax = 32;
const keyV = ascii('v');

/** Answer of `walk`: scratch, valid until the next call. */
const found = {
  weight: 0,
  /** Weight and start of the heaviest message, and start of the last message that weighed anything. */
  heaviest: 0,
  heaviestAt: 0,
  lastAt: 0,
  messages: 0,
};

export const peerMessages: Detector = {
  name: 'peer-messages',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 5, BEP 6, BEP 9, BEP 10, BEP 11, BEP 52',
  summary:
    'peer protocol from the middle of a stream: chains of messages, extension protocol, PEX, FAST, hashes',
  limits:
    'fewer than four different haves, chokes, bitfields and keep-alives are not believed; packets inside a block say nothing',
  scope: 'packets',
  packetsMax: 32,
  firstBytes: [0x00],
  where: 'middle',
  findings: [
    { text: 'extension handshake in the middle of a stream (BEP 10)', kind: 'peer', confidence: 'proof' },
    { text: 'metadata or peer exchange message (BEP 9, BEP 11)', kind: 'peer', confidence: 'proof' },
    { text: 'chain of peer protocol messages (BEP 3, BEP 6, BEP 52)', kind: 'peer', confidence: 'proof' },
    { text: 'piece that answers a request of the other side (BEP 3)', kind: 'peer', confidence: 'proof' },
    {
      text: 'request for an aligned block of 16 KiB, or the block itself (BEP 3)',
      kind: 'peer',
      confidence: 'proof',
    },
    {
      text: 'a few light messages of the peer protocol (BEP 3, BEP 6, BEP 10)',
      kind: 'peer',
      confidence: 'strong',
    },
  ],
  nearMisses: ['lengths and ids as in the peer protocol, but nothing in them that only BitTorrent explains'],
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    // Every length is below 2^24, so a first byte that is not zero ends it here for nearly all traffic.
    const payloadFits = end - start >= 5 && bytes[start] === 0 && walk(bytes, start, end);
    if (payloadFits && found.weight >= strongWeight) return grade(view, bytes, false);
    if (payloadFits && answersOther(view)) return yesInPayload(view, requestAndPiece, start, start + 13);
    const weight = payloadFits ? found.weight : NotMessage;
    const before = view.openingEnd - view.openingStart - (end - start);
    if (before > 0 && view.opening[view.openingStart] === 0) {
      const grown = walkOpening(view, before);
      if (grown && found.weight >= strongWeight) return grade(view, view.opening, true);
      if (grown) return More;
    }
    if (weight > weightNone) return More;
    return weight === weightNone ? nearMiss(view, tooLight) : No;
  },
};

/** Weighs the chain in this side's opening; false if this packet adds nothing to it. */
function walkOpening(view: View, before: number): boolean {
  if (!walk(view.opening, view.openingStart, view.openingEnd)) return false;
  return found.weight > 0 && found.lastAt + weightedBytes > view.openingStart + before;
}

/**
 * Walks the chain in `[start, end)` and weighs it into `found`; false if it is no chain. Repetitions weigh nothing:
 * a simple message counts once, a have only if it names another piece than the one before.
 */
function walk(bytes: Uint8Array, start: number, end: number): boolean {
  found.weight = 0;
  found.heaviest = 0;
  found.heaviestAt = start;
  found.lastAt = start;
  found.messages = 0;
  let seen = 0;
  let keepAlives = 0;
  let lastPiece = -1;
  let at = start;
  while (at < end && found.messages < messagesMax) {
    if (end - at < 5) return endsOrBegins(bytes, at, end);
    const length = u32(bytes, at);
    if (length === 0) {
      if (++keepAlives > keepAlivesMax) return false;
      at += 4;
      continue;
    }
    let weight = messageWeight(bytes, at, end);
    if (weight === NotMessage) return false;
    const id = bytes[at + 4]!;
    if (id === idBitfield && (seen & (1 << idBitfield)) !== 0) return false;
    if (weight === weightSmall && id < idExtended) {
      const piece = length === 5 ? u32(bytes, at + 5) : -1;
      const repeated = length === 5 ? piece === lastPiece : (seen & (1 << id)) !== 0;
      if (length === 5) lastPiece = piece;
      if (repeated) weight = weightNone;
    }
    seen |= 1 << id;
    count(weight, at);
    at += 4 + length;
  }
  return found.messages > 0;
}

/** Fewer than five bytes at the end: a keep-alive, or the beginning of a message that goes on in the next packet. */
function endsOrBegins(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at === 4 && u32(bytes, at) === 0) return found.messages > 0;
  return bytes[at] === 0 && found.messages > 0;
}

function count(weight: number, at: number): void {
  found.messages++;
  if (weight === weightNone) return;
  found.weight += weight;
  found.lastAt = at;
  if (weight > found.heaviest) {
    found.heaviest = weight;
    found.heaviestAt = at;
  }
}

/** Says what the chain in `found` is worth. */
function grade(view: View, bytes: Uint8Array, inOpening: boolean): Outcome {
  const from = inOpening ? view.openingStart : view.start;
  const end = inOpening ? view.openingEnd : view.end;
  let finding = found.weight >= proofWeight ? chain : fewMessages;
  if (finding === chain && found.weight === weightUsualBlock && found.heaviest === weightUsualBlock) {
    finding = usualBlock;
  }
  let at = from;
  if (found.heaviest >= weightKnownExtension) {
    at = found.heaviestAt;
    finding = found.heaviest === weightExtensionHandshake ? extensionHandshake : extensionMessage;
    if (finding === extensionHandshake) noteVersion(view, bytes, at, end);
  } else if (finding === fewMessages && !inOpening && answersOther(view)) finding = requestAndPiece;
  const to = found.heaviest >= weightKnownExtension ? Math.min(end, at + 4 + u32(bytes, at)) : end;
  return inOpening ? yesInOpening(view, finding, at, to) : yesInPayload(view, finding, at, to);
}

/** `v` of the extension handshake: name and version of the client. */
function noteVersion(view: View, bytes: Uint8Array, at: number, end: number): void {
  const to = Math.min(end, at + 4 + u32(bytes, at));
  const v = dictionaryValueOf(bytes, at + 6, to, keyV, '0');
  if (v < 0) return;
  const textEnd = stringEnd(bytes, v, to);
  const text = stringStart(bytes, v, to);
  if (textEnd > text && textEnd - text <= clientLengthMax) noteClient(view, bytes, text, textEnd);
}

/** True if the payload begins with a block whose piece and offset the other side asked for in its opening. */
function answersOther(view: View): boolean {
  const { bytes, start, end, other, otherEnd } = view;
  if (end - start < 13 || bytes[start + 4] !== idPiece) return false;
  if (messageWeight(bytes, start, end) < weightBlock) return false;
  let at = view.otherStart;
  for (let messages = 0; messages < messagesMax && otherEnd - at >= 17; messages++) {
    if (other[at + 4] === idRequest && u32(other, at) === 13) {
      let same = 0;
      while (same < 8 && other[at + 5 + same] === bytes[start + 5 + same]) same++;
      if (same === 8 && u32(other, at + 13) === u32(bytes, start) - 9) return true;
    }
    at += 4 + u32(other, at);
  }
  return false;
}
