/** `scan --workers` as a user meets it. Runs the built program in child processes. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { capturesFolder } from '../fixtures/scan-fixture.js';
import { program } from '../lib/testing.js';
import { swarmgate } from './program-testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-workers-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const torrent = join(capturesFolder, 'peer-aria2-downloads.pcap');
const benign = join(capturesFolder, 'benign-dns.pcap');

test('the report, the warnings and the status are those of one thread', () => {
  const broken = join(folder, 'broken');
  mkdirSync(broken);
  copyFileSync(torrent, join(broken, 'a.pcap'));
  writeFileSync(join(broken, 'b.pcap'), readFileSync(torrent).subarray(0, 5000));
  writeFileSync(join(broken, 'c.txt'), 'no capture');
  copyFileSync(benign, join(broken, 'd.pcap'));
  const text = join(folder, 'text.pcap');
  writeFileSync(text, 'this is not a capture file at all');
  for (const words of [
    ['-f', 'jsonl', text, broken, capturesFolder],
    ['-f', 'eve', '--exit-code', broken],
    ['-f', 'csv', '--exit-code', benign, benign],
    ['-f', 'jsonl', '--log-level', 'error', text],
    ['-f', 'csv', join(folder, 'missing.pcap'), torrent],
  ]) {
    const [one, several] = [1, 3].map((workers) => swarmgate(['scan', '-j', String(workers), ...words]));
    assert.equal(several!.stdout, one!.stdout, words.join(' '));
    assert.equal(several!.stderr, one!.stderr, words.join(' '));
    assert.equal(several!.status, one!.status, words.join(' '));
  }
  const again = swarmgate(['scan', '--workers', '2', '-f', 'jsonl', '-o', join(folder, 'out'), broken]);
  assert.deepEqual([again.status, again.stdout], [1, '']);
  const direct = swarmgate(['scan', '-f', 'jsonl', broken]).stdout;
  assert.equal(readFileSync(join(folder, 'out'), 'utf8'), direct);
});

test('bad numbers are refused with status 2 and the reason', () => {
  for (const words of [
    ['--workers', '0'],
    ['--workers', '65'],
    ['-j', 'many'],
    ['--workers='],
    ['--workers', '-1'],
  ]) {
    const run = swarmgate(['scan', ...words, torrent]);
    assert.equal(run.status, 2, words.join(' '));
    assert.match(
      run.stderr,
      /--workers: auto, or a whole number from 1 to 64 \[bad-argument\]|--workers.*\[usage\]|Not enough/,
    );
  }
  assert.match(
    swarmgate(['scan', '-j', '1', '--workers', '2', torrent]).stderr,
    /--workers was given more than once/,
  );
  assert.match(swarmgate(['scan', '--help']).stdout, /--workers 8 -f jsonl captures\//);
});

test('how many threads there are: one for what is small, one recording or standard input', () => {
  const threads = (words: readonly string[], input = ''): string =>
    /(\d+) threads? for/.exec(swarmgate(['scan', '--log-level', 'debug', ...words], { input }).stderr)?.[1] ??
    'none';
  assert.equal(threads([capturesFolder]), '1');
  assert.equal(threads(['-j', '2', capturesFolder]), '2');
  assert.equal(threads(['-j', '8', torrent, benign]), '2');
  assert.equal(threads(['-j', '8', '--continuous', torrent, benign]), '1');
  assert.equal(threads(['-j', '8', torrent, '-'], readFileSync(benign, 'latin1')), '1');
});

test('a reader that goes away ends the scan quietly', () => {
  const command = '"$0" "$1" scan -j 3 -f jsonl "$2" "$2" "$2" | head -n 1';
  const run = spawnSync('bash', ['-c', command, process.execPath, program, capturesFolder], {
    encoding: 'utf8',
  });
  assert.equal(run.stderr, '');
  assert.equal(run.stdout.trim().split('\n').length, 1);
});

test('a defect in a thread is told with status 70, and no report is left behind', () => {
  const broken =
    'data:text/javascript,import{isMainThread}from"node:worker_threads";if(!isMainThread)throw(new(Error)("boom"))';
  const out = join(folder, 'none');
  const run = spawnSync(
    process.execPath,
    ['--import', broken, program, 'scan', '-j', '2', '-o', out, capturesFolder],
    { encoding: 'utf8' },
  );
  assert.equal(run.status, 70);
  assert.match(run.stderr, /^swarmgate: internal error: a thread of the scan failed: boom\n/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name === 'none' || name.endsWith('.partial')),
    [],
  );
});

describe('a signal', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} ends all threads as a signal does, and removes the unfinished report`, async () => {
      const links = join(folder, `links-${signal}`);
      mkdirSync(links);
      for (let i = 0; i < 20_000; i++) symlinkSync(torrent, join(links, `${i}.pcap`));
      const to = mkdtempSync(join(folder, 'to-'));
      const child = spawn(process.execPath, [program, 'scan', '-j', '3', links, '-o', join(to, 'report')], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      for (let i = 0; i < 400 && readdirSync(to).length === 0; i++) await delay(25);
      await delay(300);
      child.kill(signal);
      assert.deepEqual(await once(child, 'exit'), [null, signal]);
      assert.deepEqual(readdirSync(to), []);
    });
  }
});
