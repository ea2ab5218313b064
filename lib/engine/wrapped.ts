/**
 * Steps over the negotiation with a proxy (SOCKS 4, 4a, 5, HTTP CONNECT) at the beginning of a TCP flow, so that the
 * detectors see what is inside as if both streams began there.
 *
 *     client's first byte ──> may be a proxy's? ──> both sides are kept in the pool, no detector is asked
 *          NotProxy ──> the detectors see both streams from their first byte, late but whole
 *          Again    ──> a refused request is dropped, the next one is followed
 *          Through  ──> the negotiation is dropped from both sides; the rest is shown, or followed once more
 *
 * The state is flagNegotiates in the flow's row and the two openings; sBase moves to where the inner stream begins, so
 * that everything after that is the inspector's ordinary work. Only flows whose client's SYN was seen are followed, and
 * only while the server has said nothing before the client.
 */
import type { View } from '../../detectors/detector.js';
import type { OpeningPool } from '../flow/openings.js';
import {
  flagDone,
  flagNegotiates,
  flagRenumbered,
  flagRebasedClient,
  flagRebasedServer,
  flagSynClient,
  flagSynServer,
  packetsOf,
  sBase,
  sConsumed,
  sFlags,
  sInspected,
  sOpening,
  wordStride,
  wrappedLayers,
  wrappedLayersShift,
  wrappedRefusals,
  wrappedRefusalsShift,
} from '../flow/row.js';
import type { FlowTable } from '../flow/table.js';
import { inspectedPacketsMax, openingBytes } from '../limits.js';
import { Again, Negotiation, NotProxy, Refused, Wait } from '../wire/negotiation.js';
import { tcpSyn, type Packet } from '../wire/packet.js';
import { followProxy, mayBeProxy } from '../wire/proxy.js';
import { closeGap } from './gaps.js';

/** Proxies inside each other that are followed. */
const layersMax = 2;
/** Refused requests of one flow that are stepped over: a proxy that wants credentials refuses once or twice. */
const refusalsMax = 4;

/** What the inspector does for a wrapped flow. */
export interface InnerStreams {
  /** The opening of a side, taken from the pool if it has none. */
  openingOf(slot: number, side: number): number;
  /** Names the flow by this payload, and looks for listed names in it, as is done for a flow that nobody follows. */
  showOuter(packet: Packet, slot: number, side: number): void;
  /** Makes all detectors of this transport pending. */
  begin(slot: number, protocol: number): void;
  /** Shows the kept bytes of a side as its first payload, and keeps them if somebody wants more. */
  showKept(packet: Packet, slot: number, side: number): void;
  /** Nothing more is asked about this flow. */
  letGo(slot: number): void;
  /** A proxy was stepped over: `negotiation` says to whom it leads, its name still being in the client's opening. */
  through(slot: number, negotiation: Negotiation): void;
}

/** Makes the kept bytes of a side, already in view as its opening, the payload too; `turned`: the packet is the other side's. */
export function payloadFromOpening(view: View, packet: Packet, turned: boolean): void {
  view.bytes = view.opening;
  view.start = view.openingStart;
  view.end = view.openingEnd;
  view.wireLength = view.end - view.start;
  view.openingWireLength = view.wireLength;
  if (!turned) return;
  view.sourcePort = packet.destinationPort;
  view.destinationPort = packet.sourcePort;
}

export class Wrapped {
  /** Flows in which a proxy was stepped over. */
  flowsThrough = 0;

  readonly #flows: FlowTable;
  readonly #openings: OpeningPool;
  readonly #streams: InnerStreams;
  readonly #negotiation = new Negotiation();

  constructor(flows: FlowTable, openings: OpeningPool, streams: InnerStreams) {
    this.#flows = flows;
    this.#openings = openings;
    this.#streams = streams;
  }

  /**
   * Takes a packet with payload of a TCP flow if it belongs to a negotiation.
   * @returns false if the inspector is to look at it itself
   */
  takes(packet: Packet, slot: number, side: number): boolean {
    const flags = this.#flows.words[slot * wordStride + sFlags]!;
    if ((flags & flagNegotiates) !== 0) return this.#step(packet, slot, side);
    if (side !== 0 || (flags & flagSynClient) === 0 || !mayBeProxy(packet.bytes[packet.payloadStart]!))
      return false;
    return this.#begins(packet, slot) && this.#step(packet, slot, side);
  }

  /** True if this client's packet begins its stream and may begin a negotiation. */
  #begins(packet: Packet, slot: number): boolean {
    const s = slot * wordStride;
    const words = this.#flows.words;
    const flags = words[s + sFlags]!;
    if ((flags & wrappedLayers) >> wrappedLayersShift >= layersMax) return false;
    if (words[s + sConsumed]! !== 0 || words[s + sConsumed + 1]! !== 0) return false;
    if (words[s + sInspected + 1]! !== 0 || words[s + sInspected]! >= inspectedPacketsMax) return false;
    if (this.#offsetOf(packet, s, 0) !== 0) return false;
    // An opening that waits for its first bytes came out of order and is no hindrance.
    const own = words[s + sOpening]!;
    if (own >= 0 && this.#openings.length[own]! > 0) return false;
    const { bytes, payloadStart, payloadEnd } = packet;
    const n = this.#negotiation;
    if (followProxy(n, bytes, payloadStart, payloadEnd, bytes, payloadEnd, payloadEnd, false) === NotProxy)
      return false;
    words[s + sFlags] = flags | flagNegotiates;
    closeGap(words, s, 0);
    return true;
  }

  #offsetOf(packet: Packet, s: number, side: number): number {
    const sequence = (packet.tcpFlags & tcpSyn) !== 0 ? packet.sequence + 1 : packet.sequence;
    return (sequence - this.#flows.words[s + sBase + side]!) | 0;
  }

  /** One packet of a flow that negotiates. */
  #step(packet: Packet, slot: number, side: number): boolean {
    const s = slot * wordStride;
    const words = this.#flows.words;
    const own = this.#streams.openingOf(slot, side);
    // Another flow took an opening over: what was said so far is lost.
    if (words[s + sConsumed]! !== 0 || words[s + sConsumed + 1]! !== 0) {
      words[s + sFlags]! &= ~flagNegotiates;
      return false;
    }
    words[s + sInspected + side]! += 1;
    const offset = this.#offsetOf(packet, s, side);
    if (offset < openingBytes)
      this.#openings.put(own, offset, packet.bytes, packet.payloadStart, packet.payloadEnd);
    this.#streams.showOuter(packet, slot, side);
    if ((words[s + sFlags]! & flagDone) !== 0) return true;
    const isLast = offset >= openingBytes || words[s + sInspected + side]! >= inspectedPacketsMax;
    this.#follow(packet, slot, s, isLast);
    return true;
  }

  /** Follows as far as the kept bytes go; at most one turn for each proxy and each refusal. */
  #follow(packet: Packet, slot: number, s: number, isLast: boolean): void {
    const words = this.#flows.words;
    const pool = this.#openings;
    for (let turns = layersMax + refusalsMax; turns >= 0; turns--) {
      const client = words[s + sOpening]!;
      const server = words[s + sOpening + 1]!;
      const clientStart = client < 0 ? 0 : pool.start(client);
      const clientEnd = client < 0 ? 0 : clientStart + pool.length[client]!;
      const serverStart = server < 0 ? 0 : pool.start(server);
      const serverEnd = server < 0 ? 0 : serverStart + pool.length[server]!;
      const { bytes } = pool;
      const oneWay = words[s + packetsOf + 1] === 0;
      const n = this.#negotiation;
      const outcome = followProxy(n, bytes, clientStart, clientEnd, bytes, serverStart, serverEnd, oneWay);
      if (outcome === Wait) {
        const full = clientEnd - clientStart === openingBytes || serverEnd - serverStart === openingBytes;
        if (isLast || full) this.#show(packet, slot, s);
        return;
      }
      if (outcome === NotProxy) {
        this.#show(packet, slot, s);
        return;
      }
      if (outcome === Refused || !this.#passes(slot, s, outcome === Again)) {
        words[s + sFlags]! &= ~flagNegotiates;
        this.#streams.letGo(slot);
        return;
      }
      if (outcome !== Again && !this.#mayNest(s)) {
        this.#show(packet, slot, s);
        return;
      }
    }
  }

  /** Moves both streams to where they begin after a refusal or inside the proxy; false after too many refusals. */
  #passes(slot: number, s: number, refused: boolean): boolean {
    const words = this.#flows.words;
    const flags = words[s + sFlags]!;
    const negotiation = this.#negotiation;
    if (refused) {
      if ((flags & wrappedRefusals) >> wrappedRefusalsShift >= refusalsMax) return false;
      words[s + sFlags] = flags + (1 << wrappedRefusalsShift);
    } else {
      if ((flags & wrappedLayers) === 0) this.flowsThrough++;
      this.#streams.through(slot, negotiation);
      // Both inner streams are seen from their first byte, whatever was seen of the SYNs.
      const rebased = flagRebasedClient | flagRebasedServer;
      words[s + sFlags] = ((flags & ~rebased) + (1 << wrappedLayersShift)) | flagSynClient | flagSynServer;
    }
    words[s + sFlags]! |= flagRenumbered;
    this.#moveBase(s, 0, negotiation.clientAt);
    this.#moveBase(s, 1, negotiation.serverAt);
    return true;
  }

  #moveBase(s: number, side: number, by: number): void {
    const words = this.#flows.words;
    words[s + sBase + side] = (words[s + sBase + side]! + by) | 0;
    words[s + sInspected + side] = 0;
    const own = words[s + sOpening + side]!;
    if (own < 0 || this.#openings.dropFront(own, by)) return;
    this.#openings.release(own);
    words[s + sOpening + side] = -1;
  }

  /** True if what is inside already shows that it may be another negotiation. */
  #mayNest(s: number): boolean {
    const words = this.#flows.words;
    const own = words[s + sOpening]!;
    if ((words[s + sFlags]! & wrappedLayers) >> wrappedLayersShift >= layersMax) return false;
    return (
      own >= 0 &&
      this.#openings.length[own]! > 0 &&
      mayBeProxy(this.#openings.bytes[this.#openings.start(own)]!)
    );
  }

  /** Shows the detectors what is kept of both streams, the client first. */
  #show(packet: Packet, slot: number, s: number): void {
    const words = this.#flows.words;
    words[s + sFlags]! &= ~flagNegotiates;
    this.#streams.begin(slot, packet.protocol);
    words[s + sInspected] = 0;
    words[s + sInspected + 1] = 0;
    for (let side = 0; side < 2; side++) {
      const own = words[s + sOpening + side]!;
      if (own >= 0 && this.#openings.length[own]! > 0) this.#streams.showKept(packet, slot, side);
    }
  }
}
