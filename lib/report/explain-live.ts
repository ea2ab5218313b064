/** The chain of evidence of a flow that a running filter knows: what was done, then what explain says of any flow. */
import { printable } from './escape.js';
import { clockText, parseIsoMicros } from './format.js';
import { explainSeen, flowFilter, Page, type ExplainOptions } from './explain.js';
import type { FlowReport } from './report.js';
import type { DecisionReport } from './status.js';

/** Answer of the verb `explain`. */
export interface LiveExplanation {
  /** The flow as it is now; null if it is no longer tracked. */
  readonly flow: FlowReport | null;
  /** Its decision, if it is among the last ones. */
  readonly decision: DecisionReport | null;
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
  const { decision } = live;
  const found = live.flow ?? decision?.flow;
  if (found === undefined) return null;
  // Whatever the daemon calls its source, there are no frames to point to.
  const flow: FlowReport = { ...found, file: '' };
  const page = new Page(options);
  explainSeen(page, flow);
  page.heading('What was done');
  page.say(decision === null ? nothingDone(flow) : done(decision));
  if (live.flow === null) page.say('The flow is no longer tracked; this is how it was when it was decided.');
  else if (live.worker !== null) page.say(`Worker ${live.worker} tracks the flow.`);
  page.heading('In Wireshark');
  page.verbatim(flowFilter(flow));
  return page.text();
}

function nothingDone(flow: FlowReport): string {
  return flow.verdict === 'bittorrent'
    ? 'The decision is no longer in memory; the EVE file has it, if one is written.'
    : 'The flow passes.';
}

function done({ action, time, worker, in_interface, out_interface }: DecisionReport): string {
  const micros = parseIsoMicros(time);
  const when = Number.isNaN(micros) ? '' : ` at ${clockText(micros)}`;
  const way = [
    in_interface === null ? '' : `, in by ${printable(in_interface)}`,
    out_interface === null ? '' : `, out by ${printable(out_interface)}`,
  ].join('');
  return `${doneWords[action]}${when} by worker ${worker}${way}.`;
}
