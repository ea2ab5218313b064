/**
 * The layout of one flow's row in the flow table: 192 bytes, which are 3 cache lines of 64.
 *
 *     line 0  key (IPv4) | flags, verdict | last seen | bytes, packets per side     every packet
 *     line 1  pending detectors | sequence bases | openings | evidence | payload bytes     undecided flows
 *     line 2  rest of IPv6 addresses | first seen | frames, file                           new flows, reports
 *
 * Offsets are in 32-bit words from the row's start, or in doubles where it says so.
 */

/** Row length in 32-bit words and in doubles; a slot's row begins at slot times stride. */
export const wordStride = 48;
export const numberStride = 24;

// Line 0. Words:

/** Protocol in the low byte, IP version above it. */
export const keyMeta = 0;
/** A's port in the high, B's in the low half. */
export const keyPorts = 1;
/** First word of each address; IPv4 has no other. */
export const keyA = 2;
export const keyB = 3;
/** Tunnel endpoints, mixed; 0 when not tunnelled. Keeps equal private addresses of two tunnels apart. */
export const keyTunnel = 4;
/**
 * A flow that may go on and is not yet handed to the kernel: number of the last batch with packets of it << 8, and which of
 * the batch's packets of such flows was its last; inline only.
 */
export const sGoingOn = 5;
export const sFlags = 6;
/** Verdict, reason << 8, kind << 16 (255: none), confidence << 24. */
export const sVerdict = 7;
/** Doubles: time of the last packet, microseconds since 1970; wire bytes of the client, and of the server. */
export const lastSeen = 4;
export const bytesOf = 5;
/** Words: packets of the client, and of the server. */
export const packetsOf = 14;

// Line 1. Words; where there are two, the client's and then the server's:

/** Detectors still asked, one bit each. */
export const sPending = 16;
/** Inspected payload packets. */
export const sInspected = 18;
/** TCP: sequence number of the opening's first byte. */
export const sBase = 20;
/** Opening in the pool or -1. */
export const sOpening = 22;
/** Stream bytes inspected without keeping them. */
export const sConsumed = 24;
/** Newest evidence item or -1. */
export const sEvidence = 26;
/** Evidence items (low byte), other protocol recognised (second byte), tunnel (third byte). */
export const sNoted = 27;
/** Index of the file that the deciding frame is in. */
export const sDecidedFile = 28;
/** Double: payload bytes of both sides, on the wire, while the flow is asked about. */
export const payloadBytes = 15;

// Line 2. Words two to four of each address, IPv6 only:

export const keyRestA = 32;
export const keyRestB = 35;
/** Doubles: time of the first packet, microseconds since 1970. */
export const firstSeen = 19;
/** Payload bytes before the deciding packet; valid when decided. */
export const payloadBeforeDecision = 21;
/** Packets that user space saw of a flow that may go on, and anew since it is offloaded; inline only. */
export const sStragglers = 40;
/** Network that a proxy leads to, as Endpoints.speakerOf has it; 0 if there is none or it was named by a name. */
export const sInner = 41;
/** Words: frame number of the first packet in its file, of the deciding packet; index of the first packet's file. */
export const sFirstFrame = 44;
export const sDecidedFrame = 45;
export const sFile = 46;
/** Number within the flow of the deciding packet, 0 if none. */
export const sDecidedPacket = 47;

export const flagUsed = 1;
export const flagClientIsA = 2;
/** SYN of the client, of the server (one bit further): that side's opening begins at its stream's first byte. */
export const flagSynClient = 4;
export const flagSynServer = 8;
/** Base sequence number known; client, server. */
export const flagBaseClient = 16;
export const flagBaseServer = 32;
export const flagFinClient = 64;
export const flagFinServer = 128;
export const flagReset = 256;
/** Nothing is asked about this flow any more. */
export const flagDone = 512;
export const flagTunnelled = 1024;
/** `explain` follows this flow. */
export const flagTraced = 2048;
/** Any payload seen. */
export const flagPayload = 4096;
/** Verdict fixed; only details are still asked for. */
export const flagDecided = 8192;
/**
 * The base of this side was moved once to an earlier segment; client, server. Of a side whose SYN was seen: its first
 * bytes are missing so far.
 */
export const flagRebasedClient = 16384;
export const flagRebasedServer = 32768;
/** What is done with the packets of this flow, an ActionCode in two bits; inline only. */
export const flagActionShift = 16;
export const flagAction = 3 << flagActionShift;
/** The kernel was told and decides by itself; the row is only kept for stragglers. */
export const flagOffloaded = 1 << 18;
/** Something in this flow may be believed with what is remembered of other flows: the memory is asked again and again. */
export const flagDoubtful = 1 << 19;
/** A verdict was reported, and the flow goes on for what can be learned from it; inline only. */
export const flagReported = 1 << 20;
/** What was reported is that the flow is accepted. */
export const flagReportedAccepts = 1 << 30;
/** The whole shape of an encrypted connection was seen, and noted with its host. */
export const flagShape = 1 << 21;
/** An info-hash was noted, or the flow was decided with one. */
export const flagDetailed = 1 << 22;
/** The flow negotiates with a proxy: both sides are kept, and no detector is asked until it is through (wrapped.ts). */
export const flagNegotiates = 1 << 23;
/** Proxies stepped over, in two bits; then refused requests stepped over, in three. */
export const wrappedLayersShift = 24;
export const wrappedLayers = 3 << wrappedLayersShift;
export const wrappedRefusalsShift = 26;
export const wrappedRefusals = 7 << wrappedRefusalsShift;
/** A datagram of this flow was one that a SOCKS relay passes on (RFC 1928 section 7). */
export const flagRelayed = 1 << 29;
/** TCP: positions may be counted from elsewhere than sBase, so only Beginnings itself can tell where a segment lies. */
export const flagRenumbered = 1 << 31;
