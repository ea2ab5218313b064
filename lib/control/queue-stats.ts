/**
 * What the kernel says about its packet queues. /proc/net/netfilter/nfnetlink_queue has one line per queue
 * (net/netfilter/nfnetlink_queue.c, seq_show): number, port id of the listener, packets waiting, copy mode, copy range,
 * packets dropped because the queue was full, packets dropped because the socket was full, last packet id, and a 1.
 * The file shows the queues of the reader's own network namespace.
 */
import { readFileSync } from 'node:fs';

export interface QueueStats {
  readonly portId: number;
  /** Packets that wait for a verdict. */
  readonly waiting: number;
  /** 0 nothing, 1 meta data, 2 packet. */
  readonly copyMode: number;
  readonly copyRange: number;
  /** Dropped because the queue was full; what passes instead (fail-open) is not counted by the kernel. */
  readonly queueDropped: number;
  /** Dropped because the listener's socket buffer was full; the same. */
  readonly userDropped: number;
  readonly lastId: number;
}

const queueStatsPath = '/proc/net/netfilter/nfnetlink_queue';
const fieldsMin = 8;

/** Lines that are not understood are left out. */
export function parseQueueStats(text: string): Map<number, QueueStats> {
  const queues = new Map<number, QueueStats>();
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/\s+/);
    if (fields.length < fieldsMin || !fields.every((field) => /^\d{1,10}$/.test(field))) continue;
    const numbers = fields.map(Number);
    const [queue, portId, waiting, copyMode, copyRange, queueDropped, userDropped, lastId] = numbers;
    queues.set(queue!, {
      portId: portId!,
      waiting: waiting!,
      copyMode: copyMode!,
      copyRange: copyRange!,
      queueDropped: queueDropped!,
      userDropped: userDropped!,
      lastId: lastId!,
    });
  }
  return queues;
}

/** By queue number; empty where the kernel has no such file or it cannot be read. */
export function readQueueStats(path = queueStatsPath): Map<number, QueueStats> {
  try {
    return parseQueueStats(readFileSync(path, 'latin1'));
  } catch {
    return new Map();
  }
}
