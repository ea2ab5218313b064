/**
 * What a QUIC client says first: the CRYPTO stream of its Initial packets, versions 1 (RFC 9000, RFC 9001) and 2
 * (RFC 9369). Initial packets are protected with keys that anybody can derive from the connection id that they carry
 * (RFC 9001 section 5.2), so what they hold is no secret, only veiled.
 *
 *     datagram = long header | number | AES-128-GCM( CRYPTO 400.., PING, CRYPTO 0..80, PADDING, CRYPTO 80.. ) | tag ...
 *     stream   = the CRYPTO frames in their places: the ClientHello without TLS records
 *
 * A hello with post-quantum keys fills two datagrams, and browsers send its pieces in any order; `add` is called for each
 * datagram of a hello, and `length` says how far the stream has no gap. The tag is not verified: that costs a third of the
 * time more and proves nothing, since the keys are public; what makes a hello credible is that it fits together. And so
 * a datagram of which only the first bytes were copied can be read as far as they go.
 *
 * Cost: 12 hashes and one AES block per 16 bytes: 38 microseconds for 1200 bytes on the two-core build machine, as much as
 * node:crypto takes there with its 26 for the hashes alone, and without its garbage (quic-initial.test.ts prints it). That is
 * a hundred times what other detectors take, so it is asked for only if the operator listed names, of the first few
 * datagrams of a flow, after `isInitial` has looked at the header.
 */
import { Aes128, aesBlockBytes } from './aes.js';
import { digestBytes, Hmac, labelInfo } from './sha256.js';

/** How much of the stream is kept: as much as of a TCP stream. */
export const quicStreamBytes = 4096;
/** A datagram with a client's Initial is at least that long (RFC 9000 section 14.1). */
const datagramBytesMin = 1200;
/** Plain bytes of one packet that are looked at; no path carries longer ones at this stage. */
const packetBytesMax = 2048;
/** Packets in one datagram that are looked at. */
const packetsMax = 4;
/** Frames of one packet that are looked at, padding apart. Chrome cuts a hello into some ten. */
const framesMax = 128;
const ackRangesMax = 64;
const connectionIdMin = 8;
const connectionIdMax = 20;
const sampleAt = 4;
const tagBytes = 16;
const nonceBytes = 12;

interface Version {
  readonly number: number;
  /** Packet type bits of an Initial. */
  readonly type: number;
  readonly salt: Uint8Array;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly hp: Uint8Array;
}

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));

/** RFC 9001 sections 5.1 and 5.2. */
const one: Version = {
  number: 1,
  type: 0x00,
  salt: bytesOf('38762cf7f55934b34d179ae6a4c80cadccbb7f0a'),
  key: labelInfo('quic key', 16),
  iv: labelInfo('quic iv', nonceBytes),
  hp: labelInfo('quic hp', 16),
};

/** RFC 9369 sections 3.2 and 3.3. */
const two: Version = {
  number: 0x6b33_43cf,
  type: 0x10,
  salt: bytesOf('0dede3def700a6db819381be6e269dcbf9bd2ed9'),
  key: labelInfo('quicv2 key', 16),
  iv: labelInfo('quicv2 iv', nonceBytes),
  hp: labelInfo('quicv2 hp', 16),
};

const clientIn = labelInfo('client in', digestBytes);

function versionAt(bytes: Uint8Array, at: number): Version | null {
  const number = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
  if (number === one.number) return one;
  return number === two.number ? two : null;
}

/** Whether the datagram `[start, end)` can begin with a client's Initial. Reads six bytes. */
export function isInitial(bytes: Uint8Array, start: number, end: number, wireLength: number): boolean {
  if (wireLength < datagramBytesMin || end - start < 64 || (bytes[start]! & 0xc0) !== 0xc0) return false;
  const version = versionAt(bytes, start + 1);
  // The type of an Initial has another number in each version.
  if ((bytes[start]! & 0x30) !== version?.type) return false;
  return bytes[start + 5]! <= connectionIdMax;
}

/** One instance is reused for every hello. */
export class QuicStream {
  /** The CRYPTO stream from its beginning; valid up to `length`. */
  readonly bytes: Uint8Array = new Uint8Array(quicStreamBytes);
  length = 0;

  readonly #have = new Uint8Array(quicStreamBytes);
  #reach = 0;
  readonly #plain = new Uint8Array(packetBytesMax);
  readonly #aes = new Aes128();
  readonly #protection = new Aes128();
  readonly #hmac = new Hmac();
  readonly #secret = new Uint8Array(digestBytes);
  readonly #nonce = new Uint8Array(digestBytes);
  readonly #counter = new Uint8Array(aesBlockBytes);
  readonly #key = new Uint8Array(digestBytes);
  readonly #stream = new Uint8Array(aesBlockBytes);
  /** Where a variable-length integer ended; 0 if it was cut. */
  #next = 0;

  /** A new hello. */
  clear(): void {
    this.#have.fill(0, 0, this.#reach);
    this.#reach = 0;
    this.length = 0;
  }

  /**
   * Adds what the Initial packets of the datagram `[start, end)` hold of the stream, decrypted with the keys of the
   * connection id in `[idFrom, idTo)` of `keyed`: its own, or that of the flow's first datagram.
   * @returns whether there was an Initial packet that could be read
   */
  add(
    bytes: Uint8Array,
    start: number,
    end: number,
    wireLength: number,
    keyed: Uint8Array,
    keyedAt: number,
  ): boolean {
    const version = versionAt(bytes, start + 1);
    const id = keyed[keyedAt + 5]!;
    if (version === null || id < connectionIdMin) return false;
    this.#derive(version, keyed, keyedAt + 6, keyedAt + 6 + id);
    const wireEnd = start + wireLength;
    let read = false;
    let at = start;
    for (let packets = 0; packets < packetsMax && at + 7 < end; packets++) {
      if ((bytes[at]! & 0xf0) !== (0xc0 | version.type) || versionAt(bytes, at + 1) !== version) break;
      const next = this.#readPacket(bytes, at, end, wireEnd);
      if (next === 0) break;
      read = true;
      at = next;
    }
    while (this.length < this.#reach && this.#have[this.length] === 1) this.length++;
    return read;
  }

  #derive(version: Version, bytes: Uint8Array, from: number, to: number): void {
    const hmac = this.#hmac;
    const secret = this.#secret;
    hmac.setKey(version.salt, 0, version.salt.length);
    hmac.sign(bytes, from, to, secret);
    hmac.setKey(secret, 0, digestBytes);
    hmac.sign(clientIn, 0, clientIn.length, secret);
    hmac.setKey(secret, 0, digestBytes);
    hmac.sign(version.hp, 0, version.hp.length, this.#key);
    this.#protection.setKey(this.#key);
    hmac.sign(version.key, 0, version.key.length, this.#key);
    this.#aes.setKey(this.#key);
    hmac.sign(version.iv, 0, version.iv.length, this.#nonce);
  }

  /** Reads the packet at `at`; returns where the next one begins, or 0 if this is none. */
  #readPacket(bytes: Uint8Array, at: number, end: number, wireEnd: number): number {
    let next = at + 6 + bytes[at + 5]!;
    if (bytes[at + 5]! > connectionIdMax || next >= end || bytes[next]! > connectionIdMax) return 0;
    next += 1 + bytes[next]!;
    const token = this.#number(bytes, next, end);
    if (this.#next === 0 || token > end - this.#next) return 0;
    const length = this.#number(bytes, this.#next + token, end);
    const numberAt = this.#next;
    if (numberAt === 0 || length < sampleAt + tagBytes || length > wireEnd - numberAt) return 0;
    const packetEnd = numberAt + length;
    if (numberAt + sampleAt + aesBlockBytes > end) return 0;
    const mask = this.#stream;
    this.#protection.encrypt(bytes, numberAt + sampleAt, mask);
    const first = bytes[at]! ^ (mask[0]! & 0x0f);
    // Reserved bits (RFC 9000 section 17.2): the wrong keys leave them at 0 once in four times.
    if ((first & 0x0c) !== 0) return 0;
    const numberBytes = 1 + (first & 0x03);
    this.#setNonce(bytes, numberAt, numberBytes);
    const from = numberAt + numberBytes;
    const whole = packetEnd - tagBytes - from;
    const here = Math.min(whole, end - from, packetBytesMax);
    this.#decrypt(bytes, from, here);
    return this.#readFrames(here, whole) ? packetEnd : 0;
  }

  /** Packet number into the nonce; `#stream` still holds the mask of the header. */
  #setNonce(bytes: Uint8Array, at: number, length: number): void {
    const counter = this.#counter;
    for (let i = 0; i < nonceBytes; i++) counter[i] = this.#nonce[i]!;
    for (let i = 0; i < length; i++)
      counter[nonceBytes - length + i]! ^= bytes[at + i]! ^ this.#stream[1 + i]!;
  }

  /** Counter mode of GCM: the data's first block has the number 2 (NIST SP 800-38D section 7.1). */
  #decrypt(bytes: Uint8Array, from: number, length: number): void {
    const counter = this.#counter;
    const stream = this.#stream;
    for (let at = 0; at < length; at += aesBlockBytes) {
      const block = 2 + at / aesBlockBytes;
      counter[12] = 0;
      counter[13] = 0;
      counter[14] = block >>> 8;
      counter[15] = block;
      this.#aes.encrypt(counter, 0, stream);
      const last = Math.min(aesBlockBytes, length - at);
      for (let i = 0; i < last; i++) this.#plain[at + i] = bytes[from + at + i]! ^ stream[i]!;
    }
  }

  /**
   * Takes the CRYPTO frames out of the plain bytes, of which `here` are here and `whole` in the packet. False if it holds
   * something else than a client's Initial may (RFC 9000 section 12.4): these bytes were not what they were taken for.
   */
  #readFrames(here: number, whole: number): boolean {
    const plain = this.#plain;
    let at = 0;
    for (let frames = 0; frames < framesMax; frames++) {
      while (at < here && plain[at] === 0) at++;
      if (at >= here) return true;
      const type = plain[at++]!;
      if (type === 0x01) continue;
      if (type === 0x1c) return true;
      if (type === 0x06) at = this.#takeCrypto(at, here, whole);
      else if (type === 0x02 || type === 0x03) at = this.#passAck(at, here, type === 0x03);
      else return false;
      if (at === 0) return here < whole;
    }
    return true;
  }

  /** A CRYPTO frame (RFC 9000 section 19.6); returns where the next frame begins, 0 if this one is cut or wrong. */
  #takeCrypto(at: number, here: number, whole: number): number {
    const offset = this.#number(this.#plain, at, here);
    if (this.#next === 0) return 0;
    const length = this.#number(this.#plain, this.#next, here);
    const data = this.#next;
    if (data === 0 || length > whole - data) return 0;
    const last = Math.min(data + length, here);
    for (let i = data, to = offset; i < last && to < quicStreamBytes; i++, to++) {
      this.bytes[to] = this.#plain[i]!;
      this.#have[to] = 1;
    }
    this.#reach = Math.max(this.#reach, Math.min(offset + last - data, quicStreamBytes));
    return data + length;
  }

  /** An ACK frame (RFC 9000 section 19.3); returns where the next frame begins, 0 if this one is cut or too long. */
  #passAck(at: number, here: number, counts: boolean): number {
    this.#next = at;
    let left = 2;
    let ranges = 0;
    for (; left > 0 && this.#next !== 0; left--) this.#number(this.#plain, this.#next, here);
    if (this.#next !== 0) ranges = this.#number(this.#plain, this.#next, here);
    if (ranges > ackRangesMax) return 0;
    for (left = 1 + 2 * ranges + (counts ? 3 : 0); left > 0 && this.#next !== 0; left--)
      this.#number(this.#plain, this.#next, here);
    return this.#next;
  }

  /** A variable-length integer (RFC 9000 section 16); sets `#next`. */
  #number(bytes: Uint8Array, at: number, end: number): number {
    const length = at < end ? 1 << (bytes[at]! >>> 6) : 1;
    if (at + length > end) {
      this.#next = 0;
      return 0;
    }
    let value = bytes[at]! & 0x3f;
    for (let i = 1; i < length; i++) value = value * 256 + bytes[at + i]!;
    this.#next = at + length;
    return value;
  }
}
