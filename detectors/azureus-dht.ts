/**
 * The DHT of Azureus, Vuze and BiglyBT, a network of its own beside that of BEP 5: binary messages over UDP on the port
 * that the client also uses for UDP trackers. No BEP; the protocol is described in Vuze's wiki and by BiglyBT's source.
 * https://wiki.vuze.com/w/Distributed_hash_table
 *
 *     request  | connection id 8, bit 63 set | action 4 | transaction 4 | version | vendor | network 4 | own version |
 *              | own address: length, 4 or 16 bytes, port 2 | instance 4 | time 8, ms since 1970 | ...
 *     answer   | action 4 | transaction 4 | connection id 8 | version | vendor | network 4 | instance 4 | ...
 *
 * A request has some 98 fixed bits. An answer has 65, but begins with a small number as much else does, so alone it is
 * not proof; inline it is never seen alone, because its request was.
 */
import { No, yesInPayload, type Detector, type Outcome, type View } from './detector.js';
import { word16, word32 } from '../lib/wire/words.js';

const request = 0;
const answer = 1;

/** Actions are 1024 to 1039, so that they can share a port with the UDP tracker's. */
const actionBase = 1024;
/** Bit n: action 1024 + n asks; 11 is data, which has a request's head in both directions. */
const asks = bits(0, 2, 4, 6, 10, 11, 12, 14);
const answersTo = bits(1, 3, 5, 7, 8, 9, 13, 15);

/** From 14 on (Azureus 2.4.0.2, 2006) all fields above are there; 51 is the least that is spoken today, 55 the newest. */
const versionMin = 14;
const versionMax = 99;
const aelitis = 0x00;
const shareNet = 0x01;
const noVendor = 0xff;
/** 0 to 5 are in use: Azureus main and test, BiglyBT, and those over IPv6. */
const networkMax = 15;

/** Offsets in a request. */
const requestActionAt = 8;
const requestVersionAt = 16;
const ownVersionAt = 22;
const addressAt = 23;
/** Length byte, port, instance and time around the address. */
const aroundAddressBytes = 1 + 2 + 4 + 8;
const requestBytesMin = addressAt + aroundAddressBytes + 4;

/** Offsets in an answer. */
const answerConnectionAt = 8;
const answerVersionAt = 16;
const answerBytesMin = 26;

function bits(...actions: readonly number[]): number {
  return actions.reduce((all, action) => all | (1 << action), 0);
}

/** True if the action at `at` is one of `wanted`. */
function isAction(bytes: Uint8Array, at: number, wanted: number): boolean {
  const action = word32(bytes, at) - actionBase;
  return action >= 0 && action < 16 && ((wanted >> action) & 1) === 1;
}

/** Version, vendor and network, which stand alike in both. */
function isVersion(bytes: Uint8Array, at: number): boolean {
  const version = bytes[at]!;
  const vendor = bytes[at + 1]!;
  if (version < versionMin || version > versionMax) return false;
  if (vendor !== aelitis && vendor !== shareNet && vendor !== noVendor) return false;
  const network = word32(bytes, at + 2);
  return network >= 0 && network <= networkMax;
}

/** Milliseconds since 1970 between November 2004 and July 2074: nobody spoke this before, and clocks are set. */
function isTime(bytes: Uint8Array, at: number): boolean {
  const high = word32(bytes, at);
  return high >= 0x100 && high <= 0x2ff;
}

function judgeRequest(view: View): Outcome {
  const { bytes, start, end } = view;
  if (end - start < requestBytesMin || !isAction(bytes, start + requestActionAt, asks)) return No;
  if (!isVersion(bytes, start + requestVersionAt)) return No;
  // A node speaks the lower of both versions, so never more than its own.
  const own = bytes[start + ownVersionAt]!;
  if (own < bytes[start + requestVersionAt]! || own > versionMax) return No;
  const addressBytes = bytes[start + addressAt]!;
  if (addressBytes !== 4 && addressBytes !== 16) return No;
  const to = start + addressAt + aroundAddressBytes + addressBytes;
  if (to > end || !isTime(bytes, to - 8)) return No;
  const port = word16(bytes, start + addressAt + 1 + addressBytes);
  if (port === 0) return No;
  view.listenPort = port;
  return yesInPayload(view, request, start, to);
}

function judgeAnswer(view: View): Outcome {
  const { bytes, start, end } = view;
  if (end - start < answerBytesMin || !isAction(bytes, start, answersTo)) return No;
  // The connection id that the request chose.
  if (bytes[start + answerConnectionAt]! < 0x80 || !isVersion(bytes, start + answerVersionAt)) return No;
  return yesInPayload(view, answer, start, start + answerBytesMin);
}

export const azureusDht: Detector = {
  name: 'azureus-dht',
  transport: 'udp',
  confidence: 'proof',
  reference: 'https://wiki.vuze.com/w/Distributed_hash_table (no BEP)',
  summary: 'the DHT of Azureus, Vuze and BiglyBT: requests and their answers',
  limits: 'an answer whose request was not seen is no proof; clients older than Azureus 2.4.0.2 (2006)',
  scope: 'packets',
  packetsMax: 8,
  firstBytes: [0x00, ...Array.from({ length: 128 }, (_, low) => 0x80 | low)],
  where: 'anywhere',
  teaches: true,
  findings: [
    { text: 'request of the DHT of Azureus and BiglyBT', kind: 'dht', confidence: 'proof' },
    { text: 'answer of the DHT of Azureus and BiglyBT', kind: 'dht', confidence: 'strong' },
  ],
  nearMisses: [],
  inspect(view: View): Outcome {
    const { bytes, start, end } = view;
    if (start === end) return No;
    return bytes[start]! >= 0x80 ? judgeRequest(view) : judgeAnswer(view);
  },
};
