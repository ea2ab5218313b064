/**
 * What a packet costs inside the engine, without reading the file: decode alone, decode and flow table, and everything
 * (fragments, flow, all pending detectors, ageing), averaged over a mix. The mix is read block by block and only the
 * loop over the packets of a block is timed, so that its bytes are as warm as they are in a scan. And what finding a
 * flow costs in tables of different sizes.
 */
import type { View } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { Engine } from '../lib/engine/engine.js';
import type { Registry } from '../lib/engine/registry.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import { FlowTable } from '../lib/flow/table.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { PacketBatch, type PacketSource } from '../lib/io/packet-source.js';
import { batchPacketsMax, flowsMaxDefault } from '../lib/limits.js';
import { SeededRandom } from '../lib/testing.js';
import { decodePacket } from '../lib/wire/decode.js';
import { Fragment, Ok, Packet, protocolTcp } from '../lib/wire/packet.js';
import { median, timeAll, type Timed } from './stopwatch.js';

/** Nanoseconds per packet over the whole mix. */
export interface PassReport {
  readonly packets: number;
  readonly ns: number;
}

export interface FlowReport extends PassReport {
  readonly lookups: readonly { readonly flows: number; readonly ns: number }[];
}

export interface EngineReport extends PassReport {
  /** Decode alone, and decode with the flow table. */
  readonly decodeNs: number;
  readonly flowNs: number;
  /** All of it but the flow table. */
  readonly detectionNs: number;
  readonly flows: number;
  readonly detectorCallsPerPacket: number;
}

/** Does something with all packets of a batch. */
type Pass = (batch: PacketBatch) => void;

/** Walks the mix; `work` uses up one block after the other. */
async function walk(path: string, work: (source: PacketSource) => void): Promise<void> {
  const source = await openCaptureFile(path);
  try {
    while (await source.fill()) work(source);
  } finally {
    await source.close();
  }
}

/** Runs a pass over the mix; only the pass is timed. */
async function over(path: string, pass: Pass): Promise<PassReport> {
  const batch = new PacketBatch(65_536);
  let packets = 0;
  let millis = 0;
  await walk(path, (source) => {
    while (source.next(batch) > 0) {
      packets += batch.count;
      const begin = performance.now();
      pass(batch);
      millis += performance.now() - begin;
    }
  });
  return { packets, ns: (millis * 1e6) / Math.max(packets, 1) };
}

/** The same with the walk through each block in the time: what a batch costs counts too. */
async function overBlocks(path: string, pass: Pass, batchPackets: number): Promise<number> {
  const batch = new PacketBatch(batchPackets);
  let packets = 0;
  let millis = 0;
  await walk(path, (source) => {
    const begin = performance.now();
    while (source.next(batch) > 0) {
      packets += batch.count;
      pass(batch);
    }
    millis += performance.now() - begin;
  });
  return (millis * 1e6) / Math.max(packets, 1);
}

function decodeAt(packet: Packet, batch: PacketBatch, i: number): number {
  packet.timeMicros = batch.timeMicros[i]!;
  return decodePacket(
    packet,
    batch.bytes,
    batch.start[i]!,
    batch.end[i]!,
    batch.wireLength[i]!,
    batch.linkType[i]!,
  );
}

function decodePass(): Pass {
  const packet = new Packet();
  return (batch) => {
    for (let i = 0; i < batch.count; i++) decodeAt(packet, batch, i);
  };
}

function flowPass(): Pass {
  const packet = new Packet();
  const flows = new FlowTable({ flowsMax: flowsMaxDefault, hashSeed: 1, onEnd: () => undefined });
  return (batch) => {
    for (let i = 0; i < batch.count; i++) {
      if (decodeAt(packet, batch, i) === Ok && flows.find(packet) < 0)
        flows.insert(packet, batch.frame[i]!, 0);
    }
  };
}

/** The same work as the scan's data plane. */
function enginePass(engine: Engine): Pass {
  const packet = new Packet();
  const fragments = new FragmentTable();
  return (batch) => {
    for (let i = 0; i < batch.count; i++) {
      let outcome = decodeAt(packet, batch, i);
      if (outcome === Fragment && fragments.offer(packet)) outcome = packet.outcome;
      if (outcome === Ok) engine.packet(packet, batch.wireLength[i]!, batch.frame[i]!, 0);
      if (i % batchPacketsMax === 0) engine.flows.age(packet);
    }
  };
}

function newEngine(detectors: Registry, onEnd: () => void): Engine {
  return new Engine({ registry: detectors, flowsMax: flowsMaxDefault, hashSeed: 1, onEnd });
}

/** Calls of detectors over the whole mix, counted in a pass that is not timed. */
async function countCalls(path: string): Promise<number> {
  let calls = 0;
  const counting = registry.detectors.map((detector) => ({
    ...detector,
    inspect: (view: View) => {
      calls++;
      return detector.inspect(view);
    },
  }));
  await over(path, enginePass(newEngine({ ...registry, detectors: counting }, () => undefined)));
  return calls;
}

/** The median of `repeat` passes; `pass` is called for a new one each time. */
async function medianPass(path: string, repeat: number, pass: () => Pass): Promise<PassReport> {
  const all: PassReport[] = [];
  for (let round = 0; round < repeat; round++) all.push(await over(path, pass()));
  return { packets: all[0]?.packets ?? 0, ns: median(all.map(({ ns }) => ns)) };
}

export function benchDecode(path: string, repeat: number): Promise<PassReport> {
  return medianPass(path, repeat, decodePass);
}

export async function benchFlow(path: string, repeat: number): Promise<FlowReport> {
  return { ...(await medianPass(path, repeat, flowPass)), lookups: benchLookups() };
}

/** Decode alone, decode and flow table, and everything take turns: what is left without the table is told round by round. */
export async function benchEngine(path: string, repeat: number): Promise<EngineReport> {
  const samples: Record<'decode' | 'flow' | 'all' | 'detection', number[]> = {
    decode: [],
    flow: [],
    all: [],
    detection: [],
  };
  let flows = 0;
  let packets = 0;
  for (let round = 0; round < repeat; round++) {
    const decode = (await over(path, decodePass())).ns;
    const flow = (await over(path, flowPass())).ns;
    flows = 0;
    const engine = newEngine(registry, () => flows++);
    const report = await over(path, enginePass(engine));
    engine.flows.endAll();
    samples.decode.push(decode);
    samples.flow.push(flow);
    samples.all.push(report.ns);
    samples.detection.push(report.ns - (flow - decode));
    packets = report.packets;
  }
  return {
    packets,
    ns: median(samples.all),
    decodeNs: median(samples.decode),
    flowNs: median(samples.flow),
    detectionNs: median(samples.detection),
    flows,
    detectorCallsPerPacket: (await countCalls(path)) / Math.max(packets, 1),
  };
}

/** The whole engine, given the packets of the mix in batches of each of these sizes; they take turns. */
export async function benchBatches(
  path: string,
  sizes: readonly number[],
  repeat: number,
): Promise<number[]> {
  const samples = sizes.map((): number[] => []);
  // Else the size that begins would pay for the compiler.
  await over(path, enginePass(newEngine(registry, () => undefined)));
  for (let round = 0; round < repeat; round++) {
    for (const [index, size] of sizes.entries()) {
      const engine = newEngine(registry, () => undefined);
      samples[index]!.push(await overBlocks(path, enginePass(engine), size));
    }
  }
  return samples.map(median);
}

/** Looks up flows of a table in random order, from both directions: the worst case, for a link is never that random. */
function lookup(count: number): Timed {
  const random = new SeededRandom(7);
  const flows = new FlowTable({ flowsMax: Math.max(count, 64), hashSeed: 1, onEnd: () => undefined });
  const packet = new Packet();
  packet.outcome = Ok;
  packet.ipVersion = 4;
  packet.protocol = protocolTcp;
  const client = Int32Array.from({ length: count }, () => 0x0a00_0000 | random.below(0xff_ffff));
  const server = Int32Array.from({ length: count }, () => random.below(0x7fff_ffff));
  const order = Int32Array.from({ length: 65_536 }, () => random.below(count));
  const show = (i: number, forward: boolean): void => {
    packet.source0 = forward ? client[i]! : server[i]!;
    packet.destination0 = forward ? server[i]! : client[i]!;
    packet.sourcePort = forward ? 50_000 : 443;
    packet.destinationPort = forward ? 443 : 50_000;
  };
  for (let i = 0; i < count; i++) {
    show(i, true);
    if (flows.find(packet) < 0) flows.insert(packet, i, 0);
  }
  return {
    name: `${count}`,
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) {
        show(order[i & 0xffff]!, (i & 1) === 0);
        sum += flows.find(packet);
      }
      return sum;
    },
  };
}

function benchLookups(): FlowReport['lookups'] {
  const counts = [1_000, 100_000, 500_000];
  const ns = timeAll(counts.map(lookup), 15);
  return counts.map((flows, index) => ({ flows, ns: ns[index]! }));
}
