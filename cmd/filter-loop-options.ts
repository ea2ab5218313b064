/** What a loop of the inline filter is made with. */
import type { ActionPolicy } from '../lib/engine/action.js';
import type { EncryptedMode } from '../lib/engine/policy.js';
import type { Registry } from '../lib/engine/registry.js';
import type { SwarmWatch } from '../lib/engine/swarm-watch.js';
import type { PacketQueue, QueueBatch } from '../lib/io/packet-queue.js';
import type { Packet } from '../lib/wire/packet.js';
import type { DecisionMessage } from './filter-settings.js';

/** Tells whether the operator's allow-list names a packet's flow. */
export interface AllowCheck {
  /** Both ends' addresses and ports. */
  matches(packet: Packet): boolean;
  matchesInterface(index: number): boolean;
  matchesMac(bytes: Uint8Array, at: number): boolean;
}

export interface FilterLoopOptions {
  readonly queue: PacketQueue;
  readonly registry: Registry;
  readonly markMask: number;
  readonly pass: 'accept' | 'repeat';
  readonly flowsMax: number;
  /** Fragmented datagrams put together at once, 2 to 16,384; fragmentedDatagramsMax if left out. */
  readonly datagramsMax?: number;
  readonly hashSeed: number;
  readonly action: ConstructorParameters<typeof ActionPolicy>[1];
  readonly allow: AllowCheck;
  readonly enforce: boolean;
  readonly swarm?: SwarmWatch;
  readonly encrypted?: EncryptedMode;
  /** Counts of counters.ts; `countersLength` of them. */
  readonly counts: Float64Array;
  /** Name that reports give as the flow's file. */
  readonly sourceName: string;
  /**
   * Packets are copies: nobody waits for a verdict, nothing can be dropped, and packets of decided flows keep coming,
   * because no kernel was told about them.
   */
  readonly passive?: boolean;
  /** Called for each packet of a flow that was reported and is not accepted, as it stands in the batch. Passive only. */
  readonly onDetected?: (batch: QueueBatch, i: number) => void;
  /** Called for each decided flow; false when the report cannot be taken. */
  readonly onDecision: (decision: () => DecisionMessage) => boolean;
  /** The same for each flow that passes although something spoke for BitTorrent; left out: nobody wants to know. */
  readonly onDoubt?: (doubt: () => DecisionMessage) => boolean;
}
