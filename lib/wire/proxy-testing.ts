/** Test support: negotiations as bytes, and a follower that shows what it answered. */
import { Negotiation } from './negotiation.js';
import { followProxy } from './proxy.js';
import { ascii as fromText } from './text.js';

const concat = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

export const bytesOf = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

const port = (value: number): Uint8Array => bytesOf(value >> 8, value & 0xff);
const short = (text: string): Uint8Array => concat(bytesOf(text.length), fromText(text));

/** Addresses of RFC 1928 section 5. */
export const address4 = concat(bytesOf(1, 203, 0, 113, 7), port(6881));
export const address6 = concat(
  bytesOf(4, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
  port(6881),
);
export const addressName = concat(bytesOf(3), short('tracker.example'), port(6969));

export const greeting5 = bytesOf(5, 1, 0);
export const greeting5Auth = bytesOf(5, 2, 0, 2);
export const credentials = concat(bytesOf(1), short('user'), short('secret'));
export const request5 = (address: Uint8Array, command = 1): Uint8Array =>
  concat(bytesOf(5, command, 0), address);
export const reply5 = (code = 0, address: Uint8Array = address4): Uint8Array =>
  concat(bytesOf(5, code, 0), address);

export const request4 = (command = 1): Uint8Array =>
  concat(bytesOf(4, command), port(6881), bytesOf(203, 0, 113, 7), fromText('user\0'));
export const request4a = concat(
  bytesOf(4, 1),
  port(6881),
  bytesOf(0, 0, 0, 1),
  fromText('user\0peer.example\0'),
);
export const reply4 = (code = 0x5a): Uint8Array => bytesOf(0, code, 0x1a, 0xe1, 203, 0, 113, 7);

export const connectRequest = (target: string, fields = ''): Uint8Array =>
  fromText(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${fields}\r\n`);
export const connected = fromText('HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n');
export const refused407 = (body: string): Uint8Array =>
  fromText(
    `HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n` +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  );

/** Whole negotiations that succeed: both streams as the client and the server send them in turns. */
export const negotiations: Record<string, readonly (readonly [0 | 1, Uint8Array])[]> = {
  'socks 4': [
    [0, request4()],
    [1, reply4()],
  ],
  'socks 4a': [
    [0, request4a],
    [1, reply4()],
  ],
  'socks 5': [
    [0, greeting5],
    [1, bytesOf(5, 0)],
    [0, request5(address4)],
    [1, reply5()],
  ],
  'socks 5 to IPv6': [
    [0, greeting5],
    [1, bytesOf(5, 0)],
    [0, request5(address6)],
    [1, reply5(0, address6)],
  ],
  'socks 5 to a name, with a password': [
    [0, greeting5Auth],
    [1, bytesOf(5, 2)],
    [0, credentials],
    [1, bytesOf(1, 0)],
    [0, request5(addressName)],
    [1, reply5(0, addressName)],
  ],
  'socks 5, password offered and not wanted': [
    [0, greeting5Auth],
    [1, bytesOf(5, 0)],
    [0, request5(addressName)],
    [1, reply5()],
  ],
  connect: [
    [0, connectRequest('203.0.113.7:6881')],
    [1, connected],
  ],
  'connect, refused first': [
    [0, connectRequest('peer.example:6881')],
    [1, refused407('<html>who are you?</html>')],
    [0, connectRequest('peer.example:6881', 'Proxy-Authorization: Basic eDp5\r\n')],
    [1, connected],
  ],
};

export interface Followed {
  readonly outcome: number;
  readonly result: Negotiation;
}

/** Follows whole streams; the bytes around them would change the answer if they were read. */
export function follow(client: Uint8Array, server: Uint8Array, oneWay = false, filler = 0): Followed {
  const result = new Negotiation();
  const around = new Uint8Array(3).fill(filler);
  const outcome = followProxy(
    result,
    concat(around, client, around),
    3,
    3 + client.length,
    concat(around, server, around),
    3,
    3 + server.length,
    oneWay,
  );
  return { outcome, result };
}
