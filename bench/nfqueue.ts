/**
 * What the inline filter costs beside the least that any filter costs: small UDP packets at overload and at a rate,
 * round trips, TCP, and memory, through a router between two network namespaces. All consumers take turns in one run.
 * Needs root, cc, iptables, ethtool and iperf3. See README.md beside this file.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { repositoryPath } from '../lib/testing.js';
import { renderResult } from './markdown.js';
import { names, workerCounts, workersName } from './nfqueue-consumers.js';
import { note } from './nfqueue-note.js';
import { queueOutcome, type QueueResults } from './nfqueue-report.js';
import { benchQueue, queueProblem, type QueuePlan } from './nfqueue-run.js';
import { peerVersions } from './peer-versions.js';
import { resultFormat } from './result.js';

const known: readonly string[] = [...Object.values(names), ...workerCounts(cpus().length).map(workersName)];

const usage = `usage: node dist/bench/nfqueue.js [options]     (root)
  --repeat N        rounds; medians count (3)
  --seconds S       length of each load (2)
  --only NAME       only this consumer; may be given several times: ${known.join('; ')}
  --quick           one round of one second: does it still run?
  --save            write the result to bench/results
`;

interface Plan extends QueuePlan {
  readonly save: boolean;
}

function planOf(argv: readonly string[]): Plan | null {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      repeat: { type: 'string' },
      seconds: { type: 'string' },
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      save: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const { quick, save, only } = values;
  const repeat = Number(values.repeat ?? (quick ? 1 : 3));
  const seconds = Number(values.seconds ?? (quick ? 1 : 2));
  const bad = !Number.isInteger(repeat) || repeat < 1 || !(seconds > 0);
  if (values.help || bad || only?.some((name) => !known.includes(name)) === true) return null;
  return { repeat, seconds, only: only ?? null, save };
}

function textOf(results: QueueResults, seconds: number): string {
  return renderResult({
    format: resultFormat,
    machine: results.machine,
    peers: peerVersions(),
    options: {},
    parts: [{ part: 'inline', seconds, problem: null, ...queueOutcome(results) }],
  });
}

function save({ machine }: QueueResults, text: string): void {
  const path = repositoryPath('bench', 'results', `${machine.date}-${machine.commit}-queue.md`);
  writeFileSync(path, text);
  note(`written to ${path}`);
}

const plan = planOf(process.argv.slice(2));
const problem = queueProblem();
if (plan === null) {
  process.stderr.write(usage);
  process.exitCode = 1;
} else if (problem !== null) {
  note(`the queue benchmark cannot run here: ${problem}`);
  process.exitCode = 1;
} else {
  const begin = performance.now();
  const results = await benchQueue(plan);
  const text = textOf(results, (performance.now() - begin) / 1000);
  process.stdout.write(text);
  if (plan.save) save(results, text);
}
