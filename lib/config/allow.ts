/**
 * What is never inspected, ready for the data plane: sorted typed arrays, no allocation and no text per packet. A list of
 * thousands of networks costs a dozen comparisons per address; an empty one costs one.
 */
import type { Packet } from '../wire/packet.js';
import type { Config } from './config.js';
import { parseNetwork, withHostBits, type Network } from './network.js';

/** Words compare as unsigned numbers when their highest bit is turned, and stay small integers. */
const turn = (word: number): number => word ^ 0x8000_0000;

/** Networks of one IP version as disjoint ranges in ascending order, `width` words per bound. */
class Ranges {
  readonly #width: number;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  readonly count: number;

  constructor(version: 4 | 6, networks: readonly Network[]) {
    this.#width = version === 4 ? 1 : 4;
    const ranges = merged(
      networks
        .filter((network) => network.version === version)
        .map(({ words, bits }) => ({ first: turned(words), last: turned(withHostBits(words, bits, 1)) })),
    );
    this.count = ranges.length;
    this.#starts = Int32Array.from(ranges.flatMap(({ first }) => first));
    this.#ends = Int32Array.from(ranges.flatMap(({ last }) => last));
  }

  get coversAll(): boolean {
    const lowest = this.#starts.subarray(0, this.#width).every((word) => word === -0x8000_0000);
    return this.count === 1 && lowest && this.#ends.every((word) => word === 0x7fff_ffff);
  }

  has4(word: number): boolean {
    const key = turn(word);
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! <= key) low = middle + 1;
      else high = middle;
    }
    return low > 0 && key <= this.#ends[low - 1]!;
  }

  has6(word0: number, word1: number, word2: number, word3: number): boolean {
    const key0 = turn(word0);
    const key1 = turn(word1);
    const key2 = turn(word2);
    const key3 = turn(word3);
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (atMost(this.#starts, middle * 4, key0, key1, key2, key3)) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return false;
    const at = (low - 1) * 4;
    const ends = this.#ends;
    const equal =
      key0 === ends[at]! && key1 === ends[at + 1]! && key2 === ends[at + 2]! && key3 === ends[at + 3]!;
    return equal || !atMost(ends, at, key0, key1, key2, key3);
  }
}

/** Whether the bound at `at` is at most the key. */
function atMost(
  bounds: Int32Array,
  at: number,
  key0: number,
  key1: number,
  key2: number,
  key3: number,
): boolean {
  if (bounds[at]! !== key0) return bounds[at]! < key0;
  if (bounds[at + 1]! !== key1) return bounds[at + 1]! < key1;
  if (bounds[at + 2]! !== key2) return bounds[at + 2]! < key2;
  return bounds[at + 3]! <= key3;
}

interface Range {
  readonly first: readonly number[];
  readonly last: readonly number[];
}

const turned = (words: readonly number[]): number[] => words.map((word) => turn(word) | 0);

function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/** The next higher address; null behind the highest. */
function successor(words: readonly number[]): number[] | null {
  const next = [...words];
  for (let i = next.length - 1; i >= 0; i--) {
    if (next[i] !== 0x7fff_ffff) {
      next[i]!++;
      return next;
    }
    next[i] = -0x8000_0000;
  }
  return null;
}

/** In order, with those that overlap or touch made one. */
function merged(ranges: readonly Range[]): Range[] {
  const result: { first: readonly number[]; last: readonly number[] }[] = [];
  for (const range of [...ranges].sort((a, b) => compareWords(a.first, b.first))) {
    const before = result.at(-1);
    const next = before === undefined ? null : successor(before.last);
    if (before === undefined || (next !== null && compareWords(range.first, next) > 0))
      result.push({ ...range });
    else if (compareWords(range.last, before.last) > 0) before.last = range.last;
  }
  return result;
}

const portsAll = 65_536;

export class AllowList {
  readonly #four: Ranges;
  readonly #six: Ranges;
  /** One bit per port. */
  readonly #ports = new Int32Array(portsAll / 32);
  readonly #anyPort: boolean;
  readonly #interfaceNames: readonly string[];
  #interfaces = new Int32Array(0);
  /** Hardware addresses as two words each (16 and 32 bits), in the order they were given. */
  readonly #macs: Int32Array;
  readonly #infoHashes: readonly string[];
  /** False if no packet can match: the data plane then need not ask. */
  readonly any: boolean;

  constructor(allow: Config['allow']) {
    const networks = allow.networks.map(parseNetwork);
    this.#four = new Ranges(4, networks);
    this.#six = new Ranges(6, networks);
    for (const { first, last } of allow.ports)
      for (let port = first; port <= last; port++) this.#ports[port >>> 5]! |= 1 << (port & 31);
    this.#anyPort = allow.ports.length > 0;
    this.#interfaceNames = allow.interfaces;
    this.#macs = macWords(allow.macs);
    this.#infoHashes = allow.infoHashes;
    this.any = networks.length > 0 || this.#anyPort || allow.interfaces.length > 0 || allow.macs.length > 0;
  }

  /** A list that nothing is on. */
  static empty(): AllowList {
    return new AllowList({ networks: [], ports: [], interfaces: [], macs: [], infoHashes: [] });
  }

  /**
   * Whether an address or a port of either end is on the list; of a tunnelled packet also those of the tunnel's ends. The
   * packet is decoded; ports count for TCP and UDP.
   */
  matches(packet: Packet): boolean {
    if (packet.depth > 0 && this.#matchesOuter(packet)) return true;
    if (
      this.#anyPort &&
      packet.outcome === 0 &&
      (this.#hasPort(packet.sourcePort) || this.#hasPort(packet.destinationPort))
    )
      return true;
    if (packet.ipVersion === 4)
      return (
        this.#four.count > 0 && (this.#four.has4(packet.source0) || this.#four.has4(packet.destination0))
      );
    return packet.ipVersion === 6 && this.#six.count > 0 && this.#matches6(packet);
  }

  #matchesOuter(packet: Packet): boolean {
    const { outerVersion: version } = packet;
    return (
      this.matchesEndpoint(
        version,
        packet.outerSource0,
        packet.outerSource1,
        packet.outerSource2,
        packet.outerSource3,
        packet.outerSourcePort,
      ) ||
      this.matchesEndpoint(
        version,
        packet.outerDestination0,
        packet.outerDestination1,
        packet.outerDestination2,
        packet.outerDestination3,
        packet.outerDestinationPort,
      )
    );
  }

  /** Whether this address, or this port of it, is on the list; IPv4 has the first word. */
  matchesEndpoint(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
  ): boolean {
    if (this.#anyPort && this.#hasPort(port)) return true;
    return version === 4
      ? this.#four.count > 0 && this.#four.has4(word0)
      : this.#six.count > 0 && this.#six.has6(word0, word1, word2, word3);
  }

  #matches6(packet: Packet): boolean {
    const six = this.#six;
    return (
      six.has6(packet.source0, packet.source1, packet.source2, packet.source3) ||
      six.has6(packet.destination0, packet.destination1, packet.destination2, packet.destination3)
    );
  }

  #hasPort(port: number): boolean {
    return (this.#ports[port >>> 5]! & (1 << (port & 31))) !== 0;
  }

  /** Gives the names on the list their numbers; again whenever interfaces come and go. Absent ones match nothing. */
  resolveInterfaces(indexOf: (name: string) => number | null): void {
    const found = this.#interfaceNames.map(indexOf).filter((index) => index !== null && index > 0);
    this.#interfaces = Int32Array.from(found as number[]);
  }

  /** @param index interface number of the kernel; 0 (none) never matches */
  matchesInterface(index: number): boolean {
    const interfaces = this.#interfaces;
    for (let i = 0; i < interfaces.length; i++) if (interfaces[i] === index) return true;
    return false;
  }

  /** Whether the hardware address at `at` is on the list; false if it does not lie within `bytes`. */
  matchesMac(bytes: Uint8Array, at: number): boolean {
    const macs = this.#macs;
    if (macs.length === 0 || at < 0 || at + 6 > bytes.length) return false;
    const high = (bytes[at]! << 8) | bytes[at + 1]!;
    const low = (bytes[at + 2]! << 24) | (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
    let from = 0;
    let to = macs.length >>> 1;
    while (from < to) {
      const middle = (from + to) >>> 1;
      const wordHigh = macs[2 * middle]!;
      const wordLow = macs[2 * middle + 1]!;
      if (wordHigh === high && wordLow === low) return true;
      if (wordHigh < high || (wordHigh === high && wordLow < low)) from = middle + 1;
      else to = middle;
    }
    return false;
  }

  /**
   * Whether a torrent is on the list; asked once per found flow, not per packet. A hash of 20 bytes also matches the
   * beginning of a version 2 hash: that is how trackers and the DHT name those (BEP 52).
   */
  matchesInfoHash(bytes: Uint8Array, length: number): boolean {
    if (this.#infoHashes.length === 0 || (length !== 20 && length !== 32)) return false;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('hex');
    return this.#infoHashes.some((hash) => hash.startsWith(text));
  }

  coversAll(version: 4 | 6): boolean {
    return version === 4 ? this.#four.coversAll : this.#six.coversAll;
  }

  get coversAllPorts(): boolean {
    return this.#ports.every((word, index) => word === (index === 0 ? ~1 : -1));
  }
}

function macWords(macs: readonly string[]): Int32Array {
  const pairs = macs.map((text) => {
    const digits = text.replaceAll(':', '');
    return [Number.parseInt(digits.slice(0, 4), 16), Number.parseInt(digits.slice(4), 16) | 0] as const;
  });
  pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  return Int32Array.from(pairs.flat());
}
