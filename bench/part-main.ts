/**
 * The course of a process that runs one part of the benchmarks and has done nothing else: what one part compiled, allocated
 * or broke does not touch the next. Its arguments are NAME CONTEXT OUTPUT, the context as JSON; the outcome is written to
 * OUTPUT as JSON.
 */
import { writeFileSync } from 'node:fs';
import type { Context, Note } from './context.js';
import { partNames, type Outcome, type PartName } from './result.js';
import { consumedSum } from './stopwatch.js';

export type Measure = (context: Context, note: Note) => Promise<Outcome> | Outcome;

/** Runs the part that the arguments name, by what `measureOf` says of it. */
export async function runPart(measureOf: (part: PartName) => Measure | undefined): Promise<void> {
  // Behind the handlers of those who have namespaces to remove; without this nothing that waits for the exit would run.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      setImmediate(() => process.exit(130));
    });
  const [name, context, output] = process.argv.slice(2);
  const part = partNames.find((each) => each === name);
  const measure = part === undefined ? undefined : measureOf(part);
  if (part === undefined || measure === undefined || context === undefined || output === undefined)
    throw new Error('usage: part.js NAME CONTEXT OUTPUT');
  const note = (text: string): void => void process.stderr.write(`bench: ${part}: ${text}\n`);
  const outcome = await measure(JSON.parse(context) as Context, note);
  writeFileSync(output, JSON.stringify(outcome));
  // Asking for the sum is what keeps the timed calls alive.
  if (Number.isNaN(consumedSum())) note('a timed function returned no number');
}
