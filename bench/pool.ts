/**
 * The scan of many files by one thread beside two, as many as cores, and twice as many, taking turns in one run. Alone:
 * node dist/bench/pool.js [--megabytes MB] [--files N] [--links N] [--repeat N] [--folder CAPTURES]
 */
import { existsSync, linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { repositoryPath } from '../lib/testing.js';
import { mixTemplates, writeMix } from './mix.js';
import { measureAll, type Measured, type Program } from './program.js';

export interface PoolOptions {
  /** Mixes in the large folder, and the size of each. */
  readonly files: number;
  readonly megabytes: number;
  /** Names of each mix in a third folder, the archive: so many times the work, and no more room on the disk. */
  readonly links: number;
  readonly repeat: number;
  /** Captures to scan instead of mixes. */
  readonly folder?: string;
}

/** One folder of captures in one format, by several numbers of threads; the first is one thread. */
export interface PoolComparison {
  readonly title: string;
  readonly threads: readonly number[];
  readonly measured: readonly Measured[];
}

type Note = (text: string) => void;

const swarmgate = fileURLToPath(new URL('../program/swarmgate.js', import.meta.url));

/** A folder of mixes of different seeds; those that are there from an earlier run are taken as they are. */
async function mixFolder({ files, megabytes }: PoolOptions, note: Note): Promise<string> {
  const folder = repositoryPath('bench', 'data', `pool-${files}x${megabytes}`);
  mkdirSync(folder, { recursive: true });
  const { templates, origin } = await mixTemplates();
  for (let seed = 1; seed <= files; seed++) {
    const path = join(folder, `${seed}.pcap`);
    if (existsSync(path)) continue;
    note(`building mix ${seed} of ${files}, ${megabytes} MB`);
    writeMix(templates, origin, { path, sizeBytes: megabytes * 1e6, seed });
  }
  return folder;
}

/** The files of `folder`, each under `links` names. */
function archiveOf(folder: string, links: number): string {
  const archive = `${folder}-${links}`;
  rmSync(archive, { recursive: true, force: true });
  mkdirSync(archive);
  for (const name of readdirSync(folder))
    for (let link = 1; link <= links; link++) linkSync(join(folder, name), join(archive, `${link}-${name}`));
  return archive;
}

async function compare(
  title: string,
  folder: string,
  format: string,
  repeat: number,
  note: Note,
): Promise<PoolComparison> {
  const cores = availableParallelism();
  const threads = [...new Set([1, 2, cores, 2 * cores])];
  const programs = threads.map((count): Program => {
    const words = ['scan', '--workers', String(count), '--format', format, folder] as const;
    return { name: `${title}, ${count}`, command: [process.execPath, swarmgate, ...words] };
  });
  return { title, threads, measured: await measureAll(programs, repeat, note) };
}

/**
 * The table over an archive; table and JSON lines over the folder of mixes that it is made of, in which compiling is a large
 * part of the work; the table over the many small files of the fixtures.
 */
export async function benchPool(options: PoolOptions, note: Note): Promise<PoolComparison[]> {
  const large = options.folder ?? (await mixFolder(options, note));
  const count = readdirSync(large).length;
  const name = `${count} files`;
  const small = repositoryPath('fixtures', 'captures');
  // Beside a folder of somebody else nothing is made, and nothing removed.
  const archives =
    options.folder === undefined
      ? [
          await compare(
            `${count * options.links} files, table`,
            archiveOf(large, options.links),
            'table',
            options.repeat,
            note,
          ),
        ]
      : [];
  return [
    ...archives,
    await compare(`${name}, table`, large, 'table', options.repeat, note),
    await compare(`${name}, jsonl`, large, 'jsonl', options.repeat, note),
    await compare('fixtures/captures, table', small, 'table', options.repeat, note),
  ];
}

/** Times as fast as one thread, by medians. */
export function speedUps({ measured }: PoolComparison): number[] {
  return measured.map(({ wallSeconds }) => measured[0]!.wallSeconds / wallSeconds);
}

export function renderPool(comparisons: readonly PoolComparison[]): string {
  const lines = comparisons.flatMap((comparison) => {
    const ratios = speedUps(comparison);
    return [
      comparison.title,
      ...comparison.measured.map((run, i) => {
        const { wallSeconds, fastestSeconds, slowestSeconds, cpuSeconds, peakBytes, failure } = run;
        if (failure !== null) return `  ${comparison.threads[i]!} threads: ${failure}`;
        const range = `${fastestSeconds.toFixed(2)} to ${slowestSeconds.toFixed(2)}`;
        const cost = `processor ${cpuSeconds.toFixed(2)} s, peak ${Math.round(peakBytes / 1e6)} MB`;
        return `  ${comparison.threads[i]!} threads: ${wallSeconds.toFixed(2)} s (${range}), ${cost}, ${ratios[i]!.toFixed(2)} times as fast as one`;
      }),
    ];
  });
  return lines.join('\n');
}

function numbers<Key extends string>(texts: Readonly<Record<Key, string>>): Record<Key, number> {
  return Object.fromEntries(Object.entries(texts).map(([key, text]) => [key, Number(text)])) as Record<
    Key,
    number
  >;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      files: { type: 'string', default: '8' },
      megabytes: { type: 'string', default: '150' },
      links: { type: 'string', default: '8' },
      repeat: { type: 'string', default: '5' },
      folder: { type: 'string' },
    },
  });
  const { files, megabytes, links, repeat } = values;
  const folder = values.folder === undefined ? {} : { folder: values.folder };
  const comparisons = await benchPool(
    { ...numbers({ files, megabytes, links, repeat }), ...folder },
    (text) => {
      process.stderr.write(`bench: ${text}\n`);
    },
  );
  process.stdout.write(`${renderPool(comparisons)}\n`);
}
