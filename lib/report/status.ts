/** What a running filter says about itself: the answer of `status`, the source of `top` and of the metrics. */
import type { Kind } from '../../detectors/detector.js';
import type { DecodeOutcomeName } from '../wire/packet.js';
import type { Reason, Verdict } from '../engine/verdict.js';
import type { FlowReport } from './report.js';

export type WorkerState = 'starting' | 'running' | 'restarting' | 'stopped';

/** A flow that was decided, as it was at that moment. */
export interface DecisionReport {
  /** ISO 8601 UTC. */
  readonly time: string;
  readonly worker: number;
  /** What was done: 'monitor' means that it would have been dropped or rejected. */
  readonly action: 'drop' | 'reject' | 'accept' | 'monitor-drop' | 'monitor-reject';
  readonly in_interface: string | null;
  readonly out_interface: string | null;
  readonly flow: FlowReport;
}

export interface WorkerReport {
  readonly worker: number;
  readonly queue: number;
  readonly state: WorkerState;
  readonly restarts: number;
  readonly packets: number;
  readonly flows: number;
  /** Packets that the kernel holds for this queue now. */
  readonly waiting: number | null;
  /** Packets that the kernel could not hand over: queue full, and socket buffer full. */
  readonly kernel_dropped: number | null;
  readonly socket_dropped: number | null;
}

export interface HostReport {
  readonly address: string;
  readonly flows: number;
  readonly kinds: Readonly<Partial<Record<Kind, number>>>;
  readonly first_seen: string;
  readonly last_seen: string;
}

export interface StatusReport {
  readonly version: string;
  readonly instance: string;
  readonly mode: 'monitor' | 'enforce';
  /** Since when the mode is this one; ISO 8601 UTC, like all times here. */
  readonly mode_since: string;
  readonly pid: number;
  readonly started: string;
  readonly uptime_seconds: number;
  readonly rules: {
    readonly backend: 'nft' | 'iptables' | 'none';
    readonly state: 'intact' | 'damaged' | 'absent' | 'unknown';
    readonly restored: number;
    readonly problem: string | null;
  };
  readonly packets: number;
  readonly bytes: number;
  readonly packets_per_second: number;
  readonly bits_per_second: number;
  readonly actions: Readonly<Record<'passed' | 'accepted' | 'dropped' | 'rejected', number>>;
  readonly flows: {
    readonly now: number;
    readonly begun: number;
    readonly by_verdict: Readonly<Record<Verdict, number>>;
    /** Flows decided as BitTorrent. */
    readonly by_kind: Readonly<Record<Kind, number>>;
    readonly by_reason: Readonly<Partial<Record<Reason, number>>>;
    readonly allowed: number;
    readonly evicted: number;
  };
  readonly decode: Readonly<Partial<Record<DecodeOutcomeName, number>>>;
  /** Every other count of counters.ts by name. */
  readonly counters: Readonly<Record<string, number>>;
  /** From receive to settle of a batch. */
  readonly latency_micros: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>>;
  /** Batches by time, in the buckets of counters.ts. */
  readonly latency_histogram: readonly number[];
  readonly workers: readonly WorkerReport[];
  readonly hosts: readonly HostReport[];
  /** Newest first. */
  readonly decisions: readonly DecisionReport[];
  readonly memory_bytes: number;
}
