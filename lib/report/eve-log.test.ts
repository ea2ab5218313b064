import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryPath } from '../testing.js';
import { EveLog, type EveTrouble } from './eve-log.js';
import { fakeDecision, fakeDoubt } from './status-testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-eve-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

test('decisions are appended, whole lines, readable by the group', async () => {
  const path = join(folder, 'eve.json');
  const log = EveLog.open(path);
  for (let i = 0; i < 499; i++) log.decision(fakeDecision());
  log.doubt(fakeDoubt());
  await log.close();
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  assert.equal(lines.length, 500);
  for (const line of lines) assert.equal((JSON.parse(line) as { event_type: string }).event_type, 'alert');
  assert.equal(statSync(path).mode & 0o137, 0);
  assert.equal(log.dropped, 0);
  assert.equal(log.lines, 500);
  log.line('late\n');
  assert.equal(log.dropped, 1);
});

test('a line that was cut by a crash is not joined to the next', async () => {
  const path = join(folder, 'cut.json');
  writeFileSync(path, '{"whole":1}\n{"cu');
  const log = EveLog.open(path);
  log.line('{"next":1}\n');
  await log.close();
  assert.equal(readFileSync(path, 'utf8'), '{"whole":1}\n{"cu\n{"next":1}\n');
});

test('rotation: what comes after reopen is in the new file, no line is lost or cut', async () => {
  const path = join(folder, 'rotated.json');
  const log = EveLog.open(path);
  const names: string[] = [];
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 2000; i++) log.line(`{"round":${round},"i":${i}}\n`);
    await sleep(1);
    renameSync(path, `${path}.${round}`);
    names.push(`${path}.${round}`);
    log.reopen();
    await sleep(5);
  }
  log.line('{"last":true}\n');
  await log.close();
  const lines = [...names, path]
    .flatMap((name) => readFileSync(name, 'utf8').trimEnd().split('\n'))
    .filter((line) => line !== '');
  assert.equal(lines.length, 10_001);
  for (const line of lines) JSON.parse(line);
  assert.match(readFileSync(path, 'utf8'), /last/);
});

test('a full disk: told once, bounded, counted', async () => {
  const troubles: EveTrouble[] = [];
  const log = EveLog.open('/dev/full', {
    onTrouble: (trouble) => troubles.push(trouble),
    waitingMax: 1000,
    retryMillis: 5,
  });
  for (let i = 0; i < 100; i++) log.line(`${'x'.repeat(99)}\n`);
  await sleep(60);
  assert.deepEqual(
    troubles.map(({ code }) => code),
    ['ENOSPC'],
  );
  assert.equal(log.trouble?.code, 'ENOSPC');
  assert.ok(log.dropped >= 90, `${log.dropped}`);
  await log.close();
  assert.equal(log.dropped, 100);
});

test('a folder that is not there: told once, tried again, healed', async () => {
  const troubles: string[] = [];
  const healed: number[] = [];
  const path = join(folder, 'missing', 'eve.json');
  const log = EveLog.open(path, {
    onTrouble: ({ code }) => troubles.push(code),
    onHealed: (dropped) => healed.push(dropped),
    waitingMax: 30,
    retryMillis: 10,
  });
  log.line('{"kept":1}\n');
  log.line(`${'x'.repeat(50)}\n`);
  await sleep(50);
  mkdirSync(join(folder, 'missing'));
  const timer = setInterval(() => undefined, 5);
  await sleep(60);
  clearInterval(timer);
  assert.deepEqual([troubles, healed, log.trouble], [['ENOENT'], [1], null]);
  await log.close();
  assert.equal(readFileSync(path, 'utf8'), '{"kept":1}\n');
});

test('a symbolic link is refused with a reason', async () => {
  const link = join(folder, 'link.json');
  symlinkSync(join(folder, 'elsewhere'), link);
  const log = EveLog.open(link);
  assert.equal(log.trouble?.code, 'ELOOP');
  assert.match(log.trouble.message, /symbolic link/);
  log.line('x\n');
  await log.close();
  assert.ok(!existsSync(join(folder, 'elsewhere')));
});

test('a FIFO whose reader is slow or gone holds nobody up', async () => {
  const path = join(folder, 'fifo');
  spawnSync('mkfifo', [path]);
  const log = EveLog.open(path, { waitingMax: 200_000, retryMillis: 10 });
  assert.equal(log.trouble?.code, 'ENXIO');
  const reader = spawn('sh', ['-c', `sleep 0.2; exec cat < ${path}`]);
  let size = 0;
  reader.stdout.on('data', (bytes: Buffer) => (size += bytes.length));
  for (let i = 0; i < 1500; i++) log.line(`${'x'.repeat(99)}\n`);
  const ended = new Promise((resolve) => reader.on('close', resolve));
  for (let i = 0; i < 100 && size < 150_000; i++) await sleep(20);
  assert.equal(log.trouble, null);
  await log.close();
  await ended;
  assert.equal(size, 150_000);
});

test('standard output: a reader that goes away ends the writing and not the program', () => {
  const script = `
    import { EveLog } from ${JSON.stringify(repositoryPath('dist', 'lib', 'report', 'eve-log.js'))};
    const log = EveLog.open('-', { onTrouble: ({ code }) => process.stderr.write('trouble ' + code) });
    const timer = setInterval(() => log.line('x'.repeat(1000) + '\\n'), 1);
    setTimeout(async () => { clearInterval(timer); await log.close(); process.stderr.write(' alive ' + (log.dropped > 0)); }, 300);`;
  const file = join(folder, 'stdout.mjs');
  writeFileSync(file, script);
  const shell = (text: string) => spawnSync('sh', ['-c', text, 'sh', file], { encoding: 'utf8' });
  assert.equal(shell('node "$1" | head -c 10 >/dev/null').stderr, 'trouble EPIPE alive true');
  const whole = shell('node "$1" | wc -l');
  assert.equal(whole.stderr, ' alive false');
  assert.ok(Number(whole.stdout) > 10);
});

test('more records than may come in a second are counted, and told once in a while', async () => {
  const path = join(folder, 'flood.json');
  const told: number[] = [];
  const log = EveLog.open(path, { perSecond: 10, onLost: (dropped) => told.push(dropped) });
  for (let i = 0; i < 50; i++) log.decision(fakeDecision());
  await sleep(1100);
  log.decision(fakeDecision());
  await log.close();
  const written = readFileSync(path, 'utf8').trimEnd().split('\n').length;
  assert.ok(written >= 11 && written < 50, `${written} written`);
  assert.equal(written + log.dropped, 51);
  assert.equal(log.lines, 51);
  assert.equal(told.length, 2, 'the first at once, the others at the end');
  assert.equal(told[0]! + told[1]!, log.dropped);
});
