/** A packet queue in memory, for tests: it is fed IP packets and keeps the verdicts that it was given, in order. */
import { invariant } from '../invariant.js';
import { batchPacketsMax } from '../limits.js';
import { linkRaw } from '../wire/link.js';
import {
  handOverDone,
  macStride,
  nfAccept,
  nfDrop,
  nfRepeat,
  packetTruncated,
  type PacketQueue,
  QueueBatch,
} from './packet-queue.js';

export interface QueuedPacket {
  /** The IP packet, from its version nibble on. */
  readonly bytes: Uint8Array;
  /** Whole microseconds since 1970-01-01 UTC. Packets of one batch get the time of its last, as one clock reading would. */
  readonly timeMicros?: number;
  readonly mark?: number;
  /** Netfilter hook; forward (2) if left out. */
  readonly hook?: number;
  readonly inInterface?: number;
  readonly outInterface?: number;
  /** Source hardware address, 6 bytes. */
  readonly mac?: Uint8Array;
  /** packetChecksumNotReady, packetGso. */
  readonly flags?: number;
  /** Length on the wire, bytes; that of `bytes` if left out. */
  readonly wireLength?: number;
}

/** What became of one packet. */
export interface SettledPacket {
  readonly packet: QueuedPacket;
  readonly id: number;
  /** nfDrop, nfAccept or nfRepeat. */
  readonly verdict: number;
  /** Mark that the packet leaves with. */
  readonly mark: number;
}

export interface MemoryQueueOptions {
  readonly batchPackets?: number;
  /** Bytes of each packet that are copied; the rest is only counted in `wireLength`. */
  readonly copyBytes?: number;
  /** Id of the first packet. */
  readonly firstId?: number;
}

export class MemoryQueue implements PacketQueue {
  readonly batch: QueueBatch;
  readonly counters = { overruns: 0, stale: 0, malformed: 0, verdictMessages: 0 };
  /** Every packet settled so far, in order. */
  readonly settled: SettledPacket[] = [];
  closed = false;
  readonly #copyBytes: number;
  readonly #waiting: QueuedPacket[] = [];
  #inHand: QueuedPacket[] = [];
  #id: number;
  #frame = 0;

  constructor(options: MemoryQueueOptions = {}) {
    const batchPackets = options.batchPackets ?? batchPacketsMax;
    this.#copyBytes = options.copyBytes ?? 2048;
    this.#id = options.firstId ?? 1;
    this.batch = new QueueBatch(batchPackets, batchPackets * this.#copyBytes);
    this.batch.linkType.fill(linkRaw);
  }

  /** Packets fed and not received yet. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether a packet can be handed over. */
  get isEmpty(): boolean {
    return this.waiting === 0;
  }

  feed(...packets: readonly QueuedPacket[]): void {
    invariant(!this.closed, 'a closed queue is not fed');
    this.#waiting.push(...packets);
  }

  receive(): number {
    invariant(!this.closed, 'a closed queue is not used');
    invariant(this.#inHand.length === 0, 'a batch is settled before the next is received');
    this.#inHand = this.#waiting.splice(0, this.batch.capacity);
    for (const [i, packet] of this.#inHand.entries()) this.#place(packet, i);
    this.batch.timeMicros.fill(this.#inHand.at(-1)?.timeMicros ?? Date.now() * 1000, 0, this.#inHand.length);
    this.batch.count = this.#inHand.length;
    return this.#inHand.length;
  }

  #place(packet: QueuedPacket, i: number): void {
    const { batch } = this;
    const start = i * this.#copyBytes;
    const copied = packet.bytes.subarray(0, this.#copyBytes);
    const wireLength = Math.max(packet.wireLength ?? 0, packet.bytes.length);
    batch.bytes.set(copied, start);
    batch.start[i] = start;
    batch.end[i] = start + copied.length;
    batch.wireLength[i] = wireLength;
    batch.id[i] = this.#id;
    this.#id = (this.#id + 1) >>> 0;
    this.#frame = (this.#frame + 1) | 0;
    batch.frame[i] = this.#frame;
    batch.hook[i] = packet.hook ?? 2;
    batch.mark[i] = packet.mark ?? 0;
    batch.handOver[i] = 0;
    batch.inInterface[i] = packet.inInterface ?? 0;
    batch.outInterface[i] = packet.outInterface ?? 0;
    batch.flags[i] = (packet.flags ?? 0) | (wireLength > copied.length ? packetTruncated : 0);
    batch.mac.fill(0, i * macStride, (i + 1) * macStride);
    if (packet.mac !== undefined) batch.mac.set(packet.mac.subarray(0, 6), i * macStride);
  }

  settle(): void {
    invariant(!this.closed, 'a closed queue is not used');
    const { handOver } = this.batch;
    for (const [i, packet] of this.#inHand.entries()) if (handOver[i] === 0) this.#settle(packet, i);
    for (const [i, packet] of this.#inHand.entries()) {
      if (handOver[i] === 0) continue;
      if (this.isEmpty) this.#handOver(i);
      this.#settle(packet, i);
    }
    this.counters.verdictMessages += this.#inHand.length;
    this.#inHand = [];
    this.batch.count = 0;
  }

  #handOver(i: number): void {
    const { batch } = this;
    batch.handOver[i] = handOverDone;
    batch.verdict[i] = nfRepeat;
    batch.verdictMark[i] = batch.handOverMark[i]!;
  }

  #settle(packet: QueuedPacket, i: number): void {
    const { id, verdict: verdicts, verdictMark } = this.batch;
    const verdict = verdicts[i]!;
    const known = verdict === nfDrop || verdict === nfAccept || verdict === nfRepeat;
    invariant(known, `a verdict is drop, accept or repeat, and not ${verdict}`);
    this.settled.push({ packet, id: id[i]!, verdict, mark: verdictMark[i]! });
  }

  close(): void {
    this.closed = true;
    this.batch.count = 0;
    this.#inHand = [];
    this.#waiting.length = 0;
  }
}
