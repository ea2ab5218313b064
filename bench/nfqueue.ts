/**
 * What the inline filter costs beside the least that any filter costs: small UDP packets at overload and at a rate,
 * round trips, TCP, and memory, through a router between two network namespaces. All consumers take turns in one run.
 * Needs root, cc, iptables, ethtool and iperf3. See README.md beside this file.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { nativeProblem } from '../lib/native/index.js';
import { repositoryPath } from '../lib/testing.js';
import { thisMachine } from './machine.js';
import { consumers, type Consumer, names, swarmgate } from './nfqueue-consumers.js';
import { measure, measureMemory, measureTcp } from './nfqueue-loads.js';
import { BenchNetwork, buildPrograms } from './nfqueue-network.js';
import { note } from './nfqueue-note.js';
import { type Figures, type MemoryFigures, type QueueResults, render } from './nfqueue-report.js';

const usage = `usage: node dist/bench/nfqueue.js [options]     (root)
  --repeat N        rounds; medians count (3)
  --seconds S       length of each load (2)
  --only NAME       only this consumer; may be given several times: ${Object.values(names).join('; ')}
  --quick           one round of one second: does it still run?
  --save            write the result to bench/results
`;

interface Plan {
  readonly repeat: number;
  readonly seconds: number;
  readonly only: readonly string[] | null;
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
  const known: readonly string[] = Object.values(names);
  const bad = !Number.isInteger(repeat) || repeat < 1 || !(seconds > 0);
  if (values.help || bad || only?.some((name) => !known.includes(name)) === true) return null;
  return { repeat, seconds, only: only ?? null, save };
}

async function attempt<Result>(what: string, work: () => Promise<Result>): Promise<Result | null> {
  try {
    const result = await work();
    note(`${what}: ${JSON.stringify(result, (_, value: unknown) => shortened(value))}`);
    return result;
  } catch (error) {
    note(`${what} left out: ${String(error)}`);
    return null;
  }
}

function shortened(value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(6)) : value;
}

/** What an instance keeps while it runs: `INSTANCE.NAMESPACE.pid`. */
function runFiles(instance: string): string[] {
  const folder = join('/run', 'swarmgate');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.startsWith(`${instance}.`))
    .map((name) => join(folder, name));
}

/** The namespaces, programs and files of a run are gone when it ends, however it ends. */
async function withNetwork<Result>(
  work: (network: BenchNetwork, inline: Consumer[]) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-queue-'));
  const socket = join(folder, 'control.sock');
  const instance = `bench${process.pid}`;
  let network: BenchNetwork | null = null;
  const clean = (): void => {
    network?.remove();
    // A filter that had to be killed leaves its lock.
    for (const path of runFiles(instance)) rmSync(path, { force: true });
    rmSync(folder, { recursive: true, force: true });
  };
  const interrupted = (): void => {
    clean();
    process.exit(130);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    network = new BenchNetwork(socket);
    return await work(network, [
      swarmgate(instance, socket, '--workers', '1'),
      // As many workers as by default, for memory.
      swarmgate(instance, socket),
    ]);
  } finally {
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
    clean();
  }
}

async function run({ repeat, seconds, only }: Plan): Promise<QueueResults> {
  const machine = thisMachine();
  return withNetwork(async (network, [single, whole]) => {
    const list = consumers(single!).filter(({ name }) => only === null || only.includes(name));
    const rounds = new Map<string, (Figures | null)[]>(list.map(({ name }) => [name, []]));
    const turns = async (count: number, load: typeof measure, wanted: (consumer: Consumer) => boolean) => {
      for (let round = 1; round <= count; round++) {
        for (const consumer of list.filter(wanted)) {
          const what = `${consumer.name}, round ${round}`;
          rounds.get(consumer.name)!.push(await attempt(what, () => load(network, consumer, seconds)));
        }
      }
    };
    await turns(repeat, measure, ({ loads }) => loads.some((load) => load !== 'tcp'));
    // Transfers vary most: more of them, in rounds of their own.
    const tcpRounds = repeat === 1 ? 1 : repeat + 2;
    for (const { name } of list) {
      const all = rounds.get(name)!;
      while (all.length < repeat) all.push(null);
    }
    await turns(tcpRounds, measureTcp, ({ loads }) => loads.includes('tcp'));
    let memory: MemoryFigures | null = null;
    if (only === null || only.includes(names.swarmgate))
      memory = await attempt('memory', () => measureMemory(network, whole!));
    return { machine, rounds, memory };
  });
}

function save(results: QueueResults, text: string): void {
  const { date, commit } = results.machine;
  const path = repositoryPath('bench', 'results', `${date}-${commit}-queue.md`);
  writeFileSync(path, `\`\`\`\n${text}\`\`\`\n`);
  note(`written to ${path}`);
}

const plan = planOf(process.argv.slice(2));
const problem = nativeProblem() ?? (process.getuid?.() === 0 ? null : 'the queue benchmark needs root');
if (plan === null) {
  process.stderr.write(usage);
  process.exitCode = 1;
} else if (problem !== null) {
  note(problem);
  process.exitCode = 1;
} else {
  buildPrograms();
  const results = await run(plan);
  const text = render(results);
  process.stdout.write(text);
  if (plan.save) save(results, text);
}
