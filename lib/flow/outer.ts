/**
 * Outer endpoints of tunnelled flows: a row of words for each slot, written for tunnelled flows only. Version, protocol,
 * 4 + 4 address words (the client's side first), 2 ports, the networks that the tunnel names in the client's and in the
 * server's direction.
 */
import type { Packet } from '../wire/packet.js';

export const outerStride = 14;

const source = 2;
const destination = 6;
const networkOfClient = 12;
const networkOfServer = 13;
/** Of a direction of which no packet was seen yet. */
const unknownNetwork = -1;

/** Same for both directions, and never 0, which stands for "not tunnelled". The whole identity is in the row. */
export function tunnelKey(packet: Packet): number {
  const from = packet.outerSource0 ^ packet.outerSource1 ^ packet.outerSource2 ^ packet.outerSource3;
  const to =
    packet.outerDestination0 ^ packet.outerDestination1 ^ packet.outerDestination2 ^ packet.outerDestination3;
  return (Math.imul(from + to, 0x9e3779b1) ^ packet.outerProtocol) | 1;
}

/**
 * True if the flow's tunnel has the packet's outer addresses, in either direction, and the network of that direction. Most
 * networks have one number for both. Some (where it names the sender, or the part that it is routed to) have two: the
 * first packet of a direction may bring its own, if no flow of its number is there (`anyNetwork`).
 */
export function sameTunnel(outer: Int32Array, slot: number, packet: Packet, anyNetwork: boolean): boolean {
  const o = slot * outerStride;
  if (outer[o] !== packet.outerVersion || outer[o + 1] !== packet.outerProtocol) return false;
  const fromClient = isOuter(outer, packet, o + source, o + destination);
  if (!fromClient && !isOuter(outer, packet, o + destination, o + source)) return false;
  const own = o + (fromClient ? networkOfClient : networkOfServer);
  if (outer[own] === packet.tunnelId) return true;
  const isOfOther = outer[o + (fromClient ? networkOfServer : networkOfClient)] === packet.tunnelId;
  const isUnknown = outer[own] === unknownNetwork;
  // A stray packet may have brought another number; the flow's own is believed again.
  if (!(anyNetwork ? isUnknown || isOfOther : isUnknown && isOfOther)) return false;
  outer[own] = packet.tunnelId;
  return true;
}

function isOuter(outer: Int32Array, packet: Packet, from: number, to: number): boolean {
  return (
    outer[from] === packet.outerSource0 &&
    outer[from + 1] === packet.outerSource1 &&
    outer[from + 2] === packet.outerSource2 &&
    outer[from + 3] === packet.outerSource3 &&
    outer[to] === packet.outerDestination0 &&
    outer[to + 1] === packet.outerDestination1 &&
    outer[to + 2] === packet.outerDestination2 &&
    outer[to + 3] === packet.outerDestination3
  );
}

/** Writes the row of a new flow. `sourceFirst`: the packet's outer source is the client's side. */
export function writeOuter(outer: Int32Array, slot: number, packet: Packet, sourceFirst: boolean): void {
  const o = slot * outerStride;
  const from = o + (sourceFirst ? source : destination);
  const to = o + (sourceFirst ? destination : source);
  outer[o] = packet.outerVersion;
  outer[o + 1] = packet.outerProtocol;
  outer[from] = packet.outerSource0;
  outer[from + 1] = packet.outerSource1;
  outer[from + 2] = packet.outerSource2;
  outer[from + 3] = packet.outerSource3;
  outer[to] = packet.outerDestination0;
  outer[to + 1] = packet.outerDestination1;
  outer[to + 2] = packet.outerDestination2;
  outer[to + 3] = packet.outerDestination3;
  outer[o + 10] = sourceFirst ? packet.outerSourcePort : packet.outerDestinationPort;
  outer[o + 11] = sourceFirst ? packet.outerDestinationPort : packet.outerSourcePort;
  outer[o + (sourceFirst ? networkOfClient : networkOfServer)] = packet.tunnelId;
  outer[o + (sourceFirst ? networkOfServer : networkOfClient)] = packet.tunnelId === 0 ? 0 : unknownNetwork;
}
