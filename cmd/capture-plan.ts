/** What a configuration means for a monitor: its rings, and what each worker reads from. */
import { randomInt } from 'node:crypto';
import { ringsOf, type Config } from '../lib/config/config.js';
import { workerCount } from '../lib/config/load.js';
import { makeBell, type BellMemory } from '../lib/io/bell.js';
import type { LiveOptions } from '../lib/io/live-source.js';
import { ringSizes, type RingSizes } from '../lib/io/ring-source.js';
import { makeSlabRing, type SlabRingMemory, type SlabRingSize } from '../lib/io/slab-ring.js';
import { flowsMaxLowest } from '../lib/limits.js';
import type { RingPlan } from './filter-settings.js';
import type { SwarmMemory } from './swarm-memory.js';

/** Of a ring's memory, per packet: its descriptor, and the bytes of a small packet on average. */
const descriptorBytes = 32;
const smallPacketBytes = 128;
/** The indexes, on cache lines of their own. */
const indexBytes = 256;
/** A slab is a multiple of it. */
const slabUnitBytes = 32;
const packetsMaxHighest = 1 << 22;
const slabBytesHighest = 1 << 30;

/** How a ring uses `bytes`: no more than that in all. */
export function ringSize(bytes: number): SlabRingSize {
  const wanted = Math.floor(bytes / (descriptorBytes + smallPacketBytes));
  const packetsMax = Math.min(packetsMaxHighest, 2 ** Math.floor(Math.log2(wanted)));
  const left = bytes - packetsMax * descriptorBytes - indexBytes;
  const slab = Math.floor(left / slabUnitBytes) * slabUnitBytes;
  return { packetsMax, slabBytes: Math.min(slab, slabBytesHighest) };
}

/** The memory between captures and workers, and between workers and the files. */
export interface CaptureMemory {
  /** By interface, then by worker. */
  readonly rings: readonly (readonly SlabRingMemory[])[];
  /** By worker; null: nothing is saved. */
  readonly saved: readonly SlabRingMemory[] | null;
  readonly bells: readonly BellMemory[];
  /** Of all rings together: at most what the configuration says. */
  readonly bytes: number;
}

export function makeCaptureMemory(config: Config): CaptureMemory {
  const { capture } = config;
  const workers = workerCount(config);
  const size = ringSize(Math.floor(capture.ringBytes / (ringsOf(capture) * workers)));
  const each = (): SlabRingMemory[] => Array.from({ length: workers }, () => makeSlabRing(size));
  const rings = capture.interfaces.map(each);
  const saved = capture.save.directory === null ? null : each();
  const all = [...rings.flat(), ...(saved ?? [])];
  const bytes = all.reduce(
    (sum, { slab, descriptors, indexes }) =>
      sum + slab.byteLength + descriptors.byteLength + indexes.byteLength,
    0,
  );
  return { rings, saved, bells: Array.from({ length: workers }, makeBell), bytes };
}

/** One plan per worker: its ring of each interface, its share of the flows, its own secret. */
export function ringPlansOf(
  config: Config,
  memory: CaptureMemory,
  swarm: SwarmMemory,
  processors: readonly number[] | null = config.affinity.data,
): RingPlan[] {
  const count = workerCount(config);
  const savedBell = makeBell();
  return Array.from({ length: count }, (_, worker) => ({
    worker,
    processors,
    queue: null,
    rings: {
      interfaces: config.capture.interfaces,
      memories: memory.rings.map((ofInterface) => ofInterface[worker]!),
      bell: memory.bells[worker]!,
      batchPackets: config.batch,
      saved: memory.saved?.[worker] ?? null,
      savedBell,
    },
    flowsMax: Math.max(flowsMaxLowest, Math.ceil(config.limits.flows / count)),
    hashSeed: randomInt(0x7fffffff),
    policy: config,
    swarm,
  }));
}

/** The kernel's ring as the configuration has it. */
export function ringSizesOf({ capture }: Config): RingSizes {
  return { blocks: Math.floor(capture.kernelBytes / ringSizes.blockBytes) };
}

export function liveOptionsOf({ capture, batch }: Config, name: string): LiveOptions {
  return {
    interface: name,
    filter: capture.filter,
    snapBytes: capture.snapBytes,
    promiscuous: capture.promiscuous,
    batchPackets: batch,
  };
}
