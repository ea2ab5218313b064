/** Results as Markdown that can be read unrendered too: columns are padded. Pure functions. */
import type { PartName, PartResult, Result, Table, Target } from './result.js';

const titles: Readonly<Record<PartName, string>> = {
  detectors: 'Detectors alone',
  analysis: 'Whole analysis of a first payload',
  decode: 'Decoding',
  flow: 'Flow table',
  engine: 'Engine',
  scan: 'Scan of a capture',
  reader: 'Walking a capture',
  batch: 'Batch sizes',
  ring: 'Rings between threads',
  split: 'One file, several threads',
  pool: 'Many files, several threads',
  inline: 'Inline filter',
  monitor: 'Passive monitor',
};

function cellText(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

/** The first column to the left, all others to the right unless they are words too. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  words = false,
): string {
  const texts = [head, ...rows].map((row) => head.map((_, column) => cellText(row[column] ?? '')));
  const widths = head.map((_, column) => Math.max(4, ...texts.map((row) => row[column]!.length)));
  const toLeft = (column: number): boolean => words || column === 0;
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = widths.map((width, column) =>
    toLeft(column) ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`,
  );
  const [first, ...others] = texts.map((row) =>
    line(
      row.map((cell, column) =>
        toLeft(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      ),
    ),
  );
  return [first!, line(rule), ...others].join('\n');
}

function renderTable({ title, head, rows, notes }: Table): string {
  return [
    ...(title === '' ? [] : [`### ${title}`]),
    ...(rows.length === 0 ? [] : [markdownTable(head, rows)]),
    ...(notes.length === 0 ? [] : [notes.map((note) => `- ${note}`).join('\n')]),
  ].join('\n\n');
}

function renderTargets(parts: readonly PartResult[]): string[] {
  const rows = parts.flatMap(({ part, targets }) =>
    targets.map(({ what, wanted, reached, met }: Target) => [
      `${part}: ${what}`,
      wanted,
      reached,
      met === null ? '-' : met ? 'yes' : 'NO',
    ]),
  );
  return rows.length === 0 ? [] : ['## Targets', markdownTable(['target', 'wanted', 'reached', 'met'], rows)];
}

function renderProblems(parts: readonly PartResult[]): string[] {
  const lines = parts.flatMap(({ part, problem }) => (problem === null ? [] : [`- ${part}: ${problem}`]));
  return lines.length === 0 ? [] : ['## Left out', lines.join('\n')];
}

export function renderMachine({ machine, peers, options }: Result): string {
  const { cpu, cores, memoryBytes, kernel, node, v8, loadBefore, loadAfter } = machine;
  const load = [loadBefore, ...(loadAfter === undefined ? [] : [loadAfter])].map((each) => each.toFixed(2));
  const rows = [
    ['processor', `${cpu}, ${cores} cores, ${(memoryBytes / 2 ** 30).toFixed(0)} GiB`],
    ['kernel', kernel],
    ['Node', `${node}, V8 ${v8}`],
    ['load average before and after', load.join(' and ')],
    ...Object.entries(peers),
    ...Object.entries(options).map(([name, value]) => [`option ${name}`, value]),
  ];
  return markdownTable(['machine', 'is'], rows, true);
}

function renderPart({ part, seconds, tables }: PartResult): string[] {
  if (tables.length === 0) return [];
  return [`## ${titles[part]}`, `Part \`${part}\`, ${seconds.toFixed(0)} s.`, ...tables.map(renderTable)];
}

export function renderResult(result: Result): string {
  const { machine, parts } = result;
  return `${[
    `# Swarmgate benchmark, ${machine.date}, commit ${machine.commit}`,
    renderMachine(result),
    ...renderProblems(parts),
    ...renderTargets(parts),
    ...parts.flatMap(renderPart),
  ].join('\n\n')}\n`;
}
