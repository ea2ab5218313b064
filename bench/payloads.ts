/** Payloads as they pass a router every day, none of them BitTorrent but the handshake and uTP. All made from one seed. */
import type { Transport } from '../detectors/detector.js';
import { concat, fromHex, fromText, SeededRandom } from '../lib/testing.js';

export interface Payload {
  readonly name: string;
  readonly transport: Transport;
  readonly bytes: Uint8Array;
  /** False: a segment from the middle of a stream. */
  readonly fromStart: boolean;
}

const random = new SeededRandom(2026);

const handshake = concat(
  fromText('\x13BitTorrent protocol'),
  fromHex('0000000000100005'),
  random.bytes(20),
  fromText('-TR4000-'),
  random.bytes(12),
);

function paddedTo(length: number, text: string, filler: (missing: number) => string): Uint8Array {
  return fromText(text + filler(length - text.length));
}

const httpGet = paddedTo(
  406,
  'GET /assets/pages/2026/spring/index.html HTTP/1.1\r\nHost: www.example.org\r\n' +
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n' +
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n' +
    'Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n',
  (missing) => `Cookie: s=${'0123456789abcdef'.repeat(30)}`.slice(0, missing - 4) + '\r\n\r\n',
);

const words = ['the', 'network', '<a href="/page">link</a>', 'of', '</p><p class="text">', 'download', 'and'];

function html(length: number): string {
  let text = '';
  while (text.length < length) text += `${words[random.below(words.length)]!} `;
  return text.slice(0, length);
}

const htmlAnswer = paddedTo(
  1448,
  'HTTP/1.1 200 OK\r\nDate: Sat, 31 Jan 2026 12:34:56 GMT\r\nServer: nginx\r\nContent-Type: text/html\r\n' +
    'Content-Length: 48213\r\nConnection: keep-alive\r\n\r\n<!DOCTYPE html><html><head><title>Page</title></head>',
  html,
);

/** An application data record (RFC 8446 section 5.2) of 16 KiB, of which this is the first segment. */
const tls = concat(fromHex('17 03 03 40 11'), random.bytes(1443));

/** ST_DATA (BEP 29): type 0, version 1, no extension, a plausible connection id, window and numbers. */
const utpData = concat(fromHex('0100 a1b2 1f2e3d4c 00012345 00100000 0101 00fe'), random.bytes(1380));

/** Query for an A record with EDNS, 60 bytes. */
const dns = concat(
  fromHex('8f2a 0120 0001 0000 0000 0001'),
  fromText('\x06assets\x03cdn\x07example\x03org\x00'),
  fromHex('0001 0001'),
  fromHex('00 0029 04d0 0000 0000 0009 000a 0005'),
  random.bytes(5),
);

const noise = random.bytes(1448);

const tcp = (name: string, bytes: Uint8Array, fromStart = true): Payload => ({
  name,
  transport: 'tcp',
  bytes,
  fromStart,
});
const udp = (name: string, bytes: Uint8Array): Payload => ({
  name,
  transport: 'udp',
  bytes,
  fromStart: true,
});

export const payloads: readonly Payload[] = [
  tcp('handshake 68 B', handshake),
  tcp('HTTP GET 406 B', httpGet),
  tcp('TLS 1448 B', tls),
  tcp('HTML answer 1448 B', htmlAnswer),
  tcp('HTML middle 1448 B', fromText(html(1448)), false),
  tcp('random 1448 B', noise),
  udp('uTP data 1400 B', utpData),
  udp('DNS 60 B', dns),
  udp('random 1448 B', noise),
];

/** 1400 bytes for the entropy measure. */
export const entropyPayload = noise.slice(0, 1400);
