/**
 * How the header readers hand over to each other. Each one checks and reads its own header, moves the cursor behind it
 * and says what comes next; decode.ts owns the loop. So no reader knows its caller, a tunnel costs a turn of the loop
 * and not a recursion, and the modules have no import cycle.
 */
import { Malformed, type Packet, Truncated } from './packet.js';

/** Where decoding stands. One per worker: decoding is synchronous and is never entered twice. */
export class Cursor {
  /** Offset of the next header. */
  at = 0;
  /** One past the last captured byte that belongs to it. */
  end = 0;
  /** One past its last byte on the wire; beyond `end` if the capture was cut. */
  wireEnd = 0;
  /** Tunnel (index into tunnelNames) just opened, whose inner IP header has not been read yet; 0 if none. */
  tunnel = 0;
  /** VNI of the header just opened; valid while `tunnel` is tunnelVxlan, tunnelVxlanGpe or tunnelGeneve. */
  networkId = 0;
  /** For stepLink: LINKTYPE_ value of what follows. */
  linkType = 0;
}

/** What to read next: one of the steps below, or a DecodeOutcome (all smaller than any step), which ends the decode. */
export type Step = number;

export const stepIpv4 = 16;
export const stepIpv6 = 17;
export const stepTcp = 18;
export const stepUdp = 19;
/** IP in IP or GRE: `packet.protocol` says which. */
export const stepIpTunnel = 20;
export const stepEthernet = 21;
export const stepPpp = 22;
/** A link header that names another link type (PPI, PKTAP). */
export const stepLink = 23;

/** Tunnel indexes; the names are `tunnelNames` of packet.ts. */
export const tunnelNone = 0;
export const tunnelIpip = 1;
export const tunnel6in4 = 2;
export const tunnel4in6 = 3;
export const tunnelIp6ip6 = 4;
export const tunnelGre = 5;
export const tunnelVxlan = 6;
export const tunnelGtpU = 7;
export const tunnelTeredo = 8;
export const tunnelL2tp = 9;
export const tunnelGeneve = 10;
export const tunnelVxlanGpe = 11;
export const tunnelTzsp = 12;
export const tunnelCapwap = 13;
export const tunnelEoip = 14;
export const tunnelEtherIp = 15;

/** IANA protocol numbers that the decoder itself follows. */
export const protocolIpv4 = 4;
export const protocolIpv6 = 41;
export const protocolGre = 47;
export const protocolAh = 51;
export const protocolEtherIp = 97;

/**
 * The outcome when a header does not fit: Truncated if the capture ended there, Malformed if a length field of an
 * outer IP header leaves too little room.
 */
export function tooShort(packet: Packet, cursor: Cursor): Step {
  return cursor.end < cursor.wireEnd || packet.ipVersion === 0 ? Truncated : Malformed;
}

/** Reads 32 bits in network order as a signed word. */
export function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
