/** NFQUEUE through the addon: packets that the kernel holds until their verdict. One queue, one worker, one batch. */
import { constants } from 'node:os';
import { invariant } from '../invariant.js';
import { batchPacketsMax } from '../limits.js';
import {
  counterNames,
  openQueue,
  queueCalls,
  queueError,
  setCopyRange,
  slotBytesFor,
  type QueueArrays,
  type QueueCalls,
  type QueueHandle,
  type QueueInfo,
} from '../native/index.js';
import { linkRaw } from '../wire/link.js';
import { type PacketQueue, QueueBatch, type QueueCounters } from './packet-queue.js';

const { EBADF, EBUSY, ENOBUFS } = constants.errno;

export interface NfqueueOptions {
  /** Queue number, 0 to 65535. */
  readonly queue: number;
  /** Packets per batch, 1 to 256. */
  readonly batchPackets?: number;
  /** Bytes of each packet to copy, 128 to 65531. */
  readonly copyBytes?: number;
  /** The most that `setCopyBytes` may ask for later; memory is taken for it now. `copyBytes` if left out. */
  readonly copyBytesMax?: number;
  /**
   * Packets that the kernel holds at once. Fail-open lets a packet that finds the queue full pass without a trace, so
   * this is to be more than the socket buffer holds: what does not fit there is seen as a gap in the ids and counted.
   */
  readonly lengthMax?: number;
  /**
   * Socket buffer: the queue's real length. The kernel doubles the number; then 1 MiB held 2,520 small packets or 1,640
   * of 1000 bytes (512 copied). Longer only adds delay: 1024 to 4096 packets measured best.
   */
  readonly receiveBufferBytes?: number;
  /** Packets that do not fit pass instead of being dropped. */
  readonly failOpen?: boolean;
  /** Large packets (GSO, GRO) arrive whole: 16 Gbit/s of TCP instead of 3. */
  readonly gso?: boolean;
  /** Longest wait of `receive`; 0 does not wait. It also bounds how long a worker takes to notice `terminate`. */
  readonly timeoutMillis?: number;
}

const defaults = {
  batchPackets: batchPacketsMax,
  copyBytes: 512,
  lengthMax: 16_384,
  receiveBufferBytes: 1536 * 1024,
  failOpen: true,
  gso: true,
  timeoutMillis: 100,
};

/**
 * Bytes of the socket's buffer per packet that the queue may hold besides a batch in hand. The kernel doubles them and
 * charges 832 for the smallest packet, so the socket is full first, and only what it cannot take leaves a gap in the ids.
 */
const bytesPerPlace = 384;

export interface QueueSizes {
  readonly batchPackets: number;
  readonly receiveBufferBytes: number;
}

/**
 * What is left of the wanted sizes if every packet that passes a full queue (fail-open) is to be counted, with a queue of
 * `lengthMax` packets: a batch is a quarter of it at the most, and the socket's buffer is shorter than what remains.
 */
export function countedSizes(lengthMax: number, wanted: QueueSizes): QueueSizes {
  const batchPackets = Math.max(1, Math.min(wanted.batchPackets, lengthMax >> 2));
  const room = (lengthMax - batchPackets) * bytesPerPlace;
  return { batchPackets, receiveBufferBytes: Math.min(wanted.receiveBufferBytes, room) };
}

const place = (name: (typeof counterNames)[number]): number => counterNames.indexOf(name);
const overrunsAt = place('overruns');
const staleAt = place('stale');
const malformedAt = place('malformed');
const verdictMessagesAt = place('verdictMessages');
const sendRetriesAt = place('sendRetries');
const sendFailuresAt = place('sendFailures');
const reorderedAt = place('reordered');
const shorteningsAt = place('shortenings');

/** What the addon counts beside the common counters, read in place. `overruns` is in packets: the ids that never arrived. */
export class NfqueueCounters implements QueueCounters {
  readonly #values: Float64Array;

  /** `values`: one for each of `counterNames`. */
  constructor(values: Float64Array) {
    invariant(values.length === counterNames.length, 'the addon has one number for each name');
    this.#values = values;
  }

  get overruns(): number {
    return this.#values[overrunsAt]!;
  }

  get stale(): number {
    return this.#values[staleAt]!;
  }

  get malformed(): number {
    return this.#values[malformedAt]!;
  }

  get verdictMessages(): number {
    return this.#values[verdictMessagesAt]!;
  }

  /** Sends of verdicts that were tried again because the kernel had no memory. */
  get sendRetries(): number {
    return this.#values[sendRetriesAt]!;
  }

  /** Batches whose verdicts could not be sent at once; they are sent before the next batch is received. */
  get sendFailures(): number {
    return this.#values[sendFailuresAt]!;
  }

  /** Packets whose ids came out of order. No kernel is known to do so; equal verdicts are then no longer put together. */
  get reordered(): number {
    return this.#values[reorderedAt]!;
  }

  /** Times that the queue was made short, because it had been full all the time; each ends when it no longer is. */
  get shortenings(): number {
    return this.#values[shorteningsAt]!;
  }
}

export class NfqueueQueue implements PacketQueue {
  readonly batch: QueueBatch;
  readonly counters: NfqueueCounters;
  /** What the kernel granted of what was asked for. */
  readonly info: QueueInfo;
  readonly #queue: number;
  readonly #calls: QueueCalls;
  readonly #handle: QueueHandle;
  #frame = 0;

  /** @throws NativeError: native-missing, queue-busy, queue-permission, queue-unsupported or queue-failed */
  constructor(options: NfqueueOptions) {
    const all = { ...defaults, ...options };
    const slotBytes = slotBytesFor(Math.max(all.copyBytes, all.copyBytesMax ?? 0));
    this.batch = new QueueBatch(all.batchPackets, all.batchPackets * slotBytes);
    this.batch.linkType.fill(linkRaw);
    const values = new Float64Array(counterNames.length);
    this.counters = new NfqueueCounters(values);
    this.#queue = all.queue;
    this.#calls = queueCalls();
    const { handle, info } = openQueue({ ...all, slotBytes }, arraysOf(this.batch, values));
    this.#handle = handle;
    this.info = info;
  }

  receive(): number {
    const { batch } = this;
    const count = this.#calls.receive(this.#handle);
    if (count < 0) this.#failed('receiving', count);
    batch.count = count;
    for (let i = 0; i < count; i++) {
      this.#frame = (this.#frame + 1) | 0;
      batch.frame[i] = this.#frame;
    }
    return count;
  }

  settle(): void {
    const result = this.#calls.settle(this.#handle);
    this.batch.count = 0;
    // Without memory for the verdicts the addon keeps them and sends them before the next receive: counted, not fatal.
    if (result < 0 && result !== -ENOBUFS) this.#failed('settling', result);
  }

  /** Bytes of each packet to copy from now on; packets that wait already keep what they have. */
  setCopyBytes(copyBytes: number): void {
    setCopyRange(this.#handle, copyBytes);
  }

  close(): void {
    this.batch.count = 0;
    this.#calls.close(this.#handle);
  }

  #failed(doing: string, result: number): never {
    invariant(result !== -EBUSY, 'a batch is settled before the next is received');
    invariant(result !== -EBADF, 'a closed queue is not used');
    throw queueError(this.#queue, doing, result);
  }
}

/** The batch as the addon knows it. `bytes` never changes its array afterwards: the addon writes to this one. */
function arraysOf(batch: QueueBatch, counters: Float64Array): QueueArrays {
  const { bytes, start, end, wireLength, timeMicros, id, hook, mark, inInterface, outInterface } = batch;
  const { flags, mac, verdict, verdictMark, handOver, handOverMark, workMicros } = batch;
  return {
    ...{ bytes, start, end, wireLength, timeMicros, id, hook, mark, inInterface, outInterface },
    ...{ flags, mac, verdict, verdictMark, handOver, handOverMark, workMicros, counters },
  };
}
