/**
 * From what detectors say to what a flow is: keeps the evidence, weighs it, writes the standing verdict down, and sees to
 * it that nothing more is asked than is needed.
 */
import { kinds, type Detector, type Kind, type View } from '../../detectors/detector.js';
import type { OpeningPool } from '../flow/openings.js';
import {
  flagDecided,
  flagDetailed,
  flagDone,
  flagDoubtful,
  keyMeta,
  numberStride,
  payloadBeforeDecision,
  payloadBytes,
  sDecidedFile,
  sDecidedFrame,
  sDecidedPacket,
  sEvidence,
  sFile,
  sFirstFrame,
  sFlags,
  sNoted,
  sOpening,
  sPending,
  sVerdict,
  wordStride,
  type FlowTable,
} from '../flow/table.js';
import { evidenceMax, evidencePerFlowMax } from '../limits.js';
import { protocolTcp } from '../wire/packet.js';
import { Doubts } from './doubts.js';
import { EvidenceStore, gradeHint, gradeProof, type Sighting } from './evidence.js';
import { Notes } from './notes.js';
import { weigh, Weighing, type EncryptedMode } from './policy.js';
import { gradeOf, type DetectorSet, type Registry } from './registry.js';
import type { SwarmWatch } from './swarm-watch.js';
import { BitTorrent, reasons, type VerdictCode } from './verdict.js';
import { speakerOf } from './witnesses.js';

const byProof = reasons.indexOf('proof');

const encryptedKind = kinds.indexOf('encrypted');

/** Kinds of flows from which something is learned after the verdict. */
const teachingKinds = Uint8Array.from(kinds, (kind) =>
  (['peer', 'utp', 'dht', 'udp-tracker', 'http-tracker'] as readonly Kind[]).includes(kind) ? 1 : 0,
);

export interface JudgeOptions {
  readonly registry: Registry;
  readonly flows: FlowTable;
  readonly openings: OpeningPool;
  readonly tcp: DetectorSet;
  readonly udp: DetectorSet;
  /** What is said of the packet at hand, and which one that is; both are the inspector's. */
  readonly view: View;
  readonly sighting: Sighting;
  readonly swarm: SwarmWatch | null;
  readonly encrypted: EncryptedMode;
  readonly details: boolean;
}

export class Judge {
  readonly evidence: EvidenceStore;
  readonly notes: Notes;
  readonly doubts: Doubts | null;
  readonly weighing: Weighing;
  /** After the verdict, go on asking for details. */
  details: boolean;
  /** The packet repeats bytes that were judged: it is no second witness. */
  again = false;
  readonly #registry: Registry;
  readonly #flows: FlowTable;
  readonly #openings: OpeningPool;
  readonly #tcp: DetectorSet;
  readonly #udp: DetectorSet;
  readonly #view: View;
  readonly #sighting: Sighting;

  constructor(options: JudgeOptions) {
    const { registry, flows, view, sighting, swarm } = options;
    // Near misses may take half of it.
    this.evidence = new EvidenceStore(Math.min(evidenceMax, 2 * evidencePerFlowMax * flows.capacity));
    this.#registry = registry;
    this.#flows = flows;
    this.#openings = options.openings;
    this.#tcp = options.tcp;
    this.#udp = options.udp;
    this.#view = view;
    this.#sighting = sighting;
    this.details = options.details;
    this.notes = new Notes(this.evidence, flows.words, sighting, view);
    this.doubts = swarm === null ? null : new Doubts(swarm, flows, this.notes, registry.detectors.length);
    this.weighing = new Weighing(registry, options.encrypted);
  }

  /** Adds a finding and weighs again. After the verdict only an info-hash is news, and what can be learned. */
  believe(slot: number, s: number, id: number, detector: Detector): void {
    const view = this.#view;
    const words = this.#flows.words;
    let finding = detector.findings[view.finding]!;
    if (finding.elsewhere !== undefined && this.#registry.speaksUtp((words[s + sNoted]! >>> 8) & 0xff)) {
      view.finding = finding.elsewhere;
      finding = detector.findings[view.finding]!;
    }
    const grade = gradeOf(finding.confidence);
    if (grade === gradeProof) this.doubts?.learn(slot, finding.kind);
    if ((words[s + sFlags]! & flagDecided) !== 0) {
      if (view.infoHashLength === 0 || (words[s + sFlags]! & flagDetailed) !== 0) return;
      words[s + sFlags]! |= flagDetailed;
      this.notes.note(s, id, view.finding, grade, true);
      if (!this.#limitToTeachers(s)) this.finish(s);
      return;
    }
    const repeatable = finding.repeatable === true && !this.again;
    if (!this.notes.note(s, id, view.finding, grade, repeatable)) {
      // No room for the item: a proof still decides, anything less waits for a better day.
      if (finding.confidence !== 'proof') return;
      this.#settle(slot, s, BitTorrent, byProof, kinds.indexOf(finding.kind), gradeProof);
      return;
    }
    if (finding.kind === 'encrypted' || (finding.kind === 'utp' && grade === gradeHint)) {
      words[s + sFlags]! |= flagDoubtful;
      if (finding.kind === 'encrypted') this.doubts?.noteShape(slot, s, grade);
    }
    this.#weigh(slot, s);
  }

  /** Weighs all evidence of a flow, and writes down what it is now. */
  #weigh(slot: number, s: number): void {
    const weighing = this.weighing;
    weigh(this.evidence, this.#flows.words[s + sEvidence]!, weighing);
    const { verdict, reason, item, content } = weighing;
    if (item < 0) return;
    const { detector, finding, grade } = this.evidence;
    const from = content < 0 ? item : content;
    const kind = kinds.indexOf(speakerOf(this.#registry, detector[from]!).findings[finding[from]!]!.kind);
    this.#settle(slot, s, verdict, reason, kind, grade[item]!);
  }

  /** Writes the standing verdict. A decided flow is only asked for details that the deciding packet did not have. */
  #settle(slot: number, s: number, verdict: VerdictCode, reason: number, kind: number, grade: number): void {
    const words = this.#flows.words;
    words[s + sVerdict] = verdict | (reason << 8) | (kind << 16) | (grade << 24);
    if (verdict !== BitTorrent) return;
    words[s + sDecidedPacket] = this.#sighting.packet;
    words[s + sDecidedFrame] = this.#sighting.frame;
    words[s + sDecidedFile] = this.#sighting.file;
    words[s + sFlags]! |= flagDecided;
    // What is known needs no shape.
    words[s + sPending]! &= ~this.#setOf(s).shapes;
    words[s + sPending + 1]! &= ~this.#setOf(s).shapes;
    const n = slot * numberStride;
    this.#flows.numbers[n + payloadBeforeDecision] = this.#flows.numbers[n + payloadBytes]!;
    if (kind === encryptedKind) this.finish(s);
    else if (this.#view.infoHashLength > 0 || !this.details) {
      words[s + sFlags]! |= flagDetailed;
      if (!this.#limitToTeachers(s)) this.finish(s);
    }
  }

  #setOf(s: number): DetectorSet {
    return (this.#flows.words[s + keyMeta]! & 0xff) === protocolTcp ? this.#tcp : this.#udp;
  }

  /** After the verdict: only those are asked on from whom others can learn. False if there is nobody to ask. */
  #limitToTeachers(s: number): boolean {
    const words = this.#flows.words;
    if (this.doubts === null) return false;
    if (teachingKinds[(words[s + sVerdict]! >>> 16) & 0xff] !== 1) return false;
    const set = this.#setOf(s);
    words[s + sPending]! &= set.teaches;
    words[s + sPending + 1]! &= set.teaches;
    return (words[s + sPending]! | words[s + sPending + 1]!) !== 0;
  }

  /**
   * Asks the memory once more about a flow that ends undecided, as of the time of its last packet; `sighting` is
   * overwritten. True if that made it BitTorrent.
   */
  reconsider(slot: number, timeMicros: number): boolean {
    const words = this.#flows.words;
    const s = slot * wordStride;
    if ((words[s + sFlags]! & (flagDoubtful | flagDecided)) !== flagDoubtful) return false;
    const where = this.#sighting;
    where.side = 0;
    // Only the frames of evidence are remembered: the newest stands for the end.
    const newest = words[s + sEvidence]!;
    where.packet = newest < 0 ? 0 : this.evidence.packet[newest]!;
    where.frame = newest < 0 ? words[s + sFirstFrame]! : this.evidence.frame[newest]!;
    where.file = newest < 0 ? words[s + sFile]! : this.evidence.file[newest]!;
    where.timeMicros = timeMicros;
    this.askMemory(slot, s);
    return (words[s + sFlags]! & flagDecided) !== 0;
  }

  /** Adds what the memory says about the two ends of a flow, and weighs again. */
  askMemory(slot: number, s: number): void {
    if (this.doubts?.ask(slot, s, this.weighing.encrypted === 'shape') === true) this.#weigh(slot, s);
  }

  /** No more questions about this flow. */
  finish(s: number): void {
    this.#flows.words[s + sFlags]! |= flagDone;
    this.releaseOpenings(s);
  }

  /** Gives the openings of a flow back. */
  releaseOpenings(s: number): void {
    const words = this.#flows.words;
    for (let side = 0; side < 2; side++) {
      const own = words[s + sOpening + side]!;
      if (own >= 0) this.#openings.release(own);
      words[s + sOpening + side] = -1;
    }
  }
}
