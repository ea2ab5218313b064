/** What `make install` makes works from where it was put, `make uninstall` leaves nothing, and systemd takes the units. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { repositoryPath, verifyUnit } from '../lib/testing.js';

const root = mkdtempSync(join(tmpdir(), 'swarmgate-install-'));
after(() => {
  rmSync(root, { recursive: true });
});

function sh(name: string, more: Record<string, string> = {}): void {
  const env = {
    PATH: process.env['PATH'],
    HOME: process.env['HOME'],
    DESTDIR: root,
    PREFIX: '/usr/local',
    ...more,
  };
  const run = spawnSync(repositoryPath('deploy', name), { env, encoding: 'utf8', timeout: 60_000 });
  assert.equal(run.status, 0, run.stderr);
}

/** All files and links below the destination. */
const files = (): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length));

const configuration = join(root, 'etc/swarmgate/config.yaml');

test('installed, the launcher runs from anywhere, without the checkout', () => {
  sh('install');
  const run = spawnSync(join(root, 'usr/local/bin/swarmgate'), ['detectors'], { cwd: '/', encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  assert.match(run.stdout, /^peer-handshake {2}\(tcp, proof/);
  const check = spawnSync(join(root, 'usr/local/bin/swarmgate'), ['check', '--config', configuration]);
  assert.equal(check.status, 0, String(check.stderr));
  const names = files();
  for (const unwanted of ['.test.js', '/typescript/', '/fast-check/', '/bench/'])
    assert.ok(!names.some((name) => name.includes(`swarmgate/dist`) && name.includes(unwanted)), unwanted);
  assert.ok(!names.some((name) => name.includes('/node_modules/typescript/')));
  assert.equal(statSync(configuration).mode & 0o022, 0);
});

test('a second installation keeps the configuration, and so does uninstall', () => {
  writeFileSync(configuration, 'mode: enforce\n');
  const before = files();
  sh('install');
  assert.deepEqual(files(), before);
  sh('uninstall');
  assert.deepEqual(files(), ['/etc/swarmgate/config.yaml']);
  assert.equal(readFileSync(configuration, 'utf8'), 'mode: enforce\n');
});

test('the launch script works from where it was put, and uninstall takes the instances away', () => {
  sh('install');
  const env = { ...process.env, SWARMGATE_CONFIGURATION: join(root, 'etc/swarmgate') };
  const launch = (): ReturnType<typeof spawnSync> =>
    spawnSync(join(root, 'usr/local/lib/swarmgate/deploy/numa/launch.sh'), ['show'], { cwd: '/', env });
  const none = launch();
  assert.match(String(none.stderr), /instances cannot be read; make it with: swarmgate numa install/);
  assert.equal(none.status, 1);
  const words = ['numa', 'install', '--root', root];
  const install = spawnSync(join(root, 'usr/local/bin/swarmgate'), words, { encoding: 'utf8' });
  assert.equal(install.status, 0, install.stderr);
  assert.match(install.stdout, /\/usr\/local\/lib\/swarmgate\/deploy\/numa\/launch\.sh start$/m);
  for (const name of ['prometheus/alerts.yaml', 'grafana/swarmgate.json'])
    assert.ok(existsSync(join(root, 'usr/local/lib/swarmgate/deploy', name)), name);
  const shown = launch();
  assert.match(String(shown.stdout), /^node\d+: not running; planned: processors [\d,-]+, memory /);
  assert.equal(shown.status, 0);
  sh('uninstall');
  assert.deepEqual(files(), ['/etc/swarmgate/config.yaml']);
});

test('with PURGE=1 nothing is left, and what is not ours stays', () => {
  sh('install', { PREFIX: '/opt/sg' });
  const foreign = join(root, 'opt/sg/bin/other');
  writeFileSync(foreign, '');
  const unit = readFileSync(join(root, 'opt/sg/lib/systemd/system/swarmgate.service'), 'utf8');
  assert.match(unit, /^ExecStart=\/opt\/sg\/bin\/swarmgate run --instance default$/m);
  sh('uninstall', { PREFIX: '/opt/sg', PURGE: '1' });
  assert.deepEqual(files(), ['/opt/sg/bin/other']);
  assert.ok(!existsSync(join(root, 'etc/swarmgate')));
});

const analyzer = spawnSync('systemd-analyze', ['--version']);
const skip = analyzer.error !== undefined && 'systemd-analyze is not installed (Debian package systemd)';

for (const [name, instance] of [
  ['swarmgate.service', 'swarmgate.service'],
  ['swarmgate@.service', 'swarmgate@lan.service'],
  ['swarmgate-monitor.service', 'swarmgate-monitor.service'],
  ['swarmgate-monitor@.service', 'swarmgate-monitor@tap.service'],
] as const) {
  test(`systemd takes ${name} without a word`, { skip }, () => {
    // Programs must exist for the check; ours is not installed here.
    const text = readFileSync(repositoryPath('deploy', 'systemd', name), 'utf8');
    const path = join(root, instance);
    writeFileSync(path, text.replaceAll('/usr/local/bin/swarmgate', '/bin/true'));
    assert.deepEqual(verifyUnit(path), [[], 0]);
  });
}

const rotator = spawnSync('/usr/sbin/logrotate', ['--version']);
const noRotator = rotator.error !== undefined && 'logrotate is not installed';

test('logrotate takes the file for the EVE log', { skip: noRotator }, () => {
  const path = join(root, 'rotate');
  writeFileSync(path, readFileSync(repositoryPath('deploy', 'logrotate', 'swarmgate')), { mode: 0o644 });
  const run = spawnSync('/usr/sbin/logrotate', ['--debug', path], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  assert.doesNotMatch(run.stderr, /^error:/m);
});

for (const kind of ['swarmgate', 'swarmgate-monitor']) {
  test(`both units of ${kind} say the same apart from instance and configuration`, () => {
    const unit = (name: string): string[] =>
      readFileSync(repositoryPath('deploy', 'systemd', name), 'utf8')
        .replace(/^(#.*\n)+/, '')
        .replaceAll(
          / --config \/etc\/swarmgate\/%i\.yaml| --instance (?:%i|default|monitor)|-%i$| \(%i\)$/gm,
          '',
        )
        .split('\n');
    assert.deepEqual(unit(`${kind}@.service`), unit(`${kind}.service`));
  });
}

test('the units keep what V8 and the kernel rules need', () => {
  const unit = readFileSync(repositoryPath('deploy', 'systemd', 'swarmgate.service'), 'utf8');
  assert.doesNotMatch(unit, /^MemoryDenyWriteExecute/m);
  assert.match(unit, /^CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW$/m);
  assert.match(unit, /^RuntimeDirectoryPreserve=yes$/m);
});

test('the monitor has what packet sockets need and nothing for rules; its instance is not that of the filter', () => {
  const unit = readFileSync(repositoryPath('deploy', 'systemd', 'swarmgate-monitor.service'), 'utf8');
  assert.doesNotMatch(unit, /^MemoryDenyWriteExecute|xtables|nfnetlink|swarmgate (run|firewall)/m);
  assert.match(unit, /^CapabilityBoundingSet=CAP_NET_RAW$/m);
  assert.match(unit, /^RestrictAddressFamilies=.*\bAF_PACKET\b/m);
  assert.match(unit, /^RuntimeDirectoryPreserve=yes$/m);
  assert.match(unit, /^ExecStart=\/usr\/local\/bin\/swarmgate monitor --instance monitor$/m);
});

test('what is installed has all four units, and uninstall stops them', () => {
  sh('install');
  const units = readdirSync(join(root, 'usr/local/lib/systemd/system')).sort();
  assert.deepEqual(units, readdirSync(repositoryPath('deploy', 'systemd')).sort());
  assert.equal(units.length, 4);
  sh('uninstall', { PURGE: '1' });
  assert.deepEqual(readdirSync(join(root, 'usr/local/lib/systemd/system')), []);
  const script = readFileSync(repositoryPath('deploy', 'uninstall'), 'utf8');
  for (const name of units) assert.ok(script.includes(name.replace('@.', '@*.')), name);
});
