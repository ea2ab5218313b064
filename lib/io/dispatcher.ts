/**
 * The end of a capture loop: each packet goes to the ring of the worker that has its flow. A packet for which there is no
 * room is counted as skipped for inspection; nothing waits, nothing is queued elsewhere.
 */
import { invariant } from '../invariant.js';
import { shardOf, workerOf } from '../wire/shard.js';
import type { PacketBatch } from './packet-source.js';
import type { RingWriter } from './slab-ring.js';

/** Places in the counts of a dispatcher. One thread writes them, others may read at any time. */
export const capturedPacketsAt = 0;
/** Bytes on the wire. */
export const capturedBytesAt = 1;
export const capturedBatchesAt = 2;
export const skippedPacketsAt = 3;
/** Bytes on the wire. */
export const skippedBytesAt = 4;
const workersAt = 5;
const perWorker = 2;

/** Packets that a worker was given. */
export function handedOverAt(worker: number): number {
  return workersAt + worker * perWorker;
}

/** Packets for which a worker's ring had no room. */
export function skippedByAt(worker: number): number {
  return workersAt + worker * perWorker + 1;
}

export function dispatcherCountsLength(workers: number): number {
  return workersAt + workers * perWorker;
}

export interface DispatcherOptions {
  /** The rings of this capture loop, one per worker. */
  readonly writers: readonly RingWriter[];
  /** Same seed, same worker: all capture loops of an instance have the same. */
  readonly seed: number;
  /** `dispatcherCountsLength` numbers, shared with the control plane. */
  readonly counts: Float64Array;
}

export class Dispatcher {
  readonly #writers: readonly RingWriter[];
  readonly #seed: number;
  readonly #counts: Float64Array;

  constructor({ writers, seed, counts }: DispatcherOptions) {
    invariant(writers.length > 0, 'a dispatcher has at least one worker');
    invariant(counts.length >= dispatcherCountsLength(writers.length), 'each worker has its counts');
    this.#writers = writers;
    this.#seed = seed | 0;
    this.#counts = counts;
  }

  /** Hands the whole batch over. When it returns, its bytes are no longer needed. */
  take(batch: PacketBatch): void {
    const { bytes, count } = batch;
    const writers = this.#writers;
    const counts = this.#counts;
    if (count === 0) return;
    let wireBytes = 0;
    for (let i = 0; i < count; i++) {
      const shard = shardOf(bytes, batch.start[i]!, batch.end[i]!, batch.linkType[i]!, this.#seed);
      const worker = workerOf(shard, writers.length);
      wireBytes += batch.wireLength[i]!;
      if (writers[worker]!.offer(batch, i)) counts[handedOverAt(worker)]! += 1;
      else this.#skip(worker, batch.wireLength[i]!);
    }
    for (let i = 0; i < writers.length; i++) writers[i]!.publish();
    counts[capturedPacketsAt]! += count;
    counts[capturedBytesAt]! += wireBytes;
    counts[capturedBatchesAt]! += 1;
  }

  #skip(worker: number, wireLength: number): void {
    const counts = this.#counts;
    counts[skippedByAt(worker)]! += 1;
    counts[skippedPacketsAt]! += 1;
    counts[skippedBytesAt]! += wireLength;
  }
}
