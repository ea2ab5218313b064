import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './client.js';
import { ControlError, parseReply } from './protocol.js';
import { ControlServer, type ControlHandlers, type ControlServerOptions } from './server.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-control-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
let nextPath = 0;
const freshPath = (): string => join(folder, `${nextPath++}.sock`);
const withCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

const handlers: ControlHandlers = {
  echo: (args) => args,
  later: async () => {
    await sleep(20);
    return 'later';
  },
  big: () => 'x'.repeat(8 * 1024 * 1024),
  coded: () => {
    throw new ControlError('some-code', 'a sentence');
  },
  broken: () => {
    throw new Error('a defect');
  },
};

async function serve(
  t: TestContext,
  options: ControlServerOptions = {},
): Promise<{ path: string; server: ControlServer }> {
  const path = freshPath();
  const server = await ControlServer.listen(path, handlers, options);
  t.after(() => server.close());
  return { path, server };
}

/** A client by hand; `text` is all that it received until the connection ended. */
function raw(path: string): { socket: Socket; text: Promise<string> } {
  const socket = connect({ path, allowHalfOpen: true });
  let received = '';
  socket.on('data', (bytes) => {
    received += bytes.toString();
  });
  socket.on('error', () => undefined);
  const text = new Promise<string>((resolve) => {
    socket.on('end', () => socket.end());
    socket.on('close', () => {
      resolve(received);
    });
  });
  return { socket, text };
}

const codeOf = (text: string): string => {
  const reply = parseReply(text.split('\n')[0]!);
  return reply.ok ? 'ok' : reply.code;
};

test('questions are answered, errors keep their code', async (t) => {
  const defects: string[] = [];
  const { path } = await serve(t, { onError: (verb) => defects.push(verb) });
  assert.deepEqual(await ask(path, 'echo', { a: [1] }), { a: [1] });
  assert.equal(await ask(path, 'later'), 'later');
  assert.equal(((await ask(path, 'big')) as string).length, 8 * 1024 * 1024);
  await assert.rejects(ask(path, 'coded'), withCode('some-code'));
  await assert.rejects(ask(path, 'broken'), withCode('internal'));
  await assert.rejects(ask(path, 'constructor'), withCode('unknown-verb'));
  await assert.rejects(ask(path, 'nothing'), /unknown|no such verb; there are echo, later/);
  assert.deepEqual(defects, ['broken']);
});

test('requests of one connection are answered in order, also after the client has ended its side', async (t) => {
  const { path } = await serve(t);
  const { socket, text } = raw(path);
  socket.end('{"verb":"later"}\n\n{"verb":"echo"}\nnonsense\n');
  const replies = (await text).trimEnd().split('\n').map(parseReply);
  assert.deepEqual(
    replies.map((reply) => (reply.ok ? reply.result : reply.code)),
    ['later', {}, 'bad-request'],
  );
});

test('the socket is for its owner alone, in whatever umask, and nothing else is left behind', async (t) => {
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const { path, server } = await serve(t);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('.')),
    [],
  );
  await server.close();
  assert.ok(!existsSync(path));
  await server.close();
});

test('a live daemon is not displaced, a stale socket is', async (t) => {
  const { path, server } = await serve(t);
  await assert.rejects(ControlServer.listen(path, handlers), withCode('control-busy'));
  assert.deepEqual(await ask(path, 'echo'), {});
  const stale = freshPath();
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  assert.ok(lstatSync(stale).isSocket());
  const second = await ControlServer.listen(stale, handlers);
  assert.deepEqual(await ask(stale, 'echo'), {});
  await second.close();
  await server.close();
  await assert.rejects(ask(path, 'echo'), withCode('not-running'));
});

test('a socket is bound inside its own folder, the only one that a service may write to', async (t) => {
  const own = mkdtempSync(join(folder, 'own-'));
  const path = join(own, 'control.sock');
  let inside: string[] = [];
  let beside: string[] = [];
  const before = readdirSync(folder);
  const live = createServer((socket) => {
    inside = readdirSync(own);
    beside = readdirSync(folder);
    socket.destroy();
  });
  await new Promise<void>((resolve) => live.listen(path, resolve));
  t.after(() => live.close());
  await assert.rejects(ControlServer.listen(path, handlers), withCode('control-busy'));
  assert.deepEqual(beside, before);
  assert.equal(inside.length, 2);
  assert.deepEqual(readdirSync(own), ['control.sock']);
});

test('of several that start at once over a stale socket exactly one wins', async () => {
  const path = freshPath();
  spawnSync(process.execPath, [
    '-e',
    `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
  ]);
  const tries = await Promise.allSettled([1, 2, 3, 4].map(() => ControlServer.listen(path, handlers)));
  const won = tries.filter((result) => result.status === 'fulfilled');
  assert.equal(won.length, 1);
  assert.deepEqual(await ask(path, 'echo'), {});
  await won[0]!.value.close();
  assert.ok(!existsSync(path));
});

test('what is not a socket stays, and close leaves a foreign socket alone', async (t) => {
  const file = freshPath();
  writeFileSync(file, 'precious');
  await assert.rejects(ControlServer.listen(file, handlers), withCode('control-not-a-socket'));
  assert.ok(existsSync(file));
  const link = freshPath();
  symlinkSync(file, link);
  await assert.rejects(ControlServer.listen(link, handlers), withCode('control-not-a-socket'));
  const { path, server } = await serve(t);
  rmSync(path);
  const foreign = createServer();
  await new Promise<void>((resolve) => foreign.listen(path, resolve));
  await server.close();
  assert.ok(existsSync(path));
  foreign.close();
});

test('a path that cannot be is refused with a sentence', async () => {
  await assert.rejects(
    ControlServer.listen(join(folder, 'x'.repeat(120)), handlers),
    withCode('control-path'),
  );
  await assert.rejects(ask(join(folder, 'x'.repeat(120)), 'echo'), withCode('control-path'));
  await assert.rejects(ControlServer.listen('/proc/nowhere/x.sock', handlers), ControlError);
});

test('too long, too many and too slow: each is told or cut off, and others go on', async (t) => {
  const { path, server } = await serve(t, { clientsMax: 3, idleMillis: 1500, replyMillis: 1200 });
  const long = raw(path);
  long.socket.write('x'.repeat(70_000));
  assert.equal(codeOf(await long.text), 'request-too-long');
  const many = raw(path);
  many.socket.write('{"verb":"later"}\n'.repeat(40));
  assert.equal(codeOf(await many.text), 'too-many-requests');
  const slow = raw(path);
  slow.socket.pause();
  slow.socket.write('{"verb":"big"}\n'.repeat(2));
  const idle = [raw(path), raw(path)];
  const clients = async (count: number): Promise<void> => {
    for (let i = 0; i < 500 && server.clients !== count; i++) await sleep(10);
    assert.equal(server.clients, count);
  };
  await clients(3);
  await assert.rejects(ask(path, 'echo'), withCode('control-crowded'));
  await clients(0);
  slow.socket.destroy();
  for (const { text } of idle) assert.equal(await text, '');
  assert.deepEqual(await ask(path, 'echo'), {});
});

test('bytes of every kind neither crash nor block the server', async (t) => {
  const { path } = await serve(t);
  const hostile = [
    '\0\0\n',
    '\xff\xfe\n',
    '{"verb":"echo"',
    '['.repeat(50_000) + '\n',
    '{"verb":"__proto__"}\n',
    '\n\n\n',
  ];
  for (const bytes of hostile) {
    const { socket, text } = raw(path);
    socket.end(Buffer.from(bytes, 'latin1'));
    await text;
  }
  const gone = raw(path);
  gone.socket.write('{"verb":"big"}\n');
  gone.socket.destroy();
  assert.deepEqual(await ask(path, 'echo'), {});
});

test('a client says why it got no answer', async (t) => {
  await assert.rejects(ask(freshPath(), 'status'), withCode('not-running'));
  const path = freshPath();
  const mute = createServer((socket) => socket.on('error', () => undefined));
  t.after(() => mute.close());
  await new Promise<void>((resolve) => mute.listen(path, resolve));
  await assert.rejects(ask(path, 'status', {}, { timeoutMillis: 50 }), withCode('control-timeout'));
  const odd = freshPath();
  const other = createServer((socket) => socket.end('HTTP/1.1 400\n'));
  t.after(() => other.close());
  await new Promise<void>((resolve) => other.listen(odd, resolve));
  await assert.rejects(ask(odd, 'status'), withCode('control-protocol'));
  const file = freshPath();
  writeFileSync(file, '');
  await assert.rejects(ask(file, 'status'), ControlError);
});
