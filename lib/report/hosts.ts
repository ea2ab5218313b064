/**
 * Which hosts speak BitTorrent. An administrator looks for machines of their own network, so of the two addresses of
 * a flow the local one is the host and the other its peer; if that does not tell them apart, the client is the host.
 */
import type { Kind } from '../../detectors/detector.js';
import { compareText } from './order.js';
import type { FlowEssence } from './report.js';

/** 10/8, 127/8, 169.254/16, 192.168/16, 172.16/12; 100.64/10 is between a provider's NAT and its customers (RFC 6598). */
const localIpv4 =
  /^(?:10|127|169\.254|192\.168|172\.(?:1[6-9]|2\d|3[01])|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7]))\./;
const localIpv6 = /^(?:::1$|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)/i;
const mappedIpv4 = /^::ffff:(?=[^:]*$)/i;
const group = /^(?:22[4-9]|23\d|255)\.|^ff[0-9a-f]{2}:/i;

/** True for private, shared, loopback and link-local addresses (RFC 1918, 6598, 3927, 4193, 4291). */
export function isLocalAddress(address: string): boolean {
  const first = address.charCodeAt(0);
  // Asked several times for each flow; most addresses differ from all of these in their first character.
  if (first === 0x31) return localIpv4.test(address);
  if (first !== 0x3a && (first | 0x20) !== 0x66) return false;
  return localIpv6.test(address) || (first === 0x3a && localIpv4.test(address.replace(mappedIpv4, '')));
}

/** Broadcast and multicast: no machine has such an address, so it is never a host, whichever side it stands on. */
function isGroupAddress(address: string): boolean {
  const first = address.charCodeAt(0);
  return (first === 0x32 || (first | 0x20) === 0x66) && group.test(address);
}

/** The host and the peer of a flow. */
export function hostOf(flow: Pick<FlowEssence, 'client' | 'server'>): { host: string; peer: string } {
  const serverOnly = isLocalAddress(flow.server) && !isLocalAddress(flow.client);
  return serverOnly || isGroupAddress(flow.client)
    ? { host: flow.server, peer: flow.client }
    : { host: flow.client, peer: flow.server };
}

export interface HostEntry {
  readonly address: string;
  readonly local: boolean;
  flows: number;
  bytes: number;
  readonly kinds: Map<Kind, number>;
  /** Distinct peers, at most `peersMax` of them. */
  readonly peers: Set<string>;
  /** True if there were more peers than are kept. */
  morePeers: boolean;
  readonly software: Set<string>;
}

/** Host entries kept. When full: flows of further hosts are only counted. */
export const hostsMax = 10_000;
/** Peers kept per host, and over all hosts; past it a host only knows that there were more. */
export const peersMax = 2000;
const peersOfAllMax = 200_000;
const softwarePerHostMax = 20;

/** The hosts of the BitTorrent flows of one scan, bounded. */
export class HostTable {
  readonly #hosts = new Map<string, HostEntry>();
  readonly #max: number;
  #peers = 0;
  /** Flows and bytes of hosts that found no place. */
  flowsLeftOut = 0;
  bytesLeftOut = 0;

  constructor(max = hostsMax) {
    this.#max = max;
  }

  get size(): number {
    return this.#hosts.size;
  }

  get localCount(): number {
    let count = 0;
    for (const entry of this.#hosts.values()) if (entry.local) count++;
    return count;
  }

  add(flow: FlowEssence): void {
    const { host, peer } = hostOf(flow);
    const entry = this.#hosts.get(host) ?? this.#create(host);
    if (entry === null) {
      this.flowsLeftOut++;
      this.bytesLeftOut += flow.bytes;
      return;
    }
    entry.flows++;
    entry.bytes += flow.bytes;
    if (flow.kind !== null) entry.kinds.set(flow.kind, (entry.kinds.get(flow.kind) ?? 0) + 1);
    this.#addPeer(entry, peer);
    for (const name of flow.client_software) {
      if (entry.software.size < softwarePerHostMax) entry.software.add(name);
    }
  }

  /** All kept hosts, those with most bytes first. */
  list(): HostEntry[] {
    return [...this.#hosts.values()].sort(
      (a, b) => b.bytes - a.bytes || b.flows - a.flows || compareText(a.address, b.address),
    );
  }

  #create(address: string): HostEntry | null {
    if (this.#hosts.size >= this.#max) return null;
    const entry: HostEntry = {
      address,
      local: isLocalAddress(address),
      flows: 0,
      bytes: 0,
      kinds: new Map(),
      peers: new Set(),
      morePeers: false,
      software: new Set(),
    };
    this.#hosts.set(address, entry);
    return entry;
  }

  #addPeer(entry: HostEntry, peer: string): void {
    if (entry.morePeers || entry.peers.has(peer)) return;
    if (entry.peers.size >= peersMax || this.#peers >= peersOfAllMax) {
      entry.morePeers = true;
      return;
    }
    entry.peers.add(peer);
    this.#peers++;
  }
}

/** "12", or "2,000+" when not all peers were kept. */
export function peersText(entry: HostEntry): string {
  return `${entry.peers.size}${entry.morePeers ? '+' : ''}`;
}

/** Kinds of a host, the most frequent first. */
export function kindsOf(entry: HostEntry): Kind[] {
  return [...entry.kinds].sort((a, b) => b[1] - a[1] || compareText(a[0], b[0])).map(([kind]) => kind);
}
