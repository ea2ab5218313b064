/**
 * uTP, the micro transport protocol (BEP 29): 20 bytes of header, a chain of extensions, data.
 *
 *     0       1         2              4          8                12        16      18
 *     type+1  extension connection_id  timestamp  time difference  window    seq_nr  ack_nr
 *
 * Nothing in one header is proof, so two packets have to agree: a SYN and its answer, a SYN and its repetition, two
 * directions whose connection ids differ by one and whose sequence numbers acknowledge each other, or two packets of
 * one direction that carry on. A packet that could be uTP is kept (More) and the next one is compared with it. The
 * exception is data that begins with the peer handshake of BEP 3, or with messages of the peer protocol that weigh as
 * much as a request for a usual block: 102 fixed bits behind the header's own, once in 10^30 datagrams at random.
 */
import {
  chain,
  handshakeBytes,
  handshakeHeader,
  infoHashAt,
  peerIdAt,
  peerIdNameLength,
  readExtended,
  weighChain,
  weightUsualBlock,
} from '../lib/wire/peer.js';
import { isBeginningOf, startsWith } from '../lib/wire/text.js';
import { dataOf } from '../lib/wire/words.js';
import {
  More,
  nearMiss,
  No,
  noteClient,
  noteInfoHash,
  yesInPayload,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const typeData = 0;
const typeState = 2;
const typeReset = 3;
const typeSyn = 4;

const headerLength = 20;
const windowAt = 12;
/** Bytes of the handshake's header that a capture must have kept where it cut the datagram. */
const cutHandshakeMin = 8;

/** Extension 1 is the selective acknowledgement, 2 uTorrent's extension bits, 3 libtorrent's close reason. */
const selectiveAck = 1;
const extensionBits = 2;
const closeReason = 3;
const selectiveAckMax = 64;

/** Largest receive window believed, bytes. libutp offers 1 MiB, uTorrent up to 8; random bytes pass one time in 64. */
const windowMax = 0x0400_0000;
/** Smallest window of a connection that goes on: one full packet, bytes. */
const windowMin = 1024;
/** STUN's magic cookie (RFC 8489) stands where the timestamp would be. */
const stunCookie = 0x2112_a442;

const second = 1_000_000;
/** A SYN is repeated after 1 to 3 s, then at doubled intervals; libtorrent also tries again with a new connection. */
const synRepeatMin = second / 10;
const synRepeatMax = 120 * second;
/** Time between two kept packets of one direction. */
const stepMax = 20 * second;
/** How long an answer may follow the packet that it measures, and how much clocks and queues may disturb that. */
const answerMax = 30 * second;
const answerSlack = second / 10;
/** Time that has to pass before a time difference can be told from a clock, and how closely clocks keep pace. */
const clockTicksMin = second / 200;
const driftSlack = 200;
/** Packets in flight: how far an acknowledgement may be from the sequence number that was seen last. */
const flightMax = 512;
const advanceMax = 64;

const synAnswered = 0;
const synRepeated = 1;
const synContinued = 2;
const twoDirections = 3;
const oneDirection = 4;
const dataHandshake = 5;
const dataMessages = 6;
const unanswered = 7;
const otherProgram = 8;

/** Answer of linkToOwn about packets that would carry on, were their time difference a measured one. */
const notMeasured = -2;

const lonePacket = 0;
const loneRequest = 1;

export const utp: Detector = {
  name: 'utp',
  transport: 'udp',
  confidence: 'proof',
  reference: 'BEP 29',
  summary: 'uTP by two packets that agree: connection ids, sequence and acknowledgement numbers, clocks',
  limits:
    'a single SYN without answer or repetition is only a hint, a single packet of another type nothing; one ' +
    'direction alone takes three packets; behind messages of Hyperswarm 2, which speaks uTP too, it is only a hint',
  scope: 'packets',
  packetsMax: 24,
  firstBytes: [0x01, 0x11, 0x21, 0x31, 0x41],
  where: 'anywhere',
  findings: [
    {
      text: 'uTP connection request and its answer (BEP 29)',
      kind: 'utp',
      confidence: 'proof',
      elsewhere: otherProgram,
    },
    {
      text: 'uTP connection request, sent again (BEP 29)',
      kind: 'utp',
      confidence: 'proof',
      elsewhere: otherProgram,
    },
    {
      text: 'uTP connection request and data after it (BEP 29)',
      kind: 'utp',
      confidence: 'proof',
      elsewhere: otherProgram,
    },
    {
      text: 'uTP packets of both directions that acknowledge each other (BEP 29)',
      kind: 'utp',
      confidence: 'proof',
      elsewhere: otherProgram,
    },
    {
      text: 'uTP packets of one direction that carry on (BEP 29)',
      kind: 'utp',
      confidence: 'strong',
      repeatable: true,
      elsewhere: otherProgram,
    },
    { text: 'peer handshake inside a uTP data packet (BEP 29, BEP 3)', kind: 'utp', confidence: 'proof' },
    {
      text: 'peer protocol messages inside a uTP data packet (BEP 29, BEP 3)',
      kind: 'utp',
      confidence: 'proof',
    },
    {
      text: 'a uTP connection request, not yet answered (BEP 29)',
      kind: 'utp',
      confidence: 'hint',
      elsewhere: otherProgram,
    },
    {
      text: 'uTP, but its two ports also spoke the messages of another program that has uTP of its own',
      kind: 'utp',
      confidence: 'hint',
    },
  ],
  nearMisses: [
    'a uTP reset that answers nothing seen',
    'a connection request (SYN) in the form of uTP, but neither answered nor repeated',
  ],
  header: (bytes, start, end, wireLength) =>
    end - start >= headerLength && headerOfAnyWindow(bytes, start, end, wireLength) >= 0,
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    if (end - start < headerLength) return No;
    const header = headerEnd(bytes, start, end, view.wireLength);
    const type = bytes[start]! >> 4;
    if (header < 0) return judgeAnyWindow(view, type);
    if (type === typeData) {
      if (isHandshake(view, header)) return believeHandshake(view, header);
      if (areMessages(bytes, header, end)) {
        if (chain.extendedAt >= 0) view.listenPort = readExtended(bytes, end, view.peers);
        return yesInPayload(view, dataMessages, start, Math.min(end, chain.end));
      }
    }
    const other = linkToOther(view, type);
    if (other >= 0) return yesInPayload(view, other, start, header);
    const own = linkToOwn(view, type);
    if (own >= 0) return yesInPayload(view, own, start, header);
    // The older one stays: behind a queue time differences run as clocks do for the length of a burst, and no longer.
    if (own === notMeasured) return No;
    // A reset without the request that it answers can not be compared with anything later.
    if (type === typeReset) return nearMiss(view, lonePacket);
    if (type !== typeSyn) return More;
    if (hasUsualWindow(bytes, start)) return yesInPayload(view, unanswered, start, header);
    view.near = loneRequest;
    return More;
  },
};

/**
 * A packet whose window is larger than is believed of a lone one: data that is the peer handshake, or the answer to a
 * connection request, whose ids and numbers have to agree with it anyway.
 */
function judgeAnyWindow(view: View, type: number): Outcome {
  const { bytes, start, end } = view;
  if (bytes[start + windowAt]! < windowMax >> 24) return No;
  const header = headerOfAnyWindow(bytes, start, end, view.wireLength);
  if (header < 0) return No;
  if (type === typeData && isHandshake(view, header)) return believeHandshake(view, header);
  if (type !== typeState || view.otherEnd === view.otherStart) return No;
  return linkToOther(view, type) === synAnswered ? yesInPayload(view, synAnswered, start, header) : No;
}

/** True if the data at `at` begins with the peer handshake; of one cut by the capture, enough of its header. */
function isHandshake(view: View, at: number): boolean {
  const { bytes, start, end, wireLength } = view;
  if (startsWith(bytes, at, end, handshakeHeader)) return true;
  if (wireLength === end - start || end - at < cutHandshakeMin) return false;
  return wireLength - (at - start) >= peerIdAt && isBeginningOf(bytes, at, end, handshakeHeader);
}

function believeHandshake(view: View, at: number): Outcome {
  const { bytes } = view;
  const to = Math.min(view.end, at + handshakeBytes);
  if (to - at >= peerIdAt) noteInfoHash(view, bytes, at + infoHashAt, 20);
  if (to - at === handshakeBytes) {
    const name = peerIdNameLength(bytes, at + peerIdAt);
    if (name > 0) noteClient(view, bytes, at + peerIdAt, at + peerIdAt + name);
    const behind = at + handshakeBytes;
    if (view.end - behind >= 5 && weighChain(bytes, behind, view.end) && chain.extendedAt >= 0)
      view.listenPort = readExtended(bytes, view.end, view.peers);
  }
  return yesInPayload(view, dataHandshake, view.start, to);
}

/** True if the data is a chain of peer messages that weighs enough alone. */
function areMessages(bytes: Uint8Array, at: number, end: number): boolean {
  return end - at >= 5 && bytes[at] === 0 && weighChain(bytes, at, end) && chain.weight >= weightUsualBlock;
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Signed 32 bits: differences modulo 2^32 come out as small positive or negative numbers. */
function i32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/**
 * Where the data of the packet `[start, end)` begins if every field by itself is as uTP has it, else -1. The packet
 * was `wireLength` bytes long before a capture may have cut it.
 */
function headerEnd(bytes: Uint8Array, start: number, end: number, wireLength: number): number {
  if (end - start < headerLength || bytes[start + windowAt]! >= windowMax >> 24) return -1;
  return headerOfAnyWindow(bytes, start, end, wireLength);
}

/** As headerEnd, whatever the window; 20 bytes are there. */
function headerOfAnyWindow(bytes: Uint8Array, start: number, end: number, wireLength: number): number {
  const data = dataOf(bytes);
  const first = data.getInt32(start);
  const type = first >>> 28;
  const extension = (first >> 16) & 0xff;
  if (((first >> 24) & 0x0f) !== 1 || type > typeSyn || extension > closeReason) return -1;
  if (type === typeReset) return wireLength === headerLength && extension === 0 ? start + headerLength : -1;
  if ((first & 0xffff) === 0 || !isClock(data.getInt32(start + 4))) return -1;
  const header = extension === 0 ? start + headerLength : extensionsEnd(bytes, start, end);
  if (header < 0) return -1;
  const dataLength = wireLength - (header - start);
  if (type === typeSyn) return dataLength === 0 && isSyn(data, start, extension) ? header : -1;
  if (type === typeData ? dataLength <= 0 : dataLength !== 0) return -1;
  return header;
}

/**
 * A clock in microseconds has at least three bytes that are not zero, except for 6 of 65,536 moments. That keeps out
 * DNS, whose counters stand here, and the many protocols that fill up with zeros.
 */
function isClock(clock: number): boolean {
  let empty = clock >>> 24 === 0 ? 1 : 0;
  if ((clock & 0xff0000) === 0) empty++;
  if ((clock & 0xff00) === 0) empty++;
  if ((clock & 0xff) === 0) empty++;
  return empty <= 1 && clock !== stunCookie;
}

/** End of the extension chain, or -1 if it is not one: known types, their lengths, each type once, ends in the packet. */
function extensionsEnd(bytes: Uint8Array, start: number, end: number): number {
  let type = bytes[start + 1]!;
  let at = start + headerLength;
  let seen = 0;
  while (type !== 0) {
    if (type > closeReason || (seen & (1 << type)) !== 0 || end - at < 2) return -1;
    seen |= 1 << type;
    const length = bytes[at + 1]!;
    if (type === selectiveAck && (length === 0 || length > selectiveAckMax || (length & 3) !== 0)) return -1;
    if (type === extensionBits && length !== 8) return -1;
    if (type === closeReason && length !== 4) return -1;
    type = bytes[at]!;
    at += 2 + length;
  }
  return at <= end ? at : -1;
}

/**
 * A connection request: nothing was received, so there is no time difference and nothing to acknowledge, and no
 * extension but the extension bits. The sequence number is 1 in BEP 29 and random in libutp and libtorrent.
 */
function isSyn(data: DataView, start: number, extension: number): boolean {
  if (extension !== 0 && extension !== extensionBits) return false;
  const numbers = data.getInt32(start + 16);
  return data.getInt32(start + 8) === 0 && (numbers & 0xffff) === 0 && numbers !== 0;
}

/** A request offers no window (libtorrent), or one of at least a packet. */
function hasUsualWindow(bytes: Uint8Array, start: number): boolean {
  const window = i32(bytes, start + windowAt);
  return window === 0 || window >= windowMin;
}

/** Finding that links this packet to the kept one of the other direction, or -1. */
function linkToOther(view: View, type: number): number {
  const { bytes, start, other, otherStart } = view;
  if (headerEnd(other, otherStart, view.otherEnd, view.otherWireLength) < 0) return -1;
  const otherType = other[otherStart]! >> 4;
  const id = u16(bytes, start + 2);
  const otherId = u16(other, otherStart + 2);
  const ack = u16(bytes, start + 18);
  const otherSeq = u16(other, otherStart + 16);
  if (otherType === typeSyn) {
    // The answerer sends under the id of the request and acknowledges it; a refusal does so too.
    const behind = (ack - otherSeq) & 0xffff;
    if (type === typeSyn || id !== otherId || behind > (type === typeData ? advanceMax : 0)) return -1;
    // Transmission's libutp answers a request with a time difference of 0: it had measured nothing yet.
    const unmeasured = i32(bytes, start + 8) === 0;
    return type === typeReset || unmeasured || isAnswer(bytes, start, other, otherStart) ? synAnswered : -1;
  }
  if (type === typeSyn || type === typeReset) return -1;
  if (id - otherId !== 1 && otherId - id !== 1) return -1;
  if (!isNear(ack, otherSeq) || !isNear(u16(other, otherStart + 18), u16(bytes, start + 16))) return -1;
  if (u16(bytes, start + 16) === otherSeq && ack === otherSeq) return -1;
  return agrees(view, id) && isAnswer(bytes, start, other, otherStart) ? twoDirections : -1;
}

/**
 * What two directions of uTP have in common and other protocols with counters and clocks do not: a connection id that
 * stays, numbers that use their high byte, two time differences (other protocols have a session's number there, the same
 * in both), and, where one of these is the delay of the path alone, windows of a full packet or more.
 */
function agrees(view: View, id: number): boolean {
  const { bytes, start, other, otherStart, opening, openingStart } = view;
  if (view.openingEnd - openingStart >= headerLength) {
    // The request goes under the id before.
    const before = opening[openingStart]! >> 4 === typeSyn ? 1 : 0;
    if (((u16(opening, openingStart + 2) + before) & 0xffff) !== id) return false;
  }
  if (!usesHighBytes(bytes, start)) return false;
  const difference = i32(bytes, start + 8);
  const otherDifference = i32(other, otherStart + 8);
  if (difference === otherDifference && difference !== 0) return false;
  if (isClock(difference) && isClock(otherDifference)) return true;
  return hasFullWindow(bytes, start) && hasFullWindow(other, otherStart);
}

/** True if of connection id, sequence and acknowledgement number at most one is below 256. */
function usesHighBytes(bytes: Uint8Array, start: number): boolean {
  return (
    (bytes[start + 2] === 0 ? 1 : 0) +
      (bytes[start + 16] === 0 ? 1 : 0) +
      (bytes[start + 18] === 0 ? 1 : 0) <=
    1
  );
}

function hasFullWindow(bytes: Uint8Array, start: number): boolean {
  return i32(bytes, start + windowAt) >= windowMin;
}

/** True if two sequence numbers are within one flight of each other. */
function isNear(a: number, b: number): boolean {
  return ((a - b + flightMax) & 0xffff) <= 2 * flightMax;
}

/**
 * The time difference of a packet is its sender's clock, when the last packet came in, minus that packet's timestamp.
 * So timestamp minus time difference, compared with the timestamp that was seen, is how long the answer took (longer
 * if newer packets than the kept one had come in since). Both clocks are arbitrary; this sum is not.
 */
function isAnswer(bytes: Uint8Array, start: number, other: Uint8Array, otherStart: number): boolean {
  const measured = (i32(bytes, start + 4) - i32(bytes, start + 8)) | 0;
  const took = (measured - i32(other, otherStart + 4)) | 0;
  return took >= -answerSlack && took <= answerMax;
}

/** Finding that links this packet to the kept one of its own direction, or -1, or notMeasured. */
function linkToOwn(view: View, type: number): number {
  const { bytes, start, opening, openingStart } = view;
  if (type === typeReset) return -1;
  if (headerEnd(opening, openingStart, view.openingEnd, view.openingWireLength) < 0) return -1;
  const before = opening[openingStart]! >> 4;
  const passed = (i32(bytes, start + 4) - i32(opening, openingStart + 4)) | 0;
  const steps = (u16(bytes, start + 16) - u16(opening, openingStart + 16)) & 0xffff;
  const id = u16(bytes, start + 2);
  const idBefore = u16(opening, openingStart + 2);
  if (type === typeSyn) {
    if (before !== typeSyn || passed < synRepeatMin || passed > synRepeatMax) return -1;
    const same = id === idBefore && steps === 0;
    const again = id !== idBefore && steps !== 0;
    const sameWindow = i32(bytes, start + windowAt) === i32(opening, openingStart + windowAt);
    return sameWindow && (same || again) ? synRepeated : -1;
  }
  if (passed <= 0 || passed > stepMax) return -1;
  if (before === typeSyn) {
    return id === ((idBefore + 1) & 0xffff) && steps >= 1 && steps <= advanceMax ? synContinued : -1;
  }
  if (before === typeReset || id !== idBefore || isSession(view, id)) return -1;
  if (!carriesOn(view, before, steps)) return -1;
  return isMeasured(view, passed) ? oneDirection : notMeasured;
}

/** True if the other direction goes under the same number: a session of another protocol; uTP's ids differ by one. */
function isSession({ other, otherStart, otherEnd, otherWireLength }: View, id: number): boolean {
  if (headerEnd(other, otherStart, otherEnd, otherWireLength) < 0) return false;
  return other[otherStart]! >> 4 !== typeSyn && u16(other, otherStart + 2) === id;
}

/**
 * True if the time difference changed as a measured one does. A constant of another protocol's header never changes; a
 * clock that the other side sent and this one returns runs as the clock beside it. uTP's is the offset of two clocks and a
 * delay, measured anew with each packet that came in between, and hardly moves beside the time that passed.
 */
function isMeasured(view: View, passed: number): boolean {
  const drift = driftOf(view);
  if (drift === 0) return false;
  return passed < clockTicksMin || Math.abs(drift - passed) > Math.max(passed >> 3, driftSlack);
}

/**
 * Two packets of one direction, neither a request: counters and clocks move on as one sender moves them. Two random
 * datagrams that pass for uTP headers do so once in 10^14; the number says little about protocols with counters, so this
 * is only strong, and it takes a third packet. Of id and numbers two at least use their high byte: random beginnings all
 * do but one in 20,000, the counters of games, which start at 0, do not.
 */
function carriesOn(view: View, before: number, steps: number): boolean {
  const { bytes, start, opening, openingStart } = view;
  // Data takes a number each, an acknowledgement shows the next one and takes none.
  if (steps > advanceMax || (steps === 0 && before !== typeState)) return false;
  const acknowledged = (u16(bytes, start + 18) - u16(opening, openingStart + 18)) & 0xffff;
  if (acknowledged > flightMax || (steps === 0 && acknowledged === 0)) return false;
  // Fields of other protocols: positions and frames from zero where the window is, constants where numbers are.
  if (u16(bytes, start + 18) === 0 || !usesHighBytes(bytes, start)) return false;
  if (!hasFullWindow(bytes, start) || !hasFullWindow(opening, openingStart)) return false;
  if (!isClock(i32(bytes, start + 8)) || !isClock(i32(opening, openingStart + 8))) {
    if (!isSteady(bytes, start, opening, openingStart)) return false;
  }
  return Math.abs(driftOf(view)) < 10 * second;
}

/** By how much the time difference changed since the kept packet of this direction. */
function driftOf({ bytes, start, opening, openingStart }: View): number {
  return (i32(bytes, start + 8) - i32(opening, openingStart + 8)) | 0;
}

/**
 * Clocks that agree (two hosts on one time, or one host) make the time difference the delay of the path alone, a small
 * number with little to hold on to. Then the rest has to look like uTP the more: both delays below 10 s and measured,
 * and neither window larger than twice the other.
 */
function isSteady(bytes: Uint8Array, start: number, opening: Uint8Array, openingStart: number): boolean {
  const window = i32(bytes, start + windowAt);
  const windowBefore = i32(opening, openingStart + windowAt);
  if (window > 2 * windowBefore || windowBefore > 2 * window) return false;
  return isDelay(bytes, start + 8) && isDelay(opening, openingStart + 8);
}

function isDelay(bytes: Uint8Array, at: number): boolean {
  const delay = i32(bytes, at);
  return delay > 0 && delay < 10 * second;
}
