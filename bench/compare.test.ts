/** The command itself: what it refuses, and that it leaves nothing behind. Measuring two revisions takes minutes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { repositoryPath, repositoryRoot } from '../lib/testing.js';
import { less } from './result.js';
import { resultOf } from './testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-test-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function compare(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(repositoryPath('bench', 'compare'), argv, { encoding: 'utf8' });
}

function resultFile(name: string, ns: number): string {
  const path = join(folder, `${name}.json`);
  writeFileSync(path, JSON.stringify(resultOf(name, { decode: [less('decode', ns, 'ns')] })));
  return path;
}

function worktrees(): string {
  return spawnSync('git', ['worktree', 'list'], { cwd: repositoryRoot(), encoding: 'utf8' }).stdout;
}

test('two results are set side by side, on the screen and in a file', () => {
  const output = join(folder, 'compared.md');
  const { status, stdout } = compare(resultFile('one', 30), resultFile('two', 20), '--output', output);
  assert.equal(status, 0);
  assert.match(stdout, /^\| decode: decode \| +ns \| +30 \| +20 \| +1\.50 \|$/m);
  assert.equal(readFileSync(output, 'utf8'), stdout);
});

test('a file that is not there, or no result, is an error with a sentence', () => {
  const missing = compare(join(folder, 'nothing.json'), resultFile('one', 1));
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /^compare: ENOENT.*nothing\.json/);
  const old = compare(repositoryPath('bench', 'results', '2026-11-20-b57eac4.json'), resultFile('one', 1));
  assert.equal(old.status, 1);
  assert.match(old.stderr, /format 1, and only format 2 has figures/);
});

test('a wrong command line is answered with how it is used', () => {
  for (const argv of [
    [],
    ['one'],
    ['a', 'b', 'c'],
    ['a', 'b', '--repeat', '0'],
    ['a', 'b', '--only', 'x'],
    ['--y'],
  ]) {
    const { status, stderr } = compare(...argv);
    assert.equal(status, 2, argv.join(' '));
    assert.match(stderr, /usage: bench\/compare/);
  }
});

test('an unknown revision is refused before anything is checked out', (t) => {
  if (worktrees() === '') {
    t.skip('not a git checkout');
    return;
  }
  const before = worktrees();
  for (const name of ['no-such-revision', '--help', 'HEAD^{tree}']) {
    const { status, stderr } = compare('--revisions', '--', name, 'HEAD');
    assert.equal(status, 1, name);
    assert.ok(stderr.includes(`there is no revision "${name}"`), stderr);
  }
  assert.equal(worktrees(), before);
});
