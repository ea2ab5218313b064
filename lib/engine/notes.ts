/** Adds items of evidence to flows: what is new, and finds room. */
import type { View } from '../../detectors/detector.js';
import { sEvidence, sNoted } from '../flow/table.js';
import { evidencePerFlowMax } from '../limits.js';
import { gradeNear, type EvidenceStore, type Sighting } from './evidence.js';

/** Near misses kept of a flow: they must leave room for evidence. */
const nearMissesMax = evidencePerFlowMax / 2;

export class Notes {
  readonly evidence: EvidenceStore;
  readonly words: Int32Array;
  readonly sighting: Sighting;
  readonly view: View;

  /** All shared with the inspector: the packet at hand is `sighting`, what is said of it is in `view`. */
  constructor(evidence: EvidenceStore, words: Int32Array, sighting: Sighting, view: View) {
    this.evidence = evidence;
    this.words = words;
    this.sighting = sighting;
    this.view = view;
  }

  /** Keeps an item; false if it says nothing new (unless `repeatable`) or there is no room. */
  note(s: number, id: number, finding: number, grade: number, repeatable: boolean): boolean {
    const { words, evidence, sighting } = this;
    const count = words[s + sNoted]! & 0xff;
    const head = words[s + sEvidence]!;
    if (!repeatable && evidence.has(head, id, finding, grade, sighting.side)) return false;
    if (count >= (grade === gradeNear ? nearMissesMax : evidencePerFlowMax)) return false;
    const item = evidence.add(head, id, finding, grade, sighting, this.view);
    if (item < 0) return false;
    words[s + sEvidence] = item;
    words[s + sNoted]! += 1;
    return true;
  }
}
