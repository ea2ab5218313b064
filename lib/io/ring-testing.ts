/** Packets for tests of the rings: each tells its number by its bytes, so that a mixture would show. */
import { PacketBatch } from './packet-source.js';

export interface RingPacket {
  readonly bytes: Uint8Array;
  readonly wireLength: number;
  readonly linkType: number;
  readonly timeMicros: number;
  readonly frame: number;
}

/** A packet whose fields and bytes follow from its number. */
export function numbered(number: number, length: number): RingPacket {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = Math.imul(number + 1, 31) + i * 7;
  return {
    bytes,
    wireLength: length + (number % 3) * 100,
    linkType: number % 300,
    timeMicros: 1_790_000_000_000_000 + number * 0.5,
    frame: number | 0,
  };
}

/** A batch whose packets stand one after the other behind `before` other bytes, with nothing behind the last one. */
export function batchOf(packets: readonly RingPacket[], before = 0): PacketBatch {
  const batch = new PacketBatch(Math.max(1, packets.length));
  const block = new Uint8Array(before + packets.reduce((sum, { bytes }) => sum + bytes.length, 0));
  block.fill(0xee, 0, before);
  batch.bytes = block;
  let at = before;
  for (const [i, packet] of packets.entries()) {
    block.set(packet.bytes, at);
    batch.start[i] = at;
    at += packet.bytes.length;
    batch.end[i] = at;
    batch.wireLength[i] = packet.wireLength;
    batch.linkType[i] = packet.linkType;
    batch.timeMicros[i] = packet.timeMicros;
    batch.frame[i] = packet.frame;
  }
  batch.count = packets.length;
  return batch;
}

/** The packets of a batch, copied. */
export function packetsOf(batch: PacketBatch): RingPacket[] {
  return Array.from({ length: batch.count }, (_, i) => ({
    bytes: Uint8Array.from(batch.bytes.subarray(batch.start[i], batch.end[i])),
    wireLength: batch.wireLength[i]!,
    linkType: batch.linkType[i]!,
    timeMicros: batch.timeMicros[i]!,
    frame: batch.frame[i]!,
  }));
}
