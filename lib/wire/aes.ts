/**
 * AES-128, encryption of single blocks (FIPS 197): all that header protection and counter mode need. Own code for the
 * reasons given in sha256.ts. The tables are computed from the field's definition when this file is loaded.
 */

export const aesBlockBytes = 16;
const rounds = 10;
const keyWords = 4 * (rounds + 1);

const box = new Uint8Array(256);
/** Substitution and column mixing of one byte in one word; the other rows are its rotations. */
const table = new Int32Array(256);

const doubled = (value: number): number => ((value << 1) ^ ((value & 0x80) === 0 ? 0 : 0x11b)) & 0xff;

for (let value = 1, inverse = 1, first = true; first || value !== 1; first = false) {
  // 3 generates the field's group; 0xf6 is its inverse.
  value ^= doubled(value);
  inverse ^= inverse << 1;
  inverse ^= inverse << 2;
  inverse ^= inverse << 4;
  inverse = (inverse ^ ((inverse & 0x80) === 0 ? 0 : 0x09)) & 0xff;
  const turned = (bits: number): number => (inverse << bits) | (inverse >>> (8 - bits));
  box[value] = (inverse ^ turned(1) ^ turned(2) ^ turned(3) ^ turned(4) ^ 0x63) & 0xff;
}
box[0] = 0x63;
for (let i = 0; i < 256; i++) {
  const s = box[i]!;
  table[i] = (doubled(s) << 24) | (s << 16) | (s << 8) | (doubled(s) ^ s);
}

export class Aes128 {
  readonly #key = new Int32Array(keyWords);
  readonly #from = new Int32Array(4);
  readonly #to = new Int32Array(4);

  /** Takes over the key in the first 16 bytes. */
  setKey(bytes: Uint8Array): void {
    const key = this.#key;
    for (let i = 0; i < 4; i++) key[i] = wordAt(bytes, 4 * i);
    let constant = 1;
    for (let i = 4; i < keyWords; i++) {
      let word = key[i - 1]!;
      if (i % 4 === 0) {
        word = substituted((word << 8) | (word >>> 24)) ^ (constant << 24);
        constant = doubled(constant);
      }
      key[i] = key[i - 4]! ^ word;
    }
  }

  /** Encrypts the 16 bytes at `at` into the first 16 bytes of `into`. */
  encrypt(bytes: Uint8Array, at: number, into: Uint8Array): void {
    const key = this.#key;
    let from = this.#from;
    let to = this.#to;
    for (let i = 0; i < 4; i++) from[i] = wordAt(bytes, at + 4 * i) ^ key[i]!;
    for (let round = 1; round < rounds; round++) {
      for (let i = 0; i < 4; i++) {
        const b = table[(from[(i + 1) & 3]! >>> 16) & 0xff]!;
        const c = table[(from[(i + 2) & 3]! >>> 8) & 0xff]!;
        const d = table[from[(i + 3) & 3]! & 0xff]!;
        to[i] =
          table[from[i]! >>> 24]! ^
          ((b >>> 8) | (b << 24)) ^
          ((c >>> 16) | (c << 16)) ^
          ((d >>> 24) | (d << 8)) ^
          key[4 * round + i]!;
      }
      const swap = from;
      from = to;
      to = swap;
    }
    for (let i = 0; i < 4; i++) {
      const word =
        (box[from[i]! >>> 24]! << 24) |
        (box[(from[(i + 1) & 3]! >>> 16) & 0xff]! << 16) |
        (box[(from[(i + 2) & 3]! >>> 8) & 0xff]! << 8) |
        box[from[(i + 3) & 3]! & 0xff]!;
      const out = word ^ key[4 * rounds + i]!;
      into[4 * i] = out >>> 24;
      into[4 * i + 1] = out >>> 16;
      into[4 * i + 2] = out >>> 8;
      into[4 * i + 3] = out;
    }
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function substituted(word: number): number {
  return (
    (box[word >>> 24]! << 24) |
    (box[(word >>> 16) & 0xff]! << 16) |
    (box[(word >>> 8) & 0xff]! << 8) |
    box[word & 0xff]!
  );
}
