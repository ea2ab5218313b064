/** A running filter's status for tests, and decisions as its workers report them. */
import { kinds } from '../../detectors/detector.js';
import {
  counterAt,
  countersLength,
  kindsAt,
  latencyAt,
  outcomesAt,
  reasonsAt,
  verdictsAt,
  type CounterName,
} from '../engine/counters.js';
import { reasons } from '../engine/verdict.js';
import { isoMicros } from './format.js';
import { statusParts } from './status-builder.js';
import type { CaptureReport, DecisionReport, DoubtReport, StatusReport } from './status.js';
import { fakeNear, fakeReport, testStartMicros } from './testing.js';

const singleCounts: Readonly<Partial<Record<CounterName, number>>> = {
  packets: 1_234_567,
  bytes: 987_654_321,
  batches: 1000,
  passed: 800_000,
  accepted: 430_000,
  dropped: 4500,
  rejected: 67,
  flowsBegun: 20_000,
  flowsEnded: 18_500,
  flowsNow: 1500,
  flowsEvicted: 3,
  flowsAllowed: 12,
  payloadBeforeVerdict: 45_678,
  flowsFirstPacket: 850,
  flowsDoubtful: 123,
  busySeconds: 1.5,
  heartbeat: 4242,
};

/** The counts of one worker. */
export function fakeCounters(): Float64Array {
  const counters = new Float64Array(countersLength);
  for (const [name, count] of Object.entries(singleCounts)) counters[counterAt(name as CounterName)] = count;
  counters[outcomesAt] = 1_234_000;
  counters[outcomesAt + 3] = 567;
  counters.set([9000, 10_000, 100, 900], verdictsAt);
  counters[reasonsAt + reasons.indexOf('proof')] = 850;
  counters[reasonsAt + reasons.indexOf('two-strong')] = 50;
  counters[kindsAt + kinds.indexOf('peer')] = 300;
  counters[kindsAt + kinds.indexOf('dht')] = 600;
  counters[latencyAt + 20] = 900;
  counters[latencyAt + 30] = 90;
  counters[latencyAt + 40] = 10;
  return counters;
}

export function fakeDecision(changes: Partial<DecisionReport> = {}): DecisionReport {
  return {
    time: isoMicros(testStartMicros + 42_000),
    worker: 1,
    action: 'drop',
    in_interface: 'eth0',
    out_interface: 'eth1',
    flow: fakeReport(),
    ...changes,
  };
}

/** A flow that nearly looked like DHT and passed. */
export function fakeDoubt(changes: Partial<DoubtReport> = {}): DoubtReport {
  return {
    time: isoMicros(testStartMicros + 43_000),
    worker: 0,
    in_interface: 'eth0',
    out_interface: 'eth1',
    flow: fakeNear(),
    ...changes,
  };
}

/** A monitor of two interfaces, one of which is gone. */
export function fakeCapture(changes: Partial<CaptureReport> = {}): CaptureReport {
  return {
    interfaces: [
      {
        interface: 'eth0',
        source: 'ring',
        state: 'watching',
        captured: 1_234_567,
        kernel_dropped: 89,
        skipped: 12,
        restarts: 0,
        problem: null,
      },
      {
        interface: 'eth2',
        source: 'cap',
        state: 'waiting',
        captured: 4321,
        kernel_dropped: null,
        skipped: 0,
        restarts: 1,
        problem: 'there is no interface eth2',
      },
    ],
    ring_bytes: 64 * 1024 * 1024,
    saved: null,
    ...changes,
  };
}

export function fakeStatus(changes: Partial<StatusReport> = {}): StatusReport {
  const started = isoMicros(testStartMicros);
  return {
    version: '0.0.0-test',
    instance: 'default',
    mode: 'enforce',
    mode_since: started,
    pid: 4711,
    started,
    uptime_seconds: 3723.5,
    rules: { backend: 'nft', state: 'intact', restored: 0, problem: null },
    tracking: { entries: 1234, entries_max: 262_144 },
    capture: null,
    packets_per_second: 12_345.6,
    bits_per_second: 98_765_432,
    ...statusParts(fakeCounters()),
    workers: [0, 1].map((worker) => ({
      worker,
      queue: 100 + worker,
      state: 'running',
      restarts: worker,
      packets: 617_283 + worker,
      flows: 750,
      waiting: worker === 0 ? 3 : null,
      kernel_dropped: worker === 0 ? 5 : null,
      uninspected: worker === 0 ? 12 : null,
      socket_dropped: worker === 0 ? 0 : null,
    })),
    hosts: [
      {
        address: '192.168.1.10',
        flows: 700,
        kinds: { dht: 500, peer: 200 },
        first_seen: started,
        last_seen: isoMicros(testStartMicros + 3_000_000),
      },
      {
        address: 'fd00:1234:5678:9abc:def0:1234:5678:9abc',
        flows: 200,
        kinds: { peer: 200 },
        first_seen: started,
        last_seen: isoMicros(testStartMicros + 2_000_000),
      },
    ],
    decisions: [fakeDecision(), fakeDecision({ worker: 0, action: 'monitor-reject', in_interface: null })],
    doubtful: [fakeDoubt()],
    swarm: {
      endpoints: 4321,
      endpoints_max: 131_072,
      learned: 5432,
      refused: { speaker: 11, listener: 22, full: 33 },
      evicted: 44,
      hosts: 55,
      hosts_max: 16_384,
      hosts_evicted: 66,
      bytes: 7_000_000,
    },
    events: { records: 987, lost: 65, problem: null },
    memory_bytes: 123_456_789,
    ...changes,
  };
}
