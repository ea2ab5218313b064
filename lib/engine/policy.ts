/**
 * The single place where evidence becomes a verdict. One proof decides. Otherwise it takes two strong items that do
 * not come from the same packet, or a strong one and a hint of another detector. A strong item or hints alone make a
 * suspect, which is reported and never blocked.
 */
import { gradeHint, gradeNear, gradeProof, gradeStrong, type EvidenceStore } from './evidence.js';
import { BitTorrent, Suspect, Unknown, reasons, type Reason, type VerdictCode } from './verdict.js';

/** The answer of `weigh`; one instance per engine, overwritten each time. */
export class Weighing {
  verdict: VerdictCode = Unknown;
  /** Index into `reasons`. */
  reason = 0;
  /** The item that speaks loudest (the oldest of the highest grade), or -1. */
  item = -1;
}

const because = (reason: Reason): number => reasons.indexOf(reason);
const inspecting = because('inspecting');
const byProof = because('proof');
const byTwoStrong = because('two-strong');
const byStrongAndHint = because('strong-and-hint');
const bySingleStrong = because('single-strong');
const bySingleHint = because('single-hint');

/** Weighs all evidence of a flow. */
export function weigh(store: EvidenceStore, head: number, into: Weighing): void {
  let best = -1;
  let bestGrade = gradeNear;
  let strong = -1;
  let twoStrong = false;
  for (let item = head; item >= 0; item = store.next[item]!) {
    const grade = store.grade[item]!;
    if (grade !== gradeNear && grade >= bestGrade) {
      best = item;
      bestGrade = grade;
    }
    if (grade !== gradeStrong) continue;
    if (strong >= 0 && store.packet[strong] !== store.packet[item]) twoStrong = true;
    strong = item;
  }
  into.item = best;
  into.verdict = best < 0 ? Unknown : Suspect;
  into.reason = best < 0 ? inspecting : bestGrade === gradeStrong ? bySingleStrong : bySingleHint;
  if (bestGrade === gradeProof) into.reason = byProof;
  else if (twoStrong) into.reason = byTwoStrong;
  else if (strong >= 0 && hintOfOther(store, head, store.detector[strong]!)) into.reason = byStrongAndHint;
  else return;
  into.verdict = BitTorrent;
}

function hintOfOther(store: EvidenceStore, head: number, detector: number): boolean {
  for (let item = head; item >= 0; item = store.next[item]!) {
    if (store.grade[item] === gradeHint && store.detector[item] !== detector) return true;
  }
  return false;
}
