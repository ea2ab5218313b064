/** What a worker of a monitor reads from: its ring of each interface. */
import { PacketBatch } from '../lib/io/packet-source.js';
import { RingQueue, type RingQueueOptions } from '../lib/io/ring-queue.js';
import { RingReader } from '../lib/io/slab-ring.js';
import type { RingSettings } from './filter-settings.js';

/** A packet's interface is told as its place among those that are watched, from 1. */
export function openRings(
  { memories, bell, batchPackets }: RingSettings,
  waitMillis: number,
  clock?: RingQueueOptions['readWorkClock'],
): RingQueue {
  const rings = memories.map((memory, place) => ({ memory, interfaceIndex: place + 1 }));
  const timed = clock === undefined ? {} : { readWorkClock: clock };
  return new RingQueue({ rings, bell, batchPackets, waitMillis, ...timed });
}

/**
 * Gives up what a lost worker had in hand, a batch of each ring at the most: whatever it was lost over must not end its
 * successors too. Returns the number of packets.
 */
export function giveUp({ memories, batchPackets }: Pick<RingSettings, 'memories' | 'batchPackets'>): number {
  let count = 0;
  for (const memory of memories) {
    const reader = new RingReader(memory);
    count += reader.take(new PacketBatch(batchPackets));
    reader.release();
  }
  return count;
}
