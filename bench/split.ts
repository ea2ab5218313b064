/**
 * One capture file by one thread, and split by flow over several: one thread reads and hands every packet to the ring of
 * its worker. Tells whether more threads for one file are worth it: `node dist/bench/split.js FILE [runs]`.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { makeSwarmMemory, watchOver, type SwarmMemory } from '../cmd/swarm-memory.js';
import { registry } from '../detectors/index.js';
import { Engine } from '../lib/engine/engine.js';
import { codeOf, verdicts } from '../lib/engine/verdict.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import { Bell, makeBell, type BellMemory } from '../lib/io/bell.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { Dispatcher, dispatcherCountsLength, skippedPacketsAt } from '../lib/io/dispatcher.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { RingQueue } from '../lib/io/ring-queue.js';
import { makeSlabRing, RingWriter, type SlabRingMemory } from '../lib/io/slab-ring.js';
import { flowsMaxDefault } from '../lib/limits.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import { decodePacket } from '../lib/wire/decode.js';
import { Fragment, Ok, Packet } from '../lib/wire/packet.js';
import { median } from './stopwatch.js';

const slabBytes = 16 * 1024 * 1024;
const packetsMax = 16_384;
/** Packets that may be on their way, so that nothing is skipped: 9000 of 1500 bytes fill a slab. */
const aheadMax = 8000;
const batchPackets = 64;

interface Role {
  readonly swarm: SwarmMemory;
  readonly ring: SlabRingMemory;
  readonly bell: BellMemory;
  /** Packets done by each worker, then 1 when the file is at its end. */
  readonly progress: SharedArrayBuffer;
  readonly worker: number;
}

/** The steps of a scan behind the source: decode, reassemble, engine. */
class Analysis {
  readonly #engine: Engine;
  readonly #fragments = new FragmentTable();
  readonly #packet = new Packet();
  /** Flows by the code of their verdict. */
  readonly verdicts: number[] = verdicts.map(() => 0);

  constructor(swarm: SwarmMemory) {
    const view = new EndedFlowView(() => '');
    this.#engine = new Engine({
      registry,
      flowsMax: flowsMaxDefault,
      hashSeed: 4711,
      details: true,
      swarm: watchOver(swarm),
      encrypted: 'corroborated',
      reconsiders: true,
      onEnd: (engine, slot) => {
        view.show(engine, slot);
        this.verdicts[codeOf(view.verdict)]! += 1;
      },
    });
  }

  take(batch: PacketBatch): void {
    const packet = this.#packet;
    for (let i = 0; i < batch.count; i++) {
      const wireLength = batch.wireLength[i]!;
      packet.timeMicros = batch.timeMicros[i]!;
      packet.frameBytes = wireLength;
      const [start, end] = [batch.start[i]!, batch.end[i]!];
      let outcome = decodePacket(packet, batch.bytes, start, end, wireLength, batch.linkType[i]!);
      if (outcome === Fragment && this.#fragments.offer(packet)) outcome = packet.outcome;
      if (outcome === Ok) this.#engine.packet(packet, packet.frameBytes, batch.frame[i]!, 0);
    }
    this.#engine.flows.age(packet);
  }

  end(): number[] {
    this.#engine.flows.endAll();
    return this.verdicts;
  }
}

async function eachBatch(path: string, take: (batch: PacketBatch) => void): Promise<void> {
  const source = await openCaptureFile(path);
  const batch = new PacketBatch(batchPackets);
  while (await source.fill()) while (source.next(batch) > 0) take(batch);
  await source.close();
}

interface Outcome {
  /** Of the whole process. */
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Flows by verdict. */
  readonly flows: readonly number[];
}

/** Clock and processor time from when everything is ready: threads of a pool have been started before. */
class Watch {
  readonly #begin = performance.now();
  readonly #cpu = process.cpuUsage();

  outcome(flows: readonly number[]): Outcome {
    const { user, system } = process.cpuUsage(this.#cpu);
    return {
      wallSeconds: (performance.now() - this.#begin) / 1000,
      cpuSeconds: (user + system) / 1e6,
      flows,
    };
  }
}

async function alone(path: string): Promise<Outcome> {
  const analysis = new Analysis(makeSwarmMemory());
  const watch = new Watch();
  await eachBatch(path, (batch) => {
    analysis.take(batch);
  });
  return watch.outcome(analysis.end());
}

async function split(path: string, workers: number): Promise<Outcome> {
  const swarm = makeSwarmMemory();
  const rings = Array.from({ length: workers }, () => makeSlabRing({ slabBytes, packetsMax }));
  const bells = rings.map(makeBell);
  const progress = new Int32Array(new SharedArrayBuffer((workers + 1) * 4));
  const threads = rings.map((ring, worker) => {
    const role: Role = { swarm, ring, bell: bells[worker]!, progress: progress.buffer, worker };
    return new Worker(new URL(import.meta.url), { workerData: role });
  });
  await Promise.all(threads.map((thread) => once(thread, 'message')));
  const ended = threads.map(async (thread) => ((await once(thread, 'message')) as [number[]])[0]);
  const counts = new Float64Array(dispatcherCountsLength(workers));
  const writers = rings.map((ring, i) => new RingWriter(ring, bells[i]!));
  const dispatcher = new Dispatcher({ writers, seed: 4711, counts });
  const done = (): number => progress.subarray(0, workers).reduce((sum, count) => sum + count, 0);
  let sent = 0;
  let known = 0;
  const watch = new Watch();
  await eachBatch(path, (batch) => {
    while (sent - known > aheadMax) {
      known = done();
      if (sent - known > aheadMax) Atomics.wait(progress, workers, 0, 0.2);
    }
    dispatcher.take(batch);
    sent += batch.count;
  });
  Atomics.store(progress, workers, 1);
  for (const bell of bells) new Bell(bell).ring();
  const parts = await Promise.all(ended);
  if (counts[skippedPacketsAt]! > 0) throw new Error('packets were skipped');
  return watch.outcome(verdicts.map((_, code) => parts.reduce((sum, part) => sum + part[code]!, 0)));
}

function work({ swarm, ring, bell, progress, worker }: Role): number[] {
  const words = new Int32Array(progress);
  const rings = [{ memory: ring, interfaceIndex: 0 }];
  const queue = new RingQueue({ rings, bell, batchPackets, waitMillis: 20 });
  const analysis = new Analysis(swarm);
  parentPort!.postMessage('ready');
  for (;;) {
    const isEnd = Atomics.load(words, words.length - 1) === 1;
    const count = queue.receive();
    if (count === 0 && isEnd) return analysis.end();
    if (count === 0) continue;
    analysis.take(queue.batch);
    queue.settle();
    Atomics.add(words, worker, count);
  }
}

const ways: readonly (readonly [string, (path: string) => Promise<Outcome>])[] = [
  ['one thread', alone],
  ['reader and one worker', (path) => split(path, 1)],
  ['reader and two workers', (path) => split(path, 2)],
];

/** One measurement in a process of its own: nothing of an earlier one is compiled or cached in it. */
function measure(path: string, way: number): Outcome {
  const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), path, '1', String(way)], {
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(run.stderr);
  return JSON.parse(run.stdout) as Outcome;
}

/** One way to scan a file, with the times of all runs in seconds. */
export interface SplitRow {
  readonly way: string;
  readonly wallSeconds: readonly number[];
  readonly cpuSeconds: readonly number[];
  /** Flows by verdict. */
  readonly flows: readonly number[];
}

/** All ways in turn, each in the place of the first once. */
export function benchSplit(path: string, runs: number): SplitRow[] {
  const outcomes = ways.map((): Outcome[] => []);
  for (let run = 0; run < runs; run++) {
    for (let turn = 0; turn < ways.length; turn++) {
      const index = (run + turn) % ways.length;
      outcomes[index]!.push(measure(path, index));
    }
  }
  return ways.map(([way], i) => ({
    way,
    wallSeconds: outcomes[i]!.map(({ wallSeconds }) => wallSeconds),
    cpuSeconds: outcomes[i]!.map(({ cpuSeconds }) => cpuSeconds),
    flows: outcomes[i]![0]!.flows,
  }));
}

export function renderSplit(rows: readonly SplitRow[]): string {
  const shown = (values: readonly number[]): string =>
    `${median(values).toFixed(2)} s (${values.map((value) => value.toFixed(2)).join(' ')})`;
  return rows
    .map(({ way, wallSeconds, cpuSeconds, flows }) => {
      const counts = flows.map((count, code) => `${count} ${verdicts[code]!}`).join(', ');
      return `${way}: wall ${shown(wallSeconds)}, processor ${shown(cpuSeconds)}; ${counts}\n`;
    })
    .join('');
}

if (!isMainThread) parentPort!.postMessage(work(workerData as Role));
else if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [path, runs, way] = process.argv.slice(2);
  if (path === undefined) throw new Error('usage: node dist/bench/split.js FILE [runs]');
  process.stdout.write(
    way === undefined
      ? renderSplit(benchSplit(path, Number(runs ?? 5)))
      : JSON.stringify(await ways[Number(way)]![1](path)),
  );
}
