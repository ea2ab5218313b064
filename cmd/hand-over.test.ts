/** A flow is handed to the kernel where no packet of it can overtake another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Accept, Drop, Pass, type ActionCode } from '../lib/engine/action.js';
import {
  flagActionShift,
  flagOffloaded,
  FlowTable,
  sFlags,
  sStragglers,
  wordStride,
} from '../lib/flow/table.js';
import { HandOver } from './hand-over.js';

const capacity = 8;

/** Flows that were accepted, and what is answered to their packets, a batch at a time. */
class Trial {
  readonly flows = new FlowTable({ flowsMax: 64, hashSeed: 1, onEnd: () => undefined });
  #answers: string[] = [];
  readonly handOver = new HandOver(this.flows, capacity, (position, action) => {
    this.#answers[position] = action === Pass ? 'pass' : 'hand';
  });

  constructor() {
    for (const slot of [1, 2, 3]) this.decide(slot, Accept);
  }

  decide(slot: number, action: ActionCode): void {
    this.flows.words[slot * wordStride + sFlags] = action << flagActionShift;
  }

  /** A batch of packets of these flows; `others` more are of flows about which nothing is noted. */
  batch(slots: readonly number[], others = 0): string[] {
    this.#answers = [];
    for (const [position, slot] of slots.entries()) this.handOver.note(position, slot, Accept);
    this.handOver.settle(slots.length + others);
    return this.#answers;
  }

  isHanded(slot: number): boolean {
    return (this.flows.words[slot * wordStride + sFlags]! & flagOffloaded) !== 0;
  }
}

test('a packet that is alone in its batch hands its flow over', () => {
  const trial = new Trial();
  assert.deepEqual(trial.batch([1], 3), ['hand']);
  assert.ok(trial.isHanded(1));
  assert.ok(!trial.isHanded(2));
});

test('of a flow with more packets in the batch all pass, beside others', () => {
  const trial = new Trial();
  assert.deepEqual(trial.batch([1, 2, 1, 3, 1]), ['pass', 'hand', 'pass', 'hand', 'pass']);
  assert.ok(!trial.isHanded(1));
  assert.deepEqual(trial.batch([1]), ['hand']);
});

test('in a full batch nobody is handed over at once: more may wait behind it', () => {
  const trial = new Trial();
  assert.deepEqual(trial.batch([1], capacity - 1), ['pass']);
  assert.deepEqual(trial.batch([1], capacity - 2), ['hand']);
});

test('under a load that fills batches a flow is handed over after 16 packets, in bursts after 256', () => {
  const loaded = new Trial();
  let packets = 0;
  while (!loaded.isHanded(1)) {
    loaded.batch([1], capacity - 1);
    packets++;
  }
  assert.equal(packets, 16);
  assert.ok(loaded.flows.words[wordStride + sStragglers]! < -1000, 'a queue of stragglers may follow');
  const bursts = new Trial();
  packets = 0;
  while (!bursts.isHanded(1)) {
    bursts.batch([1, 1]);
    packets += 2;
  }
  assert.equal(packets, 256);
});

test('a row that another flow took within the batch is left alone', () => {
  const trial = new Trial();
  trial.handOver.note(0, 1, Accept);
  trial.decide(1, Drop);
  trial.handOver.settle(1);
  assert.ok(!trial.isHanded(1));
});

test('numbers of batches go round', () => {
  const trial = new Trial();
  for (let batch = 0; batch < 3; batch++) {
    assert.deepEqual(trial.batch([1, 1]), ['pass', 'pass']);
    for (let i = 0; i < 1 << 24; i++) trial.handOver.settle(0);
  }
});
