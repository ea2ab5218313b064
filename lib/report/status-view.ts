/**
 * The status of a running filter for people: first in plain words whether BitTorrent is blocked, then figures, hosts
 * and the last decisions with their evidence. `status`, `top` and `run` on a terminal draw the same page.
 */
import { latencyBuckets, latencyUpperMicros } from '../engine/counters.js';
import { printable } from './escape.js';
import {
  bytesText,
  clockText,
  countText,
  durationText,
  endpointText,
  parseIsoMicros,
  plural,
} from './format.js';
import { captureView, watchingVerdict } from './capture-view.js';
import type {
  CaptureReport,
  DecisionReport,
  DoubtReport,
  HostReport,
  StatusReport,
  WorkerReport,
} from './status.js';
import { compareText } from './order.js';
import type { FlowReport } from './report.js';
import { textTable, wrap, type TextColumn } from './text-table.js';
import { fullText, isNearlyFull, roomFor } from './tracking.js';

export interface StatusViewOptions {
  /** Columns of the terminal. */
  readonly width: number;
  /** Lines of the terminal; without it everything is shown. */
  readonly height?: number;
  readonly colour: boolean;
  /** Hosts and decisions without a limit. */
  readonly all?: boolean;
}

const widthMin = 40;
const hostsShownMax = 10;
const decisionsShownMax = 5;
const doubtfulShownMax = 3;

/** The page with a newline at the end; no line is wider than the terminal, except for what cannot be broken. */
export function renderStatus(status: StatusReport, options: StatusViewOptions): string {
  const view = new StatusView(status, { ...options, width: Math.max(widthMin, options.width) });
  const lines = view.lines();
  if (options.height !== undefined && lines.length > options.height) {
    lines.length = Math.max(0, options.height - 1);
    lines.push(view.dim('  … a larger terminal shows more'));
  }
  return `${lines.join('\n')}\n`;
}

/** Sentences and a colour: green all is well, yellow look at it, red it does not do what it should. */
export interface PlainVerdict {
  readonly colour: '1;32' | '1;33' | '1;31';
  readonly text: string;
}

/** What an administrator wants to know first. */
export function verdictOf(status: StatusReport): PlainVerdict {
  const { mode, rules, workers } = status;
  const running = workers.filter(({ state }) => state === 'running').length;
  const sinceMicros = parseIsoMicros(status.mode_since);
  const since = Number.isNaN(sinceMicros) ? 'now' : `since ${clockText(sinceMicros)}`;
  if (running === 0 && workers.some(({ state }) => state === 'starting')) {
    const text = 'Starting: no worker is ready yet. Until then traffic passes without inspection.';
    return { colour: '1;33', text };
  }
  if (running === 0) {
    return { colour: '1;31', text: 'NOT WORKING: no worker runs. Traffic passes without inspection.' };
  }
  if (status.capture !== null) return watchingVerdict(status.capture, since);
  if (rules.backend !== 'none' && rules.state === 'absent') {
    return {
      colour: '1;31',
      text: "NOT WORKING: the kernel's rules are absent, so no traffic arrives here.",
    };
  }
  if (mode === 'monitor') {
    return { colour: '1;33', text: `Watching only ${since}: BitTorrent is reported, nothing is blocked.` };
  }
  if (rules.backend === 'none') {
    return {
      colour: '1;33',
      text: `Enforcing ${since}, with rules of your own (rules: none): whether flows are blocked depends on them.`,
    };
  }
  if (rules.state === 'damaged') {
    return { colour: '1;31', text: "NOT SURE TO BLOCK: the kernel's rules were changed by someone else." };
  }
  const known = rules.state === 'intact' ? '' : ' The state of the kernel rules is not known yet.';
  return { colour: known === '' ? '1;32' : '1;33', text: `Blocking BitTorrent ${since}.${known}` };
}

class StatusView {
  readonly #status: StatusReport;
  readonly #options: StatusViewOptions;
  readonly #lines: string[] = [];

  constructor(status: StatusReport, options: StatusViewOptions) {
    this.#status = status;
    this.#options = options;
  }

  lines(): string[] {
    this.#verdict();
    this.#traffic();
    this.#flows();
    if (this.#status.capture !== null) this.#lines.push(...this.#captureLines(this.#status.capture));
    this.#workers();
    this.#hosts();
    this.#decisions();
    this.#doubtful();
    this.#footer();
    return this.#lines;
  }

  dim(text: string): string {
    return this.#paint('2', text);
  }

  #paint(code: string, text: string): string {
    if (!this.#options.colour) return text;
    // Each line for itself, so that a cut page never leaves a colour on.
    return text
      .split('\n')
      .map((line) => `\x1b[${code}m${line}\x1b[0m`)
      .join('\n');
  }

  #say(text: string, indent = '', code?: string, hanging = indent): void {
    const wrapped = wrap(text, this.#options.width, indent, hanging);
    this.#lines.push(...(code === undefined ? wrapped : this.#paint(code, wrapped)).split('\n'));
  }

  #heading(text: string): void {
    this.#lines.push('', this.#paint('1', text));
  }

  /** "name  text" with the text aligned. */
  #field(name: string, text: string): void {
    const indent = `  ${name.padEnd(11)}`;
    this.#say(text, indent, undefined, ' '.repeat(indent.length));
  }

  #rows(columns: readonly TextColumn[], rows: readonly (readonly string[])[]): void {
    const { width } = this.#options;
    for (const line of textTable(columns, rows, width, (text) => this.dim(text)))
      this.#lines.push(...line.split('\n'));
  }

  #verdict(): void {
    const { version, instance, rules, uptime_seconds, pid, capture, tracking } = this.#status;
    const { colour, text } = verdictOf(this.#status);
    this.#say(text, '', colour);
    const managed = rules.backend === 'none' ? 'rules not managed' : `${rules.backend} rules ${rules.state}`;
    const backend = capture === null ? managed : 'a monitor without rules';
    const restored = rules.restored > 0 ? `, put back ${plural(rules.restored, 'time')}` : '';
    this.#say(
      `Instance ${printable(instance)}, ${backend}${restored}; up ${durationText(uptime_seconds)}, ` +
        `process ${pid}, swarmgate ${printable(version)}.`,
    );
    if (rules.problem !== null) this.#say(`Rules: ${printable(rules.problem)}`, '', '1;33');
    if (tracking !== null && isNearlyFull(tracking))
      this.#say(`Kernel: ${fullText(tracking)}; ${roomFor(tracking)}`, '', '1;33');
  }

  #traffic(): void {
    const { packets, bytes, packets_per_second, bits_per_second, actions, latency_micros } = this.#status;
    this.#heading('Traffic');
    this.#field('now', `${countText(packets_per_second)} packets/s, ${bitsText(bits_per_second)}/s`);
    this.#field('inspected', `${plural(packets, 'packet')}, ${bytesText(bytes)}`);
    if (this.#status.capture !== null) this.#field('blocked', 'nothing: these are copies of packets');
    else
      this.#field(
        'done',
        `${countText(actions.passed)} passed, ${countText(actions.accepted)} let go, ` +
          `${countText(actions.dropped)} dropped, ${countText(actions.rejected)} rejected`,
      );
    const { p50, p90, p99, max } = latency_micros;
    this.#field(
      'latency',
      `50 % ${microsText(p50)}, 90 % ${microsText(p90)}, 99 % ${microsText(p99)}, most ${microsText(max)}`,
    );
  }

  #flows(): void {
    const { now, begun, by_verdict, by_kind, allowed, evicted, doubtful } = this.#status.flows;
    this.#heading('Flows');
    this.#field('now', `${countText(now)} of ${countText(begun)} begun`);
    const { tracking } = this.#status;
    if (tracking !== null)
      this.#field(
        'kernel',
        `${countText(tracking.entries)} of at most ${countText(tracking.entries_max)} connections tracked`,
      );
    this.#field(
      'verdicts',
      `${countText(by_verdict.bittorrent)} BitTorrent, ${countText(by_verdict.suspect)} suspect, ` +
        `${countText(by_verdict.clear)} clear, ${countText(by_verdict.unknown)} not recognised`,
    );
    const kinds = Object.entries(by_kind)
      .filter(([, count]) => count > 0)
      .sort((a, b) => b[1] - a[1] || compareText(a[0], b[0]));
    if (kinds.length > 0)
      this.#field('BitTorrent', kinds.map(([kind, count]) => `${countText(count)} ${kind}`).join(', '));
    this.#leak();
    if (doubtful > 0)
      this.#field(
        'doubtful',
        `${plural(doubtful, 'flow')} passed although something spoke for BitTorrent or nearly did`,
      );
    if (allowed > 0) this.#field('allowed', `${plural(allowed, 'flow')} let go because a list allows them`);
    if (evicted > 0)
      this.#field('table full', `${plural(evicted, 'flow')} ended early; a larger limits.flows helps`);
    this.#remembered();
  }

  #leak(): void {
    const { by_kind, payload_bytes_before_verdict, first_packet } = this.#status.flows;
    const decided = Object.values(by_kind).reduce((sum, count) => sum + count, 0);
    if (decided === 0) return;
    const [passed, fell] = this.#status.capture === null ? ['passed', 'fell at'] : ['came', 'were named by'];
    this.#field(
      'leaked',
      `${bytesText(payload_bytes_before_verdict)} of payload ${passed} before the verdicts; ` +
        `${countText(first_packet)} of ${plural(decided, 'flow')} ${fell} the first packet with payload`,
    );
  }

  #remembered(): void {
    const { endpoints, endpoints_max, learned, refused, evicted, hosts, bytes } = this.#status.swarm;
    if (learned === 0 && hosts === 0) return;
    this.#field(
      'remembered',
      `${countText(endpoints)} of at most ${plural(endpoints_max, 'peer')} (${countText(learned)} learned, ` +
        `${countText(refused.speaker + refused.listener + refused.full)} refused, ` +
        `${countText(evicted)} forgotten early); ${countText(hosts)} hosts and ports; ${bytesText(bytes)}`,
    );
  }

  #workers(): void {
    this.#heading('Workers');
    const orNone = (count: number | null): string => (count === null ? '-' : countText(count));
    this.#rows(
      [
        { title: 'Worker', right: true },
        { title: 'Queue', right: true },
        { title: 'State' },
        { title: 'Packets', right: true },
        { title: 'Flows', right: true },
        { title: 'Waiting', right: true },
        { title: 'Lost', right: true },
        { title: 'Restarts', right: true },
      ],
      this.#status.workers.map((worker) => [
        String(worker.worker),
        worker.queue === null ? 'rings' : String(worker.queue),
        worker.state,
        countText(worker.packets),
        countText(worker.flows),
        orNone(worker.waiting),
        orNone(lostBy(worker)),
        countText(worker.restarts),
      ]),
    );
    const lost = this.#status.workers.reduce((sum, worker) => sum + (lostBy(worker) ?? 0), 0);
    if (lost > 0) {
      const text = `${plural(lost, 'packet')} passed without inspection or were lost: the queues were full.`;
      this.#say(text, '  ', '1;33');
    }
  }

  #captureLines(capture: CaptureReport): string[] {
    const { width } = this.#options;
    const view = captureView(capture, width, (text) => this.dim(text));
    this.#heading('Interfaces');
    return [
      ...view.lines,
      ...view.warnings.map((text) => this.#paint('1;33', wrap(text, width, '  ', '  '))),
    ];
  }

  #hosts(): void {
    const { hosts } = this.#status;
    if (hosts.length === 0) return;
    this.#heading('Hosts with most BitTorrent');
    const shown = this.#options.all === true ? hosts : hosts.slice(0, hostsShownMax);
    this.#rows(
      [
        { title: 'Address' },
        { title: 'Flows', right: true },
        { title: 'Last seen' },
        { title: 'Kinds', shrinkTo: 10 },
      ],
      shown.map((host) => [
        printable(host.address),
        countText(host.flows),
        timeText(host.last_seen),
        kindsText(host),
      ]),
    );
    this.#more(hosts.length - shown.length, 'host');
  }

  #decisions(): void {
    const { decisions } = this.#status;
    this.#heading('Last decisions');
    if (decisions.length === 0) this.#say('None yet.', '  ');
    const shown = this.#options.all === true ? decisions : decisions.slice(0, decisionsShownMax);
    for (const decision of shown) this.#decision(decision);
    this.#more(decisions.length - shown.length, 'decision');
  }

  #doubtful(): void {
    const { doubtful } = this.#status;
    if (doubtful.length === 0) return;
    this.#heading('Doubtful flows that passed');
    const shown = this.#options.all === true ? doubtful : doubtful.slice(0, doubtfulShownMax);
    for (const doubt of shown) {
      this.#flow(doubt, 'passed');
      this.#say(printable(doubtText(doubt.flow)), '    ', '2', '      ');
    }
    this.#more(doubtful.length - shown.length, 'doubtful flow');
  }

  /** When, what was done, from where to where. */
  #flow({ time, flow, in_interface, out_interface }: DoubtReport, action: string): void {
    const ends = [endpointText(flow.client, flow.client_port), endpointText(flow.server, flow.server_port)];
    const way = [in_interface, out_interface].filter((name) => name !== null).join(' to ');
    this.#say(
      `${timeText(time)} ${action}: ${flow.proto} ${ends.map((end) => printable(end)).join(' > ')}` +
        (way === '' ? '' : ` (${printable(way)})`),
      '  ',
      undefined,
      '    ',
    );
  }

  #decision(decision: DecisionReport): void {
    const { flow } = decision;
    this.#flow(decision, actionWords[decision.action]);
    const deciding =
      flow.evidence.find((item) => item.packet === flow.decided_packet) ?? flow.evidence.at(-1);
    const why = deciding === undefined ? 'no evidence was kept' : deciding.finding;
    const name =
      deciding?.client_software === undefined ? '' : `, calls itself "${deciding.client_software}"`;
    this.#say(`${flow.kind ?? 'BitTorrent'}: ${printable(why + name)}`, '    ', '2', '      ');
  }

  #more(count: number, what: string): void {
    if (count > 0) this.#say(`${plural(count, `more ${what}`)}: swarmgate status --full`, '  ', '2');
  }

  #footer(): void {
    const { memory_bytes, decode, events } = this.#status;
    const broken = (decode.malformed ?? 0) + (decode['too-deep'] ?? 0);
    const odd = broken > 0 ? ` ${plural(broken, 'packet')} could not be decoded.` : '';
    this.#lines.push('');
    const lost = events?.lost ?? 0;
    if (lost > 0)
      this.#say(`${plural(lost, 'record')} of ${events!.records} are not in the event log.`, '', '1;33');
    this.#say(
      `${bytesText(memory_bytes)} of memory.${odd} Why a flow was decided: swarmgate explain --live FLOW.`,
      '',
      '2',
    );
  }
}

/** Packets that a worker should have seen and did not; null where nobody can tell. */
export function lostBy({ uninspected, kernel_dropped, socket_dropped }: WorkerReport): number | null {
  const known = [uninspected, kernel_dropped, socket_dropped].filter((count) => count !== null);
  return known.length === 0 ? null : known.reduce((sum, count) => sum + count, 0);
}

const actionWords: Readonly<Record<DecisionReport['action'], string>> = {
  drop: 'dropped',
  reject: 'rejected',
  accept: 'let pass',
  'monitor-drop': 'would drop',
  'monitor-reject': 'would reject',
};

/** What spoke for BitTorrent, most of all what counts, or else what nearly did. */
function doubtText({ evidence, near_misses, reason }: FlowReport): string {
  const strongest = evidence.find(({ confidence }) => confidence === 'strong') ?? evidence.at(-1);
  if (strongest !== undefined) return `${reason}, ${strongest.detector}: ${strongest.finding}`;
  const near = near_misses.at(-1);
  return near === undefined ? reason : `not believed, ${near.detector}: ${near.finding}`;
}

function kindsText(host: HostReport): string {
  return Object.entries(host.kinds)
    .sort((a, b) => b[1] - a[1] || compareText(a[0], b[0]))
    .map(([kind, count]) => `${kind} ${countText(count)}`)
    .join(', ');
}

/** "12:34:56" of an ISO time; the rest of the page says on which day the daemon began. */
function timeText(iso: string): string {
  return /T(\d\d:\d\d:\d\d)/.exec(iso)?.[1] ?? '?';
}

const bitUnits = ['bit', 'kbit', 'Mbit', 'Gbit', 'Tbit'];

/** "98.8 Mbit". */
export function bitsText(bits: number): string {
  let value = bits;
  let unit = 0;
  while (value >= 999.5 && unit < bitUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${bitUnits[unit]!}`;
}

/** The last bucket of the histogram is open: nothing more is known than that it took so long or longer. */
const microsMax = latencyUpperMicros(latencyBuckets - 2);

/** "76 µs", "1.3 ms", "2.1 s". */
export function microsText(micros: number): string {
  if (micros > microsMax) return `over ${durationText(microsMax / 1e6)}`;
  if (micros < 999.5) return `${micros.toFixed(micros < 9.95 ? 1 : 0)} µs`;
  return durationText(micros / 1e6);
}
