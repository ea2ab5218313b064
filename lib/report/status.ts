/** What a running filter says about itself: the answer of `status`, the source of `top` and of the metrics. */
import type { Kind } from '../../detectors/detector.js';
import type { DecodeOutcomeName } from '../wire/packet.js';
import type { Reason, Verdict } from '../engine/verdict.js';
import type { FlowReport } from './report.js';
import type { Tracking } from './tracking.js';

export type WorkerState = 'starting' | 'running' | 'restarting' | 'stopped';

/** A flow that passed although something spoke for BitTorrent or nearly did, as it was when it was let go. */
export interface DoubtReport {
  /** ISO 8601 UTC. */
  readonly time: string;
  readonly worker: number;
  /** Null where they are not known, such as of a flow that ended before it was let go. */
  readonly in_interface: string | null;
  readonly out_interface: string | null;
  readonly flow: FlowReport;
}

/** A flow that was decided, as it was at that moment. */
export interface DecisionReport extends DoubtReport {
  /** What was done: 'monitor' means that it would have been dropped or rejected. */
  readonly action: 'drop' | 'reject' | 'accept' | 'monitor-drop' | 'monitor-reject';
}

/** What is remembered of the swarm beyond single flows; see endpoint-memory.ts and host-evidence.ts. */
export interface SwarmReport {
  /** Addresses with a port known as peers now, and how many there is room for. */
  readonly endpoints: number;
  readonly endpoints_max: number;
  readonly learned: number;
  /** New ones not believed: too many from one speaker, too many told to one listener, no room beside proven ones. */
  readonly refused: Readonly<Record<'speaker' | 'listener' | 'full', number>>;
  /** Forgotten before their time, for others. */
  readonly evicted: number;
  /** Hosts, and ports of hosts, proven to speak BitTorrent a short while ago. */
  readonly hosts: number;
  readonly hosts_max: number;
  readonly hosts_evicted: number;
  readonly bytes: number;
}

export interface WorkerReport {
  readonly worker: number;
  /** Number of its queue in the kernel; null where packets are only watched. */
  readonly queue: number | null;
  readonly state: WorkerState;
  readonly restarts: number;
  readonly packets: number;
  readonly flows: number;
  /** Packets that the kernel holds for this queue now. */
  readonly waiting: number | null;
  /** Packets that passed because the kernel could not hand them over (fail-open); null where packets are only watched. */
  readonly uninspected: number | null;
  /** Packets that the kernel says it dropped: queue full, and socket buffer full. None while fail-open is on. */
  readonly kernel_dropped: number | null;
  readonly socket_dropped: number | null;
}

/** One network interface that is watched. */
export interface InterfaceReport {
  readonly interface: string;
  readonly source: 'ring' | 'cap';
  /** 'waiting': for the interface to come back; 'restarting': its capture thread was lost and will be started again. */
  readonly state: 'starting' | 'watching' | 'waiting' | 'restarting' | 'stopped';
  /** Packets that the source handed over. */
  readonly captured: number;
  /** Packets that the kernel could not keep for us; null where nobody tells (libpcap through cap). */
  readonly kernel_dropped: number | null;
  /** Captured packets that were not inspected: the ring of their worker had no room. */
  readonly skipped: number;
  /** Times that its capture began again: a lost thread, or an interface that came back. */
  readonly restarts: number;
  /** What is wrong now. */
  readonly problem: string | null;
}

/** The files that hold the packets of detected flows. */
export interface SavedReport {
  readonly directory: string;
  readonly packets: number;
  readonly bytes: number;
  /** Packets that are in no file: nobody took them in time, or the files could not be written. */
  readonly dropped: number;
  /** Files begun, and files removed to keep within the bound. */
  readonly files: number;
  readonly removed: number;
  readonly problem: string | null;
}

/** Packets are copies from network interfaces: nothing can be blocked. */
export interface CaptureReport {
  readonly interfaces: readonly InterfaceReport[];
  /** Memory of all rings between captures and workers. */
  readonly ring_bytes: number;
  /** Null: not asked for. */
  readonly saved: SavedReport | null;
}

/** The event log (EVE). */
export interface EventLogReport {
  /** Records handed over, and those of them that are not in the file: too many at once, or it could not be written. */
  readonly records: number;
  readonly lost: number;
  /** What is wrong now. */
  readonly problem: string | null;
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
  /** The kernel's table of connections; null: not loaded, or packets are only watched. */
  readonly tracking: Tracking | null;
  /** Null: packets come from the kernel's queues. */
  readonly capture: CaptureReport | null;
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
    /** Payload of BitTorrent flows that had passed before their deciding packet. */
    readonly payload_bytes_before_verdict: number;
    /** BitTorrent flows decided by the first packet that carried payload. */
    readonly first_packet: number;
    /** Flows that passed although something spoke for BitTorrent or nearly did. */
    readonly doubtful: number;
  };
  readonly swarm: SwarmReport;
  /** Null: none is written. */
  readonly events: EventLogReport | null;
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
  /** Newest first. */
  readonly doubtful: readonly DoubtReport[];
  readonly memory_bytes: number;
}
