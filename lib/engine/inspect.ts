/**
 * Inspection: shows the payload of one packet, and the openings of its flow, to the detectors that are still pending,
 * and settles what they said. The only place that calls a detector.
 *
 *     payload ──> opening kept? ──no──> in order and first? ──> the payload is the opening, nothing is copied
 *                     │                        └── later ────> detectors of packets only
 *                     └──yes──> put in its place; detectors of openings are asked when it grew
 *
 * A side's bytes are copied only after a detector answered More to them; most flows are judged without one copy.
 */
import { More, No, View, Yes, yesInPayload, type Detector } from '../../detectors/detector.js';
import { OpeningPool } from '../flow/openings.js';
import {
  flagClientIsA,
  flagDecided,
  flagDetailed,
  flagDone,
  flagDoubtful,
  flagRebasedClient,
  flagRelayed,
  flagRenumbered,
  flagTraced,
  sBase,
  sConsumed,
  sEvidence,
  sFlags,
  sInspected,
  sNoted,
  sOpening,
  sPending,
  wordStride,
  type FlowTable,
} from '../flow/table.js';
import { inspectedPacketsMax, learnedPacketsMax, openingBytes, openingsMax } from '../limits.js';
import { protocolTcp, tcpSyn, type Packet } from '../wire/packet.js';
import type { SwarmWatch } from './swarm-watch.js';
import { gradeNear, type EvidenceStore, type Sighting } from './evidence.js';
import { Judge } from './judge.js';
import type { EncryptedMode } from './policy.js';
import { DetectorSet, type Registry } from './registry.js';
import { openingOf, showPayload } from './show.js';
import { awaitTurns, beginTurns, followTurns, showTurn } from './turns.js';
import type { Negotiation } from '../wire/negotiation.js';
import { socksDatagramHeader } from '../wire/socks.js';
import { payloadFromOpening, Wrapped, type InnerStreams } from './wrapped.js';
import { Beginnings, mayBegin } from './beginnings.js';
import { beginsEarlier, closeGap, isFromStart, opensGap } from './gaps.js';

/** Follows one flow through the engine, for `swarmgate explain`. */
export interface Tracer {
  /** Asked once per new flow: is it this one? */
  wants(packet: Packet, frame: number): boolean;
  /** One answer of one detector about one packet. */
  answer(detector: Detector, outcome: number, view: View, where: Readonly<Sighting>): void;
}

/** Larger stream positions are not told apart; they only say "not at the beginning any more". */
const consumedMax = 0x3fffffff;
/** Payload packets of a side by which another protocol may be named. */
const namingPackets = 2;
/** Payload packets of a side after which a gap at its beginning is taken for a loss and not for a reordering. */
const gapPackets = 3;

export class Inspector implements InnerStreams {
  readonly openings: OpeningPool;
  readonly evidence: EvidenceStore;
  readonly beginnings: Beginnings;
  /** Which packet is being inspected; written by the engine before `inspect`. */
  readonly sighting: Sighting = { side: 0, packet: 0, frame: 0, file: 0, timeMicros: 0 };
  /** Calls of a detector's inspect. */
  detectorCalls = 0;

  readonly #registry: Registry;
  readonly #flows: FlowTable;
  readonly #tcp: DetectorSet;
  readonly #udp: DetectorSet;
  readonly #view = new View();
  readonly #tracer: Tracer | null;
  readonly #judge: Judge;
  readonly #wrapped: Wrapped;

  constructor(
    registry: Registry,
    flows: FlowTable,
    tracer: Tracer | null,
    details: boolean,
    swarm: SwarmWatch | null,
    encrypted: EncryptedMode,
  ) {
    this.#registry = registry;
    this.#flows = flows;
    this.openings = new OpeningPool(Math.min(openingsMax, 2 * flows.capacity));
    this.#tcp = new DetectorSet(registry.detectors, 'tcp');
    this.#udp = new DetectorSet(registry.detectors, 'udp');
    this.#judge = new Judge({
      registry,
      flows,
      openings: this.openings,
      tcp: this.#tcp,
      udp: this.#udp,
      view: this.#view,
      sighting: this.sighting,
      swarm,
      encrypted,
      details,
    });
    this.evidence = this.#judge.evidence;
    this.#wrapped = new Wrapped(flows, this.openings, this);
    this.beginnings = new Beginnings(registry.detectors, flows.capacity);
    this.#tracer = tracer;
  }

  /** Makes all detectors of its transport pending for a new flow. */
  begin(slot: number, protocol: number): void {
    const s = slot * wordStride;
    const set = protocol === protocolTcp ? this.#tcp : this.#udp;
    const asked = this.#judge.weighing.encrypted === 'off' ? set.all & ~set.shapes : set.all;
    this.#flows.words[s + sPending] = asked;
    this.#flows.words[s + sPending + 1] = asked;
  }

  /** After the verdict, go on asking for details. */
  set details(wanted: boolean) {
    this.#judge.details = wanted;
  }

  /** Asks the memory once more about a flow that ends undecided; see Judge. */
  reconsider(slot: number, timeMicros: number): boolean {
    return this.#judge.reconsider(slot, timeMicros);
  }

  /** What is done about encrypted connections; flows that are being looked at keep what they have. */
  set encrypted(mode: EncryptedMode) {
    this.#judge.weighing.encrypted = mode;
  }

  showOuter(packet: Packet, slot: number, side: number): void {
    const s = slot * wordStride;
    const named = side === 0 ? this.#tcp.names : 0;
    const nameless = this.#isNameless(s, side);
    if (!nameless && named === 0) return;
    this.#showPayload(packet, s, side);
    if (nameless) this.#nameOther(s, true);
    if (named !== 0) this.#ask(slot, s, this.#tcp, named);
  }

  through(slot: number, negotiation: Negotiation): void {
    this.#judge.doubts?.noteInner(slot, negotiation);
    const { words } = this.#flows;
    const s = slot * wordStride;
    const client = (words[s + sFlags]! & flagClientIsA) !== 0 ? 0 : 1;
    this.beginnings.syn(slot, client, (words[s + sBase]! + negotiation.clientAt) | 0);
    this.beginnings.syn(slot, 1 - client, (words[s + sBase + 1]! + negotiation.serverAt) | 0);
  }

  showKept(packet: Packet, slot: number, side: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    const set = this.#tcp;
    const own = words[s + sOpening + side]!;
    const sent = this.sighting.side;
    words[s + sInspected + side] = 1;
    this.#showPayload(packet, s, side);
    const view = this.#view;
    payloadFromOpening(view, packet, side !== sent);
    showTurn(view, this.openings, own, side, words[s + sOpening]!, packet);
    if (this.#isNameless(s, side)) this.#nameOther(s, true);
    const traced = (words[s + sFlags]! & flagTraced) !== 0;
    const likely = traced ? set.all : set.startingWith[view.bytes[view.start]!]!;
    const pending = words[s + sPending + side]! & set.atStart & set.askedAt[1]!;
    words[s + sPending + side] = pending & (likely | ~set.opening);
    this.sighting.side = side;
    const more = this.#ask(slot, s, set, pending & likely);
    this.sighting.side = sent;
    if (more === 0) this.#dropOpening(s, side, own, view.wireLength);
  }

  /** Ends all questions about a flow; its evidence stays. */
  letGo(slot: number): void {
    this.#judge.finish(slot * wordStride);
  }

  /** Gives back what an ended flow held. */
  forget(slot: number): void {
    const s = slot * wordStride;
    this.#judge.releaseOpenings(s);
    const head = this.#flows.words[s + sEvidence]!;
    if (head >= 0) this.evidence.release(head);
  }

  /** Asks about the payload of one packet; `sighting` says which packet that is. */
  inspect(packet: Packet, slot: number, side: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    const tcp = packet.protocol === protocolTcp;
    if (tcp && this.#wrapped.takes(packet, slot, side)) return;
    const set = tcp ? this.#tcp : this.#udp;
    let pending = words[s + sPending + side]!;
    const inspected = words[s + sInspected + side]! + 1;
    const fromStart = !tcp || isFromStart(words[s + sFlags]!, side);
    if (inspected === 1) pending &= fromStart ? set.atStart : set.inMiddle;
    if ((words[s + sFlags]! & flagDecided) !== 0 && inspected > learnedPacketsMax && !this.#judge.details)
      pending = 0;
    pending &= inspected > inspectedPacketsMax ? 0 : set.askedAt[inspected]!;
    words[s + sPending + side] = pending;
    if (pending === 0) {
      this.#finishSide(s, side, tcp);
      return;
    }
    // `explain` wants to hear everybody; otherwise whose first byte or header this cannot be is not called.
    const traced = (words[s + sFlags]! & flagTraced) !== 0;
    const likely = traced ? set.all : set.likely(packet, pending);
    if (!tcp) this.#inspectUdp(packet, slot, side, pending, likely);
    else if (words[s + sOpening + side]! >= 0) this.#inspectKept(packet, slot, side, pending);
    else this.#inspectTcp(packet, slot, side, pending, likely);
    // What made the flow doubtful stays; what is remembered may have changed since.
    if ((words[s + sFlags]! & (flagDoubtful | flagDecided)) === flagDoubtful) this.#judge.askMemory(slot, s);
  }

  /** After `inspect`: believes a TCP stream's beginning however it is cut, and whichever copies its receiver takes. */
  followBeginning(packet: Packet, slot: number, side: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    if (!mayBegin(words, s, side, packet)) return;
    const sequence = (packet.tcpFlags & tcpSyn) !== 0 ? packet.sequence + 1 : packet.sequence;
    const asked = words[s + sPending + side] !== 0;
    if (!this.beginnings.follow(packet, slot, this.#flows.fromA ? 0 : 1, sequence, asked)) return;
    if ((words[s + sFlags]! & flagDecided) !== 0) return;
    const detector = this.#registry.detectors[this.beginnings.id]!;
    const view = this.#view;
    this.#showPayload(packet, s, side);
    view.reset();
    yesInPayload(view, detector.beginning!.finding, view.start, view.end);
    if ((words[s + sFlags]! & flagTraced) !== 0) this.#tracer!.answer(detector, Yes, view, this.sighting);
    this.#judge.believe(slot, s, this.beginnings.id, detector);
  }

  /** The view's part that is the same for TCP and UDP. */
  #showPayload(packet: Packet, s: number, side: number): void {
    showPayload(this.#view, this.openings, this.#flows.words, s, side, packet);
  }

  /** True while the flow has no name and this is one of the first packets of its side. */
  #isNameless(s: number, side: number): boolean {
    const words = this.#flows.words;
    return (words[s + sNoted]! & 0xff00) === 0 && words[s + sInspected + side]! <= namingPackets;
  }

  #inspectUdp(packet: Packet, slot: number, side: number, pending: number, likely: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    words[s + sInspected + side]! += 1;
    const nameless = this.#isNameless(s, side);
    const relayed = socksDatagramHeader(packet.bytes, packet.payloadStart, packet.payloadEnd);
    if ((pending & likely) === 0 && !nameless && relayed === 0) return;
    this.#showPayload(packet, s, side);
    if (nameless) this.#nameOther(s, false);
    let more = this.#ask(slot, s, this.#udp, pending & likely);
    if (relayed > 0 && more === 0 && (words[s + sFlags]! & flagDone) === 0) {
      this.#view.start += relayed;
      this.#view.wireLength -= relayed;
      words[s + sFlags]! |= flagRelayed;
      const inside = this.#udp.startingWith[packet.bytes[this.#view.start]!]!;
      more = this.#ask(slot, s, this.#udp, pending & inside);
    }
    if (more === 0 || (words[s + sFlags]! & flagDone) !== 0) return;
    const view = this.#view;
    this.openings.keepDatagram(this.openingOf(slot, side), view.bytes, view.start, view.end, view.wireLength);
  }

  /** Where a segment's payload lies in the kept or followed stream of its side; negative before its beginning. */
  #offsetOf(packet: Packet, s: number, side: number): number {
    const sequence = (packet.tcpFlags & tcpSyn) !== 0 ? packet.sequence + 1 : packet.sequence;
    return (sequence - this.#flows.words[s + sBase + side]!) | 0;
  }

  /** A segment of a side of which nothing is kept; `likely` may say something to its first byte. */
  #inspectTcp(packet: Packet, slot: number, side: number, asks: number, likely: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    const set = this.#tcp;
    let pending = asks;
    const offset = this.#offsetOf(packet, s, side);
    const length = packet.payloadWireLength;
    const consumed = words[s + sConsumed + side]!;
    if (beginsEarlier(words, s, side, offset, length, consumed)) {
      words[s + sFlags]! |= flagRebasedClient << side;
      words[s + sBase + side] = packet.sequence;
      words[s + sInspected + side]! += 1;
      this.#inspectFirst(packet, slot, side, pending | set.opening, likely);
      return;
    }
    // Bytes that were looked at before say nothing new; a segment far ahead is looked at on its own.
    if (offset + length <= consumed && offset > -openingBytes) {
      if (offset === 0 && (pending & likely) !== 0) this.#inspectAgain(packet, slot, side, pending, likely);
      return;
    }
    words[s + sInspected + side]! += 1;
    if (offset === 0 && consumed === 0) {
      closeGap(words, s, side);
      this.#inspectFirst(packet, slot, side, pending, likely);
      return;
    }
    if (opensGap(words, s, side, offset, consumed)) {
      pending |= set.behindGap & set.askedAt[words[s + sInspected + side]!]!;
      words[s + sPending + side] = pending;
    }
    const asked = pending & likely & ~set.opening;
    const wanted = pending & (set.opening | set.follows);
    const keeps = consumed === 0 && offset > 0 && offset < openingBytes && wanted !== 0;
    if (!keeps && offset <= consumed && offset >= 0) {
      // In order, and nobody wanted what came before: the stream can no longer be followed from its start.
      words[s + sConsumed + side] = Math.min(offset + length, consumedMax);
    }
    if (asked === 0 && !keeps) return;
    this.#showPayload(packet, s, side);
    if (keeps) {
      this.#keep(slot, s, side, wanted, offset);
      const own = words[s + sOpening + side]!;
      if (own >= 0) awaitTurns(this.openings, words, s, side, own, packet);
    }
    const more = this.#ask(slot, s, set, asked) & ~set.follows;
    if (more !== 0 && words[s + sOpening + side]! < 0) this.#restart(packet, slot, s, side, more);
  }

  /** The first segment of a side, in order: it is the opening where it lies. */
  #inspectFirst(packet: Packet, slot: number, side: number, pending: number, likely: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    words[s + sConsumed + side] = packet.payloadWireLength;
    words[s + sPending + side] = pending & (likely | ~this.#tcp.opening);
    const nameless = this.#isNameless(s, side);
    if ((pending & likely) === 0 && !nameless) return;
    const view = this.#view;
    this.#showPayload(packet, s, side);
    view.opening = view.bytes;
    view.openingStart = view.start;
    view.openingEnd = view.end;
    view.openingWireLength = view.wireLength;
    followTurns(view, this.openings, words, s, side, packet, 0);
    const { turn } = view;
    if (nameless) this.#nameOther(s, true);
    this.#keep(slot, s, side, this.#ask(slot, s, this.#tcp, pending & likely), 0);
    const own = words[s + sOpening + side]!;
    if (own >= 0) beginTurns(this.openings, own, view, turn, packet);
  }

  /** Another copy of a stream's first bytes. The receiver may take this one: it is judged, within the budget of packets. */
  #inspectAgain(packet: Packet, slot: number, side: number, pending: number, likely: number): void {
    const words = this.#flows.words;
    const s = slot * wordStride;
    const consumed = words[s + sConsumed + side]!;
    words[s + sInspected + side]! += 1;
    this.#judge.again = true;
    this.#inspectFirst(packet, slot, side, pending, likely);
    this.#judge.again = false;
    words[s + sConsumed + side] = consumed;
  }

  /** A packet detector wants more of a segment in the middle: a new opening begins there. */
  #restart(packet: Packet, slot: number, s: number, side: number, more: number): void {
    const words = this.#flows.words;
    // A flow about which all is known keeps its numbers: they tell a new connection from a repeated one.
    if ((words[s + sFlags]! & (flagDone | flagDetailed)) !== 0) return;
    words[s + sBase + side] = packet.sequence;
    words[s + sFlags]! |= flagRenumbered;
    words[s + sConsumed + side] = 0;
    this.#keep(slot, s, side, more, 0);
  }

  /** A segment of a side whose opening is being kept. */
  #inspectKept(packet: Packet, slot: number, side: number, pending: number): void {
    const s = slot * wordStride;
    const words = this.#flows.words;
    const set = this.#tcp;
    const pool = this.openings;
    const own = words[s + sOpening + side]!;
    const offset = this.#offsetOf(packet, s, side);
    const before = pool.length[own]!;
    if (offset + packet.payloadWireLength <= before && offset > -openingBytes) {
      pool.put(own, offset, packet.bytes, packet.payloadStart, packet.payloadEnd);
      return;
    }
    words[s + sInspected + side]! += 1;
    let grown = false;
    if (offset < openingBytes && offset + (packet.payloadEnd - packet.payloadStart) > 0) {
      grown = pool.put(own, offset, packet.bytes, packet.payloadStart, packet.payloadEnd) > before;
    }
    if (grown && before === 0) closeGap(words, s, side);
    this.#showPayload(packet, s, side);
    followTurns(this.#view, pool, words, s, side, packet, offset);
    if (grown && before === 0 && this.#isNameless(s, side)) this.#nameOther(s, true);
    const more = this.#ask(slot, s, set, grown ? pending : pending & ~set.opening);
    if (
      !grown &&
      (more & ~set.follows) !== 0 &&
      words[s + sInspected + side]! > gapPackets &&
      words[s + sOpening + side] === own
    ) {
      // What is missing was lost by now; somebody wants the stream from here on.
      this.#dropOpening(s, side, own, 1);
      this.#restart(packet, slot, s, side, more);
      return;
    }
    const full = pool.length[own] === openingBytes;
    if (full) words[s + sPending + side]! &= ~set.opening;
    // While a gap is open the opening waits for what fills it.
    if (full || (grown && more === 0)) this.#dropOpening(s, side, own, packet.payloadWireLength + offset);
    if (words[s + sPending + side] === 0) this.#finishSide(s, side, true);
  }

  /** Keeps this segment for those who want more of this side. */
  #keep(slot: number, s: number, side: number, more: number, offset: number): void {
    if (more === 0 || (this.#flows.words[s + sFlags]! & flagDone) !== 0) return;
    const view = this.#view;
    const own = this.openingOf(slot, side);
    this.openings.put(own, offset, view.bytes, view.start, view.end);
  }

  #dropOpening(s: number, side: number, own: number, consumed: number): void {
    if (this.#flows.words[s + sOpening + side] !== own) return;
    this.openings.release(own);
    this.#flows.words[s + sOpening + side] = -1;
    this.#flows.words[s + sConsumed + side] = Math.max(1, Math.min(consumed, consumedMax));
  }

  openingOf(slot: number, side: number): number {
    return openingOf(this.openings, this.#flows.words, slot, side);
  }

  /** Asks `mask`; returns who wants more. Opening detectors that said No are not asked again about this side. */
  #ask(slot: number, s: number, set: DetectorSet, mask: number): number {
    const view = this.#view;
    const traced = (this.#flows.words[s + sFlags]! & flagTraced) !== 0;
    // Of a flow about which all is known, what was not believed is no news.
    const notesNear = (this.#flows.words[s + sFlags]! & flagDetailed) === 0;
    // Whose first bytes are still missing may yet turn out to be what is followed.
    const own = s + this.sighting.side;
    const waits = set === this.#tcp && this.#flows.words[own + sConsumed] === 0;
    const hasGap =
      view.openingEnd === view.openingStart && (waits || this.#flows.words[own + sOpening]! >= 0);
    let more = 0;
    let finished = 0;
    for (let rest = mask; rest !== 0;) {
      const bit = rest & -rest;
      rest ^= bit;
      const index = 31 - Math.clz32(bit);
      const detector = set.detectors[index]!;
      view.near = -1;
      view.at = 0;
      view.length = 0;
      view.inOpening = false;
      view.infoHashLength = 0;
      view.clientLength = 0;
      view.peers.count = 0;
      view.listenPort = 0;
      const outcome = set.inspects[index]!(view);
      this.detectorCalls++;
      if (traced) this.#tracer!.answer(detector, outcome, view, this.sighting);
      if (outcome !== Yes && view.near >= 0 && notesNear)
        this.#judge.notes.note(s, set.ids[index]!, view.near, gradeNear, false);
      if (outcome === No && view.near >= 0 && (bit & set.follows) !== 0) this.#judge.doubts?.noteUnlike(slot);
      if (outcome === More) more |= bit;
      else if (outcome === Yes) {
        this.#judge.believe(slot, s, set.ids[index]!, detector);
        const flags = this.#flows.words[s + sFlags]!;
        if ((flags & flagDone) !== 0) return 0;
        if ((flags & flagDecided) !== 0 && !traced) rest &= this.#flows.words[own + sPending]!;
        // What comes next may complete it: an answer to this datagram, or the info-hash behind a handshake's header.
        const open = (flags & (flagDecided | flagDetailed)) === flagDecided;
        const undecided = set === this.#udp && (flags & flagDecided) === 0;
        if (open || undecided || (bit & set.follows) !== 0) more |= bit;
      } else finished |= bit & (view.turn === 0 && hasGap ? set.opening : set.opening | set.follows);
    }
    this.#flows.words[own + sPending]! &= ~finished;
    return more;
  }

  /** Names another protocol by the payload in view. */
  #nameOther(s: number, tcp: boolean): void {
    const other = this.#registry.recogniseOther(this.#view, tcp ? 'tcp' : 'udp');
    this.#flows.words[s + sNoted]! |= (other & 0xff) << 8;
  }

  /** This side is not asked about any more. A kept datagram stays: the other side's answer is compared with it. */
  #finishSide(s: number, side: number, tcp: boolean): void {
    const words = this.#flows.words;
    if (words[s + sPending + 1 - side] === 0) this.#judge.finish(s);
    else if (tcp && words[s + sOpening + side]! >= 0) {
      this.openings.release(words[s + sOpening + side]!);
      words[s + sOpening + side] = -1;
    }
  }
}
