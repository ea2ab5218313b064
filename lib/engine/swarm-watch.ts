/**
 * Between the flows and the memory of the swarm: what one flow teaches, and what the memory says about another.
 *
 * Who is believed: only what a side itself sent says something about that side, and a port counts only where both
 * directions of the flow were seen, because one datagram may bear anybody's address. So may all datagrams of whoever opens
 * a UDP flow, and a real node answers them; so may segments of a TCP connection that there never was, and they are reset.
 * Only the port of the one who was asked counts, in TCP with a SYN. Verdicts that rest on the memory
 * teach nothing, so that an error does not feed itself.
 */
import { kinds, type Kind, type View } from '../../detectors/detector.js';
import {
  ActiveHost,
  ActivePort,
  NamedEndpoint,
  TrustedEndpoint,
  cutByShape,
  type CutReason,
  type Endpoints,
  type HostAddress,
  type Hosts,
} from '../flow/swarm.js';
import {
  flagClientIsA,
  flagRelayed,
  flagSynClient,
  keyA,
  keyB,
  keyMeta,
  keyPorts,
  keyRestA,
  keyRestB,
  packetsOf,
  sFlags,
  sInner,
  sInspected,
  wordStride,
  wrappedLayers,
  type FlowTable,
} from '../flow/table.js';
import { protocolTcp } from '../wire/packet.js';

/** Bits of the answer of `ask`. */
export const endpointNamed = 1;
export const endpointTrusted = 2;
export const hostActive = 4;
export const portActive = 8;

/** True for addresses about which nothing is learned: those that the operator allows. */
export type IsExempt = (
  version: number,
  word0: number,
  word1: number,
  word2: number,
  word3: number,
  port: number,
) => boolean;

const nobodyIsExempt: IsExempt = () => false;

/** Kinds in which both ends are peers; in the others the client is one and the server is not. */
const betweenPeers = Uint8Array.from(kinds, (kind) =>
  (['peer', 'utp', 'dht', 'lsd'] as readonly Kind[]).includes(kind) ? 1 : 0,
);
const fromTracker = Uint8Array.from(kinds, (kind) =>
  (['udp-tracker', 'http-tracker', 'webtorrent', 'torrent-file'] as readonly Kind[]).includes(kind) ? 1 : 0,
);
const utpKind = kinds.indexOf('utp');

/** Names of a message that a quota may refuse before the rest of the message is left unread. */
const refusalsPerMessage = 8;

/** One end of a flow. */
class End implements HostAddress {
  version = 4;
  word0 = 0;
  word1 = 0;
  word2 = 0;
  word3 = 0;
  port = 0;
  /** See Endpoints.speakerOf. */
  network = 0;
  /** The port, if it is one on which this end can be met again, else 0. */
  lastingPort = 0;
  /** The same, if the one who speaks there is at this address for sure as far as a flow can tell. */
  surePort = 0;
}

/** See sourceIsClient of table.ts: with such a port on one side only, it is not known who opened the flow. */
const wellKnownPorts = 1024;

/** The server sent payload. */
function hasAnswer(flows: FlowTable, slot: number): boolean {
  return flows.words[slot * wordStride + sInspected + 1] !== 0;
}

export class SwarmWatch {
  isExempt: IsExempt = nobodyIsExempt;
  /** Something was learned since this was set to false. */
  hasLearned = false;
  readonly #endpoints: Endpoints;
  readonly #hosts: Hosts;
  readonly #ends: readonly [End, End] = [new End(), new End()];
  /** Whom a proxy leads to, as far as `sInner` tells: no address, so that it is none of those. */
  readonly #behind = Object.assign(new End(), { version: 0 });
  #version = 4;
  #bothSpoke = false;
  /** The other end is a proxy: what is said of it is not said of a peer. */
  #wrapped = false;

  constructor(endpoints: Endpoints, hosts: Hosts) {
    this.#endpoints = endpoints;
    this.#hosts = hosts;
  }

  /** See Endpoints.speakerOf. */
  networkOf(version: number, word0: number, word1: number, word2: number, word3: number): number {
    return this.#endpoints.speakerOf(version, word0, word1, word2, word3);
  }

  /**
   * A detector found proof in a message of `side` (0 client, 1 server).
   * @param kind index into kinds, of what it found
   */
  learn(flows: FlowTable, slot: number, side: number, view: View, kind: number, seconds: number): void {
    this.#readEnds(flows, slot);
    const sender = this.#ends[side === 0 ? 0 : 1];
    const receiver = this.#ends[side === 0 ? 1 : 0];
    if (this.#bothSpoke) {
      this.#learnNamed(view, sender, receiver, seconds);
      // Else one forged datagram would make its sender active and name a port of it: two of the three hints that decide.
      if (view.listenPort > 0) this.#name(sender, view.listenPort, sender, receiver, seconds);
    }
    this.hasLearned = true;
    if (fromTracker[kind] === 1) {
      if (side === 0) this.#note(sender, kind, receiver, seconds);
      return;
    }
    if (betweenPeers[kind] === 0) return;
    if (this.#wrapped) {
      // The proxy speaks for others; the port of its client is one of the moment.
      if (side === 0) this.#noteHost(sender, kind, receiver, seconds);
      return;
    }
    this.#note(sender, kind, receiver, seconds);
    if (this.#bothSpoke) this.#prove(sender, receiver, seconds);
    if (kind === utpKind && this.#bothSpoke) {
      // What proves uTP is that the two directions fit each other.
      this.#note(receiver, kind, sender, seconds);
      this.#prove(receiver, sender, seconds);
    } else if (receiver.surePort > 0) this.#name(receiver, receiver.surePort, sender, sender, seconds);
  }

  /** What the memory says about the two ends of a flow: bits as above. */
  ask(flows: FlowTable, slot: number, seconds: number): number {
    this.#readEnds(flows, slot);
    const version = this.#version;
    let said = 0;
    const isUnlike = this.#isUnlike(seconds);
    for (const end of this.#ends) {
      if (this.#wrapped && end === this.#ends[1]) break;
      const { word0, word1, word2, word3, lastingPort } = end;
      if (this.isExempt(version, word0, word1, word2, word3, lastingPort)) continue;
      const host = this.#hosts.grade(version, word0, word1, word2, word3, lastingPort, seconds);
      if (host === ActivePort) said |= portActive;
      else if (host === ActiveHost && !isUnlike) said |= hostActive;
      if (lastingPort === 0) continue;
      const asker = end === this.#ends[0] ? this.#ends[1].network : this.#ends[0].network;
      const grade = this.#endpoints.grade(version, word0, word1, word2, word3, lastingPort, asker, seconds);
      if (grade === TrustedEndpoint) said |= endpointTrusted;
      else if (grade === NamedEndpoint) said |= endpointNamed;
    }
    return said;
  }

  /**
   * Notes that the two ends had a connection of the whole shape, for each of them.
   * @returns different remotes of the last two minutes, of the end that has more
   */
  noteShape(flows: FlowTable, slot: number, seconds: number): number {
    this.hasLearned = true;
    this.#readEnds(flows, slot);
    const [client, server] = this.#ends;
    const dialled = this.#shapeOf(client, server, seconds);
    // What is behind a proxy is told apart by where it leads to; the proxy itself is no peer.
    return this.#wrapped ? dialled : Math.max(dialled, this.#shapeOf(server, client, seconds));
  }

  #shapeOf(host: End, remote: End, seconds: number): number {
    const { word0, word1, word2, word3 } = host;
    return this.#hosts.shape(this.#version, word0, word1, word2, word3, remote.network, seconds);
  }

  /** Notes that the two ends had a connection of random bytes that is none of this shape. */
  noteUnlike(flows: FlowTable, slot: number, seconds: number): void {
    this.hasLearned = true;
    this.#readEnds(flows, slot);
    const [client, server] = this.#ends;
    this.#unlikeOf(client, server, seconds);
    if (!this.#wrapped) this.#unlikeOf(server, client, seconds);
  }

  #unlikeOf(host: End, remote: End, seconds: number): void {
    const { word0, word1, word2, word3 } = host;
    this.#hosts.unlike(this.#version, word0, word1, word2, word3, remote.network, seconds);
  }

  /**
   * Notes that the client dialled the server, in the whole shape. The server must have said something, because whoever
   * forges the client's address can say all that a client says.
   * @returns different remotes of the last two minutes of which that was noted; 0 if this is none
   */
  noteDialled(flows: FlowTable, slot: number, seconds: number): number {
    if (!this.#isDialled(flows, slot) || this.#wrapped || !hasAnswer(flows, slot)) return 0;
    const [client, server] = this.#ends;
    return this.#hosts.dial(client, server.network, seconds);
  }

  /**
   * Notes that the client's connection with this very server and port had the whole shape (`cutByShape`), or was one of
   * three that had it and therefore decided. Through a proxy it is the network and port behind it, and only for the first.
   */
  noteCut(flows: FlowTable, slot: number, reason: CutReason, seconds: number): void {
    const remote = this.#dialledRemote(flows, slot, reason);
    if (remote !== null && hasAnswer(flows, slot))
      this.#hosts.cut(this.#ends[0], remote, remote.port, reason, seconds);
  }

  /** True if that was noted of this client, server and port within the last two minutes, for this reason. */
  wasCut(flows: FlowTable, slot: number, reason: CutReason, seconds: number): boolean {
    const remote = this.#dialledRemote(flows, slot, reason);
    if (remote === null) return false;
    const [client, server] = this.#ends;
    return this.#hosts.wasCut(client, remote, remote.port, server.network, reason, seconds);
  }

  /** Notes that the client's connection with this very server and port had the whole shape, and how long its first message was. */
  noteBeginning(flows: FlowTable, slot: number, length: number, seconds: number): void {
    const remote = this.#dialledRemote(flows, slot, cutByShape);
    if (remote !== null && hasAnswer(flows, slot))
      this.#hosts.begin(this.#ends[0], remote, remote.port, length, seconds);
  }

  /** True if that was noted within the last ten minutes. */
  beganSo(flows: FlowTable, slot: number, length: number, seconds: number): boolean {
    const remote = this.#dialledRemote(flows, slot, cutByShape);
    return remote !== null && this.#hosts.beganSo(this.#ends[0], remote, remote.port, length, seconds);
  }

  /** Reads the ends; true for a TCP connection whose client sent the SYN. */
  #isDialled(flows: FlowTable, slot: number): boolean {
    this.#readEnds(flows, slot);
    const s = slot * wordStride;
    const isTcp = (flows.words[s + keyMeta]! & 0xff) === protocolTcp;
    return isTcp && (flows.words[s + sFlags]! & flagSynClient) !== 0;
  }

  /** Reads the ends; the server, or what stands for the one behind a proxy. Null if that is not known, or does not count. */
  #dialledRemote(flows: FlowTable, slot: number, reason: CutReason): End | null {
    if (!this.#isDialled(flows, slot)) return null;
    if (!this.#wrapped) return this.#ends[1];
    const inner = flows.words[slot * wordStride + sInner]!;
    if (inner === 0 || reason !== cutByShape) return null;
    this.#behind.word0 = inner;
    return this.#behind;
  }

  /** Notes the public key with which the client began; true if it used the same one towards another remote. */
  noteKey(flows: FlowTable, slot: number, key0: number, key1: number, seconds: number): boolean {
    this.hasLearned = true;
    this.#readEnds(flows, slot);
    const [client, server] = this.#ends;
    const { word0, word1, word2, word3 } = client;
    return this.#hosts.key(this.#version, word0, word1, word2, word3, key0, key1, server.network, seconds);
  }

  /** The client was seen to speak to this server in random streams of another shape: neighbours prove nothing then. */
  #isUnlike(seconds: number): boolean {
    const [client, server] = this.#ends;
    const { word0, word1, word2, word3 } = client;
    return this.#hosts.isUnlike(this.#version, word0, word1, word2, word3, server.network, seconds);
  }

  #learnNamed(view: View, speaker: End, listener: End, seconds: number): void {
    const { peers } = view;
    let refusalsLeft = refusalsPerMessage;
    for (let i = 0; i < peers.count; i++) {
      const version = peers.version[i]!;
      const word0 = peers.words[i * 4]!;
      const word1 = peers.words[i * 4 + 1]!;
      const word2 = peers.words[i * 4 + 2]!;
      const word3 = peers.words[i * 4 + 3]!;
      const port = peers.port[i]!;
      if (this.isExempt(version, word0, word1, word2, word3, port)) continue;
      const heard = this.#endpoints.name(
        version,
        word0,
        word1,
        word2,
        word3,
        port,
        speaker.network,
        listener.network,
        seconds,
      );
      // A speaker without quota may go on for 250 names; a few of them may yet be known ones.
      if (!heard && --refusalsLeft === 0) return;
    }
  }

  #name(end: End, port: number, speaker: End, listener: End, seconds: number): void {
    const { word0, word1, word2, word3 } = end;
    if (this.isExempt(this.#version, word0, word1, word2, word3, port)) return;
    this.#endpoints.name(
      this.#version,
      word0,
      word1,
      word2,
      word3,
      port,
      speaker.network,
      listener.network,
      seconds,
    );
  }

  #prove(end: End, partner: End, seconds: number): void {
    const { word0, word1, word2, word3, surePort } = end;
    if (surePort === 0 || this.isExempt(this.#version, word0, word1, word2, word3, surePort)) return;
    this.#endpoints.prove(this.#version, word0, word1, word2, word3, surePort, partner.network, seconds);
  }

  #note(end: End, kind: number, partner: End, seconds: number): void {
    const { word0, word1, word2, word3 } = end;
    const port = this.#bothSpoke ? end.surePort : 0;
    this.#hosts.note(this.#version, word0, word1, word2, word3, port, kind, partner.network, seconds);
  }

  #noteHost(end: End, kind: number, partner: End, seconds: number): void {
    const { word0, word1, word2, word3 } = end;
    this.#hosts.note(this.#version, word0, word1, word2, word3, 0, kind, partner.network, seconds);
  }

  #readEnds(flows: FlowTable, slot: number): void {
    const { words } = flows;
    const s = slot * wordStride;
    const meta = words[s + keyMeta]!;
    const flags = words[s + sFlags]!;
    this.#version = meta >>> 8;
    this.#wrapped = (flags & (wrappedLayers | flagRelayed)) !== 0;
    this.#bothSpoke = words[s + packetsOf] !== 0 && words[s + packetsOf + 1] !== 0;
    const [client, server] = this.#ends;
    const a = (flags & flagClientIsA) !== 0 ? client : server;
    const b = a === client ? server : client;
    const ports = words[s + keyPorts]!;
    a.port = ports >>> 16;
    b.port = ports & 0xffff;
    this.#readAddress(a, words, s + keyA, s + keyRestA);
    this.#readAddress(b, words, s + keyB, s + keyRestB);
    // A TCP client's port is one of the moment, if it is known who the client is.
    const started = (flags & (flagSynClient | (flagSynClient << 1))) !== 0;
    const tcp = (meta & 0xff) === protocolTcp;
    client.lastingPort = tcp && started ? 0 : client.port;
    server.lastingPort = server.port;
    const answers = tcp
      ? (flags & flagSynClient) !== 0
      : server.port >= wellKnownPorts || client.port < wellKnownPorts;
    client.surePort = 0;
    server.surePort = answers ? server.port : 0;
    if (this.#wrapped && words[s + sInner] !== 0) server.network = words[s + sInner]!;
  }

  #readAddress(end: End, words: Int32Array, first: number, rest: number): void {
    end.version = this.#version;
    end.word0 = words[first]!;
    const v4 = this.#version === 4;
    end.word1 = v4 ? 0 : words[rest]!;
    end.word2 = v4 ? 0 : words[rest + 1]!;
    end.word3 = v4 ? 0 : words[rest + 2]!;
    end.network = this.#endpoints.speakerOf(this.#version, end.word0, end.word1, end.word2, end.word3);
  }
}
