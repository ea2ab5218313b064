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
