/**
 * What a worker counts, in memory that the control plane reads while the worker writes: one 64-bit float per count, each
 * written by one thread only. Reading needs no lock; a reader may see counts of the same batch half updated, never torn.
 */
import { decodeOutcomes } from '../wire/packet.js';
import { reasons, verdicts } from './verdict.js';
import { kinds } from '../../detectors/detector.js';

/** Single counts, in the order of the array. All only grow, except those named "…Now". */
export const counterNames = [
  'packets',
  'bytes',
  'batches',
  /** Packets by what was done with them. */
  'passed',
  'accepted',
  'dropped',
  'rejected',
  /** Flows. */
  'flowsBegun',
  'flowsEnded',
  'flowsNow',
  'flowsEvicted',
  'flowsAllowed',
  'openingsTakenOver',
  'evidenceDropped',
  /** Payload bytes of BitTorrent flows that had passed before the deciding packet. */
  'payloadBeforeVerdict',
  /** BitTorrent flows that were decided by the first packet that carried payload. */
  'flowsFirstPacket',
  /** Flows that passed, although something in them spoke for BitTorrent or nearly did. */
  'flowsDoubtful',
  /** Packets that came in many segments, and that were copied in part. */
  'gsoPackets',
  'truncatedPackets',
  'tunnelledPackets',
  /** Packets that came back with their mark still set: the rules do not do their part. */
  'repeatsLost',
  'overruns',
  'staleVerdicts',
  'malformedMessages',
  'verdictMessages',
  /** Reports about decided flows that were left out because the control plane was behind. */
  'reportsLeftOut',
  /** The same about doubtful flows. */
  'doubtsLeftOut',
  /** Watched packets that a lost worker had in hand: given up, since they may be what it was lost over. */
  'packetsGivenUp',
  /** Packets of detected flows that were not saved, because those before them were not yet. */
  'packetsNotSaved',
  /** Sum of the time from receive to settle, seconds. */
  'busySeconds',
  /** Grows with every turn of the loop, also without packets. */
  'heartbeat',
] as const;
export type CounterName = (typeof counterNames)[number];

/** Latency histogram: bucket b holds batches that took from 2^(b/4) to 2^((b+1)/4) microseconds; the last is open. */
export const latencyBuckets = 96;

const afterNames = counterNames.length;
export const outcomesAt = afterNames;
export const verdictsAt = outcomesAt + decodeOutcomes.length;
export const reasonsAt = verdictsAt + verdicts.length;
export const kindsAt = reasonsAt + reasons.length;
export const latencyAt = kindsAt + kinds.length;
export const countersLength = latencyAt + latencyBuckets;
export const countersBytes = countersLength * Float64Array.BYTES_PER_ELEMENT;

/** Position of a single count. */
export function counterAt(name: CounterName): number {
  return counterNames.indexOf(name);
}

/** The bucket of a time in microseconds. */
export function latencyBucket(micros: number): number {
  if (!(micros > 1)) return 0;
  const bucket = Math.floor(4 * Math.log2(micros));
  return bucket < latencyBuckets ? bucket : latencyBuckets - 1;
}

/** Upper edge of a bucket in microseconds. */
export function latencyUpperMicros(bucket: number): number {
  return 2 ** ((bucket + 1) / 4);
}
