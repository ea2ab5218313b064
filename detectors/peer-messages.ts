/**
 * The peer protocol without its handshake: packets that are filled exactly by a chain of messages (BEP 3, 5, 6, 10, 11,
 * 52; messages and chains are lib/wire/peer.ts). Only the last message may go on in the next packet. So it is where the
 * beginning of a flow was not seen, and where an MSE exchange came first and then chose plaintext.
 *
 * Length prefixes are everywhere (SSH, LDAP with SASL, VNC, H.264 start codes), so the chain is weighed: haves, chokes
 * and bitfields say little and are never proof, a request for an aligned block of 16 KiB says much, an extension handshake says it all.
 * What is too light alone is kept, and the bytes that follow it are weighed together with it.
 *
 * Random bytes are proof once in 10^20 packets. The copy of a recording (a BitTorrent capture fetched from a web server)
 * can begin a segment with messages and the header of a block, the one message that runs over a segment's end: so at
 * 1 of 29,000 bytes of 177 captures of clients. Where the beginning of the flow was seen, a block that is not all there
 * is therefore only strong, and 1 of 2 million bytes makes proof (measured 2026-11-20).
 */
import { dictionaryValueOf, stringEnd, stringStart } from '../lib/wire/bencode.js';
import {
  chain as found,
  idPiece,
  idRequest,
  messagesMax,
  messageWeight,
  NotMessage,
  readExtended,
  u32,
  weighChain,
  weightBlock,
  weightExtensionHandshake,
  weightKnownExtension,
  weightNone,
  weightUsualBlock,
} from '../lib/wire/peer.js';
import { ascii, isBeginningOf, startsWith } from '../lib/wire/text.js';
import {
  More,
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
const loneBlock = 6;
const fewBehindOther = 7;

const tooLight = 0;
const atDeliveryPort = 1;

/** Weight that is believed by itself: one request for a usual block or four for odd ones; haves weigh half at most. */
const proofWeight = weightUsualBlock;
const strongWeight = proofWeight / 2;

/** Longest first part of a message that carries its weight: a request. */
const weightedBytes = 17;
const clientLengthMax = 32;
const keyV = ascii('v');
/** How both sides of Windows Delivery Optimization begin. */
const swarmHeader = ascii('\x0eSwarm protocol');
/** Its port (Microsoft, "Delivery Optimization workflow": a binary protocol over TCP, port 7680). */
const deliveryPort = 7680;

export const peerMessages: Detector = {
  name: 'peer-messages',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 5, BEP 6, BEP 9, BEP 10, BEP 11, BEP 52',
  summary:
    'peer protocol from the middle of a stream: chains of messages, extension protocol, PEX, FAST, hashes',
  limits:
    'fewer than four different haves, chokes, bitfields and keep-alives are not believed, more of them are only ' +
    'strong, and a hint where the beginning of the flow was seen, without a handshake; haves that count up or ' +
    'alternate say nothing; packets inside a block say ' +
    'nothing; where the beginning of the flow was seen, a lone block is only strong (a copy of a recording has such); ' +
    'Windows Delivery Optimization has the same messages and is told apart by its beginning; at its port (7680) a ' +
    'flow whose beginning was not seen needs a known extension message',
  scope: 'packets',
  packetsMax: 24,
  firstBytes: [0x00, 0x0e],
  where: 'anywhere',
  teaches: true,
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
    {
      text: 'block of 16 KiB in a stream that began with other bytes (BEP 3)',
      kind: 'peer',
      confidence: 'strong',
      repeatable: true,
    },
    {
      text: 'a few light messages of the peer protocol in a stream that began without its handshake (BEP 3, BEP 6, BEP 10)',
      kind: 'peer',
      confidence: 'hint',
    },
  ],
  nearMisses: [
    'lengths and ids as in the peer protocol, but nothing in them that only BitTorrent explains',
    'messages of BEP 3 at the port of Windows Delivery Optimization, which has the same, and no beginning',
  ],
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    if (isDeliveryOptimization(view)) return More;
    // Every length is below 2^24, so a first byte that is not zero ends it here for nearly all traffic.
    const payloadFits = end - start >= 5 && bytes[start] === 0 && weighChain(bytes, start, end);
    const unfinished = payloadFits ? found.end > end : mayBegin(view);
    if (payloadFits && found.weight >= strongWeight) return grade(view, bytes, false);
    if (payloadFits && answersOther(view)) return answered(view);
    const weight = payloadFits ? found.weight : NotMessage;
    const before = view.openingEnd - view.openingStart - (end - start);
    if (before > 0 && view.opening[view.openingStart] === 0) {
      const grown = walkOpening(view, before);
      if (grown && found.weight >= strongWeight) return grade(view, view.opening, true);
      if (grown) return More;
    }
    if (weight === weightNone) view.near = tooLight;
    // In a stream seen from its start the rest of a cut message comes next; elsewhere a packet has to speak for itself.
    return weight > weightNone || (unfinished && view.fromStart) ? More : No;
  },
};

/**
 * Updates of Windows from neighbours (TCP port 7680) travel in the messages of BEP 3, bitfield, request and piece, behind a
 * handshake of their own. Its beginning is kept (More), so that it is seen beside each message that follows; where blocks
 * have driven it out on one side, it is still there on the side that asks for them.
 */
function isDeliveryOptimization(view: View): boolean {
  const { opening, openingStart, openingEnd } = view;
  if (startsWith(view.other, view.otherStart, view.otherEnd, swarmHeader)) return true;
  if (startsWith(opening, openingStart, openingEnd, swarmHeader)) return true;
  return openingEnd > openingStart && isBeginningOf(opening, openingStart, openingEnd, swarmHeader);
}

/**
 * True if these may be the messages of an update of Windows whose beginning was missed. A peer that listens there is
 * found by its handshake, or by a known extension message, which only BitTorrent has.
 */
function maybeDelivery({ fromStart, sourcePort, destinationPort }: View): boolean {
  return !fromStart && (sourcePort === deliveryPort || destinationPort === deliveryPort);
}

/** Weighs the chain in this side's opening; false if this packet adds nothing to it. */
function walkOpening(view: View, before: number): boolean {
  if (!weighChain(view.opening, view.openingStart, view.openingEnd)) return false;
  return found.weight > 0 && found.lastAt + weightedBytes > view.openingStart + before;
}

/** True if the payload is the first one to four bytes of a message that is no keep-alive. */
function mayBegin({ bytes, start, end }: View): boolean {
  if (end - start > 4 || bytes[start] !== 0) return false;
  return end - start < 4 || u32(bytes, start) !== 0;
}

/** The answer to a block that the other side asked for. */
function answered(view: View): Outcome {
  if (maybeDelivery(view)) return nearDelivery(view);
  return yesInPayload(view, requestAndPiece, view.start, view.start + 13);
}

function nearDelivery(view: View): Outcome {
  view.near = atDeliveryPort;
  return More;
}

/** Says what the chain in `found` is worth. */
function grade(view: View, bytes: Uint8Array, inOpening: boolean): Outcome {
  if (found.heaviest < weightKnownExtension && maybeDelivery(view)) return nearDelivery(view);
  const from = inOpening ? view.openingStart : view.start;
  const end = inOpening ? view.openingEnd : view.end;
  let finding = found.weight >= proofWeight ? chain : fewMessages;
  if (finding === chain && found.weight === weightUsualBlock && found.heaviest === weightUsualBlock) {
    finding = usualBlock;
  }
  if (finding !== fewMessages && leansOnCutBlock(view, bytes, end)) finding = loneBlock;
  let at = from;
  if (found.heaviest >= weightKnownExtension) {
    at = found.heaviestAt;
    finding = found.heaviest === weightExtensionHandshake ? extensionHandshake : extensionMessage;
    if (finding === extensionHandshake) noteVersion(view, bytes, at, end);
  } else if (finding === fewMessages) {
    if (!inOpening && answersOther(view)) finding = requestAndPiece;
    else if (view.fromStart) finding = fewBehindOther;
  }
  if (found.extendedAt >= 0) view.listenPort = readExtended(bytes, end, view.peers);
  const to = found.heaviest >= weightKnownExtension ? Math.min(end, at + 4 + u32(bytes, at)) : end;
  return inOpening ? yesInOpening(view, finding, at, to) : yesInPayload(view, finding, at, to);
}

/** True if the weight is that of a last block whose rest is not there, and the flow began with something else. */
function leansOnCutBlock(view: View, bytes: Uint8Array, end: number): boolean {
  if (!view.fromStart || found.end <= end || found.weight - weightUsualBlock >= proofWeight) return false;
  const last = found.lastAt;
  return bytes[last + 4] === idPiece && last + 4 + u32(bytes, last) === found.end;
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
