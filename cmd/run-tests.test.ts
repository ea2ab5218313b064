/** deploy/run-tests gives the runner files: Node 22 and later take no folder, and would run anything without a name. */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test } from 'node:test';
import { repositoryPath } from '../lib/testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-run-tests-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
mkdirSync(join(folder, 'deploy'));
mkdirSync(join(folder, 'bin'));
copyFileSync(repositoryPath('deploy', 'run-tests'), join(folder, 'deploy', 'run-tests'));
// In place of node: prints what it was asked to run.
writeFileSync(join(folder, 'bin', 'node'), '#!/bin/bash\nprintf "%s\\n" "$@"\n', { mode: 0o755 });

function runTests(...words: string[]): SpawnSyncReturns<string> {
  const path = `${join(folder, 'bin')}${delimiter}${process.env['PATH'] ?? ''}`;
  return spawnSync('bash', [join(folder, 'deploy', 'run-tests'), ...words], {
    encoding: 'utf8',
    env: { ...process.env, PATH: path },
  });
}

test('without compiled tests it says so and fails', () => {
  const run = runTests();
  assert.equal(run.status, 1);
  assert.match(run.stderr, /no file \*\.test\.js below dist; compile first/);
  assert.equal(run.stdout, '');
});

test('the runner gets a list of files', () => {
  mkdirSync(join(folder, 'dist', 'b'), { recursive: true });
  for (const name of ['a.test.js', 'b/c.fuzz.test.js', 'b/d.js'])
    writeFileSync(join(folder, 'dist', name), '');
  const given = (...words: string[]): string[] =>
    runTests(...words)
      .stdout.trim()
      .split('\n')
      .filter((word) => !word.startsWith('--test'));
  assert.deepEqual(given(), ['dist/a.test.js', 'dist/b/c.fuzz.test.js']);
  assert.deepEqual(given('dist/b'), ['dist/b/c.fuzz.test.js']);
  assert.deepEqual(given('dist', '*.fuzz.test.js'), ['dist/b/c.fuzz.test.js']);
  assert.equal(runTests('dist', 'none.test.js').status, 1);
});

test('the Makefile gives the runner no folder', () => {
  assert.doesNotMatch(readFileSync(repositoryPath('Makefile'), 'utf8'), /--test\b/);
});
