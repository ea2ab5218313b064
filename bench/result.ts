/**
 * What a run of the benchmarks leaves: for each part its tables to read, its figures to compare, and its targets. A part
 * that could not run says why. Pure data, written to bench/results as JSON; render it with markdown.ts, set two of them
 * side by side with compare-results.ts.
 */
import type { Machine } from './machine.js';
import { median } from './stopwatch.js';

/** Counts up when figures of an older result mean something else. Results of the first format had no figures. */
export const resultFormat = 2;

export const partNames = [
  'detectors',
  'analysis',
  'decode',
  'flow',
  'engine',
  'scan',
  'reader',
  'batch',
  'ring',
  'split',
  'pool',
  'inline',
  'monitor',
] as const;
export type PartName = (typeof partNames)[number];

/** Cells of the first column are words, of the others figures with what belongs to them. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Sentences under it. */
  readonly notes: readonly string[];
}

/** One number that two results can be compared by; `name` is unique in its part. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly better: 'less' | 'more';
}

export interface Target {
  readonly what: string;
  readonly wanted: string;
  readonly reached: string;
  /** Null: not measured. */
  readonly met: boolean | null;
}

/** What a part found. */
export interface Outcome {
  readonly tables: readonly Table[];
  readonly figures: readonly Figure[];
  readonly targets: readonly Target[];
}

export interface PartResult extends Outcome {
  readonly part: PartName;
  readonly seconds: number;
  /** Why there is nothing, or less than there should be; null if all went well. */
  readonly problem: string | null;
}

export interface Result {
  readonly format: typeof resultFormat;
  readonly machine: Machine;
  /** Version of each peer and tool, or that it is not installed. */
  readonly peers: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly parts: readonly PartResult[];
}

export function less(name: string, value: number, unit: string): Figure {
  return { name, value, unit, better: 'less' };
}

export function more(name: string, value: number, unit: string): Figure {
  return { name, value, unit, better: 'more' };
}

export function target(
  what: string,
  value: number,
  limit: readonly ['>=' | '<=' | '<', number],
  unit: string,
  digits = 2,
): Target {
  const [sign, bound] = limit;
  const met = sign === '>=' ? value >= bound : sign === '<=' ? value <= bound : value < bound;
  return {
    what,
    wanted: `${sign} ${bound}${unit}`,
    reached: Number.isNaN(value) ? 'not measured' : `${value.toFixed(digits)}${unit}`,
    met: Number.isNaN(value) ? null : met,
  };
}

/** A part of which nothing was measured. */
export function leftOut(part: PartName, problem: string, seconds = 0): PartResult {
  return { part, seconds, problem, tables: [], figures: [], targets: [] };
}

/** A result read from a file. @throws Error with a sentence if it is none, or of another format */
export function parseResult(text: string, name: string): Result {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error(`${name} is not JSON: give the .json of a result in bench/results`);
  }
  const format = (found as { format?: unknown } | null)?.format;
  if (format !== resultFormat)
    throw new Error(
      `${name} is a result of format ${typeof format === 'number' ? format : 1}, and only format ${resultFormat} has figures to compare: run make bench again`,
    );
  return found as Result;
}

/** One result for several turns of the same revision: every figure is the median of those turns that have it. */
export function medianOf(results: readonly Result[]): Result {
  const [first] = results;
  if (first === undefined) throw new Error('no result to take a median of');
  return {
    ...first,
    parts: first.parts.map((each) => ({
      ...each,
      figures: medianFigures(
        results.flatMap(({ parts }) =>
          parts.filter(({ part }) => part === each.part).flatMap(({ figures }) => figures),
        ),
      ),
    })),
  };
}

function medianFigures(all: readonly Figure[]): Figure[] {
  const byName = new Map<string, Figure[]>();
  for (const figure of all) byName.set(figure.name, [...(byName.get(figure.name) ?? []), figure]);
  return [...byName.values()].map((same) => ({
    ...same[0]!,
    value: median(same.map(({ value }) => value)),
  }));
}
