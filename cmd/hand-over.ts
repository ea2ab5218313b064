/**
 * When a flow that may go on is handed to the kernel. Packets that come once its mark is set pass at once, and overtake those
 * of the flow that still wait in the queue: on a fast line TCP sends many of them again for that.
 * So it is done with the flow's last packet in a batch, settled after all others, where no packet waits in the queue by then
 * (`QueueBatch.handOver`). Until then the flow's packets pass here without a look.
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
import { handOverAsked, handOverDone } from '../lib/io/packet-queue.js';

/**
 * At the latest it is done after so many packets. One in a full batch counts for more: under a load that fills batches
 * relief matters more than order.
 */
const packetsMax = 256;
const fullBatchCounts = 16;
/** Then as many more may be stragglers as a queue holds. */
const heldByQueue = 4096;

/**
 * Packets of a flow that may still come after its mark was given to the kernel: those that waited in the queue. More
 * mean that the mark does not stick (a rule before ours clears it, NOTRACK): then the verdicts are final ones, since
 * each repetition would bring the same packet back.
 */
const stragglersMax = 64;

/** What becomes of the packets of a batch that are noted here. */
export interface Answers {
  /** Writes and counts the verdict of a packet: Pass, or the action with which the kernel goes on. */
  answer(position: number, action: ActionCode): void;
  /** Writes Pass, and what the packet gets instead if its flow can be handed over; nothing is counted. */
  ask(position: number, action: ActionCode): void;
  /** Counts what a packet got for which it was asked. */
  count(action: ActionCode): void;
}

export class HandOver {
  readonly #flows: FlowTable;
  readonly #handOver: Uint8Array;
  readonly #answers: Answers;
  // Packets of this batch whose flows may go on: position in the batch, flow, action.
  readonly #positions: Int32Array;
  readonly #slots: Int32Array;
  readonly #actions: Uint8Array;
  #count = 0;
  /** Number of the batch, for sGoingOn. */
  #batch = 1;

  /** @param handOver that of the batch, for at most 256 packets */
  constructor(flows: FlowTable, handOver: Uint8Array, answers: Answers) {
    this.#flows = flows;
    this.#handOver = handOver;
    this.#answers = answers;
    const capacity = handOver.length;
    this.#positions = new Int32Array(capacity);
    this.#slots = new Int32Array(capacity);
    this.#actions = new Uint8Array(capacity);
  }

  /** Notes a packet of a flow that may go on and is not yet in the kernel's hands. */
  note(position: number, slot: number, action: ActionCode): void {
    const n = this.#count++;
    this.#flows.words[slot * wordStride + sGoingOn] = (this.#batch << 8) | n;
    this.#positions[n] = position;
    this.#slots[n] = slot;
    this.#actions[n] = action;
  }

  /** Answers what was noted of a batch of `count` packets, once all of it was judged and before it is settled. */
  ask(count: number): void {
    const batch = this.#batch;
    this.#batch = (batch + 1) & 0xffffff;
    const isFull = count === this.#positions.length;
    for (let n = 0; n < this.#count; n++) {
      const position = this.#positions[n]!;
      const action = this.#actions[n]! as ActionCode;
      const slot = this.#slots[n]!;
      if (!this.#isPending(slot, action)) this.#answers.answer(position, Pass);
      else if (this.#isDue(slot, isFull)) {
        this.#handOverFlow(slot, -heldByQueue);
        this.#answers.answer(position, action);
      } else if (!isFull && this.#flows.words[slot * wordStride + sGoingOn] === ((batch << 8) | n)) {
        this.#answers.ask(position, action);
        this.#handOver[position] = handOverAsked;
      } else this.#answers.answer(position, Pass);
    }
  }

  /** After the batch was settled: which flows are the kernel's now. */
  finish(): void {
    const noted = this.#count;
    this.#count = 0;
    for (let n = 0; n < noted; n++) {
      const outcome = this.#handOver[this.#positions[n]!]!;
      if (outcome === 0) continue;
      const isDone = outcome === handOverDone;
      if (isDone) this.#handOverFlow(this.#slots[n]!, 0);
      this.#answers.count(isDone ? (this.#actions[n]! as ActionCode) : Pass);
    }
  }

  /**
   * Counts a packet of a flow that is the kernel's, or is from now on, since it is blocked; true if the kernel should not
   * have asked about it any more.
   */
  isForgotten(slot: number): boolean {
    const { words } = this.#flows;
    // One that went on and is blocked since a change to enforce: what was counted until now were no stragglers.
    if ((words[slot * wordStride + sFlags]! & flagOffloaded) === 0) this.#handOverFlow(slot, 0);
    const at = slot * wordStride + sStragglers;
    if (words[at]! >= stragglersMax) return true;
    words[at]! += 1;
    return false;
  }

  /** The row may be another flow's by now, or this one handed over with an earlier packet of the batch. */
  #isPending(slot: number, action: ActionCode): boolean {
    const flags = this.#flows.words[slot * wordStride + sFlags]!;
    return (flags & flagAction) >> flagActionShift === action && (flags & flagOffloaded) === 0;
  }

  #isDue(slot: number, isFull: boolean): boolean {
    const { words } = this.#flows;
    const at = slot * wordStride + sStragglers;
    words[at]! += isFull ? fullBatchCounts : 1;
    return words[at]! >= packetsMax;
  }

  #handOverFlow(slot: number, stragglers: number): void {
    const { words } = this.#flows;
    words[slot * wordStride + sStragglers] = stragglers;
    words[slot * wordStride + sFlags]! |= flagOffloaded;
  }
}
