/**
 * Where live packets come from: a network interface, by a kernel ring of our addon or by libpcap through `cap`. Both hand
 * over the same batch, so that what follows (the dispatcher and the workers) does not know which of them it was.
 */
import type { PacketBatch } from './packet-source.js';

/** How an interface is to be watched. */
export interface LiveOptions {
  /** Name of the interface, as in `ip link`. */
  readonly interface: string;
  /** Filter in libpcap's language (pcap-filter(7)), '' for everything. */
  readonly filter: string;
  /** Bytes of each packet that are handed over at the most, 64 to 262,144. */
  readonly snapBytes: number;
  /** Also packets for other stations, as on a mirror port; otherwise such packets are left out. */
  readonly promiscuous: boolean;
  /** Packets handed over at once, 1 to 256. */
  readonly batchPackets: number;
}

/** Sums since the source was opened. */
export interface LiveCounters {
  /** Packets that were handed over. */
  captured: number;
  /** Packets that the kernel could not keep for us; -1 where nobody tells (`cap`). */
  kernelDropped: number;
}

interface LiveSourceCommon {
  /** Name of the interface. */
  readonly name: string;
  /** Its index in this network namespace (if_nametoindex). */
  readonly index: number;
  /** LINKTYPE_ value of all its packets. */
  readonly linkType: number;
  /** Which of the two it is. */
  readonly kind: 'ring' | 'cap';
  /** Filled by the source. `bytes` is valid until the batch is refilled, and never after `close`. */
  readonly batch: PacketBatch;
  readonly counters: LiveCounters;
  /** Idempotent. */
  close(): void;
}

/** Waits in the kernel: for a thread of its own. */
export interface BlockingLiveSource extends LiveSourceCommon {
  readonly kind: 'ring';
  /**
   * Fills the batch with what is there, at most its capacity; waits up to `timeoutMillis` when nothing is. A partial batch
   * is handed over at once. Returns the count, 0 after a time-out. @throws LiveSourceError when the interface is gone:
   * after 'interface-down' it may be called again and goes on when the interface is up again, else only `close` is left
   */
  receive(timeoutMillis: number): number;
  /** @throws LiveSourceError 'interface-missing' when the interface has another name than it was opened by */
  checkName(): void;
}

/** Calls back from the event loop of the thread that opened it: `cap` runs in a process of its own and sends. */
export interface EventLiveSource extends LiveSourceCommon {
  readonly kind: 'cap';
  /** Grows at least every second while its process lives and is not stuck, also on an idle link. */
  readonly signs: number;
  /**
   * From now on `onBatch` is called whenever the batch has packets; it must be done with them when it returns. `onEnd` is
   * called once if the capture ends by itself (the interface went down or was removed): the source is closed then.
   */
  start(onBatch: () => void, onEnd: (error: LiveSourceError) => void): void;
}

export type LiveSource = BlockingLiveSource | EventLiveSource;

/** What stands in the way of watching an interface, with what to do. */
export class LiveSourceError extends Error {
  override readonly name = 'LiveSourceError';
  constructor(
    /** 'interface-missing', 'interface-down', 'capture-permission', 'bad-filter', 'source-missing', 'link-type', ... */
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
