/**
 * The report for a terminal: the verdict in plain words, then hosts, kinds, flows and what was doubtful. Every list
 * is bounded and says what it left out; nothing from the wire reaches the terminal unescaped.
 */
import { Aggregate, hostsText, type Tally } from './aggregate.js';
import { printable } from './escape.js';
import { bytesText, countText, durationText, endpointText, percentText, plural } from './format.js';
import { kindsOf, peersText } from './hosts.js';
import type { FlowReport, ReportFactory, ReportOptions, ScanSummary, TextOutput } from './report.js';
import { caveats, passedOverText, verdictSentence, warningsElsewhere, warningText } from './summary.js';
import { textTable, wrap, type TextColumn } from './text-table.js';
import { kindWords } from './words.js';

const flowsShownMax = 50;
const hostsShownMax = 30;
const suspectsShownMax = 10;
const nearMissesShownMax = 10;
const talliesShownMax = 10;
const warningsShownMax = 20;
/** Hosts named beside an info-hash or a client; more would not leave room for whole addresses. */
const hostsNamedMax = 1;
const columnsMin = 40;

export const table: ReportFactory = (output, options) => {
  const aggregate = new Aggregate({ flowsMax: flowsShownMax, suspectsMax: suspectsShownMax });
  return {
    flow(flow) {
      aggregate.add(flow);
    },
    end(summary) {
      new TableWriter(output, options, aggregate, summary).write();
    },
  };
};

class TableWriter {
  readonly #output: TextOutput;
  readonly #colour: boolean;
  readonly #width: number;
  readonly #aggregate: Aggregate;
  readonly #summary: ScanSummary;

  constructor(output: TextOutput, options: ReportOptions, aggregate: Aggregate, summary: ScanSummary) {
    this.#output = output;
    this.#colour = options.colour;
    this.#width = Math.max(columnsMin, options.columns);
    this.#aggregate = aggregate;
    this.#summary = summary;
  }

  write(): void {
    this.#verdict();
    this.#hosts();
    this.#kinds();
    this.#flows();
    this.#tally('Info-hashes', { title: 'Info-hash' }, this.#aggregate.infoHashes);
    this.#tally(
      'Client software',
      { title: 'As peers name themselves', shrinkTo: 20 },
      this.#aggregate.software,
    );
    this.#suspects();
    this.#nearMisses();
    this.#unsupported();
    this.#warnings();
    this.#footer();
  }

  #paint(code: string, text: string): string {
    return this.#colour ? `\x1b[${code}m${text}\x1b[0m` : text;
  }

  #line(text = ''): void {
    this.#output.write(`${text}\n`);
  }

  #heading(text: string): void {
    this.#line();
    this.#line(this.#paint('1', text));
  }

  #rows(columns: readonly TextColumn[], rows: readonly (readonly string[])[]): void {
    for (const line of textTable(columns, rows, this.#width, (text) => this.#paint('2', text)))
      this.#line(line);
  }

  #more(count: number, what: string, how: string): void {
    if (count <= 0) return;
    const left = what === '' ? `${countText(count)} more` : plural(count, `more ${what}`);
    this.#line(wrap(`${left} not shown. ${how}`, this.#width, '  '));
  }

  #verdict(): void {
    const { flowsByVerdict, flows } = this.#summary;
    const code =
      flowsByVerdict.bittorrent > 0 ? '1;31' : flows > 0 && flowsByVerdict.suspect === 0 ? '1;32' : '1;33';
    const sentence = wrap(verdictSentence(this.#summary, this.#aggregate), this.#width);
    this.#line(this.#paint(code, sentence));
    for (const caveat of caveats(this.#summary)) this.#line(wrap(caveat, this.#width));
  }

  #hosts(): void {
    const hosts = this.#aggregate.hosts.list();
    if (hosts.length === 0) return;
    this.#heading('Hosts');
    const shown = hosts.slice(0, hostsShownMax);
    this.#rows(
      [
        { title: 'Address' },
        { title: 'Flows', right: true },
        { title: 'Peers', right: true },
        { title: 'Bytes', right: true },
        { title: 'Kinds', shrinkTo: 12 },
      ],
      shown.map((host) => [
        printable(host.address),
        countText(host.flows),
        peersText(host),
        bytesText(host.bytes),
        kindsOf(host).join(', '),
      ]),
    );
    this.#more(hosts.length - shown.length, 'host', 'All: --format json or html.');
    const { flowsLeftOut } = this.#aggregate.hosts;
    if (flowsLeftOut > 0) this.#line(`  ${plural(flowsLeftOut, 'flow')} of further hosts were only counted.`);
  }

  #kinds(): void {
    const kinds = this.#aggregate.kindList();
    if (kinds.length === 0) return;
    this.#heading('Kinds');
    this.#rows(
      [
        { title: 'Kind' },
        { title: 'Flows', right: true },
        { title: 'Bytes', right: true },
        { title: 'Of traffic', right: true },
        { title: 'Confidence', shrinkTo: 12 },
        { title: 'Meaning', shrinkTo: 12 },
      ],
      kinds.map((entry) => [
        entry.kind,
        countText(entry.flows),
        bytesText(entry.bytes),
        percentText(entry.bytes, this.#summary.bytes),
        confidences(entry.confidence),
        kindWords[entry.kind],
      ]),
    );
  }

  #flows(): void {
    const flows = this.#aggregate.top.list();
    if (flows.length === 0) return;
    this.#heading('Flows with BitTorrent');
    this.#flowRows(flows);
    this.#more(this.#aggregate.top.offered - flows.length, 'flow', 'All: --format jsonl, csv or html.');
    this.#line(
      wrap('Why: swarmgate explain FILE --frame N, with N from the column Frame.', this.#width, '  '),
    );
  }

  #flowRows(flows: readonly FlowReport[]): void {
    const files = new Set(flows.map((flow) => flow.file));
    const columns: TextColumn[] = [
      { title: 'Client' },
      { title: 'Server' },
      { title: 'Proto' },
      { title: 'Kind' },
      { title: 'Bytes', right: true },
      { title: 'Frame', right: true },
      { title: 'Sure', shrinkTo: 6 },
    ];
    if (files.size > 1) columns.push({ title: 'File', shrinkTo: 10, keepEnd: true });
    const rows = flows.map((flow) => [
      printable(endpointText(flow.client, flow.client_port)),
      printable(endpointText(flow.server, flow.server_port)),
      flow.proto,
      flow.kind ?? '',
      bytesText(flow.bytes),
      String(flow.decided_frame ?? flow.evidence[0]?.frame ?? flow.first_packet),
      flow.confidence ?? '',
      printable(flow.file),
    ]);
    this.#rows(
      columns,
      rows.map((row) => row.slice(0, columns.length)),
    );
  }

  #tally(heading: string, column: TextColumn, tally: Tally): void {
    if (tally.size === 0) return;
    this.#heading(heading);
    const shown = tally.list().slice(0, talliesShownMax);
    this.#rows(
      [column, { title: 'Flows', right: true }, { title: 'Hosts' }],
      shown.map((entry) => [
        printable(entry.text),
        countText(entry.flows),
        hostsText(entry, hostsNamedMax, printable),
      ]),
    );
    this.#more(tally.size - shown.length, '', 'All: --format html.');
    if (tally.leftOut > 0) this.#line(`  ${plural(tally.leftOut, 'further mention')} were only counted.`);
  }

  #suspects(): void {
    const { suspects } = this.#aggregate;
    if (suspects.offered === 0) return;
    this.#heading('Suspects (not enough to decide)');
    const shown = suspects.list();
    this.#flowRows(shown);
    this.#more(suspects.offered - shown.length, 'suspect', 'All: --format jsonl or csv.');
  }

  #nearMisses(): void {
    const entries = this.#aggregate.nearMissList();
    if (entries.length === 0) return;
    this.#heading('Near misses (looked like BitTorrent, not believed)');
    const shown = entries.slice(0, nearMissesShownMax);
    this.#rows(
      [{ title: 'Times', right: true }, { title: 'Detector' }, { title: 'Why not believed', shrinkTo: 24 }],
      shown.map((entry) => [countText(entry.times), entry.detector, printable(entry.finding)]),
    );
    this.#more(entries.length - shown.length, 'reason', 'All: --format html.');
  }

  #unsupported(): void {
    const { unsupportedLinks } = this.#summary;
    if (unsupportedLinks.length === 0) return;
    this.#heading('Link types that are not supported (packets skipped)');
    this.#rows(
      [
        { title: 'Number', right: true },
        { title: 'Name', shrinkTo: 10 },
        { title: 'Packets', right: true },
      ],
      unsupportedLinks
        .slice(0, talliesShownMax)
        .map((link) => [String(link.linkType), printable(link.name), countText(link.packets)]),
    );
    this.#more(unsupportedLinks.length - talliesShownMax, 'link type', 'All: --format json.');
  }

  #warnings(): void {
    const { warnings } = this.#summary;
    if (warnings.length === 0) return;
    this.#heading('Warnings');
    for (const warning of warnings.slice(0, warningsShownMax)) {
      const text = `${warningText(warning)} (${printable(warning.code)})`;
      this.#line(wrap(text, this.#width, '  ', '    '));
    }
    const left = Math.max(0, warnings.length - warningsShownMax) + this.#summary.warningsLeftOut;
    this.#more(left, 'warning', warningsElsewhere(this.#summary));
  }

  #footer(): void {
    const { files, packets, bytes, elapsedSeconds } = this.#summary;
    const text = `${plural(files, 'file')}, ${plural(packets, 'packet')}, ${bytesText(bytes)} in ${durationText(elapsedSeconds)}.`;
    this.#line();
    this.#line(this.#paint('2', text));
    const passedOver = passedOverText(this.#summary);
    if (passedOver !== '') this.#line(this.#paint('2', wrap(passedOver, this.#width)));
  }
}

function confidences(counts: Readonly<Record<'proof' | 'strong' | 'hint', number>>): string {
  return (['proof', 'strong', 'hint'] as const)
    .filter((name) => counts[name] > 0)
    .map((name) => `${countText(counts[name])} ${name}`)
    .join(', ');
}
