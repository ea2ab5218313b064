/**
 * SOCKS 4 and 4a, SOCKS 5 (RFC 1928) with user name and password (RFC 1929), followed from the first byte of both
 * streams; and the header that SOCKS 5 puts before relayed datagrams. Bytes are followed, not packets: a client may send
 * greeting, request and data at once. Every field is checked as soon as it is there, so that a stream which only begins
 * with the same byte is let go with its first packet.
 */
import { Negotiation, NotProxy, Refused, Wait, type NegotiationOutcome } from './negotiation.js';
import { isAlphanumeric } from './text.js';
import { word16, word32 } from './words.js';

const socks4 = 4;
const socks5 = 5;
const connect = 1;
const bind = 2;
const udpAssociate = 3;

const noAuthentication = 0;
const userPassword = 2;
const noneAcceptable = 0xff;
/** Methods that a greeting offers; curl offers three, browsers one or two. */
const methodsMax = 16;
/** Methods that IANA has numbered end below this; those from privateMethods on are private. */
const numberedMethodsEnd = 0x0b;
const privateMethods = 0x80;

const ipv4 = 1;
const domain = 3;
const ipv6 = 4;

const granted4 = 0x5a;
const reply4Bytes = 8;
const textMax = 255;

/** Answers of the readers below instead of an end: more bytes are needed, or no field can look like this. */
const Unfinished = -1;
const Impossible = -2;

/** Follows a SOCKS 5 negotiation; `oneWay` says that nothing was ever seen of the server, so its answers are assumed. */
export function followSocks5(
  result: Negotiation,
  client: Uint8Array,
  clientStart: number,
  clientEnd: number,
  server: Uint8Array,
  serverStart: number,
  serverEnd: number,
  oneWay: boolean,
): NegotiationOutcome {
  if (serverStart < serverEnd && server[serverStart] !== socks5) return NotProxy;
  if (clientEnd - clientStart < 2) return Wait;
  const count = client[clientStart + 1]!;
  if (count === 0 || count > methodsMax) return NotProxy;
  const methods = clientStart + 2;
  let at = methods + count;
  for (let i = methods; i < at && i < clientEnd; i++) if (!isMethod(client[i]!)) return NotProxy;
  if (clientEnd < at) return Wait;
  const method = serverEnd - serverStart >= 2 ? server[serverStart + 1]! : -1;
  if (method === noneAcceptable) return Refused;
  if (method >= 0 && !isOffered(client, methods, at, method)) return NotProxy;
  if (method > 0 && method !== userPassword) return Refused;
  if (clientEnd === at) return Wait;
  let reply = serverStart + 2;
  const authenticates = client[at] === 1;
  if (method >= 0 && authenticates !== (method === userPassword)) return NotProxy;
  if (authenticates) {
    at = credentialsEnd(client, at, clientEnd);
    if (at < 0) return at === Unfinished ? Wait : NotProxy;
    // Some servers repeat the version of SOCKS where RFC 1929 wants its own.
    if (reply < serverEnd && server[reply] !== 1 && server[reply] !== socks5) return NotProxy;
    if (reply + 1 < serverEnd && server[reply + 1] !== 0) return Refused;
    reply += 2;
  } else if (method < 0 && !isOffered(client, methods, at, noAuthentication)) return NotProxy;
  const requestEnd = request5End(result, client, clientStart, at, clientEnd);
  if (requestEnd < 0) return requestEnd === Unfinished ? Wait : NotProxy;
  if (oneWay && serverStart === serverEnd && clientEnd > requestEnd)
    return result.through(requestEnd - clientStart, 0);
  const command = client[at + 1]!;
  reply = reply5End(server, reply, serverEnd);
  // A second reply names the peer that has come to a bound port.
  if (reply >= 0 && command === bind) reply = reply5End(server, reply, serverEnd);
  if (reply === Unfinished) return Wait;
  if (reply < 0) return Refused;
  if (command !== connect) result.forgetAddress();
  return result.through(requestEnd - clientStart, reply - serverStart);
}

function isMethod(method: number): boolean {
  return method < numberedMethodsEnd || (method >= privateMethods && method < noneAcceptable);
}

function isOffered(client: Uint8Array, methods: number, end: number, method: number): boolean {
  for (let i = methods; i < end; i++) if (client[i] === method) return true;
  return false;
}

/** Where the message of RFC 1929 at `at` ends: version, user name and password, each with its length. */
function credentialsEnd(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < 2) return Unfinished;
  if (bytes[at + 1] === 0) return Impossible;
  const password = at + 2 + bytes[at + 1]!;
  if (password >= end) return Unfinished;
  const after = password + 1 + bytes[password]!;
  return after > end ? Unfinished : after;
}

/** Where the request at `at` ends; notes its destination. */
function request5End(result: Negotiation, bytes: Uint8Array, start: number, at: number, end: number): number {
  if (at < end && bytes[at] !== socks5) return Impossible;
  const command = at + 1 < end ? bytes[at + 1]! : connect;
  if (command < connect || command > udpAssociate) return Impossible;
  if (at + 2 < end && bytes[at + 2] !== 0) return Impossible;
  if (at + 3 >= end) return Unfinished;
  const after = addressEnd(bytes, at + 3, end);
  if (after < 0) return after;
  noteAddress(result, bytes, start, at + 3, after);
  return command === connect && result.port === 0 ? Impossible : after;
}

/** Where the reply at `at` ends; Impossible when it is a refusal or none. */
function reply5End(bytes: Uint8Array, at: number, end: number): number {
  if (at < end && bytes[at] !== socks5) return Impossible;
  if (at + 1 < end && bytes[at + 1] !== 0) return Impossible;
  return at + 3 < end ? addressEnd(bytes, at + 3, end) : Unfinished;
}

/** Where the address of RFC 1928 section 5 whose type is at `at` ends, its port included. */
function addressEnd(bytes: Uint8Array, at: number, end: number): number {
  const type = bytes[at]!;
  let after = at + 1;
  if (type === ipv4) after += 4;
  else if (type === ipv6) after += 16;
  else if (type !== domain) return Impossible;
  else {
    if (after >= end) return Unfinished;
    const length = bytes[after]!;
    if (length === 0) return Impossible;
    after += 1 + length;
    for (let i = at + 2; i < after && i < end; i++) if (!isNameByte(bytes[i]!)) return Impossible;
  }
  return after + 2 > end ? Unfinished : after + 2;
}

/** Names of hosts, and addresses written as text. */
function isNameByte(byte: number): boolean {
  return isAlphanumeric(byte) || byte === 0x2d || byte === 0x2e || byte === 0x5f || byte === 0x3a;
}

function noteAddress(result: Negotiation, bytes: Uint8Array, start: number, at: number, after: number): void {
  result.forgetAddress();
  const type = bytes[at]!;
  if (type === domain) {
    result.nameStart = at + 2 - start;
    result.nameEnd = after - 2 - start;
  } else {
    result.version = type === ipv4 ? 4 : 6;
    const words = type === ipv4 ? 1 : 4;
    for (let i = 0; i < words; i++) result.words[i] = word32(bytes, at + 1 + 4 * i);
  }
  result.port = word16(bytes, after - 2);
}

/** Follows a SOCKS 4 or 4a negotiation; as followSocks5. */
export function followSocks4(
  result: Negotiation,
  client: Uint8Array,
  clientStart: number,
  clientEnd: number,
  server: Uint8Array,
  serverStart: number,
  serverEnd: number,
  oneWay: boolean,
): NegotiationOutcome {
  // The reply's version is zero; a few servers repeat the request's.
  if (serverStart < serverEnd && server[serverStart] !== 0 && server[serverStart] !== socks4) return NotProxy;
  const requestEnd = request4End(result, client, clientStart, clientEnd);
  if (requestEnd < 0) return requestEnd === Unfinished ? Wait : NotProxy;
  if (oneWay && serverStart === serverEnd && clientEnd > requestEnd)
    return result.through(requestEnd - clientStart, 0);
  const binds = client[clientStart + 1] === bind;
  if (serverStart + 1 < serverEnd && server[serverStart + 1] !== granted4)
    return server[serverStart + 1]! > granted4 && server[serverStart + 1]! <= 0x5d ? Refused : NotProxy;
  const reply = serverStart + (binds ? 2 : 1) * reply4Bytes;
  if (serverEnd < reply) return Wait;
  if (binds && server[serverStart + reply4Bytes + 1] !== granted4) return Refused;
  if (binds) result.forgetAddress();
  return result.through(requestEnd - clientStart, reply - serverStart);
}

/** Where the request at `at` ends: version, command, port, address, a user's name, and with 4a the host's name. */
function request4End(result: Negotiation, bytes: Uint8Array, at: number, end: number): number {
  if (at + 1 < end && bytes[at + 1] !== connect && bytes[at + 1] !== bind) return Impossible;
  if (end - at < 8) return Unfinished;
  const address = word32(bytes, at + 4);
  const port = word16(bytes, at + 2);
  // 0.0.0.x stands for a name behind the user's (4a); multicast cannot be connected to.
  const named = address > 0 && address < 256;
  if (port === 0 || (!named && !isUnicast(bytes[at + 4]!))) return Impossible;
  const user = textEnd(bytes, at + 8, end);
  if (user < 0) return user;
  result.forgetAddress();
  result.port = port;
  if (!named) {
    result.version = 4;
    result.words[0] = address;
    return user;
  }
  const name = textEnd(bytes, user, end);
  if (name < 0) return name;
  if (name === user + 1) return Impossible;
  result.nameStart = user - at;
  result.nameEnd = name - 1 - at;
  return name;
}

function isUnicast(first: number): boolean {
  return first > 0 && first < 224;
}

/** Addresses in use are global (2 and 3), private, link-local, or an IPv4 address in IPv6's clothes. */
function isUnicast6(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at]!;
  return first >> 5 === 1 || (first >= 0xfc && first < 0xff) || isMapped(bytes, at);
}

function isMapped(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false;
  return word16(bytes, at + 10) === 0xffff;
}

/** Where the text at `at` ends, its zero included. */
function textEnd(bytes: Uint8Array, at: number, end: number): number {
  const to = Math.min(end, at + textMax + 1);
  for (let i = at; i < to; i++) {
    const byte = bytes[i]!;
    if (byte === 0) return i + 1;
    if (byte < 0x20 || byte >= 0x7f) return Impossible;
  }
  return to === end ? Unfinished : Impossible;
}

/**
 * Length of the header that SOCKS 5 puts before a relayed datagram (RFC 1928 section 7), or 0 if there is none, or
 * nothing behind it. Fragments are not followed: nobody sends them. The answer of a UDP tracker also begins 00 00 00 01,
 * but its interval then stands where the port is, whose first half is zero for anything below 18 hours.
 */
export function socksDatagramHeader(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 11 || bytes[start] !== 0 || bytes[start + 1] !== 0 || bytes[start + 2] !== 0) return 0;
  const type = bytes[start + 3]!;
  const after = addressEnd(bytes, start + 3, end);
  if (after < 0 || after >= end || word16(bytes, after - 2) === 0) return 0;
  if (type === ipv4 && !isUnicast(bytes[start + 4]!)) return 0;
  return type === ipv6 && !isUnicast6(bytes, start + 4) ? 0 : after - start;
}
