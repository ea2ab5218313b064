/**
 * The Go blocker's detectors, timed by a harness of ours (peers/go). Its source is nowhere in this project: GO_BLOCKER
 * names a checkout of it, of which the files below are copied beside the harness for the time of the run. They need
 * nothing but Go's standard library; gopacket and the rest of that program are not built.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryPath } from '../lib/testing.js';
import { payloadLines, type AnalysedPayload } from './analysis-payloads.js';

const analyserFiles = ['analyzer.go', 'config.go', 'detectors.go', 'signatures.go'];
const buildMillis = 120_000;
const runMillis = 120_000;

export interface GoTime {
  readonly ns: number;
  /** It said that this payload is BitTorrent. */
  readonly blocks: boolean;
}

export interface GoBlocker {
  readonly version: string;
  /** One turn of all payloads; by their names. */
  time(samples: number): Map<string, GoTime>;
  /** Removes what was built. */
  remove(): void;
}

/** Builds the harness, or says in a sentence why it cannot. */
export function buildGoBlocker(payloads: readonly AnalysedPayload[]): GoBlocker | string {
  const source = process.env['GO_BLOCKER'] ?? '';
  if (source === '') return 'GO_BLOCKER names no checkout of the Go blocker';
  const missing = analyserFiles.filter((name) => !existsSync(join(source, 'internal', 'blocker', name)));
  if (missing.length > 0)
    return `${missing.join(', ')} not found in internal/blocker of the checkout that GO_BLOCKER names`;
  const { error, stdout } = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' });
  if (error !== undefined) return 'Go is not installed (Debian: golang-go)';
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-go-'));
  const remove = (): void => {
    rmSync(folder, { recursive: true, force: true });
  };
  const problem = build(folder, source);
  if (problem !== null) {
    remove();
    return `${stdout.trim()} does not build it: ${problem}`;
  }
  const list = join(folder, 'payloads');
  writeFileSync(list, payloadLines(payloads));
  return {
    version: `${stdout.trim()}, source ${commitOf(source)}`,
    time: (samples) => run(join(folder, 'harness'), list, samples),
    remove,
  };
}

/** The last words of the compiler, or null. */
function build(folder: string, source: string): string | null {
  const beside = join(folder, 'blocker');
  mkdirSync(beside);
  for (const name of analyserFiles)
    copyFileSync(join(source, 'internal', 'blocker', name), join(beside, name));
  copyFileSync(repositoryPath('bench', 'peers', 'go', 'main.go'), join(folder, 'main.go'));
  writeFileSync(join(folder, 'go.mod'), `module swarmgate-bench\n\n${languageOf(source)}\n`);
  const { status, stderr } = spawnSync('go', ['build', '-o', 'harness', '.'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: buildMillis,
    // Nothing is fetched: neither modules nor another compiler.
    env: {
      ...process.env,
      GOTOOLCHAIN: 'local',
      GOPROXY: 'off',
      GOFLAGS: '',
      GOCACHE: join(folder, 'cache'),
    },
  });
  return status === 0 ? null : stderr.trim().split('\n').slice(-2).join(' ');
}

/** The language that the source is written in, so that it means here what it means there. */
function languageOf(source: string): string {
  const file = join(source, 'go.mod');
  const found = existsSync(file) ? /^go [\d.]+$/m.exec(readFileSync(file, 'utf8')) : null;
  return found?.[0] ?? '';
}

function commitOf(source: string): string {
  const { status, stdout } = spawnSync('git', ['-C', source, 'rev-parse', '--short', 'HEAD'], {
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : 'of unknown commit';
}

function run(harness: string, list: string, samples: number): Map<string, GoTime> {
  const { status, stdout, stderr } = spawnSync(harness, [list, String(samples)], {
    encoding: 'utf8',
    timeout: runMillis,
  });
  if (status !== 0) throw new Error(`the harness of the Go blocker failed: ${stderr.trim()}`);
  return new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => {
        const [name, ns, answer] = line.split('\t');
        return [name!, { ns: Number(ns), blocks: Number(answer) > 0 }] as const;
      }),
  );
}
