/**
 * Bytes to fields: one frame, or one reassembled datagram, into the worker's one `Packet`. Promises: nothing outside
 * `[start, end)` is read, nothing is thrown, nothing is allocated, and the work is bounded by limits.ts. The headers
 * are read by the files beside this one; this file owns the order of reading.
 *
 * What is inside a UDP tunnel (VXLAN, Geneve, GTP-U and the like) is believed only if it decodes to TCP, UDP or a fragment
 * with lengths that agree. Otherwise the packet is reported as the UDP flow that it visibly is, without any outer
 * fields; so an ICMP message inside Teredo counts for the outer UDP flow. IP in IP and GRE leave no such doubt: there
 * the innermost IP packet is reported whatever it carries.
 */
import { tunnelDepthMax } from '../limits.js';
import {
  Cursor,
  type Step,
  stepEthernet,
  stepIpTunnel,
  stepIpv4,
  stepIpv6,
  stepLink,
  stepPpp,
  stepTcp,
  stepUdp,
  tunnelNone,
} from './cursor.js';
import { decodeEthernet } from './ethernet.js';
import { decodeIpv4 } from './ipv4.js';
import { decodeIpv6 } from './ipv6.js';
import { decodeLink, decodeRaw, linkEthernet } from './link.js';
import { decodePlain } from './plain.js';
import { type DecodeOutcome, Fragment, NotIp, Ok, OtherProtocol, type Packet, TooDeep } from './packet.js';
import { decodePpp } from './ppp.js';
import { decodeTcp } from './tcp.js';
import { openIpTunnel, openUdpTunnel } from './tunnels.js';
import { decodeUdp } from './udp.js';

/** Steps of one decode: link, network and transport of each nesting, twice over for stacked link headers. */
const stepsMax = 8 * (tunnelDepthMax + 1);

/** Larger wire lengths are a damaged capture; the bound keeps offsets far from 32 bits. */
const wireLengthMax = 0x00ff_ffff;

const cursor = new Cursor();

/**
 * Decodes the frame in `[start, end)` of `bytes`. `wireLength` is its length on the wire in bytes (larger than captured
 * if cut), `linkType` a LINKTYPE_ value. All fields of `packet` that its outcome makes valid are set, all others are 0.
 */
export function decodePacket(
  packet: Packet,
  bytes: Uint8Array,
  start: number,
  end: number,
  wireLength: number,
  linkType: number,
): DecodeOutcome {
  if (packet.outcome !== Ok || packet.depth !== 0) clear(packet);
  packet.heldOther = false;
  if (linkType === linkEthernet && decodePlain(packet, bytes, start, end)) return (packet.outcome = Ok);
  packet.bytes = bytes;
  packet.ipVersion = 0;
  packet.macStart = -1;
  cursor.at = start;
  cursor.end = end;
  const wire = wireLength < wireLengthMax ? wireLength : wireLengthMax;
  cursor.wireEnd = start + wire > end ? start + wire : end;
  cursor.tunnel = tunnelNone;
  cursor.linkType = linkType;
  return finish(packet, run(packet, bytes, decodeLink(packet, bytes, cursor)));
}

/**
 * Decodes a whole IP datagram in `[start, end)`, put together from the fragment that `packet` still describes: tunnel
 * and outer fields are kept, since they say how the fragments travelled.
 */
export function decodeDatagram(packet: Packet, bytes: Uint8Array, start: number, end: number): DecodeOutcome {
  clearFragment(packet);
  packet.heldOther = false;
  packet.bytes = bytes;
  packet.macStart = -1;
  cursor.at = start;
  cursor.end = end;
  cursor.wireEnd = end;
  cursor.tunnel = tunnelNone;
  return finish(packet, run(packet, bytes, decodeRaw(packet, bytes, cursor)));
}

/** Reads header after header until one of them ends it; returns a DecodeOutcome. */
function run(packet: Packet, bytes: Uint8Array, first: Step): Step {
  let step = first;
  let udpStart = -1;
  let udpEnd = 0;
  let udpWireEnd = 0;
  let udpDepth = 0;
  let udpTunnel = 0;
  let steps = 0;
  while (step >= stepIpv4) {
    if (++steps > stepsMax) {
      step = TooDeep;
    } else if (step === stepUdp) {
      step = decodeUdp(packet, bytes, cursor);
      if (step === Ok) {
        step = openUdpTunnel(packet, bytes, cursor);
        if (step === Ok) return Ok;
        udpStart = packet.ipStart;
        udpEnd = packet.ipEnd;
        udpWireEnd = packet.ipStart + packet.ipWireLength;
        udpDepth = packet.depth;
        udpTunnel = packet.tunnel;
      }
    } else {
      step = readHeader(packet, bytes, step);
    }
  }
  if (step === Ok || step === Fragment) return step;
  if (udpStart < 0) return step === NotIp && packet.ipVersion !== 0 ? OtherProtocol : step;
  packet.depth = udpDepth;
  packet.tunnel = udpTunnel;
  cursor.at = udpStart;
  cursor.end = udpEnd;
  cursor.wireEnd = udpWireEnd;
  return backToUdp(packet, bytes);
}

/** Reads the header that `step` names; UDP is read by `run` itself. */
function readHeader(packet: Packet, bytes: Uint8Array, step: Step): Step {
  switch (step) {
    case stepIpv4:
      return decodeIpv4(packet, bytes, cursor);
    case stepIpv6:
      return decodeIpv6(packet, bytes, cursor);
    case stepTcp:
      return decodeTcp(packet, bytes, cursor);
    case stepIpTunnel:
      return openIpTunnel(packet, bytes, cursor);
    case stepEthernet:
      return decodeEthernet(packet, bytes, cursor);
    case stepPpp:
      return decodePpp(packet, bytes, cursor);
    case stepLink:
      return decodeLink(packet, bytes, cursor);
    default:
      return NotIp;
  }
}

/** What looked like a tunnel was none: reads the IP and UDP header again, which decoded before and so will again. */
function backToUdp(packet: Packet, bytes: Uint8Array): Step {
  packet.heldOther = packet.depth === 0;
  if (packet.depth === 0) clearOuter(packet);
  cursor.tunnel = tunnelNone;
  if (bytes[cursor.at]! >> 4 === 4) decodeIpv4(packet, bytes, cursor);
  else decodeIpv6(packet, bytes, cursor);
  return decodeUdp(packet, bytes, cursor);
}

/** Writes the outcome, and zeroes whatever it leaves without meaning. */
function finish(packet: Packet, step: Step): DecodeOutcome {
  const outcome = step as DecodeOutcome;
  packet.outcome = outcome;
  if (outcome === Ok) {
    clearFragment(packet);
  } else {
    clearTransport(packet);
    if (outcome !== Fragment) clearFragment(packet);
    if (outcome !== Fragment && outcome !== OtherProtocol) clearNetwork(packet);
  }
  return outcome;
}

function clear(packet: Packet): void {
  clearNetwork(packet);
  clearTransport(packet);
  clearFragment(packet);
}

function clearNetwork(packet: Packet): void {
  packet.ipVersion = 0;
  packet.ipStart = 0;
  packet.ipEnd = 0;
  packet.ipWireLength = 0;
  packet.protocol = 0;
  packet.source0 = 0;
  packet.source1 = 0;
  packet.source2 = 0;
  packet.source3 = 0;
  packet.destination0 = 0;
  packet.destination1 = 0;
  packet.destination2 = 0;
  packet.destination3 = 0;
  packet.depth = 0;
  packet.tunnel = 0;
  clearOuter(packet);
}

function clearOuter(packet: Packet): void {
  packet.outerVersion = 0;
  packet.outerSource0 = 0;
  packet.outerSource1 = 0;
  packet.outerSource2 = 0;
  packet.outerSource3 = 0;
  packet.outerDestination0 = 0;
  packet.outerDestination1 = 0;
  packet.outerDestination2 = 0;
  packet.outerDestination3 = 0;
  packet.outerSourcePort = 0;
  packet.outerDestinationPort = 0;
  packet.outerProtocol = 0;
  packet.tunnelId = 0;
}

function clearTransport(packet: Packet): void {
  packet.sourcePort = 0;
  packet.destinationPort = 0;
  packet.tcpFlags = 0;
  packet.sequence = 0;
  packet.acknowledgement = 0;
  packet.payloadStart = 0;
  packet.payloadEnd = 0;
  packet.payloadWireLength = 0;
}

function clearFragment(packet: Packet): void {
  packet.fragmentId = 0;
  packet.fragmentOffset = 0;
  packet.fragmentMore = false;
  packet.fragmentStart = 0;
  packet.fragmentEnd = 0;
  packet.fragmentWireLength = 0;
  packet.fragmentHeaderEnd = 0;
  packet.fragmentProtocol = 0;
}
