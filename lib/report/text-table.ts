/**
 * Text tables that fit a terminal. Addresses are never broken, because a broken IPv6 address cannot be copied: when
 * the columns do not fit side by side, rows that are too long are written over several lines instead.
 */
export interface TextColumn {
  readonly title: string;
  readonly right?: boolean;
  /** May be cut with an ellipsis down to this many characters; absent means never cut. */
  readonly shrinkTo?: number;
  /** Cut at the front: the end of a path tells more than its beginning. */
  readonly keepEnd?: boolean;
}

const gap = '  ';

function characters(text: string): number {
  return onlyAscii.test(text) ? text.length : Array.from(text).length;
}
const onlyAscii = /^[\x20-\x7e]*$/;

function fit(text: string, width: number, column: TextColumn): string {
  const length = characters(text);
  if (length > width) {
    const letters = Array.from(text);
    return column.keepEnd === true
      ? `…${letters.slice(length - width + 1).join('')}`
      : `${letters.slice(0, Math.max(0, width - 1)).join('')}…`;
  }
  const space = ' '.repeat(width - length);
  return column.right === true ? space + text : text + space;
}

/** Widths that fit into `available`, or null if the columns cannot be made narrow enough. */
function widthsFor(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
  available: number,
): number[] | null {
  const widths = columns.map((column, index) =>
    rows.reduce((max, row) => Math.max(max, characters(row[index] ?? '')), characters(column.title)),
  );
  let excess = widths.reduce((sum, width) => sum + width, 0) + gap.length * (columns.length - 1) - available;
  for (let index = columns.length - 1; index >= 0 && excess > 0; index--) {
    const least = columns[index]!.shrinkTo;
    if (least === undefined) continue;
    const saved = Math.min(
      excess,
      Math.max(0, widths[index]! - Math.max(least, characters(columns[index]!.title))),
    );
    widths[index]! -= saved;
    excess -= saved;
  }
  return excess > 0 ? null : widths;
}

/** Cells one after another, wrapped between cells; a cell stays whole even if it is longer than the line. */
function stacked(cells: readonly string[], titles: readonly string[], width: number, indent: string): string {
  const lines: string[] = [];
  let line = '';
  cells.forEach((cell, index) => {
    if (cell === '') return;
    const piece = index === 0 ? cell : `${titles[index]!.toLowerCase()} ${cell}`;
    if (line !== '' && characters(line) + gap.length + characters(piece) > width) {
      lines.push(line);
      line = `${indent}${indent}${piece}`;
    } else {
      line = line === '' ? indent + piece : line + gap + piece;
    }
  });
  lines.push(line);
  return lines.join('\n');
}

/** The table as lines, each indented by two spaces, header first. `dim` paints the header. */
export function textTable(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
  width: number,
  dim: (text: string) => string,
): string[] {
  const indent = '  ';
  const titles = columns.map((column) => column.title);
  const { widths, odd } = fittingWidths(columns, rows, width - indent.length);
  if (widths === null) return rows.map((row) => stacked(row, titles, width, indent));
  const line = (cells: readonly string[]): string =>
    (indent + cells.map((cell, i) => fit(cell, widths[i]!, columns[i]!)).join(gap)).trimEnd();
  return [
    dim(line(titles)),
    ...rows.map((row) => (odd.has(row) ? stacked(row, titles, width, indent) : line(row))),
  ];
}

/** Widths for as many rows as possible, and the odd rows that are too long; few rows, so trying again is cheap. */
function fittingWidths(
  columns: readonly TextColumn[],
  rows: readonly (readonly string[])[],
  available: number,
): { widths: number[] | null; odd: Set<readonly string[]> } {
  const longestFirst = [...rows].sort((a, b) => leastWidth(columns, b) - leastWidth(columns, a));
  for (let out = 0; out < longestFirst.length; out++) {
    const widths = widthsFor(columns, longestFirst.slice(out), available);
    if (widths !== null) return { widths, odd: new Set(longestFirst.slice(0, out)) };
  }
  return { widths: null, odd: new Set(rows) };
}

function leastWidth(columns: readonly TextColumn[], row: readonly string[]): number {
  return columns.reduce(
    (sum, column, i) => sum + Math.min(characters(row[i] ?? ''), column.shrinkTo ?? Infinity),
    0,
  );
}

/** Text broken at spaces so that no line is longer than `width`, words that are longer excepted. */
export function wrap(text: string, width: number, indent = '', hanging = indent): string {
  const lines: string[] = [];
  let line = indent;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && characters(line) + 1 + characters(word) > width) {
      lines.push(line);
      line = hanging;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines.join('\n');
}
