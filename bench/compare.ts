/** `bench/compare`: two results, or two revisions measured in turns, side by side. See README.md beside this file. */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { renderComparison } from './compare-results.js';
import { measureRevisions, type RevisionPlan } from './compare-revisions.js';
import { parseResult, partNames, type PartName } from './result.js';

const usage = `usage: bench/compare RESULT_A.json RESULT_B.json
       bench/compare --revisions A B [options]
  --only PART       ${partNames.join(', ')};
                    may be given several times (detectors, decode, flow, engine)
  --repeat N        turns of each revision: A B, B A, ...; medians count (3)
  --size MB         size of the mix that both are given (300)
  --quick           as in make bench: a small mix, few samples
  --output FILE     write the comparison to FILE too
`;

/** What changes most often, without root and within a minute a turn. */
const partsByDefault: readonly PartName[] = ['detectors', 'decode', 'flow', 'engine'];

interface Plan {
  readonly names: readonly [string, string];
  /** Null: the names are files. */
  readonly revisions: RevisionPlan | null;
  readonly output: string | null;
}

function planOf(argv: readonly string[]): Plan | null {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      revisions: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      repeat: { type: 'string', default: '3' },
      size: { type: 'string' },
      quick: { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const [first, second, ...others] = positionals;
  const parts = values.only?.map((name) => partNames.find((part) => part === name)) ?? partsByDefault;
  const known = parts.flatMap((part) => part ?? []);
  const repeat = Number(values.repeat);
  const megabytes = Number(values.size ?? (values.quick ? 60 : 300));
  if (values.help || first === undefined || second === undefined || others.length > 0) return null;
  if (known.length < parts.length || !Number.isInteger(repeat) || repeat < 1 || !(megabytes > 0)) return null;
  return {
    names: [first, second],
    revisions: values.revisions ? { parts: known, repeat, quick: values.quick, megabytes } : null,
    output: values.output ?? null,
  };
}

async function compare({ names, revisions }: Plan): Promise<string> {
  if (revisions !== null) {
    const [first, second] = await measureRevisions(names, revisions);
    return renderComparison(first, second);
  }
  const [first, second] = names.map((name) => parseResult(readFileSync(name, 'utf8'), name));
  return renderComparison(first!, second!);
}

function parsed(): Plan | null {
  try {
    return planOf(process.argv.slice(2));
  } catch (error) {
    // An option that there is not.
    process.stderr.write(`compare: ${(error as Error).message}\n`);
    return null;
  }
}

const plan = parsed();
if (plan === null) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  try {
    const text = await compare(plan);
    process.stdout.write(text);
    if (plan.output !== null) writeFileSync(plan.output, text);
  } catch (error) {
    process.stderr.write(`compare: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
