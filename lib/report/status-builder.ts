/**
 * From the counts of the workers to what `status` and the metrics say. Pure functions: the supervisor reads the shared
 * memory, adds up, and asks here.
 */
import {
  counterAt,
  counterNames,
  countersLength,
  kindsAt,
  latencyAt,
  latencyBuckets,
  latencyUpperMicros,
  outcomesAt,
  reasonsAt,
  verdictsAt,
  type CounterName,
} from '../engine/counters.js';
import { reasons, verdicts } from '../engine/verdict.js';
import { kinds } from '../../detectors/detector.js';
import { decodeOutcomes } from '../wire/packet.js';
import type { StatusReport } from './status.js';

export type StatusParts = Pick<
  StatusReport,
  'packets' | 'bytes' | 'actions' | 'flows' | 'decode' | 'counters' | 'latency_micros' | 'latency_histogram'
>;

/** Counts that have a place of their own in the report. */
const placed: ReadonlySet<CounterName> = new Set([
  'packets',
  'bytes',
  'passed',
  'accepted',
  'dropped',
  'rejected',
  'flowsBegun',
  'flowsNow',
  'flowsEvicted',
  'flowsAllowed',
  'payloadBeforeVerdict',
  'flowsFirstPacket',
  'flowsDoubtful',
]);

/** Element by element; an array that is too short counts as 0 where it ends. */
export function sumCounters(arrays: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array(countersLength);
  for (const counters of arrays) {
    for (let i = 0; i < countersLength; i++) sum[i]! += counters[i] ?? 0;
  }
  return sum;
}

/** The count of one name. */
export function countOf(counters: Float64Array, name: CounterName): number {
  return counters[counterAt(name)] ?? 0;
}

function byName<Name extends string>(
  counters: Float64Array,
  names: readonly Name[],
  at: number,
): Record<Name, number> {
  const counts = names.map((name, index): [Name, number] => [name, counters[at + index] ?? 0]);
  return Object.fromEntries(counts) as Record<Name, number>;
}

/** The parts of a status that follow from the counts alone. */
export function statusParts(sum: Float64Array): StatusParts {
  const histogram = Array.from(sum.subarray(latencyAt, latencyAt + latencyBuckets));
  return {
    packets: countOf(sum, 'packets'),
    bytes: countOf(sum, 'bytes'),
    actions: {
      passed: countOf(sum, 'passed'),
      accepted: countOf(sum, 'accepted'),
      dropped: countOf(sum, 'dropped'),
      rejected: countOf(sum, 'rejected'),
    },
    flows: {
      now: countOf(sum, 'flowsNow'),
      begun: countOf(sum, 'flowsBegun'),
      by_verdict: byName(sum, verdicts, verdictsAt),
      by_kind: byName(sum, kinds, kindsAt),
      by_reason: byName(sum, reasons, reasonsAt),
      allowed: countOf(sum, 'flowsAllowed'),
      evicted: countOf(sum, 'flowsEvicted'),
      payload_bytes_before_verdict: countOf(sum, 'payloadBeforeVerdict'),
      first_packet: countOf(sum, 'flowsFirstPacket'),
      doubtful: countOf(sum, 'flowsDoubtful'),
    },
    decode: byName(sum, decodeOutcomes, outcomesAt),
    counters: Object.fromEntries(
      counterNames.filter((name) => !placed.has(name)).map((name) => [name, countOf(sum, name)]),
    ),
    latency_micros: latencyPercentiles(histogram),
    latency_histogram: histogram,
  };
}

/** Percentiles as the upper edge of their bucket, so they never look better than they are; 0 without batches. */
export function latencyPercentiles(histogram: readonly number[]): StatusReport['latency_micros'] {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  const at = (share: number): number => {
    let left = total * share;
    for (const [bucket, count] of histogram.entries()) {
      left -= count;
      // A little tolerance: products such as 10 * 0.9 are not exact.
      if (count > 0 && left < 1e-6) return round(latencyUpperMicros(bucket));
    }
    return 0;
  };
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}

function round(micros: number): number {
  return Number(micros.toPrecision(3));
}

/** Rates between two sums that were taken `seconds` apart; 0 where counts fell because a worker began anew. */
export function rates(
  before: Float64Array,
  after: Float64Array,
  seconds: number,
): Pick<StatusReport, 'packets_per_second' | 'bits_per_second'> {
  return {
    packets_per_second: perSecond(countOf(after, 'packets') - countOf(before, 'packets'), seconds),
    bits_per_second: perSecond(8 * (countOf(after, 'bytes') - countOf(before, 'bytes')), seconds),
  };
}

/** A rate that is never negative, infinite or NaN. */
export function perSecond(difference: number, seconds: number): number {
  return seconds > 0 && difference > 0 ? difference / seconds : 0;
}
