/**
 * The ClientHello of TLS (RFC 8446 section 4.1.2), from whatever prefix of it has arrived: the host name that it asks for
 * (SNI, RFC 6066 section 3) and the protocols that it offers (ALPN, RFC 7301). Where the hello is encrypted (ECH), the
 * outer one is read, which names the front of the service only.
 *
 * Every length is checked against the one around it, so that a hello is believed because it fits together. Nothing is
 * read outside the given range and nothing is allocated.
 */

/** No ClientHello. */
export const NoHello = 0;
/** A ClientHello so far; `nameStart` and `protocolsStart` are filled in as soon as they came by. */
export const OpenHello = 1;
/** A whole ClientHello. */
export const WholeHello = 2;
export type HelloOutcome = typeof NoHello | typeof OpenHello | typeof WholeHello;

const recordHandshake = 0x16;
const recordHeaderBytes = 5;
const recordBytesMax = 16_384;
const handshakeClientHello = 1;
const handshakeHeaderBytes = 4;
const randomBytes = 32;
const sessionIdBytesMax = 32;
/** A hello that is put together from pieces is kept this far: the engine keeps no more of a stream either. */
const piecesBytesMax = 4096;

const extensionServerName = 0;
const extensionProtocols = 16;
const nameTypeHost = 0;

const pair = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;

/** One instance is reused for every hello. */
export class ClientHello {
  /** What the ranges below point into: the bytes that were given, or a copy where records cut the hello. */
  bytes: Uint8Array = new Uint8Array(0);
  /** The host name; equal if none was met. */
  nameStart = 0;
  nameEnd = 0;
  /** The list of offered protocols, each with its length in front; equal if none was met. */
  protocolsStart = 0;
  protocolsEnd = 0;

  readonly #pieces = new Uint8Array(piecesBytesMax);
  /** The stream that the pieces were taken from. */
  #start = 0;
  #end = 0;

  /** Reads the hello at the beginning of a TCP stream, which TLS records hold. */
  readRecords(bytes: Uint8Array, start: number, end: number): HelloOutcome {
    this.#clear(bytes);
    if (!isRecord(bytes, start, end)) return NoHello;
    if (end - start < recordHeaderBytes) return OpenHello;
    const body = start + recordHeaderBytes;
    const recordEnd = body + pair(bytes, start + 3);
    if (recordEnd >= end) return this.#read(bytes, body, end, recordEnd);
    if (helloEnd(bytes, body, recordEnd) <= recordEnd) return this.#read(bytes, body, recordEnd, recordEnd);
    this.#start = start;
    this.#end = end;
    return this.#readPieces(bytes, start, end);
  }

  /** Reads a hello that no records hold: the CRYPTO stream of QUIC. */
  readHandshake(bytes: Uint8Array, start: number, end: number): HelloOutcome {
    this.#clear(bytes);
    return this.#read(bytes, start, end, end);
  }

  /** Where the byte at `at` of `bytes` lies in the stream that was given to `readRecords`. */
  inStream(stream: Uint8Array, at: number): number {
    if (this.bytes === stream) return at;
    let left = at;
    let record = this.#start;
    while (record + recordHeaderBytes < this.#end) {
      const length = pair(stream, record + 3);
      if (left < length) return record + recordHeaderBytes + left;
      left -= length;
      record += recordHeaderBytes + length;
    }
    return this.#end;
  }

  /** Whether one of the offered protocols is `[id]`, byte for byte. */
  offers(id: Uint8Array): boolean {
    const { bytes, protocolsEnd } = this;
    for (let at = this.protocolsStart; at < protocolsEnd; at += 1 + bytes[at]!)
      if (bytes[at] === id.length && isAt(bytes, at + 1, id)) return true;
    return false;
  }

  #clear(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.nameStart = this.nameEnd = this.protocolsStart = this.protocolsEnd = 0;
  }

  /** Copies what the records hold of the handshake message, and reads that. */
  #readPieces(bytes: Uint8Array, start: number, end: number): HelloOutcome {
    const pieces = this.#pieces;
    let length = 0;
    for (let record = start; record < end && length < piecesBytesMax;) {
      if (!isRecord(bytes, record, end)) return NoHello;
      if (end - record < recordHeaderBytes) break;
      const body = record + recordHeaderBytes;
      const next = body + pair(bytes, record + 3);
      for (let i = body; i < next && i < end && length < piecesBytesMax; i++) pieces[length++] = bytes[i]!;
      record = next;
      if (helloEnd(pieces, 0, length) <= length) break;
    }
    this.bytes = pieces;
    return this.#read(pieces, 0, length, length);
  }

  /**
   * Reads the handshake message at `start`, of which `[start, end)` is here.
   * @param recordEnd where its record ends; a message may go on in the next record
   */
  #read(bytes: Uint8Array, start: number, end: number, recordEnd: number): HelloOutcome {
    if (start < end && bytes[start] !== handshakeClientHello) return NoHello;
    if (end - start < handshakeHeaderBytes) return OpenHello;
    const whole = helloEnd(bytes, start, end);
    if (whole - start > handshakeHeaderBytes + recordBytesMax) return NoHello;
    const last = Math.min(whole, end, recordEnd);
    const extensions = extensionsAt(bytes, start + handshakeHeaderBytes, last, whole);
    if (extensions === 0) return NoHello;
    if (extensions < 0) return OpenHello;
    return this.#readExtensions(bytes, extensions, last, whole);
  }

  #readExtensions(bytes: Uint8Array, first: number, end: number, whole: number): HelloOutcome {
    let at = first;
    while (at < whole) {
      if (at + 4 > whole) return NoHello;
      if (at + 4 > end) return OpenHello;
      const type = pair(bytes, at);
      const body = at + 4;
      const next = body + pair(bytes, at + 2);
      if (next > whole) return NoHello;
      if (next > end) return OpenHello;
      if (type === extensionServerName && !this.#takeName(bytes, body, next)) return NoHello;
      if (type === extensionProtocols && !this.#takeProtocols(bytes, body, next)) return NoHello;
      at = next;
    }
    return WholeHello;
  }

  /** One list with one host name in it: no other type of name was ever defined. */
  #takeName(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.nameEnd > 0 || end - start < 6 || pair(bytes, start) !== end - start - 2) return false;
    if (bytes[start + 2] !== nameTypeHost) return false;
    if (pair(bytes, start + 3) !== end - start - 5) return false;
    this.nameStart = start + 5;
    this.nameEnd = end;
    return true;
  }

  #takeProtocols(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.protocolsEnd > 0 || end - start < 4 || pair(bytes, start) !== end - start - 2) return false;
    let at = start + 2;
    while (at < end && bytes[at] !== 0) at += 1 + bytes[at]!;
    if (at !== end) return false;
    this.protocolsStart = start + 2;
    this.protocolsEnd = end;
    return true;
  }
}

function isAt(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** Whether `[at, end)` begins, as far as it reaches, a record of handshake messages of SSL 3.0 to TLS 1.3. */
function isRecord(bytes: Uint8Array, at: number, end: number): boolean {
  const length = end - at;
  if (length < 1 || bytes[at] !== recordHandshake) return false;
  if (length > 1 && bytes[at + 1] !== 3) return false;
  if (length > 2 && bytes[at + 2]! > 4) return false;
  if (length < recordHeaderBytes) return true;
  const bodyBytes = pair(bytes, at + 3);
  return bodyBytes > 0 && bodyBytes <= recordBytesMax;
}

/** Where the handshake message at `start` ends; beyond everything while its length has not come. */
function helloEnd(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < handshakeHeaderBytes) return Number.MAX_SAFE_INTEGER;
  return start + handshakeHeaderBytes + ((bytes[start + 1]! << 16) | pair(bytes, start + 2));
}

/** Where the extensions begin of the hello body at `at`, -1 if more has to come, 0 if it is none. */
function extensionsAt(bytes: Uint8Array, at: number, end: number, whole: number): number {
  if (at + 2 > end) return whole < at + 2 ? 0 : -1;
  if (bytes[at] !== 3 || bytes[at + 1]! > 4) return 0;
  let next = at + 2 + randomBytes;
  if (next + 1 > whole) return 0;
  if (next + 1 > end) return -1;
  if (bytes[next]! > sessionIdBytesMax) return 0;
  next += 1 + bytes[next]!;
  if (next + 2 > whole) return 0;
  if (next + 2 > end) return -1;
  const suites = pair(bytes, next);
  if (suites < 2 || suites % 2 !== 0) return 0;
  next += 2 + suites;
  if (next + 1 > whole) return 0;
  if (next + 1 > end) return -1;
  if (bytes[next] === 0) return 0;
  next += 1 + bytes[next]!;
  if (next === whole) return whole > end ? -1 : whole;
  if (next + 2 > whole) return 0;
  if (next + 2 > end) return -1;
  return next + 2 + pair(bytes, next) === whole ? next + 2 : 0;
}
