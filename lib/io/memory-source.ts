/** Packets given in memory as a packet source, for tests and benchmarks. */
import type { PacketBatch, PacketSource, SourceWarning } from './packet-source.js';

export interface MemoryPacket {
  /** Captured bytes, from the link-layer header on. */
  readonly bytes: Uint8Array;
  /** Whole microseconds since 1970-01-01 UTC. */
  readonly timeMicros: number;
  /** LINKTYPE_ value; Ethernet (1) if left out. */
  readonly linkType?: number;
  /** Length on the wire, bytes; that of `bytes` if left out. */
  readonly wireLength?: number;
}

/** A source that yields these packets in order, all in one block; together they must stay below 2 GiB. */
export function memorySource(name: string, packets: readonly MemoryPacket[]): PacketSource {
  return new MemorySource(name, packets);
}

class MemorySource implements PacketSource {
  readonly name: string;
  readonly bytesTotal: number;
  readonly warnings: readonly SourceWarning[] = [];
  readonly #packets: readonly MemoryPacket[];
  readonly #bytes: Uint8Array;
  #filled = false;
  #index = 0;
  #at = 0;

  constructor(name: string, packets: readonly MemoryPacket[]) {
    this.name = name;
    this.#packets = packets;
    this.bytesTotal = packets.reduce((sum, packet) => sum + packet.bytes.length, 0);
    this.#bytes = new Uint8Array(this.bytesTotal);
    let at = 0;
    for (const packet of packets) {
      this.#bytes.set(packet.bytes, at);
      at += packet.bytes.length;
    }
  }

  get bytesRead(): number {
    return this.#at;
  }

  fill(): Promise<boolean> {
    const first = !this.#filled && this.#packets.length > 0;
    this.#filled = true;
    return Promise.resolve(first);
  }

  next(batch: PacketBatch): number {
    batch.bytes = this.#bytes;
    let count = 0;
    while (this.#filled && count < batch.capacity && this.#index < this.#packets.length) {
      const packet = this.#packets[this.#index++]!;
      batch.start[count] = this.#at;
      this.#at += packet.bytes.length;
      batch.end[count] = this.#at;
      batch.wireLength[count] = Math.max(packet.wireLength ?? 0, packet.bytes.length);
      batch.linkType[count] = packet.linkType ?? 1;
      batch.timeMicros[count] = packet.timeMicros;
      batch.frame[count] = this.#index;
      count++;
    }
    batch.count = count;
    return count;
  }

  close(): Promise<void> {
    this.#index = this.#packets.length;
    return Promise.resolve();
  }
}
