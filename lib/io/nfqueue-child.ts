/**
 * The program that the kernel tests start inside a network namespace: opens a queue, does one thing with every packet,
 * and prints what it saw as JSON when its standard input ends. With `workers` it does so on threads.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { counterNames, queueOwnerPort } from '../native/index.js';
import { NfqueueQueue, type NfqueueOptions } from './nfqueue.js';
import { handOverAsked, macStride, nfAccept, type QueueBatch } from './packet-queue.js';

export interface ChildPlan {
  readonly options: NfqueueOptions;
  /** Given to packets whose index counted from 0 is `verdictFrom` or above, nfAccept to those before. */
  readonly verdict?: number;
  readonly verdictFrom?: number;
  /** Bits to set in the mark of every packet, or of every `markEvery`-th. */
  readonly markBits?: number;
  readonly markEvery?: number;
  /** Packets that are to be handed over with these bits in their mark. */
  readonly handOver?: { readonly every: number; readonly from: number; readonly markBits: number };
  /** Begin to receive only when told so (a byte on standard input), so that packets pile up. */
  readonly wait?: boolean;
  /** Leave the first batch unsettled and wait for the end of the input. */
  readonly hold?: boolean;
  /** Hold the first batch behind so many packets instead. */
  readonly holdFrom?: number;
  /** Keep each batch in hand for so long. */
  readonly pauseMillis?: number;
  readonly copyBytesLater?: number;
  /** Queues to serve on one worker thread each; at the end the first worker is terminated while it waits. */
  readonly workers?: readonly number[];
  /** Open and close this many times instead. */
  readonly reopen?: number;
}

export interface SeenPacket {
  readonly id: number;
  readonly hook: number;
  readonly mark: number;
  readonly inInterface: number;
  readonly outInterface: number;
  readonly flags: number;
  readonly wireLength: number;
  readonly copied: number;
  readonly version: number;
  readonly mac: string;
  readonly frame: number;
  readonly timeMicros: number;
  /** Packets in the same batch. */
  readonly batch: number;
}

export interface ChildReport {
  readonly packets: readonly SeenPacket[];
  readonly counters: Record<string, number>;
  readonly owners?: readonly (readonly (number | null)[])[];
  readonly growthBytes?: number;
  readonly descriptors?: readonly number[];
}

const packetsKept = 300;

function seen(batch: QueueBatch, i: number): SeenPacket {
  const start = batch.start[i]!;
  const mac = batch.mac.slice(i * macStride, i * macStride + 6);
  return {
    id: batch.id[i]!,
    hook: batch.hook[i]!,
    mark: batch.mark[i]!,
    inInterface: batch.inInterface[i]!,
    outInterface: batch.outInterface[i]!,
    flags: batch.flags[i]!,
    wireLength: batch.wireLength[i]!,
    copied: batch.end[i]! - start,
    version: batch.bytes[start]! >> 4,
    mac: [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    frame: batch.frame[i]!,
    timeMicros: batch.timeMicros[i]!,
    batch: batch.count,
  };
}

let ended = false;
const firstInput = new Promise((resolve) => process.stdin.once('data', resolve));
const inputEnd = new Promise<void>((resolve) => {
  process.stdin.resume().on('end', () => {
    ended = true;
    resolve();
  });
});

function tell(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function decide(batch: QueueBatch, plan: ChildPlan, before: number): void {
  for (let i = 0; i < batch.count; i++) {
    const index = before + i;
    const marked = plan.markBits !== undefined && index % (plan.markEvery ?? 1) === 0;
    batch.verdict[i] = index >= (plan.verdictFrom ?? 0) ? (plan.verdict ?? nfAccept) : nfAccept;
    batch.verdictMark[i] = batch.mark[i]! | (marked ? plan.markBits : 0);
    const { handOver } = plan;
    if (handOver === undefined) continue;
    if (index % handOver.every === handOver.from) batch.handOver[i] = handOverAsked;
    batch.handOverMark[i] = batch.mark[i]! | handOver.markBits;
  }
}

async function serve(plan: ChildPlan): Promise<ChildReport> {
  const queue = new NfqueueQueue({ timeoutMillis: 20, ...plan.options });
  tell({ ready: true, info: queue.info });
  if (plan.wait) await Promise.race([firstInput, inputEnd]);
  const packets: SeenPacket[] = [];
  let total = 0;
  // Refused verdicts come back as messages of their own, which receive takes and returns 0: some more rounds after the end.
  for (let idle = 0; idle < 8;) {
    const count = queue.receive();
    if (count === 0 && ended) idle++;
    for (let i = 0; i < count && packets.length < packetsKept; i++) packets.push(seen(queue.batch, i));
    if (plan.hold && count > 0 && total >= (plan.holdFrom ?? 0)) {
      tell({ holding: count });
      await inputEnd;
      break;
    }
    if (count > 0 && plan.pauseMillis !== undefined) await sleep(plan.pauseMillis);
    decide(queue.batch, plan, total);
    total += count;
    if (count > 0) queue.settle();
    if (count > 0 && plan.copyBytesLater !== undefined) queue.setCopyBytes(plan.copyBytesLater);
    await nextTurn();
  }
  const counted = counterNames.map((name) => [name, queue.counters[name]] as const);
  const counters = { ...Object.fromEntries(counted), total, workMicros: queue.batch.workMicros[0]! };
  queue.close();
  queue.close();
  return { packets, counters };
}

/** What a worker thread does: serves without ever going back to its event loop, as the inline filter will. */
function serveOnThread(options: NfqueueOptions): void {
  const queue = new NfqueueQueue(options);
  parentPort!.postMessage('ready');
  for (;;) {
    const count = queue.receive();
    queue.batch.verdict.fill(nfAccept, 0, count);
    queue.batch.verdictMark.set(queue.batch.mark);
    queue.settle();
  }
}

async function serveOnWorkers(plan: ChildPlan): Promise<ChildReport> {
  const numbers = plan.workers!;
  const workers = numbers.map(
    (queue) => new Worker(new URL(import.meta.url), { workerData: { ...plan.options, queue } }),
  );
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  const ownersNow = (): (number | null)[] => numbers.map(queueOwnerPort);
  const owners = [ownersNow()];
  tell({ ready: true });
  await inputEnd;
  await workers[0]!.terminate();
  owners.push(ownersNow());
  await Promise.all(workers.map((worker) => worker.terminate()));
  owners.push(ownersNow());
  return { packets: [], counters: {}, owners };
}

async function reopen(plan: ChildPlan): Promise<ChildReport> {
  const { readdirSync } = await import('node:fs');
  const descriptorsNow = (): number => readdirSync('/proc/self/fd').length;
  const round = (): void => {
    new NfqueueQueue(plan.options).close();
    globalThis.gc?.();
  };
  for (let i = 0; i < 50; i++) round();
  // Finalizers run between turns of the event loop.
  await sleep(50);
  const descriptors = [descriptorsNow()];
  const before = process.memoryUsage.rss();
  for (let i = 0; i < plan.reopen!; i++) {
    round();
    if (i % 20 === 0) await nextTurn();
  }
  // Dropped without close: the finalizer must unbind, or opening the same number again fails.
  (() => new NfqueueQueue(plan.options))();
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await sleep(20);
  }
  const owners = [[queueOwnerPort(plan.options.queue)]];
  descriptors.push(descriptorsNow());
  return { packets: [], counters: {}, growthBytes: process.memoryUsage.rss() - before, descriptors, owners };
}

if (isMainThread) {
  const plan = JSON.parse(process.argv[2]!) as ChildPlan;
  const run = plan.workers !== undefined ? serveOnWorkers : plan.reopen !== undefined ? reopen : serve;
  try {
    tell(await run(plan));
  } catch (error) {
    tell({ error: { code: (error as { code?: string }).code, message: String(error) } });
  }
  process.exit(0);
} else {
  serveOnThread(workerData as NfqueueOptions);
}
