/**
 * Encrypted peer connections whose beginning was not seen. What is left of MSE then is that every byte looks random, also
 * where a message begins, and so it is with many an encrypted protocol: never more than a hint.
 * https://wiki.vuze.com/w/Message_Stream_Encryption
 *
 * TLS is what has to be kept out. Its records begin with a plain header, but a full segment in the middle of a long record
 * shows none. So either both sides have sent random segments (the side that asks does so in records of its own), or one
 * side three in a row, all too short for the middle of a long record.
 */
import { beginsLikeAnother, looksRandom, randomBytesMin } from '../lib/wire/random.js';
import { More, No, yesInPayload, type Detector, type Outcome, type View } from './detector.js';

const bothSides = 0;
const oneSide = 1;

/** Segments of a side that have to look random: with the other side's, without it. */
const packetsWithOther = 2;
const packetsAlone = 3;
/** Longer ones may be the middle of a TLS record; bytes. Full segments have 1,200 and more on any usual path. */
const shortSegmentMax = 1100;

export const mseMiddle: Detector = {
  name: 'mse-middle',
  transport: 'tcp',
  confidence: 'hint',
  reference: 'https://wiki.vuze.com/w/Message_Stream_Encryption',
  summary: 'random bytes at the beginning of every segment, in a flow whose start was not seen',
  limits:
    'never more than a hint: SSH, Shadowsocks and other ciphers look the same; segments below 96 bytes say nothing; ' +
    'one side alone is heard only in segments below 1,100 bytes',
  scope: 'packets',
  packetsMax: 6,
  firstBytes: null,
  where: 'middle',
  findings: [
    {
      text: 'encrypted from the middle on: segments of both sides are random bytes from their beginning, as in MSE',
      kind: 'encrypted',
      confidence: 'hint',
    },
    {
      text: 'encrypted from the middle on: three segments of one side are random bytes from their beginning, as in MSE',
      kind: 'encrypted',
      confidence: 'hint',
    },
  ],
  nearMisses: [
    'random bytes in the middle of a flow, but only in full segments of one side, as inside a TLS record',
  ],
  inspect(view: View): Outcome {
    const { bytes, start, end, wireLength } = view;
    if (end - start < randomBytesMin || view.fromStart) return No;
    if (beginsLikeAnother(bytes, start, end, wireLength) || !looksRandom(bytes, start, end)) return No;
    const before = view.openingEnd - view.openingStart - (end - start);
    if (before < randomBytesMin || !looksRandom(view.opening, view.openingStart, view.openingStart + before))
      return More;
    if (view.payloadPacket >= packetsWithOther && otherIsRandom(view))
      return yesInPayload(view, bothSides, start, end);
    if (view.payloadPacket < packetsAlone || before < (packetsAlone - 1) * randomBytesMin) return More;
    if (wireLength <= shortSegmentMax && before <= (view.payloadPacket - 1) * shortSegmentMax)
      return yesInPayload(view, oneSide, start, end);
    view.near = 0;
    return More;
  },
};

function otherIsRandom({ other, otherStart, otherEnd }: View): boolean {
  const length = otherEnd - otherStart;
  if (length < randomBytesMin || beginsLikeAnother(other, otherStart, otherEnd, length)) return false;
  return looksRandom(other, otherStart, otherEnd);
}
