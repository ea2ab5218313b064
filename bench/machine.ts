/** Names the machine, the commit and the day, without which a figure says nothing. */
import { spawnSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem, type } from 'node:os';
import { repositoryRoot } from '../lib/testing.js';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly v8: string;
  readonly date: string;
  readonly commit: string;
  /** Load average of the last minute when the run began: what else the machine was doing. */
  readonly loadBefore: number;
  /** The same when it ended. */
  readonly loadAfter?: number;
}

function git(...argv: string[]): string | null {
  const { status, stdout } = spawnSync('git', argv, { cwd: repositoryRoot(), encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

/** Short commit, `-changed` behind it when the working tree differs, or `no-git`. */
function commitName(): string {
  const commit = git('rev-parse', '--short', 'HEAD');
  if (commit === null) return 'no-git';
  return git('status', '--porcelain') === '' ? commit : `${commit}-changed`;
}

export function thisMachine(): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    v8: process.versions.v8,
    date: new Date().toISOString().slice(0, 10),
    commit: commitName(),
    loadBefore: loadavg()[0] ?? 0,
  };
}
