/**
 * A filter loop that never lets a flow go, to measure what inspection costs a bulk transfer: `swarmgate run` would hand
 * it to the kernel after a few packets. Each packet is decoded, finds its flow and is shown to the detectors that ask
 * about packets, which never run out of patience here; the openings of a flow are kept and judged once, as always.
 */
import type { ActionCode } from '../lib/engine/action.js';
import { Pass } from '../lib/engine/action.js';
import { flagDone, keyMeta, sFlags, sInspected, wordStride } from '../lib/flow/table.js';
import type { FilterLoop } from '../cmd/filter-loop.js';

/** Replaces the policy of `loop`: every packet may go on, and its flow is as unknown behind it as at its beginning. */
export function holdFlows(loop: FilterLoop): void {
  const { engine, policy } = loop;
  policy.judge = (slot: number): ActionCode => {
    const { words } = engine.flows;
    const s = slot * wordStride;
    words[s + sFlags]! &= ~flagDone;
    words[s + sInspected] = 1;
    words[s + sInspected + 1] = 1;
    engine.inspector.begin(slot, words[s + keyMeta]! & 0xff);
    return Pass;
  };
}
