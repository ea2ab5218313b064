/**
 * HTTP/1.x messages (RFC 9112) in byte ranges: request targets and their query, header fields, and where a response's
 * body begins. Only what a detector needs to read a message from a prefix: nothing is validated for its own sake.
 */
import {
  ascii,
  decimal,
  find,
  hexDigit,
  indexOfByte,
  isBeginningOf,
  isDigit,
  needle,
  passesBlock,
  startsWith,
  startsWithIgnoringCase,
  type Needle,
} from './text.js';

const get = ascii('GET ');
const versionOne = ascii('HTTP/1.');
const bareBlankLine = needle('\n\n');
const bytesUnit = ascii('bytes=');

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const space = 0x20;
const questionMark = 0x3f;
const ampersand = 0x26;
const colon = 0x3a;

/** Longest request line that is waited for: the part of a stream that is kept. Announces are under 1 KiB. */
const requestLineMax = 4096;
/** Probes of one head that may meet a CR or LF: every second line is met once, so this is about 200 lines. */
const lineBytesMax = 128;
/** Probes of the search for one field. Text moves it by 7 bytes on average, so that this reaches 3.5 KiB far. */
const fieldProbesMax = 512;
/** Parameters of one query that are looked at: announces have up to 20. */
const parametersMax = 64;

/** No body in this range: the header block is not over, or ends where the range ends. */
export const NoBodyYet = -2;

/** True if `[start, end)` begins a GET request. */
export function isGet(bytes: Uint8Array, start: number, end: number): boolean {
  return start < end && bytes[start] === 0x47 && startsWith(bytes, start, end, get);
}

/** True if `[start, end)` begins an HTTP/1.x response. */
export function isResponse(bytes: Uint8Array, start: number, end: number): boolean {
  return start < end && bytes[start] === 0x48 && startsWith(bytes, start, end, versionOne);
}

/** True if `[start, end)` is so short that it may become a GET request or a response. */
export function mayBecomeHttp(bytes: Uint8Array, start: number, end: number): boolean {
  return (
    end > start && (isBeginningOf(bytes, start, end, get) || isBeginningOf(bytes, start, end, versionOne))
  );
}

/** True if the line at `at` does not end in the range. A range that ends with a line feed, as most heads do, is not searched. */
export function isCutLine(bytes: Uint8Array, at: number, end: number): boolean {
  return bytes[end - 1] !== lineFeed && lineEnd(bytes, at, end) === end;
}

/** Where the line at `at` ends (its CR or LF), or `end`. */
export function lineEnd(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i] !== lineFeed && bytes[i] !== carriageReturn) i++;
  return i;
}

/**
 * True if a stream that begins with a GET request still lacked the end of its request line before the last
 * `newBytes` bytes came, and is short enough to wait for: only then must the line be read from the stream.
 */
export function requestLineWasOpen(
  stream: Uint8Array,
  start: number,
  end: number,
  newBytes: number,
): boolean {
  const before = end - newBytes;
  if (before <= start || before - start > requestLineMax || stream[start] !== 0x47) return false;
  return indexOfByte(stream, start, before, lineFeed) === before;
}

/** As requestLineWasOpen, for the whole header block of a GET request. */
export function requestHeadWasOpen(
  stream: Uint8Array,
  start: number,
  end: number,
  newBytes: number,
): boolean {
  const before = end - newBytes;
  if (before <= start || before - start > requestLineMax || stream[start] !== 0x47) return false;
  return headEnd(stream, start, before) < 0;
}

/** Payload packets of a side with each of which a kept request is read again; honest heads seldom come in more. */
const rereadPacketsMax = 4;

/**
 * True if a kept request `[start, end)` is worth reading again when the side's payload packet `packet` has brought its last
 * `newBytes`: one of the first four, one that passes a multiple of 256 bytes, or one in which the head ends. A head that
 * comes in tiny segments is thus not read from its beginning with each of them.
 */
export function isRequestWorthReading(
  bytes: Uint8Array,
  start: number,
  end: number,
  newBytes: number,
  packet: number,
): boolean {
  const before = Math.max(start, end - newBytes);
  if (packet <= rereadPacketsMax || passesBlock(before - start, end - start)) return true;
  for (let i = Math.max(before, start + 2); i < end; i++) {
    if (bytes[i] !== lineFeed) continue;
    if (bytes[i - 1] === carriageReturn && bytes[i - 2] === lineFeed) return true;
    // Bare line feeds end a head only if its first line ends so.
    if (bytes[i - 1] === lineFeed)
      return bytes[indexOfByte(bytes, start, end, lineFeed) - 1] !== carriageReturn;
  }
  return false;
}

/** As isRequestWorthReading, for those whom the request line is enough: with the packet in which a line ends. */
export function isRequestLineWorthReading(
  bytes: Uint8Array,
  start: number,
  end: number,
  newBytes: number,
  packet: number,
): boolean {
  const before = Math.max(start, end - newBytes);
  if (packet <= rereadPacketsMax || passesBlock(before - start, end - start)) return true;
  return indexOfByte(bytes, before, end, lineFeed) < end;
}

/**
 * First byte after the empty line that ends the header block, or -1. Bare line feeds are accepted (RFC 9112 2.2). The
 * four bytes CR LF CR LF cannot lie between two probes that are four apart, so three bytes in four are never read.
 */
export function headEnd(bytes: Uint8Array, start: number, end: number): number {
  let lineBytes = 0;
  const pairs = end - 4;
  for (let i = start + 3; i < end; i += 4) {
    // Two probes a turn while the text goes on: an eighth less time than one.
    while (i < pairs && bytes[i]! > carriageReturn && bytes[i + 4]! > carriageReturn) i += 8;
    if (i >= end) break;
    const byte = bytes[i]!;
    if (byte > carriageReturn || (byte !== carriageReturn && byte !== lineFeed)) continue;
    const after = byte === lineFeed ? emptyLineWithFeed(bytes, i, end) : emptyLineWithReturn(bytes, i, end);
    if (after > 0) return after;
    if (++lineBytes > lineBytesMax) return -1;
  }
  // The bare form is looked for only if the first line shows it: a head with CR LF has none before its end.
  const firstLine = indexOfByte(bytes, start, end, lineFeed);
  if (firstLine === end || (firstLine > start && bytes[firstLine - 1] === carriageReturn)) return -1;
  const bare = find(bytes, firstLine, end, bareBlankLine);
  return bare < 0 ? -1 : bare + 2;
}

/** End of the CR LF CR LF that the line feed at `at` belongs to, or -1; three bytes before it are in the range. */
function emptyLineWithFeed(bytes: Uint8Array, at: number, end: number): number {
  if (bytes[at - 1] !== carriageReturn) return -1;
  if (bytes[at - 2] === lineFeed && bytes[at - 3] === carriageReturn) return at + 1;
  return at + 2 < end && bytes[at + 1] === carriageReturn && bytes[at + 2] === lineFeed ? at + 3 : -1;
}

/** As emptyLineWithFeed, for the carriage return at `at`. */
function emptyLineWithReturn(bytes: Uint8Array, at: number, end: number): number {
  if (at + 1 >= end || bytes[at + 1] !== lineFeed) return -1;
  if (bytes[at - 1] === lineFeed && bytes[at - 2] === carriageReturn) return at + 2;
  return at + 3 < end && bytes[at + 2] === carriageReturn && bytes[at + 3] === lineFeed ? at + 4 : -1;
}

/**
 * Where the value of a header field begins (white space skipped), or -1. `name` is a needle of line feed, field name
 * and colon, so that it is found at the start of a line only.
 */
export function headerValue(bytes: Uint8Array, start: number, end: number, name: Needle): number {
  let at = fieldName(bytes, start, end, name.text, name.skip);
  if (at < 0) return -1;
  at += name.text.length;
  while (at < end && (bytes[at] === space || bytes[at] === 0x09)) at++;
  return at;
}

/**
 * Where a field's name begins, or -1. Horspool's search as in text.ts, but bounded: a head made of the name's own letters
 * moves it by single bytes.
 */
function fieldName(
  bytes: Uint8Array,
  start: number,
  end: number,
  text: Uint8Array,
  skip: Uint8Array,
): number {
  const last = text.length - 1;
  let probes = fieldProbesMax;
  for (let at = start + last; at < end && probes > 0; at += skip[bytes[at]!]!) {
    probes--;
    if (bytes[at] === colon && startsWithIgnoringCase(bytes, at - last, end, text)) return at - last;
  }
  return -1;
}

/** First byte after the target's `?`, -1 if the target ends without one, or `end` if the range ends first. */
export function queryStart(bytes: Uint8Array, target: number, end: number): number {
  for (let i = target; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === questionMark) return i + 1;
    if (byte <= space) return -1;
  }
  return end;
}

/** Where the parameter value at `at` ends: its `&`, or the white space that ends the target, or `end`. */
export function parameterEnd(bytes: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i < end && bytes[i]! > space && bytes[i] !== ampersand) i++;
  return i;
}

/**
 * Where the value of the first parameter called `name` (with its `=`) begins, or -1. `query` is where a parameter
 * begins; the search ends with the target, so what other parameters hold inside their values is never taken for one.
 */
export function parameterValue(bytes: Uint8Array, query: number, end: number, name: Uint8Array): number {
  const first = name[0];
  let at = query;
  for (let parameters = 0; parameters < parametersMax && at < end; parameters++) {
    if (bytes[at] === first && startsWith(bytes, at, end, name)) return at + name.length;
    at = parameterEnd(bytes, at, end);
    if (at >= end || bytes[at] !== ampersand) return -1;
    at++;
  }
  return -1;
}

/**
 * True if the Range field whose value is at `at` asks for bytes with both ends named: pieces have an end, a resumed
 * download has none.
 */
export function isClosedRange(bytes: Uint8Array, at: number, end: number): boolean {
  if (at < 0 || !startsWithIgnoringCase(bytes, at, end, bytesUnit)) return false;
  let i = at + bytesUnit.length;
  const from = i;
  while (i < end && isDigit(bytes[i]!)) i++;
  return i > from && i + 1 < end && bytes[i] === 0x2d && isDigit(bytes[i + 1]!);
}

/** First byte of the last path segment of the target `[target, pathEnd)`; its query is already cut off. */
export function lastSegment(bytes: Uint8Array, target: number, pathEnd: number): number {
  let i = pathEnd;
  while (i > target && bytes[i - 1] !== 0x2f) i--;
  return i;
}

/**
 * Where the data of a response body begins that follows a header block at `head`, or that a segment begins with: past
 * the size line of a first chunk (RFC 9112 section 7.1), else at `head`; `end` while it may be a size line whose end has
 * not come.
 */
export function bodyData(bytes: Uint8Array, head: number, end: number): number {
  let at = head;
  while (at < end && at - head < 8 && hexDigit(bytes[at]!) >= 0) at++;
  if (at === head) return head;
  if (bytes[at] === 0x3b) at = lineEnd(bytes, at, Math.min(end, at + 64));
  if (at === end || (at + 1 === end && bytes[at] === carriageReturn)) return end;
  return at + 1 < end && bytes[at] === carriageReturn && bytes[at + 1] === lineFeed ? at + 2 : head;
}

/** Where the body data of the response at `start` begins, or NoBodyYet. */
export function responseBody(bytes: Uint8Array, start: number, end: number): number {
  const body = headEnd(bytes, start, end);
  if (body < 0 || body >= end) return NoBodyYet;
  const data = bodyData(bytes, body, end);
  return data >= end ? NoBodyYet : data;
}

/** Status code of the response at `start`, or -1. */
export function statusCode(bytes: Uint8Array, start: number, end: number): number {
  return end - start < 12 ? -1 : decimal(bytes, start + 9, start + 12);
}
