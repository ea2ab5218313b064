/** The last decisions, or doubtful flows, of a running filter: a ring, so that it neither grows nor moves what it holds. */
import type { FlowReport } from './report.js';
import type { DecisionReport, DoubtReport } from './status.js';

export const decisionsMax = 256;

/** The two ends of a flow in either order, addresses as reports write them (RFC 5952). */
export interface FlowEnds {
  /** Null: either. */
  readonly proto: 'tcp' | 'udp' | null;
  readonly a: string;
  readonly a_port: number;
  readonly b: string;
  readonly b_port: number;
}

/** True if the flow is between these two ends. */
export function isBetweenEnds(
  flow: Pick<FlowReport, 'proto' | 'client' | 'client_port' | 'server' | 'server_port'>,
  { proto, a, a_port, b, b_port }: FlowEnds,
): boolean {
  if (proto !== null && proto !== flow.proto) return false;
  const { client, client_port, server, server_port } = flow;
  return (
    (client === a && client_port === a_port && server === b && server_port === b_port) ||
    (client === b && client_port === b_port && server === a && server_port === a_port)
  );
}

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535;
const addressCharactersMax = 45;
const isAddress = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= addressCharactersMax && /^[0-9a-f.:]+$/.test(value);

/** The ends that a request names, or null if it does not name them well. */
export function flowEndsOf(args: Readonly<Record<string, unknown>>): FlowEnds | null {
  const { proto = null, a, a_port, b, b_port } = args;
  if (proto !== null && proto !== 'tcp' && proto !== 'udp') return null;
  if (!isAddress(a) || !isAddress(b) || !isPort(a_port) || !isPort(b_port)) return null;
  return { proto, a, a_port, b, b_port };
}

export class DecisionList<Report extends DoubtReport = DecisionReport> {
  readonly #ring: Report[] = [];
  readonly #max: number;
  #next = 0;

  constructor(max = decisionsMax) {
    this.#max = Math.max(1, max);
  }

  get size(): number {
    return this.#ring.length;
  }

  add(decision: Report): void {
    this.#ring[this.#next] = decision;
    this.#next = (this.#next + 1) % this.#max;
  }

  /** Newest first. */
  newest(count = this.#max): Report[] {
    const out: Report[] = [];
    for (let back = 1; back <= Math.min(count, this.#ring.length); back++) out.push(this.#at(back));
    return out;
  }

  /** The newest decision about a flow between these ends. */
  find(ends: FlowEnds): Report | null {
    for (let back = 1; back <= this.#ring.length; back++) {
      const decision = this.#at(back);
      if (isBetweenEnds(decision.flow, ends)) return decision;
    }
    return null;
  }

  #at(back: number): Report {
    return this.#ring[(this.#next - back + this.#max) % this.#max]!;
  }
}
