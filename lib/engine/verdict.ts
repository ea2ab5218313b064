/**
 * The words of a decision. A flow has a standing verdict (what it is); policy turns it into an action (what is done
 * with it). Reasons are a fixed vocabulary and also the metric label.
 */

/** What a flow is, by the evidence so far. Index is the stored number. */
export const verdicts = ['unknown', 'clear', 'suspect', 'bittorrent'] as const;
export type Verdict = (typeof verdicts)[number];

/** Nothing recognised (yet). */
export const Unknown = 0;
/** Recognised as another protocol. */
export const Clear = 1;
/** Something spoke for BitTorrent, but not enough to decide. */
export const Suspect = 2;
/** Decided: BitTorrent. */
export const BitTorrent = 3;
export type VerdictCode = 0 | 1 | 2 | 3;

/** The stored number of a verdict. Compared one by one: an object's field by a changing name costs a hash look-up. */
export function codeOf(verdict: Verdict): VerdictCode {
  if (verdict === 'unknown') return Unknown;
  if (verdict === 'clear') return Clear;
  return verdict === 'suspect' ? Suspect : BitTorrent;
}

/** Why the standing verdict is what it is. Index is the stored number. */
export const reasons = [
  'no-payload',
  'inspecting',
  'nothing-matched',
  'other-protocol',
  'single-hint',
  'single-strong',
  'proof',
  'two-strong',
  'strong-and-hint',
  'three-hints',
  'shape',
] as const;
export type Reason = (typeof reasons)[number];
