/** `swarmgate firewall` as a user meets it; the kernel's rules are written only in a network namespace. */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { cannotMakeNamespaces } from '../lib/firewall/testing.js';
import { program } from '../lib/testing.js';
import { swarmgate } from './program-testing.js';

const firewall = (...words: string[]): SpawnSyncReturns<string> => swarmgate(['firewall', ...words]);

describe('firewall', () => {
  test('wrong arguments are refused with status 2 before anything is tried', () => {
    const cases: [string[], RegExp][] = [
      [[], /word is missing/],
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
      [['install', '--left-behind'], /goes with remove/],
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
    assert.match(nft.stdout, /queue num 9600-9601 bypass/);
    assert.match(nft.stdout, /iifname \{ "eth0", "eth1" \}/);
    assert.match(
      firewall(...words, '--rules', 'iptables').stdout,
      /--queue-balance 9600:9601 --queue-bypass/,
    );
  });

  test('the plan is that of the configuration, and a flag wins over it', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'swarmgate-firewall-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const file = join(folder, 'two.yaml');
    writeFileSync(
      file,
      'mode: enforce\ninstance: two\nworkers: 3\nrules: none\nqueue: { first: 70 }\nmark_mask: 0x700\n' +
        'traffic: { pairs: [eth0/eth1], leave_interfaces: [eth2] }\n',
    );
    const words = ['show', '--planned', '--config', file, '--rules', 'iptables'];
    const { stdout, stderr } = firewall(...words);
    assert.match(stdout, /^# Swarmgate, instance two: enforce\./, stderr);
    assert.match(stdout, /--queue-balance 70:72 --queue-bypass/);
    assert.match(stdout, /--mark 0x100\/0x700/);
    assert.match(stdout, /-i eth0 -o eth1 -j SWARMGATE-two-Q\n[^]*-i eth2 -j RETURN/);
    const other = firewall(...words, '--queue', '80', '--no-enforce').stdout;
    assert.match(other, /two: monitor\.[^]*--queue-balance 80:82/);
    writeFileSync(file, 'mode: often\n');
    const wrong = firewall(...words);
    assert.equal(wrong.status, 78);
    assert.match(wrong.stderr, /two\.yaml.*mode/);
  });

  test(
    'left behind: nothing of an instance that runs, and nothing of the operator',
    { skip: cannotMakeNamespaces() },
    () => {
      const swarmgate = `"${process.execPath}" "${program}" firewall`;
      const name = `t${process.pid}`;
      const remove = `${swarmgate} remove --left-behind --instance ${name}`;
      const lock = `/run/swarmgate/${name}.$(readlink /proc/self/ns/net | tr -dc 0-9).pid`;
      const script = `set -e; ip link set lo up; mkdir -p /run/swarmgate
      ${swarmgate} install --instance ${name} > /dev/null
      echo "$$ $(cut -d ' ' -f 22 /proc/$$/stat)" > ${lock}
      trap 'rm -f ${lock}' EXIT
      ${remove}; ${swarmgate} show --instance ${name} | grep -c NFQUEUE
      ${swarmgate} remove --instance ${name} 2>&1 || echo status $?
      ${swarmgate} install --instance ${name} > /dev/null
      rm ${lock}
      SWARMGATE_RULES=none ${remove}; ${swarmgate} show --instance ${name} | grep -c NFQUEUE
      ${remove}; ${swarmgate} show --instance ${name}`;
      const run = spawnSync('unshare', ['-n', 'bash', '-c', script], { encoding: 'utf8', timeout: 60_000 });
      assert.equal(run.status, 0, run.stderr + run.stdout);
      // Without --left-behind they go at once, and it is said that this is not for long.
      const busy = /swarmgate: .* runs as process \d+ and puts its rules back.*\[instance-busy\]\nstatus 69\n/
        .source;
      assert.match(run.stdout, new RegExp(`^[1-9]\\d*\n${busy}[1-9]\\d*\n# no rules of instance t\\d+\n$`));
    },
  );

  test('install, show and remove in a namespace', { skip: cannotMakeNamespaces() }, () => {
    const swarmgate = `"${process.execPath}" "${program}" firewall`;
    const script = `set -e; ip link set lo up
      ${swarmgate} install --enforce --queues 2; ${swarmgate} install --enforce --queues 3
      ${swarmgate} show; ${swarmgate} remove; ${swarmgate} remove; ${swarmgate} show`;
    const run = spawnSync('unshare', ['-n', 'bash', '-c', script], { encoding: 'utf8', timeout: 60_000 });
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^installed with (nft|iptables)\ninstalled with/);
    assert.match(run.stdout, /9600[:-]9602/);
    assert.match(
      run.stdout,
      /\nremoved\nthere are no rules of instance default\n# no rules of instance default\n$/,
    );
  });

  test('without the right to do so: status 77', { skip: cannotMakeNamespaces() }, (t) => {
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
    if (run.stderr.includes('Cannot find module')) {
      t.skip('this checkout cannot be read by an ordinary user');
      return;
    }
    assert.equal(run.status, 77, run.stderr);
    assert.match(run.stderr, /\[firewall-permission\]/);
  });
});
