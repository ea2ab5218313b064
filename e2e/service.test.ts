/**
 * The units under a real systemd: what `make install` puts there starts with the privileges that the units leave it,
 * filters, takes a new configuration, comes back after a crash and after standing still, and leaves nothing.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeTree } from '../lib/numa/testing.js';
import type { StatusReport } from '../lib/report/status.js';
import { repositoryPath } from '../lib/testing.js';
import { clientScript, handshake, request, serverScript } from './hello.js';
import { Machine, withoutMachine } from './machine.js';
import { first, second, treeText } from './nodes.js';
import { until } from './process.js';
import { withoutFilter } from './requirements.js';

const skip = withoutFilter !== false ? withoutFilter : withoutMachine();
const configuration = '/etc/swarmgate/config.yaml';
/** Bits of capabilities(7). */
const netAdminAndRaw = (1n << 12n) | (1n << 13n);
const netRaw = 1n << 13n;

const withoutNodes =
  second === undefined
    ? 'needs two processors'
    : !existsSync('/proc/self/numa_maps') && 'this kernel knows no memory policy';
const withoutLegacy =
  !['/usr/sbin/iptables-legacy', '/etc/alternatives/iptables'].every((path) => existsSync(path)) &&
  'iptables-legacy is not there to be chosen';

describe('the units under systemd', { skip, timeout: 400_000 }, () => {
  let machine: Machine;
  let rulesBefore: string;
  before(async () => {
    machine = await Machine.boot();
    for (const host of [1, 2]) machine.connect(host);
    const server = machine.start(['ip', 'netns', 'exec', 'h2', 'node', '-e', serverScript]);
    await server.outputs('listening', 20);
    machine.run([repositoryPath('deploy', 'install')]);
    // What a unit may find on a router: half a minute is long for a test.
    machine.write('/etc/systemd/system/swarmgate.service.d/test.conf', '[Service]\nWatchdogSec=8\n');
    machine.run(['systemctl', 'daemon-reload']);
    rulesBefore = rules();
  });
  after(async () => {
    await machine.close();
  });

  const configure = (text: string): void => {
    machine.write(configuration, text);
  };
  /** All rules, by whatever tool, without counters, comments, and tables that are as at boot. */
  const rules = (): string =>
    [['iptables-save'], ['ip6tables-save'], ['nft', 'list', 'tables', 'inet']]
      .map((argv) => machine.tries(argv).text.replace(/^#.*\n|\[\d+:\d+\]/gm, ''))
      .map((text) => text.replace(/^\*\w+\n(?::[A-Z]+ ACCEPT \n)+COMMIT\n/gm, ''))
      .join('');
  const talk = (hex: string): string =>
    machine.run(['ip', 'netns', 'exec', 'h1', 'node', '-e', clientScript, '10.79.2.2', hex]).trim();
  const filters = (): void => {
    assert.equal(talk(request), 'answered');
    assert.notEqual(talk(handshake), 'answered', machine.journal('swarmgate'));
  };
  const systemctl = (...words: string[]): void => {
    const { code, text } = machine.tries(['systemctl', ...words]);
    assert.equal(code, 0, `systemctl ${words.join(' ')}: ${text}\n${machine.journal(words.at(-1)!)}`);
  };
  /** Never 0, which would be this whole process group for kill(1). */
  const mainPid = (unit = 'swarmgate'): string => {
    const pid = machine.property(unit, 'MainPID');
    assert.notEqual(pid, '0', machine.journal(unit));
    return pid;
  };
  const active = (unit = 'swarmgate'): string => machine.property(unit, 'ActiveState');
  const privileges = (pid: string): bigint => BigInt(`0x${machine.statusLine(pid, 'CapEff')}`);

  test('the filter starts with two privileges and filters', () => {
    configure('mode: enforce\nworkers: 2\n');
    systemctl('start', 'swarmgate');
    assert.equal(active(), 'active');
    assert.match(rules(), /swarmgate/i);
    const pid = mainPid();
    assert.equal(privileges(pid) & ~netAdminAndRaw, 0n);
    assert.equal(machine.statusLine(pid, 'NoNewPrivs'), '1');
    assert.equal(machine.statusLine(pid, 'Seccomp'), '2');
    filters();
    assert.match(machine.run(['swarmgate', 'status']), /^Blocking BitTorrent since /);
    const { tracking } = JSON.parse(machine.run(['swarmgate', 'status', '--json'])) as StatusReport;
    assert.ok(tracking !== null && tracking.entries > 0 && tracking.entries_max > tracking.entries);
    const journal = machine.journal('swarmgate');
    assert.match(journal, /ready: mode enforce/);
    assert.doesNotMatch(journal, /\b(warn|error)/i, journal);
  });

  test('reload: a wrong configuration is refused and changes nothing, a right one is taken over', async () => {
    const pid = mainPid();
    configure('mode: enforced\n');
    assert.notEqual(machine.tries(['systemctl', 'reload', 'swarmgate']).code, 0);
    assert.match(machine.journal('swarmgate'), /config\.yaml.*mode/);
    filters();
    configure('mode: monitor\nworkers: 2\n');
    systemctl('reload', 'swarmgate');
    await until(() => talk(handshake) === 'answered', 10, 'the new mode');
    configure('mode: enforce\nworkers: 2\n');
    systemctl('reload', 'swarmgate');
    await until(() => talk(handshake) !== 'answered', 10, 'the old mode');
    await until(() => active() === 'active', 10, 'the end of the reload');
    assert.equal(mainPid(), pid);
  });

  /** A new process of the unit, ready. */
  const comesBack = async (gone: string): Promise<void> => {
    await until(
      () => active() === 'active' && !['0', gone].includes(machine.property('swarmgate', 'MainPID')),
      40,
      () => machine.journal('swarmgate'),
    );
  };

  test('killed, it comes back, and its rules are there once', async () => {
    const before = rules();
    const pid = mainPid();
    machine.run(['kill', '-9', pid]);
    await comesBack(pid);
    assert.equal(machine.property('swarmgate', 'NRestarts'), '1');
    assert.equal(rules(), before);
    filters();
  });

  test('standing still, it is ended by the watchdog and comes back', async () => {
    const pid = mainPid();
    machine.run(['kill', '-STOP', pid]);
    await comesBack(pid);
    assert.equal(machine.property('swarmgate', 'NRestarts'), '2');
    filters();
  });

  test('stopped, it leaves no rule', () => {
    systemctl('stop', 'swarmgate');
    assert.equal(machine.property('swarmgate', 'Result'), 'success');
    assert.equal(rules(), rulesBefore);
    assert.equal(talk(handshake), 'answered');
  });

  test('with a wrong configuration it does not start, and is not tried again', () => {
    configure('mode: enforce\nworkers: many\n');
    assert.notEqual(machine.tries(['systemctl', 'start', 'swarmgate']).code, 0);
    assert.equal(active(), 'failed');
    assert.match(machine.journal('swarmgate'), /workers/);
    assert.equal(rules(), rulesBefore);
    assert.equal(machine.property('swarmgate', 'ExecMainStatus'), '78');
    systemctl('reset-failed', 'swarmgate');
  });

  test('killed with a wrong configuration on the disk, it stays away, and so do its rules', async () => {
    configure('mode: enforce\nworkers: 1\n');
    systemctl('start', 'swarmgate');
    filters();
    configure('mode: enforce\nworkers: many\n');
    machine.run(['kill', '-9', mainPid()]);
    await until(
      () => active() === 'failed',
      20,
      () => machine.journal('swarmgate'),
    );
    assert.equal(rules(), rulesBefore);
    assert.equal(talk(handshake), 'answered');
    systemctl('reset-failed', 'swarmgate');
  });

  test('the monitor starts with one privilege, names the flow and blocks nothing', async () => {
    configure('workers: 1\ncapture: { interfaces: [up1] }\n');
    systemctl('start', 'swarmgate-monitor');
    const pid = mainPid('swarmgate-monitor');
    assert.equal(privileges(pid) & ~netRaw, 0n);
    assert.equal(talk(handshake), 'answered');
    const words = ['swarmgate', 'status', '--instance', 'monitor', '--json'];
    await until(
      () => machine.run(words).includes('"kind":"peer"') || machine.run(words).includes('"kind": "peer"'),
      10,
      () => machine.run(words),
    );
    systemctl('reload', 'swarmgate-monitor');
    assert.equal(mainPid('swarmgate-monitor'), pid);
    assert.equal(rules(), rulesBefore);
    systemctl('stop', 'swarmgate-monitor');
  });

  test('an instance with a name of its own filters beside the first', () => {
    configure('mode: monitor\nworkers: 1\n');
    machine.write(
      '/etc/swarmgate/second.yaml',
      'mode: enforce\nworkers: 1\nqueue: { first: 9700 }\nmark_mask: 0x0e000000\n',
    );
    systemctl('start', 'swarmgate');
    systemctl('start', 'swarmgate@second');
    filters();
    assert.match(machine.run(['swarmgate', 'status', '--all']), /second/);
    systemctl('stop', 'swarmgate@second');
    assert.equal(talk(handshake), 'answered');
  });

  test('after logs were rotated, filter and monitor go on in new files', async () => {
    systemctl('stop', 'swarmgate');
    const rotation = readFileSync(repositoryPath('deploy', 'logrotate', 'swarmgate'), 'utf8');
    const script = /postrotate\n([^]*?)\n\s*endscript/.exec(rotation)![1]!;
    const names = ['filter', 'tap'];
    const eve = (name: string): string => `/var/log/swarmgate/${name}.json`;
    const logged = (name: string): boolean =>
      machine.tries(['grep', '-q', 'kind:peer', eve(name)]).code === 0;
    configure(`mode: monitor\nworkers: 1\neve: { file: ${eve('filter')} }\n`);
    machine.write(
      '/etc/swarmgate/tap.yaml',
      `workers: 1\neve: { file: ${eve('tap')} }\ncapture: { interfaces: [up1] }\n`,
    );
    const units = ['swarmgate', 'swarmgate-monitor@tap'];
    for (const unit of units) systemctl('start', unit);
    for (const part of ['before', 'after', 'with a wrong configuration']) {
      // A record may still go to the old file at the moment of the signal.
      const both = (): boolean => talk(handshake) === 'answered' && names.every(logged);
      await until(both, 15, () => `${part}: ${units.map((unit) => machine.journal(unit)).join('\n')}`);
      for (const name of names) machine.run(['mv', eve(name), `${eve(name)}.1`]);
      if (part === 'after')
        for (const each of [configuration, '/etc/swarmgate/tap.yaml']) machine.write(each, 'x: 1\n');
      machine.run(['sh', '-c', script]);
    }
    for (const unit of units) systemctl('stop', unit);
  });

  test(
    'with iptables-legacy, whose lock is in a folder that is read-only for it; events go to its log folder',
    { skip: withoutLegacy },
    async () => {
      systemctl('stop', 'swarmgate');
      const choose = (kind: string): void => {
        for (const tool of ['iptables', 'ip6tables'])
          machine.run(['update-alternatives', '--set', tool, `/usr/sbin/${tool}-${kind}`]);
      };
      choose('legacy');
      try {
        const before = rules();
        configure('mode: enforce\nworkers: 1\nrules: iptables\neve: { file: /var/log/swarmgate/eve.json }\n');
        systemctl('start', 'swarmgate');
        filters();
        assert.match(machine.run(['iptables-legacy-save']), /SWARMGATE/);
        const events = (): string => machine.tries(['cat', '/var/log/swarmgate/eve.json']).text;
        await until(() => events().includes('kind:peer'), 10, events);
        systemctl('stop', 'swarmgate');
        assert.equal(rules(), before);
      } finally {
        choose('nft');
      }
      systemctl('start', 'swarmgate');
    },
  );

  test('an instance of a NUMA node runs on its processors and its memory', { skip: withoutNodes }, () => {
    const kilobytes = (node: number): string =>
      `devices/system/node/node${node}/meminfo = Node ${node} MemTotal: 8000000 kB`;
    const tree = makeTree([treeText(), kilobytes(0), kilobytes(1)].join('\n'));
    const root = mkdtempSync(join(tmpdir(), 'swarmgate-service-'));
    mkdirSync(join(root, 'etc/swarmgate'), { recursive: true });
    writeFileSync(join(root, 'etc/swarmgate/config.yaml'), 'mode: enforce\n');
    const words = [repositoryPath('dist', 'program', 'swarmgate.js'), 'numa', 'install'];
    execFileSync(process.execPath, [...words, '--sys', tree, '--root', root], { timeout: 60_000 });
    for (const path of [
      '/etc/swarmgate/node0.yaml',
      '/etc/systemd/system/swarmgate@node0.service.d/numa.conf',
    ])
      machine.write(path, readFileSync(join(root, path), 'utf8'));
    for (const folder of [root, tree]) rmSync(folder, { recursive: true });
    systemctl('daemon-reload');
    systemctl('stop', 'swarmgate');
    systemctl('start', 'swarmgate@node0');
    const pid = mainPid('swarmgate@node0');
    assert.equal(machine.statusLine(pid, 'Cpus_allowed_list'), `${first!}`);
    assert.match(machine.run(['cat', `/proc/${pid}/numa_maps`]), / bind:0 /);
    filters();
    systemctl('stop', 'swarmgate@node0');
    systemctl('start', 'swarmgate');
  });

  test('a second start beside one that runs by hand takes nothing from it', async () => {
    systemctl('stop', 'swarmgate');
    configure('mode: enforce\nworkers: 1\n');
    const running = machine.start(['swarmgate', 'run', '--no-live']);
    await running.outputs('ready:', 20);
    assert.notEqual(machine.tries(['systemctl', 'start', 'swarmgate']).code, 0);
    assert.match(machine.journal('swarmgate'), /instance-busy/);
    filters();
    systemctl('stop', 'swarmgate');
    filters();
    // The exit status is that of nsenter, which the signal ends too.
    await running.stop('SIGTERM', 15);
    assert.match(running.output, /stopped, the rules are removed/);
    assert.equal(rules(), rulesBefore);
  });

  test('with rules of the operator, planned for the configuration, they stay when the service stops', () => {
    configure('mode: enforce\nworkers: 2\nrules: none\nqueue: { first: 9640 }\n');
    const plan = machine.run(['swarmgate', 'firewall', 'show', '--planned', '--rules', 'iptables']);
    for (const tool of ['iptables', 'ip6tables']) machine.run([`${tool}-restore`, '--noflush', '-w'], plan);
    const own = rules();
    systemctl('start', 'swarmgate');
    filters();
    systemctl('restart', 'swarmgate');
    filters();
    systemctl('stop', 'swarmgate');
    assert.equal(rules(), own);
    machine.run(['swarmgate', 'firewall', 'remove']);
    assert.equal(rules(), rulesBefore);
    configure('mode: monitor\nworkers: 1\n');
    systemctl('start', 'swarmgate');
  });

  test('installed again while it runs, it goes on, and a restart of all units takes the new one', () => {
    const pid = mainPid();
    configure('mode: enforce\nworkers: 1\n');
    machine.run([repositoryPath('deploy', 'install')]);
    systemctl('reload', 'swarmgate');
    assert.equal(mainPid(), pid);
    systemctl('try-restart', 'swarmgate*');
    assert.notEqual(mainPid(), pid);
    filters();
  });

  test('uninstalled while it runs, nothing of it is left but its configuration', () => {
    machine.run(['systemctl', 'enable', 'swarmgate']);
    assert.equal(active(), 'active');
    machine.run([repositoryPath('deploy', 'uninstall')]);
    assert.equal(active(), 'inactive');
    assert.equal(rules(), rulesBefore);
    assert.notEqual(machine.tries(['systemctl', 'cat', 'swarmgate']).code, 0);
    assert.equal(machine.tries(['sh', '-c', 'command -v swarmgate']).text, '');
    machine.run(['test', '-e', configuration]);
  });
});
