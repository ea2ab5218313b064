/** Hosts that expand to flows, and flows that expand to their evidence. */
import { escapeHtml } from './escape.js';
import { flowFilter, framesFilter, whereText } from './explain.js';
import { bytesText, countText, durationText, endpointText, parseIsoMicros, plural } from './format.js';
import { hostOf, kindsOf, peersText, type HostEntry } from './hosts.js';
import type { EvidenceReport, FlowReport } from './report.js';
import { confidenceWords, kindWords, reasonWords } from './words.js';

/** Hosts that get an entry of their own. */
export const hostsShownMax = 500;
/** A first host with more flows starts closed, or the reader would never find the next one. */
const openFlowsMax = 25;

/** Text of foreign origin: escaped, and kept from influencing the direction of what stands around it. */
export function foreign(text: string, max?: number): string {
  return `<bdi>${escapeHtml(text, max)}</bdi>`;
}

export function address(text: string): string {
  return `<span class="addr">${escapeHtml(text)}</span>`;
}

export function filterCode(filter: string): string {
  return `<code class="filter">${escapeHtml(filter, 1000)}</code>`;
}

export function tag(text: string, className = ''): string {
  return `<span class="tag${className === '' ? '' : ` ${className}`}">${escapeHtml(text)}</span>`;
}

/** The hosts section's content; `flows` are the kept flows, `offered` how many there were. */
export function hostsHtml(
  hosts: readonly HostEntry[],
  flows: readonly FlowReport[],
  offered: number,
): string {
  const byHost = new Map<string, FlowReport[]>();
  for (const flow of flows) {
    const { host } = hostOf(flow);
    const list = byHost.get(host);
    if (list === undefined) byHost.set(host, [flow]);
    else list.push(flow);
  }
  const shown = hosts.slice(0, hostsShownMax);
  const tools =
    '<div class="tools" id="tools" hidden><input type="search" placeholder="Search address, port, hash, software…" aria-label="Search hosts and flows"><button type="button">Open hosts</button><button type="button">Close all</button><output class="quiet" aria-live="polite"></output></div>';
  const notes = [
    hosts.length > shown.length ? `${plural(hosts.length - shown.length, 'more host')} not shown.` : '',
    offered > flows.length
      ? `${plural(offered - flows.length, 'more flow')} not shown; these are the ${countText(flows.length)} with most bytes. All of them: --format jsonl or csv.`
      : '',
  ].filter((note) => note !== '');
  return (
    tools +
    shown
      .map((host, index) =>
        hostHtml(host, byHost.get(host.address) ?? [], index === 0 && host.flows <= openFlowsMax),
      )
      .join('\n') +
    notes.map((note) => `<p class="note">${note}</p>`).join('')
  );
}

function hostHtml(host: HostEntry, flows: readonly FlowReport[], open: boolean): string {
  const kinds = kindsOf(host)
    .map((kind) => tag(kind))
    .join('');
  const software = [...host.software].map((name) => foreign(name)).join(', ');
  const missing = host.flows - flows.length;
  return `<details class="host"${open ? ' open' : ''}><summary><span class="who">${address(host.address)}</span><span>${kinds}</span><span class="end">${plural(host.flows, 'flow')} · ${peersText(host)} ${host.peers.size === 1 && !host.morePeers ? 'peer' : 'peers'} · ${bytesText(host.bytes)}</span></summary>
<div class="inner">${software === '' ? '' : `<p class="quiet">Client software: ${software}</p>`}
${flows.map((flow) => flowHtml(flow, host.address)).join('\n')}${missing > 0 ? `<p class="note">${plural(missing, 'more flow')} of this host not shown.</p>` : ''}
</div></details>`;
}

/** One flow; `host` is named by the entry around it, so the line names the peer. */
export function flowHtml(flow: FlowReport, host: string | null): string {
  const client = endpointText(flow.client, flow.client_port);
  const server = endpointText(flow.server, flow.server_port);
  const outgoing = host === flow.client;
  const line =
    host === null
      ? `${address(client)} → ${address(server)}`
      : `port ${outgoing ? flow.client_port : flow.server_port} ${outgoing ? '→' : '←'} ${address(outgoing ? server : client)}`;
  const frame = flow.decided_frame ?? flow.evidence[0]?.frame ?? flow.first_packet;
  return `<details class="flow"><summary><span>${line}</span><span>${flow.kind === null ? '' : tag(flow.kind)}${flow.confidence === null ? '' : tag(flow.confidence, flow.confidence)}</span><span class="end">${flow.proto} · ${bytesText(flow.bytes)} · frame ${frame}</span></summary>
<div class="inner">${factsHtml(flow, client, server)}${chainHtml('Evidence', flow.evidence)}${chainHtml('Not believed', flow.near_misses)}</div></details>`;
}

function factsHtml(flow: FlowReport, client: string, server: string): string {
  const lasted = durationText((parseIsoMicros(flow.last_seen) - parseIsoMicros(flow.first_seen)) / 1e6);
  const facts: [string, string][] = [
    ['Client', address(client)],
    ['Server', address(server)],
    [
      'Traffic',
      `${plural(flow.packets, 'packet')}, ${bytesText(flow.bytes_to_server)} to the server, ${bytesText(flow.bytes_to_client)} to the client`,
    ],
    ['Time', `${escapeHtml(flow.first_seen)}, lasted ${lasted}`],
  ];
  if (flow.kind !== null) facts.push(['Kind', kindWords[flow.kind]]);
  facts.push(['Why', reasonWords[flow.reason]]);
  if (flow.decided_frame !== null) {
    const before = bytesText(flow.payload_bytes_before_decision ?? 0);
    facts.push([
      'Decided',
      `by packet ${flow.decided_packet ?? 0} of the flow, frame ${flow.decided_frame}; ${before} of payload before it`,
    ]);
  }
  if (flow.tunnel !== undefined) facts.push(['Tunnel', tunnelText(flow)]);
  facts.push(['File', foreign(flow.file)], ['Wireshark', filterCode(flowFilter(flow))]);
  return `<dl class="facts">${facts.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join('')}</dl>`;
}

function tunnelText(flow: FlowReport): string {
  const name = foreign(flow.tunnel ?? 'tunnel');
  if (flow.outer === undefined) return name;
  const [from, fromPort, to, toPort] = flow.outer;
  return `${name} between ${address(endpointText(from, fromPort))} and ${address(endpointText(to, toPort))}`;
}

function chainHtml(title: string, items: readonly EvidenceReport[]): string {
  if (items.length === 0) return '';
  return `<h3>${title}</h3><ol class="chain">${items.map(itemHtml).join('')}</ol>`;
}

function itemHtml(item: EvidenceReport): string {
  const extra = [
    item.info_hash === undefined ? '' : `<br>info-hash <code>${escapeHtml(item.info_hash)}</code>`,
    item.client_software === undefined ? '' : `<br>calls itself ${foreign(item.client_software)}`,
  ].join('');
  return `<li>${foreign(item.finding)} ${tag(item.confidence, item.confidence)}<br><span class="quiet">${escapeHtml(whereText(item))}, sent by the ${item.side}; detector ${escapeHtml(item.detector)}: ${confidenceWords[item.confidence]}</span><br>${filterCode(framesFilter([item.frame]))}${extra}</li>`;
}
