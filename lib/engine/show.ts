/** What detectors are shown of a packet. */
import type { View } from '../../detectors/detector.js';
import type { OpeningPool } from '../flow/openings.js';
import { flagSynClient, sFlags, sInspected, sOpening } from '../flow/table.js';
import { protocolTcp, type Packet } from '../wire/packet.js';

/** Fills the view with a packet's payload and with what is kept of both sides; `s` is the flow's row in words. */
export function showPayload(
  view: View,
  pool: OpeningPool,
  words: Int32Array,
  s: number,
  side: number,
  packet: Packet,
): void {
  view.bytes = packet.bytes;
  view.start = packet.payloadStart;
  view.end = packet.payloadEnd;
  view.wireLength = packet.payloadWireLength;
  view.fromClient = side === 0;
  view.fromStart = packet.protocol !== protocolTcp || (words[s + sFlags]! & (flagSynClient << side)) !== 0;
  view.payloadPacket = words[s + sInspected + side]!;
  view.sourcePort = packet.sourcePort;
  view.destinationPort = packet.destinationPort;
  view.ipVersion = packet.ipVersion;
  view.turn = 0;
  const other = words[s + sOpening + 1 - side]!;
  view.other = pool.bytes;
  view.otherStart = other < 0 ? 0 : pool.start(other);
  view.otherEnd = other < 0 ? 0 : view.otherStart + pool.length[other]!;
  view.otherWireLength = other < 0 ? 0 : pool.wireLength[other]!;
  const own = words[s + sOpening + side]!;
  view.opening = pool.bytes;
  view.openingStart = own < 0 ? 0 : pool.start(own);
  view.openingEnd = own < 0 ? 0 : view.openingStart + pool.length[own]!;
  view.openingWireLength = own < 0 ? 0 : pool.wireLength[own]!;
}
