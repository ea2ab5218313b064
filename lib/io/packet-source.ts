/**
 * Where packets come from. NFQUEUE, live capture, capture files and memory all hand over the same batch: one block of
 * bytes and typed arrays of descriptors, so that nothing is allocated or copied per packet.
 */
import { batchPacketsMax } from '../limits.js';

const nothing = new Uint8Array(0);

/** Up to `capacity` packets of one block. Owned by the reader's caller, refilled by each `next`. */
export class PacketBatch {
  readonly capacity: number;
  /** Packets in this batch, 0 to capacity. */
  count = 0;
  /** The block that all offsets of this batch point into. Valid until the next call of `fill`. */
  bytes: Uint8Array = nothing;
  /** First byte of each packet in `bytes`. */
  readonly start: Int32Array;
  /** One past the last captured byte. */
  readonly end: Int32Array;
  /** Length on the wire, bytes; at least `end - start`. */
  readonly wireLength: Int32Array;
  /** LINKTYPE_ value of each packet (tcpdump.org/linktypes.html). */
  readonly linkType: Int32Array;
  /** Time stamp, whole microseconds since 1970-01-01 UTC. */
  readonly timeMicros: Float64Array;
  /** Frame number in its file from 1, as Wireshark counts. */
  readonly frame: Int32Array;

  constructor(capacity: number = batchPacketsMax) {
    this.capacity = capacity;
    this.start = new Int32Array(capacity);
    this.end = new Int32Array(capacity);
    this.wireLength = new Int32Array(capacity);
    this.linkType = new Int32Array(capacity);
    this.timeMicros = new Float64Array(capacity);
    this.frame = new Int32Array(capacity);
  }
}

/** Something that went wrong in a source without ending the scan: told to the user once, with a stable code. */
export interface SourceWarning {
  readonly code: string;
  readonly message: string;
}

export interface PacketSource {
  /** File path, `-` for standard input, or interface name. */
  readonly name: string;
  /** Bytes to read in all, or null when unknown (standard input). For progress only. */
  readonly bytesTotal: number | null;
  /** Bytes read so far (of the file as it is on disk, before gzip). */
  readonly bytesRead: number;
  readonly warnings: readonly SourceWarning[];
  /** Brings the next block into memory. False when there is nothing more. Batches of the last block become invalid. */
  fill(): Promise<boolean>;
  /** Puts the next packets of the current block into `batch`; 0 when the block is used up and `fill` is due. */
  next(batch: PacketBatch): number;
  close(): Promise<void>;
}
