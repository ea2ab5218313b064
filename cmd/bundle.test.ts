/** What deploy/bundle.js makes of the compiled modules, with rolldown and without. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryPath } from '../lib/testing.js';

const entries = ['swarmgate', 'worker', 'scan-worker', 'capture-thread', 'cap-child'];

test('whatever is started by its name is there', () => {
  const folder = repositoryPath('dist', 'program');
  const files = readdirSync(folder);
  for (const entry of entries) {
    assert.ok(files.includes(`${entry}.js`), entry);
    const run = spawnSync(process.execPath, ['--check', join(folder, `${entry}.js`)], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
  }
});

test('without rolldown the program runs from its modules, and that is said', (t) => {
  // A folder of its own, above which npm has put nothing.
  const root = mkdtempSync(join(tmpdir(), 'swarmgate-bundle-'));
  t.after(() => {
    rmSync(root, { recursive: true });
  });
  for (const folder of ['deploy', 'dist/cmd', 'dist/program'])
    mkdirSync(join(root, folder), { recursive: true });
  copyFileSync(repositoryPath('deploy', 'bundle.js'), join(root, 'deploy', 'bundle.js'));
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(root, 'dist/cmd/swarmgate.js'),
    "process.stdout.write(new URL('.', import.meta.url).pathname)",
  );
  writeFileSync(join(root, 'dist/program/part-old.js'), '');
  const made = spawnSync(process.execPath, [join(root, 'deploy/bundle.js')], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  assert.match(
    made.stderr,
    /^bundle: rolldown does not run here \(.*\); the program runs from its modules, slower\n$/,
  );
  assert.ok(!existsSync(join(root, 'dist/program/part-old.js')), 'what an earlier bundle left is gone');
  const run = spawnSync(process.execPath, [join(root, 'dist/program/swarmgate.js')], { encoding: 'utf8' });
  assert.match(run.stdout, /\/dist\/cmd\/$/);
});

test('nothing compiled is refused', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'swarmgate-bundle-'));
  t.after(() => {
    rmSync(root, { recursive: true });
  });
  mkdirSync(join(root, 'deploy'));
  copyFileSync(repositoryPath('deploy', 'bundle.js'), join(root, 'deploy', 'bundle.js'));
  writeFileSync(join(root, 'package.json'), '{ "type": "module" }');
  const made = spawnSync(process.execPath, [join(root, 'deploy/bundle.js')], { encoding: 'utf8' });
  assert.deepEqual([made.status, made.stderr], [1, 'bundle: nothing is compiled; run make build\n']);
});
