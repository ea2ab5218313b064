/**
 * Peers of SSL torrents: torrents whose metainfo holds a certificate authority, and whose peers speak TLS to each other
 * from the first byte. The connecting peer names the torrent by the server name of its hello (SNI, RFC 6066 section 3):
 * the info-hash, forty lower-case hexadecimal digits (libtorrent manual, "SSL torrents"; of a v2 torrent the first 20
 * bytes). No public host has such a name, which has no dot; a device might call itself so. Hence strong and no proof: the
 * memory of other flows (a tracker named this peer) or a second item decides. Peers offer no application protocol.
 */
import { ClientHello, NoHello, OpenHello } from '../lib/wire/tls-hello.js';
import {
  More,
  nearMiss,
  No,
  noteHexInfoHash,
  yesInOpening,
  type Detector,
  type Outcome,
  type View,
} from './detector.js';

const greeted = 0;

const withProtocols = 0;

const nameDigits = 40;

const hello = new ClientHello();

export const peerTls: Detector = {
  name: 'peer-tls',
  transport: 'tcp',
  confidence: 'strong',
  reference: 'libtorrent manual (SSL torrents), RFC 6066 (SNI)',
  summary: 'peers of SSL torrents: a TLS hello whose server name is an info-hash',
  limits: 'what is said after the hello is encrypted; over uTP the hello is not looked at',
  scope: 'opening',
  packetsMax: 8,
  firstBytes: [0x16],
  where: 'start',
  findings: [{ text: 'TLS hello whose server name is an info-hash', kind: 'peer', confidence: 'strong' }],
  nearMisses: ['the name could be an info-hash, but the hello offers application protocols (ALPN)'],
  inspect(view: View): Outcome {
    const { opening, openingStart, openingEnd } = view;
    const outcome = hello.readRecords(opening, openingStart, openingEnd);
    if (outcome === NoHello) return No;
    if (hello.nameEnd === 0) return outcome === OpenHello ? More : No;
    if (!isInfoHash(hello.bytes, hello.nameStart, hello.nameEnd)) return No;
    if (hello.protocolsEnd > hello.protocolsStart) return nearMiss(view, withProtocols);
    if (outcome === OpenHello) return More;
    noteHexInfoHash(view, hello.bytes, hello.nameStart, hello.nameEnd);
    const from = hello.inStream(opening, hello.nameStart);
    return yesInOpening(view, greeted, from, hello.inStream(opening, hello.nameEnd - 1) + 1);
  },
};

function isInfoHash(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== nameDigits) return false;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]!;
    if ((digit < 0x30 || digit > 0x39) && (digit < 0x61 || digit > 0x66)) return false;
  }
  return true;
}
