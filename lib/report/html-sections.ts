/** The sections of the HTML report other than hosts and timeline. */
import { hostsText, type Aggregate, type NearMissEntry, type Tally } from './aggregate.js';
import { escapeHtml } from './escape.js';
import { framesFilter } from './explain.js';
import { bytesText, clockText, countText, durationText, percentText, plural } from './format.js';
import { address, filterCode, flowHtml, foreign, tag } from './html-flows.js';
import type { ScanSummary } from './report.js';
import { caveats, passedOverText, verdictSentence, warningsElsewhere, warningText } from './summary.js';
import { blindSpots, kindWords } from './words.js';

const talliesShownMax = 300;
const nearMissesShownMax = 200;
const warningsShownMax = 200;

export function section(id: string, title: string, content: string): string {
  return content === ''
    ? ''
    : `<section id="${id}" aria-labelledby="${id}-h"><h2 id="${id}-h">${title}</h2>${content}</section>`;
}

function more(count: number, what: string, where = 'All of them: --format json or jsonl.'): string {
  return count > 0
    ? `<p class="note">${what === '' ? `${countText(count)} more` : plural(count, `more ${what}`)} not shown. ${where}</p>`
    : '';
}

/** A share as a small bar; the number beside it says the same in text. */
function meter(part: number, whole: number): string {
  const share = whole > 0 ? Math.min(100, (100 * part) / whole) : 0;
  return `<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="back" width="100" height="8"/><rect class="front" width="${share.toFixed(2)}" height="8"/></svg>`;
}

/** A sentence of ours in which numbers stay beside their units. */
function unbroken(text: string): string {
  return escapeHtml(text, 500).replace(/(\d) (?=[kMGTP]?B\b|bytes?\b|%)/g, '$1\u00a0');
}

export function verdictHtml(summary: ScanSummary, aggregate: Aggregate): string {
  const { bittorrent, suspect } = summary.flowsByVerdict;
  const doubtful = suspect > 0 || summary.flows === 0 || summary.filesFailed > 0;
  const className = bittorrent > 0 ? ' found' : doubtful ? ' unsure' : '';
  const notes = caveats(summary)
    .map((text) => `<p>${unbroken(text)}</p>`)
    .join('');
  return `<div class="verdict${className}"><h1>${unbroken(verdictSentence(summary, aggregate))}</h1>${notes}</div>`;
}

export function tilesHtml(summary: ScanSummary, aggregate: Aggregate): string {
  const { flowsByVerdict: flows } = summary;
  const bytes = aggregate.bytesByVerdict.bittorrent;
  const tiles: [string, string, string][] = [
    [
      'BitTorrent flows',
      countText(flows.bittorrent),
      `${percentText(flows.bittorrent, summary.flows)} of ${countText(summary.flows)}`,
    ],
    [
      'BitTorrent bytes',
      bytesText(bytes),
      `${percentText(bytes, summary.bytes)} of ${bytesText(summary.bytes)}`,
    ],
    ['Hosts', countText(aggregate.hosts.size), `${countText(aggregate.hosts.localCount)} local`],
    ['Suspect', countText(flows.suspect), 'not enough to decide'],
    ['Other protocols', countText(flows.clear), 'recognised, not BitTorrent'],
    ['Not recognised', countText(flows.unknown), 'nothing known about them'],
  ];
  return `<dl class="tiles">${tiles.map(([name, value, note]) => `<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`).join('')}</dl>`;
}

export function kindsHtml(aggregate: Aggregate): string {
  const kinds = aggregate.kindList();
  if (kinds.length === 0) return '';
  const all = aggregate.bytesByVerdict.bittorrent;
  const rows = kinds.map((entry) => {
    const confidence = (['proof', 'strong', 'hint'] as const)
      .filter((name) => entry.confidence[name] > 0)
      .map((name) => tag(`${countText(entry.confidence[name])} ${name}`, name))
      .join('');
    return `<tr><th scope="row">${tag(entry.kind)}<br><span class="quiet">${kindWords[entry.kind]}</span></th><td class="num" data-label="Flows">${countText(entry.flows)}</td><td class="num" data-label="Bytes">${bytesText(entry.bytes)}</td><td data-label="Share">${percentText(entry.bytes, all)}${meter(entry.bytes, all)}</td><td data-label="Confidence">${confidence}</td></tr>`;
  });
  return `<table class="cards"><thead><tr><th scope="col">Kind</th><th scope="col" class="num">Flows</th><th scope="col" class="num">Bytes</th><th scope="col">Share of BitTorrent bytes</th><th scope="col">Confidence</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

export function tallyHtml(tally: Tally, title: string, code: boolean): string {
  if (tally.size === 0) return '';
  const entries = tally.list();
  const shown = entries.slice(0, talliesShownMax);
  const rows = shown.map((entry) => {
    const hosts = hostsText(entry, 5, address);
    const text = code ? `<code>${escapeHtml(entry.text)}</code>` : foreign(entry.text);
    return `<tr><th scope="row">${text}</th><td class="num" data-label="Flows">${countText(entry.flows)}</td><td data-label="Hosts">${hosts}</td></tr>`;
  });
  const leftOut =
    tally.leftOut > 0
      ? `<p class="note">${plural(tally.leftOut, 'further mention')} were only counted.</p>`
      : '';
  return `<table class="cards"><thead><tr><th scope="col">${title}</th><th scope="col" class="num">Flows</th><th scope="col">Hosts</th></tr></thead><tbody>${rows.join('')}</tbody></table>${more(entries.length - shown.length, '')}${leftOut}`;
}

export function suspectsHtml(aggregate: Aggregate): string {
  const { suspects } = aggregate;
  if (suspects.offered === 0) return '';
  const shown = suspects.list();
  const intro =
    '<p class="quiet">Something in these flows spoke for BitTorrent, but not enough to decide. They are not counted as BitTorrent.</p>';
  return (
    intro +
    shown.map((flow) => flowHtml(flow, null)).join('\n') +
    more(suspects.offered - shown.length, 'suspect')
  );
}

export function nearMissesHtml(aggregate: Aggregate): string {
  const entries = aggregate.nearMissList();
  if (entries.length === 0) return '';
  const shown = entries.slice(0, nearMissesShownMax);
  const intro = `<p class="quiet">What looked like BitTorrent in ${plural(aggregate.nearMissFlows, 'flow')}, and why it was not believed.</p>`;
  const table = `<table class="cards"><thead><tr><th scope="col">Why it was not believed</th><th scope="col">Detector</th><th scope="col" class="num">Times</th><th scope="col">For example</th></tr></thead><tbody>${shown.map(nearMissRow).join('')}</tbody></table>`;
  return intro + table + more(entries.length - shown.length, 'reason');
}

function nearMissRow(entry: NearMissEntry): string {
  const examples = entry.examples
    .map(
      ({ flow, item }) =>
        `<div>${filterCode(framesFilter([item.frame]))} <span class="quiet">${foreign(flow.file)}</span></div>`,
    )
    .join('');
  return `<tr><th scope="row">${foreign(entry.finding)}</th><td data-label="Detector">${escapeHtml(entry.detector)}</td><td class="num" data-label="Times">${countText(entry.times)}</td><td>${examples}</td></tr>`;
}

export function inputHtml(summary: ScanSummary): string {
  const facts: [string, string][] = [
    [
      'Files',
      `${countText(summary.files)}${summary.filesFailed > 0 ? `, of which ${countText(summary.filesFailed)} could not be read` : ''}`,
    ],
    ['Frames', `${countText(summary.packets)} (${bytesText(summary.bytes)})`],
    ['First packet', summary.firstSeenMicros === null ? 'none' : clockText(summary.firstSeenMicros)],
    ['Last packet', summary.lastSeenMicros === null ? 'none' : clockText(summary.lastSeenMicros)],
    ['Scan took', durationText(summary.elapsedSeconds)],
  ];
  const passedOver = passedOverText(summary);
  if (passedOver !== '') facts.push(['Passed over', passedOver]);
  const outcomes = Object.entries(summary.frames).filter(([, count]) => count > 0);
  if (outcomes.length > 0) {
    facts.push([
      'Decoded',
      outcomes.map(([name, count]) => `${escapeHtml(name)} ${countText(count)}`).join(', '),
    ]);
  }
  return `<dl class="facts">${facts.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join('')}</dl>${linksHtml(summary)}${warningsHtml(summary)}`;
}

function linksHtml(summary: ScanSummary): string {
  const links = summary.unsupportedLinks;
  if (links.length === 0) return '';
  const shown = links.slice(0, warningsShownMax);
  const items = shown.map(
    (link) => `<li>${foreign(link.name)} (number ${link.linkType}): ${plural(link.packets, 'packet')}</li>`,
  );
  return `<h3>Link types that are not supported; their packets were skipped</h3><ul class="plain">${items.join('')}</ul>${more(links.length - shown.length, 'link type')}`;
}

function warningsHtml(summary: ScanSummary): string {
  const { warnings } = summary;
  if (warnings.length === 0) return '';
  const shown = warnings.slice(0, warningsShownMax);
  const items = shown.map(
    (warning) =>
      `<li>${foreign(warningText(warning), 700)} <span class="quiet">${escapeHtml(warning.code)}</span></li>`,
  );
  const left = warnings.length - shown.length + summary.warningsLeftOut;
  return `<h3>Warnings</h3><ul class="plain">${items.join('')}</ul>${more(left, 'warning', warningsElsewhere(summary))}`;
}

export function blindSpotsHtml(): string {
  return `<ul class="plain">${blindSpots.map((text) => `<li>${escapeHtml(text, 500)}</li>`).join('')}</ul>`;
}
