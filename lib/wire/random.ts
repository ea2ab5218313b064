/**
 * Do bytes look uniformly random? Encrypted streams do, and so does what is compressed well; nearly everything else does
 * not. Not Shannon entropy, whose estimate from some hundred bytes is biased and has no error rate, but tests of counts
 * whose distribution under "every byte is independent and uniform" is known:
 *
 *     test                                     distribution                     refuses random bytes at most
 *     first 16 bytes all text                  (99 / 256)^16                    2.5e-7
 *     first 32: 5 zeros                        C(32, 5) / 256^5                 1.9e-7
 *     first 32: 5 bytes equal to the former    C(31, 5) / 256^5                 1.6e-7
 *     all: bits that are set                   binomial, 8n of 1/2              5e-8 (Hoeffding)
 *     all: bytes in the columns of ASCII       binomial, n of 96/256            5e-8 (Hoeffding)
 *     all: zeros                               binomial, n of 1/256             5e-8 (union bound)
 *     all: bytes close to the former           binomial, n - 1 of 32/256        5e-8 (Hoeffding)
 *     all: high nibbles, low nibbles           chi-square, 15 degrees, twice    5e-8 each (Laurent and Massart)
 *
 * Together random bytes are refused less than once in a million (`falseRefusalRate`). Hoeffding: of n independent numbers
 * from 0 to 1 the sum is `t` or more away from its mean with at most 2 exp(-2 t^2 / n). Union bound: m or more hits
 * happen with at most C(n, m) p^m <= (n p)^m / m!. Laurent and Massart (2000, lemma 1): a chi-square of k degrees is
 * above k + 2 sqrt(k x) + 2 x with at most exp(-x); for counts of so few bytes the chi-square is only approximate, and
 * random.test.ts computes its tail exactly.
 *
 * Shorter than 96 bytes the tests stay valid, but tell little: text and zeros are refused, most else is not.
 */
import { word16, word32 } from './words.js';

/** The tests tell random from other bytes from here on; bytes. */
export const randomBytesMin = 96;
/** Random bytes are refused at most so often. */
export const falseRefusalRate = 1e-6;

/** Of longer messages the first 96 and the last 64 bytes are counted: each costs 2 ns, and more would tell hardly more. */
const headBytes = 96;
const tailBytes = 64;
const countedMax = headBytes + tailBytes;

const textBytes = 16;
const beginningBytes = 32;
const rareInBeginning = 5;

/** Rate of each test over all bytes. */
const rate = 5e-8;
const degrees = 15;
/** Of fewer bytes the chi-square's tail is heavier than the bound (exactly 4.9e-8 at 32 bytes, 9.2e-8 at 24). */
const chiSquareBytesMin = 32;
const chiSquareMax = degrees + 2 * Math.sqrt(degrees * Math.log(1 / rate)) - 2 * Math.log(rate);

const perLength = (threshold: (n: number) => number): Int32Array =>
  Int32Array.from({ length: countedMax + 1 }, (_, n) => threshold(n));

/** Set bits may be so far from the 4n that are expected: Hoeffding over 8n bits. */
const bitsFar = perLength((n) => Math.ceil(Math.sqrt(4 * n * Math.log(2 / rate))));
/** ASCII bytes may be so far from 3n/8: Hoeffding over n bytes. */
const asciiFar = perLength((n) => Math.ceil(Math.sqrt((n / 2) * Math.log(2 / rate))));
/** So many zeros are too many. */
const zerosMin = perLength((n) => {
  let hits = 0;
  for (let bound = 1; bound > rate; bound *= n / 256 / hits) hits++;
  return hits;
});
/** So many of at most n neighbours may be close: Hoeffding above n/8. */
const closeMax = perLength((n) => Math.floor(n / 8 + Math.sqrt((n / 2) * Math.log(1 / rate))));
/** chi-square = 16/n * (sum of the squared counts) - n; so much may the sum be. */
const squaresMax = perLength((n) => Math.floor((n * (n + chiSquareMax)) / 16));

/** Space, tab, line ends and what ASCII prints: 99 of 256. */
const isText = Uint8Array.from({ length: 256 }, (_, byte) =>
  (byte >= 0x20 && byte < 0x80) || byte === 0x09 || byte === 0x0a || byte === 0x0d ? 1 : 0,
);
const bitsOf = Uint8Array.from(
  { length: 16 },
  (_, v) => (v & 1) + ((v >> 1) & 1) + ((v >> 2) & 1) + (v >> 3),
);

/** Scratch of one call: counts of the high nibbles, then of the low ones. */
const counts = new Int32Array(32);

/** False if `[start, end)` is surely not random; see above for the error rates. Nothing at all passes. */
export function looksRandom(bytes: Uint8Array, start: number, end: number): boolean {
  if (!beginsRandom(bytes, start, end)) return false;
  counts.fill(0);
  const length = end - start;
  if (length <= countedMax) return areRandomCounts(length, count(bytes, start, end));
  const head = count(bytes, start, start + headBytes);
  return areRandomCounts(countedMax, head + count(bytes, end - tailBytes, end));
}

/** The tests of the first 32 bytes: text and zero padding end here. */
function beginsRandom(bytes: Uint8Array, start: number, end: number): boolean {
  const textEnd = start + textBytes;
  if (end >= textEnd) {
    let at = start;
    while (at < textEnd && isText[bytes[at]!] === 1) at++;
    if (at === textEnd) return false;
  }
  const stop = end < start + beginningBytes ? end : start + beginningBytes;
  let zero = 0;
  let same = 0;
  let former = -1;
  for (let at = start; at < stop; at++) {
    const byte = bytes[at]!;
    if (byte === 0) zero++;
    if (byte === former) same++;
    former = byte;
  }
  return zero < rareInBeginning && same < rareInBeginning;
}

/**
 * Counts the nibbles; returns how many bytes were zero, and how many (times 65,536) were close to the former one: at most
 * 16 below it or 15 above, around the circle of 256, which a sampled curve or a table of numbers is.
 */
function count(bytes: Uint8Array, start: number, end: number): number {
  const own = counts;
  let seen = 0;
  // The first has none before it: half the circle away is not close.
  let former = bytes[start]! + 128;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    own[byte >> 4]!++;
    own[16 + (byte & 15)]!++;
    if (byte === 0) seen++;
    // 1 if the distance is below 32: a branch that is taken one time in eight costs 0.7 ns per byte.
    seen += ((((byte - former + 16) & 255) - 32) >>> 31) << 16;
    former = byte;
  }
  return seen;
}

/** The tests over all `n` counted bytes. */
function areRandomCounts(n: number, seen: number): boolean {
  if ((seen & 0xffff) >= zerosMin[n]! || seen >> 16 > closeMax[n]!) return false;
  let bits = 0;
  let high = 0;
  let low = 0;
  for (let i = 0; i < 16; i++) {
    const h = counts[i]!;
    const l = counts[16 + i]!;
    bits += (h + l) * bitsOf[i]!;
    high += h * h;
    low += l * l;
  }
  if (n >= chiSquareBytesMin && (high > squaresMax[n]! || low > squaresMax[n]!)) return false;
  if (Math.abs(bits - 4 * n) > bitsFar[n]!) return false;
  const ascii = counts[2]! + counts[3]! + counts[4]! + counts[5]! + counts[6]! + counts[7]!;
  return Math.abs(ascii - (3 * n) / 8) <= asciiFar[n]!;
}

/**
 * True if a message of `wireLength` bytes, of which `[start, end)` are there (8 at least), begins as a protocol or file
 * of fixed structure does, whatever comes behind it: a TLS record, a magic number, or a length of two, three or four bytes that
 * is the message's (OpenVPN and DNS over TCP, PostgreSQL, SMB, MTProto's intermediate transport, many games). Random
 * bytes do so once in 8,000 (8 of 65,536 are the two-byte lengths and zlib's headers, the rest is below 3e-6).
 */
export function beginsLikeAnother(
  bytes: Uint8Array,
  start: number,
  end: number,
  wireLength: number,
): boolean {
  if (end - start < 8) return false;
  return hasKnownOpening(bytes, start) || hasLength(bytes, start, wireLength);
}

function hasKnownOpening(bytes: Uint8Array, start: number): boolean {
  const first = bytes[start]!;
  const second = bytes[start + 1]!;
  const third = bytes[start + 2]!;
  switch (first) {
    case 0x14: // TLS and SSL 3 records: change of cipher, alert, handshake, application data, heartbeat
    case 0x15:
    case 0x16:
    case 0x17:
    case 0x18:
      return second === 3 && third <= 4;
    case 0x03: // RTMP: version, four bytes of time, zeros
      return word32(bytes, start + 4) << 8 === 0;
    case 0x78: // zlib (RFC 1950), the four levels that libraries write
      return second === 0x01 || second === 0x5e || second === 0x9c || second === 0xda;
    case 0x1f: // gzip (RFC 1952), and compress
      return (second === 0x8b && third === 8) || (second === 0x9d && third === 0x90);
    case 0xff: // JPEG
      return second === 0xd8 && third === 0xff;
    case 0x42: // bzip2
      return second === 0x5a && third === 0x68;
    default:
      return isMagic(word32(bytes, start));
  }
}

/** Four bytes that begin a file or a protocol's first message; as signed 32 bits. */
function isMagic(magic: number): boolean {
  switch (magic) {
    case 0x504b0304: // zip
    case 0x504b0506:
    case 0x89504e47 | 0: // PNG
    case 0x28b52ffd: // zstd
    case 0xfd377a58 | 0: // xz
    case 0x377abcaf: // 7z
    case 0x04224d18: // lz4
    case 0x7f454c46: // ELF
    case 0xcafebabe | 0: // Java, Mach-O
    case 0x4f676753: // OggS
    case 0x52494646: // RIFF
    case 0x47494638: // GIF8
    case 0x25504446: // %PDF
    case 0x1a45dfa3: // Matroska
    case 0x5353482d: // SSH, its banner
    case 0x13426974: // the plain peer handshake
    case 0x44525043: // DRPC
    case 0x0982a441: // memberlist (Serf, Consul), compressed: MessagePack with a key that begins with A
    case 0xfe534d42 | 0: // SMB without its length
    case 0xff534d42 | 0:
    case 0x47455420: // GET, POST, PUT, HEAD, HTTP
    case 0x504f5354:
    case 0x50555420:
    case 0x48454144:
    case 0x48545450:
      return true;
    default:
      return false;
  }
}

/** True if a length stands at the beginning, or behind a byte of type, and is the rest of the message, or all of it. */
function hasLength(bytes: Uint8Array, start: number, wireLength: number): boolean {
  const a = bytes[start]!;
  const b = bytes[start + 1]!;
  const c = bytes[start + 2]!;
  const d = bytes[start + 3]!;
  const two = (a << 8) | b;
  const twoLittle = (b << 8) | a;
  if (
    two === wireLength ||
    two === wireLength - 2 ||
    twoLittle === wireLength ||
    twoLittle === wireLength - 2
  )
    return true;
  // SSL 2: the high bit marks a header of two bytes, and a client hello is of type 1.
  if (two === wireLength - 2 + 0x8000 && c === 1) return true;
  // TPKT: version, a zero, and the length of it all.
  if (a === 3 && b === 0 && word16(bytes, start + 2) === wireLength) return true;
  const big = (two << 16) | (c << 8) | d;
  const little = (d << 24) | (c << 16) | twoLittle;
  // Three bytes, then a number or type (MySQL, HTTP/2), or four.
  if (isLength(big >>> 8, wireLength, 3, 9) || isLength(little & 0xffffff, wireLength, 3, 4)) return true;
  if (isLength(big, wireLength, 4, 0) || isLength(little, wireLength, 4, 0)) return true;
  // A byte of type before the four (PostgreSQL).
  return isLength((big << 8) | bytes[start + 4]!, wireLength, 1, 5);
}

/** True if `value` is the message's length, or what is left of it behind a header of `header` or of `other` bytes. */
function isLength(value: number, wireLength: number, header: number, other: number): boolean {
  const behind = wireLength - value;
  return behind === 0 || behind === header || (other > 0 && behind === other);
}
