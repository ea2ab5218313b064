/**
 * Negotiations with a proxy, followed over the first bytes of both streams of a TCP flow: SOCKS (socks.ts) and HTTP
 * CONNECT (RFC 9110 section 9.3.6). The answer says where the streams inside begin. Plain requests to an HTTP proxy
 * (`GET http://host/...`) need no following: the detectors read them as they are.
 */
import { headEnd, headerValue, lineEnd, statusCode } from './http.js';
import {
  Again,
  Negotiation,
  NotProxy,
  proxyHttp,
  proxySocks4,
  proxySocks5,
  Refused,
  Wait,
  type NegotiationOutcome,
} from './negotiation.js';
import { followSocks4, followSocks5 } from './socks.js';
import {
  ascii,
  decimal,
  hexDigit,
  isBeginningOf,
  needle,
  startsWith,
  startsWithIgnoringCase,
} from './text.js';

const connect = ascii('CONNECT ');
const version = ascii(' HTTP/1.');
const responseVersion = ascii('HTTP/1.');
const contentLength = needle('\ncontent-length:');
const transferEncoding = needle('\ntransfer-encoding:');
const chunked = ascii('chunked');

/** Longest host name (253) or address, a colon and a port. */
const authorityMax = 260;
/** Head of a request or an answer. */
const headBytesMax = 4000;
/** Body of a refusal that is stepped over. Squid's page has 4 KiB. */
const refusalBytesMax = 1 << 20;
const chunksMax = 8;
/** Answers before the final one. */
const informationalMax = 3;
const statusLineBytes = 12;
const colon = 0x3a;
/** Groups of the IPv6 address being read. */
const groups = new Int32Array(8);

/** True if a client's stream that begins with this byte may be a negotiation. */
export function mayBeProxy(first: number): boolean {
  return first === 0x05 || first === 0x43 || first === 0x04;
}

/**
 * Follows the negotiation over what is here of both streams.
 * @param oneWay nothing was ever seen of the server although the flow went on: its answers are assumed to be good
 */
export function followProxy(
  result: Negotiation,
  client: Uint8Array,
  clientStart: number,
  clientEnd: number,
  server: Uint8Array,
  serverStart: number,
  serverEnd: number,
  oneWay: boolean,
): NegotiationOutcome {
  result.reset(0);
  if (clientStart >= clientEnd) return Wait;
  switch (client[clientStart]) {
    case 0x04:
      result.kind = proxySocks4;
      return followSocks4(result, client, clientStart, clientEnd, server, serverStart, serverEnd, oneWay);
    case 0x05:
      result.kind = proxySocks5;
      return followSocks5(result, client, clientStart, clientEnd, server, serverStart, serverEnd, oneWay);
    case 0x43:
      result.kind = proxyHttp;
      return followConnect(result, client, clientStart, clientEnd, server, serverStart, serverEnd, oneWay);
    default:
      return NotProxy;
  }
}

function followConnect(
  result: Negotiation,
  client: Uint8Array,
  clientStart: number,
  clientEnd: number,
  server: Uint8Array,
  serverStart: number,
  serverEnd: number,
  oneWay: boolean,
): NegotiationOutcome {
  if (!startsWith(client, clientStart, clientEnd, connect))
    return isBeginningOf(client, clientStart, clientEnd, connect) ? Wait : NotProxy;
  const target = clientStart + connect.length;
  const targetEnd = authorityEnd(client, target, clientEnd);
  if (targetEnd < 0) return NotProxy;
  if (!startsWith(client, targetEnd, clientEnd, version))
    return isBeginningOf(client, targetEnd, clientEnd, version) ? Wait : NotProxy;
  if (!noteAuthority(result, client, clientStart, target, targetEnd)) return NotProxy;
  const head = headEnd(client, clientStart, Math.min(clientEnd, clientStart + headBytesMax));
  if (head < 0) return clientEnd - clientStart >= headBytesMax ? NotProxy : Wait;
  if (oneWay && serverStart === serverEnd && clientEnd > head) return result.through(head - clientStart, 0);
  return followAnswer(result, head - clientStart, server, serverStart, serverEnd);
}

/** Where the `host:port` at `at` ends, which may be the end of what is here; -1 if it is none. */
function authorityEnd(bytes: Uint8Array, at: number, end: number): number {
  const to = Math.min(end, at + authorityMax);
  for (let i = at; i < to; i++) {
    const byte = bytes[i]!;
    if (byte === 0x20) return i;
    if (byte < 0x20 || byte >= 0x7f || byte === 0x2f) return -1;
  }
  return to === end ? end : -1;
}

/** Notes the `host:port` in `[at, end)`; false if it is none. */
function noteAuthority(
  result: Negotiation,
  bytes: Uint8Array,
  start: number,
  at: number,
  end: number,
): boolean {
  let separator = end - 1;
  while (separator > at && bytes[separator] !== colon) separator--;
  const port = decimal(bytes, separator + 1, end);
  if (separator <= at || port <= 0 || port > 65_535) return false;
  result.port = port;
  if (readIpv4(result, bytes, at, separator) || readIpv6(result, bytes, at, separator)) return true;
  result.nameStart = at - start;
  result.nameEnd = separator - start;
  return true;
}

/** Four decimal numbers with dots between them. */
function readIpv4(result: Negotiation, bytes: Uint8Array, at: number, end: number): boolean {
  let word = 0;
  for (let part = 0; part < 4; part++) {
    let to = at;
    while (to < end && bytes[to] !== 0x2e) to++;
    const value = to - at > 3 ? -1 : decimal(bytes, at, to);
    if (value < 0 || value > 255 || (to === end) !== (part === 3)) return false;
    word = (word << 8) | value;
    at = to + 1;
  }
  result.version = 4;
  result.words[0] = word;
  return true;
}

/** Groups of hexadecimal digits in brackets, with one `::` at the most; an embedded IPv4 address is left unread. */
function readIpv6(result: Negotiation, bytes: Uint8Array, at: number, end: number): boolean {
  if (bytes[at] !== 0x5b || bytes[end - 1] !== 0x5d) return false;
  groups.fill(0);
  let count = 0;
  let gap = -1;
  let i = at + 1;
  if (bytes[i] === colon && bytes[i + 1] === colon) {
    gap = 0;
    i += 2;
  }
  while (i < end - 1) {
    const from = i;
    let value = 0;
    for (; i < end - 1 && hexDigit(bytes[i]!) >= 0; i++)
      value = ((value << 4) | hexDigit(bytes[i]!)) & 0xfffff;
    if (i === from || i - from > 4 || count === 8) return false;
    groups[count++] = value;
    if (i === end - 1) break;
    if (bytes[i] !== colon) return false;
    i++;
    if (bytes[i] !== colon) continue;
    if (gap >= 0) return false;
    gap = count;
    i++;
  }
  if (gap < 0 ? count !== 8 : count > 7) return false;
  result.version = 6;
  result.words.fill(0);
  for (let group = 0; group < count; group++) {
    const place = gap >= 0 && group >= gap ? 8 - count + group : group;
    result.words[place >> 1]! |= groups[group]! << ((place & 1) === 0 ? 16 : 0);
  }
  return true;
}

/** The proxy's answer to the request whose head has `clientAt` bytes. */
function followAnswer(
  result: Negotiation,
  clientAt: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): NegotiationOutcome {
  let at = start;
  for (let answers = 0; answers <= informationalMax; answers++) {
    if (!startsWith(bytes, at, end, responseVersion))
      return isBeginningOf(bytes, at, end, responseVersion) ? Wait : NotProxy;
    if (end - at < statusLineBytes) return Wait;
    const code = statusCode(bytes, at, end);
    if (code < 100 || code > 599) return NotProxy;
    const head = headEnd(bytes, at, end);
    if (head < 0) return Wait;
    if (code >= 300) return afterRefusal(result, clientAt, bytes, at, start, head, end);
    if (code >= 200) return result.through(clientAt, head - start);
    at = head;
  }
  return NotProxy;
}

/** A refusal whose body has a known length may be followed by another request: 407, then one with credentials. */
function afterRefusal(
  result: Negotiation,
  clientAt: number,
  bytes: Uint8Array,
  at: number,
  start: number,
  head: number,
  end: number,
): NegotiationOutcome {
  const length = headerValue(bytes, at, head, contentLength);
  let body = length < 0 ? -1 : decimal(bytes, length, lineEnd(bytes, length, head));
  if (body < 0) {
    const coding = headerValue(bytes, at, head, transferEncoding);
    if (coding < 0 || !startsWithIgnoringCase(bytes, coding, head, chunked)) return Refused;
    const after = chunksEnd(bytes, head, end);
    if (after < 0) return Wait;
    body = after - head;
  }
  if (body > refusalBytesMax) return Refused;
  result.clientAt = clientAt;
  result.serverAt = head - start + body;
  return Again;
}

/** Where a body in chunks (RFC 9112 section 7.1) ends, or -1 while its last chunk is not here. */
function chunksEnd(bytes: Uint8Array, at: number, end: number): number {
  for (let chunks = 0; chunks < chunksMax && at < end; chunks++) {
    let size = 0;
    let i = at;
    for (; i < end && i - at < 6 && hexDigit(bytes[i]!) >= 0; i++) size = size * 16 + hexDigit(bytes[i]!);
    const line = lineEnd(bytes, i, end) + 2;
    if (line > end) return -1;
    // No trailer: the empty line follows the last size at once.
    at = line + size + 2;
    if (size === 0) return at <= end ? at : -1;
  }
  return -1;
}
