/** What IPv4 and IPv6 have in common: what a protocol number leads to, entering a tunnel, fragments too small to trust. */
import {
  type Cursor,
  protocolEtherIp,
  protocolGre,
  protocolIpv4,
  protocolIpv6,
  type Step,
  stepIpTunnel,
  stepTcp,
  stepUdp,
  tunnelGeneve,
  tunnelNone,
  tunnelVxlan,
  tunnelVxlanGpe,
} from './cursor.js';
import { Malformed, Ok, OtherProtocol, type Packet, protocolTcp, protocolUdp, TooDeep } from './packet.js';
import { tunnelDepthMax } from '../limits.js';

const tcpHeaderMin = 20;
const udpHeader = 8;

/** Which reader a protocol number leads to. */
export function protocolStep(protocol: number): Step {
  if (protocol === protocolTcp) return stepTcp;
  if (protocol === protocolUdp) return stepUdp;
  if (protocol === protocolIpv4 || protocol === protocolIpv6 || protocol === protocolGre) return stepIpTunnel;
  return protocol === protocolEtherIp ? stepIpTunnel : OtherProtocol;
}

/**
 * Called with a checked inner IP header at hand, before its fields replace those of the packet around it: keeps the
 * outermost addresses. Returns Ok, or TooDeep.
 */
export function enterTunnel(packet: Packet, cursor: Cursor): Step {
  if (packet.depth >= tunnelDepthMax) return TooDeep;
  if (packet.depth === 0) {
    packet.outerVersion = packet.ipVersion;
    packet.outerSource0 = packet.source0;
    packet.outerSource1 = packet.source1;
    packet.outerSource2 = packet.source2;
    packet.outerSource3 = packet.source3;
    packet.outerDestination0 = packet.destination0;
    packet.outerDestination1 = packet.destination1;
    packet.outerDestination2 = packet.destination2;
    packet.outerDestination3 = packet.destination3;
    packet.outerProtocol = packet.protocol;
    packet.tunnelId = namesNetwork(cursor.tunnel) ? cursor.networkId : 0;
    const udp = packet.protocol === protocolUdp;
    packet.outerSourcePort = udp ? packet.sourcePort : 0;
    packet.outerDestinationPort = udp ? packet.destinationPort : 0;
  }
  packet.depth++;
  packet.tunnel = cursor.tunnel;
  cursor.tunnel = tunnelNone;
  return Ok;
}

function namesNetwork(tunnel: number): boolean {
  return tunnel === tunnelVxlan || tunnel === tunnelGeneve || tunnel === tunnelVxlanGpe;
}

/**
 * Malformed for a fragment that only an attacker sends: a first fragment that ends inside the TCP or UDP header
 * (RFC 1858 section 3.1, RFC 7112 section 5), or a TCP fragment that would overwrite the flags of the first one, offset
 * 8 bytes (RFC 1858 section 3.2.2, RFC 3128). Ok otherwise. `length` is the data length on the wire, bytes.
 */
export function fragmentCheck(protocol: number, offset: number, length: number): Step {
  if (protocol === protocolTcp) {
    if (offset === 8) return Malformed;
    if (offset === 0 && length < tcpHeaderMin) return Malformed;
  } else if (protocol === protocolUdp && offset === 0 && length < udpHeader) return Malformed;
  return Ok;
}
