/**
 * SHA-256 (FIPS 180-4), HMAC (RFC 2104) and the HKDF of TLS 1.3 (RFC 5869, RFC 8446 section 7.1) for inputs of one block:
 * what deriving the keys of a QUIC Initial takes. Own code, because node:crypto makes an object per call and the data
 * plane does not allocate; and because it is faster here: twelve compressions, where node:crypto would be called five
 * times. Speed on secrets is no concern: these keys come from bytes that everybody on the path can read.
 */

const blockBytes = 64;
export const digestBytes = 32;
/** The longest message of one block: 9 bytes are for its end mark and length. */
const messageBytesMax = blockBytes - 9;

/** Fractional parts of the cube roots (constants) and square roots (initial state) of the first primes. */
const { constants, initial } = primesOf();

function primesOf(): { constants: Int32Array; initial: Int32Array } {
  const primes: bigint[] = [];
  for (let n = 2n; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0n)) primes.push(n);
  return {
    constants: Int32Array.from(primes, (prime) => Number(BigInt.asIntN(32, root(prime << 96n, 3n)))),
    initial: Int32Array.from(primes.slice(0, 8), (prime) =>
      Number(BigInt.asIntN(32, root(prime << 64n, 2n))),
    ),
  };
}

/** The whole part of the n-th root. */
function root(value: bigint, n: bigint): bigint {
  let low = 0n;
  let high = 1n << 48n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** n <= value) low = middle;
    else high = middle;
  }
  return low;
}

const words = new Int32Array(64);
const block = new Uint8Array(blockBytes);

/** One compression of `block` into the state. */
function compress(state: Int32Array): void {
  const w = words;
  for (let i = 0; i < 16; i++) {
    const at = 4 * i;
    w[i] = (block[at]! << 24) | (block[at + 1]! << 16) | (block[at + 2]! << 8) | block[at + 3]!;
  }
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]!;
    const y = w[i - 2]!;
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16]! + s0 + w[i - 7]! + s1) | 0;
  }
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let f = state[5]!;
  let g = state[6]!;
  let h = state[7]!;
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + t1) | 0;
    d = c;
    c = b;
    b = a;
    a = (t1 + t2) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
  state[5]! += f;
  state[6]! += g;
  state[7]! += h;
}

function storeWords(state: Int32Array, into: Uint8Array): void {
  for (let i = 0; i < digestBytes; i++) into[i] = state[i >>> 2]! >>> (24 - 8 * (i & 3));
}

/** HMAC-SHA-256 under one key of up to 64 bytes, for messages of up to 55. */
export class Hmac {
  readonly #inner = new Int32Array(8);
  readonly #outer = new Int32Array(8);
  readonly #state = new Int32Array(8);

  /** Takes over the key `[start, end)`. */
  setKey(bytes: Uint8Array, start: number, end: number): void {
    this.#pad(this.#inner, 0x36, bytes, start, end);
    this.#pad(this.#outer, 0x5c, bytes, start, end);
  }

  #pad(state: Int32Array, mask: number, bytes: Uint8Array, start: number, end: number): void {
    block.fill(mask);
    for (let i = 0; i < end - start && i < blockBytes; i++) block[i] = bytes[start + i]! ^ mask;
    state.set(initial);
    compress(state);
  }

  /** The code of the message `[start, end)`, of at most 55 bytes, into the first 32 bytes of `into`. */
  sign(bytes: Uint8Array, start: number, end: number, into: Uint8Array): void {
    const state = this.#state;
    const length = Math.min(end - start, messageBytesMax);
    for (let i = 0; i < length; i++) block[i] = bytes[start + i]!;
    state.set(this.#inner);
    closeBlock(length);
    compress(state);
    storeWords(state, block);
    state.set(this.#outer);
    closeBlock(digestBytes);
    compress(state);
    storeWords(state, into);
  }
}

/** Ends the message of which `length` bytes are in the block, the first block (the padded key) before it counted. */
function closeBlock(length: number): void {
  block.fill(0, length);
  block[length] = 0x80;
  const bits = 8 * (blockBytes + length);
  block[62] = bits >>> 8;
  block[63] = bits & 0xff;
}

/** What HKDF-Expand-Label hashes for this label without context, for one block of output. */
export function labelInfo(label: string, length: number): Uint8Array {
  const text = `tls13 ${label}`;
  const bytes = Array.from(text, (character) => character.charCodeAt(0));
  return Uint8Array.from([length >> 8, length & 0xff, bytes.length, ...bytes, 0, 1]);
}
