/**
 * Message stream encryption (MSE, also protocol encryption, PE): a Diffie-Hellman exchange of 768 bits, then RC4. Nothing
 * in it can be read, but it has a form: who speaks, how long, and that all of it looks random.
 * https://wiki.vuze.com/w/Message_Stream_Encryption
 *
 *     turn                 bytes                                                                  length
 *     1 initiator          Ya, PadA                                                               96 + 0..512
 *     2 other side         Yb, PadB                                                               96 + 0..512
 *     3 initiator          two hashes (40); RC4: VC, provide, len, PadC, len, IA                  56 + 0..512 + IA
 *     4 other side         RC4: VC, select, len, PadD; then its payload, if IA was one            14 + 0..512 + payload
 *     5 initiator          payload
 *
 * IA, the initial payload, is the peer handshake of 68 bytes (BEP 3) or nothing: an initiator that has not yet heard of
 * the other side's extensions has nothing more to say. Without IA turn 4 has no payload, and turn 5 begins with the
 * handshake. With it turn 4 may go on with a handshake, extension handshake and bitfield, but not with blocks, which
 * nobody has asked for yet.
 *
 * The initiator goes on as soon as it has the 96 bytes of the other key. Padding that was written apart from its key may
 * so come behind the answer; then the key is exactly 96 bytes long and the side's next turn up to 512 longer.
 *
 * The keys as numbers say nothing: 1 < Y < P - 1 refuses only 0, 1 and what begins with 64 bits of ones (as P does), which
 * does not look random anyway; and the generator 2 makes the whole group (P = 3 mod 8), so there is no residue to test.
 *
 * Other protocols without a plain byte (Shadowsocks, obfs4, VMess, obfuscated MTProto) come into these lengths by chance:
 * of random conversations of ordinary lengths 8 in 100 go through four turns of them, which is why that is a hint. The
 * handshake's 68 bytes are what sets MSE apart: a segment of just this length begins turn five or ends turn three (it was
 * written apart), or turn three or four has just the room for it and no padding (Transmission does not pad there). 6 in 10,000 of those conversations have that too (measured in mse.test.ts), so that is strong and no proof.
 */
import { beginsLikeAnother, looksRandom, randomBytesMin } from '../lib/wire/random.js';
import {
  More,
  nearMiss,
  No,
  yesInOpening,
  yesInPayload,
  type Detector,
  type Finding,
  type Outcome,
  type View,
} from './detector.js';

/** All lengths are bytes. */
const keyBytes = 96;
const paddingMax = 512;
const keyMessageMax = keyBytes + paddingMax;
/** Two hashes of 20, VC 8, crypto_provide 4, two lengths of 2. */
const thirdMin = 56;
/** VC 8, crypto_select 4, one length of 2. */
const fourthMin = 14;
/** BEP 3. */
const handshakeBytes = 68;
const thirdWithHandshakeMin = thirdMin + handshakeBytes;
const thirdMax = thirdMin + paddingMax + handshakeBytes;
const fourthMax = fourthMin + paddingMax;
/** An extension handshake (some 300 bytes) and the bitfield of 30,000 pieces; usual torrents have below 4,000. */
const messagesMax = 4096;
const fourthWithHandshakeMax = fourthMax + handshakeBytes + messagesMax;
/** Where eMule says how many bytes of padding follow, and how many at most; see countsPadding. */
const emulePaddingAt = 97;
const emulePaddingMax = 15;
/** Shorter than a full segment of any usual path, so the whole message is there. */
const wholeMessageMax = 1200;

const firstMessage = 0;
const twoMessages = 1;
const fourMessages = 2;
const handshakeLength = 3;
const oneDirection = 4;

const wrongSide = 0;
const firstTooLong = 1;
const answerNotRandom = 2;
const answerTooLong = 3;
const thirdTooShort = 4;
const thirdTooLong = 5;
const laterNotRandom = 6;
const fourthTooLong = 7;
const inWords = 8;
const noHandshake = 9;
const likeEmule = 10;
const answerTooShort = 11;

const finding = (confidence: 'strong' | 'hint', text: string): Finding => ({
  text,
  kind: 'encrypted',
  confidence,
});

export const mse: Detector = {
  name: 'mse',
  transport: 'tcp',
  confidence: 'strong',
  reference: 'https://wiki.vuze.com/w/Message_Stream_Encryption, BEP 3',
  summary: 'encrypted peer connections (MSE/PE) by the turns, lengths and randomness of the key exchange',
  limits:
    'only where the start of the flow was seen, and by its form alone: other protocols of random bytes have it by chance; ' +
    'an attempt without answer is a hint; of one captured direction the other has only lengths; initial payload beyond a handshake is not believed',
  scope: 'packets',
  packetsMax: 8,
  firstBytes: null,
  where: 'start',
  follows: true,
  findings: [
    finding(
      'hint',
      'first message could be the public key of an encrypted peer connection (MSE): 96 to 608 random bytes',
    ),
    finding(
      'hint',
      'first two messages could be the public keys of MSE: 96 to 608 random bytes from either side',
    ),
    finding(
      'hint',
      'four messages could be an encrypted peer connection (MSE): random bytes, in turn and in its lengths',
    ),
    finding(
      'strong',
      'encrypted peer connection (MSE): messages in its lengths, one exactly long enough for a peer handshake',
    ),
    finding(
      'hint',
      'one direction of what could be MSE: random bytes, and the turns of both sides in its lengths',
    ),
  ],
  nearMisses: [
    'random bytes like a public key of MSE, but first from the side that accepted the connection',
    'random bytes from the first byte on, but the first message is longer than a key of MSE and its padding (608 bytes)',
    'random bytes like a public key of MSE, but the answer does not look random',
    'random bytes like a public key of MSE, but the answer is longer than a key and its padding (608 bytes)',
    'two messages like the public keys of MSE, but the third is too short for what must follow (56 bytes)',
    'two messages like the public keys of MSE, but the third is longer than padding and a peer handshake allow',
    'two messages like the public keys of MSE, but what follows does not look random',
    'three messages as in MSE, but the fourth is longer than what may answer them',
    'four messages as in MSE, but the lengths are those of words of four bytes, as in MTProto (Telegram)',
    'four messages as in MSE without a peer handshake, but the fifth is too short for it (68 bytes)',
    'random bytes like a public key of MSE, but the byte behind counts the padding, as eMule does towards its servers',
    'random bytes like a public key of MSE, but the answer is shorter than a key (96 bytes)',
  ],
  inspect(view: View): Outcome {
    const { turn } = view;
    if (turn < 1 || turn > 5) return No;
    if (((turn & 1) === 1) !== view.fromClient) return outOfTurn(view);
    switch (turn) {
      case 1:
        return judgeFirst(view);
      case 2:
        return judgeAnswer(view);
      case 3:
        return judgeThird(view);
      case 4:
        return judgeFourth(view);
      default:
        return judgeFifth(view);
    }
  },
};

function outOfTurn(view: View): Outcome {
  const length = view.turnBytes[0]!;
  if (view.turn > 1 || length < keyBytes || length > keyMessageMax) return No;
  return isKey(view.opening, view.openingStart, view.openingEnd, length) ? nearMiss(view, wrongSide) : No;
}

/**
 * True if the first `length` bytes of a side, of which `[start, end)` is kept, could be a key and its padding. Only the key
 * must look random: KTorrent sends as padding what happened to be in its memory (22.12, recorded).
 */
function isKey(bytes: Uint8Array, start: number, end: number, length: number): boolean {
  const stop = Math.min(end, start + length);
  return (
    stop - start >= randomBytesMin &&
    !beginsLikeAnother(bytes, start, stop, length) &&
    !countsPadding(bytes, start, stop, length) &&
    looksRandom(bytes, start, Math.min(stop, start + keyBytes))
  );
}

/**
 * eMule and its kin obfuscate the way to their servers with a Diffie-Hellman exchange of 768 bits too: a byte without
 * meaning, the public key (96), the number of random bytes that follow (0 to 15), and those. Of MSE's first messages one
 * in 8,000 is so by chance. Written down at the top of EncryptedStreamSocket.cpp of eMule and aMule.
 */
function countsPadding(bytes: Uint8Array, start: number, end: number, length: number): boolean {
  const padding = length - emulePaddingAt - 1;
  return (
    padding >= 0 &&
    padding <= emulePaddingMax &&
    start + emulePaddingAt < end &&
    bytes[start + emulePaddingAt] === padding
  );
}

/** True if both sides began with what could be their keys; of a side that was not captured only the length is known. */
function areKeys(view: View): boolean {
  const { turn, turnBytes, opening, openingStart, openingEnd, other, otherStart, otherEnd } = view;
  const first = turnBytes[0]!;
  const second = turnBytes[1]!;
  if (first < keyBytes || first > keyMessageMax || second < keyBytes || second > keyMessageMax) return false;
  const odd = (turn & 1) === 1;
  if (!isKey(opening, openingStart, openingEnd, odd ? first : second)) return false;
  if (view.oneWay && otherEnd === otherStart) return true;
  return isKey(other, otherStart, otherEnd, odd ? second : first);
}

function judgeFirst(view: View): Outcome {
  const { opening, openingStart, openingEnd } = view;
  const length = view.turnBytes[0]!;
  if (length < keyBytes) return looksRandom(opening, openingStart, openingEnd) ? More : No;
  if (!isKey(opening, openingStart, openingEnd, length)) {
    const isEmule = countsPadding(opening, openingStart, openingEnd, length);
    return isEmule && looksRandom(opening, openingStart, openingEnd) ? nearMiss(view, likeEmule) : No;
  }
  if (length > keyMessageMax) return nearMiss(view, firstTooLong);
  return yesInOpening(view, firstMessage, openingStart, openingEnd);
}

function judgeAnswer(view: View): Outcome {
  const { turnBytes, opening, openingStart, openingEnd, other, otherStart, otherEnd } = view;
  const first = turnBytes[0]!;
  const second = turnBytes[1]!;
  const known = !view.oneWay || otherEnd > otherStart;
  if (first < keyBytes || first > keyMessageMax) return No;
  if (known && !isKey(other, otherStart, otherEnd, first)) return No;
  if (second < keyBytes) {
    return looksRandom(opening, openingStart, openingEnd) ? More : nearMiss(view, answerNotRandom);
  }
  if (!isKey(opening, openingStart, openingEnd, second)) return nearMiss(view, answerNotRandom);
  if (second > keyMessageMax) return nearMiss(view, answerTooLong);
  return known ? yesInOpening(view, twoMessages, openingStart, openingEnd) : More;
}

/** The longest third message: padding of the first that was written apart may be in it. */
function thirdLimit(view: View): number {
  return thirdMax + (view.turnBytes[0] === keyBytes ? paddingMax : 0);
}

/** The longest fourth message: without room for a handshake in the third there is nothing to answer to. */
function fourthLimit(view: View): number {
  const limit = view.turnBytes[2]! < thirdWithHandshakeMin ? fourthMax : fourthWithHandshakeMax;
  return limit + (view.turnBytes[1] === keyBytes ? paddingMax : 0);
}

/** The client speaks again: the answer is complete. True if the client began with a key and the answer is none. */
function wasNotAnswered({ turnBytes, opening, openingStart, openingEnd }: View): boolean {
  const first = turnBytes[0]!;
  if (turnBytes[1]! >= keyBytes || first < keyBytes || first > keyMessageMax) return false;
  return isKey(opening, openingStart, openingEnd, first);
}

function judgeThird(view: View): Outcome {
  const { turnBytes, bytes, start, end } = view;
  if (!areKeys(view)) return wasNotAnswered(view) ? nearMiss(view, answerTooShort) : No;
  if (!looksRandom(bytes, start, end)) return nearMiss(view, laterNotRandom);
  if (turnBytes[2]! > thirdLimit(view)) return nearMiss(view, thirdTooLong);
  if (hasOwnHandshake(view)) return yesInPayload(view, handshakeLength, start, end);
  if (!view.oneWay || turnBytes[2]! < thirdMin) return More;
  return yesInPayload(view, oneDirection, start, end);
}

/** True if the third turn goes on with a segment that is the handshake: libtorrent writes it apart from what is before. */
function hasOwnHandshake(view: View): boolean {
  const before = view.turnBytes[2]! - handshakeBytes;
  return (
    view.wireLength === handshakeBytes && before >= thirdMin && before <= thirdLimit(view) - handshakeBytes
  );
}

/** The reason not to believe the first four turns, `fourMessages` of which may have more to come; -1 if there is none. */
function flawOfFour(view: View): number {
  const { turnBytes } = view;
  const third = turnBytes[2]!;
  const fourth = turnBytes[3]!;
  if (third < thirdMin) return thirdTooShort;
  if (third > thirdLimit(view)) return thirdTooLong;
  if (fourth > fourthLimit(view)) return fourthTooLong;
  if (!isLaterRandom(view)) return laterNotRandom;
  // One exchange of MSE in 128; of those without padding behind the keys one in 16 at the most.
  return areWords(view, 0, 0) || areWords(view, 1, 1) ? inWords : -1;
}

/**
 * True if the third message, and the head of the fourth, look random as far as they are kept. Behind that head plain text
 * may follow: crypto_select can choose it.
 */
function isLaterRandom(view: View): boolean {
  const { turn, turnBytes, opening, openingStart, openingEnd, other, otherStart, otherEnd } = view;
  const odd = (turn & 1) === 1;
  const a = odd ? opening : other;
  const aEnd = odd ? openingEnd : otherEnd;
  const aFrom = (odd ? openingStart : otherStart) + turnBytes[0]!;
  if (aFrom < aEnd && !looksRandom(a, aFrom, Math.min(aEnd, aFrom + turnBytes[2]!))) return false;
  const b = odd ? other : opening;
  const bEnd = odd ? otherEnd : openingEnd;
  const bFrom = (odd ? otherStart : openingStart) + turnBytes[1]!;
  return bFrom >= bEnd || looksRandom(b, bFrom, Math.min(bEnd, bFrom + fourthMin));
}

/**
 * Obfuscated MTProto begins with 64 random bytes and has messages of whole words of four bytes, each behind a length of
 * four bytes or of one; then one message per turn leaves a rest of one, two a rest of two. Telegram opens several such
 * connections at once. True if the turns so far have the rests from `least` to `most`.
 * https://core.telegram.org/mtproto/mtproto-transports
 */
function areWords({ turnBytes }: View, least: number, most: number): boolean {
  for (let i = 0; i < 4; i++) {
    const rest = turnBytes[i]! & 3;
    if ((rest < least || rest > most) && (i < 3 || turnBytes[i]! <= wholeMessageMax)) return false;
  }
  return true;
}

/**
 * What four turns without a flaw are worth. Rests of one or two alone, which one exchange of MSE in 16 has, are enough to
 * keep quiet where no length is a handshake's.
 */
function believe(view: View, exact: boolean): Outcome {
  if (!view.oneWay && !exact && areWords(view, 1, 2)) {
    view.near = inWords;
    // The fifth may still be a handshake.
    return view.turn === 4 ? More : No;
  }
  const said = exact ? handshakeLength : view.oneWay ? oneDirection : fourMessages;
  return yesInPayload(view, said, view.start, view.end);
}

function judgeFourth(view: View): Outcome {
  const { turnBytes, bytes, start, end } = view;
  if (!areKeys(view)) return No;
  const fourth = turnBytes[3]!;
  // A full head is waited for; what is wrong with the turns before is wrong already.
  const flaw = flawOfFour(view);
  if (flaw >= 0 && (flaw !== inWords || fourth >= fourthMin)) return nearMiss(view, flaw);
  // A full segment may be the first of many: the next turn will tell how many came.
  if (fourth < fourthMin || fourth > wholeMessageMax) return More;
  // The head may not be kept, where a capture or the kernel cut the packets before.
  if (fourth === view.wireLength && !looksRandom(bytes, start, Math.min(end, start + fourthMin)))
    return nearMiss(view, laterNotRandom);
  return believe(view, isExactThirdOrFourth(view));
}

/** True if the third turn is a handshake without padding, or the fourth so far the head, alone or with the answered one. */
function isExactThirdOrFourth({ turnBytes }: View): boolean {
  const third = turnBytes[2]!;
  const fourth = turnBytes[3]!;
  if (third === thirdWithHandshakeMin || fourth === fourthMin) return true;
  return fourth === fourthMin + handshakeBytes && third >= thirdWithHandshakeMin;
}

/** True if the fifth turn begins with a segment that is the handshake, which had waited for the fourth to end. */
function isExactFifth({ turnBytes, wireLength }: View): boolean {
  const waited = turnBytes[3]! <= fourthMax + (turnBytes[1] === keyBytes ? paddingMax : 0);
  return waited && turnBytes[4] === handshakeBytes && wireLength === handshakeBytes;
}

function judgeFifth(view: View): Outcome {
  const { turnBytes } = view;
  if (!areKeys(view) || turnBytes[3]! < fourthMin) return No;
  const flaw = flawOfFour(view);
  if (flaw >= 0) return nearMiss(view, flaw);
  const fifth = turnBytes[4]!;
  // Without a handshake in the third message the fifth begins with it.
  if (turnBytes[2]! < thirdWithHandshakeMin && fifth < handshakeBytes) {
    view.near = noHandshake;
    return More;
  }
  return believe(view, isExactThirdOrFourth(view) || isExactFifth(view));
}
