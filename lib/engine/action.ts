/**
 * From what a flow is to what is done with it: the inline half of the policy. Asked after `Engine.packet` about every
 * packet; the answer for a flow is found once, kept in its row, and told to whoever reports.
 *
 *     allowed by the operator ──> accept          BitTorrent ──> by kind: drop, reject or accept
 *     nothing left to ask, or enough looked at ──> accept          else ──> pass, and look at the next packet
 *
 * A flow that was let go is never looked at again, so the budgets say how long an evader has to behave.
 */
import { kinds, type Kind } from '../../detectors/detector.js';
import {
  flagAction,
  flagActionShift,
  flagDone,
  flagDoubtful,
  flagNegotiates,
  flagReported,
  flagReportedAccepts,
  flagShape,
  firstSeen,
  lastSeen,
  keyMeta,
  sEvidence,
  sFlags,
  sInspected,
  sNoted,
  sPending,
  numberStride,
  packetsOf,
  payloadBytes,
  sDecidedPacket,
  sVerdict,
  wordStride,
  wrappedLayers,
} from '../flow/table.js';
import { protocolTcp } from '../wire/packet.js';
import { shapeSeconds } from '../limits.js';
import { gradeHint } from './evidence.js';
import type { Engine } from './engine.js';
import { BitTorrent, Suspect, type VerdictCode } from './verdict.js';

/** This packet may go on; the flow is still being looked at. */
export const Pass = 0;
/** The flow may go on, and is not looked at any more. */
export const Accept = 1;
export const Drop = 2;
/** Like Drop, but whoever sends is told. */
export const Reject = 3;
export type ActionCode = 0 | 1 | 2 | 3;
export const actions = ['pass', 'accept', 'drop', 'reject'] as const;
export type ActionName = (typeof actions)[number];

/** A flow that one strong item made suspect is looked at this many times as long as an unknown one. */
const suspectPatience = 2;

/**
 * A flow that has sent a part of a known beginning is looked at this many times its budget: a sender who cuts it into
 * single bytes, or holds one of them back, wins nothing but time.
 */
const partlyPatience = 4;

/**
 * A flow that is not asked about in one direction, and silent in the other, is let go after this many payload bytes
 * (one-way uploads, asymmetric routes), and any flow after this many times its budget in packets of any sort.
 */
const oneWayBytes = 256 * 1024;
const packetsPerInspected = 16;

/** Packets of a flow that has the whole shape of an encrypted connection until it is let go all the same. */
const shapePacketsMax = 65_536;

/** Packets that a proven flow may send on until its info-hash is seen, if info-hashes are on the allow-list. */
const infoHashPatience = 4;

export interface ActionOptions {
  readonly default: 'drop' | 'reject';
  readonly kinds: Readonly<Partial<Record<Kind, 'drop' | 'reject' | 'accept'>>>;
  /** Payload packets of both sides after which an unrecognised flow is let go. */
  readonly inspectedPackets: number;
  /** The same for a flow that was recognised as another protocol, and as none whose programs speak uTP too. */
  readonly inspectedPacketsClear: number;
  /** False in monitor mode: flows that would be blocked go on, and are looked at a while longer for what they teach. */
  readonly blocks: boolean;
  /** Info-hashes in lower-case hex digits; flows that name one of them are accepted. */
  readonly allowedInfoHashes: ReadonlySet<string>;
}

const codes = { accept: Accept, drop: Drop, reject: Reject } as const;

export class ActionPolicy {
  #byKind = new Uint8Array(kinds.length);
  #default: ActionCode = Reject;
  #inspectedPackets = 0;
  #blocks = false;
  #inspectedPacketsClear = 0;
  #infoHashes: ReadonlySet<string> = new Set();
  readonly #engine: Engine;
  readonly #onDecision: (slot: number, action: ActionCode) => void;

  /** @param onDecision called once for every flow that is BitTorrent, with what is done with it */
  constructor(
    engine: Engine,
    options: ActionOptions,
    onDecision: (slot: number, action: ActionCode) => void,
  ) {
    this.#engine = engine;
    this.#onDecision = onDecision;
    this.configure(options);
  }

  /** Takes new settings over. Flows that have their action keep it. */
  configure(options: ActionOptions): void {
    this.#default = codes[options.default];
    this.#byKind = Uint8Array.from(kinds, (kind) => codes[options.kinds[kind] ?? options.default]);
    this.#inspectedPackets = options.inspectedPackets;
    this.#inspectedPacketsClear = options.inspectedPacketsClear;
    this.#infoHashes = options.allowedInfoHashes;
    this.#blocks = options.blocks;
    this.#engine.inspector.details = options.allowedInfoHashes.size > 0;
  }

  /** The action of the flow in `slot`, if it has one already; else Pass. */
  standing(slot: number): ActionCode {
    const flags = this.#engine.flows.words[slot * wordStride + sFlags]!;
    return ((flags & flagAction) >> flagActionShift) as ActionCode;
  }

  /** What is done with a packet of the flow in `slot`, about which the engine just said `verdict`. */
  judge(slot: number, verdict: VerdictCode): ActionCode {
    const words = this.#engine.flows.words;
    const s = slot * wordStride;
    const flags = words[s + sFlags]!;
    const standing = (flags & flagAction) >> flagActionShift;
    if (standing !== Pass) return standing as ActionCode;
    if (verdict === BitTorrent) return this.#decide(slot, s, flags);
    // One whose shape was refuted since is not waited for.
    const hasShape = (flags & (flagShape | flagDoubtful)) === (flagShape | flagDoubtful);
    if (verdict === Suspect && hasShape && this.#awaitsRemotes(slot, s)) {
      const now = this.#engine.flows.numbers[slot * numberStride + lastSeen]!;
      return this.#engine.inspector.reconsider(slot, now) ? this.#decide(slot, s, words[s + sFlags]!) : Pass;
    }
    if ((flags & flagDone) !== 0 || this.#lookedEnough(slot, s, verdict)) return this.allow(slot);
    return Pass;
  }

  /** Lets a flow go: nothing is asked about it any more. */
  allow(slot: number): ActionCode {
    this.#engine.inspector.letGo(slot);
    this.#keep(slot * wordStride, Accept);
    return Accept;
  }

  /** A flow with the whole shape of an encrypted connection is kept until its host had time to try other remotes. */
  #awaitsRemotes(slot: number, s: number): boolean {
    const { words, numbers } = this.#engine.flows;
    const n = slot * numberStride;
    const age = numbers[n + lastSeen]! - numbers[n + firstSeen]!;
    return age < shapeSeconds * 1e6 && words[s + packetsOf]! + words[s + packetsOf + 1]! < shapePacketsMax;
  }

  #lookedEnough(slot: number, s: number, verdict: VerdictCode): boolean {
    const { words, numbers } = this.#engine.flows;
    // What is inside a proxy has no name yet.
    const wrapped = (words[s + sFlags]! & (flagNegotiates | wrappedLayers)) !== 0;
    const other = (words[s + sNoted]! >>> 8) & 0xff;
    const named = other !== 0 && !wrapped && !this.#engine.registry.speaksUtp(other);
    const budget =
      verdict === Suspect
        ? this.#inspectedPackets * suspectPatience
        : named
          ? this.#inspectedPacketsClear
          : this.#inspectedPackets;
    const inspected = words[s + sInspected]! + words[s + sInspected + 1]!;
    if (inspected >= budget && (inspected >= budget * partlyPatience || !this.#isPartly(slot, s)))
      return true;
    const oneWay = Math.min(words[s + sPending]!, words[s + sPending + 1]!) === 0;
    if (oneWay && numbers[slot * numberStride + payloadBytes]! > oneWayBytes) return true;
    return words[s + packetsOf]! + words[s + packetsOf + 1]! >= budget * packetsPerInspected;
  }

  #isPartly(slot: number, s: number): boolean {
    const tcp = (this.#engine.flows.words[s + keyMeta]! & 0xff) === protocolTcp;
    return tcp && this.#engine.inspector.beginnings.isPartly(slot);
  }

  #decide(slot: number, s: number, flags: number): ActionCode {
    const done = (flags & flagDone) !== 0;
    const reported = (flags & flagReported) !== 0;
    const action = reported ? this.#reportedAction(s, flags) : this.#actionOf(s, done);
    if (action === Pass) return Pass;
    const { words } = this.#engine.flows;
    if (!reported) {
      words[s + sFlags]! |= flagReported | (action === Accept ? flagReportedAccepts : 0);
      this.#onDecision(slot, action);
    }
    // A flow that goes on anyway may name the peers of the next ones.
    const goesOn = action === Accept || !this.#blocks;
    if (goesOn && !done && !this.#lookedEnough(slot, s, BitTorrent)) return Pass;
    this.#engine.inspector.letGo(slot);
    this.#keep(s, action);
    return action;
  }

  /** What was reported stays, whatever is learned about the flow afterwards. */
  #reportedAction(s: number, flags: number): ActionCode {
    return (flags & flagReportedAccepts) !== 0 ? Accept : this.#actionOfKind(s);
  }

  #actionOf(s: number, done: boolean): ActionCode {
    const words = this.#engine.flows.words;
    if (this.#infoHashes.size > 0) {
      const allowed = this.#infoHashAllowed(s);
      if (allowed === true) return Accept;
      const since = words[s + packetsOf]! + words[s + packetsOf + 1]! - words[s + sDecidedPacket]!;
      if (allowed === null && !done && since < infoHashPatience) return Pass;
    }
    return this.#actionOfKind(s);
  }

  #actionOfKind(s: number): ActionCode {
    const kind = (this.#engine.flows.words[s + sVerdict]! >>> 16) & 0xff;
    return kind < kinds.length ? (this.#byKind[kind]! as ActionCode) : this.#default;
  }

  /** Whether the flow's info-hash is on the allow-list; null while none was seen. */
  #infoHashAllowed(s: number): boolean | null {
    const { evidence } = this.#engine.inspector;
    let seen = false;
    for (let item = this.#engine.flows.words[s + sEvidence]!; item >= 0; item = evidence.next[item]!) {
      if (evidence.grade[item]! < gradeHint) continue;
      const hash = evidence.infoHash(item);
      if (hash === '') continue;
      if (this.#infoHashes.has(hash)) return true;
      seen = true;
    }
    return seen ? false : null;
  }

  #keep(s: number, action: ActionCode): void {
    const words = this.#engine.flows.words;
    words[s + sFlags] = (words[s + sFlags]! & ~flagAction) | (action << flagActionShift);
  }
}
