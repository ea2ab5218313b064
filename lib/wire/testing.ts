/** Packets for tests: each function wraps the bytes it is given into one header with all lengths filled in. */
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
