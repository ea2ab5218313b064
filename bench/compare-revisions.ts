/**
 * Two revisions measured in turns within one run. Each is checked out into a worktree of its own below the folder for
 * temporary files, gets its packages, is built, and runs its own benchmarks over the same mix. All of it is gone at the end,
 * however that comes.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryPath, repositoryRoot } from '../lib/testing.js';
import { mixTemplates, writeMix } from './mix.js';
import { parts } from './parts.js';
import { medianOf, parseResult, type PartName, type Result } from './result.js';

export interface RevisionPlan {
  readonly parts: readonly PartName[];
  readonly repeat: number;
  readonly quick: boolean;
  readonly megabytes: number;
}

interface Revision {
  /** As the user named it. */
  readonly name: string;
  readonly commit: string;
  readonly folder: string;
}

function note(text: string): void {
  process.stderr.write(`compare: ${text}\n`);
}

function git(...argv: string[]): { ok: boolean; text: string } {
  const { status, stdout, stderr } = spawnSync('git', argv, { cwd: repositoryRoot(), encoding: 'utf8' });
  return { ok: status === 0, text: (status === 0 ? stdout : stderr).trim() };
}

/** The commit that a name stands for. @throws Error with a sentence if there is none, or none that can be compared */
export function commitOf(name: string): string {
  const { ok, text } = git('rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`);
  if (!ok)
    throw new Error(`there is no revision "${name}" in this repository; git log --oneline --all lists them`);
  if (!git('cat-file', '-e', `${text}:bench/result.ts`).ok)
    throw new Error(
      `the benchmarks of "${name}" write results without figures, so that there is nothing to compare; choose a later revision`,
    );
  return text;
}

/** The worktrees and the program that is running; everything can be ended and removed at any moment. */
class Workshop {
  readonly folder = mkdtempSync(join(tmpdir(), 'swarmgate-compare-'));
  #worktrees: string[] = [];
  #child: ChildProcess | null = null;
  readonly #interrupted = (): void => {
    note('interrupted, removing the worktrees');
    const child = this.#child;
    const leave = (): void => {
      this.remove();
      process.exit(130);
    };
    if (child === null) leave();
    // It removes its own namespaces first.
    child?.once('close', leave).kill('SIGTERM');
  };

  constructor() {
    process.on('SIGINT', this.#interrupted).on('SIGTERM', this.#interrupted);
  }

  remove(): void {
    process.off('SIGINT', this.#interrupted).off('SIGTERM', this.#interrupted);
    for (const path of this.#worktrees) git('worktree', 'remove', '--force', path);
    this.#worktrees = [];
    rmSync(this.folder, { recursive: true, force: true });
    git('worktree', 'prune');
  }

  checkOut(revision: Revision): void {
    this.#worktrees.push(revision.folder);
    const { ok, text } = git('worktree', 'add', '--detach', '--quiet', revision.folder, revision.commit);
    if (!ok) throw new Error(`git worktree add of ${revision.name} failed: ${text}`);
  }

  /** Runs a program to its end. @throws Error with its last words */
  async run(cwd: string, command: string, argv: readonly string[]): Promise<void> {
    const child = spawn(command, argv, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = `${said}${text}`.slice(-4000)));
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve);
    });
    this.#child = null;
    if (status !== 0)
      throw new Error(`${command} ${argv.join(' ')} failed: ${said.trim().split('\n').slice(-3).join(' ')}`);
  }
}

/** Packages of this checkout serve where the revision wants the same; otherwise they are installed. */
async function install(shop: Workshop, { folder }: Revision): Promise<void> {
  const lock = (root: string): string => readFileSync(join(root, 'package-lock.json'), 'utf8');
  const here = repositoryPath('node_modules');
  if (existsSync(here) && lock(folder) === lock(repositoryRoot()))
    cpSync(here, join(folder, 'node_modules'), { recursive: true, verbatimSymlinks: true });
  else await shop.run(folder, 'npm', ['ci', '--no-audit', '--no-fund']);
}

async function build(shop: Workshop, revision: Revision): Promise<void> {
  const { folder, name } = revision;
  note(`${name}: installing and building`);
  shop.checkOut(revision);
  await install(shop, revision);
  await shop.run(folder, process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json']);
  // Revisions before there was a bundle are measured by their modules.
  const bundle = join(folder, 'deploy', 'bundle.js');
  if (existsSync(bundle)) await shop.run(folder, process.execPath, [bundle]);
  await shop.run(folder, join(folder, 'deploy', 'build-native'), []);
}

/** A mix that both revisions are given, so that they read the same bytes. */
async function sharedMix(shop: Workshop, { parts: wanted, megabytes }: RevisionPlan): Promise<string | null> {
  if (!wanted.some((part) => parts[part].needs.includes('mix'))) return null;
  note(`building a mix of ${megabytes} MB`);
  const { templates, origin } = await mixTemplates();
  const path = join(shop.folder, 'mix.pcap');
  const mix = writeMix(templates, origin, { path, sizeBytes: megabytes * 1e6 });
  writeFileSync(`${path}.json`, JSON.stringify(mix));
  return path;
}

async function measure(
  shop: Workshop,
  revision: Revision,
  plan: RevisionPlan,
  mix: string | null,
): Promise<Result> {
  const output = join(shop.folder, 'result.json');
  const argv = [
    ...['--expose-gc', 'dist/bench/run.js', '--repeat', '1', '--json', output],
    ...plan.parts.flatMap((part) => ['--only', part]),
    ...(plan.quick ? ['--quick'] : []),
    ...(mix === null ? [] : ['--mix', mix]),
  ];
  await shop.run(revision.folder, process.execPath, argv);
  const result = parseResult(readFileSync(output, 'utf8'), revision.name);
  // What changed in the worktree is only what was built.
  return { ...result, machine: { ...result.machine, commit: revision.name } };
}

/** Both revisions, each as the median of its turns. @throws Error with a sentence */
export async function measureRevisions(
  names: readonly [string, string],
  plan: RevisionPlan,
): Promise<[Result, Result]> {
  const commits = names.map(commitOf);
  const shop = new Workshop();
  try {
    const revisions = names.map((name, index): Revision => ({
      name,
      commit: commits[index]!,
      folder: join(shop.folder, index === 0 ? 'a' : 'b'),
    }));
    for (const revision of revisions) await build(shop, revision);
    const mix = await sharedMix(shop, plan);
    const results: Result[][] = [[], []];
    for (let turn = 0; turn < plan.repeat; turn++) {
      // Who begins takes turns too.
      for (const index of turn % 2 === 0 ? [0, 1] : [1, 0]) {
        note(`turn ${turn + 1} of ${plan.repeat}: ${names[index]!}`);
        results[index]!.push(await measure(shop, revisions[index]!, plan, mix));
      }
    }
    return [medianOf(results[0]!), medianOf(results[1]!)];
  } finally {
    shop.remove();
  }
}
