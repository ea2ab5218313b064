/** `swarmgate numa`: golden plans of recorded machines, and what install and remove do to files. */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { combine } from '../lib/config/load.js';
import { effectiveFile } from '../lib/config/render.js';
import { readConfigText } from '../lib/config/yaml-file.js';
import { makePlan } from '../lib/numa/plan.js';
import { fixtureText, machines, makeTree } from '../lib/numa/testing.js';
import { readTopology } from '../lib/numa/topology.js';
import { repositoryPath, verifyUnit } from '../lib/testing.js';
import { swarmgate } from './program-testing.js';
import { configOf, filesOf, isUntouched } from './numa-files.js';

const made: string[] = [];
after(() => {
  for (const path of made) rmSync(path, { recursive: true });
});

function kept(path: string): string {
  made.push(path);
  return path;
}

const treeOf = (machine: string): string => kept(makeTree(fixtureText(machine)));

const numa = (...words: string[]): SpawnSyncReturns<string> => swarmgate(['numa', ...words]);

/** A folder that stands for /, with a configuration that all instances share. */
function makeRoot(text = 'mode: enforce\n'): string {
  const root = kept(mkdtempSync(join(tmpdir(), 'swarmgate-numa-')));
  const path = join(root, 'etc/swarmgate/config.yaml');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return root;
}

const filesBelow = (root: string): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
    .sort();

for (const machine of machines) {
  for (const [kind, words] of [
    ['txt', []],
    ['json', ['--json']],
  ] as const) {
    test(`the plan of ${machine} (${kind})`, () => {
      const { stdout, stderr, status } = numa(
        'plan',
        '--sys',
        treeOf(machine),
        '--config',
        '/dev/null',
        ...words,
      );
      assert.deepEqual([stderr, status], ['', 0]);
      const path = repositoryPath('fixtures', 'numa', `${machine}.plan.${kind}`);
      if (process.env['SWARMGATE_GOLDEN'] === 'write') writeFileSync(path, stdout);
      assert.equal(stdout, readFileSync(path, 'utf8'), 'rewrite it with SWARMGATE_GOLDEN=write');
    });
  }
}

const planned = [
  '/etc/swarmgate/instances',
  '/etc/swarmgate/node0.yaml',
  '/etc/swarmgate/node1.yaml',
  '/etc/systemd/system/swarmgate@node0.service.d/numa.conf',
  '/etc/systemd/system/swarmgate@node1.service.d/numa.conf',
];

test('install writes, install again changes nothing, remove removes', () => {
  const root = makeRoot();
  const words = ['--sys', treeOf('epyc-2-nodes'), '--root', root];
  const dry = numa('install', '--dry-run', ...words);
  for (const path of planned) assert.ok(dry.stdout.includes(`--- ${path}\n`), path);
  assert.deepEqual(filesBelow(root), ['/etc/swarmgate/config.yaml']);
  assert.equal(numa('install', ...words).status, 0);
  assert.deepEqual(filesBelow(root), ['/etc/swarmgate/config.yaml', ...planned]);
  for (const path of planned) {
    const text = readFileSync(join(root, path), 'utf8');
    assert.ok(isUntouched(text) && dry.stdout.includes(text), path);
  }
  const again = numa('install', ...words);
  assert.equal(again.stdout.match(/^unchanged: /gm)?.length, 5);
  assert.equal(numa('remove', '--root', root).status, 0);
  assert.deepEqual(filesBelow(root), ['/etc/swarmgate/config.yaml']);
  assert.ok(!existsSync(join(root, 'etc/systemd/system/swarmgate@node0.service.d')));
  const nothing = numa('remove', '--root', root);
  assert.match(nothing.stderr, /numa-not-installed/);
  assert.equal(nothing.status, 69);
});

test('an edited file is neither replaced nor removed without --force, and then a copy stays', () => {
  const root = makeRoot();
  const words = ['--sys', treeOf('epyc-2-nodes'), '--root', root];
  numa('install', ...words);
  const path = join(root, '/etc/swarmgate/node1.yaml');
  const mine = `${readFileSync(path, 'utf8')}limits: { flows: 1000 }\n`;
  writeFileSync(path, mine);
  const refused = numa('install', ...words);
  assert.match(refused.stderr, /node1\.yaml: edited, or made by somebody else; --force/);
  assert.equal(refused.status, 69);
  assert.match(numa('remove', '--root', root).stdout, /^kept: \/etc\/swarmgate\/node1\.yaml/m);
  assert.equal(readFileSync(path, 'utf8'), mine);
  for (const backup of ['.bak', '.bak1']) {
    writeFileSync(path, mine);
    const forced = numa('install', '--force', ...words);
    assert.ok(forced.stdout.includes(`the edited one is /etc/swarmgate/node1.yaml${backup}`), forced.stdout);
    assert.equal(readFileSync(path + backup, 'utf8'), mine);
    assert.ok(isUntouched(readFileSync(path, 'utf8')));
  }
});

test('instances that are no longer planned go', () => {
  const root = makeRoot();
  numa('install', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  const { stdout } = numa('install', '--sys', treeOf('ryzen-8-cores'), '--root', root);
  assert.match(stdout, /^removed: \/etc\/swarmgate\/node1\.yaml$/m);
  assert.deepEqual(filesBelow(root), ['/etc/swarmgate/config.yaml', planned[0], planned[1], planned[3]]);
});

test('a configuration that is wrong, a folder that is no tree, a file where a folder should be', () => {
  const root = makeRoot('mode: maybe\n');
  const wrong = numa('install', '--root', root);
  assert.match(wrong.stderr, /config\.yaml:1: mode:/);
  assert.equal(wrong.status, 78);
  const empty = numa('plan', '--sys', kept(mkdtempSync(join(tmpdir(), 'swarmgate-numa-'))));
  assert.match(empty.stderr, /numa-no-tree/);
  const blocked = makeRoot();
  writeFileSync(join(blocked, 'etc/systemd'), '');
  const failed = numa('install', '--root', blocked);
  assert.match(failed.stderr, /etc\/systemd.*\[numa-files\]/);
  assert.equal(failed.status, 69);
});

const none = { env: {}, flags: new Map<string, string>() };

test('each file means what was planned, with the settings that all share, and nothing that only one may have', () => {
  const base = combine(
    readConfigText(
      `mode: enforce
allow: { ports: [53, 6000-6010] }
queue: { first: 100 }
mark_mask: 0x700
metrics: { listen: '[::1]:9477' }
eve: { file: /var/log/swarmgate/eve.json }
control: { socket: /tmp/x/default.sock }`,
      'test',
    ),
    'test',
    none,
  ).config;
  const plan = makePlan(readTopology(treeOf('epyc-2-nodes')), {
    ...{
      queueFirst: base.queue.first,
      batch: 32,
      markMask: base.markMask,
      interfaces: [],
      uplinks: [],
      workers: 1,
    },
  });
  const configs = plan.instances.map((instance, index) => configOf(instance, base, index));
  assert.deepEqual(
    configs.map(({ metrics, eve, control, queue, markMask, instance }) => [
      ...[instance, queue.first, markMask, control.socket, metrics.listen, eve.file],
    ]),
    [
      ['node0', 100, 0x700, '/tmp/x/node0.sock', '[::1]:9477', '/var/log/swarmgate/eve-node0.json'],
      ['node1', 356, 0x7000_0000, '/tmp/x/node1.sock', '[::1]:9478', '/var/log/swarmgate/eve-node1.json'],
    ],
  );
  // This machine may have fewer processors than the planned one: they are read on their own.
  const withoutProcessors = (text: string): string => text.replace(/^affinity:\n( {2}.*\n)+/m, '');
  for (const [index, config] of configs.entries()) {
    const { text } = filesOf(plan, base).find(({ path }) => path.endsWith(`/${config.instance}.yaml`))!;
    const read = combine(readConfigText(withoutProcessors(text), 'test'), 'test', none).config;
    assert.equal(effectiveFile({ ...read, affinity: config.affinity }), effectiveFile(config), `${index}`);
    assert.match(text, /^ {2}data: (0-15,32-47|16-31,48-63)$/m);
  }
});

const analyzer = spawnSync('systemd-analyze', ['--version']);
const skip = analyzer.error !== undefined && 'systemd-analyze is not installed (Debian package systemd)';

test('systemd takes the drop-in without a word', { skip }, () => {
  const root = makeRoot();
  numa('install', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  const units = join(root, 'etc/systemd/system');
  const unit = readFileSync(repositoryPath('deploy', 'systemd', 'swarmgate@.service'), 'utf8');
  const path = join(units, 'swarmgate@node1.service');
  writeFileSync(path, unit.replaceAll('/usr/local/bin/swarmgate', '/bin/true'));
  assert.deepEqual(verifyUnit(path), [[], 0]);
});

const checker = spawnSync('shellcheck', ['--version']);
const unchecked = checker.error !== undefined && 'shellcheck is not installed (Debian package shellcheck)';

test('shellcheck has nothing to say about the launch script', { skip: unchecked }, () => {
  const run = spawnSync('shellcheck', [repositoryPath('deploy', 'numa', 'launch.sh')], { encoding: 'utf8' });
  assert.deepEqual([run.stdout, run.status], ['', 0]);
});

test('no two instances get the same address for metrics, also at the end of the ports', () => {
  const root = makeRoot("metrics: { listen: '127.0.0.1:65535' }\n");
  const { stdout } = numa('install', '--dry-run', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  assert.deepEqual(stdout.match(/^ {2}listen: .*$/gm), [
    '  listen: 127.0.0.1:65535',
    '  listen: 127.0.0.1:65534',
  ]);
});

test('what remove kept because it was edited, remove --force removes afterwards', () => {
  const root = makeRoot();
  numa('install', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  const path = join(root, '/etc/swarmgate/node1.yaml');
  writeFileSync(path, `${readFileSync(path, 'utf8')}limits: { flows: 1000 }\n`);
  writeFileSync(join(root, '/etc/swarmgate/node7.yaml'), 'mode: monitor\n');
  assert.match(numa('remove', '--root', root).stdout, /^kept: \/etc\/swarmgate\/node1\.yaml/m);
  const forced = numa('remove', '--root', root, '--force');
  assert.match(forced.stdout, /^removed: \/etc\/swarmgate\/node1\.yaml, the edited one is /m);
  const left = ['config.yaml', 'node1.yaml.bak', 'node7.yaml'].map((name) => `/etc/swarmgate/${name}`);
  assert.deepEqual(filesBelow(root), left, 'a file that is not ours stays, also with --force');
});

test('an installation that is refused half-way leaves nothing, and what was there before', () => {
  const root = makeRoot();
  // A folder where the last of the files should be.
  mkdirSync(join(root, 'etc/swarmgate/instances.new'), { recursive: true });
  const before = filesBelow(root);
  const failed = numa('install', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  assert.match(failed.stderr, /\[numa-files\]/);
  assert.deepEqual(filesBelow(root), before);
});

test('a link where a file is written beside its final name is not followed', () => {
  const root = makeRoot();
  const victim = join(root, 'victim');
  writeFileSync(victim, 'mine');
  symlinkSync(victim, join(root, 'etc/swarmgate/node0.yaml.new'));
  numa('install', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  assert.equal(readFileSync(victim, 'utf8'), 'mine');
  assert.ok(isUntouched(readFileSync(join(root, 'etc/swarmgate/node0.yaml'), 'utf8')));
});

test('an instance that is no longer planned: the commands to copy end it', () => {
  const root = makeRoot();
  numa('install', '--sys', treeOf('epyc-2-nodes'), '--root', root);
  const { stdout } = numa('install', '--sys', treeOf('ryzen-8-cores'), '--root', root);
  assert.match(stdout, /^ {2}systemctl disable --now swarmgate@node1$/m);
});
