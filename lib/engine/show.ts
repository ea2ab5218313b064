/** What detectors are shown of a packet, and where its bytes are kept. */
import type { View } from '../../detectors/detector.js';
import type { OpeningPool } from '../flow/openings.js';
import { packetsOf, sConsumed, sFlags, sInspected, sOpening, wordStride } from '../flow/table.js';
import { protocolTcp, type Packet } from '../wire/packet.js';
import { isFromStart } from './gaps.js';

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
  view.fromStart = packet.protocol !== protocolTcp || isFromStart(words[s + sFlags]!, side);
  view.payloadPacket = words[s + sInspected + side]!;
  view.sourcePort = packet.sourcePort;
  view.destinationPort = packet.destinationPort;
  view.ipVersion = packet.ipVersion;
  view.turn = 0;
  // Of TCP the acknowledgement numbers tell (turns.ts).
  view.oneWay = packet.protocol !== protocolTcp && words[s + packetsOf + 1 - side] === 0;
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

/** The opening of a side, taken from the pool if it has none; may take over the oldest of another flow. */
export function openingOf(pool: OpeningPool, words: Int32Array, slot: number, side: number): number {
  const s = slot * wordStride;
  if (words[s + sOpening + side]! >= 0) return words[s + sOpening + side]!;
  const victim = pool.next();
  if (victim >= 0) {
    const owner = pool.owner[victim]! * wordStride;
    words[owner + sOpening + pool.side[victim]!] = -1;
    words[owner + sConsumed + pool.side[victim]!] = 1;
  }
  const own = pool.take(slot, side);
  words[s + sOpening + side] = own;
  return own;
}
