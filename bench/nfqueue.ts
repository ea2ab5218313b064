/**
 * What a queue's consumer costs: small UDP packets at overload and at a rate, an idle round trip, and TCP, through a
 * router namespace. All consumers take turns in one run. Needs root, cc and iperf3.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { nativeProblem } from '../lib/native/index.js';
import { repositoryPath } from '../lib/testing.js';
import { thisMachine } from './machine.js';
import {
  BenchNetwork,
  buildPrograms,
  builtPath,
  type Consumer,
  type Figures,
  queueNumber,
} from './nfqueue-network.js';
import { median } from './stopwatch.js';

const usage = `usage: node dist/bench/nfqueue.js [options]     (root)
  --repeat N        rounds; medians count (3)
  --seconds S       length of each load (2)
  --only NAME       one consumer besides the first; may be given several times
  --with JSON       one more consumer: {"name":..., "command":..., "args":[...], "ownRules":true}
`;

const script = (name: string, ...args: string[]): Pick<Consumer, 'command' | 'args'> => ({
  command: process.execPath,
  args: [repositoryPath('dist', 'bench', `${name}.js`), String(queueNumber), ...args],
});

/** The first is what the others are compared with. */
function consumers(): Consumer[] {
  const found: Consumer[] = [
    { name: 'C accept-all', command: builtPath('accept-all'), args: [String(queueNumber)] },
    { name: 'no queue', command: null, args: [] },
    { name: 'addon', ...script('nfqueue-accept') },
    { name: 'addon+decode', ...script('nfqueue-accept', 'decode') },
  ];
  if (peerReady()) found.push({ name: 'npm nfqueue', ...script('nfqueue-peer') });
  return found;
}

function note(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

/** The peer compiles itself when it is installed; where that fails, the rest is measured without it. */
function peerReady(): boolean {
  const folder = repositoryPath('bench', 'peers');
  const built = repositoryPath(
    'bench',
    'peers',
    'node_modules',
    'nfqueue',
    'build',
    'Release',
    'nfqueue.node',
  );
  if (existsSync(built)) return true;
  note('installing the npm package nfqueue in bench/peers');
  const { stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 180_000,
  });
  if (existsSync(built)) return true;
  note(`npm nfqueue left out, it does not install here: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  return false;
}

const lossRate = 100_000;

async function measure(network: BenchNetwork, consumer: Consumer, seconds: number): Promise<Figures> {
  await network.start(consumer);
  try {
    const overload = network.generate(0, seconds, 64);
    const { lossPercent } = network.generate(lossRate, seconds, 64);
    const roundTrip = network.roundTrip(300);
    const throughput = await network.throughput(seconds);
    return { ...overload, lossPercent: lossPercent!, ...roundTrip, ...throughput };
  } finally {
    await network.stop();
  }
}

const columns: readonly { key: keyof Figures; title: string; digits: number; scale?: number }[] = [
  { key: 'perSecond', title: 'thousand/s', digits: 0, scale: 1e-3 },
  { key: 'userMicros', title: 'user µs', digits: 2 },
  { key: 'systemMicros', title: 'system µs', digits: 2 },
  { key: 'lossPercent', title: `loss % at ${lossRate / 1000}k`, digits: 2 },
  { key: 'roundTripMicros', title: 'RTT µs', digits: 0 },
  { key: 'gigabits', title: 'TCP Gbit/s', digits: 1 },
];

/** Medians, and behind those of rate, RTT and TCP how many times those of the first consumer they are. */
function table(results: ReadonlyMap<string, readonly Figures[]>): string {
  const middle = (rounds: readonly Figures[], key: keyof Figures): number =>
    median(rounds.flatMap((figures) => figures[key] ?? []));
  const [first] = results.values();
  const width = 20;
  const lines = [''.padEnd(width) + columns.map(({ title }) => title.padStart(width)).join('')];
  for (const [name, rounds] of results) {
    const cells = columns.map(({ key, digits, scale = 1 }) => {
      const value = middle(rounds, key);
      if (Number.isNaN(value)) return '-';
      const compared = key === 'perSecond' || key === 'roundTripMicros' || key === 'gigabits';
      const ratio = compared ? ` (${(value / middle(first!, key)).toFixed(2)})` : '';
      return `${(value * scale).toFixed(digits)}${ratio}`;
    });
    lines.push(name.padEnd(width) + cells.map((cell) => cell.padStart(width)).join(''));
  }
  return lines.join('\n');
}

async function run(list: readonly Consumer[], repeat: number, seconds: number): Promise<string> {
  const results = new Map<string, Figures[]>(list.map(({ name }) => [name, []]));
  const network = new BenchNetwork();
  const interrupted = (): void => {
    network.remove();
    process.exit(130);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  try {
    for (let round = 0; round < repeat; round++) {
      for (const consumer of list) {
        try {
          const figures = await measure(network, consumer, seconds);
          results.get(consumer.name)!.push(figures);
          note(`${consumer.name}: ${JSON.stringify(figures)}`);
        } catch (error) {
          note(`${consumer.name} left out in round ${round + 1}: ${String(error)}`);
        }
      }
    }
  } finally {
    network.remove();
  }
  return table(results);
}

const { values } = parseArgs({
  options: {
    repeat: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', multiple: true },
    with: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', default: false },
  },
});
const problem = nativeProblem() ?? (process.getuid?.() === 0 ? null : 'the queue benchmark needs root');
if (values.help || problem !== null) {
  process.stderr.write(problem === null ? usage : `bench: ${problem}\n`);
  process.exitCode = values.help ? 0 : 1;
} else {
  buildPrograms();
  const extra = values.with.map((text) => JSON.parse(text) as Consumer);
  const all = [...consumers(), ...extra];
  const list = all.filter(
    ({ name }, i) => i === 0 || values.only === undefined || values.only.includes(name),
  );
  const { cpu, cores, kernel, node, date, commit, loadBefore } = thisMachine();
  const text = await run(list, Number(values.repeat), Number(values.seconds));
  process.stdout.write(
    `${date} ${commit}, ${cpu}, ${cores} cores, ${kernel}, Node ${node}, load ${loadBefore}\n`,
  );
  process.stdout.write(`Small UDP packets at overload; in brackets: times "${list[0]!.name}"\n${text}\n`);
}
