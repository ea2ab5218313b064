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
import { kinds, More, View, Yes, type Detector } from '../../detectors/detector.js';
import { OpeningPool } from '../flow/openings.js';
import {
  counterStride,
  flagDone,
  flagSynClient,
  flagTraced,
  payloadBeforeDecision,
  payloadBytes,
  sBase,
  sConsumed,
  sDecidedPacket,
  sEvidence,
  sFlags,
  sInspected,
  sNoted,
  sOpening,
  sPending,
  stateStride,
  sVerdict,
  type FlowTable,
} from '../flow/table.js';
import { evidencePerFlowMax, inspectedPacketsMax, openingBytes } from '../limits.js';
import { protocolTcp, tcpSyn, type Packet } from '../wire/packet.js';
import { EvidenceStore, gradeNear, type Sighting } from './evidence.js';
import { weigh, Weighing } from './policy.js';
import { DetectorSet, gradeOf, type Registry } from './registry.js';
import { BitTorrent, reasons, type VerdictCode } from './verdict.js';

/** Follows one flow through the engine, for `swarmgate explain`. */
export interface Tracer {
  /** Asked once per new flow: is it this one? */
  wants(packet: Packet, frame: number): boolean;
  /** One answer of one detector about one packet. */
  answer(detector: Detector, outcome: number, view: View, where: Readonly<Sighting>): void;
}

/** Larger stream positions are not told apart; they only say "not at the beginning any more". */
const consumedMax = 0x3fffffff;

const byProof = reasons.indexOf('proof');

export class Inspector {
  readonly openings = new OpeningPool();
  readonly evidence = new EvidenceStore();
  /** Which packet is being inspected; written by the engine before `inspect`. */
  readonly sighting: Sighting = { side: 0, packet: 0, frame: 0, timeMicros: 0 };
  /** Calls of a detector's inspect. */
  detectorCalls = 0;

  readonly #registry: Registry;
  readonly #flows: FlowTable;
  readonly #tcp: DetectorSet;
  readonly #udp: DetectorSet;
  readonly #view = new View();
  readonly #weighing = new Weighing();
  readonly #tracer: Tracer | null;

  constructor(registry: Registry, flows: FlowTable, tracer: Tracer | null) {
    this.#registry = registry;
    this.#flows = flows;
    this.#tcp = new DetectorSet(registry.detectors, 'tcp');
    this.#udp = new DetectorSet(registry.detectors, 'udp');
    this.#tracer = tracer;
  }

  /** Makes all detectors of its transport pending for a new flow. */
  begin(slot: number, protocol: number): void {
    const s = slot * stateStride;
    const set = protocol === protocolTcp ? this.#tcp : this.#udp;
    this.#flows.state[s + sPending] = set.all;
    this.#flows.state[s + sPending + 1] = set.all;
  }

  /** Gives back what an ended flow held. */
  forget(slot: number): void {
    const s = slot * stateStride;
    this.releaseOpenings(s);
    const head = this.#flows.state[s + sEvidence]!;
    if (head >= 0) this.evidence.release(head);
  }

  /** Asks about the payload of one packet; `sighting` says which packet that is. */
  inspect(packet: Packet, slot: number, side: number): void {
    const s = slot * stateStride;
    const state = this.#flows.state;
    const tcp = packet.protocol === protocolTcp;
    const set = tcp ? this.#tcp : this.#udp;
    let pending = state[s + sPending + side]!;
    const inspected = state[s + sInspected + side]! + 1;
    const fromStart = !tcp || (state[s + sFlags]! & (flagSynClient << side)) !== 0;
    if (inspected === 1) pending &= fromStart ? set.atStart : set.inMiddle;
    pending &= inspected > inspectedPacketsMax ? 0 : set.askedAt[inspected]!;
    state[s + sPending + side] = pending;
    if (pending === 0) {
      this.#finishSide(s, side);
      return;
    }
    this.#showPayload(packet, s, side, inspected, fromStart);
    if (tcp) this.#inspectTcp(packet, slot, s, side, set, pending, inspected);
    else this.#inspectUdp(slot, s, side, set, pending, inspected);
  }

  /** The view's part that is the same for TCP and UDP. */
  #showPayload(packet: Packet, s: number, side: number, inspected: number, fromStart: boolean): void {
    const view = this.#view;
    view.bytes = packet.bytes;
    view.start = packet.payloadStart;
    view.end = packet.payloadEnd;
    view.wireLength = packet.payloadWireLength;
    view.fromClient = side === 0;
    view.fromStart = fromStart;
    view.payloadPacket = inspected;
    view.sourcePort = packet.sourcePort;
    view.destinationPort = packet.destinationPort;
    const pool = this.openings;
    const other = this.#flows.state[s + sOpening + 1 - side]!;
    view.other = pool.bytes;
    view.otherStart = other < 0 ? 0 : pool.start(other);
    view.otherEnd = other < 0 ? 0 : view.otherStart + pool.length[other]!;
    view.otherWireLength = other < 0 ? 0 : pool.wireLength[other]!;
    const own = this.#flows.state[s + sOpening + side]!;
    this.#showOpening(own);
  }

  #showOpening(own: number): void {
    const view = this.#view;
    const pool = this.openings;
    view.opening = pool.bytes;
    view.openingStart = own < 0 ? 0 : pool.start(own);
    view.openingEnd = own < 0 ? 0 : view.openingStart + pool.length[own]!;
    view.openingWireLength = own < 0 ? 0 : pool.wireLength[own]!;
  }

  #inspectUdp(
    slot: number,
    s: number,
    side: number,
    set: DetectorSet,
    pending: number,
    inspected: number,
  ): void {
    const state = this.#flows.state;
    state[s + sInspected + side] = inspected;
    this.#recogniseOther(s, inspected, false);
    const more = this.#ask(slot, s, set, pending);
    if (more === 0 || (state[s + sFlags]! & flagDone) !== 0) return;
    const view = this.#view;
    const own = this.#takeOpening(slot, s, side);
    this.openings.keepDatagram(own, view.bytes, view.start, view.end, view.wireLength);
  }

  #inspectTcp(
    packet: Packet,
    slot: number,
    s: number,
    side: number,
    set: DetectorSet,
    pending: number,
    inspected: number,
  ): void {
    const state = this.#flows.state;
    const view = this.#view;
    const sequence = (packet.tcpFlags & tcpSyn) !== 0 ? packet.sequence + 1 : packet.sequence;
    const offset = (sequence - state[s + sBase + side]!) | 0;
    const own = state[s + sOpening + side]!;
    if (own >= 0) {
      this.#inspectKept(slot, s, side, set, pending, inspected, offset, own);
      return;
    }
    const consumed = state[s + sConsumed + side]!;
    // Bytes that were looked at before say nothing new; a segment far ahead is looked at on its own.
    if (offset + view.wireLength <= consumed && offset > -openingBytes) return;
    state[s + sInspected + side] = inspected;
    if (offset === 0 && consumed === 0) {
      view.opening = view.bytes;
      view.openingStart = view.start;
      view.openingEnd = view.end;
      view.openingWireLength = view.wireLength;
      state[s + sConsumed + side] = view.wireLength;
      this.#recogniseOther(s, inspected, true);
      const more = this.#ask(slot, s, set, pending);
      this.#keep(slot, s, side, more, 0);
      return;
    }
    if (consumed === 0 && offset > 0 && offset < openingBytes && (pending & set.opening) !== 0) {
      this.#keep(slot, s, side, pending & set.opening, offset);
    } else if (offset <= consumed && offset >= 0) {
      // In order, and nobody wanted what came before: the stream can no longer be followed from its start.
      state[s + sConsumed + side] = Math.min(offset + view.wireLength, consumedMax);
    }
    const more = this.#ask(slot, s, set, pending & ~set.opening);
    if (more !== 0 && state[s + sOpening + side]! < 0) this.#restart(packet, slot, s, side, more);
  }

  /** A packet detector wants more of a segment in the middle: a new opening begins there. */
  #restart(packet: Packet, slot: number, s: number, side: number, more: number): void {
    const state = this.#flows.state;
    if ((state[s + sFlags]! & flagDone) !== 0) return;
    state[s + sBase + side] = packet.sequence;
    state[s + sConsumed + side] = 0;
    this.#keep(slot, s, side, more, 0);
  }

  /** A segment of a side whose opening is being kept. */
  #inspectKept(
    slot: number,
    s: number,
    side: number,
    set: DetectorSet,
    pending: number,
    inspected: number,
    offset: number,
    own: number,
  ): void {
    const state = this.#flows.state;
    const view = this.#view;
    const pool = this.openings;
    const before = pool.length[own]!;
    if (offset + view.wireLength <= before && offset > -openingBytes) {
      pool.put(own, offset, view.bytes, view.start, view.end);
      return;
    }
    state[s + sInspected + side] = inspected;
    let grown = false;
    if (offset < openingBytes && offset + (view.end - view.start) > 0) {
      grown = pool.put(own, offset, view.bytes, view.start, view.end) > before;
      this.#showOpening(own);
    }
    const asked = grown ? pending : pending & ~set.opening;
    if (grown && before === 0) this.#recogniseOther(s, inspected, true);
    const more = this.#ask(slot, s, set, asked);
    const full = pool.length[own] === openingBytes;
    const waiting = grown ? more !== 0 : true;
    // A gap that is not filled while the window moved on will not be filled any more in a cut or lossy capture.
    if (full) state[s + sPending + side]! &= ~set.opening;
    if (full || !waiting) this.#dropOpening(s, side, own, view.wireLength + offset);
    if (state[s + sPending + side] === 0) this.#finishSide(s, side);
  }

  /** Keeps this segment for those who want more of this side. */
  #keep(slot: number, s: number, side: number, more: number, offset: number): void {
    if (more === 0 || (this.#flows.state[s + sFlags]! & flagDone) !== 0) return;
    const view = this.#view;
    const own = this.#takeOpening(slot, s, side);
    this.openings.put(own, offset, view.bytes, view.start, view.end);
  }

  #dropOpening(s: number, side: number, own: number, consumed: number): void {
    if (this.#flows.state[s + sOpening + side] !== own) return;
    this.openings.release(own);
    this.#flows.state[s + sOpening + side] = -1;
    this.#flows.state[s + sConsumed + side] = Math.max(1, Math.min(consumed, consumedMax));
  }

  /** The opening of a side, taken from the pool if it has none; may take over the oldest of another flow. */
  #takeOpening(slot: number, s: number, side: number): number {
    const state = this.#flows.state;
    if (state[s + sOpening + side]! >= 0) return state[s + sOpening + side]!;
    const pool = this.openings;
    const victim = pool.next();
    if (victim >= 0) {
      const owner = pool.owner[victim]! * stateStride;
      state[owner + sOpening + pool.side[victim]!] = -1;
      state[owner + sConsumed + pool.side[victim]!] = 1;
    }
    const own = pool.take(slot, side);
    state[s + sOpening + side] = own;
    return own;
  }

  /** Asks `mask`; returns who wants more. Opening detectors that said No are not asked again about this side. */
  #ask(slot: number, s: number, set: DetectorSet, mask: number): number {
    const view = this.#view;
    const where = this.sighting;
    const traced = (this.#flows.state[s + sFlags]! & flagTraced) !== 0;
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
      const outcome = detector.inspect(view);
      this.detectorCalls++;
      if (traced) this.#tracer!.answer(detector, outcome, view, where);
      if (outcome !== Yes && view.near >= 0) this.#note(s, set.ids[index]!, view.near, gradeNear);
      if (outcome === More) more |= bit;
      else if (outcome === Yes) {
        if (this.#believe(slot, s, set.ids[index]!, detector)) return 0;
      } else finished |= bit & set.opening;
    }
    this.#flows.state[s + sPending + where.side]! &= ~finished;
    return more;
  }

  /** Adds a finding and weighs again; true when the flow is decided. */
  #believe(slot: number, s: number, id: number, detector: Detector): boolean {
    const view = this.#view;
    const finding = detector.findings[view.finding]!;
    const added = this.#note(s, id, view.finding, gradeOf(finding.confidence));
    const state = this.#flows.state;
    if (!added) {
      // No room for the item: a proof still decides, anything less waits for a better day.
      if (finding.confidence !== 'proof') return false;
      this.#settle(slot, s, BitTorrent, byProof, kinds.indexOf(finding.kind), 3);
      return true;
    }
    weigh(this.evidence, state[s + sEvidence]!, this.#weighing);
    const { verdict, reason, item } = this.#weighing;
    const speaker = this.#registry.detectors[this.evidence.detector[item]!]!;
    const kind = kinds.indexOf(speaker.findings[this.evidence.finding[item]!]!.kind);
    this.#settle(slot, s, verdict, reason, kind, this.evidence.grade[item]!);
    return verdict === BitTorrent;
  }

  /** Writes the standing verdict; a decided flow is not inspected any more. */
  #settle(slot: number, s: number, verdict: VerdictCode, reason: number, kind: number, grade: number): void {
    const state = this.#flows.state;
    state[s + sVerdict] = verdict | (reason << 8) | (kind << 16) | (grade << 24);
    if (verdict !== BitTorrent) return;
    state[s + sDecidedPacket] = this.sighting.packet;
    this.#flows.cold[slot * 2 + 1] = this.sighting.frame;
    const c = slot * counterStride;
    this.#flows.counters[c + payloadBeforeDecision] = this.#flows.counters[c + payloadBytes]!;
    this.#finish(s);
  }

  #note(s: number, id: number, finding: number, grade: number): boolean {
    const state = this.#flows.state;
    const count = state[s + sNoted]! & 0xff;
    const head = state[s + sEvidence]!;
    if (
      grade === gradeNear &&
      (count >= evidencePerFlowMax / 2 || this.evidence.has(head, id, finding, grade))
    )
      return false;
    if (count >= evidencePerFlowMax) return false;
    const item = this.evidence.add(head, id, finding, grade, this.sighting, this.#view);
    if (item < 0) return false;
    state[s + sEvidence] = item;
    state[s + sNoted]! += 1;
    return true;
  }

  /** Names another protocol by the first packets of either side. */
  #recogniseOther(s: number, inspected: number, tcp: boolean): void {
    const state = this.#flows.state;
    if (inspected > 2 || (state[s + sNoted]! & 0xff00) !== 0) return;
    const other = this.#registry.recogniseOther(this.#view, tcp ? 'tcp' : 'udp');
    state[s + sNoted]! |= (other & 0xff) << 8;
  }

  #finishSide(s: number, side: number): void {
    const state = this.#flows.state;
    if (state[s + sPending + 1 - side] === 0) this.#finish(s);
    else if (state[s + sOpening + side]! >= 0) {
      this.openings.release(state[s + sOpening + side]!);
      state[s + sOpening + side] = -1;
    }
  }

  /** No more questions about this flow. */
  #finish(s: number): void {
    this.#flows.state[s + sFlags]! |= flagDone;
    this.releaseOpenings(s);
  }

  /** Gives the openings of a flow back. */
  releaseOpenings(s: number): void {
    const state = this.#flows.state;
    for (let side = 0; side < 2; side++) {
      const own = state[s + sOpening + side]!;
      if (own >= 0) this.openings.release(own);
      state[s + sOpening + side] = -1;
    }
  }
}
