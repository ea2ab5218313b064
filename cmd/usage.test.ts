/** Wrong use of the command line, and a system that stands in the way: one clear sentence, and the right status. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { capturesFolder } from '../fixtures/scan-fixture.js';
import { program } from '../lib/testing.js';
import { swarmgate } from './program-testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-usage-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
const torrent = join(capturesFolder, 'peer-aria2-downloads.pcap');

/** By a shell, for what only a shell can do: the words are its arguments, "$@". */
function shell(script: string, ...words: string[]): SpawnSyncReturns<string> {
  return spawnSync('bash', ['-c', script, process.execPath, program, ...words], {
    encoding: 'utf8',
    timeout: 60_000,
  });
}

test('an option without its value is named, and is no defect', () => {
  for (const words of [
    ['scan', torrent, '-o'],
    ['explain', torrent, '--frame'],
    ['explain', torrent, '--flow'],
    ['status', '--instance'],
    ['status', '--socket'],
    ['numa', 'plan', '--sys'],
    ['check', '--batch'],
    ['firewall', 'show', '--interface', '--planned'],
  ]) {
    const run = swarmgate(words);
    assert.equal(run.status, 2, `${words.join(' ')}: ${run.stderr}`);
    assert.match(run.stderr, /^swarmgate: .*Not enough arguments.*\[usage\]\n$/);
  }
});

test('a switch with a value is refused, not taken for its contrary', () => {
  for (const words of [
    ['scan', '--exit-code=yes', torrent],
    ['scan', '--continuous=banana', torrent],
    ['detectors', '--json=1'],
    ['check', '--forwarded=maybe'],
  ]) {
    const run = swarmgate(words);
    assert.equal(run.status, 2, `${words.join(' ')}: ${run.stderr}`);
    assert.match(run.stderr, /takes no value.*\[bad-argument\]/);
  }
  assert.equal(swarmgate(['scan', '--exit-code=true', torrent]).status, 10);
  assert.equal(swarmgate(['scan', '--exit-code=false', torrent]).status, 0);
});

test('what an error quotes cannot steer a terminal', () => {
  const evil = '\u001b[31mred\u202e\u009b';
  writeFileSync(join(folder, 'evil.yaml'), '"\\u001b[31mmode": x\n');
  for (const words of [
    ['scan', join(folder, evil)],
    ['explain', torrent, '--flow', evil],
    ['status', '--socket', join(folder, evil)],
    ['firewall', 'show', '--planned', '--mark-mask', evil],
    ['check', '--config', join(folder, evil)],
    ['check', '--config', join(folder, 'evil.yaml')],
  ]) {
    const run = swarmgate(words);
    assert.notEqual(run.status, 0);
    assert.match(run.stderr, /\\x1b\[31m/);
    assert.doesNotMatch(run.stderr, /[\u001b\u202e\u009b]/); // eslint-disable-line no-control-regex -- the escapes must not be there
  }
});

test('a standard error that takes nothing costs neither report nor status', () => {
  if (!existsSync('/dev/full')) return;
  const empty = join(folder, 'empty.pcap');
  writeFileSync(empty, '');
  const run = shell('"$0" "$@" 2>/dev/full', 'scan', empty, torrent);
  assert.equal(run.status, 1);
  assert.match(run.stdout, /^BitTorrent found/);
  assert.equal(shell('"$0" "$@" 2>/dev/full', 'scan', join(folder, 'nope')).status, 1);
});

test('a file whose name is not UTF-8 is told of, not passed over', () => {
  const nested = join(folder, 'names');
  mkdirSync(nested);
  copyFileSync(torrent, join(nested, 'ok.pcap'));
  copyFileSync(
    torrent,
    Buffer.concat([Buffer.from(`${nested}/a`), Buffer.from([0xff]), Buffer.from('.pcap')]),
  );
  const run = swarmgate(['scan', nested]);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /a\ufffd\.pcap: its name is not UTF-8.*rename it/);
  assert.match(run.stdout, /^BitTorrent found/);
  const named = shell('"$0" "$@" "$(printf "a\\\\xff.pcap")"', 'scan');
  assert.equal(named.status, 1);
  assert.match(named.stderr, /its name is not UTF-8/);
});

test(
  'Ctrl-C ends standard input, not the scan: the report of what came is printed',
  { timeout: 60_000 },
  async (t) => {
    for (const writerEnds of [true, false]) {
      const words = [program, 'scan', '-', '--log-level', 'debug'];
      const scan = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'pipe'] });
      t.after(() => scan.kill('SIGKILL'));
      let text = '';
      let said = '';
      scan.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      scan.stderr.setEncoding('utf8').on('data', (piece: string) => (said += piece));
      const ended = once(scan, 'close');
      const whole = readFileSync(torrent);
      scan.stdin.write(whole.subarray(0, whole.length - 100));
      // It has begun: before, a signal would end it.
      while (!said.includes('1 thread for 1 file')) await setTimeout(20);
      scan.kill('SIGINT');
      await setTimeout(200);
      // As tcpdump, which writes the rest of its buffer.
      scan.stdin.write(whole.subarray(whole.length - 100));
      if (writerEnds) scan.stdin.end();
      assert.deepEqual(await ended, [writerEnds ? 0 : 1, null]);
      assert.match(text, /^BitTorrent found/);
      assert.equal(said.includes('[interrupted]'), !writerEnds);
    }
  },
);

test('a file as standard input is ended by Ctrl-C as any file', { timeout: 60_000 }, async () => {
  const large = join(folder, 'large.pcap');
  const whole = readFileSync(torrent);
  const packets = whole.subarray(24);
  writeFileSync(large, whole.subarray(0, 24));
  const piece = Buffer.concat(new Array<Buffer>(Math.ceil(2e7 / packets.length)).fill(packets));
  for (let i = 0; i < 10; i++) appendFileSync(large, piece);
  const file = openSync(large, 'r');
  const words = [program, 'scan', '-', '--log-level', 'debug'];
  const scan = spawn(process.execPath, words, { stdio: [file, 'pipe', 'pipe'] });
  const ended = once(scan, 'close');
  scan.stderr!.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('1 thread for 1 file')) scan.kill('SIGINT');
  });
  assert.deepEqual(await ended, [null, 'SIGINT']);
});

test('explain says why a file could not be read, by frame as by flow', () => {
  const text = join(folder, 'text.pcap');
  writeFileSync(text, 'this is no capture');
  for (const words of [
    ['--frame', '1'],
    ['--flow', '10.0.0.1:1-10.0.0.2:2'],
  ]) {
    const run = swarmgate(['explain', text, ...words]);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /\[not-a-capture\]/);
  }
});

test('flags that are wrong are wrong arguments, a file that is wrong is a wrong configuration', () => {
  for (const words of [
    ['check', '--mode', 'foo'],
    ['check', '--mode', 'monitor', '--mode', 'enforce'],
    ['run', '--copy-bytes', '10'],
  ])
    assert.equal(swarmgate(words).status, 2, words.join(' '));
  const file = join(folder, 'wrong.yaml');
  writeFileSync(file, 'mode: foo\n');
  assert.equal(swarmgate(['check', '--config', file, '--mode', 'foo']).status, 78);
});
