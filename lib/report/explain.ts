/**
 * The chain of evidence of one flow, for people: who, what was seen in which frame at which offset, which detector
 * said what, how the policy concluded, and what would have passed an inline filter before the decision.
 */
import { printable } from './escape.js';
import { bytesText, countText, durationText, endpointText, parseIsoMicros, plural } from './format.js';
import type { EvidenceReport, FlowReport, ReportOptions } from './report.js';
import { wrap } from './text-table.js';
import { confidenceWords, kindWords, reasonWords, verdictWords } from './words.js';

/** One answer of one detector while the flow was inspected. */
export interface TraceLine {
  /** Packet number within the flow, from 1. */
  readonly packet: number;
  /** Frame number within the file, from 1. */
  readonly frame: number;
  readonly side: 'client' | 'server';
  readonly detector: string;
  readonly outcome: 'no' | 'more' | 'yes' | 'near';
  /** What the detector said; empty for a plain no. */
  readonly text: string;
}

/** Packets of the trace that are shown; what comes later is only counted. */
const tracedPacketsMax = 64;
const linesPerPacketMax = 40;

export type ExplainOptions = Pick<ReportOptions, 'colour' | 'columns'>;

/** Flows of a running filter have no capture file, and their packets no frame numbers. */
function isLive(flow: FlowReport): boolean {
  return flow.file === '';
}

/** What a running filter knows of a flow; detectors' answers and frames are known of capture files only. */
export function explainSeen(page: Page, report: FlowReport): void {
  who(page, report);
  conclusion(page, report);
  seen(page, 'What was seen', report.evidence, report);
  seen(page, 'What looked like BitTorrent and was not believed', report.near_misses, report);
  leak(page, report);
}

/** The explanation as text with a newline at the end. */
export function explainFlow(
  report: FlowReport,
  trace: readonly TraceLine[],
  options: ExplainOptions,
): string {
  const page = new Page(options);
  who(page, report);
  conclusion(page, report);
  seen(page, 'What was seen', report.evidence, report);
  seen(page, 'What looked like BitTorrent and was not believed', report.near_misses, report);
  asked(page, trace);
  leak(page, report);
  wireshark(page, report);
  return page.text();
}

/** Lines under headings. */
export class Page {
  readonly #lines: string[] = [];
  readonly #colour: boolean;
  readonly #width: number;

  constructor(options: ExplainOptions) {
    this.#colour = options.colour;
    this.#width = Math.max(40, options.columns);
  }

  heading(text: string): void {
    if (this.#lines.length > 0) this.#lines.push('');
    this.#lines.push(this.#colour ? `\x1b[1m${text}\x1b[0m` : text);
  }

  say(text: string, indent = '  ', hanging = indent): void {
    this.#lines.push(wrap(text, this.#width, indent, hanging));
  }

  /** A line that is copied elsewhere and must therefore stay in one piece. */
  verbatim(text: string): void {
    this.#lines.push(`    ${text}`);
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

function secondsBetween(from: string, to: string): number {
  return (parseIsoMicros(to) - parseIsoMicros(from)) / 1e6;
}

function who(page: Page, flow: FlowReport): void {
  const client = printable(endpointText(flow.client, flow.client_port));
  const server = printable(endpointText(flow.server, flow.server_port));
  page.heading(
    isLive(flow) ? `Flow ${flow.flow_id}, live` : `Flow ${flow.flow_id} of ${printable(flow.file)}`,
  );
  page.say(`${flow.proto.toUpperCase()} from client ${client} to server ${server}.`);
  if (flow.outer !== undefined) {
    const [from, fromPort, to, toPort] = flow.outer;
    const ends = `${endpointText(from, fromPort)} and ${endpointText(to, toPort)}`;
    page.say(`Found inside a tunnel${tunnelName(flow)} between ${printable(ends)}.`);
  } else if (flow.tunnel !== undefined) {
    page.say(`Found inside a tunnel${tunnelName(flow)}.`);
  }
  const lasted = durationText(secondsBetween(flow.first_seen, flow.last_seen));
  const first = isLive(flow) ? 'First packet' : `First packet in frame ${flow.first_packet}`;
  page.say(`${first} at ${printable(flow.first_seen)}; lasted ${lasted}.`);
  page.say(
    `${plural(flow.packets, 'packet')}, ${bytesText(flow.bytes)}: ` +
      `${countText(flow.packets_to_server)} packets (${bytesText(flow.bytes_to_server)}) to the server, ` +
      `${countText(flow.packets_to_client)} (${bytesText(flow.bytes_to_client)}) to the client.`,
  );
}

function tunnelName(flow: FlowReport): string {
  return flow.tunnel === undefined ? '' : ` (${printable(flow.tunnel)})`;
}

function conclusion(page: Page, flow: FlowReport): void {
  page.heading('Verdict');
  const kind = flow.kind === null ? '' : `, ${kindWords[flow.kind]}`;
  const protocol = flow.protocol === null ? '' : ` (${printable(flow.protocol)})`;
  page.say(`${capital(verdictWords[flow.verdict])}${flow.verdict === 'clear' ? protocol : kind}.`);
  page.say(`${reasonWords[flow.reason]} [${flow.reason}]`);
  if (flow.decided_packet !== null && flow.decided_frame !== null) {
    const frame = isLive(flow) ? '' : `, frame ${flow.decided_frame}`;
    page.say(`Decided by packet ${flow.decided_packet} of the flow${frame}.`);
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function seen(page: Page, title: string, items: readonly EvidenceReport[], flow: FlowReport): void {
  if (items.length === 0) return;
  page.heading(title);
  items.forEach((item, index) => {
    const after = durationText(Math.max(0, secondsBetween(flow.first_seen, item.time)));
    const packet = isLive(flow)
      ? `Packet ${item.packet} (`
      : `Frame ${item.frame} (packet ${item.packet} of the flow, `;
    page.say(
      `${index + 1}. ${packet}sent by the ${item.side}, ` +
        `${after} after the first): ${printable(item.finding).replace(/\.$/, '')}.`,
      '  ',
      '     ',
    );
    page.say(
      `${whereText(item)}; detector ${printable(item.detector)}: ${confidenceWords[item.confidence]}.`,
      '     ',
    );
    if (item.info_hash !== undefined) page.say(`Info-hash ${printable(item.info_hash)}.`, '     ');
    if (item.client_software !== undefined) {
      page.say(`Calls itself "${printable(item.client_software)}".`, '     ');
    }
  });
}

/** Where the matched bytes are: "bytes 0 to 67 of the payload". */
export function whereText(item: EvidenceReport): string {
  const of = item.of === 'payload' ? "this packet's payload" : `the ${item.side}'s stream`;
  if (item.length <= 0) return `At byte ${item.offset} of ${of}`;
  return `Bytes ${item.offset} to ${item.offset + item.length - 1} of ${of}`;
}

const outcomeWords: Readonly<Record<TraceLine['outcome'], string>> = {
  no: 'no',
  more: 'could be, needs more bytes',
  yes: 'yes',
  near: 'looked like it, not believed',
};

function asked(page: Page, trace: readonly TraceLine[]): void {
  page.heading('What the detectors said');
  if (trace.length === 0) {
    page.say('No detector was asked: no packet of this flow had payload to inspect.');
    return;
  }
  const packets = new Map<number, TraceLine[]>();
  for (const line of trace) {
    const lines = packets.get(line.packet);
    if (lines === undefined) packets.set(line.packet, [line]);
    else lines.push(line);
  }
  let shown = 0;
  for (const lines of packets.values()) {
    if (++shown > tracedPacketsMax) break;
    packetAnswers(page, lines);
  }
  if (packets.size > tracedPacketsMax) {
    page.say(`${plural(packets.size - tracedPacketsMax, 'more packet')} were inspected and are not shown.`);
  }
}

function packetAnswers(page: Page, lines: readonly TraceLine[]): void {
  const { packet, frame, side } = lines[0]!;
  page.say(`Packet ${packet} (frame ${frame}, from the ${side})`);
  const telling = lines.filter((line) => line.outcome !== 'no' || line.text !== '');
  for (const line of telling.slice(0, linesPerPacketMax)) {
    const text = line.text === '' ? '' : `: ${printable(line.text)}`;
    page.say(`${printable(line.detector)}: ${outcomeWords[line.outcome]}${text}`, '    ', '      ');
  }
  if (telling.length > linesPerPacketMax) {
    page.say(`${plural(telling.length - linesPerPacketMax, 'more answer')} not shown.`, '    ');
  }
  const plain = lines.filter((line) => line.outcome === 'no' && line.text === '');
  const names = [...new Set(plain.map((line) => printable(line.detector)))];
  if (names.length > 0) page.say(`no: ${names.join(', ')}`, '    ', '      ');
}

function leak(page: Page, flow: FlowReport): void {
  const bytes = flow.payload_bytes_before_decision;
  if (bytes === null) return;
  page.heading('What would have passed before the decision');
  const packets = Math.max(0, (flow.decided_packet ?? 1) - 1);
  page.say(
    bytes === 0
      ? 'Inline, no payload: the first packet that carried any decided.'
      : `Inline, ${bytesText(bytes)} of payload in the ${plural(packets, 'packet')} before the deciding one.`,
  );
}

function wireshark(page: Page, flow: FlowReport): void {
  page.heading('In Wireshark');
  const frames = [...flow.evidence, ...flow.near_misses].map((item) => item.frame);
  page.say('The frames named above:');
  page.verbatim(framesFilter(frames.length > 0 ? frames : [flow.first_packet]));
  page.say('The whole flow:');
  page.verbatim(flowFilter(flow));
}

/** Display filter for frame numbers. */
export function framesFilter(frames: readonly number[]): string {
  const distinct = [...new Set(frames)].sort((a, b) => a - b);
  return distinct.length === 1
    ? `frame.number == ${distinct[0]!}`
    : `frame.number in {${distinct.join(', ')}}`;
}

/** Display filter for both directions of a flow. */
export function flowFilter(flow: FlowReport): string {
  const ip = flow.client.includes(':') ? 'ipv6' : 'ip';
  const { proto } = flow;
  return printable(
    `${ip}.addr == ${flow.client} && ${ip}.addr == ${flow.server} && ` +
      `${proto}.port == ${flow.client_port} && ${proto}.port == ${flow.server_port}`,
  );
}
