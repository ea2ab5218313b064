/** `make bench`: runs the benchmarks, prints them, and keeps them in bench/results. See README.md beside this file. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { repositoryPath } from '../lib/testing.js';
import { benchDetectors } from './detectors.js';
import { benchEngine } from './engine.js';
import { thisMachine } from './machine.js';
import { mixTemplates, writeMix, type Mix } from './mix.js';
import { render, type Results } from './render.js';
import { compareReaders, compareScan, compareTshark, peerVersions, type Comparison } from './scan.js';
import { consumedSum } from './stopwatch.js';

const usage = `usage: node --expose-gc dist/bench/run.js [options]
  --size MB             size of the mix (1800)
  --tshark-size MB      size of the mix that tshark reads, which takes it a minute per gigabyte (40)
  --repeat N            runs of each program; the median counts (3)
  --only PART           detectors, scan or reader
  --quick               a small mix, one run of each
  --keep                write no results file
`;

const parts = ['detectors', 'scan', 'reader'] as const;
type Part = (typeof parts)[number];

interface Plan {
  readonly sizeMegabytes: number;
  readonly tsharkMegabytes: number;
  readonly repeat: number;
  readonly rounds: number;
  readonly parts: readonly Part[];
  readonly write: boolean;
}

function planOf(argv: readonly string[]): Plan | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      size: { type: 'string' },
      'tshark-size': { type: 'string' },
      repeat: { type: 'string' },
      only: { type: 'string' },
      quick: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick } = values;
  const only = parts.find((part) => part === values.only);
  const plan = {
    sizeMegabytes: Number(values.size ?? (quick ? 60 : 1800)),
    tsharkMegabytes: Number(values['tshark-size'] ?? (quick ? 10 : 40)),
    repeat: Number(values.repeat ?? (quick ? 1 : 3)),
    rounds: quick ? 5 : 21,
    parts: only === undefined ? parts : [only],
    write: !values.keep,
  };
  const numbers = [plan.sizeMegabytes, plan.tsharkMegabytes, plan.repeat];
  const bad = numbers.some((value) => !(value > 0)) || !Number.isInteger(plan.repeat);
  return values.help || bad || (values.only !== undefined && only === undefined) ? null : plan;
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

async function runAll(plan: Plan): Promise<Results> {
  const machine = thisMachine();
  const wants = (part: Part): boolean => plan.parts.includes(part);
  let results: Results = { machine, peers: peerVersions(), comparisons: [] };
  // First, and before anything else was compiled: detectors are timed in a process that has done nothing yet.
  if (wants('detectors')) {
    note('detectors');
    results = { ...results, detectors: benchDetectors(plan.rounds) };
  }
  const mix = await buildMix('mix', plan.sizeMegabytes);
  if (wants('detectors')) {
    note('engine over the mix');
    results = { ...results, engine: { mix, report: await benchEngine(mix.path, plan.repeat) } };
  }
  globalThis.gc?.();
  const comparisons: Comparison[] = [];
  if (wants('scan')) {
    comparisons.push(await compareScan(mix, plan.repeat, note));
    const small = await buildMix('mix-small', plan.tsharkMegabytes);
    comparisons.push(await compareTshark(small, plan.repeat, note));
  }
  if (wants('reader')) comparisons.push(await compareReaders(mix, plan.repeat, note));
  return { ...results, comparisons };
}

function keep(results: Results, text: string): void {
  const { date, commit } = results.machine;
  const folder = repositoryPath('bench', 'results');
  mkdirSync(folder, { recursive: true });
  // Where the mix lay says nothing to others; its size and origin do.
  const hidePaths = (key: string, value: unknown): unknown => (key === 'path' ? undefined : value);
  writeFileSync(`${folder}/${date}-${commit}.json`, `${JSON.stringify(results, hidePaths, 2)}\n`);
  writeFileSync(`${folder}/${date}-${commit}.md`, `\`\`\`\n${text}\n\`\`\`\n`);
  note(`written to bench/results/${date}-${commit}.{json,md}`);
}

const plan = planOf(process.argv.slice(2));
if (plan === null) {
  process.stderr.write(usage);
  process.exitCode = 2;
} else {
  const results = await runAll(plan);
  const text = render(results);
  process.stdout.write(`${text}\n`);
  if (plan.write) keep(results, text);
  // Asking for the sum is what keeps the timed calls alive.
  if (Number.isNaN(consumedSum())) note('a timed function returned no number');
}
