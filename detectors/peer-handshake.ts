/**
 * The peer handshake (BEP 3 "peer protocol", BEP 52 "Upgrade path"): 0x13 "BitTorrent protocol", 8 reserved bytes, the
 * 20-byte info-hash (v1, or v2 cut to 20 bytes) and the 20-byte peer id, as the first bytes that a side sends.
 *
 * The first 20 bytes decide: nobody else begins a stream with them, and a filter that waits for the rest answers later
 * than it could. What has arrived of the rest is noted.
 */
import { ascii, startsWith } from '../lib/wire/text.js';
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

const header = ascii('\x13BitTorrent protocol');
const name = ascii('BitTorrent protocol');

const reservedAt = 20;
const infoHashAt = 28;
const peerIdAt = 48;
const handshakeLength = 68;

/** Reserved byte 5, BEP 10; reserved byte 7, BEP 52. */
const extensionByteAt = reservedAt + 5;
const extensionBit = 0x10;
const upgradeByteAt = reservedAt + 7;
const upgradeBit = 0x10;

const headerOnly = 0;
const plain = 1;
const extended = 2;
const upgradable = 3;

const nameWithoutLength = 0;

const dash = 0x2d;
const azureusStyleLength = 8;
const namePrefixMin = 3;

export const peerHandshake: Detector = {
  name: 'peer-handshake',
  transport: 'tcp',
  confidence: 'proof',
  reference: 'BEP 3, BEP 10, BEP 52',
  summary: 'peer handshake at the beginning of a stream, v1, v2 and hybrid',
  limits: 'not inside MSE encryption, TLS or a proxy; not in the middle of a stream',
  scope: 'opening',
  packetsMax: 32,
  firstBytes: [0x13, 0x42],
  where: 'anywhere',
  findings: [
    {
      text: 'peer handshake: protocol name, the rest has not arrived yet (BEP 3)',
      kind: 'peer',
      confidence: 'proof',
    },
    { text: 'peer handshake (BEP 3)', kind: 'peer', confidence: 'proof' },
    { text: 'peer handshake that offers the extension protocol (BEP 10)', kind: 'peer', confidence: 'proof' },
    { text: 'peer handshake that offers an upgrade to v2 (BEP 52)', kind: 'peer', confidence: 'proof' },
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
    const present = Math.min(end - from, header.length);
    for (let i = 1; i < present; i++) if (bytes[from + i] !== header[i]) return No;
    if (present < header.length) return More;
    return describe(view, bytes, from, end);
  },
};

/** Notes what has arrived behind the protocol name. */
function describe(view: View, bytes: Uint8Array, from: number, end: number): Outcome {
  const length = Math.min(end - from, handshakeLength);
  if (length >= peerIdAt) noteInfoHash(view, bytes, from + infoHashAt, 20);
  if (length === handshakeLength) notePeerId(view, bytes, from + peerIdAt);
  let finding = headerOnly;
  if (length >= infoHashAt) {
    finding = plain;
    if ((bytes[from + extensionByteAt]! & extensionBit) !== 0) finding = extended;
    if ((bytes[from + upgradeByteAt]! & upgradeBit) !== 0) finding = upgradable;
  }
  return yesInOpening(view, finding, from, from + length);
}

/**
 * The readable beginning of a peer id (BEP 20): eight bytes as in `-TR4060-`, or the letters, digits, dots and dashes
 * that the other styles begin with. A peer id that is random from its first byte names nobody.
 */
function notePeerId(view: View, bytes: Uint8Array, at: number): void {
  if (bytes[at] === dash && bytes[at + azureusStyleLength - 1] === dash) {
    noteClient(view, bytes, at, at + azureusStyleLength);
    return;
  }
  let to = at;
  while (to < at + azureusStyleLength && isNameByte(bytes[to]!)) to++;
  if (to - at >= namePrefixMin) noteClient(view, bytes, at, to);
}

function isNameByte(byte: number): boolean {
  if (byte >= 0x30 && byte <= 0x39) return true;
  const letter = byte | 0x20;
  return (letter >= 0x61 && letter <= 0x7a) || byte === dash || byte === 0x2e;
}
