/**
 * The peer handshake (BEP 3 "peer protocol", BEP 52 "Upgrade path"): 0x13 "BitTorrent protocol", 8 reserved bytes, the
 * 20-byte info-hash (v1, or v2 cut to 20 bytes) and the 20-byte peer id, as the first bytes that a side sends.
 *
 * The first 20 bytes decide: nobody else begins a stream with them, and a filter that waits for the rest answers later
 * than it could. What has arrived of the rest is noted. A capture that keeps only the beginning of each packet may end in
 * the header: eight bytes of it and room for the info-hash are enough, since random bytes have them once in 2^64.
 */
import {
  chain,
  handshakeBytes,
  handshakeHeader as header,
  infoHashAt,
  peerIdAt,
  peerIdNameLength,
  readExtended,
  reservedAt,
  weighChain,
} from '../lib/wire/peer.js';
import { ascii, startsWith } from '../lib/wire/text.js';
import { word32 } from '../lib/wire/words.js';
import {
  More,
  nearMiss,
  No,
  noteClient,
  noteInfoHash,
  yesInOpening,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const name = ascii('BitTorrent protocol');

/** Reserved byte 5, BEP 10; reserved byte 7, BEP 52. */
const extensionByteAt = reservedAt + 5;
const extensionBit = 0x10;
const upgradeByteAt = reservedAt + 7;
const upgradeBit = 0x10;

const headerOnly = 0;
const plain = 1;
const extended = 2;
const upgradable = 3;
const inPieces = 4;

const nameWithoutLength = 0;

/** Bytes of the header that a capture must have kept: nobody else's 64 bits, where the cut is not the sender's choice. */
const cutHeaderMin = 8;

export const peerHandshake: Detector = {
  name: 'peer-handshake',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 10, BEP 52',
  summary: 'peer handshake at the beginning of a stream, v1, v2 and hybrid',
  limits: 'not inside MSE encryption, TLS or a proxy; behind other bytes only by peer-handshake-late',
  scope: 'opening',
  packetsMax: 32,
  firstBytes: [0x13, 0x42],
  beginning: { bytes: header, finding: inPieces },
  where: 'anywhere',
  teaches: true,
  findings: [
    {
      text: 'peer handshake: protocol name, the rest has not arrived yet (BEP 3)',
      kind: 'peer',
      confidence: 'proof',
    },
    { text: 'peer handshake (BEP 3)', kind: 'peer', confidence: 'proof' },
    { text: 'peer handshake that offers the extension protocol (BEP 10)', kind: 'peer', confidence: 'proof' },
    { text: 'peer handshake that offers an upgrade to v2 (BEP 52)', kind: 'peer', confidence: 'proof' },
    {
      text: 'peer handshake in pieces that are out of order or contradict each other (BEP 3)',
      kind: 'peer',
      confidence: 'proof',
    },
  ],
  nearMisses: ['names the protocol, but without the length byte of a handshake'],
  inspect(view: View): Outcome {
    const from = view.openingStart;
    const end = view.openingEnd;
    if (from >= end) return No;
    const bytes = view.opening;
    const first = bytes[from]!;
    if (first !== 0x13) {
      if (first === name[0] && startsWith(bytes, from, end, name)) return nearMiss(view, nameWithoutLength);
      return No;
    }
    if (end - from >= header.length) return isHeader(bytes, from) ? describe(view, bytes, from, end) : No;
    const present = end - from;
    for (let i = 1; i < present; i++) if (bytes[from + i] !== header[i]) return No;
    return endsInHeader(view, present);
  },
};

/** The header's words behind its first: four bytes a comparison. */
const word1 = word32(header, 4);
const word2 = word32(header, 8);
const word3 = word32(header, 12);
const word4 = word32(header, 16);

/** True for the whole header at `from`, of which the first byte was looked at. */
function isHeader(bytes: Uint8Array, from: number): boolean {
  return (
    bytes[from + 1] === name[0] &&
    bytes[from + 2] === name[1] &&
    bytes[from + 3] === name[2] &&
    word32(bytes, from + 4) === word1 &&
    word32(bytes, from + 8) === word2 &&
    word32(bytes, from + 12) === word3 &&
    word32(bytes, from + 16) === word4
  );
}

/** The header is not whole: the rest comes with the next segment, or the capture cut it off. */
function endsInHeader(view: View, present: number): Outcome {
  const length = view.end - view.start;
  const isFirst = view.openingEnd - view.openingStart === length;
  const cut = isFirst && view.wireLength > length && view.wireLength >= peerIdAt;
  if (!cut || present < cutHeaderMin) return More;
  return yesInOpening(view, headerOnly, view.openingStart, view.openingStart + present);
}

/** Notes what has arrived behind the protocol name. */
function describe(view: View, bytes: Uint8Array, from: number, end: number): Outcome {
  const length = Math.min(end - from, handshakeBytes);
  if (length >= peerIdAt) noteInfoHash(view, bytes, from + infoHashAt, 20);
  if (length === handshakeBytes) {
    notePeerId(view, bytes, from + peerIdAt);
    noteExtended(view, bytes, from + handshakeBytes, end);
  }
  let finding = headerOnly;
  if (length >= infoHashAt) {
    finding = plain;
    if ((bytes[from + extensionByteAt]! & extensionBit) !== 0) finding = extended;
    if ((bytes[from + upgradeByteAt]! & upgradeBit) !== 0) finding = upgradable;
  }
  return yesInOpening(view, finding, from, from + length);
}

/** Notes what the extended messages behind the handshake say, which most clients send in the same segment. */
function noteExtended(view: View, bytes: Uint8Array, at: number, end: number): void {
  if (end - at < 5 || bytes[at] !== 0 || !weighChain(bytes, at, end) || chain.extendedAt < 0) return;
  view.listenPort = readExtended(bytes, end, view.peers);
}

/** Notes the client that the peer id names. */
function notePeerId(view: View, bytes: Uint8Array, at: number): void {
  const length = peerIdNameLength(bytes, at);
  if (length > 0) noteClient(view, bytes, at, at + length);
}
