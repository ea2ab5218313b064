/**
 * The peer handshake (BEP 3) at the beginning of a segment, but not of the stream: an MSE exchange that chose plaintext
 * (aria2 by default, libtorrent with prefer_rc4 off) ends with it.
 * https://wiki.vuze.com/w/Message_Stream_Encryption
 *
 * The 20 bytes of the header stand wherever somebody copies a recording or a program that contains them, and one copy in
 * some 1,448 has them at the beginning of a segment. So more has to fit: the reserved bytes, an info-hash and a peer id
 * as clients write them, and the segment must end with the handshake or go on with peer messages to its last byte. Behind
 * a handshake in a capture file stands the next packet's record, in a program another string: neither is a message, so
 * such a copy is taken less than once in 10^6. Random bytes are never (2^-160).
 */
import {
  handshakeBytes,
  handshakeHeader,
  infoHashAt,
  peerIdAt,
  peerIdNameLength,
  reservedAt,
  weighChain,
} from '../lib/wire/peer.js';
import { isBeginningOf, startsWith } from '../lib/wire/text.js';
import {
  More,
  nearMiss,
  No,
  noteClient,
  noteInfoHash,
  yesInOpening,
  yesInPayload,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const named = 0;
const unnamed = 1;

const followedByOther = 0;
const behindText = 1;

/** Of the eight reserved bytes clients set bits in four at the most (BEP 4 and what Azureus and uTorrent added). */
const reservedZerosMin = 4;
/** 20 random bytes have more than 4 zeros once in 100 million. */
const hashZerosMax = 4;
/** Bytes before the handshake that are looked at, where they were kept. 16 random ones are all text once in 3 million. */
const textBytes = 16;

export const peerHandshakeLate: Detector = {
  name: 'peer-handshake-late',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, https://wiki.vuze.com/w/Message_Stream_Encryption',
  summary: 'peer handshake behind other bytes: an MSE exchange that chose plaintext',
  limits:
    'only at the beginning of a segment, early in the stream, ending its segment or followed by peer messages alone; ' +
    'cut by a snap length, or with a peer id that names no client, it is only strong; not behind visible text; the raw ' +
    'copy of a peer stream behind a header of its own is taken for one',
  scope: 'packets',
  packetsMax: 12,
  firstBytes: [0x13],
  where: 'anywhere',
  findings: [
    {
      text: 'peer handshake after other bytes, e.g. an MSE exchange that chose plaintext (BEP 3)',
      kind: 'peer',
      confidence: 'proof',
    },
    {
      text: 'peer handshake after other bytes, cut off or of an unnamed client (BEP 3)',
      kind: 'peer',
      confidence: 'strong',
    },
  ],
  nearMisses: [
    'peer handshake in the middle of a stream, but what follows it is no peer protocol',
    'peer handshake behind text, as in a file that is being copied',
  ],
  inspect(view: View): Outcome {
    const { bytes, start, end, opening, openingStart, openingEnd } = view;
    // The first segment of a side is peer-handshake's.
    if (view.payloadPacket < 2) return No;
    const before = openingEnd - openingStart - (end - start);
    if (bytes[start] === 0x13) {
      const begins = isBeginningOf(bytes, start, end, handshakeHeader);
      if (!begins && !startsWith(bytes, start, end, handshakeHeader)) return No;
      if (before > 0 && isText(opening, openingStart, before)) return nearMiss(view, behindText);
      if (end - start >= handshakeBytes) return judge(view, bytes, start, end, false);
      return view.wireLength > end - start ? judgeCut(view) : More;
    }
    if (before <= 0 || before >= handshakeBytes || view.payloadPacket < 3) return No;
    const whole = startsWith(opening, openingStart, openingEnd, handshakeHeader);
    if (!whole && !isBeginningOf(opening, openingStart, openingEnd, handshakeHeader)) return No;
    if (openingEnd - openingStart < handshakeBytes) return More;
    return judge(view, opening, openingStart, openingEnd, true);
  },
};

/** True if the first of `length` bytes are all readable: what came before was no key exchange. */
function isText(bytes: Uint8Array, start: number, length: number): boolean {
  if (length < textBytes) return false;
  for (let i = start; i < start + textBytes; i++) {
    const byte = bytes[i]!;
    if ((byte < 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) || byte > 0x7e) return false;
  }
  return true;
}

/** A whole handshake at `from`. */
function judge(view: View, bytes: Uint8Array, from: number, end: number, inOpening: boolean): Outcome {
  const behind = from + handshakeBytes;
  if (!isPlausible(bytes, from, end) || !endsOrGoesOn(bytes, behind, end))
    return nearMiss(view, followedByOther);
  noteInfoHash(view, bytes, from + infoHashAt, 20);
  const name = peerIdNameLength(bytes, from + peerIdAt);
  if (name > 0) noteClient(view, bytes, from + peerIdAt, from + peerIdAt + name);
  const finding = name > 0 ? named : unnamed;
  return inOpening ? yesInOpening(view, finding, from, behind) : yesInPayload(view, finding, from, behind);
}

/** True if nothing follows the handshake, or a chain of messages, or as much of one as fits into less than five bytes. */
function endsOrGoesOn(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < 5) return at === end || bytes[at] === 0;
  return weighChain(bytes, at, end);
}

/** A handshake that the capture cut: what is visible has to fit, and the segment has to have room for the rest. */
function judgeCut(view: View): Outcome {
  const { bytes, start, end, wireLength } = view;
  if (end - start < infoHashAt || wireLength < handshakeBytes) return No;
  if (!isPlausible(bytes, start, end)) return nearMiss(view, followedByOther);
  if (end - start >= peerIdAt) noteInfoHash(view, bytes, start + infoHashAt, 20);
  return yesInPayload(view, wireLength === handshakeBytes ? named : unnamed, start, end);
}

/** True if the reserved bytes are mostly zero, and the info-hash, as far as it is there, mostly not. */
function isPlausible(bytes: Uint8Array, from: number, end: number): boolean {
  const hashEnd = Math.min(end, from + peerIdAt);
  return (
    zeros(bytes, from + reservedAt, from + infoHashAt) >= reservedZerosMin &&
    zeros(bytes, from + infoHashAt, hashEnd) <= hashZerosMax
  );
}

function zeros(bytes: Uint8Array, from: number, to: number): number {
  let count = 0;
  for (let i = from; i < to; i++) if (bytes[i] === 0) count++;
  return count;
}
