import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadConfig } from '../lib/config/load.js';
import { plansOf } from './filter-plan.js';
import { WorkerPool } from './worker-pool.js';

/** A worker that is ready at once, and ends when its counters' owner wants it to. */
const ready = `
  const { parentPort, workerData } = require('node:worker_threads');
  parentPort.postMessage({ kind: 'ready', threadId: 1 });
  const control = new Int32Array(workerData.control);
  parentPort.on('message', ({ kind }) => { if (kind === 'crash') throw new Error('crash'); });
  setInterval(() => { if (control[0] !== 0) process.exit(0); }, 10);`;

/** One that sees to its messages 50 ms late, as one does that waits in the kernel; `deaf` never does. */
const late = (deaf: boolean): string => `
  const { parentPort, workerData } = require('node:worker_threads');
  const control = new Int32Array(workerData.control);
  const counters = new Float64Array(workerData.counters);
  parentPort.postMessage({ kind: 'ready', threadId: 1 });
  parentPort.on('message', ({ policy }) => setTimeout(() => {
    counters[0] = policy.mode === 'enforce' ? 1 : 2;
    if (!${deaf}) Atomics.store(control, 3, Atomics.load(control, 1));
  }, 50));
  setInterval(() => { if (control[0] !== 0) process.exit(0); }, 10);`;

/** One that reports as much as it has room for, as one does that is flooded with flows worth a report. */
const talkative = `
  const { parentPort, workerData } = require('node:worker_threads');
  const control = new Int32Array(workerData.control);
  parentPort.postMessage({ kind: 'ready', threadId: 1 });
  let made = 0;
  while (control[0] === 0) {
    if (Atomics.load(control, 2) >= 100 || made >= 100_000) continue;
    Atomics.add(control, 2, 1);
    made++;
    parentPort.postMessage({ kind: 'decisions', decisions: [{}] });
  }
  process.exit(0);`;

const quiet = {
  onDecisions: () => undefined,
  onFound: () => undefined,
  onLost: () => undefined,
  onRestarted: () => undefined,
};

test('a new policy is taken over when all workers judge by it; one that hangs does not hold it up', async () => {
  const config = loadConfig({ file: null, env: {}, flags: new Map([['workers', '2']]) });
  const plans = plansOf(config, 'accept');
  for (const deaf of [false, true]) {
    const pool = new WorkerPool(
      plans,
      quiet,
      (settings) => new Worker(late(deaf), { eval: true, workerData: settings }),
    );
    await pool.start();
    const started = performance.now();
    await pool.configure({ ...config, mode: 'enforce' }, false);
    const millis = performance.now() - started;
    assert.deepEqual([pool.countsOf(0)[0], pool.countsOf(1)[0]], [1, 1]);
    assert.equal(millis >= 1000, deaf, `${millis} ms`);
    await pool.stop(false);
  }
});

test('a worker that no thread can be had for is tried again, and nothing is thrown', async () => {
  const [plan] = plansOf(loadConfig({ file: null, env: {}, flags: new Map() }), 'accept');
  const lost: string[] = [];
  let attempts = 0;
  let back = (): void => undefined;
  const restarted = new Promise<void>((resolve) => (back = resolve));
  const pool = new WorkerPool(
    [plan!],
    {
      onDecisions: () => undefined,
      onFound: () => undefined,
      onLost: (_worker, why) => lost.push(why),
      onRestarted: () => {
        back();
      },
    },
    (settings) => {
      if (++attempts === 2) throw new Error('ERR_WORKER_INIT_FAILED: EAGAIN');
      return new Worker(ready, { eval: true, workerData: settings });
    },
  );
  await pool.start();
  pool.tell(0, { kind: 'crash' });
  await restarted;
  assert.deepEqual(lost, ['crash', 'ERR_WORKER_INIT_FAILED: EAGAIN']);
  assert.equal(attempts, 3);
  await pool.stop(false);
});

test('one turn of the main thread sees no more reports than there is room for, however many come', async () => {
  const [plan] = plansOf(loadConfig({ file: null, env: {}, flags: new Map() }), 'accept');
  let turn = 0;
  let most = 0;
  let all = 0;
  const onDecisions = (): void => {
    most = Math.max(most, ++turn);
    all++;
    // As long as it takes the worker to fill its room again.
    for (const until = performance.now() + 0.02; performance.now() < until;);
  };
  const pool = new WorkerPool(
    [plan!],
    { ...quiet, onDecisions },
    (settings) => new Worker(talkative, { eval: true, workerData: settings }),
  );
  await pool.start();
  while (all < 5000) {
    await new Promise(setImmediate);
    turn = 0;
  }
  await pool.stop(false);
  assert.ok(most <= 200, `${most} in one turn`);
});
