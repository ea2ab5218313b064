/**
 * What a report is made of. The scan hands every ended flow to a writer as an `EndedFlow`: cheap numbers first, the
 * full record only when asked for, so that a summary over a million flows builds no million objects.
 */
import type { Confidence, Kind } from '../../detectors/detector.js';
import type { Reason, Verdict } from '../engine/verdict.js';

/** One item of evidence, as users see it. */
export interface EvidenceReport {
  readonly detector: string;
  readonly kind: Kind;
  /** The detector's sentence. */
  readonly finding: string;
  /** 'near' is a near miss: looked like it and was not believed; `finding` then says why. */
  readonly confidence: Confidence | 'near';
  /** Who sent the bytes. */
  readonly side: 'client' | 'server';
  /** Packet number within the flow, from 1. */
  readonly packet: number;
  /** Frame number within the file, from 1 (Wireshark's frame.number). */
  readonly frame: number;
  /** With --continuous: the file of this frame, if it is not the flow's. */
  readonly file?: string;
  /** ISO 8601 UTC with microseconds, e.g. "2026-01-31T12:34:56.123456Z". */
  readonly time: string;
  /** What `offset` counts from: this packet's payload, or the opening (stream) of this side. */
  readonly of: 'payload' | 'opening';
  readonly offset: number;
  readonly length: number;
  /** Hex digits, 40 (v1) or 64 (v2). */
  readonly info_hash?: string;
  /** Peer-id prefix, `v` string or User-Agent, printable ASCII. Comes from the wire: escape before showing. */
  readonly client_software?: string;
}

/** One flow: one JSON line. Key names are the public format. */
export interface FlowReport {
  /** Path as given to the scan. With --continuous: the file of the flow's first packet. */
  readonly file: string;
  /** Unique within one run, a whole number from 1. */
  readonly flow_id: number;
  readonly proto: 'tcp' | 'udp';
  readonly client: string;
  readonly client_port: number;
  readonly server: string;
  readonly server_port: number;
  /** Outer addresses and ports when found inside a tunnel carried by UDP: [addr, port, addr, port]. */
  readonly outer?: readonly [string, number, string, number];
  /** Innermost tunnel when there is one: "gre", "6in4", "vxlan"... */
  readonly tunnel?: string;
  /** Frame number of the first packet in its file. */
  readonly first_packet: number;
  readonly packets: number;
  /** Wire lengths of the frames. */
  readonly bytes: number;
  readonly packets_to_server: number;
  readonly packets_to_client: number;
  readonly bytes_to_server: number;
  readonly bytes_to_client: number;
  readonly first_seen: string;
  readonly last_seen: string;
  /** Why the record ended: FIN or RST, idle, taken over in a full table, or no more packets. Absent if not known. */
  readonly ended?: 'closed' | 'idle' | 'evicted' | 'end-of-input';
  readonly verdict: Verdict;
  readonly reason: Reason;
  /** Null unless verdict is bittorrent or suspect. */
  readonly kind: Kind | null;
  readonly confidence: Confidence | null;
  /** Name of the other protocol when recognised ("tls", "dns"...), else null. */
  readonly protocol: string | null;
  /** Number, within the flow, of the packet that decided; null unless verdict is bittorrent. */
  readonly decided_packet: number | null;
  readonly decided_frame: number | null;
  /** With --continuous: the file of the deciding frame, if it is not `file`. */
  readonly decided_file?: string;
  /** Payload bytes of both sides in the packets before the deciding one; null unless verdict is bittorrent. */
  readonly payload_bytes_before_decision: number | null;
  /** Evidence in the order it was found; near misses are not in this list. */
  readonly evidence: readonly EvidenceReport[];
  readonly near_misses: readonly EvidenceReport[];
  readonly info_hashes: readonly string[];
  readonly client_software: readonly string[];
}

/** What is counted of a flow with BitTorrent; a part of the record that is built in a fraction of the time. */
export type FlowEssence = Pick<
  FlowReport,
  'client' | 'server' | 'bytes' | 'kind' | 'confidence' | 'info_hashes' | 'client_software'
>;

/** A near miss without its circumstances. */
export type NearMissEssence = Pick<EvidenceReport, 'detector' | 'kind' | 'finding'>;

/** An ended flow, valid only during the call that hands it over. */
export interface EndedFlow {
  readonly verdict: Verdict;
  readonly kind: Kind | null;
  /** Name of the other protocol when recognised, else null. */
  readonly protocol: string | null;
  readonly packets: number;
  readonly bytes: number;
  /** Microseconds since 1970-01-01 UTC. */
  readonly firstSeenMicros: number;
  readonly lastSeenMicros: number;
  readonly nearMissCount: number;
  /** Builds the full record. */
  report(): FlowReport;
  essence(): FlowEssence;
  /** Those of the record, in the same order. */
  nearMisses(): readonly NearMissEssence[];
}

export interface WarningReport {
  readonly file: string;
  readonly code: string;
  readonly message: string;
}

/** What did not fit, by limit; all 0 in a scan that saw everything. */
export interface LimitsReached {
  /** Flows ended early because the flow table was full. */
  readonly flowsEvicted: number;
  /** Openings of flows judged by what they had, because newer ones needed the room. */
  readonly openingsTakenOver: number;
  /** Items of evidence that were not kept. */
  readonly evidenceDropped: number;
  /** Fragmented datagrams given up before they were whole. */
  readonly datagramsEvicted: number;
}

/** The whole scan, given once at the end. */
export interface ScanSummary {
  readonly version: string;
  /** Files that were to be read, refused ones among them. */
  readonly files: number;
  /** Files refused (no capture, unreadable). */
  readonly filesFailed: number;
  /** Files of folders that are no captures; they count nowhere else. */
  readonly filesPassedOver: number;
  readonly packets: number;
  /** Wire bytes of all frames. */
  readonly bytes: number;
  readonly flows: number;
  readonly flowsByVerdict: Readonly<Record<Verdict, number>>;
  /** Frames by decode outcome, e.g. { ok: 10, 'not-ip': 3 }. */
  readonly frames: Readonly<Record<string, number>>;
  readonly unsupportedLinks: readonly {
    readonly linkType: number;
    readonly name: string;
    readonly packets: number;
  }[];
  /** The first warnings in full. */
  readonly warnings: readonly WarningReport[];
  /** All warnings by code, those among them that `warnings` has no room for. */
  readonly warningCounts: Readonly<Record<string, number>>;
  /** Warnings that are not in `warnings`. */
  readonly warningsLeftOut: number;
  /** How often a table was full and something was given up for something newer. */
  readonly limits: LimitsReached;
  /** Time span of the packets, microseconds since 1970; null if no packet. */
  readonly firstSeenMicros: number | null;
  readonly lastSeenMicros: number | null;
  readonly elapsedSeconds: number;
}

/** Receives text; the caller awaits its draining between blocks, so a slow reader bounds memory. */
export interface TextOutput {
  write(text: string): void;
}

export interface ReportOptions {
  /** ANSI colour allowed (terminal and no NO_COLOR). */
  readonly colour: boolean;
  /** Columns of the terminal, or 100 when not one. */
  readonly columns: number;
  /** Swarmgate's version. */
  readonly version: string;
}

/** One output format. `flow` is called for every flow of the scan, in the order in which flows end. */
export interface ReportWriter {
  flow(flow: EndedFlow): void;
  end(summary: ScanSummary): void;
}

export type ReportFactory = (output: TextOutput, options: ReportOptions) => ReportWriter;
