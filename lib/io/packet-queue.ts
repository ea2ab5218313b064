/**
 * A queue of held packets: the inline filter's packet source. Every packet that was received must be settled, in the
 * order of arrival; the kernel holds it until then. NFQUEUE through the addon, and memory for tests, hand over the same
 * batch.
 */
import { PacketBatch } from './packet-source.js';

/** Netfilter verdicts (linux/netfilter.h). */
export const nfDrop = 0;
export const nfAccept = 1;
export const nfRepeat = 4;

/** Bits of `QueueBatch.flags`. */
/** Checksums are still to be filled in by the network card (NFQA_SKB_CSUMNOTREADY). */
export const packetChecksumNotReady = 1;
/** Several segments in one packet (NFQA_SKB_GSO). */
export const packetGso = 2;
/** Fewer bytes were copied than the packet has (NFQA_CAP_LEN). */
export const packetTruncated = 4;

/** Values of `QueueBatch.handOver`. */
export const handOverAsked = 1;
export const handOverDone = 2;

/** Bytes of one hardware address field: 6 of the address, 2 unused. */
export const macStride = 8;

/** One batch of held packets. `bytes` is filled by `receive`; `verdict` and `verdictMark` by the caller before `settle`. */
export class QueueBatch extends PacketBatch {
  /** Packet id within its queue. */
  readonly id: Uint32Array;
  /** Netfilter hook: 1 local in, 2 forward, 3 local out. */
  readonly hook: Uint8Array;
  /** Packet mark as it arrived. */
  readonly mark: Uint32Array;
  /** Interface indexes, 0 if none. */
  readonly inInterface: Uint32Array;
  readonly outInterface: Uint32Array;
  readonly flags: Uint8Array;
  /** Source hardware address at `i * macStride`, zeros where it is not visible. */
  readonly mac: Uint8Array;
  /** nfDrop, nfAccept or nfRepeat. */
  readonly verdict: Uint8Array;
  /** Mark to set; sent only where it differs from `mark`. */
  readonly verdictMark: Uint32Array;
  /**
   * 0 when the packet was received. `handOverAsked`: it is settled after all others, and if no packet waits in the queue by
   * then, by nfRepeat with `handOverMark` in place of its verdict; `settle` writes `handOverDone` then.
   */
  readonly handOver: Uint8Array;
  readonly handOverMark: Uint32Array;
  /**
   * One element, written by `settle`: microseconds from the end of `receive` to the end of `settle` of the last batch.
   * Kept here and not in the queue, so that reading it is the same code for every queue.
   */
  readonly workMicros = new Float64Array(1);

  constructor(capacity: number, slabBytes: number) {
    super(capacity);
    this.bytes = new Uint8Array(slabBytes);
    this.id = new Uint32Array(capacity);
    this.hook = new Uint8Array(capacity);
    this.mark = new Uint32Array(capacity);
    this.inInterface = new Uint32Array(capacity);
    this.outInterface = new Uint32Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.mac = new Uint8Array(capacity * macStride);
    this.verdict = new Uint8Array(capacity);
    this.verdictMark = new Uint32Array(capacity);
    this.handOver = new Uint8Array(capacity);
    this.handOverMark = new Uint32Array(capacity);
  }
}

/** What happened to a queue since it was opened; plain counts. */
export interface QueueCounters {
  /** Packets that the kernel dropped (or, fail-open, passed) because the socket's buffer was full. */
  readonly overruns: number;
  /** Verdicts for packets that the kernel no longer held (ENOENT), such as after an interface went down. */
  readonly stale: number;
  /** Messages that were not understood. */
  readonly malformed: number;
  /** Verdict messages sent; fewer than packets where runs were coalesced. */
  readonly verdictMessages: number;
}

export interface PacketQueue {
  readonly batch: QueueBatch;
  readonly counters: QueueCounters;
  /**
   * Waits for packets, up to the time-out given at opening, and fills the batch with those that are there (1 to
   * capacity). Sets count, offsets, lengths, link types (LINKTYPE_RAW), times (one clock reading per batch) and the
   * fields of QueueBatch. Returns the count, 0 after a time-out or an interrupted wait.
   */
  receive(): number;
  /** Gives the verdicts of the whole batch back in one send; those of packets that are to be handed over in a second. */
  settle(): void;
  /** Idempotent. Packets still held by the kernel are released by it (bypass, fail-open). */
  close(): void;
}
