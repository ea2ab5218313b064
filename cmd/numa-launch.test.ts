/**
 * The launch script with a program that only plays an instance, so that no rule of this machine is touched. What real
 * instances do under it is in e2e/instances.test.ts.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
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
import { describe, test, type TestContext } from 'node:test';
import { thisMachine } from '../lib/numa/workers.js';
import { program, repositoryPath } from '../lib/testing.js';

const skip = process.getuid?.() !== 0 && 'launch.sh start needs root';

/** Checks as the real one; "# busy" in its configuration: another process has the name. */
const player = `const { appendFileSync, readFileSync } = require('node:fs');
const words = process.argv.slice(2);
const after = (name) => words[words.indexOf(name) + 1];
appendFileSync(process.env.CALLS, words.join(' ') + '\\n');
if (words[0] === 'check')
  process.exitCode = require('node:child_process').spawnSync(process.execPath, [${JSON.stringify(program)}, ...words], { stdio: 'inherit' }).status;
if (words[0] === 'run') {
  const text = readFileSync(after('--config'), 'utf8');
  if (text.includes('# busy')) {
    console.error('swarmgate: error: runs already [instance-busy]');
    process.exit(69);
  }
  setTimeout(() => process.exit(), 60_000);
  process.on('SIGTERM', () => process.exit());
  if (!text.includes('warn') || words.includes('--log-level=info')) console.error('info: ready');
}`;

class Stage {
  readonly root = mkdtempSync(join(tmpdir(), 'swarmgate launch-'));

  /** @param files configurations by the name of their instance, all of them planned */
  constructor(t: TestContext, files: Readonly<Record<string, string>>) {
    for (const folder of ['deploy/numa', 'dist/program', 'etc'])
      mkdirSync(this.path(folder), { recursive: true });
    copyFileSync(repositoryPath('deploy', 'numa', 'launch.sh'), this.path('deploy/numa/launch.sh'));
    chmodSync(this.path('deploy/numa/launch.sh'), 0o755);
    writeFileSync(this.path('dist/program/swarmgate.js'), player);
    for (const [name, text] of Object.entries(files)) writeFileSync(this.path(`etc/${name}.yaml`), text);
    this.plan(...Object.keys(files));
    t.after(() => {
      this.launch('stop');
      rmSync(this.root, { recursive: true });
    });
  }

  path(name: string): string {
    return join(this.root, name);
  }

  plan(...names: readonly string[]): void {
    const processor = [...thisMachine().permitted][0]!;
    writeFileSync(this.path('etc/instances'), names.map((name) => `${name} ${processor} -\n`).join(''));
  }

  readonly env = {
    ...process.env,
    ...{ SWARMGATE_CONFIGURATION: this.path('etc'), SWARMGATE_RUN: this.path('run') },
    ...{ SWARMGATE_LOGS: this.path('log'), CALLS: this.path('calls') },
  };

  launch(word: string): { status: number | null; stdout: string; stderr: string } {
    const script = this.path('deploy/numa/launch.sh');
    return spawnSync(script, [word], { encoding: 'utf8', env: this.env, timeout: 60_000 });
  }

  get calls(): string {
    return readFileSync(this.path('calls'), 'utf8');
  }
}

describe('launch.sh', { skip, timeout: 200_000 }, () => {
  test('starts an instance that logs warnings only; folders may have spaces in their names', (t) => {
    const stage = new Stage(t, { node0: 'log: { level: warn }\n', node1: '' });
    const { stdout, stderr } = stage.launch('start');
    assert.match(stdout, /^node0: started[^]*^node1: started/m, stderr);
    assert.doesNotMatch(/^run .*node1.*$/m.exec(stage.calls)![0], /log-level/);
  });

  test('does not start what is wrongly configured, and starts the others', (t) => {
    const stage = new Stage(t, { node0: 'mode: maybe\n', node1: '' });
    const { status, stdout, stderr } = stage.launch('start');
    assert.match(stderr, /node0\.yaml:1: mode:[^]*node0: not started/);
    assert.match(stdout, /^node1: started/m);
    assert.equal(status, 1);
  });

  test('leaves the rules of an instance alone that somebody else started', (t) => {
    const stage = new Stage(t, { node0: '# busy\n' });
    const { status, stderr } = stage.launch('start');
    assert.equal(status, 1);
    assert.match(stderr, /instance-busy/);
    assert.doesNotMatch(stage.calls, /firewall/);
    assert.ok(!existsSync(stage.path('run/node0.launched')));
  });

  test('stops and shows also what is no longer planned', (t) => {
    const stage = new Stage(t, { node0: '', node1: '' });
    stage.launch('start');
    stage.plan('node0');
    assert.match(stage.launch('show').stdout, /^node1: process \d+ on processors .*; no longer planned$/m);
    assert.match(stage.launch('stop').stdout, /^node0: stopped\nnode1: stopped$/m);
    stage.launch('start');
    rmSync(stage.path('etc/instances'));
    assert.match(stage.launch('stop').stdout, /^node0: stopped$/m);
    const nothing = stage.launch('stop');
    assert.match(nothing.stderr, /instances cannot be read/);
    assert.equal(nothing.status, 1);
  });

  test('two at once start each instance once, and its process stays known', async (t) => {
    const stage = new Stage(t, { node0: '' });
    const ends = [1, 2].map(
      () =>
        new Promise((resolve) => {
          const script = stage.path('deploy/numa/launch.sh');
          spawn(script, ['start'], { env: stage.env, stdio: 'ignore' }).on('close', resolve);
        }),
    );
    assert.deepEqual(await Promise.all(ends), [0, 0]);
    assert.equal(stage.calls.match(/^run /gm)?.length, 1);
  });
});
