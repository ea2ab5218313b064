/** Two results side by side: every figure that both have, and how many times as good the second is. Pure functions. */
import { markdownTable, renderMachine } from './markdown.js';
import type { Figure, PartName, Result } from './result.js';
import { median } from './stopwatch.js';

export interface Compared {
  readonly part: PartName;
  readonly name: string;
  readonly unit: string;
  readonly first: number;
  readonly second: number;
  /** How many times as good the second is: above 1 is better, whether little or much is wanted. */
  readonly times: number;
}

interface Named {
  readonly part: PartName;
  readonly figure: Figure;
}

function figuresOf(result: Result): Named[] {
  return result.parts.flatMap(({ part, figures }) => figures.map((figure) => ({ part, figure })));
}

const keyOf = ({ part, figure }: Named): string => `${part}: ${figure.name}`;

export function compareResults(first: Result, second: Result): Compared[] {
  const others = new Map(figuresOf(second).map((each) => [keyOf(each), each.figure]));
  return figuresOf(first).flatMap((each) => {
    const { part, figure } = each;
    const other = others.get(keyOf(each));
    if (other?.unit !== figure.unit || !Number.isFinite(figure.value) || !Number.isFinite(other.value))
      return [];
    const [over, under] = figure.better === 'less' ? [figure, other] : [other, figure];
    const times = figure.value === other.value ? 1 : over.value / under.value;
    // Zero is less than the clock could tell, and no ratio.
    if (!Number.isFinite(times) || times === 0) return [];
    return [{ part, name: figure.name, unit: figure.unit, first: figure.value, second: other.value, times }];
  });
}

/** Figures of one that the other has not, as `part: name`. */
export function unmatched(one: Result, other: Result): string[] {
  const known = new Set(figuresOf(other).map(keyOf));
  return figuresOf(one)
    .map(keyOf)
    .filter((key) => !known.has(key));
}

/** What makes the two hard to compare, each as a sentence. */
export function differences(first: Result, second: Result): string[] {
  const pairs = [
    ['processor', first.machine.cpu, second.machine.cpu],
    ['number of cores', String(first.machine.cores), String(second.machine.cores)],
    ['kernel', first.machine.kernel, second.machine.kernel],
    ['Node', first.machine.node, second.machine.node],
  ] as const;
  const found = pairs
    .filter(([, one, two]) => one !== two)
    .map(([what, one, two]) => `${what} differs: ${one} and ${two}.`);
  const options = new Set([...Object.keys(first.options), ...Object.keys(second.options)]);
  for (const name of options) {
    const [one, two] = [first.options[name] ?? 'default', second.options[name] ?? 'default'];
    if (one !== two) found.push(`option ${name} differs: ${one} and ${two}.`);
  }
  return found;
}

function figureText(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

/** Both columns are named by their commits. */
export function renderComparison(first: Result, second: Result): string {
  const all = compareResults(first, second);
  const [one, two] = [first.machine.commit, second.machine.commit];
  const rows = all.map(({ part, name, unit, first: a, second: b, times }) => [
    `${part}: ${name}`,
    unit,
    figureText(a),
    figureText(b),
    times.toFixed(2),
  ]);
  const parts = [...new Set(all.map(({ part }) => part))];
  const summary = parts.map((part) => {
    const times = all.filter((each) => each.part === part).map((each) => each.times);
    const extremes = [Math.min(...times), Math.max(...times)].map((each) => each.toFixed(2));
    return [part, String(times.length), median(times).toFixed(2), ...extremes];
  });
  const lost = [
    ...unmatched(first, second).map((key) => `- only in ${one}: ${key}`),
    ...unmatched(second, first).map((key) => `- only in ${two}: ${key}`),
  ];
  const doubts = differences(first, second).map((each) => `- ${each}`);
  return `${[
    `# ${one} beside ${two}`,
    'The last column says how many times as good the second is: above 1 is better, for nanoseconds as for packets per second.',
    renderMachine(first),
    ...(doubts.length === 0 ? [] : [`Compare with care:\n\n${doubts.join('\n')}`]),
    markdownTable(['part', 'figures', 'median times', 'worst', 'best'], summary),
    markdownTable(['figure', 'unit', one, two, 'times'], rows),
    ...(lost.length === 0 ? [] : [lost.join('\n')]),
  ].join('\n\n')}\n`;
}
