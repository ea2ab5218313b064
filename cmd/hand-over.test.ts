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
import { handOverDone } from '../lib/io/packet-queue.js';
import { HandOver } from './hand-over.js';

const capacity = 8;

/** Flows that were accepted, and what becomes of their packets, a batch at a time. */
class Trial {
  readonly flows = new FlowTable({ flowsMax: 64, hashSeed: 1, onEnd: () => undefined });
  readonly asks = new Uint8Array(capacity);
  #answers: string[] = [];
  #asked: number[] = [];
  readonly handOver = new HandOver(this.flows, this.asks, {
    answer: (position, action) => (this.#answers[position] = action === Pass ? 'pass' : 'hand'),
    ask: (position) => this.#asked.push(position),
    count: (action) => (this.#answers[this.#asked.shift()!] = action === Pass ? 'asked' : 'last'),
  });

  constructor() {
    for (const slot of [1, 2, 3]) this.decide(slot, Accept);
  }

  decide(slot: number, action: ActionCode): void {
    this.flows.words[slot * wordStride + sFlags] = action << flagActionShift;
  }

  /** A batch of packets of these flows; `others` more are of flows about which nothing is noted. */
  batch(slots: readonly number[], { others = 0, waits = false } = {}): string[] {
    this.#answers = [];
    this.asks.fill(0);
    for (const [position, slot] of slots.entries()) this.handOver.note(position, slot, Accept);
    this.handOver.ask(slots.length + others);
    if (!waits) for (const [i, asked] of this.asks.entries()) if (asked !== 0) this.asks[i] = handOverDone;
    this.handOver.finish();
    assert.equal(this.#asked.length, 0, 'every packet for which it was asked is counted');
    return this.#answers;
  }

  isHanded(slot: number): boolean {
    return (this.flows.words[slot * wordStride + sFlags]! & flagOffloaded) !== 0;
  }
}

test('the last packet of a batch hands its flow over, where nothing waits behind it', () => {
  const trial = new Trial();
  assert.deepEqual(trial.batch([1], { others: 3 }), ['last']);
  assert.ok(trial.isHanded(1));
  assert.ok(!trial.isHanded(2));
  assert.deepEqual(trial.batch([2, 3, 2, 2]), ['pass', 'last', 'pass', 'last']);
  assert.ok(trial.isHanded(2) && trial.isHanded(3));
});

test('where packets wait in the queue nobody is handed over', () => {
  const trial = new Trial();
  assert.deepEqual(trial.batch([1, 2, 1], { waits: true }), ['pass', 'asked', 'asked']);
  assert.ok(!trial.isHanded(1) && !trial.isHanded(2));
  assert.deepEqual(trial.batch([1]), ['last']);
});

test('in a full batch it is not even asked: more wait behind it', () => {
  const trial = new Trial();
  assert.deepEqual(trial.batch([1], { others: capacity - 1 }), ['pass']);
  assert.deepEqual(trial.batch([1], { others: capacity - 2 }), ['last']);
});

test('under a load that fills batches a flow is handed over after 16 packets, where the queue is never empty after 256', () => {
  const loaded = new Trial();
  let packets = 0;
  while (!loaded.isHanded(1)) {
    loaded.batch([1], { others: capacity - 1 });
    packets++;
  }
  assert.equal(packets, 16);
  assert.ok(loaded.flows.words[wordStride + sStragglers]! < -1000, 'a queue of stragglers may follow');
  const bursts = new Trial();
  packets = 0;
  let answers: string[] = [];
  while (!bursts.isHanded(1)) {
    answers = bursts.batch([1, 1, 1], { waits: true });
    packets += 3;
  }
  assert.equal(packets, 258);
  assert.deepEqual(answers, ['hand', 'pass', 'pass'], 'with the first that is one too many, and once');
});

test('a row that another flow took within the batch is left alone', () => {
  const trial = new Trial();
  trial.handOver.note(0, 1, Accept);
  trial.decide(1, Drop);
  trial.handOver.ask(1);
  assert.equal(trial.asks[0], 0);
  trial.handOver.finish();
  assert.ok(!trial.isHanded(1));
});

test('numbers of batches go round', () => {
  const trial = new Trial();
  for (let batch = 0; batch < 3; batch++) {
    assert.deepEqual(trial.batch([1, 1], { waits: true }), ['pass', 'asked']);
    for (let i = 0; i < 1 << 24; i++) trial.handOver.ask(0);
  }
});
