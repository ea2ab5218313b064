/** Packets for tests: each function wraps the bytes it is given into one header with all lengths filled in. */
import { createCipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { concat } from '../testing.js';
import { addressText } from './address.js';
import type { PeerList } from './peer-list.js';

/** The peers of a list as `1.2.3.4:6881` and `[2001:db8::1]:6881`. */
export function peerTexts(peers: PeerList): string[] {
  return Array.from({ length: peers.count }, (_, i) => {
    const version = peers.version[i]!;
    const address = addressText(version, peers.words, i * 4);
    return `${version === 6 ? `[${address}]` : address}:${peers.port[i]}`;
  });
}

const words16 = (...values: number[]): Uint8Array =>
  Uint8Array.from(values.flatMap((value) => [(value >> 8) & 0xff, value & 0xff]));
const words32 = (...values: number[]): Uint8Array =>
  words16(...values.flatMap((value) => [value >>> 16, value & 0xffff]));

export const clientAddress = [0x0a000001, 0xc0000201] as const;

export function tcp(
  payload: Uint8Array,
  ports: readonly [number, number] = [6881, 51413],
  options = 0,
): Uint8Array {
  const flags = ((5 + options) << 12) | 0x018;
  return concat(
    words16(...ports),
    words32(0x11223344, 0x80000001 | 0),
    words16(flags, 1024, 0, 0),
    new Uint8Array(options * 4).fill(1),
    payload,
  );
}

export function udp(
  payload: Uint8Array,
  ports: readonly [number, number] = [6881, 51413],
  length = -1,
): Uint8Array {
  return concat(words16(...ports, length < 0 ? payload.length + 8 : length, 0), payload);
}

export interface Ipv4Fields {
  readonly id?: number;
  /** Offset in bytes and more-fragments bit. */
  readonly offset?: number;
  readonly more?: boolean;
  readonly options?: number;
  readonly total?: number;
  readonly source?: number;
}

export function ipv4(protocol: number, payload: Uint8Array, fields: Ipv4Fields = {}): Uint8Array {
  const options = fields.options ?? 0;
  const total = fields.total ?? 20 + options * 4 + payload.length;
  const fragment = ((fields.offset ?? 0) >> 3) | (fields.more === true ? 0x2000 : 0);
  return concat(
    words16(((0x45 + options) << 8) | 0, total, fields.id ?? 0, fragment, (64 << 8) | protocol, 0),
    words32(fields.source ?? clientAddress[0], clientAddress[1]),
    new Uint8Array(options * 4).fill(1),
    payload,
  );
}

export const ipv6Source = [0x20010db8, 1, 2, 3] as const;
export const ipv6Destination = [0x20010db8, 4, 5, 0x80000006 | 0] as const;

export interface Ipv6Fields {
  readonly length?: number;
  readonly source?: readonly number[];
}

export function ipv6(next: number, payload: Uint8Array, fields: Ipv6Fields = {}): Uint8Array {
  return concat(
    words32(0x60000000),
    words16(fields.length ?? payload.length, (next << 8) | 64),
    words32(...(fields.source ?? ipv6Source), ...ipv6Destination),
    payload,
  );
}

/** Hop-by-hop, routing, destination options or mobility header of `units` times 8 bytes, filled with padding. */
export function extension(next: number, payload: Uint8Array, units = 1): Uint8Array {
  const header = new Uint8Array(units * 8);
  header[0] = next;
  header[1] = units - 1;
  header[2] = 1;
  header[3] = units * 8 - 4;
  return concat(header, payload);
}

export function fragment6(
  next: number,
  id: number,
  offset: number,
  more: boolean,
  data: Uint8Array,
): Uint8Array {
  return concat(words16(next << 8, offset | (more ? 1 : 0)), words32(id), data);
}

export function ethernet(type: number, payload: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2), words16(type), payload);
}

export { words16, words32 };

/** RFC 9001 appendix A.2 and RFC 9369 appendix A.2: the ClientHello, in one CRYPTO frame. It asks for example.com. */
export const rfcCryptoFrame = Buffer.from(
  `060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c0
00000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e00050005010000
0000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010
000e0403050306030203080408050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff08
01100104800075300901100f088394c8f03e51570806048000ffff`.replace(/\s/g, ''),
  'hex',
);

export interface Initial {
  readonly version: 1 | 2;
  /** The connection id that the keys are made from. */
  readonly keyed?: Uint8Array;
  readonly destination?: Uint8Array;
  readonly source?: Uint8Array;
  readonly token?: Uint8Array;
  readonly number?: number;
  readonly numberBytes?: number;
  /** Frames; filled up with padding to a datagram of 1200 bytes unless `padTo` says otherwise. */
  readonly payload: Uint8Array;
  readonly padTo?: number;
}

/** The connection id of both RFCs. */
export const rfcConnectionId = Uint8Array.from(Buffer.from('8394c8f03e515708', 'hex'));

const quicVersions = {
  1: { number: 1, type: 0xc0, salt: '38762cf7f55934b34d179ae6a4c80cadccbb7f0a', prefix: 'quic' },
  2: { number: 0x6b3343cf, type: 0xd0, salt: '0dede3def700a6db819381be6e269dcbf9bd2ed9', prefix: 'quicv2' },
} as const;

function expandLabel(secret: Uint8Array, label: string, length: number): Buffer {
  const text = Buffer.from(`tls13 ${label}`);
  const info = Buffer.from([0, length, text.length, ...text, 0]);
  const block = createHmac('sha256', secret).update(info).update(Uint8Array.of(1)).digest();
  return block.subarray(0, length);
}

/** A client's Initial packet as RFC 9001 says, made with node:crypto: the other opinion about the keys. */
export function sealInitial(initial: Initial): Uint8Array {
  const { version, payload, number = 2, numberBytes = 4, padTo = 1200 } = initial;
  const { destination = rfcConnectionId, source = new Uint8Array(0), token = new Uint8Array(0) } = initial;
  const { type, salt, prefix, number: versionNumber } = quicVersions[version];
  const first = createHmac('sha256', Buffer.from(salt, 'hex'))
    .update(initial.keyed ?? destination)
    .digest();
  const secret = expandLabel(first, 'client in', 32);
  const head = [type | (numberBytes - 1), ...be(versionNumber, 4), destination.length, ...destination];
  head.push(source.length, ...source, 0x40 | (token.length >> 8), token.length & 0xff, ...token);
  // RFC 9001 has an empty token of one byte of length.
  if (token.length === 0) head.splice(-2, 2, 0);
  const plain = Buffer.alloc(Math.max(payload.length, padTo - head.length - 2 - numberBytes - 16));
  plain.set(payload);
  const length = numberBytes + plain.length + 16;
  const header = Buffer.from([...head, 0x40 | (length >> 8), length & 0xff, ...be(number, numberBytes)]);
  const nonce = expandLabel(secret, `${prefix} iv`, 12);
  for (const [i, byte] of be(number, 4).entries()) nonce[8 + i]! ^= byte;
  const cipher = createCipheriv('aes-128-gcm', expandLabel(secret, `${prefix} key`, 16), nonce);
  cipher.setAAD(header);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const sample = sealed.subarray(4 - numberBytes, 20 - numberBytes);
  const mask = createCipheriv('aes-128-ecb', expandLabel(secret, `${prefix} hp`, 16), null).update(sample);
  header[0]! ^= mask[0]! & 0x0f;
  for (let i = 0; i < numberBytes; i++) header[header.length - numberBytes + i]! ^= mask[1 + i]!;
  return Uint8Array.from([...header, ...sealed]);
}

function be(value: number, length: number): number[] {
  return Array.from({ length }, (_, i) => (value >>> (8 * (length - 1 - i))) & 0xff);
}

/** A CRYPTO frame. */
export function cryptoFrame(stream: Uint8Array, from: number, to: number): Uint8Array {
  const varint = (value: number): number[] => [0x40 | (value >> 8), value & 0xff];
  return Uint8Array.from([6, ...varint(from), ...varint(to - from), ...stream.subarray(from, to)]);
}

/** The bytes that this machine's OpenSSL sends first, with records. */
export async function realHello(options: {
  name?: string;
  protocols?: string[];
  /** Groups of keys; those of this Node when left out, which differ by a kilobyte. */
  curves?: string;
}): Promise<Uint8Array> {
  const [near, far] = duplexPair();
  const { name, protocols, curves } = options;
  const client = connect({
    socket: near,
    ...(name === undefined ? {} : { servername: name }),
    ...(protocols === undefined ? {} : { ALPNProtocols: protocols }),
    ...(curves === undefined ? {} : { ecdhCurve: curves }),
  });
  client.on('error', () => undefined);
  const [hello] = (await once(far, 'data')) as [Buffer];
  client.destroy();
  return Uint8Array.from(hello);
}

/** Two ends of a wire. */
function duplexPair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  const end = (index: number): Duplex =>
    new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        ends[1 - index]!.push(chunk);
        done();
      },
    });
  ends.push(end(0), end(1));
  return [ends[0]!, ends[1]!];
}
