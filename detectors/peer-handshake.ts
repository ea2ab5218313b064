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
import { dataOf } from '../lib/wire/words.js';
import {
  More,
  nearMiss,
  No,
  noteClient,
  noteInfoHash,
  Yes,
  yesInOpening,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const name = ascii('BitTorrent protocol');

/** The last four reserved bytes: 0x10 of byte 5 (BEP 10), 0x10 of byte 7 (BEP 52). */
const lastReservedAt = reservedAt + 4;
const extensionBit = 0x10_00_00;
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
    if (end - from < headerBytes) return judgeShort(view, view.opening, from, end);
    const data = dataOf(view.opening);
    if (data.getInt32(from) !== word0) return judgeOther(view, view.opening, from, end);
    if (data.getInt32(from + 4) !== word1 || data.getInt32(from + 8) !== word2) return No;
    if (data.getInt32(from + 12) !== word3 || data.getInt32(from + 16) !== word4) return No;
    return describe(view, data, from, end);
  },
};

/** The header's words, four bytes a comparison: 0x13 and `Bit`, `Torr`, `ent `, `prot`, `ocol`. */
const headerBytes = 20;
const word0 = 0x13_42_69_74;
const word1 = 0x54_6f_72_72;
const word2 = 0x65_6e_74_20;
const word3 = 0x70_72_6f_74;
const word4 = 0x6f_63_6f_6c;

/** Bytes that are enough for a header, but begin with something else. */
function judgeOther(view: View, bytes: Uint8Array, from: number, end: number): Outcome {
  return startsWith(bytes, from, end, name) ? nearMiss(view, nameWithoutLength) : No;
}

/** Bytes that may become a header; 19 of them may also be the name alone. */
function judgeShort(view: View, bytes: Uint8Array, from: number, end: number): Outcome {
  if (from >= end) return No;
  if (bytes[from] !== header[0]) return judgeOther(view, bytes, from, end);
  const present = end - from;
  for (let i = 1; i < present; i++) if (bytes[from + i] !== header[i]) return No;
  return endsInHeader(view, present);
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
function describe(view: View, data: DataView, from: number, end: number): Outcome {
  let length = end - from;
  if (length >= peerIdAt) {
    if (length > handshakeBytes) length = handshakeBytes;
    const bytes = view.opening;
    noteInfoHash(view, bytes, from + infoHashAt, 20);
    if (length === handshakeBytes) {
      notePeerId(view, bytes, from + peerIdAt);
      noteExtended(view, bytes, from + handshakeBytes, end);
    }
  }
  let finding = headerOnly;
  if (length >= infoHashAt) {
    const lastReserved = data.getInt32(from + lastReservedAt);
    finding =
      (lastReserved & upgradeBit) !== 0 ? upgradable : (lastReserved & extensionBit) !== 0 ? extended : plain;
  }
  view.finding = finding;
  view.at = 0;
  view.length = length;
  view.inOpening = true;
  return Yes;
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
