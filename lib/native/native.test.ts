import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  getAffinity,
  nativeProblem,
  NativeError,
  notify,
  openQueue,
  type QueueArrays,
  setAffinity,
  setThreadName,
  threadId,
  workClock,
} from './index.js';
import { compileSanitized } from './testing.js';

const skip = nativeProblem() ?? false;

function temporary(t: { after(what: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-native-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  return folder;
}

test('without the addon: native-missing, and what to install', (t) => {
  const folder = temporary(t);
  mkdirSync(join(folder, 'lib', 'native'), { recursive: true });
  copyFileSync(
    fileURLToPath(new URL('index.js', import.meta.url)),
    join(folder, 'lib', 'native', 'index.js'),
  );
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  const address = pathToFileURL(join(folder, 'lib', 'native', 'index.js')).href;
  const script = `import('${address}').then((native) => native.threadId()).catch((error) => console.log(error.code, error.message))`;
  const run = (): string => spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' }).stdout;
  assert.match(run(), /^native-missing .*libnetfilter-queue-dev/);
  mkdirSync(join(folder, 'native'));
  writeFileSync(join(folder, 'native', 'swarmgate.node'), 'not a library');
  assert.match(run(), /^native-missing .*does not load.*deploy\/build-native/);
});

test('affinity and name belong to the calling thread', { skip }, async () => {
  const before = getAffinity();
  assert.ok(before.length > 0);
  const address = JSON.stringify(new URL('index.js', import.meta.url).href);
  const worker = new Worker(
    `import(${address}).then((native) => {
      native.setAffinity([${before[0]!}]);
      native.setThreadName('swarmgate-0');
      const name = require('node:fs').readFileSync('/proc/self/task/' + native.threadId() + '/comm', 'utf8').trim();
      require('node:worker_threads').parentPort.postMessage({ cpus: native.getAffinity(), id: native.threadId(), name });
    })`,
    { eval: true },
  );
  const [said] = (await once(worker, 'message')) as [{ cpus: number[]; id: number; name: string }];
  assert.deepEqual(said.cpus, [before[0]]);
  assert.equal(said.name, 'swarmgate-0');
  assert.notEqual(said.id, threadId());
  assert.equal(threadId(), process.pid, 'the main thread has the id of its process');
  assert.deepEqual(getAffinity(), before);
  setAffinity(before);
  setThreadName('node');
});

test('the clock for work writes microseconds that go on', { skip }, () => {
  const read = workClock();
  const now = new Float64Array(2).fill(-1);
  read(now);
  const first = now[0]!;
  const expected = Number(process.hrtime.bigint()) / 1000;
  assert.ok(Math.abs(first - expected) < 1e6, `${first} beside ${expected}`);
  read(now);
  assert.ok(now[0]! >= first);
  assert.equal(now[1], -1);
  assert.throws(() => {
    read(new Float64Array(0));
  }, TypeError);
});

test('a processor that does not exist is refused with a code', { skip }, () => {
  assert.throws(() => {
    setAffinity([4000]);
  }, isNative('affinity-refused'));
  assert.throws(() => {
    setAffinity([70_000]);
  }, isNative('affinity-refused'));
});

function isNative(code: string): (error: unknown) => boolean {
  return (error) => error instanceof NativeError && error.code === code;
}

const python = spawnSync('python3', ['-c', 'import socket']).status === 0;
const noReceiver = python ? skip : 'needs python3 as the receiver: Node has no unix datagram sockets';

for (const kind of ['path', 'abstract'] as const) {
  test(`notify reaches the socket that systemd named (${kind})`, { skip: noReceiver }, async (t) => {
    const name = kind === 'path' ? join(temporary(t), 'notify') : `@swarmgate-test-${process.pid}`;
    const script = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.settimeout(5)
s.bind(sys.argv[1].replace('@', chr(0))); sys.stdout.write('bound'); sys.stdout.flush(); sys.stdout.write(s.recv(4096).decode())`;
    const receiver = spawn('python3', ['-c', script, name], { stdio: ['ignore', 'pipe', 'inherit'] });
    receiver.stdout.setEncoding('utf8');
    await once(receiver.stdout, 'data');
    process.env['NOTIFY_SOCKET'] = name;
    t.after(() => delete process.env['NOTIFY_SOCKET']);
    assert.equal(notify('READY=1\nSTATUS=two queues'), true);
    const [text] = (await once(receiver.stdout, 'data')) as [string];
    assert.equal(text, 'READY=1\nSTATUS=two queues');
  });
}

test('notify says false when nobody asked, and fails with a code when nobody listens', { skip }, (t) => {
  delete process.env['NOTIFY_SOCKET'];
  assert.equal(notify('READY=1'), false);
  t.after(() => delete process.env['NOTIFY_SOCKET']);
  for (const path of ['/nonexistent/notify', 'vsock:2:1234', `/${'x'.repeat(200)}`]) {
    process.env['NOTIFY_SOCKET'] = path;
    assert.throws(() => notify('READY=1'), isNative('notify-failed'), path);
  }
});

test('arrays that are too short or of another type are refused before anything is opened', { skip }, () => {
  const options = { queue: 1, batchPackets: 4, slotBytes: 1024, copyBytes: 512, lengthMax: 16 };
  const rest = { receiveBufferBytes: 65_536, failOpen: true, gso: true, timeoutMillis: 0 };
  const nothing = { bytes: new Uint8Array(4096), start: new Int32Array(3) } as unknown as QueueArrays;
  assert.throws(() => openQueue({ ...options, ...rest }, nothing), { name: 'TypeError', message: 'start' });
  const wrong = { ...nothing, start: new Float64Array(4) } as unknown as QueueArrays;
  assert.throws(() => openQueue({ ...options, ...rest }, wrong), { name: 'TypeError', message: 'start' });
  const wide = { ...options, ...rest, copyBytes: 1000 };
  assert.throws(() => openQueue(wide, nothing), { name: 'TypeError', message: 'slotBytes' });
});

test('damaged messages and random verdicts under a sanitizer, ids wrapping at 2^32', { skip }, (t) => {
  const program = compileSanitized(
    temporary(t),
    ['check', 'queue', 'receive', 'backlog', 'settle'],
    ['-lnetfilter_queue', '-lmnl', '-Wl,--wrap=clock_gettime,--wrap=poll,--wrap=send'],
  );
  if (program === null) {
    t.skip('the C compiler has no address sanitizer');
    return;
  }
  const { status, stdout, stderr } = spawnSync(program, ['200000'], { encoding: 'utf8', timeout: 60_000 });
  assert.equal(status, 0, stderr);
  t.diagnostic(stdout.trim());
});
