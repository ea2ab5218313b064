/** `make bench`: runs the benchmarks, prints them, and keeps them in bench/results. See README.md beside this file. */
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { repositoryPath } from '../lib/testing.js';
import { PartProcess } from './part-process.js';
import { type Context } from './context.js';
import { parts } from './parts.js';
import { peerVersions } from './peer-versions.js';
import { leftOut, partNames, resultFormat, type PartName, type PartResult, type Result } from './result.js';
import { renderResult } from './markdown.js';
import { thisMachine } from './machine.js';
import { mixTemplates, writeMix, type Mix } from './mix.js';

const usage = `usage: node --expose-gc dist/bench/run.js [options]
  --only PART           ${partNames.join(', ')};
                        may be given several times (all of them)
  --repeat N            runs of each program and passes over the mix; the median counts (3)
  --quick               a small mix, one run of each: does it still run?
  --size MB             size of the mix (1800)
  --large-size MB       size of the mix that shows the scan once compiled: ndpiReader needs as much memory, and more;
                        0 leaves it out (8000; 0 with --quick, --size or --mix)
  --tshark-size MB      size of the mix that tshark reads, which takes it a minute per gigabyte (40)
  --mix FILE            use this mix, with FILE.json beside it, instead of building one
  --json FILE           write the result to FILE, and nothing to bench/results
  --keep                leave bench/results as it is
`;

const largeMixPath = repositoryPath('bench', 'data', 'mix-large.pcap');
/** Of the larger mix's size: free disk, and memory of the machine. */
const roomFactor = 1.5;
const memoryFactor = 2.5;

interface Plan {
  readonly sizeMegabytes: number;
  readonly largeMegabytes: number;
  readonly tsharkMegabytes: number;
  readonly repeat: number;
  readonly quick: boolean;
  readonly mix: string | null;
  readonly parts: readonly PartName[];
  readonly json: string | null;
  readonly write: boolean;
}

function planOf(argv: readonly string[]): Plan | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      size: { type: 'string' },
      'large-size': { type: 'string' },
      'tshark-size': { type: 'string' },
      repeat: { type: 'string' },
      only: { type: 'string', multiple: true },
      mix: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick, only } = values;
  const plan = {
    sizeMegabytes: Number(values.size ?? (quick ? 60 : 1800)),
    largeMegabytes: Number(
      values['large-size'] ?? (quick || values.size !== undefined || values.mix !== undefined ? 0 : 8000),
    ),
    tsharkMegabytes: Number(values['tshark-size'] ?? (quick ? 10 : 40)),
    repeat: Number(values.repeat ?? (quick ? 1 : 3)),
    quick,
    mix: values.mix ?? null,
    parts: only === undefined ? partNames : partNames.filter((part) => only.includes(part)),
    json: values.json ?? null,
    write: !values.keep,
  };
  const numbers = [plan.sizeMegabytes, plan.tsharkMegabytes, plan.repeat];
  const bad =
    numbers.some((value) => !(value > 0)) || !Number.isInteger(plan.repeat) || !(plan.largeMegabytes >= 0);
  const unknown = only?.some((name) => !partNames.some((part) => part === name)) === true;
  return values.help || bad || unknown ? null : plan;
}

function note(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

async function buildMix(name: string, megabytes: number): Promise<Mix> {
  note(`building a mix of ${megabytes} MB`);
  const { templates, origin } = await mixTemplates();
  const path = repositoryPath('bench', 'data', `${name}.pcap`);
  return writeMix(templates, origin, { path, sizeBytes: megabytes * 1e6 });
}

/** Why the larger mix is left out, or null. */
function largeMixProblem(megabytes: number): string | null {
  if (megabytes === 0) return 'not asked for';
  const bytes = megabytes * 1e6;
  const folder = repositoryPath('bench', 'data');
  mkdirSync(folder, { recursive: true });
  rmSync(largeMixPath, { force: true });
  const { bavail, bsize } = statfsSync(folder);
  if (bavail * bsize < bytes * roomFactor) return `it needs ${megabytes} MB of disk, and room to spare`;
  // ndpiReader keeps more than a byte for each of the file's, which itself is to be in the page cache.
  return totalmem() < bytes * memoryFactor
    ? `ndpiReader needs ${megabytes} MB of memory and more for it`
    : null;
}

async function largeMixOf(plan: Plan): Promise<Mix | null> {
  const problem = largeMixProblem(plan.largeMegabytes);
  if (problem === null) return buildMix('mix-large', plan.largeMegabytes);
  if (plan.largeMegabytes > 0) note(`the larger mix is left out: ${problem}`);
  return null;
}

async function contextOf(plan: Plan, runnable: readonly PartName[]): Promise<Context> {
  const needed = new Set(runnable.flatMap((part) => parts[part].needs));
  const given = plan.mix === null ? null : (JSON.parse(readFileSync(`${plan.mix}.json`, 'utf8')) as Mix);
  return {
    quick: plan.quick,
    repeat: plan.repeat,
    rounds: plan.quick ? 5 : 21,
    mix: needed.has('mix') ? (given ?? (await buildMix('mix', plan.sizeMegabytes))) : null,
    largeMix: needed.has('largeMix') ? await largeMixOf(plan) : null,
    smallMix: needed.has('smallMix') ? await buildMix('mix-small', plan.tsharkMegabytes) : null,
  };
}

async function runAll(plan: Plan, process: PartProcess): Promise<Result> {
  const machine = thisMachine();
  const problems = new Map(plan.parts.map((part) => [part, parts[part].problem()]));
  const context = await contextOf(
    plan,
    plan.parts.filter((part) => problems.get(part) === null),
  );
  const done: PartResult[] = [];
  for (const part of plan.parts) {
    const problem = problems.get(part) ?? null;
    note(problem === null ? part : `${part} left out: ${problem}`);
    done.push(problem === null ? await process.run(part, context) : leftOut(part, problem));
  }
  rmSync(largeMixPath, { force: true });
  return {
    format: resultFormat,
    machine: { ...machine, loadAfter: loadavg()[0] ?? 0 },
    peers: peerVersions(),
    options: {
      repeat: String(plan.repeat),
      'mix MB': String(plan.sizeMegabytes),
      'larger mix MB': String(Math.round((context.largeMix?.bytes ?? 0) / 1e6)),
      ...(plan.quick ? { quick: 'yes, so these figures say little' } : {}),
    },
    parts: done,
  };
}

function keep(result: Result, text: string): void {
  const { date, commit } = result.machine;
  const folder = repositoryPath('bench', 'results');
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${date}-${commit}.json`, `${JSON.stringify(result, null, 2)}\n`);
  writeFileSync(`${folder}/${date}-${commit}.md`, text);
  note(`written to bench/results/${date}-${commit}.{json,md}`);
}

const plan = planOf(process.argv.slice(2));
if (plan === null) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  try {
    const result = await runAll(plan, new PartProcess());
    const text = renderResult(result);
    process.stdout.write(text);
    if (plan.json !== null) writeFileSync(plan.json, JSON.stringify(result));
    else if (plan.write) keep(result, text);
  } catch (error) {
    note((error as Error).message);
    process.exitCode = 1;
  }
}
