/**
 * Decisions of a running filter as Suricata EVE alerts: the signatures of eve.ts, the action that was taken, the
 * interface where the schema has a field for it, and the rest as tags.
 */
import { jsonText, printable } from './escape.js';
import { alertEvent } from './eve.js';
import type { DecisionReport, DoubtReport } from './status.js';

const blocking: ReadonlySet<DecisionReport['action']> = new Set(['drop', 'reject']);

/** One line, with its end. `flow_id` is unique per worker only, so the worker is a tag. */
export function eveLine(decision: DecisionReport): string {
  const { action, worker, in_interface, out_interface, flow, time } = decision;
  const tags = [`action:${action}`, `worker:${worker}`];
  if (out_interface !== null) tags.push(`out_iface:${printable(out_interface)}`);
  const event = alertEvent(flow, {
    action: blocking.has(action) ? 'blocked' : 'allowed',
    time,
    inInterface: in_interface,
    tags,
  });
  return `${jsonText(event)}\n`;
}

/** The alert of a flow that passed in doubt, under a signature of its own; its tags say what spoke for BitTorrent. */
export function doubtLine({ worker, in_interface, out_interface, flow, time }: DoubtReport): string {
  const tags = ['action:pass', `verdict:${flow.verdict}`, `worker:${worker}`];
  if (out_interface !== null) tags.push(`out_iface:${printable(out_interface)}`);
  for (const { detector, finding } of flow.evidence)
    tags.push(`evidence:${printable(`${detector}: ${finding}`)}`);
  for (const { detector, finding } of flow.near_misses)
    tags.push(`near_miss:${printable(`${detector}: ${finding}`)}`);
  const event = alertEvent(flow, {
    action: 'allowed',
    time,
    inInterface: in_interface,
    tags,
    doubtful: true,
  });
  return `${jsonText(event)}\n`;
}
