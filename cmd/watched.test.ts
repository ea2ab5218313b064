/** Captures that end by themselves, with threads and sources that are made up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { makeBell } from '../lib/io/bell.js';
import { LiveSourceError, type EventLiveSource } from '../lib/io/live-source.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { batchOf, numbered } from '../lib/io/ring-testing.js';
import { makeSlabRing, RingReader } from '../lib/io/slab-ring.js';
import { chooseSource } from './capture.js';
import { CapWatch, RingWatch, type Watched, type WatchLog, type WatchPlan } from './watched.js';

const memories = [makeSlabRing({ slabBytes: 65_536, packetsMax: 64 })];
const plan: WatchPlan = {
  live: { interface: 'try0', filter: '', snapBytes: 2048, promiscuous: true, batchPackets: 64 },
  sizes: {},
  memories,
  bells: [makeBell()],
  seed: 1,
  processors: null,
};

class Told {
  text = '';
  readonly log: WatchLog = {
    info: (message) => (this.text += `${message}\n`),
    warn: (message, code) => (this.text += `${message} [${code}]\n`),
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    assert.ok(i < 1000, 'it did not come');
    await sleep(10);
  }
}

const stateOf = (watched: Watched): string => watched.report().state;

/** A capture thread that does what each message tells it. */
const thread = `
  const { parentPort, workerData } = require('node:worker_threads');
  const counts = new Float64Array(workerData.counters);
  counts[0] = 10;
  parentPort.postMessage({ kind: 'ready', threadId: 1 });
  parentPort.on('message', (what) => {
    if (what === 'crash') throw new Error('crash');
    parentPort.postMessage(what);
  });
  const control = new Int32Array(workerData.control);
  setInterval(() => { if (control[0] !== 0) process.exit(0); }, 10);`;

test('a capture thread: waiting is told once, a lost one is started again and may wait then', async () => {
  const told = new Told();
  const threads: Worker[] = [];
  const mayWait: boolean[] = [];
  const watched = new RingWatch(plan, told.log, (settings) => {
    mayWait.push(settings.mayWait);
    const worker = new Worker(thread, { eval: true, workerData: settings });
    threads.push(worker);
    return worker;
  });
  await watched.start();
  assert.equal(stateOf(watched), 'watching');
  threads[0]!.postMessage({ kind: 'waiting', code: 'interface-down' });
  await until(() => stateOf(watched) === 'waiting');
  threads[0]!.postMessage({ kind: 'waiting', code: 'interface-missing' });
  await until(() => watched.report().problem === 'it is gone');
  assert.equal(told.text.split('interface-lost').length, 2, told.text);
  threads[0]!.postMessage({ kind: 'watching' });
  await until(() => stateOf(watched) === 'watching');
  threads[0]!.postMessage('crash');
  await until(() => stateOf(watched) === 'restarting');
  assert.match(watched.report().problem!, /crash/);
  await until(() => stateOf(watched) === 'watching');
  assert.deepEqual(mayWait, [false, true]);
  const { captured, restarts, problem } = watched.report();
  assert.deepEqual([captured, restarts, problem], [20, 1, null]);
  assert.match(told.text, /capture-lost[^]*watching try0 again/);
  await watched.stop();
  assert.equal(stateOf(watched), 'stopped');
});

class FakeCap implements EventLiveSource {
  readonly kind = 'cap';
  readonly name = 'try0';
  readonly index = 7;
  readonly linkType = 1;
  readonly counters = { captured: 0, kernelDropped: -1 };
  batch = new PacketBatch();
  closed = false;
  #onBatch: () => void = () => undefined;
  end: (error: LiveSourceError) => void = () => undefined;

  start(onBatch: () => void, onEnd: (error: LiveSourceError) => void): void {
    this.#onBatch = onBatch;
    this.end = onEnd;
  }

  feed(packets: number): void {
    this.batch = batchOf(Array.from({ length: packets }, (_, i) => numbered(i, 60)));
    this.#onBatch();
  }

  close(): void {
    this.closed = true;
  }
}

const gone = new LiveSourceError('interface-missing', 'try0 was removed');

test('cap: an interface that went away is looked for until it is back, any other end is a loss', async () => {
  const told = new Told();
  const sources: FakeCap[] = [];
  const problems: LiveSourceError[] = [];
  const watched = new CapWatch(plan, told.log, () => {
    const problem = problems.shift();
    if (problem !== undefined) return Promise.reject(problem);
    sources.push(new FakeCap());
    return Promise.resolve(sources.at(-1)!);
  });
  await watched.start();
  sources[0]!.feed(7);
  assert.equal(new RingReader(memories[0]!).waiting, 7);
  problems.push(gone, gone);
  sources[0]!.end(new LiveSourceError('interface-down', 'try0 is down'));
  assert.equal(stateOf(watched), 'waiting');
  await until(() => stateOf(watched) === 'watching');
  assert.equal(told.text.split('interface-lost').length, 2, told.text);
  sources[1]!.end(new LiveSourceError('capture-failed', 'its process ended'));
  assert.equal(stateOf(watched), 'restarting');
  await until(() => stateOf(watched) === 'watching');
  sources[2]!.feed(5);
  const { captured, kernel_dropped, restarts } = watched.report();
  assert.deepEqual([captured, kernel_dropped, restarts], [12, null, 2]);
  await watched.stop();
  assert.ok(sources[2]!.closed);
  assert.equal(stateOf(watched), 'stopped');
});

test('cap: what cannot be opened at the start is an error; a stop in between leaves nothing open', async () => {
  const told = new Told();
  await assert.rejects(new CapWatch(plan, told.log, () => Promise.reject(gone)).start(), gone);
  const late = new FakeCap();
  const watched = new CapWatch(plan, told.log, async () => {
    await sleep(50);
    return late;
  });
  const starting = watched.start();
  await watched.stop();
  await starting;
  assert.ok(late.closed);
  assert.equal(told.text, '');
});

test('the source: the ring where there is one, else cap, else what is missing for both', () => {
  const has = (ring: string | null, cap: string | null): Parameters<typeof chooseSource>[1] => ({
    ring: () => ring,
    cap: () => cap,
  });
  assert.equal(chooseSource('auto', has(null, null)), 'ring');
  assert.equal(chooseSource('auto', has('no addon', null)), 'cap');
  assert.equal(chooseSource('cap', has(null, null)), 'cap');
  assert.throws(() => chooseSource('auto', has('no addon', 'no package')), {
    code: 'source-missing',
    message: /ring: no addon; cap: no package/,
  });
  assert.throws(() => chooseSource('ring', has('no addon', null)), { message: /ring: no addon$/ });
});
