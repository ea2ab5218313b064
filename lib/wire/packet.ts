/**
 * One packet, decoded in place. A worker has one `Packet` and decodes every frame into it; nothing is copied and
 * nothing is allocated. Malformed bytes give a named outcome, never an exception. Every field says when it is valid;
 * all whole numbers are 32-bit signed (unsigned values keep their bits), so that they stay small integers in V8.
 */

/** What became of a frame. The order is the index into decode counters; names are report and metric labels. */
export const decodeOutcomes = [
  'ok',
  'not-ip',
  'truncated',
  'malformed',
  'fragment',
  'other-protocol',
  'unsupported-link',
  'too-deep',
  'encrypted',
] as const;
export type DecodeOutcomeName = (typeof decodeOutcomes)[number];

/** TCP or UDP with its header whole: ports and payload are valid. */
export const Ok = 0;
/** ARP, LLDP, spanning tree, 802.11 management... */
export const NotIp = 1;
/** The capture ends inside a header. */
export const Truncated = 2;
/** A header contradicts itself (length, version, tiny fragment). */
export const Malformed = 3;
/** A piece of an IP datagram: `fragment*` are valid, offer it to the FragmentTable. */
export const Fragment = 4;
/** IP, but neither TCP nor UDP inside (ICMP, SCTP, ESP...): addresses and `protocol` are valid. */
export const OtherProtocol = 5;
/** A link type we cannot read; counted by name. */
export const UnsupportedLink = 6;
/** More tunnels, tags or extension headers than the limits allow. */
export const TooDeep = 7;
/** 802.11 protected frame. */
export const Encrypted = 8;
export type DecodeOutcome = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** How the innermost IP packet was wrapped; index is `Packet.tunnel`. */
export const tunnelNames = [
  'none',
  'ipip',
  '6in4',
  '4in6',
  'ip6ip6',
  'gre',
  'vxlan',
  'gtp-u',
  'teredo',
  'l2tp',
  'geneve',
  'vxlan-gpe',
  'tzsp',
  'capwap',
  'eoip',
  'etherip',
] as const;
export type TunnelName = (typeof tunnelNames)[number];

export const tcpFin = 0x01;
export const tcpSyn = 0x02;
export const tcpRst = 0x04;
export const tcpPsh = 0x08;
export const tcpAck = 0x10;

export const protocolTcp = 6;
export const protocolUdp = 17;

const nothing = new Uint8Array(0);

export class Packet {
  /** The array that all offsets below point into. */
  bytes: Uint8Array = nothing;
  outcome: DecodeOutcome = NotIp;
  /**
   * Packet time, microseconds since 1970-01-01 UTC; set by whoever has the packet decoded. A field and not an argument,
   * because V8 boxes a double that is passed to a function it does not inline: garbage for every packet.
   */
  timeMicros = 0;
  /**
   * Wire bytes of the frame; of all frames once a datagram was put together from pieces. Set by whoever has the packet
   * decoded.
   */
  frameBytes = 0;

  /** 4 or 6; 0 if there is no IP header. Valid for Ok, Fragment and OtherProtocol. All of the innermost IP packet. */
  ipVersion = 0;
  /** Offset of the IP header, and one past the packet's last captured byte (link padding removed). */
  ipStart = 0;
  ipEnd = 0;
  /** Length of the IP packet on the wire, header included, bytes. */
  ipWireLength = 0;
  /** Protocol number after extension headers (IANA). */
  protocol = 0;
  /** Addresses as big-endian 32-bit words; IPv4 uses word 0 and leaves the others 0. */
  source0 = 0;
  source1 = 0;
  source2 = 0;
  source3 = 0;
  destination0 = 0;
  destination1 = 0;
  destination2 = 0;
  destination3 = 0;

  /** Valid for Ok. */
  sourcePort = 0;
  destinationPort = 0;
  /** TCP only: flag bits (tcpSyn...), sequence and acknowledgement number. */
  tcpFlags = 0;
  sequence = 0;
  acknowledgement = 0;
  /** Captured payload of TCP or UDP, and its length on the wire (larger if the capture was cut). */
  payloadStart = 0;
  payloadEnd = 0;
  payloadWireLength = 0;

  /** Valid for Fragment: identification, offset in bytes, more-fragments bit, and the fragment's data. */
  fragmentId = 0;
  fragmentOffset = 0;
  fragmentMore = false;
  fragmentStart = 0;
  fragmentEnd = 0;
  /** Data length of the fragment on the wire; a fragment cut by the snap length cannot be reassembled. */
  fragmentWireLength = 0;
  /** First byte after the unfragmentable part: IPv4 header length, or IPv6 headers before the fragment header. */
  fragmentHeaderEnd = 0;
  /** Next-header value of the data (IPv6: from the fragment header; IPv4: the protocol). */
  fragmentProtocol = 0;

  /** Tunnels stepped over, and the innermost one (index into tunnelNames). */
  depth = 0;
  tunnel = 0;
  /** Outermost IP header when depth > 0: version, addresses, and ports if it carried UDP (else 0). */
  outerVersion = 0;
  outerSource0 = 0;
  outerSource1 = 0;
  outerSource2 = 0;
  outerSource3 = 0;
  outerDestination0 = 0;
  outerDestination1 = 0;
  outerDestination2 = 0;
  outerDestination3 = 0;
  outerSourcePort = 0;
  outerDestinationPort = 0;
  /** Protocol number that the outermost IP header carried when depth > 0 (17 UDP, 47 GRE, 4, 41). */
  outerProtocol = 0;

  /** Network that the outermost tunnel names: VNI of VXLAN and Geneve; 0 for others, whose ids may differ by direction. */
  tunnelId = 0;

  /** UDP that held a tunnel packet with neither TCP nor UDP inside: others of its flow may be tunnelled. */
  heldOther = false;

  /** Address family bytes of a MAC header when the link has one: offset of the destination MAC in `bytes`, or -1. */
  macStart = -1;
}
