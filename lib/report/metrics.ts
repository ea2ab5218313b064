/**
 * The status in Prometheus' text format 0.0.4. Every label comes from a fixed vocabulary or is the number of a worker:
 * no address, no name from the wire, so that the number of series is bounded and nobody's traffic is in a label.
 */
import { latencyUpperMicros } from '../engine/counters.js';
import type { InterfaceReport, SavedReport, StatusReport } from './status.js';

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string | number>>;
interface Sample {
  readonly value: number;
  readonly labels?: Labels;
  /** "_bucket", "_sum" or "_count" of a histogram. */
  readonly suffix?: string;
}

/** Counts of counters.ts that are metrics as they are: name and help. */
const plainCounters: Readonly<Record<string, readonly [string, string]>> = {
  batches: ['batches_total', 'Batches of packets taken from the queues or rings.'],
  flowsEnded: ['flows_ended_total', 'Flows that ended.'],
  openingsTakenOver: [
    'openings_taken_over_total',
    'First bytes of a flow given up for those of a newer one.',
  ],
  evidenceDropped: [
    'evidence_dropped_total',
    'Items of evidence that were not kept because the store was full.',
  ],
  gsoPackets: ['gso_packets_total', 'Packets that came in many segments.'],
  truncatedPackets: ['truncated_packets_total', 'Packets of which only the first bytes were copied.'],
  tunnelledPackets: ['tunnelled_packets_total', 'Packets found inside a tunnel.'],
  repeatsLost: [
    'repeats_lost_total',
    'Packets that came back with their mark: the rules do not do their part.',
  ],
  overruns: ['queue_overruns_total', 'Packets that passed uninspected because their queue was full.'],
  staleVerdicts: ['stale_verdicts_total', 'Verdicts for packets that the kernel no longer held.'],
  malformedMessages: ['malformed_messages_total', 'Messages of the kernel that were not understood.'],
  verdictMessages: ['verdict_messages_total', 'Messages with verdicts sent to the kernel.'],
  reportsLeftOut: [
    'reports_left_out_total',
    'Reports of decided flows left out because nobody took them in time.',
  ],
  packetsGivenUp: [
    'packets_given_up_total',
    'Watched packets that a lost worker had in hand; they were not inspected again.',
  ],
  packetsNotSaved: [
    'packets_not_saved_total',
    'Packets of detected flows that were not saved because the files were behind.',
  ],
  doubtsLeftOut: [
    'doubts_left_out_total',
    'Reports of doubtful flows left out because nobody took them in time.',
  ],
};

/** A metric's text; nothing if it has no samples. */
class Exposition {
  #text = '';

  add(name: string, type: 'counter' | 'gauge' | 'histogram', help: string, samples: readonly Sample[]): void {
    if (samples.length === 0) return;
    const full = `swarmgate_${name}`;
    this.#text += `# HELP ${full} ${escapeHelp(help)}\n# TYPE ${full} ${type}\n`;
    for (const { value, labels, suffix } of samples) {
      this.#text += `${full}${suffix ?? ''}${labelsText(labels)} ${numberText(value)}\n`;
    }
  }

  counter(name: string, help: string, value: number): void {
    this.add(name, 'counter', help, [{ value }]);
  }

  gauge(name: string, help: string, value: number): void {
    this.add(name, 'gauge', help, [{ value }]);
  }

  /** One sample per word of a vocabulary. */
  counters(name: string, help: string, label: string, counts: Readonly<Record<string, number>>): void {
    this.add(
      name,
      'counter',
      help,
      Object.entries(counts).map(([word, value]) => ({ value, labels: { [label]: word } })),
    );
  }

  text(): string {
    return this.#text;
  }
}

/** In a HELP line only backslash and line feed are escaped. */
export function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** In a label's value the double quote is escaped as well. */
export function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}

function labelsText(labels: Labels | undefined): string {
  if (labels === undefined) return '';
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(String(value))}"`);
  return `{${pairs.join(',')}}`;
}

export function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  return String(value);
}

/** All metrics of one instance. */
export function metricsText(status: StatusReport): string {
  const out = new Exposition();
  about(out, status);
  traffic(out, status);
  flows(out, status);
  swarm(out, status);
  events(out, status);
  workers(out, status);
  capture(out, status);
  out.add(
    'batch_duration_seconds',
    'histogram',
    'Time from the receipt of a batch of packets to its verdicts.',
    histogram(status),
  );
  return out.text();
}

function about(out: Exposition, status: StatusReport): void {
  const { version, instance, mode, rules } = status;
  out.add('build_info', 'gauge', 'Version and instance; always 1.', [
    { value: 1, labels: { version, instance } },
  ]);
  out.gauge(
    'up',
    'At least one worker runs.',
    Number(status.workers.some(({ state }) => state === 'running')),
  );
  out.gauge(
    'start_time_seconds',
    'When the daemon began, seconds since 1970.',
    Date.parse(status.started) / 1000,
  );
  out.add(
    'mode',
    'gauge',
    'Monitor or enforce: 1 for the one that holds.',
    oneOf('mode', ['monitor', 'enforce'], mode),
  );
  out.gauge('enforcing', '1 if flows are blocked, 0 if they are only watched.', Number(mode === 'enforce'));
  out.add(
    'rules_state',
    'gauge',
    "State of the kernel's rules: 1 for the one that holds.",
    oneOf('state', ['intact', 'damaged', 'absent', 'unknown'], rules.state),
  );
  out.counter('rules_restored_total', "Times that the kernel's rules were put back.", rules.restored);
  if (status.tracking !== null) {
    out.gauge('conntrack_entries', "Connections in the kernel's table.", status.tracking.entries);
    out.gauge('conntrack_entries_limit', 'How many have room there.', status.tracking.entries_max);
  }
  out.gauge('memory_bytes', 'Memory of the process.', status.memory_bytes);
}

function oneOf(label: string, words: readonly string[], current: string): Sample[] {
  return words.map((word) => ({ value: Number(word === current), labels: { [label]: word } }));
}

function traffic(out: Exposition, status: StatusReport): void {
  out.counter('packets_total', 'Packets taken from the queues or rings.', status.packets);
  out.counter('bytes_total', 'Bytes of these packets.', status.bytes);
  out.counters('actions_total', 'Packets by what was done with them.', 'action', status.actions);
  out.counters('decoded_packets_total', 'Packets by the outcome of decoding.', 'outcome', status.decode);
  for (const [counter, [name, help]] of Object.entries(plainCounters)) {
    const value = status.counters[counter];
    if (value !== undefined) out.counter(name, help, value);
  }
}

function flows(out: Exposition, { flows: counts }: StatusReport): void {
  out.gauge('flows', 'Flows tracked now.', counts.now);
  out.counter('flows_begun_total', 'Flows that began.', counts.begun);
  out.counters('flow_verdicts_total', 'Flows by verdict.', 'verdict', counts.by_verdict);
  out.counters('flow_kinds_total', 'Flows decided as BitTorrent, by kind.', 'kind', counts.by_kind);
  out.counters('flow_reasons_total', 'Flows by the reason of their verdict.', 'reason', counts.by_reason);
  out.counter('flows_allowed_total', 'Flows let go because a list allows them.', counts.allowed);
  out.counter('flows_evicted_total', 'Flows ended early because the table was full.', counts.evicted);
  out.counter(
    'payload_bytes_before_verdict_total',
    'Payload bytes of BitTorrent flows that had passed before the deciding packet.',
    counts.payload_bytes_before_verdict,
  );
  out.counter(
    'flows_first_packet_total',
    'BitTorrent flows decided by the first packet that carried payload.',
    counts.first_packet,
  );
  out.counter(
    'flows_doubtful_total',
    'Flows that passed although something spoke for BitTorrent or nearly did.',
    counts.doubtful,
  );
}

function swarm(out: Exposition, { swarm: memory }: StatusReport): void {
  out.gauge('endpoints', 'Addresses and ports remembered as peers.', memory.endpoints);
  out.counter('endpoints_learned_total', 'Addresses and ports learned as peers.', memory.learned);
  out.counters(
    'endpoints_refused_total',
    'Addresses and ports not learned: quota of the speaker or the listener, or no room.',
    'cause',
    memory.refused,
  );
  out.counter('endpoints_evicted_total', 'Peers forgotten before their time.', memory.evicted);
  out.gauge('active_hosts', 'Hosts, and ports of hosts, proven a short while ago.', memory.hosts);
  out.counter(
    'active_hosts_evicted_total',
    'Entries about hosts forgotten before their time.',
    memory.hosts_evicted,
  );
  out.gauge('swarm_memory_bytes', 'Size of the memory of peers and hosts, all workers.', memory.bytes);
}

function events(out: Exposition, { events: log }: StatusReport): void {
  if (log === null) return;
  out.counter('eve_records_total', 'Records for the event log.', log.records);
  out.counter('eve_records_lost_total', 'Records that are not in the event log.', log.lost);
}

function workers(out: Exposition, { workers: list }: StatusReport): void {
  const each = (value: (worker: StatusReport['workers'][number]) => number | null): Sample[] =>
    list.flatMap((worker) => {
      const found = value(worker);
      return found === null ? [] : [{ value: found, labels: { worker: worker.worker } }];
    });
  out.add(
    'worker_up',
    'gauge',
    'The worker runs.',
    each(({ state }) => Number(state === 'running')),
  );
  out.add(
    'worker_restarts_total',
    'counter',
    'Times that the worker was started again.',
    each(({ restarts }) => restarts),
  );
  out.add(
    'worker_packets_total',
    'counter',
    'Packets that the worker took.',
    each(({ packets }) => packets),
  );
  out.add(
    'worker_flows',
    'gauge',
    'Flows that the worker tracks now.',
    each((worker) => worker.flows),
  );
  out.add(
    'queue_waiting_packets',
    'gauge',
    'Packets that the kernel holds for the worker.',
    each(({ waiting }) => waiting),
  );
  out.add(
    'queue_kernel_dropped_total',
    'counter',
    'Packets that found the queue full.',
    each(({ kernel_dropped }) => kernel_dropped),
  );
  out.add(
    'queue_socket_dropped_total',
    'counter',
    "Packets that found the worker's socket buffer full.",
    each(({ socket_dropped }) => socket_dropped),
  );
}

const interfaceStates = ['starting', 'watching', 'waiting', 'restarting', 'stopped'] as const;

/** The interfaces are those that the operator named: their number is bounded, and no name comes from the wire. */
function capture(out: Exposition, { capture: watched }: StatusReport): void {
  if (watched === null) return;
  const each = (value: (report: InterfaceReport) => number | null): Sample[] =>
    watched.interfaces.flatMap((report) => {
      const found = value(report);
      const labels = { interface: report.interface, source: report.source };
      return found === null ? [] : [{ value: found, labels }];
    });
  out.add(
    'interface_state',
    'gauge',
    'State of the watched interface: 1 for the one that holds.',
    watched.interfaces.flatMap((report) =>
      oneOf('state', interfaceStates, report.state).map(({ value, labels }) => ({
        value,
        labels: { interface: report.interface, source: report.source, ...labels },
      })),
    ),
  );
  out.add(
    'interface_captured_packets_total',
    'counter',
    'Packets captured on the interface.',
    each(({ captured }) => captured),
  );
  out.add(
    'interface_kernel_dropped_packets_total',
    'counter',
    'Packets that the kernel could not keep for the capture; none where nobody tells.',
    each(({ kernel_dropped }) => kernel_dropped),
  );
  out.add(
    'interface_skipped_packets_total',
    'counter',
    "Captured packets that were not inspected: their worker's ring was full.",
    each(({ skipped }) => skipped),
  );
  out.add(
    'interface_restarts_total',
    'counter',
    'Times that the capture of the interface began again.',
    each(({ restarts }) => restarts),
  );
  out.gauge('ring_bytes', 'Memory of the rings between captures, workers and files.', watched.ring_bytes);
  if (watched.saved !== null) saved(out, watched.saved);
}

function saved(out: Exposition, { packets, bytes, dropped, files, removed, problem }: SavedReport): void {
  out.counter('saved_packets_total', 'Packets of detected flows written to capture files.', packets);
  out.counter('saved_bytes_total', 'Bytes of these files.', bytes);
  out.counter('saved_dropped_total', 'Packets of detected flows that are in no file.', dropped);
  out.counter('saved_files_total', 'Capture files begun.', files);
  out.counter('saved_files_removed_total', 'Capture files removed to keep within the bound.', removed);
  out.gauge('saving_failed', '1 while the capture files cannot be written.', Number(problem !== null));
}

/** Buckets of counters.ts are a quarter of a doubling wide; four of them make one here. */
const mergedBuckets = 4;

function histogram({ latency_histogram: counts, counters }: StatusReport): Sample[] {
  if (counts.length === 0) return [];
  const samples: Sample[] = [];
  let total = 0;
  for (const [bucket, count] of counts.entries()) {
    total += count;
    // The last bucket is open: it is only in +Inf.
    if ((bucket + 1) % mergedBuckets !== 0 || bucket === counts.length - 1) continue;
    const le = numberText(Number((latencyUpperMicros(bucket) / 1e6).toPrecision(6)));
    samples.push({ suffix: '_bucket', labels: { le }, value: total });
  }
  samples.push({ suffix: '_bucket', labels: { le: '+Inf' }, value: total });
  samples.push({ suffix: '_sum', value: counters['busySeconds'] ?? 0 });
  samples.push({ suffix: '_count', value: total });
  return samples;
}
