/** What the control plane tells a worker: at its start, and when the configuration was read again. Plain data. */
import type { Config } from '../lib/config/config.js';
import type { FlowEnds } from '../lib/report/decision-list.js';
import type { BellMemory } from '../lib/io/bell.js';
import type { LiveOptions } from '../lib/io/live-source.js';
import type { RingSizes } from '../lib/io/ring-source.js';
import type { SlabRingMemory } from '../lib/io/slab-ring.js';
import type { FlowReport } from '../lib/report/report.js';
import type { SwarmMemory } from './swarm-memory.js';

/** The part of the configuration that a running worker can take over. */
export type PolicySettings = Pick<
  Config,
  'mode' | 'encrypted' | 'action' | 'allow' | 'names' | 'limits' | 'detectorsOff'
>;

/** A queue of the kernel, which holds the packets until their verdict. */
export interface QueueIntake {
  readonly queue: {
    readonly number: number;
    readonly batchPackets: number;
    readonly copyBytes: number;
    readonly lengthMax: number;
    readonly receiveBufferBytes: number;
  };
  readonly rings: null;
  readonly markMask: number;
  /** How an undecided packet goes on; see Firewall. */
  readonly pass: 'accept' | 'repeat';
}

export interface RingSettings {
  /** What is watched. A packet's interface is told as its place in here, counted from 1: it stays when the interface's index changes. */
  readonly interfaces: readonly string[];
  /** One of each interface, in that order. */
  readonly memories: readonly SlabRingMemory[];
  readonly bell: BellMemory;
  readonly batchPackets: number;
  /** Takes the packets of detected flows to the control plane, which saves them; null: they are not saved. */
  readonly saved: SlabRingMemory | null;
  /** Rung for `saved`; nobody sleeps there. */
  readonly savedBell: BellMemory;
}

/** Rings that capture loops fill: copies of packets, nobody waits for a verdict. */
export interface RingIntake {
  readonly queue: null;
  readonly rings: RingSettings;
}

interface CommonPlan {
  readonly worker: number;
  /** Processors that it may run on; null: as its thread was started. */
  readonly processors: readonly number[] | null;
  /** Flows that this worker tracks at once. */
  readonly flowsMax: number;
  readonly hashSeed: number;
  readonly policy: PolicySettings;
  /** What all workers remember together. */
  readonly swarm: SwarmMemory;
}

export type WorkerPlan = CommonPlan & (QueueIntake | RingIntake);
export type QueuePlan = CommonPlan & QueueIntake;
export type RingPlan = CommonPlan & RingIntake;

export type WorkerSettings = WorkerPlan & {
  /** It takes over from one that was lost. */
  readonly restarted: boolean;
  /** Counters of lib/engine/counters.ts. */
  readonly counters: SharedArrayBuffer;
  /** Words of `control`, below. */
  readonly control: SharedArrayBuffer;
};

/** Words of the control memory: how far a worker that blocks in the kernel is told something. */
export const controlWords = 4;
/** What the worker is to do: `run`, `drain`, `stop`. */
export const controlState = 0;
/** Messages sent to the worker so far; it looks into its port when this has changed. */
export const controlMessages = 1;
/** Reports of decided and doubtful flows on their way to the control plane. */
export const controlReports = 2;
/** Of the messages those that the worker has seen to. */
export const controlHeard = 3;

export const stateRun = 0;
/** The rules are gone: let everything pass that is still held, then end. */
export const stateDrain = 1;
/** End after this batch. */
export const stateStop = 2;

/** Reports on their way at most; further ones are counted only. */
export const reportsMax = 2048;
/** Reports of doubtful flows stop earlier: anybody can cause them at will, and decisions must find room. */
export const doubtsMax = reportsMax / 2;

/** A flow that was decided, or let go in doubt, on its way from a worker to the control plane. */
export interface DecisionMessage {
  /** 'pass': no decision; the flow passes although something spoke for BitTorrent. */
  readonly action: 'accept' | 'drop' | 'reject' | 'pass';
  readonly timeMicros: number;
  readonly inInterface: number;
  readonly outInterface: number;
  readonly flow: FlowReport;
}

export type ToWorker =
  | {
      readonly kind: 'policy';
      readonly policy: PolicySettings;
      /** Flows that have their action begin anew. */
      readonly anew: boolean;
    }
  | { readonly kind: 'find'; readonly id: number; readonly ends: FlowEnds }
  | { readonly kind: 'crash' };

/** What every thread of ours says about its start. */
export type StartMessage =
  | { readonly kind: 'ready'; readonly threadId: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

export type FromWorker =
  | { readonly kind: 'decisions'; readonly decisions: readonly DecisionMessage[] }
  | {
      readonly kind: 'found';
      readonly id: number;
      readonly flow: FlowReport | null;
    };

/** What a capture thread is started with. */
export interface CaptureSettings {
  readonly live: LiveOptions;
  readonly sizes: RingSizes;
  /** The rings of this interface, one to each worker, and the workers' bells. */
  readonly memories: readonly SlabRingMemory[];
  readonly bells: readonly BellMemory[];
  /** Processors that it may run on; null: as its thread was started. */
  readonly processors: readonly number[] | null;
  /** Same seed, same worker: shared by all capture loops. */
  readonly seed: number;
  /** An interface that is not there is waited for. Not at the first start, where it is an error. */
  readonly mayWait: boolean;
  /** Counts of capture-loop.ts. */
  readonly counters: SharedArrayBuffer;
  /** Words of `control`, above. */
  readonly control: SharedArrayBuffer;
}

export type FromCapture =
  /** For its interface, with a code of LiveSourceError. */
  { readonly kind: 'waiting'; readonly code: string } | { readonly kind: 'watching' };
