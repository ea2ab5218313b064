/** What the control plane tells a worker: at its start, and when the configuration was read again. Plain data. */
import type { Config } from '../lib/config/config.js';
import type { FlowEnds } from '../lib/report/decision-list.js';
import type { FlowReport } from '../lib/report/report.js';
import type { SwarmMemory } from './swarm-memory.js';

/** The part of the configuration that a running worker can take over. */
export type PolicySettings = Pick<
  Config,
  'mode' | 'encrypted' | 'action' | 'allow' | 'names' | 'limits' | 'detectorsOff'
>;

export interface WorkerSettings {
  readonly worker: number;
  readonly queue: {
    readonly number: number;
    readonly batchPackets: number;
    readonly copyBytes: number;
    readonly lengthMax: number;
    readonly receiveBufferBytes: number;
  };
  /** Processors that it may run on; null: as its thread was started. */
  readonly processors: readonly number[] | null;
  readonly markMask: number;
  /** How an undecided packet goes on; see Firewall. */
  readonly pass: 'accept' | 'repeat';
  /** Flows that this worker tracks at once. */
  readonly flowsMax: number;
  readonly hashSeed: number;
  readonly policy: PolicySettings;
  /** What all workers remember together. */
  readonly swarm: SwarmMemory;
  /** Counters of lib/engine/counters.ts. */
  readonly counters: SharedArrayBuffer;
  /** Words of `control`, below. */
  readonly control: SharedArrayBuffer;
}

/** Words of the control memory: how far a worker that blocks in the kernel is told something. */
export const controlWords = 4;
/** What the worker is to do: `run`, `drain`, `stop`. */
export const controlState = 0;
/** Messages sent to the worker so far; it looks into its port when this has changed. */
export const controlMessages = 1;
/** Reports of decided and doubtful flows on their way to the control plane. */
export const controlReports = 2;

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

export type FromWorker =
  | { readonly kind: 'ready'; readonly threadId: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'decisions'; readonly decisions: readonly DecisionMessage[] }
  | {
      readonly kind: 'found';
      readonly id: number;
      readonly flow: FlowReport | null;
    };
