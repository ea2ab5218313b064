/** Two threads ring a third and wait for its answer, as fast as they can: a lost wake-up would leave somebody asleep. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Bell, makeBell, type BellMemory } from './bell.js';

const ringers = 2;
const rounds = 15_000;
/** Nobody sleeps so long unless nobody wakes him. */
const waitMillis = 20_000;

interface Role {
  readonly number: number;
  readonly bells: readonly BellMemory[];
  /** Questions asked by each ringer, then answers to each. */
  readonly words: SharedArrayBuffer;
}

/** Times that a wait ended because its time was over. */
function ask({ number, bells, words: memory }: Role): number {
  const words = new Int32Array(memory);
  const [own, other] = [new Bell(bells[number]!), new Bell(bells[ringers]!)];
  let round = 0;
  let late = 0;
  const isAnswered = (): boolean => Atomics.load(words, ringers + number) >= round;
  while (round < rounds) {
    round++;
    Atomics.store(words, number, round);
    other.ring();
    while (!isAnswered()) if (!own.wait(isAnswered, waitMillis)) late++;
  }
  return late;
}

function answer({ bells, words: memory }: Role): number {
  const words = new Int32Array(memory);
  const own = new Bell(bells[ringers]!);
  const others = bells.slice(0, ringers).map((bell) => new Bell(bell));
  const answered = others.map(() => 0);
  const isAsked = (): boolean => answered.some((count, i) => Atomics.load(words, i) > count);
  let late = 0;
  while (answered.some((count) => count < rounds)) {
    if (!own.wait(isAsked, waitMillis)) late++;
    for (const [i, other] of others.entries()) {
      const asked = Atomics.load(words, i);
      if (asked === answered[i]) continue;
      answered[i] = asked;
      Atomics.store(words, ringers + i, asked);
      other.ring();
    }
  }
  return late;
}

if (isMainThread) {
  test('no wake-up is lost between threads that ring and sleep in turn', async () => {
    const bells = Array.from({ length: ringers + 1 }, makeBell);
    const words = new SharedArrayBuffer(2 * ringers * 4);
    const late = await Promise.all(
      bells.map((_, number) => {
        const workerData: Role = { number, bells, words };
        const worker = new Worker(new URL(import.meta.url), { workerData });
        return new Promise<number>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
      }),
    );
    assert.deepEqual(late, [0, 0, 0]);
    assert.deepEqual([...new Int32Array(words)], [rounds, rounds, rounds, rounds]);
  });

  test('nobody rings: the wait ends when its time is over, and not at all begins when there is work', () => {
    const bell = new Bell(makeBell());
    assert.equal(
      bell.wait(() => false, 1),
      false,
    );
    assert.equal(
      bell.wait(() => true, 1_000_000),
      true,
    );
  });

  test('a bell that rang before the wait but after the look for work ends the wait', () => {
    const memory = makeBell();
    const [listener, ringer] = [new Bell(memory), new Bell(memory)];
    const ringInBetween = (): boolean => {
      ringer.ring();
      return false;
    };
    assert.equal(listener.wait(ringInBetween, 1_000_000), true);
  });
} else {
  const role = workerData as Role;
  parentPort!.postMessage(role.number < ringers ? ask(role) : answer(role));
}
