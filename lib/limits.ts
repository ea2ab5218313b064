/**
 * Every bound of the data plane in one place, with how they relate (checked at load). A table that is full has a
 * policy, named beside its limit; nothing that comes from the wire grows past these numbers.
 */
import { invariant } from './invariant.js';

/** Packets taken per wake-up (DESIGN: batch of 64 is where NFQUEUE stops gaining). */
export const batchPacketsMax = 64;

/** Largest record that a capture file may hold, bytes. tcpdump's own ceiling is 262,144 (MAXIMUM_SNAPLEN). */
export const recordBytesMax = 262_144;

/**
 * Read block of a capture file, bytes: large enough that a system call costs nothing per packet, small enough that what
 * was read is still in the cache of the core when it is parsed.
 */
export const readBlockBytes = 512 * 1024;

/** Headers stacked inside each other (tunnels, tags, extension headers) before a packet is given up as TooDeep. */
export const tunnelDepthMax = 4;
export const tagsMax = 8;
export const extensionHeadersMax = 8;

/** Flows tracked at once by default. When full: see FlowTable, the least valuable of a sample is ended. */
export const flowsMaxDefault = 524_288;
export const flowsMaxLowest = 64;
export const flowsMaxHighest = 4_194_304;

/** Idle time after which a flow is ended, in packet time. nf_conntrack's defaults are 120 s (UDP stream) and 5 days. */
export const idleTcpSeconds = 600;
export const idleUdpSeconds = 180;
/** After FIN from both sides, or RST, a TCP flow is only kept for late segments. */
export const idleClosedSeconds = 20;

/** Bytes kept of one side's opening. An announce with cookies is under 2 KiB, a tracker answer of 200 peers 1.3 KiB. */
export const openingBytes = 4096;
/** First bytes of a stream that are followed by position, whatever the order and the number of copies: see Beginnings. */
export const beginningBytes = 20;
/** A segment so far from its stream's beginning may belong to another numbering; no window is larger in practice. */
export const farBytes = 1 << 24;
/** Openings kept at once. When full: the oldest opening is taken over, and its flow is judged by what it had. */
export const openingsMax = 8192;

/**
 * Evidence items kept per flow, and in all; near misses use half of it at the most. When full: a proof still decides,
 * further items are only counted.
 */
export const evidencePerFlowMax = 8;
export const evidenceMax = 524_288;

/** Payload packets per side after which nothing asks for more; a flow not decided by then stays what it is. */
export const inspectedPacketsMax = 64;

/** IP datagrams being reassembled at once. When full: the oldest is given up. */
export const fragmentedDatagramsMax = 128;
export const datagramBytesMax = 65_535;
/** Reassembly time-out (RFC 8200 section 4.5: 60 s; Linux uses 30 s), packet time. */
export const fragmentTimeoutSeconds = 30;

/** Bencode (BEP 3): nesting and items that a message may have. KRPC needs 4 levels, a metainfo file 6. */
export const bencodeDepthMax = 16;
export const bencodeItemsMax = 4096;

invariant(
  recordBytesMax * 2 <= readBlockBytes,
  'a read block holds at least two records of the largest size',
);
invariant(flowsMaxLowest <= flowsMaxDefault && flowsMaxDefault <= flowsMaxHighest, 'flow limits are ordered');
invariant(beginningBytes <= 24, 'positions of a beginning share a word with flags');
invariant(evidencePerFlowMax <= 32, 'evidence of a flow is counted in a small integer');
invariant(inspectedPacketsMax < 256, 'inspected packets are counted in one byte');
invariant(openingsMax * openingBytes <= 64 * 1024 * 1024, 'openings stay under 64 MiB');
