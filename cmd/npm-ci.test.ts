/** deploy/npm-ci tells node-gyp where Node's headers are, and only headers of this very version. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { repositoryPath } from '../lib/testing.js';

const [major = '', minor = '', patch = ''] = process.versions.node.split('.');

/** A tree with the script, a Node that says it lives there, and an npm that says what it was told. */
class Tree {
  readonly root = mkdtempSync(join(tmpdir(), 'swarmgate-npm-'));

  constructor(npmVersion: string, status = 0) {
    mkdirSync(join(this.root, 'bin'));
    mkdirSync(join(this.root, 'deploy'));
    cpSync(repositoryPath('deploy', 'npm-ci'), join(this.root, 'deploy/npm-ci'));
    const prefix = resolve(realpathSync(process.execPath), '../..');
    this.#program('node', `"${process.execPath}" "$@" | sed "s|^${prefix}\\$|${this.root}|"`);
    this.#program(
      'npm',
      `[ "$1" = --version ] && { echo ${npmVersion}; exit; }
echo "$@: \${npm_package_config_node_gyp_nodedir-none} \${npm_config_nodedir-none}"
exit ${status}`,
    );
  }

  #program(name: string, text: string): void {
    const path = join(this.root, 'bin', name);
    writeFileSync(path, `#!/bin/bash\n${text}\n`);
    chmodSync(path, 0o755);
  }

  headers(...version: readonly string[]): void {
    mkdirSync(join(this.root, 'include/node'), { recursive: true });
    const lines = ['MAJOR', 'MINOR', 'PATCH'].map(
      (part, i) => `#define NODE_${part}_VERSION ${version[i]!}\n`,
    );
    writeFileSync(join(this.root, 'include/node/node_version.h'), lines.join(''));
  }

  run(): { status: number | null; told: string; stderr: string } {
    const env = { PATH: `${join(this.root, 'bin')}:${process.env['PATH']!}` };
    const script = join(this.root, 'deploy/npm-ci');
    const { status, stdout, stderr } = spawnSync(script, ['--no-fund'], { env, encoding: 'utf8' });
    return { status, told: stdout.trim().replaceAll(this.root, 'HERE'), stderr };
  }
}

function told(npmVersion: string, version: readonly string[]): string {
  const tree = new Tree(npmVersion);
  try {
    if (version.length > 0) tree.headers(...version);
    return tree.run().told;
  } finally {
    rmSync(tree.root, { recursive: true });
  }
}

test('headers beside Node are used, under the name that this npm knows', () => {
  assert.equal(told('11.4.2', [major, minor, patch]), 'ci --no-fund: HERE none');
  assert.equal(told('10.8.3', [major, minor, patch]), 'ci --no-fund: HERE HERE');
});

test('no headers, and those of another version, are not used', () => {
  assert.equal(told('11.4.2', []), 'ci --no-fund: none none');
  assert.equal(told('11.4.2', [major, minor, `${patch}1`]), 'ci --no-fund: none none');
});

test('cap left out is said; what npm cannot do is an error', () => {
  for (const status of [0, 7]) {
    const tree = new Tree('11.4.2', status);
    try {
      const run = tree.run();
      assert.equal(run.status, status);
      if (status === 0) assert.match(run.stderr, /cap is left out.*libpcap-dev.*deploy\/npm-ci$/m);
    } finally {
      rmSync(tree.root, { recursive: true });
    }
  }
});
