/** Networks in CIDR notation: text to words and back. */
import { addressText, parseAddress } from '../wire/address.js';

export interface Network {
  readonly version: 4 | 6;
  /** Big-endian 32-bit words, one or four, signed; bits behind the prefix are 0. */
  readonly words: readonly number[];
  /** Prefix length. */
  readonly bits: number;
}

/** The words with all bits behind the prefix set to `fill`. */
export function withHostBits(words: readonly number[], bits: number, fill: 0 | 1): number[] {
  return words.map((word, index) => {
    const kept = Math.min(Math.max(bits - 32 * index, 0), 32);
    const mask = kept === 0 ? 0 : -1 << (32 - kept);
    return fill === 0 ? word & mask : word | ~mask;
  });
}

export function networkText({ version, words, bits }: Network): string {
  return `${addressText(version, Int32Array.from(words), 0)}/${bits}`;
}

const isMapped = ([a, b, c]: readonly number[], bits: number): boolean =>
  a === 0 && b === 0 && c === 0xffff && bits >= 96;

/** "10.0.0.0/8", "2001:db8::/32", or an address alone. @throws RangeError saying what is wrong and what would be right */
export function parseNetwork(text: string): Network {
  const [address = '', prefix, ...rest] = text.split('/');
  const words = parseAddress(address);
  if (words === null || rest.length > 0)
    throw new RangeError('is not a network; write it like 10.0.0.0/8 or 2001:db8::/32');
  const version = words.length === 1 ? 4 : 6;
  const most = 32 * words.length;
  if (prefix !== undefined && (!/^\d{1,3}$/.test(prefix) || Number(prefix) > most))
    throw new RangeError(`has a wrong prefix length; IPv${version} has /0 to /${most}`);
  const bits = prefix === undefined ? most : Number(prefix);
  const network: Network = { version, words: withHostBits(words, bits, 0), bits };
  if (version === 6 && isMapped(network.words, bits)) {
    const inner = networkText({ version: 4, words: [network.words[3]!], bits: bits - 96 });
    throw new RangeError(`is an IPv4 network in IPv6 clothes, which no packet carries; write ${inner}`);
  }
  if (words.some((word, index) => word !== network.words[index]))
    throw new RangeError(`has bits set behind its prefix; write ${networkText(network)}`);
  return network;
}
