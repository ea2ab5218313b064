/**
 * Names on the operator's list: hosts that a client looks up or greets by name, whatever it then says to them under
 * encryption. Nothing here is known to be BitTorrent by itself; the operator said so. These detectors are therefore no
 * part of the registry until there is a list (`registryWith` in index.ts), and an empty one matches nothing.
 */
import { DnsQuestion, OpenQuestion, WholeQuestion } from '../lib/wire/dns-name.js';
import { headEnd, headerValue, isRequestWorthReading, lineEnd } from '../lib/wire/http.js';
import { NameSet } from '../lib/wire/name-set.js';
import { isInitial, QuicStream } from '../lib/wire/quic-initial.js';
import { ascii, isBeginningOf, needle, startsWith } from '../lib/wire/text.js';
import { ClientHello, NoHello, OpenHello, type HelloOutcome } from '../lib/wire/tls-hello.js';
import { More, No, yesInOpening, yesInPayload, type Detector, type Finding, type View } from './detector.js';

/** What the operator listed. The sets may be replaced while detectors use them; each is immutable. */
export interface ListedNames {
  names: NameSet;
  /** ALPN protocol ids. */
  protocols: readonly Uint8Array[];
}

/** @param key any 32-bit number that is not known to others */
export function listsOf(
  given: { readonly listed: readonly string[]; readonly alpn: readonly string[] },
  key: number,
): ListedNames {
  return { names: new NameSet(given.listed, key), protocols: given.alpn.map(ascii) };
}

const listed = (text: string): Finding => ({ text, kind: 'listed-name', confidence: 'proof' });

const shared = { confidence: 'proof', nearMisses: [] } as const;

const findName = 0;
const findProtocol = 1;

/** What a hello says about the lists: a finding, or -1. */
function findingIn(hello: ClientHello, lists: ListedNames): number {
  if (hello.nameEnd > hello.nameStart && lists.names.has(hello.bytes, hello.nameStart, hello.nameEnd))
    return findName;
  if (hello.protocolsEnd > hello.protocolsStart)
    for (let i = 0; i < lists.protocols.length; i++)
      if (hello.offers(lists.protocols[i]!)) return findProtocol;
  return -1;
}

/** Whether the rest of a hello can still say something. */
function isOpen(hello: ClientHello, outcome: HelloOutcome, lists: ListedNames): boolean {
  return outcome === OpenHello && (hello.nameEnd === 0 || lists.protocols.length > 0);
}

function tls(lists: ListedNames): Detector {
  const hello = new ClientHello();
  return {
    ...shared,
    name: 'listed-names-tls',
    transport: 'tcp',
    reference: 'RFC 8446, RFC 6066 (SNI), RFC 7301 (ALPN)',
    summary: "Host names and protocols on the operator's list, in the hello of a TLS client",
    limits:
      'Where the hello is encrypted (ECH) only the outer name is seen; TLS behind STARTTLS is not read.',
    scope: 'opening',
    packetsMax: 32,
    firstBytes: [0x16],
    where: 'anywhere',
    findings: [
      listed("a name on the operator's list, in the TLS hello (SNI)"),
      listed("a protocol on the operator's list, in the TLS hello (ALPN)"),
    ],
    inspect: (view) => {
      const { opening, openingStart, openingEnd } = view;
      const outcome = hello.readRecords(opening, openingStart, openingEnd);
      if (outcome === NoHello) return No;
      const finding = findingIn(hello, lists);
      if (finding < 0) return isOpen(hello, outcome, lists) ? More : No;
      const from = finding === findName ? hello.nameStart : hello.protocolsStart;
      const to = finding === findName ? hello.nameEnd : hello.protocolsEnd;
      const at = hello.inStream(opening, from);
      const last = hello.inStream(opening, to - 1);
      return yesInOpening(view, finding, at, last + 1);
    },
  };
}

function quic(lists: ListedNames): Detector {
  const stream = new QuicStream();
  const hello = new ClientHello();
  return {
    ...shared,
    name: 'listed-names-quic',
    transport: 'udp',
    reference: 'RFC 9000, RFC 9001, RFC 9369',
    summary: "Host names and protocols on the operator's list, in the hello of a QUIC client",
    limits:
      'A hello of up to two datagrams, QUIC versions 1 and 2; where it is encrypted (ECH) only the outer name is seen.',
    scope: 'packets',
    packetsMax: 4,
    firstBytes: Array.from({ length: 0x40 }, (_, i) => 0xc0 + i),
    where: 'anywhere',
    findings: [
      listed("a name on the operator's list, in the QUIC hello (SNI)"),
      listed("a protocol on the operator's list, in the QUIC hello (ALPN)"),
    ],
    inspect: (view) => {
      if (!view.fromClient || !isInitial(view.bytes, view.start, view.end, view.wireLength)) return No;
      if (!gather(view, stream)) return No;
      const outcome = hello.readHandshake(stream.bytes, 0, stream.length);
      if (outcome === NoHello) return No;
      const finding = findingIn(hello, lists);
      if (finding < 0) return isOpen(hello, outcome, lists) ? More : No;
      // The name lies veiled in any number of pieces: the whole datagram is what says it.
      return yesInPayload(view, finding, view.start, view.end);
    },
  };
}

/**
 * The stream of this datagram and of the one kept before it, which may hold the hello's other half. The client goes on
 * with the keys of its first datagram also when it takes the connection id that the server chose.
 */
function gather(view: View, stream: QuicStream): boolean {
  const { bytes, start, end, wireLength, opening, openingStart, openingEnd, openingWireLength } = view;
  stream.clear();
  const kept = isInitial(opening, openingStart, openingEnd, openingWireLength);
  const known =
    kept && stream.add(opening, openingStart, openingEnd, openingWireLength, opening, openingStart);
  if (known && stream.add(bytes, start, end, wireLength, opening, openingStart)) return true;
  // Its own keys: nothing was kept, or the server asked for a new beginning (Retry).
  stream.clear();
  return stream.add(bytes, start, end, wireLength, bytes, start);
}

const dnsFindings = [listed("a name on the operator's list, in a DNS question")];
const dnsLimits =
  'What is found is the flow: other questions that a resolver sends from the same port, or in the same connection, share its verdict. Encrypted DNS is not read.';

function dnsUdp(lists: ListedNames): Detector {
  const question = new DnsQuestion();
  return {
    ...shared,
    name: 'listed-names-dns',
    transport: 'udp',
    reference: 'RFC 1035',
    summary: "Names on the operator's list, in DNS questions over UDP",
    limits: dnsLimits,
    scope: 'packets',
    packetsMax: 32,
    firstBytes: null,
    where: 'anywhere',
    findings: dnsFindings,
    inspect: (view) => {
      if (question.read(view.bytes, view.start, view.end) !== WholeQuestion) return No;
      if (!lists.names.has(question.text, 0, question.length)) return No;
      return yesInPayload(view, 0, question.nameStart, question.nameEnd);
    },
  };
}

/** Messages of one connection that are read while they are kept. */
const messagesMax = 8;
/** High byte of the length in front: questions are shorter than 512 bytes, and answers follow one. */
const lengthHighMax = 1;

function dnsTcp(lists: ListedNames): Detector {
  const question = new DnsQuestion();
  return {
    ...shared,
    name: 'listed-names-dns-tcp',
    transport: 'tcp',
    reference: 'RFC 1035, RFC 7766',
    summary: "Names on the operator's list, in DNS questions over TCP",
    limits: dnsLimits,
    scope: 'opening',
    packetsMax: 8,
    firstBytes: Array.from({ length: lengthHighMax + 1 }, (_, high) => high),
    where: 'anywhere',
    findings: dnsFindings,
    inspect: (view) => {
      const { opening, openingStart, openingEnd } = view;
      if (opening[openingStart]! > lengthHighMax) return No;
      let at = openingStart;
      for (let messages = 0; messages < messagesMax; messages++) {
        if (at + 2 > openingEnd) return More;
        const body = at + 2;
        const next = body + ((opening[at]! << 8) | opening[at + 1]!);
        const end = Math.min(next, openingEnd);
        const outcome = question.read(opening, body, end);
        if (outcome === WholeQuestion) {
          if (lists.names.has(question.text, 0, question.length))
            return yesInOpening(view, 0, question.nameStart, question.nameEnd);
        } else if (outcome !== OpenQuestion || next <= openingEnd) return No;
        if (next > openingEnd) return More;
        at = next;
      }
      return No;
    },
  };
}

const methods = ['GET ', 'POST ', 'HEAD ', 'CONNECT ', 'OPTIONS ', 'PUT '].map(ascii);
const hostField = needle('\nhost:');
const colon = 0x3a;
const space = 0x20;

/** Whether `[start, end)` begins a request, or may become one. */
function isRequest(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = 0; i < methods.length; i++) {
    const method = methods[i]!;
    if (startsWith(bytes, start, end, method) || isBeginningOf(bytes, start, end, method)) return true;
  }
  return false;
}

function http(lists: ListedNames): Detector {
  return {
    ...shared,
    name: 'listed-names-http',
    transport: 'tcp',
    reference: 'RFC 9110 (Host), RFC 9112',
    summary: "Host names on the operator's list, in plain HTTP requests",
    limits: 'Reads the first request of a connection.',
    scope: 'opening',
    packetsMax: 8,
    firstBytes: Array.from('GPHCO', (letter) => letter.charCodeAt(0)),
    where: 'anywhere',
    findings: [listed("a name on the operator's list, in an HTTP request (Host)")],
    inspect: (view) => {
      const { opening, openingStart, openingEnd } = view;
      if (!isRequest(opening, openingStart, openingEnd)) return No;
      const newBytes = view.end - view.start;
      if (!isRequestWorthReading(opening, openingStart, openingEnd, newBytes, view.payloadPacket))
        return More;
      const head = headEnd(opening, openingStart, openingEnd);
      const host = headerValue(opening, openingStart, head < 0 ? openingEnd : head, hostField);
      if (host < 0) return head < 0 ? More : No;
      const line = lineEnd(opening, host, openingEnd);
      if (line === openingEnd) return More;
      let end = host;
      while (end < line && opening[end] !== colon && opening[end] !== space) end++;
      if (end === host || !lists.names.has(opening, host, end)) return No;
      return yesInOpening(view, 0, host, end);
    },
  };
}

/** Detectors of the names and protocols in `lists`, which may be replaced later. */
export function listedNames(lists: ListedNames): readonly Detector[] {
  return [tls(lists), http(lists), dnsTcp(lists), dnsUdp(lists), quic(lists)];
}
