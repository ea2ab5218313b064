/** `swarmgate status --all` against control servers with made-up answers, and against sockets that nobody serves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { ControlServer } from '../lib/control/server.js';
import type { StatusSum } from '../lib/report/status-sum.js';
import { fakeStatus } from '../lib/report/status-testing.js';
import type { StatusReport } from '../lib/report/status.js';
import { program } from '../lib/testing.js';
import type { SilentSocket } from './all-instances.js';

function swarmgate(...words: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...words], { timeout: 20_000 });
    const got = { stdout: '', stderr: '' };
    child.stdout.on('data', (bytes: Buffer) => (got.stdout += bytes.toString()));
    child.stderr.on('data', (bytes: Buffer) => (got.stderr += bytes.toString()));
    child.on('close', (status) => {
      resolve({ status, ...got });
    });
  });
}

/** A folder with an instance for each name. */
async function folderWith(t: TestContext, ...names: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-all-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  for (const name of names) {
    const server = await ControlServer.listen(join(folder, `${name}.sock`), {
      status: () => fakeStatus({ instance: name }),
    });
    t.after(() => server.close());
  }
  return folder;
}

/** A socket file whose server has gone. */
async function stale(folder: string): Promise<string> {
  const server = createServer();
  const path = join(folder, 'node9.sock');
  await new Promise<void>((resolve) => server.listen(`${path}.live`, resolve));
  // Closing removes the file only under the name that it was bound to.
  renameSync(`${path}.live`, path);
  await new Promise((resolve) => server.close(resolve));
  return path;
}

test('several: a line for each and the sum; what does not answer is named and passed over', async (t) => {
  const folder = await folderWith(t, 'node10', 'node2');
  const path = await stale(folder);
  writeFileSync(join(folder, 'plain.sock'), '');
  writeFileSync(join(folder, 'node2.pid'), '');
  const text = await swarmgate('status', '--all', '--folder', folder);
  assert.equal(text.status, 0, text.stderr);
  assert.match(text.stdout, /^ {2}?node2[\s\S]*node10[\s\S]*^ {2}?all/m);
  assert.ok(text.stderr.includes(`warning: nothing answers at ${path}`), text.stderr);
  assert.doesNotMatch(text.stderr, /plain/);
  const json = await swarmgate('status', '--all', '--json', '--folder', folder);
  const { instances, sum, silent } = JSON.parse(json.stdout) as {
    instances: StatusReport[];
    sum: StatusSum;
    silent: SilentSocket[];
  };
  assert.deepEqual(
    instances.map(({ instance }) => instance),
    ['node2', 'node10'],
  );
  assert.equal(sum.packets, 2 * fakeStatus().packets);
  assert.deepEqual(
    silent.map(({ socket, code }) => [socket, code]),
    [[path, 'not-running']],
  );
});

test('one: that one; --full says everything', async (t) => {
  const folder = await folderWith(t, 'lan');
  const { stdout } = await swarmgate('status', '--all', '--folder', folder);
  assert.match(stdout, /^Instance lan, /m);
  assert.doesNotMatch(stdout, /^ {2}all /m);
  const full = await swarmgate('status', '--full', '--socket', join(folder, 'lan.sock'));
  assert.equal(full.status, 0, full.stderr);
});

test('none: an error that says what to do; wrong words too', async (t) => {
  const folder = await folderWith(t);
  const none = await swarmgate('status', '--all', '--folder', folder);
  assert.match(none.stderr, /no instance answers in .*\[not-running\]/);
  assert.equal(none.status, 1);
  const path = await stale(folder);
  assert.ok(
    (await swarmgate('status', '--all', '--folder', folder)).stderr.includes(`${path}: nobody there`),
  );
  assert.match((await swarmgate('status', '--all', '--folder', '/nonexistent')).stderr, /\[not-running\]/);
  for (const words of [
    ['--all', '--instance', 'a'],
    ['--all', '--socket', '/x'],
    ['--folder', '/x'],
  ])
    assert.match((await swarmgate('status', ...words)).stderr, /\[bad-argument\]/, words.join(' '));
});

test('answers that are no status, and sockets that never answer: named, passed over, and waited for only so long', async (t) => {
  const folder = await folderWith(t, 'node0');
  const odd: readonly [string, unknown][] = [
    ['null', null],
    ['text', 'instance'],
    ['list', ['instance']],
    ['bare', { instance: 'bare' }],
    ['older', { ...fakeStatus({ instance: 'older' }), latency_histogram: undefined }],
    ['nested', { ...fakeStatus(), flows: { by_verdict: null } }],
    ['named', { ...fakeStatus(), instance: { toString: 1 } }],
  ];
  for (const [name, answer] of odd) {
    const server = await ControlServer.listen(join(folder, `${name}.sock`), { status: () => answer });
    t.after(() => server.close());
  }
  const hanging = createServer();
  await new Promise<void>((resolve) => hanging.listen(join(folder, 'hanging.sock'), resolve));
  t.after(() => hanging.close());
  for (const words of [[], ['--json'], ['--full']]) {
    const { status, stdout, stderr } = await swarmgate('status', '--all', '--folder', folder, ...words);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /node0/);
    for (const [name] of odd)
      assert.ok(stderr.includes(`${join(folder, name)}.sock: `), `${name}: ${stderr}`);
    assert.match(stderr, /hanging\.sock: no answer within/);
  }
});
