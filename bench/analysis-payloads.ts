/**
 * The payloads of the part `analysis`: the ones that the Go blocker measures itself with, as far as their lengths and kinds
 * are published, and four of full size. Both sides are given the same bytes. All made from one seed.
 */
import type { Transport } from '../detectors/detector.js';
import { concat, fromHex, fromText, SeededRandom } from '../lib/testing.js';

/** What is timed: the whole analysis of a flow's first payload, or the check of one protocol's header. */
export type Check = 'analysis' | 'utp' | 'udp-tracker' | 'dht';

export interface AnalysedPayload {
  readonly name: string;
  readonly check: Check;
  readonly transport: Transport;
  readonly bytes: Uint8Array;
  /** Nanoseconds that the Go blocker took on a machine of the same kind in November 2026, with payloads of its own. */
  readonly published: number;
}

const random = new SeededRandom(5);

/** `text` and as much of `filler` as the length still needs. */
function filled(length: number, text: string, filler: string, tail = ''): Uint8Array {
  const missing = length - text.length - tail.length;
  return fromText(text + filler.repeat(Math.ceil(missing / filler.length)).slice(0, missing) + tail);
}

const browser =
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n' +
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n' +
  'Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n';

const handshake = concat(fromText('\x13BitTorrent protocol'), fromHex('0000000000100005'));
const smallGet = filled(62, 'GET /index.html HTTP/1.1\r\nHost: www.example.com\r\n', 'Accept: *', '\r\n\r\n');
const get = filled(
  396,
  `GET /assets/page.html HTTP/1.1\r\nHost: www.example.org\r\n${browser}Cookie: s=`,
  '0123456789abcdef',
  '\r\n\r\n',
);
/** A record of application data (RFC 8446 section 5.2), 16 KiB long, of which this is the first segment. */
const tls = concat(fromHex('17 03 03 40 11'), random.bytes(1443));
const html = filled(
  1448,
  'HTTP/1.1 200 OK\r\nDate: Sat, 31 Jan 2026 12:34:56 GMT\r\nServer: nginx\r\nContent-Type: text/html\r\n' +
    'Content-Length: 48213\r\nConnection: keep-alive\r\n\r\n<!DOCTYPE html><html><head><title>Page</title></head>',
  '<p class="text">the network of <a href="/page">links</a> and words</p>\n',
);
/** BEP 29: ST_SYN, the packet with which a connection begins. */
const utp = fromHex('4100 a1b2 1f2e3d4c 00000000 00100000 0001 0000');
/** BEP 15: announce to a tracker that has answered the connect. */
const announce = concat(
  fromHex('7c1f13a4e05bd286 00000001 8a89e7ad'),
  random.bytes(20),
  fromText('-TR4050-k1x8z0qv3m7d'),
  fromHex('0000000000000000 000000002bc00000 0000000000000000 00000002 00000000 661e86e1 00000050 c8d5'),
);
const ping = fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe');

const whole = (
  name: string,
  transport: Transport,
  bytes: Uint8Array,
  published: number,
): AnalysedPayload => ({ name, check: 'analysis', transport, bytes, published });

export const analysedPayloads: readonly AnalysedPayload[] = [
  whole('handshake signature 28 B', 'tcp', handshake, 22),
  whole('HTTP GET 62 B', 'tcp', smallGet, 1213),
  whole('binary 100 B', 'tcp', random.bytes(100), 459),
  whole('HTTP GET 396 B', 'tcp', get, 2890),
  whole('random 1400 B, TCP', 'tcp', random.bytes(1400), 6640),
  whole('random 1400 B, UDP', 'udp', random.bytes(1400), 4290),
  whole('TLS 1448 B', 'tcp', tls, 4910),
  whole('HTML 1448 B', 'tcp', html, 8350),
  { name: 'uTP header 20 B', check: 'utp', transport: 'udp', bytes: utp, published: 4.0 },
  { name: 'UDP tracker 98 B', check: 'udp-tracker', transport: 'udp', bytes: announce, published: 7.2 },
  { name: 'bencode DHT 56 B', check: 'dht', transport: 'udp', bytes: ping, published: 8.1 },
];

/** The payloads as lines `name check transport hex`, separated by tabs: what peers/go reads. */
export function payloadLines(payloads: readonly AnalysedPayload[]): string {
  return payloads
    .map(
      ({ name, check, transport, bytes }) =>
        `${[name, check, transport, Buffer.from(bytes).toString('hex')].join('\t')}\n`,
    )
    .join('');
}
