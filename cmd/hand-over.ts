/**
 * When a flow that may go on is handed to the kernel. Packets that come once its mark is set pass at once, and overtake those
 * of the flow that still wait in the queue: on a fast line TCP sends many of them again for that.
 * So it is done with a packet behind which none of its own waits: one that is alone in its batch, and the batch was not full.
 * Until then the flow's packets pass here without a look. (To wait for a segment with PSH as well makes it worse: a transfer
 * begins with small bursts, and later it is in the midst of large ones.)
 */
import { Pass, type ActionCode } from '../lib/engine/action.js';
import {
  flagAction,
  flagActionShift,
  flagOffloaded,
  sFlags,
  sGoingOn,
  sStragglers,
  wordStride,
  type FlowTable,
} from '../lib/flow/table.js';

/**
 * At the latest it is done after so many packets. One in a full batch counts for more: under a load that fills batches
 * relief matters more than order.
 */
const packetsMax = 256;
const fullBatchCounts = 16;
/** Then as many more may be stragglers as a queue holds. */
const heldByQueue = 4096;

export class HandOver {
  readonly #flows: FlowTable;
  readonly #capacity: number;
  readonly #answer: (position: number, action: ActionCode) => void;
  // Packets of this batch whose flows may go on: position in the batch, flow, action.
  readonly #positions: Int32Array;
  readonly #slots: Int32Array;
  readonly #actions: Uint8Array;
  #count = 0;
  /** Number of the batch, for sGoingOn. */
  #batch = 1;

  /**
   * @param capacity packets of a batch, at most 256
   * @param answer writes the verdict of a packet of the batch: Pass, or the action with which the kernel goes on
   */
  constructor(flows: FlowTable, capacity: number, answer: (position: number, action: ActionCode) => void) {
    this.#flows = flows;
    this.#capacity = capacity;
    this.#answer = answer;
    this.#positions = new Int32Array(capacity);
    this.#slots = new Int32Array(capacity);
    this.#actions = new Uint8Array(capacity);
  }

  /** Notes a packet of a flow that may go on and is not yet in the kernel's hands. */
  note(position: number, slot: number, action: ActionCode): void {
    const { words } = this.#flows;
    const at = slot * wordStride + sGoingOn;
    words[at] = words[at]! >>> 8 === this.#batch ? words[at]! + 1 : (this.#batch << 8) | 1;
    const n = this.#count++;
    this.#positions[n] = position;
    this.#slots[n] = slot;
    this.#actions[n] = action;
  }

  /** Answers what was noted of a batch of `count` packets, once all of it was judged. */
  settle(count: number): void {
    this.#batch = (this.#batch + 1) & 0xffffff;
    if (this.#count === 0) return;
    const noted = this.#count;
    this.#count = 0;
    const isFull = count === this.#capacity;
    for (let n = 0; n < noted; n++) {
      const action = this.#actions[n]! as ActionCode;
      this.#answer(this.#positions[n]!, this.#isDue(this.#slots[n]!, action, isFull) ? action : Pass);
    }
  }

  #isDue(slot: number, action: ActionCode, isFull: boolean): boolean {
    const { words } = this.#flows;
    const s = slot * wordStride;
    // The row may be another flow's by now.
    if ((words[s + sFlags]! & flagAction) >> flagActionShift !== action) return false;
    const isAlone = !isFull && (words[s + sGoingOn]! & 0xff) === 1;
    words[s + sStragglers]! += isFull ? fullBatchCounts : 1;
    if (!isAlone && words[s + sStragglers]! < packetsMax) return false;
    words[s + sStragglers] = isAlone ? 0 : -heldByQueue;
    words[s + sFlags]! |= flagOffloaded;
    return true;
  }
}
