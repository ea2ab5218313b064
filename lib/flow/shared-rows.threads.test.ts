/**
 * Two writers give one row to two fingerprints in turn, with values that tell whose they are, as fast as they can, while
 * readers look for both: who finds a row finds its own values, all of one moment.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { SharedRows } from './shared-rows.js';

const workers = 3;
const runMillis = 700;

interface Shared {
  readonly memory: SharedArrayBuffer;
  readonly number: number;
}

interface Seen {
  looks: number;
  found: number;
  wrong: number;
}

/** Values of fingerprint `tag` at the `turn` of a writer: latest says which turn, all others follow from it. */
function fill(row: Int32Array, tag: number, turn: number): void {
  row[0] = turn;
  for (let i = 1; i < row.length; i++) row[i] = Math.imul(turn + i, 0x9e3779b1) ^ tag;
}

function isOwn(row: Int32Array, tag: number): boolean {
  const turn = row[0]!;
  for (let i = 1; i < row.length; i++) if (row[i] !== (Math.imul(turn + i, 0x9e3779b1) ^ tag)) return false;
  return true;
}

function run({ memory, number }: Shared): Seen {
  const rows = new SharedRows(memory, 0, 8, 4711);
  const seen: Seen = { looks: 0, found: 0, wrong: 0 };
  const end = performance.now() + runMillis;
  let turn = number + 1;
  while (performance.now() < end) {
    for (let i = 0; i < 1000; i++) {
      const tag = 100 + (i & 1);
      if (number > 0) {
        fill(rows.row, tag, (turn += workers) & 0xffffff);
        rows.store(0, tag, tag);
      }
      seen.looks++;
      const looked = 100 + ((i >> 1) & 1);
      if (rows.find(looked, looked, 0, 0, 0x7fffffff) < 0) continue;
      seen.found++;
      if (!isOwn(rows.row, looked)) seen.wrong++;
    }
  }
  return seen;
}

if (isMainThread) {
  test('attack: threads that cross in one row never show the values of another, nor of two moments', async (t) => {
    const memory = new SharedArrayBuffer(SharedRows.byteLength(8));
    const all = await Promise.all(
      Array.from({ length: workers }, (_, number) => {
        const worker = new Worker(new URL(import.meta.url), { workerData: { memory, number } });
        return new Promise<Seen>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
      }),
    );
    const sum = (of: (seen: Seen) => number): number => all.reduce((total, seen) => total + of(seen), 0);
    t.diagnostic(`${sum((seen) => seen.looks)} looks, ${sum((seen) => seen.found)} found`);
    assert.ok(sum((seen) => seen.found) > 0);
    // Some 100,000 looks meet a mixture, and the digest of one in 2^32 fits by chance; without it thousands are wrong.
    assert.ok(sum((seen) => seen.wrong) <= 1, `${sum((seen) => seen.wrong)} wrong`);
  });
} else {
  parentPort!.postMessage(run(workerData as Shared));
}
