/**
 * The single place where evidence becomes a verdict. One proof decides. Otherwise it takes two strong items that do
 * not come from the same packet, a strong one and a hint of another speaker, or three hints: of a detector, of the memory
 * of endpoints and of that of hosts. A strong item or hints alone make a suspect, which is reported and never blocked.
 *
 * In the mode `shape` a strong item about an encrypted connection decides alone.
 */
import { bySwarm } from './witnesses.js';
import type { Registry } from './registry.js';
import { gradeHint, gradeNear, gradeProof, gradeStrong, type EvidenceStore } from './evidence.js';
import { BitTorrent, Suspect, Unknown, reasons, type Reason, type VerdictCode } from './verdict.js';

/** Encrypted connections are not looked for, need other evidence beside their shape, or are decided by it alone. */
export const encryptedModes = ['off', 'corroborated', 'shape'] as const;
export type EncryptedMode = (typeof encryptedModes)[number];

/** How to weigh, and the answer of `weigh`; one instance per engine, overwritten each time. */
export class Weighing {
  verdict: VerdictCode = Unknown;
  /** Index into `reasons`. */
  reason = 0;
  /** The item that speaks loudest (the oldest of the highest grade), or -1. */
  item = -1;
  /** The same among those that detectors found in the flow itself: it names the kind. */
  content = -1;

  /** Numbers from here on are witnesses. */
  readonly witnessesAt: number;
  /** 1 for detectors of encrypted connections, which go by the shape of a flow. */
  readonly shapes: Uint8Array;
  encrypted: EncryptedMode;

  constructor(registry: Registry, encrypted: EncryptedMode) {
    this.witnessesAt = registry.detectors.length;
    this.encrypted = encrypted;
    this.shapes = Uint8Array.from(registry.detectors, ({ findings }) =>
      findings.some(({ kind }) => kind === 'encrypted') ? 1 : 0,
    );
  }
}

const because = (reason: Reason): number => reasons.indexOf(reason);
const inspecting = because('inspecting');
const byProof = because('proof');
const byTwoStrong = because('two-strong');
const byStrongAndHint = because('strong-and-hint');
const byThreeHints = because('three-hints');
const byShape = because('shape');
const bySingleStrong = because('single-strong');
const bySingleHint = because('single-hint');

/** Weighs all evidence of a flow. */
export function weigh(store: EvidenceStore, head: number, into: Weighing): void {
  let best = -1;
  let bestGrade = gradeNear;
  let content = -1;
  let contentGrade = gradeNear;
  let strong = -1;
  let twoStrong = false;
  let alone = false;
  for (let item = head; item >= 0; item = store.next[item]!) {
    const grade = store.grade[item]!;
    if (grade === gradeNear) continue;
    const speaker = store.detector[item]!;
    if (grade >= bestGrade) {
      best = item;
      bestGrade = grade;
    }
    if (speaker < into.witnessesAt && grade >= contentGrade) {
      content = item;
      contentGrade = grade;
    }
    if (grade !== gradeStrong) continue;
    if (strong >= 0 && areIndependent(store, strong, item, into)) twoStrong = true;
    if (into.shapes[speaker] === 1 && into.encrypted === 'shape') alone = true;
    strong = item;
  }
  into.item = best;
  into.content = content;
  into.verdict = best < 0 ? Unknown : Suspect;
  into.reason = best < 0 ? inspecting : bestGrade === gradeStrong ? bySingleStrong : bySingleHint;
  if (bestGrade === gradeProof) into.reason = byProof;
  else if (twoStrong) into.reason = byTwoStrong;
  else if (strong >= 0 && hintOfOther(store, head, store.detector[strong]!, into))
    into.reason = byStrongAndHint;
  else if (alone) into.reason = byShape;
  else if (threeHints(store, head, into.witnessesAt)) into.reason = byThreeHints;
  else return;
  into.verdict = BitTorrent;
}

/**
 * Two packets that had to fit by themselves, or a packet and the memory of other flows. All that is said about the shape of
 * a flow is one thing, said of more and more packets.
 */
function areIndependent(store: EvidenceStore, one: number, two: number, weighing: Weighing): boolean {
  const first = store.detector[one]!;
  const second = store.detector[two]!;
  if (first === second && weighing.shapes[first] === 1) return false;
  if (Math.max(first, second) >= weighing.witnessesAt) return first !== second;
  return store.packet[one] !== store.packet[two];
}

/** A hint of another speaker; all that goes by the shape of a flow counts as one. */
function hintOfOther(store: EvidenceStore, head: number, detector: number, weighing: Weighing): boolean {
  for (let item = head; item >= 0; item = store.next[item]!) {
    const speaker = store.detector[item]!;
    if (store.grade[item] !== gradeHint || speaker === detector) continue;
    if (weighing.shapes[speaker] !== 1 || weighing.shapes[detector] !== 1) return true;
  }
  return false;
}

/** Hints of three different speakers: a detector, the memory of endpoints, and that of hosts. */
function threeHints(store: EvidenceStore, head: number, witnessesAt: number): boolean {
  let witness = -1;
  let otherWitness = false;
  let detector = false;
  for (let item = head; item >= 0; item = store.next[item]!) {
    if (store.grade[item] === gradeNear) continue;
    const speaker = store.detector[item]!;
    if (speaker < witnessesAt) detector = true;
    else if (speaker - witnessesAt === bySwarm) continue;
    else if (witness < 0) witness = speaker;
    else if (speaker !== witness) otherWitness = true;
  }
  return detector && otherWitness;
}
