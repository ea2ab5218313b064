/** Reports that cannot be written, must not be written over something, or are interrupted. */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { capturesFolder } from '../fixtures/scan-fixture.js';
import { program } from '../lib/testing.js';
import { swarmgate as runSwarmgate } from './program-testing.js';

const root = mkdtempSync(join(tmpdir(), 'swarmgate-output-'));
after(() => {
  rmSync(root, { recursive: true, force: true });
});
let folder = root;
beforeEach(() => {
  folder = mkdtempSync(join(root, 'test-'));
});

const torrent = join(capturesFolder, 'peer-aria2-downloads.pcap');

const swarmgate = (words: string[]): SpawnSyncReturns<string> => runSwarmgate(words, { cwd: folder });

/** A shell in which `"$NODE" "$PROGRAM"` is swarmgate and $T a capture. */
function shell(command: string): SpawnSyncReturns<string> {
  return spawnSync('bash', ['-c', command], {
    encoding: 'utf8',
    cwd: folder,
    env: { ...process.env, NODE: process.execPath, PROGRAM: program, T: torrent },
  });
}

const full = existsSync('/dev/full') ? false : 'no /dev/full on this system';
const s = '"$NODE" "$PROGRAM"';

describe('a report that does not arrive', () => {
  test('standard output on a full device: status 1 and output-failed', { skip: full }, () => {
    for (const words of [
      'scan "$T"',
      'scan -f jsonl "$T"',
      'explain "$T" --frame 9',
      'detectors',
      '--help',
    ]) {
      const run = shell(`${s} ${words} > /dev/full`);
      assert.equal(run.status, 1, words);
      assert.match(run.stderr, /^swarmgate: .*ENOSPC.*\[output-failed\]\n$/, words);
    }
  });

  test('-o on a full device: status 1 and output-failed', { skip: full }, () => {
    const run = swarmgate(['scan', torrent, '-o', '/dev/full']);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /\[output-failed\]/);
  });

  test('a file that takes only part of the last write is noticed', () => {
    for (const to of ['> report.html', '-o report.html']) {
      const run = shell(`ulimit -f 8; ${s} scan -f html "$T" ${to}`);
      assert.equal(run.status, 1, to);
      assert.match(run.stderr, /\[output-failed\]/);
    }
  });

  test('a closed standard output is refused, unless the status is the answer', (t) => {
    if (!existsSync('/proc/self/fdinfo/1')) {
      t.skip('no /proc: it cannot be told');
      return;
    }
    const run = shell(`${s} scan "$T" >&-`);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /standard output is closed.*\[output-failed\]/);
    assert.equal(shell(`${s} scan --exit-code "$T" >&-`).status, 10);
    assert.equal(shell(`${s} scan "$T" > /dev/null`).status, 0);
    assert.equal(shell(`${s} scan "$T" -o report.txt >&-`).status, 0);
  });

  test('a reader that goes away is no error', () => {
    for (const words of [`scan -f html "$T"`, 'explain "$T" --frame 9', 'detectors']) {
      const run = shell(`set -o pipefail; ${s} ${words} | true`);
      assert.equal(run.status, 0, words);
      assert.equal(run.stderr, '', words);
    }
  });
});

describe('where -o writes', () => {
  test('an empty name is refused; - is standard output', () => {
    for (const words of [['-o', ''], ['--output=']]) {
      const run = swarmgate(['scan', torrent, ...words]);
      assert.equal(run.status, 2);
      assert.match(run.stderr, /--output: the name is empty \[bad-argument\]/);
    }
    assert.match(swarmgate(['scan', torrent, '-o', '-']).stdout, /^BitTorrent found/);
    assert.deepEqual(readdirSync(folder), []);
  });

  test('never over one of the captures, by whatever name', () => {
    copyFileSync(torrent, join(folder, 'a.pcap'));
    symlinkSync('a.pcap', join(folder, 'link.pcap'));
    const before = readFileSync(torrent);
    const commands = [
      'a.pcap -o a.pcap',
      'a.pcap -o ./link.pcap',
      'link.pcap -o a.pcap',
      '. -o a.pcap',
      '- -o a.pcap < a.pcap',
    ];
    for (const command of commands) {
      const run = shell(`${s} scan ${command}`);
      assert.equal(run.status, 2, command);
      assert.match(run.stderr, /one of the captures.*\[output-is-input\]/, command);
      assert.deepEqual(readFileSync(join(folder, 'a.pcap')), before);
    }
  });

  test('a report in the folder that is scanned can be written again', () => {
    copyFileSync(torrent, join(folder, 'a.pcap'));
    for (let i = 0; i < 2; i++) assert.equal(swarmgate(['scan', '.', '-o', 'report.txt']).status, 0);
    assert.doesNotMatch(readFileSync(join(folder, 'report.txt'), 'utf8'), /passed over/);
  });

  test('nothing that lies in the way is followed or overwritten', () => {
    writeFileSync(join(folder, 'precious'), 'precious');
    writeFileSync(join(folder, 'x'), 'old');
    symlinkSync('precious', join(folder, 'x.partial'));
    assert.equal(swarmgate(['scan', torrent, '-o', 'x']).status, 0);
    assert.equal(readFileSync(join(folder, 'precious'), 'utf8'), 'precious');
    assert.equal(readlinkSync(join(folder, 'x.partial')), 'precious');
    assert.match(readFileSync(join(folder, 'x'), 'utf8'), /^BitTorrent found/);
    assert.deepEqual(readdirSync(folder).sort(), ['precious', 'x', 'x.partial']);
  });

  test('through a link to its target, which may not exist yet; the link stays', () => {
    mkdirSync(join(folder, 'there'));
    writeFileSync(join(folder, 'there', 'old'), 'old');
    symlinkSync('there/old', join(folder, 'to-old'));
    symlinkSync('there/new', join(folder, 'to-new'));
    for (const name of ['old', 'new']) {
      assert.equal(swarmgate(['scan', torrent, '-o', `to-${name}`]).status, 0, name);
      assert.ok(lstatSync(join(folder, `to-${name}`)).isSymbolicLink());
      assert.match(readFileSync(join(folder, 'there', name), 'utf8'), /^BitTorrent found/);
    }
    symlinkSync('circle', join(folder, 'circle'));
    assert.match(swarmgate(['scan', torrent, '-o', 'circle']).stderr, /\[output-unwritable\]/);
    assert.deepEqual(readdirSync(join(folder, 'there')).sort(), ['new', 'old']);
  });

  test('the mode of an existing file is kept, a new one has that of the umask', () => {
    writeFileSync(join(folder, 'private'), '');
    chmodSync(join(folder, 'private'), 0o600);
    writeFileSync(join(folder, 'open'), '');
    chmodSync(join(folder, 'open'), 0o666);
    const run = shell(`umask 027; for f in private open new; do ${s} scan "$T" -o $f; done`);
    assert.equal(run.status, 0, run.stderr);
    const modes = ['private', 'open', 'new'].map((name) => statSync(join(folder, name)).mode & 0o777);
    assert.deepEqual(modes, [0o600, 0o666, 0o640]);
  });

  test('a name as long as names can be, and one in a folder that does not exist', () => {
    const name = 'n'.repeat(255);
    assert.equal(swarmgate(['scan', torrent, '-o', name]).status, 0);
    assert.ok(existsSync(join(folder, name)));
    for (const path of ['missing/x', 'missing/'])
      assert.match(swarmgate(['scan', torrent, '-o', path]).stderr, /\[output-unwritable\]/);
  });
});

/** Waits until `what` gives something. */
async function until<T>(what: () => T | undefined | false): Promise<T> {
  for (let i = 0; i < 400; i++) {
    const found = what();
    if (found !== undefined && found !== false) return found;
    await delay(25);
  }
  throw new Error('waited in vain');
}

describe('a signal', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`${signal} removes the unfinished report and ends the program as a signal does`, async () => {
      writeFileSync(join(folder, 'old'), 'old');
      const child = spawn(process.execPath, [program, 'scan', '-', '-o', 'old'], {
        cwd: folder,
        stdio: ['pipe', 'ignore', 'pipe'],
      });
      await until(() => readdirSync(folder).length === 2);
      await delay(100);
      child.kill(signal);
      if (signal === 'SIGINT') {
        // The first one is for whoever writes to standard input.
        await delay(100);
        child.kill(signal);
      }
      const [status, by] = (await once(child, 'exit')) as [number | null, string | null];
      assert.deepEqual([status, by], [null, signal]);
      assert.deepEqual(readdirSync(folder), ['old']);
      assert.equal(readFileSync(join(folder, 'old'), 'utf8'), 'old');
    });
  }

  const script = spawnSync('script', ['--version']).error === undefined;
  test(
    'the progress line is gone when a signal ends the program',
    { skip: script ? false : 'no script(1)' },
    async () => {
      writeFileSync(join(folder, 'all'), readFileSync(torrent));
      // Something comes for twenty seconds, so that there is progress to show, however late the program begins to read.
      const feed = '(exec < all; head -c 5000; for i in {1..40}; do sleep 0.5; head -c 100; done)';
      const command = `${feed} | (echo $BASHPID > pid; exec ${s} scan - -o report)`;
      const child = spawn('script', ['-qec', `bash -c '${command}'`, '/dev/null'], {
        cwd: folder,
        env: { ...process.env, NODE: process.execPath, PROGRAM: program },
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      let text = '';
      child.stdout.on('data', (part: Buffer) => (text += part.toString()));
      await until(() => text.includes('packets/s'));
      process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')), 'SIGTERM');
      await until(() => text.endsWith('\r\x1b[2K'));
      assert.ok(!readdirSync(folder).some((name) => name.endsWith('.partial')));
      child.kill();
    },
  );
});
