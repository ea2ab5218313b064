/**
 * Fingerprints of addresses under a secret, for the tables that all workers share: two tags of 32 bits, and a place of
 * 16 bits that does not depend on them.
 *
 * Each 16 bits of the result are a lane of their own: the sum, modulo 2^32, of secret multipliers times the 16-bit
 * pieces of the address, of which the upper half is taken. That is multilinear hashing (Lemire and Kaser, "Strongly
 * universal string hashing is fast", 2014): whichever two different addresses somebody chooses, they agree in a lane with
 * a probability of 2^-16 over the secrets, so in both tags with 2^-64. A chain of rounds as in table.ts has no such bound:
 * a difference in the highest bit passes its multiplication unchanged whatever the multiplier, and the next word can
 * cancel it; there that costs a longer chain, here it would be a stranger taken for a peer.
 */

const lanes = 5;
/** Constant, version, port, 2 halves of each of 4 address words and 2 extra words. */
const keysPerLane = 16;

/** The finisher of murmur3: one-to-one, each bit of the result depends on all. */
function scramble(h: number): number {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** A well mixed word for a seed and a counter (of 2^32 secrets at the most). Not for the data plane's hashes. */
export function secretWord(seed: number, counter: number): number {
  let h = seed ^ Math.imul(counter + 1, 0x9e3779b1);
  for (let round = 0; round < 2; round++) h = scramble(h) ^ Math.imul(seed, 0x2c1b3c6d);
  return h;
}

/** One worker's hash; the results stand in its fields until the next call. */
export class KeyedHash {
  /** 32 bits each, signed. */
  tag0 = 0;
  tag1 = 0;
  /** 0 to 65,535. */
  place = 0;
  readonly #keys: Int32Array;

  /** `seed`: any 32 bits. Same seed, same hash. */
  constructor(seed: number) {
    this.#keys = Int32Array.from({ length: lanes * keysPerLane }, (_, i) => secretWord(seed, i));
  }

  /** An endpoint, or a host with port 0; `extra0` and `extra1` are 64 further bits, 0 if there are none. */
  address(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    extra0: number,
    extra1: number,
  ): void {
    const short = version === 4 && (extra0 | extra1) === 0;
    let a = this.#short(0, version, word0, port);
    let b = this.#short(keysPerLane, version, word0, port);
    let c = this.#short(2 * keysPerLane, version, word0, port);
    let d = this.#short(3 * keysPerLane, version, word0, port);
    let e = this.#short(4 * keysPerLane, version, word0, port);
    if (!short) {
      a = (a + this.#long(0, word1, word2, word3, extra0, extra1)) | 0;
      b = (b + this.#long(keysPerLane, word1, word2, word3, extra0, extra1)) | 0;
      c = (c + this.#long(2 * keysPerLane, word1, word2, word3, extra0, extra1)) | 0;
      d = (d + this.#long(3 * keysPerLane, word1, word2, word3, extra0, extra1)) | 0;
      e = (e + this.#long(4 * keysPerLane, word1, word2, word3, extra0, extra1)) | 0;
    }
    this.tag0 = (a & 0xffff0000) | (b >>> 16);
    this.tag1 = (c & 0xffff0000) | (d >>> 16);
    // Addresses in a row make sums in a row, which would crowd into few buckets for some secrets.
    this.place = scramble(e) >>> 16;
  }

  /**
   * 32 bits, never 0, for the network of an address: /24 of IPv4, /48 of IPv6. A 6to4 address (2002::/16, RFC 3056) is
   * its IPv4 address: its /48 is a single host.
   */
  network(version: number, word0: number, word1: number): number {
    let kind = version;
    let high = word0;
    let low = word1 >>> 16;
    if (version !== 4 && word0 >>> 16 === 0x2002) {
      kind = 4;
      high = (word0 << 16) | (word1 >>> 16);
    }
    if (kind === 4) {
      high &= 0xffffff00;
      low = 0;
    }
    const a = this.#short(0, kind, high, low);
    const b = this.#short(keysPerLane, kind, high, low);
    return scramble((a & 0xffff0000) | (b >>> 16)) || 1;
  }

  /** 16 bits, never 0, for a network's number (which is a secret already, if `network` made it). */
  fingerprint(network: number): number {
    return scramble(network ^ this.#keys[0]!) >>> 16 || 1;
  }

  /** Two places of 16 bits for a network's number, one in each half. */
  places(network: number): number {
    return scramble(network ^ this.#keys[0]!);
  }

  #short(k: number, version: number, word: number, port: number): number {
    const keys = this.#keys;
    return (
      (keys[k]! +
        Math.imul(keys[k + 1]!, version & 0xffff) +
        Math.imul(keys[k + 2]!, port & 0xffff) +
        Math.imul(keys[k + 3]!, word >>> 16) +
        Math.imul(keys[k + 4]!, word & 0xffff)) |
      0
    );
  }

  #long(k: number, w1: number, w2: number, w3: number, extra0: number, extra1: number): number {
    const keys = this.#keys;
    return (
      (Math.imul(keys[k + 5]!, w1 >>> 16) +
        Math.imul(keys[k + 6]!, w1 & 0xffff) +
        Math.imul(keys[k + 7]!, w2 >>> 16) +
        Math.imul(keys[k + 8]!, w2 & 0xffff) +
        Math.imul(keys[k + 9]!, w3 >>> 16) +
        Math.imul(keys[k + 10]!, w3 & 0xffff) +
        Math.imul(keys[k + 11]!, extra0 >>> 16) +
        Math.imul(keys[k + 12]!, extra0 & 0xffff) +
        Math.imul(keys[k + 13]!, extra1 >>> 16) +
        Math.imul(keys[k + 14]!, extra1 & 0xffff)) |
      0
    );
  }
}
