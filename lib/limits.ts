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
/**
 * A flow of so few packets to which nobody ever answered (a scan, a lookup of a node that is gone) is over sooner: of
 * datagrams when nf_conntrack forgets it too; of SYNs (there they wait 120 s) after a time longer than any pause between
 * the seven that Linux sends.
 */
export const idleUnansweredUdpSeconds = 30;
export const idleUnansweredTcpSeconds = 60;
export const unansweredPacketsMax = 8;
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

/**
 * Payload packets of a side after which nothing more is learned from a flow that was decided. Tracker and DHT answers
 * come at once, the first peer exchange soon after the handshakes.
 */
export const learnedPacketsMax = 16;

/** IP datagrams being reassembled at once. When full: the oldest is given up. */
export const fragmentedDatagramsMax = 128;
export const datagramBytesMax = 65_535;
/** Reassembly time-out (RFC 8200 section 4.5: 60 s; Linux uses 30 s), packet time. */
export const fragmentTimeoutSeconds = 30;

/** Bencode (BEP 3): nesting and items that a message may have. KRPC needs 4 levels, a metainfo file 6. */
export const bencodeDepthMax = 16;
export const bencodeItemsMax = 4096;

/**
 * Endpoints of peers remembered at once, a power of two; 32 bytes each, so 4 MiB. A tracker answer names 50 to 200, a busy
 * client meets some thousands within an hour: enough for a hundred such clients. When full: see EndpointMemory, the row
 * of a bucket that is worth least gives way.
 */
export const endpointsMax = 131_072;
/** Hearsay counts for as long as trackers let a peer stay without a new announce (BEP 3; 30 min is the usual interval). */
export const hearsaySeconds = 1800;
/** A peer that was really met keeps its port for its session; dynamic addresses change owners within hours at the least. */
export const provenSeconds = 3600;
/**
 * New endpoints that one network may place within ten minutes. A client sends PEX at most once a minute with 50 added
 * peers (BEP 11), so 500; a DHT node answers with 8 nodes and some 50 values at a time. A tracker that names more is
 * cut short: the rest is named by the peers themselves.
 */
export const speakerEndpointsMax = 512;
/** One local network may be told, within ten minutes, one part in so many of all endpoints. */
export const listenerShare = 16;

/** Rows of each table of host evidence, a power of two; 4 x 512 KiB. When full: see HostEvidence, the oldest gives way. */
export const hostRowsMax = 16_384;
/**
 * A proof makes its host credible for so long: an idle DHT node refreshes each bucket after 15 minutes (BEP 5), a client
 * announces and connects more often, so an active host is never quiet for longer.
 */
export const hostEvidenceSeconds = 900;
/** Shapes count together within so long: a client that starts tries dozens of peers in its first minute. */
export const shapeSeconds = 120;
/** A key used again counts for so long. Clients that keep a Diffie-Hellman key do so for their whole run. */
export const keySeconds = 600;

/** The least that one ring between two threads is worth: some packets of the longest kind, or some hundreds of short ones. */
export function ringBytesLowest(snapBytes: number): number {
  return Math.max(64 * 1024, 8 * (snapBytes + 64));
}

invariant(
  recordBytesMax * 2 <= readBlockBytes,
  'a read block holds at least two records of the largest size',
);
invariant(flowsMaxLowest <= flowsMaxDefault && flowsMaxDefault <= flowsMaxHighest, 'flow limits are ordered');
invariant(beginningBytes <= 24, 'positions of a beginning share a word with flags');
invariant(evidencePerFlowMax <= 32, 'evidence of a flow is counted in a small integer');
invariant(inspectedPacketsMax < 256, 'inspected packets are counted in one byte');
invariant(openingsMax * openingBytes <= 64 * 1024 * 1024, 'openings stay under 64 MiB');
invariant(
  hearsaySeconds <= provenSeconds && provenSeconds <= 2 * 3600 && hostEvidenceSeconds <= provenSeconds,
  'times of witnesses fit into 16 bits: distances of up to twice the longest time-out are told apart',
);
invariant((endpointsMax & (endpointsMax - 1)) === 0, 'buckets of endpoints are found with a mask');
invariant((hostRowsMax & (hostRowsMax - 1)) === 0, 'buckets of host rows are found with a mask');
