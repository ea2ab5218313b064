/**
 * How often something was done under a number within ten minutes, counted by all workers in one small memory: a count-min
 * sketch (Cormode and Muthukrishnan 2005) of two rows. Others who share a cell only raise what is read, and of two cells
 * the lower one counts, so a quota is never exceeded by a collision, and two who are not both shared do not disturb each
 * other. The places are keyed: nobody can choose a number that shares the cells of another.
 *
 * A cell is one word: 12 bits number of the ten-minute window, 20 bits count. Windows are fixed, so that up to twice the
 * quota fits into ten minutes across a border. Two workers that count at once may exceed the quota by one each.
 * Cells are read plainly, which is much cheaper than Atomics.load, and a count that is read late is just such an
 * excess; they are changed with Atomics only, so that nothing counted is lost.
 */
import { KeyedHash } from './keyed-hash.js';

const cells = 4096;
const cellShift = 4;
const countBits = 20;
const countMask = (1 << countBits) - 1;
const windowMask = 0xfff;

export const quotaWindowSeconds = 600;
export const quotaMax = countMask >> 1;

export class SharedQuota {
  readonly #cells: Int32Array;
  readonly #hash: KeyedHash;
  readonly #limit: number;

  static readonly byteLength = 2 * cells * 4;

  /** `limit`: times per window, up to quotaMax. */
  constructor(memory: SharedArrayBuffer, byteOffset: number, limit: number, seed: number) {
    this.#cells = new Int32Array(memory, byteOffset, 2 * cells);
    this.#hash = new KeyedHash(seed);
    this.#limit = Math.min(limit, quotaMax);
  }

  /** True if `key` has something left at this time. */
  allows(key: number, seconds: number): boolean {
    const places = this.#hash.places(key);
    const window = windowOf(seconds);
    const first = countAt(this.#cells[places >>> (16 + cellShift)]!, window);
    if (first < this.#limit) return true;
    const second = countAt(this.#cells[cells + ((places & 0xffff) >>> cellShift)]!, window);
    return second < this.#limit;
  }

  /** Counts once for `key`. */
  count(key: number, seconds: number): void {
    const places = this.#hash.places(key);
    const window = windowOf(seconds);
    this.#add(places >>> (16 + cellShift), window);
    this.#add(cells + ((places & 0xffff) >>> cellShift), window);
  }

  #add(cell: number, window: number): void {
    const word = this.#cells[cell]!;
    if (isCurrent(word, window)) {
      if ((word & countMask) < quotaMax) Atomics.add(this.#cells, cell, 1);
      return;
    }
    const mine = (window << countBits) | 1;
    // Another worker began the window in between: its cell counts for both.
    if (Atomics.compareExchange(this.#cells, cell, word, mine) !== word) Atomics.add(this.#cells, cell, 1);
  }
}

function windowOf(seconds: number): number {
  return Math.floor(seconds / quotaWindowSeconds) & windowMask;
}

/**
 * A cell of the next window counts too: packets of two workers are not in order, and each crossing of the border must not
 * begin a new count. Any other window is over, or of a clock that was set back.
 */
function isCurrent(word: number, window: number): boolean {
  const ahead = ((word >>> countBits) - window) & windowMask;
  return ahead <= 1;
}

function countAt(word: number, window: number): number {
  return isCurrent(word, window) ? word & countMask : 0;
}
