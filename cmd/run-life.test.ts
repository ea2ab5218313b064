/** The life of `swarmgate run` in a network namespace of its own: whatever happens, no rule stays behind. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { IptablesFirewall } from '../lib/firewall/iptables.js';
import { cannotMakeNamespaces, hasProgram, ruleSet } from '../lib/firewall/testing.js';
import { Tools } from '../lib/firewall/tools.js';
import { nativeProblem } from '../lib/native/index.js';
import { doubtfulSignature, signatures } from '../lib/report/eve.js';
import type { StatusReport } from '../lib/report/status.js';
import { program } from '../lib/testing.js';

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
    const running = launch(config, env);
    await heard('info: ready');
    return running;
  }

  function launch(config: string, env: Record<string, string>): ChildProcess {
    said = '';
    writeFileSync(join(folder, 'config.yaml'), config);
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

  test('a second signal ends it at once, and says what may be left: also in the midst of the start', async () => {
    const tools = join(folder, 'tools');
    mkdirSync(tools);
    for (const name of ['iptables', 'ip6tables'])
      writeFileSync(join(tools, name), `#!/bin/sh\ntouch ${tools}/called\nexec sleep 3\n`, { mode: 0o755 });
    const running = launch('mode: monitor\n', { PATH: `${tools}:${process.env['PATH']!}` });
    for (let tried = 0; !existsSync(join(tools, 'called')); tried++) {
      assert.ok(tried < 500, said);
      await sleep(20);
    }
    const exit = once(running, 'exit');
    running.kill('SIGTERM');
    // What comes together is one wish to stop: timeout(1) signals a process and its group.
    await sleep(700);
    running.kill('SIGTERM');
    assert.deepEqual(await exit, [1, null]);
    await heard('stopped at once; "swarmgate firewall remove" removes what is left');
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

  test('a flow that passes in doubt is in the status, in the event log and explained; a leak is counted', async () => {
    const log = join(folder, 'eve.json');
    const running = await start(
      `mode: enforce\ntraffic: { local: true }\nlimits: { inspected_packets: 4 }\neve: { file: ${log}, suspects: true }\n`,
    );
    // Loopback is never inspected; what goes out here is, to a neighbour who is not there.
    inside('ip link add out0 type veth peer name out1');
    inside('ip address add 10.9.0.1/24 dev out0');
    inside('ip link set out0 up');
    inside('ip link set out1 up');
    inside('ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev out0');
    writeFileSync(join(folder, 'talk.cjs'), talk);
    inside(`${process.execPath} ${join(folder, 'talk.cjs')}`);
    const ask = (...words: string[]): string =>
      execFileSync(process.execPath, [program, ...words, '--socket', join(folder, 'control.sock')], {
        encoding: 'utf8',
      });
    const status = JSON.parse(ask('status', '--json')) as StatusReport;
    assert.equal(status.flows.doubtful, 1);
    const [doubt] = status.doubtful;
    assert.deepEqual(
      [doubt!.flow.verdict, doubt!.flow.near_misses[0]!.detector, doubt!.flow.server_port],
      ['unknown', 'dht', 5000],
    );
    assert.equal(status.decisions.length, 1);
    assert.equal(status.flows.payload_bytes_before_verdict, 5);
    assert.equal(status.swarm.learned, status.swarm.endpoints);
    assert.match(
      ask('status'),
      /Doubtful flows that passed\n.* passed: udp 10\.9\.0\.1:4000 > 10\.9\.0\.2:5000/,
    );
    const explained = ask('explain', '--live', 'udp:10.9.0.1:4000-10.9.0.2:5000');
    assert.match(explained, /What looked like BitTorrent and was not believed/);
    assert.match(explained, /The flow was let pass at/);
    assert.match(explained, /What is remembered of its two ends now\n {2}10\.9\.0\.1:4000: /);
    await stopped(running);
    const events = readFileSync(log, 'utf8').trimEnd().split('\n');
    const ids = events.map(
      (line) => (JSON.parse(line) as { alert: { signature_id: number } }).alert.signature_id,
    );
    assert.deepEqual(ids.sort(), [signatures.dht.id, doubtfulSignature.id].sort());
  });
});

/** Eight datagrams that are nearly DHT, in one flow; in another five bytes of something, then DHT. */
const talk = `
  const { createSocket } = require('node:dgram');
  const [from, other] = [4000, 4001].map((port) => createSocket('udp4').bind(port));
  const near = 'd1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe';
  const dht = 'd1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe';
  const said = [...Array(8).fill([from, near]), [other, 'hello'], [other, dht]];
  const next = () => {
    const [socket, text] = said.shift() ?? [];
    if (socket === undefined) setTimeout(() => process.exit(), 300);
    else socket.send(text, 5000, '10.9.0.2', () => setTimeout(next, 20));
  };
  setTimeout(next, 100);
`;

const withoutTimes = (listing: string): string => listing.replace(/^#.*$|\[\d+:\d+\]/gm, '');
