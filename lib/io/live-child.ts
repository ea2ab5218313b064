/**
 * The program that the kernel tests of live sources start inside a network namespace: watches an interface and prints
 * what it saw as JSON when its standard input ends.
 */
import { readdirSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { LiveCounters, LiveOptions } from './live-source.js';
import { openCap, openRing } from './open-live.js';
import type { PacketBatch } from './packet-source.js';
import type { RingSizes } from './ring-source.js';

export interface LivePlan {
  readonly kind: 'ring' | 'cap';
  readonly options: LiveOptions;
  readonly sizes?: RingSizes;
  /** Receive only once the input has ended, so that packets pile up. */
  readonly late?: boolean;
  /** Open and close this many times instead. */
  readonly reopen?: number;
  /** Watch with two threads, and end the first while it waits. */
  readonly threads?: boolean;
}

export interface LivePacket {
  readonly hex: string;
  readonly wireLength: number;
  readonly timeMicros: number;
  readonly frame: number;
  readonly linkType: number;
}

export interface LiveWords {
  readonly ready?: boolean;
  readonly index?: number;
  readonly packets?: readonly LivePacket[];
  readonly counters?: LiveCounters;
  readonly largestBatch?: number;
  /** What went wrong on the way, by code. */
  readonly errors?: readonly string[];
  /** Lengths of the memory after closing: of the view that the batch had, and what its first byte reads. */
  readonly closed?: readonly [number, number | null];
  readonly error?: { readonly code: string; readonly message: string };
  readonly growthBytes?: number;
  readonly descriptors?: readonly number[];
  readonly threadsSaw?: readonly number[];
}

/** After the end of the input the source is read until it was quiet for so many rounds. */
const idleRounds = 10;
const roundMillis = 20;

let ended = false;
const inputEnd = new Promise<void>((resolve) => {
  if (!isMainThread) return;
  process.stdin.resume().on('end', () => {
    ended = true;
    resolve();
  });
});

function tell(what: LiveWords): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}

class Record {
  readonly packets: LivePacket[] = [];
  readonly errors: string[] = [];
  largestBatch = 0;

  add({ count, bytes, start, end, wireLength, timeMicros, frame, linkType }: PacketBatch): void {
    this.largestBatch = Math.max(this.largestBatch, count);
    for (let i = 0; i < count; i++) {
      this.packets.push({
        hex: Buffer.from(bytes.slice(start[i], end[i])).toString('hex'),
        wireLength: wireLength[i]!,
        timeMicros: timeMicros[i]!,
        frame: frame[i]!,
        linkType: linkType[i]!,
      });
    }
  }
}

async function watchRing(plan: LivePlan): Promise<LiveWords> {
  const source = openRing(plan.options, plan.sizes);
  tell({ ready: true, index: source.index });
  const record = new Record();
  if (plan.late) await inputEnd;
  for (let idle = 0; idle < idleRounds;) {
    try {
      const count = source.receive(roundMillis);
      if (count === 0 && ended) idle++;
      record.add(source.batch);
    } catch (error) {
      record.errors.push(codeOf(error));
      // Of an interface that is gone nothing is left but to close.
      if (codeOf(error) !== 'interface-down') break;
    }
    await nextTurn();
  }
  await inputEnd;
  const { bytes } = source.batch;
  source.close();
  source.close();
  const counters = { ...source.counters };
  const { packets, errors, largestBatch } = record;
  return { packets, errors, largestBatch, counters, closed: [bytes.length, bytes[0] ?? null] };
}

async function watchCap(plan: LivePlan): Promise<LiveWords> {
  const source = await openCap(plan.options);
  tell({ ready: true, index: source.index });
  const record = new Record();
  source.start(
    () => {
      record.add(source.batch);
    },
    (error) => {
      record.errors.push(error.code);
    },
  );
  await inputEnd;
  for (let idle = 0, seen = -1; idle < idleRounds; idle++) {
    if (record.packets.length !== seen) idle = 0;
    seen = record.packets.length;
    await sleep(roundMillis);
  }
  source.close();
  source.close();
  const { packets, errors, largestBatch } = record;
  return { packets, errors, largestBatch, counters: source.counters };
}

const descriptorsNow = (): number => readdirSync('/proc/self/fd').length;

async function reopenRing(plan: LivePlan): Promise<LiveWords> {
  const round = (): void => {
    openRing(plan.options, plan.sizes).close();
    globalThis.gc?.();
  };
  for (let i = 0; i < 50; i++) round();
  await sleep(50);
  const descriptors = [descriptorsNow()];
  const before = process.memoryUsage.rss();
  for (let i = 0; i < plan.reopen!; i++) {
    round();
    if (i % 20 === 0) await nextTurn();
  }
  const growthBytes = process.memoryUsage.rss() - before;
  // Dropped without close, its memory still in use: the finalizer closes the socket and empties the memory.
  const kept = (() => openRing(plan.options, plan.sizes).batch.bytes)();
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await sleep(20);
  }
  descriptors.push(descriptorsNow());
  return { growthBytes, descriptors, closed: [kept.length, kept[0] ?? null] };
}

async function reopenCap(plan: LivePlan): Promise<LiveWords> {
  const errors: string[] = [];
  const descriptors = [descriptorsNow()];
  for (let i = 0; i < plan.reopen!; i++) {
    await openCap(plan.options).then(
      (source) => {
        source.close();
      },
      (error: unknown) => errors.push(codeOf(error)),
    );
    globalThis.gc?.();
  }
  // The pipes of the last process close when it has ended, which takes its time on a busy machine.
  for (let rounds = 0; rounds < 50 && descriptorsNow() > descriptors[0]!; rounds++) {
    await sleep(100);
    globalThis.gc?.();
  }
  descriptors.push(descriptorsNow());
  return { errors, descriptors };
}

/** What a capture thread does: receives without ever going back to its event loop. */
function serveOnThread({ options, sizes }: LivePlan): void {
  const source = openRing(options, sizes);
  parentPort!.postMessage('ready');
  for (;;) {
    const count = source.receive(100);
    if (count > 0) parentPort!.postMessage(count);
  }
}

async function watchOnThreads(plan: LivePlan): Promise<LiveWords> {
  const threadsSaw = [0, 0];
  const workers = threadsSaw.map(() => new Worker(new URL(import.meta.url), { workerData: plan }));
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  workers.forEach((worker, i) => {
    worker.on('message', (count: number) => (threadsSaw[i]! += count));
  });
  const descriptors = [descriptorsNow()];
  tell({ ready: true });
  await inputEnd;
  await sleep(idleRounds * roundMillis);
  await workers[0]!.terminate();
  descriptors.push(descriptorsNow());
  await workers[1]!.terminate();
  return { threadsSaw, descriptors };
}

function run(plan: LivePlan): Promise<LiveWords> {
  if (plan.threads) return watchOnThreads(plan);
  if (plan.reopen !== undefined) return plan.kind === 'ring' ? reopenRing(plan) : reopenCap(plan);
  return plan.kind === 'ring' ? watchRing(plan) : watchCap(plan);
}

if (isMainThread) {
  try {
    tell(await run(JSON.parse(process.argv[2]!) as LivePlan));
  } catch (error) {
    tell({ error: { code: codeOf(error), message: String(error) } });
  }
  // What was printed may still be on its way: exit only when it is out.
  process.stdout.end(() => process.exit(0));
} else {
  serveOnThread(workerData as LivePlan);
}
