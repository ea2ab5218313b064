/**
 * What is remembered about the swarm beyond single flows: endpoints of peers, and what hosts were seen to do. One memory
 * for all workers. Addresses are (version 4 or 6, four big-endian words, of which IPv4 has the first and zeros); times are
 * whole seconds since 1970 of the packet at hand.
 *
 * These are the questions that the engine asks; endpoint-memory.ts and host-evidence.ts answer them.
 */

/** Nothing known, or too long ago. */
export const UnknownEndpoint = 0;
/** Somebody named it as a peer to the one who asks, or to a neighbour: worth a hint. */
export const NamedEndpoint = 1;
/** Proven by a flow of its own: worth a strong item. Hearsay never is. */
export const TrustedEndpoint = 2;
export type EndpointGrade = 0 | 1 | 2;

export interface Endpoints {
  /**
   * A peer at this address and port was named by `speaker` to `listener`: the network of whoever sent the message, and of
   * the local host that got it, both as `speakerOf` says.
   * @returns false if it was refused because one of the two has used up its quota
   */
  name(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    speaker: number,
    listener: number,
    seconds: number,
  ): boolean;
  /**
   * A proven flow with `partner` (see `speakerOf`) had its listening end here. Only for a flow in which this end was heard
   * as well, because whoever sends a datagram alone may lie about its source.
   */
  prove(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    partner: number,
    seconds: number,
  ): void;
  /**
   * What is known of an endpoint at this time; any address and port may be asked about. `asker`: the network (see
   * `speakerOf`) of who talks to this end. What others were told is not for him.
   */
  grade(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    asker: number,
    seconds: number,
  ): EndpointGrade;
  /**
   * A number for the network that an address belongs to (/24, /48): two speakers of one network are one.
   * @returns 32 bits, signed, never 0; a secret hash, good only with memories of the same seed
   */
  speakerOf(version: number, word0: number, word1: number, word2: number, word3: number): number;
}

/** No proof of this host within the time that counts. */
export const QuietHost = 0;
/** The host was proven to speak BitTorrent from whatever port. */
export const ActiveHost = 1;
/** It did so on exactly this port. */
export const ActivePort = 2;
export type HostGrade = 0 | 1 | 2;

/** Why a connection is cut off when it is tried again: it and two others had the shape, or (mode `shape`) it had it. */
export const cutByThree = 0;
export const cutByShape = 1;
export type CutReason = typeof cutByThree | typeof cutByShape;

/** An address in four words, most significant first; the last three are 0 in IPv4. */
export interface HostAddress {
  readonly version: number;
  readonly word0: number;
  readonly word1: number;
  readonly word2: number;
  readonly word3: number;
}

export interface Hosts {
  /**
   * This host took part in a proven flow of `kind` (index into the kinds, up to 31) with `partner` (see
   * `Endpoints.speakerOf`); `port` is its own port if that is one that stays (a listening port, or a UDP socket of uTP or
   * DHT), else 0.
   */
  note(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    kind: number,
    partner: number,
    seconds: number,
  ): void;
  /** With port 0 only the host is asked about. */
  grade(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    port: number,
    seconds: number,
  ): HostGrade;
  /**
   * A flow of this host had the whole shape of an encrypted peer connection, with `remote` (see `Endpoints.speakerOf`).
   * @returns different remotes of which that was said within the last two minutes, this one included; 0 if as many had
   * another shape; 4 stands for more
   */
  shape(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    remote: number,
    seconds: number,
  ): number;
  /**
   * A flow of this host with `remote` was random from its first byte, but had another shape: for a while the remote does
   * not count in `shape`, and others count less.
   */
  unlike(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    remote: number,
    seconds: number,
  ): void;
  /** True if `unlike` was said of this host and remote within the last ten minutes. */
  isUnlike(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    remote: number,
    seconds: number,
  ): boolean;
  /**
   * A flow that this host dialled had the whole shape, with `remote`.
   * @returns different remotes of which that was said within the last two minutes, this one included; 4 stands for more
   */
  dial(host: HostAddress, remote: number, seconds: number): number;
  /** This host's connection with an address and port had the whole shape, or was one of three that did. */
  cut(host: HostAddress, remote: HostAddress, port: number, reason: CutReason, seconds: number): void;
  /**
   * True if `cut` was said of them, with this reason, within the last two minutes, and `unlike` not within ten of the
   * network `remoteNetwork`.
   */
  wasCut(
    host: HostAddress,
    remote: HostAddress,
    port: number,
    remoteNetwork: number,
    reason: CutReason,
    seconds: number,
  ): boolean;
  /** This host's connection with an address and port had the whole shape, and began with a message of `length` bytes. */
  begin(host: HostAddress, remote: HostAddress, port: number, length: number, seconds: number): void;
  /** True if `begin` was said of them, with this length, within the last ten minutes. */
  beganSo(host: HostAddress, remote: HostAddress, port: number, length: number, seconds: number): boolean;
  /**
   * This host opened a stream to `remote` with the public key of which `key0` and `key1` are a hash.
   * @returns true if it used the same key towards a remote in another network within the last ten minutes
   */
  key(
    version: number,
    word0: number,
    word1: number,
    word2: number,
    word3: number,
    key0: number,
    key1: number,
    remote: number,
    seconds: number,
  ): boolean;
}
