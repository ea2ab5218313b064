/**
 * Rows in memory that all workers share, without locks: nobody ever waits, and no order between threads is relied on.
 *
 *     a bucket, 256 bytes, 4 cache lines:
 *     tag0 x 8 | row 0 | row 1 | ... | row 7 |
 *     a row, 7 words:
 *     tag1 XOR digest | latest | value x 5 |          digest: of latest and the values
 *
 * A row says for itself that it is whole. Who looks for a fingerprint compares tag0, copies the row, each word read once,
 * computes the digest of the copy and compares the first word with it; from then on only the copy is used. Words of
 * 32 bits are never torn themselves (ECMAScript, memory model: integer typed arrays are tear-free). So for each way in
 * which two threads can cross:
 *
 * - A reads while B writes the same row. Old and new words are mixed; the digest does not fit; A sees nothing.
 * - A and B write the same row for different fingerprints. What remains is one of them whole, or a mixture that fits
 *   neither: both are forgotten, the row is dead weight until it ages out.
 * - A and B write the same row for the same fingerprint, both from the older state. One of the two changes is lost, or
 *   the row becomes a mixture and is lost.
 * - A and B insert the same fingerprint into two rows. The first in the bucket is found from then on; what only the other
 *   knows is lost.
 * - A reads a row, B gives it to another fingerprint, A writes back. B's is lost.
 * - Stores of one thread become visible late or in another order. That is a mixture, or an older state.
 *
 * A mixture is believed if 32 bits of digest agree by chance: once in 2^32 mixtures, and only for a fingerprint whose
 * tag0 somebody wrote there. A fingerprint that nobody wrote matches a row with a probability of 2^-64.
 */
import { invariant } from '../invariant.js';

export const rowsPerBucket = 8;
export const valuesPerRow = 5;
const bucketWords = 64;
const rowWords = 7;
const bytesPerRow = (bucketWords / rowsPerBucket) * 4;
/** Places of KeyedHash have 16 bits, which is the number of buckets that can be told apart. */
export const sharedRowsMax = 65_536 * rowsPerBucket;

/** Index of the time of the last change in a copied row; values follow. */
export const latest = 0;
export const value0 = 1;

export class SharedRows {
  readonly capacity: number;
  /** Copy of the row that `find` or `load` read last, or the one to be stored: latest, then five values. */
  readonly row = new Int32Array(1 + valuesPerRow);
  readonly #words: Int32Array;
  readonly #mask: number;
  readonly #secret: number;

  /** Memory for `capacity` rows, bytes. */
  static byteLength(capacity: number): number {
    return capacity * bytesPerRow;
  }

  /**
   * Rows at `byteOffset` of `memory`; `secret` is the same for all workers.
   * @throws InvariantError if the capacity is no power of two from 8 to sharedRowsMax, or the memory is too small
   */
  constructor(memory: SharedArrayBuffer, byteOffset: number, capacity: number, secret: number) {
    invariant(
      Number.isInteger(Math.log2(capacity)) && capacity >= rowsPerBucket && capacity <= sharedRowsMax,
      `shared rows out of range: ${capacity}`,
    );
    this.capacity = capacity;
    this.#words = new Int32Array(memory, byteOffset, SharedRows.byteLength(capacity) / 4);
    this.#mask = capacity / rowsPerBucket - 1;
    this.#secret = secret | 1;
  }

  /** Handle of the first row of a place; those of the same bucket follow by one. */
  first(place: number): number {
    return (place & this.#mask) * bucketWords;
  }

  /**
   * Handle of the row of a fingerprint, copied to `row`; -1 if there is none that was changed within `secondsMax` before
   * or after `seconds`.
   */
  find(tag0: number, tag1: number, place: number, seconds: number, secondsMax: number): number {
    const words = this.#words;
    const row = this.row;
    const begin = this.first(place);
    for (let handle = begin; handle < begin + rowsPerBucket; handle++) {
      if (words[handle] !== tag0) continue;
      if ((this.load(handle) ^ this.#digest()) !== tag1) continue;
      if (distance(row[latest]!, seconds) <= secondsMax) return handle;
    }
    return -1;
  }

  /** Copies a row, whole or not, to `row`; returns its first word. */
  load(handle: number): number {
    const words = this.#words;
    const row = this.row;
    const at = base(handle);
    row[0] = words[at + 1]!;
    row[1] = words[at + 2]!;
    row[2] = words[at + 3]!;
    row[3] = words[at + 4]!;
    row[4] = words[at + 5]!;
    row[5] = words[at + 6]!;
    return words[at]!;
  }

  /** Makes `row` empty. */
  clear(): void {
    for (let i = 0; i <= valuesPerRow; i++) this.row[i] = 0;
  }

  /** Writes `row` for a fingerprint. */
  store(handle: number, tag0: number, tag1: number): void {
    const words = this.#words;
    const row = this.row;
    const at = base(handle);
    words[handle] = tag0;
    words[at] = tag1 ^ this.#digest();
    words[at + 1] = row[0]!;
    words[at + 2] = row[1]!;
    words[at + 3] = row[2]!;
    words[at + 4] = row[3]!;
    words[at + 5] = row[4]!;
    words[at + 6] = row[5]!;
  }

  /** Of `row`, keyed; each step is one-to-one, so that rows that differ in one word never agree. */
  #digest(): number {
    const row = this.row;
    const m = this.#secret;
    let h = m;
    for (let i = 0; i <= valuesPerRow; i++) {
      h = Math.imul(h ^ row[i]!, m);
      h = (h << 15) | (h >>> 17);
      h = (Math.imul(h, 0x9e3779b1) + 0x6546b64) | 0;
    }
    return h ^ (h >>> 16);
  }
}

function base(handle: number): number {
  return (handle & -bucketWords) + rowsPerBucket + (handle & (rowsPerBucket - 1)) * rowWords;
}

/** Seconds between two times, whichever is later; both are taken modulo 2^32. */
export function distance(a: number, b: number): number {
  const d = (a - b) | 0;
  return d < 0 ? (d === -0x80000000 ? 0x7fffffff : -d) : d;
}

/*
 * Witnesses are values: 16 bits of fingerprint, never 0, and 16 bits of time in seconds. These are enough because a row
 * is only read within an hour of its latest change, and holds at each change only witnesses of the hour around it.
 */

/** Seconds between a witness and now. */
function witnessAge(word: number, seconds: number): number {
  const d = ((seconds - word) << 16) >> 16;
  return d < 0 ? -d : d;
}

/** Witnesses in `row[from, to)` that are at most `secondsMax` away. */
export function countWitnesses(
  row: Int32Array,
  from: number,
  to: number,
  seconds: number,
  secondsMax: number,
): number {
  let count = 0;
  for (let i = from; i < to; i++) {
    if (row[i] !== 0 && witnessAge(row[i]!, seconds) <= secondsMax) count++;
  }
  return count;
}

/** Makes the places of witnesses that are further away than `secondsMax` empty. */
export function dropWitnesses(
  row: Int32Array,
  from: number,
  to: number,
  seconds: number,
  secondsMax: number,
): void {
  for (let i = from; i < to; i++) {
    if (witnessAge(row[i]!, seconds) > secondsMax) row[i] = 0;
  }
}

/** Makes the place of this witness empty. */
export function dropWitness(row: Int32Array, from: number, to: number, fingerprint: number): void {
  for (let i = from; i < to; i++) if (row[i]! >>> 16 === fingerprint) row[i] = 0;
}

/** Writes a witness at its own place, else at an empty one, else over the one furthest away. */
export function putWitness(
  row: Int32Array,
  from: number,
  to: number,
  fingerprint: number,
  seconds: number,
): void {
  let at = from;
  let worst = -1;
  for (let i = from; i < to; i++) {
    const word = row[i]!;
    if (word >>> 16 === fingerprint) {
      at = i;
      break;
    }
    const age = word === 0 ? 0x10000 : witnessAge(word, seconds);
    if (age > worst) {
      worst = age;
      at = i;
    }
  }
  row[at] = (fingerprint << 16) | (seconds & 0xffff);
}
