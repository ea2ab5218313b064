/** status, top and explain --live against a control server with made-up answers, in child processes. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { ControlServer } from '../lib/control/server.js';
import { DecisionList, flowEndsOf } from '../lib/report/decision-list.js';
import { fakeDecision, fakeDoubt, fakeStatus } from '../lib/report/status-testing.js';
import type { DoubtReport } from '../lib/report/status.js';
import { fakeNear } from '../lib/report/testing.js';
import { program } from '../lib/testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-live-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
let nextPath = 0;

interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Not spawnSync: the server that answers lives in this process. */
function run(
  command: string,
  words: readonly string[],
  keys: readonly [number, string][] = [],
): Promise<Run> {
  return new Promise((resolve) => {
    const child = spawn(command, words, { env: { ...process.env, TERM: 'xterm' }, timeout: 20_000 });
    const got = { stdout: '', stderr: '' };
    child.stdout.on('data', (bytes: Buffer) => (got.stdout += bytes.toString()));
    child.stderr.on('data', (bytes: Buffer) => (got.stderr += bytes.toString()));
    child.stdin.on('error', () => undefined);
    for (const [millis, key] of keys) setTimeout(() => child.stdin.write(key), millis);
    child.on('close', (status) => {
      resolve({ status, ...got });
    });
  });
}

const swarmgate = (...words: string[]): Promise<Run> => run(process.execPath, [program, ...words]);

async function serve(t: TestContext, path = join(folder, `${nextPath++}.sock`)): Promise<string> {
  const decisions = new DecisionList();
  decisions.add(fakeDecision());
  const doubtful = new DecisionList<DoubtReport>();
  doubtful.add(fakeDoubt({ flow: fakeNear({ client_port: 4000 }) }));
  const server = await ControlServer.listen(path, {
    status: () => fakeStatus(),
    explain: (args) => {
      const ends = flowEndsOf(args);
      assert.ok(ends);
      return {
        flow: null,
        decision: decisions.find(ends),
        doubt: doubtful.find(ends),
        memory: [],
        worker: null,
      };
    },
  });
  t.after(() => server.close());
  return path;
}

test('status: a page for people, an object for programs', async (t) => {
  const socket = await serve(t);
  const page = await swarmgate('status', '--socket', socket);
  assert.equal(page.status, 0, page.stderr);
  assert.match(page.stdout, /^Blocking BitTorrent since/);
  for (const line of page.stdout.split('\n')) assert.ok(line.length <= 80, line);
  const json = await swarmgate('status', '--json', '--socket', socket);
  assert.equal((JSON.parse(json.stdout) as { mode: string }).mode, 'enforce');
});

test('nobody there, and a name that cannot be, are told in a sentence', async () => {
  const none = await swarmgate('status', '--socket', join(folder, 'none'));
  assert.equal(none.status, 1);
  assert.match(none.stderr, /is swarmgate running\? .*\[not-running\]/);
  assert.equal((await swarmgate('status', '--instance', '../x')).status, 2);
});

test('explain --live: the flow in either order', async (t) => {
  const socket = await serve(t);
  const flow = '198.51.100.7:6881-192.168.1.10:51413';
  const found = await swarmgate('explain', '--live', flow, '--socket', socket);
  assert.equal(found.status, 0, found.stderr);
  assert.match(found.stdout, /The flow was dropped at/);
  const json = await swarmgate('explain', '--json', '--live', flow, '--socket', socket);
  assert.equal((JSON.parse(json.stdout) as { decision: { action: string } }).decision.action, 'drop');
  const doubt = await swarmgate(
    ...['explain', '--live', 'udp:198.51.100.7:443-192.168.1.10:4000', '--socket', socket],
  );
  assert.match(doubt.stdout, /but without\s+transaction id[^]*The flow was let pass at/);
  const udp = await swarmgate('explain', '--live', `udp:${flow}`, '--socket', socket);
  assert.equal(udp.status, 1);
  assert.match(udp.stderr, /\[no-such-flow\]/);
  assert.match((await swarmgate('explain', '--live', 'nonsense')).stderr, /--live nonsense: write tcp:/);
  assert.match((await swarmgate('explain')).stderr, /which file\?/);
  assert.equal((await swarmgate('explain', 'x.pcap', '--live', flow)).status, 2);
});

test('top needs a terminal', async () => {
  const refused = await swarmgate('top');
  assert.equal(refused.status, 2);
  assert.match(refused.stderr, /use swarmgate status .*\[not-a-terminal\]/);
});

const noScript =
  spawnSync('script', ['--version']).status === 0 ? false : 'script (bsdutils) is not installed';

test('top draws, waits while nobody answers, and gives the terminal back', { skip: noScript }, async (t) => {
  const path = join(folder, `${nextPath++}.sock`);
  setTimeout(() => void serve(t, path), 1500);
  const command = `stty rows 40 cols 80; "${process.execPath}" "${program}" top --socket "${path}"`;
  const { stdout, status } = await run('script', ['-qec', command, '/dev/null'], [[4500, 'q']]);
  assert.equal(status, 0);
  assert.match(stdout, /Waiting\. nothing answers at/);
  assert.match(stdout, /Blocking BitTorrent/);
  assert.ok(stdout.includes('\x1b[?1049h\x1b[?25l'));
  assert.ok(stdout.trimEnd().endsWith('\x1b[?25h\x1b[?1049l'), JSON.stringify(stdout.slice(-100)));
});
