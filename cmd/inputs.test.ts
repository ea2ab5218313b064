/** What is read when files, folders, links and names of all sorts are given, and what is said about the rest. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { capturesFolder } from '../fixtures/scan-fixture.js';
import { memorySource } from '../lib/io/memory-source.js';
import { fromHex } from '../lib/testing.js';
import { swarmgate as runSwarmgate } from './program-testing.js';
import { listInputs, protectWords, unprotectWord, type Input } from './inputs.js';
import { showsProgress } from './scan.js';
import { Scanner } from './scanner.js';

const root = mkdtempSync(join(tmpdir(), 'swarmgate-inputs-'));
chmodSync(root, 0o755);
after(() => {
  rmSync(root, { recursive: true, force: true });
});
let folder = root;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'test-'));
  chmodSync(folder, 0o755);
});

const capture = join(capturesFolder, 'benign-dns.pcap');

/** Permissions bind only who is not root: tests of them run as nobody then. */
const nobody = 65_534;
const asUser = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {};

const swarmgate = (words: string[], options: object = {}): SpawnSyncReturns<string> =>
  runSwarmgate(words, { cwd: folder, ...options });

const skip =
  swarmgate(['--version'], asUser).status === 0 ? false : 'this checkout cannot be read by an ordinary user';

interface JsonSummary {
  files: number;
  files_failed: number;
  files_passed_over: number;
  caveats: string[];
  warnings: { file: string; code: string }[];
}

function summaryOf(run: SpawnSyncReturns<string>): JsonSummary {
  return (JSON.parse(run.stdout) as { summary: JsonSummary }).summary;
}

test('a refused file counts among the files, and the others are still judged', () => {
  writeFileSync(join(folder, 'bad.txt'), 'no capture');
  const both = swarmgate(['scan', capture, 'bad.txt']);
  assert.equal(both.status, 1);
  assert.match(both.stdout, /^No BitTorrent found in /);
  assert.match(both.stdout, /^1 of 2 files could not be read\. Nothing is known about what it holds\.$/m);
  const alone = swarmgate(['scan', 'bad.txt']);
  assert.equal(alone.status, 1);
  assert.match(alone.stdout, /^1 of 1 file could not be read\. This says nothing about the traffic\.$/m);
});

test('a named path of links in a circle is refused in one sentence', () => {
  symlinkSync('loop', join(folder, 'loop'));
  for (const words of [
    ['scan', 'loop'],
    ['explain', 'loop', '--frame', '1'],
  ]) {
    const run = swarmgate(words);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /^swarmgate: loop: .*circle.*\[unreadable\]\n$/);
  }
});

test('a named path below or at an unreadable folder is refused in one sentence', { skip }, () => {
  mkdirSync(join(folder, 'closed'));
  copyFileSync(capture, join(folder, 'closed', 'a.pcap'));
  chmodSync(join(folder, 'closed'), 0);
  for (const path of ['closed', 'closed/a.pcap']) {
    const run = swarmgate(['scan', path], asUser);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /^swarmgate: closed.*permission denied.*\[unreadable\]\n$/);
  }
});

test('an unreadable folder below a walked one is a warning, and the scan goes on', { skip }, () => {
  mkdirSync(join(folder, 'all', 'closed'), { recursive: true });
  copyFileSync(capture, join(folder, 'all', 'z.pcap'));
  chmodSync(join(folder, 'all', 'z.pcap'), 0o644);
  chmodSync(join(folder, 'all', 'closed'), 0);
  const run = swarmgate(['scan', '-f', 'json', 'all'], asUser);
  assert.equal(run.status, 1, run.stderr);
  assert.match(run.stderr, /all\/closed: permission denied.*\[unreadable\]/);
  const { files, files_failed: failed, warnings } = summaryOf(run);
  assert.deepEqual([files, failed], [1, 0]);
  assert.deepEqual(
    warnings.map(({ file, code }) => [file, code]),
    [['all/closed', 'unreadable']],
  );
});

test('links to files in a folder are followed, links to folders and to nowhere are not', () => {
  mkdirSync(join(folder, 'links'));
  symlinkSync(capture, join(folder, 'links', 'a.pcap'));
  symlinkSync('.', join(folder, 'links', 'circle'));
  symlinkSync(capturesFolder, join(folder, 'links', 'folder'));
  symlinkSync('missing', join(folder, 'links', 'nowhere'));
  symlinkSync('self', join(folder, 'links', 'self'));
  assert.deepEqual(
    listInputs([join(folder, 'links')]).map(({ path }) => basename(path)),
    ['a.pcap'],
  );
});

test('files of folders that are no captures are counted', () => {
  copyFileSync(capture, join(folder, 'a.pcap'));
  for (const name of ['notes.txt', 'result.json']) writeFileSync(join(folder, name), '{}');
  const {
    files,
    files_failed: failed,
    files_passed_over: over,
  } = summaryOf(swarmgate(['scan', '-f', 'json', '.']));
  assert.deepEqual([files, failed, over], [1, 0, 2]);
  assert.match(swarmgate(['scan', '.']).stdout, /^2 files in the folders passed over/m);
});

test('folders without any capture end in a sentence and status 1', () => {
  mkdirSync(join(folder, 'empty'));
  assert.match(swarmgate(['scan', 'empty']).stderr, /\[no-input\]/);
  writeFileSync(join(folder, 'empty', 'notes.txt'), 'no capture');
  const run = swarmgate(['scan', '-f', 'jsonl', 'empty']);
  assert.equal(run.status, 1);
  assert.equal(run.stdout, '');
  assert.match(run.stderr, /hold no capture \(1 file is something else\).*\[no-capture\]/);
});

test('names that begin with a dash are read after --', () => {
  copyFileSync(capture, join(folder, '-x.pcap'));
  copyFileSync(capture, join(folder, 'a.pcap'));
  const run = swarmgate(['scan', '-f', 'json', '--', '-x.pcap']);
  assert.equal(run.status, 0, run.stderr);
  assert.equal(summaryOf(swarmgate(['scan', '-f', 'json', 'a.pcap', '--', '-x.pcap'])).files, 2);
  assert.equal(swarmgate(['explain', '--frame', '2', '--', '-x.pcap']).status, 0);
  const words = ['scan', '-', '--', '-', '-f', 'a'];
  assert.deepEqual(protectWords(words).map(unprotectWord), ['scan', '-', '-', '-f', 'a']);
});

test('all warnings are counted, also those beyond the list', async () => {
  const inputs = Array.from({ length: 1500 }, (_, i): Input => ({
    path: `f${i}`,
    fromFolder: true,
    problem: `f${i}: permission denied`,
  }));
  let told = 0;
  const scanner = new Scanner({
    continuous: false,
    onFlow: () => undefined,
    onWarning: () => {
      told++;
    },
  });
  await scanner.run(inputs);
  const { warnings, warningCounts, warningsLeftOut } = scanner.summary();
  assert.deepEqual([warnings.length, warningsLeftOut, told], [1000, 500, 1500]);
  assert.deepEqual(warningCounts, { unreadable: 1500 });
  assert.equal(scanner.incomplete, 1500);
});

test('the summary tells how often a limit was reached', async () => {
  const scanner = new Scanner({ continuous: true, flowsMax: 64, onFlow: () => undefined });
  // 100 flows at once: UDP from 192.0.2.1, one source port each.
  const packets = Array.from({ length: 100 }, (_, i) => ({
    bytes: fromHex(
      `4500001d 00000000 4011 0000 c0000201 c6336401 ${(1024 + i).toString(16).padStart(4, '0')} 0035 0009 0000 00`,
    ),
    timeMicros: 1_000_000 + i,
    linkType: 101,
  }));
  await scanner.scanSource(memorySource('memory', packets));
  const { flowsEvicted, ...others } = scanner.summary().limits;
  assert.equal(flowsEvicted, 36);
  assert.deepEqual(others, { openingsTakenOver: 0, evidenceDropped: 0, datagramsEvicted: 0 });
});

test('sizes are known of files and unknown of standard input; every input is told when it is done', async () => {
  copyFileSync(capture, join(folder, 'a.pcap'));
  writeFileSync(join(folder, 'notes.txt'), 'no capture');
  const inputs = listInputs([folder]);
  assert.ok(inputs.every(({ sizeBytes }) => sizeBytes !== undefined && sizeBytes > 0));
  assert.equal(listInputs(['-'])[0]!.sizeBytes, undefined);
  const done: Input[] = [];
  const scanner = new Scanner({
    continuous: false,
    onFlow: () => undefined,
    onInputDone: (input) => done.push(input),
  });
  await scanner.run(inputs);
  assert.deepEqual(done, inputs);
});

test('no progress line where a report runs across it', () => {
  for (const format of ['json', 'jsonl', 'csv', 'eve'] as const) {
    assert.equal(showsProgress({ progress: true, format }, true, true), false, format);
    assert.equal(showsProgress({ progress: true, format }, false, true), true, format);
  }
  assert.equal(showsProgress({ progress: true, format: 'table' }, true, true), true);
  assert.equal(showsProgress({ progress: true, format: 'table' }, true, false), false);
  assert.equal(showsProgress({ progress: false, format: 'table' }, true, true), false);
});
