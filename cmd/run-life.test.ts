/** The life of `swarmgate run` in a network namespace of its own: whatever happens, no rule stays behind. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IptablesFirewall } from '../lib/firewall/iptables.js';
import { cannotMakeNamespaces, hasProgram, ruleSet } from '../lib/firewall/testing.js';
import { Tools } from '../lib/firewall/tools.js';
import { nativeProblem } from '../lib/native/index.js';
import { repositoryPath } from '../lib/testing.js';

const skip =
  nativeProblem() ??
  (cannotMakeNamespaces() || (hasProgram('iptables') ? false : 'iptables is not installed'));
const namespace = `sglife${process.pid}`;

describe('the life of a filter', { skip, timeout: 60_000 }, () => {
  let folder: string;
  let child: ChildProcess | null = null;
  let said = '';

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sglife-'));
    execFileSync('ip', ['netns', 'add', namespace]);
    execFileSync('ip', ['netns', 'exec', namespace, 'ip', 'link', 'set', 'lo', 'up']);
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    inside('iptables -t mangle -F FORWARD');
    inside('iptables -F FORWARD');
  });
  after(() => {
    spawnSync('ip', ['netns', 'delete', namespace]);
    rmSync(folder, { recursive: true });
  });

  const inside = (words: string): string =>
    execFileSync('ip', ['netns', 'exec', namespace, ...words.split(' ')], { encoding: 'utf8' });
  const rules = (): string => inside('iptables-save');

  async function heard(words: string): Promise<void> {
    const until = Date.now() + 10_000;
    while (!said.includes(words)) {
      assert.ok(Date.now() < until, `${words} is not in ${said}`);
      await sleep(20);
    }
  }

  async function start(config: string, env: Record<string, string> = {}): Promise<ChildProcess> {
    said = '';
    writeFileSync(join(folder, 'config.yaml'), config);
    const program = repositoryPath('dist', 'cmd', 'swarmgate.js');
    const words = ['run', '--no-live', '--workers', '1', '--rules', 'iptables', '--config'];
    const socket = join(folder, 'control.sock');
    child = spawn(
      'ip',
      [
        ...['netns', 'exec', namespace, process.execPath, program, ...words],
        ...[join(folder, 'config.yaml'), '--socket', socket],
      ],
      { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await heard('info: ready');
    return child;
  }

  async function stopped(running: ChildProcess): Promise<void> {
    const exit = once(running, 'exit');
    running.kill('SIGTERM');
    assert.deepEqual(await exit, [0, null], said);
    assert.doesNotMatch(rules(), /SWARMGATE/);
  }

  test('a stop in the midst of two reloads comes after the one that is under way', async () => {
    const running = await start('mode: monitor\n');
    running.kill('SIGHUP');
    await sleep(20);
    running.kill('SIGHUP');
    await stopped(running);
    assert.doesNotMatch(said, /error|warn/);
  });

  const noLegacy = hasProgram('iptables-legacy') ? false : 'iptables-legacy is not installed';
  test(
    'blocking rules that a killed run left in the other front end go at the start',
    { skip: noLegacy },
    async () => {
      const tools = new Tools(['ip', 'netns', 'exec', namespace]);
      await new IptablesFirewall({ tools, frontEnd: '-legacy' }).install(ruleSet());
      await new IptablesFirewall({ tools, frontEnd: '-nft' }).install(ruleSet());
      const running = await start('mode: monitor\n');
      assert.doesNotMatch(inside('iptables-legacy-save') + inside('iptables-nft-save'), /REJECT/);
      await stopped(running);
    },
  );

  test('a supervisor that cannot be told anything is no reason to die', async () => {
    const running = await start('mode: monitor\n', {
      NOTIFY_SOCKET: join(folder, 'nobody'),
      WATCHDOG_USEC: '600000',
    });
    await heard('notify-failed');
    await sleep(500);
    await stopped(running);
  });

  test('a reload that fails changes nothing: neither mode nor rules, and these are still watched', async () => {
    const running = await start('mode: monitor\n');
    const installed = rules();
    // No folder of that name: the event log cannot be opened.
    writeFileSync(join(folder, 'config.yaml'), `mode: enforce\neve: { file: ${folder}/no/eve.json }\n`);
    running.kill('SIGHUP');
    await heard('reload-refused');
    assert.equal(withoutTimes(rules()), withoutTimes(installed));
    inside('iptables -t mangle -F FORWARD');
    await heard('rules-restored');
    await stopped(running);
  });
});

const withoutTimes = (listing: string): string => listing.replace(/^#.*$|\[\d+:\d+\]/gm, '');
