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
    // Four locals: with the state in an array a block takes three times as long.
    let a = wordAt(bytes, at) ^ key[0]!;
    let b = wordAt(bytes, at + 4) ^ key[1]!;
    let c = wordAt(bytes, at + 8) ^ key[2]!;
    let d = wordAt(bytes, at + 12) ^ key[3]!;
    for (let i = 4; i < 4 * rounds; i += 4) {
      const e = mixed(a, b, c, d) ^ key[i]!;
      const f = mixed(b, c, d, a) ^ key[i + 1]!;
      const g = mixed(c, d, a, b) ^ key[i + 2]!;
      d = mixed(d, a, b, c) ^ key[i + 3]!;
      a = e;
      b = f;
      c = g;
    }
    store(into, 0, last(a, b, c, d) ^ key[4 * rounds]!);
    store(into, 4, last(b, c, d, a) ^ key[4 * rounds + 1]!);
    store(into, 8, last(c, d, a, b) ^ key[4 * rounds + 2]!);
    store(into, 12, last(d, a, b, c) ^ key[4 * rounds + 3]!);
  }
}

/** One column of a round: rows shifted, bytes substituted, column mixed. */
function mixed(a: number, b: number, c: number, d: number): number {
  const second = table[(b >>> 16) & 0xff]!;
  const third = table[(c >>> 8) & 0xff]!;
  const fourth = table[d & 0xff]!;
  return (
    table[a >>> 24]! ^
    ((second >>> 8) | (second << 24)) ^
    ((third >>> 16) | (third << 16)) ^
    ((fourth >>> 24) | (fourth << 8))
  );
}

/** One column of the last round, which mixes nothing. */
function last(a: number, b: number, c: number, d: number): number {
  return (
    (box[a >>> 24]! << 24) | (box[(b >>> 16) & 0xff]! << 16) | (box[(c >>> 8) & 0xff]! << 8) | box[d & 0xff]!
  );
}

function store(into: Uint8Array, at: number, word: number): void {
  into[at] = word >>> 24;
  into[at + 1] = word >>> 16;
  into[at + 2] = word >>> 8;
  into[at + 3] = word;
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
