/**
 * One self-contained HTML file. It asks nothing of the network: a content security policy admits only its own style
 * and script, by hash. It reads without the script, in light and dark, on a telephone and on paper; everything from
 * the wire is escaped, and every list is bounded.
 */
import { createHash } from 'node:crypto';
import { Aggregate } from './aggregate.js';
import { escapeHtml } from './escape.js';
import { clockText } from './format.js';
import { hostsHtml } from './html-flows.js';
import { htmlScript } from './html-script.js';
import {
  blindSpotsHtml,
  inputHtml,
  kindsHtml,
  nearMissesHtml,
  section,
  suspectsHtml,
  tallyHtml,
  tilesHtml,
  verdictHtml,
} from './html-sections.js';
import { htmlStyle } from './html-style.js';
import { timelineHtml } from './html-timeline.js';
import type { ReportFactory, ScanSummary } from './report.js';
import { Timeline } from './timeline.js';

/** Flows shown with their evidence: about 3 MB of HTML, which a browser still opens at once. */
export const flowsShownMax = 2000;
const suspectsShownMax = 200;

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function policy(): string {
  return `default-src 'none'; style-src ${hashOf(htmlStyle)}; script-src ${hashOf(htmlScript)}; base-uri 'none'; form-action 'none'`;
}

function head(summary: ScanSummary): string {
  const { flows, flowsByVerdict } = summary;
  const none = flows === 0 ? 'Nothing to judge' : 'No BitTorrent found';
  const found = flowsByVerdict.bittorrent > 0 ? 'BitTorrent found' : none;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>${found} – Swarmgate report</title>
<style>${htmlStyle}</style></head>
`;
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: string;
}

function sections(summary: ScanSummary, aggregate: Aggregate, timeline: Timeline): Section[] {
  const hosts = aggregate.hosts.list();
  const flows = aggregate.top.list();
  const list: Section[] = [
    { id: 'timeline', title: 'Timeline', content: timelineHtml(timeline) },
    { id: 'kinds', title: 'Kinds of BitTorrent traffic', content: kindsHtml(aggregate) },
    {
      id: 'hosts',
      title: 'Hosts, flows and evidence',
      content: hosts.length === 0 ? '' : hostsHtml(hosts, flows, aggregate.top.offered),
    },
    { id: 'hashes', title: 'Info-hashes', content: tallyHtml(aggregate.infoHashes, 'Info-hash', true) },
    {
      id: 'software',
      title: 'Client software',
      content: tallyHtml(aggregate.software, 'As the peers name themselves', false),
    },
    { id: 'suspects', title: 'Suspects', content: suspectsHtml(aggregate) },
    { id: 'near', title: 'Near misses', content: nearMissesHtml(aggregate) },
    { id: 'input', title: 'Input, unsupported links and warnings', content: inputHtml(summary) },
    { id: 'limits', title: 'What this report cannot see', content: blindSpotsHtml() },
  ];
  return list.filter(({ content }) => content !== '');
}

export const html: ReportFactory = (output, options) => {
  const aggregate = new Aggregate({ flowsMax: flowsShownMax, suspectsMax: suspectsShownMax });
  const timeline = new Timeline();
  return {
    flow(flow) {
      aggregate.add(flow);
      timeline.add(flow.firstSeenMicros, flow.lastSeenMicros, flow.bytes, flow.verdict === 'bittorrent');
    },
    end(summary) {
      const version = escapeHtml(options.version);
      const parts = sections(summary, aggregate, timeline);
      const span =
        summary.firstSeenMicros === null
          ? ''
          : ` · ${clockText(summary.firstSeenMicros)} to ${clockText(summary.lastSeenMicros ?? summary.firstSeenMicros)}`;
      output.write(head(summary));
      output.write(`<body><header class="top"><p class="brand"><b>Swarmgate</b> report${span}</p>`);
      output.write(verdictHtml(summary, aggregate) + tilesHtml(summary, aggregate));
      output.write(
        `<nav aria-label="Sections">${parts.map(({ id, title }) => `<a href="#${id}">${title}</a>`).join('')}</nav></header>\n<main>\n`,
      );
      for (const { id, title, content } of parts) output.write(`${section(id, title, content)}\n`);
      output.write(
        `</main><footer>Made by Swarmgate ${version}. This file loads nothing from the network.</footer>\n`,
      );
      output.write(`<script>${htmlScript}</script></body></html>\n`);
    },
  };
};
