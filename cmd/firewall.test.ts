/** `swarmgate firewall` as a user meets it; the kernel's rules are written only in a network namespace. */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { describe, test } from 'node:test';
import { cannotMakeNamespaces } from '../lib/firewall/testing.js';
import { repositoryPath } from '../lib/testing.js';

const program = repositoryPath('dist', 'program', 'swarmgate.js');

function firewall(...words: string[]): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [program, 'firewall', ...words], { encoding: 'utf8', timeout: 60_000 });
}

describe('firewall', () => {
  test('wrong arguments are refused with status 2 before anything is tried', () => {
    const cases: [string[], RegExp][] = [
      [[], /Not enough/],
      [['dance'], /Choices/],
      [['install', '--rules', 'pf'], /Choices/],
      [['install', '--instance', 'A'], /instance is named/],
      [['remove', '--instance', '../x'], /instance is named/],
      [['install', '--queue', '70000'], /first queue/],
      [['install', '--queue', 'x'], /first queue/],
      [['install', '--queues', '0'], /number of queues/],
      [['install', '--mark-mask', '5'], /neighbouring/],
      [['install', '--mark-mask', '0x1ffffffff'], /neighbouring/],
      [['install', '--interface', 'eth0;drop'], /no interface name/],
      [['install', '--no-forwarded'], /nothing to do/],
      [['install', '--planned'], /goes with show/],
      [['show', '--queue', '1', '--queue', '2'], /more than once/],
      [['show', '--nonsense'], /nonsense/],
    ];
    for (const [words, reason] of cases) {
      const run = firewall(...words);
      assert.equal(run.status, 2, `${words.join(' ')}: ${run.stderr}`);
      assert.match(run.stderr, reason);
      assert.equal(run.stdout, '');
    }
  });

  test('the plan is printed for either backend', () => {
    const words = ['show', '--planned', '--queues', '2', '--interface', 'eth0', '--interface', 'eth1'];
    const nft = firewall(...words, '--rules', 'nft');
    assert.equal(nft.status, 0, nft.stderr);
    assert.match(nft.stdout, /queue num 0-1 bypass/);
    assert.match(nft.stdout, /iifname \{ "eth0", "eth1" \}/);
    assert.match(firewall(...words, '--rules', 'iptables').stdout, /--queue-balance 0:1 --queue-bypass/);
  });

  test('install, show and remove in a namespace', { skip: cannotMakeNamespaces() }, () => {
    const swarmgate = `"${process.execPath}" "${program}" firewall`;
    const script = `set -e; ip link set lo up
      ${swarmgate} install --enforce --queues 2; ${swarmgate} install --enforce --queues 3
      ${swarmgate} show; ${swarmgate} remove; ${swarmgate} remove; ${swarmgate} show`;
    const run = spawnSync('unshare', ['-n', 'bash', '-c', script], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^installed with (nft|iptables)\ninstalled with/);
    assert.match(run.stdout, /0[:-]2/);
    assert.match(run.stdout, /# no rules of instance default\n$/);
  });

  test('without the right to do so: status 77', { skip: cannotMakeNamespaces() }, () => {
    const words = [
      '-n',
      'setpriv',
      '--reuid',
      '65534',
      '--clear-groups',
      '--inh-caps',
      '-all',
      process.execPath,
    ];
    const run = spawnSync('unshare', [...words, program, 'firewall', 'install'], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    assert.equal(run.status, 77, run.stderr);
    assert.match(run.stderr, /\[firewall-permission\]/);
  });
});
