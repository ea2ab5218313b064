/** The chain of evidence of a flow that a running filter knows: what was done, then what explain says of any flow. */
import type { Kind } from '../../detectors/detector.js';
import { printable } from './escape.js';
import { clockText, durationText, endpointText, parseIsoMicros, plural } from './format.js';
import { explainSeen, flowFilter, Page, type ExplainOptions } from './explain.js';
import type { FlowReport } from './report.js';
import type { DecisionReport, DoubtReport } from './status.js';

/** What a host was proven to do a short while ago. */
export interface ProofReport {
  readonly kinds: readonly Kind[];
  /** Different networks of its partners, estimated. */
  readonly partners: number;
  readonly age_seconds: number;
}

/** What is remembered of one end of a flow. */
export interface EndMemory {
  readonly address: string;
  readonly port: number;
  /** As a peer, for the other end: unknown, named (or proven by one partner on a service port), or proven. */
  readonly endpoint: 'unknown' | 'named' | 'trusted';
  readonly host: ProofReport | null;
  /** The same on exactly this port. */
  readonly host_port: ProofReport | null;
}

/** Answer of the verb `explain`. */
export interface LiveExplanation {
  /** The flow as it is now; null if it is no longer tracked. */
  readonly flow: FlowReport | null;
  /** Its decision, if it is among the last ones. */
  readonly decision: DecisionReport | null;
  /** How it was when it passed in doubt, if it is among the last ones that did. */
  readonly doubt: DoubtReport | null;
  /** Client and server, as the memory of the swarm knows them now. */
  readonly memory: readonly EndMemory[];
  readonly worker: number | null;
}

const doneWords: Readonly<Record<DecisionReport['action'], string>> = {
  drop: 'The flow was dropped',
  reject: 'The flow was rejected',
  accept: 'The flow was let pass, because the configuration says so,',
  'monitor-drop': 'Nothing, because the mode is monitor. In mode enforce the flow would have been dropped',
  'monitor-reject': 'Nothing, because the mode is monitor. In mode enforce the flow would have been rejected',
};

/** @returns null if nothing is known of the flow */
export function explainLive(live: LiveExplanation, options: ExplainOptions): string | null {
  const { decision, doubt, memory } = live;
  const found = live.flow ?? decision?.flow ?? doubt?.flow;
  if (found === undefined) return null;
  // Whatever the daemon calls its source, there are no frames to point to.
  const flow: FlowReport = { ...found, file: '' };
  const page = new Page(options);
  explainSeen(page, flow);
  page.heading('What was done');
  if (decision !== null) page.say(done(decision));
  else page.say(doubt === null || flow.verdict === 'bittorrent' ? nothingDone(flow) : letPass(doubt));
  if (live.flow === null) {
    const when = decision === null ? 'let go' : 'decided';
    page.say(`The flow is no longer tracked; this is how it was when it was ${when}.`);
  }
  if (live.flow !== null && live.worker !== null) page.say(`Worker ${live.worker} tracks the flow.`);
  if (memory.length > 0) {
    page.heading('What is remembered of its two ends now');
    for (const end of memory) page.say(remembered(end), '  ', '    ');
  }
  page.heading('In Wireshark');
  page.verbatim(flowFilter(flow));
  return page.text();
}

function nothingDone(flow: FlowReport): string {
  return flow.verdict === 'bittorrent'
    ? 'The decision is no longer in memory; the EVE file has it, if one is written.'
    : 'The flow passes.';
}

function done(decision: DecisionReport): string {
  return `${doneWords[decision.action]}${whenAndWhere(decision)}.`;
}

function letPass(doubt: DoubtReport): string {
  return `The flow was let pass${whenAndWhere(doubt)}: what was seen is not enough to decide.`;
}

const endpointWords: Readonly<Record<EndMemory['endpoint'], string>> = {
  unknown: 'not known as a peer',
  named: 'named as a peer',
  trusted: 'known as a peer',
};

function remembered({ address, port, endpoint, host, host_port }: EndMemory): string {
  const proofs = [
    host_port === null ? '' : `; on this port ${proofText(host_port)}`,
    host === null ? '; no BitTorrent of this host a short while ago' : `; the host ${proofText(host)}`,
  ].join('');
  return `${printable(endpointText(address, port))}: ${endpointWords[endpoint]}${proofs}.`;
}

function proofText({ kinds, partners, age_seconds }: ProofReport): string {
  return (
    `spoke ${kinds.length === 0 ? 'BitTorrent' : kinds.join(', ')} with about ` +
    `${plural(partners, 'network')}, last ${durationText(age_seconds)} ago`
  );
}

function whenAndWhere({ time, worker, in_interface, out_interface }: DoubtReport): string {
  const micros = parseIsoMicros(time);
  const when = Number.isNaN(micros) ? '' : ` at ${clockText(micros)}`;
  const way = [
    in_interface === null ? '' : `, in by ${printable(in_interface)}`,
    out_interface === null ? '' : `, out by ${printable(out_interface)}`,
  ].join('');
  return `${when} by worker ${worker}${way}`;
}
