/** The command line as a user meets it: exit statuses, formats, refusals. Runs the built program in child processes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { capturesFolder } from '../fixtures/scan-fixture.js';
import type { FlowReport } from '../lib/report/report.js';
import { concat, program, repositoryPath } from '../lib/testing.js';
import { ipv4, tcp } from '../lib/wire/testing.js';
import { swarmgate } from './program-testing.js';
import { parseFlow } from './explain.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-cli-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const torrent = join(capturesFolder, 'peer-aria2-downloads.pcap');
const benign = join(capturesFolder, 'benign-dns.pcap');

function flowsOf(text: string): FlowReport[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as FlowReport);
}

describe('scan', () => {
  test('says in words what it found, without colour or progress when not on a terminal', () => {
    const run = swarmgate(['scan', torrent]);
    assert.equal(run.status, 0, run.stderr);
    assert.match(run.stdout, /^BitTorrent found/);
    assert.doesNotMatch(run.stdout, /\x1b/); // eslint-disable-line no-control-regex -- the escape is what must not be there
    assert.equal(run.stderr, '');
  });

  test('--exit-code is 10 with BitTorrent and 0 without', () => {
    assert.equal(swarmgate(['scan', '--exit-code', torrent]).status, 10);
    assert.equal(swarmgate(['scan', '--exit-code', benign]).status, 0);
  });

  test('every format goes to a file that holds the same as standard output', () => {
    for (const format of ['table', 'json', 'jsonl', 'csv', 'eve', 'html']) {
      const path = join(folder, `report.${format}`);
      const toFile = swarmgate(['scan', '--format', format, '-o', path, torrent]);
      assert.equal(toFile.status, 0, toFile.stderr);
      assert.equal(toFile.stdout, '');
      assert.ok(!existsSync(`${path}.partial`));
      const text = readFileSync(path, 'utf8');
      assert.ok(text.length > 100, format);
      const seconds = /[\d.]+ (ms|s|seconds)\b|"elapsed_?[sS]econds": ?[\d.]+/g;
      const shown = swarmgate(['scan', '--format', format, torrent]).stdout;
      if (format !== 'html' && format !== 'json')
        assert.equal(text.replace(seconds, ''), shown.replace(seconds, ''));
    }
  });

  test('standard input, a gzip file and the plain file give the same flows', () => {
    const plain = flowsOf(swarmgate(['scan', '-f', 'jsonl', torrent]).stdout);
    const piped = flowsOf(swarmgate(['scan', '-f', 'jsonl', '-'], { input: readFileSync(torrent) }).stdout);
    assert.ok(plain.length > 0);
    assert.deepEqual(
      piped,
      plain.map((flow) => ({ ...flow, file: '-' })),
    );
  });

  test('a folder is walked in order; what is no capture in it is passed over', () => {
    const inner = join(folder, 'captures', 'b');
    mkdirSync(inner, { recursive: true });
    copyFileSync(torrent, join(folder, 'captures', 'z.pcap'));
    copyFileSync(benign, join(inner, 'a.pcap'));
    writeFileSync(join(folder, 'captures', 'readme.txt'), 'not a capture');
    const run = swarmgate(['scan', '-f', 'jsonl', join(folder, 'captures')]);
    assert.equal(run.status, 0, run.stderr);
    assert.equal(run.stderr, '');
    const files = flowsOf(run.stdout).map(({ file }) => file);
    assert.deepEqual([...new Set(files)], [join(inner, 'a.pcap'), join(folder, 'captures', 'z.pcap')]);
  });

  test('a file cut in the middle gives what was before the cut, a warning and status 1', () => {
    const path = join(folder, 'cut.pcap');
    writeFileSync(path, readFileSync(torrent).subarray(0, 5000));
    const run = swarmgate(['scan', '-f', 'jsonl', path]);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /warn: .*cut\.pcap.*\[capture-cut\]/);
    assert.ok(flowsOf(run.stdout).some(({ verdict }) => verdict === 'bittorrent'));
  });

  test('a file that is no capture is refused by name, the others are still scanned', () => {
    const path = join(folder, 'text.pcap');
    writeFileSync(path, 'this is not a capture file at all');
    const run = swarmgate(['scan', '-f', 'jsonl', path, torrent]);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /text\.pcap.*\[not-a-capture\]/);
    assert.ok(flowsOf(run.stdout).length > 0);
  });

  test('wrong arguments are refused with status 2 and a reason', () => {
    for (const words of [
      [],
      ['scan'],
      ['scan', '--nonsense', torrent],
      ['scan', '-f', 'xml', torrent],
      ['bogus'],
    ]) {
      const run = swarmgate(words);
      assert.equal(run.status, 2, words.join(' '));
      assert.match(run.stderr, /^swarmgate: .+\[usage\]|Invalid values/);
      assert.equal(run.stdout, '');
    }
    const limit = swarmgate(['scan', '--flows-max', '1', torrent]);
    assert.equal(limit.status, 2);
    assert.match(limit.stderr, /--flows-max/);
    assert.match(
      swarmgate(['scan', '-f', 'csv', '-f', 'eve', torrent]).stderr,
      /--format was given more than once/,
    );
    const missing = swarmgate(['scan', join(folder, 'missing.pcap')]);
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /missing\.pcap: no such file.*\[no-such-file\]/);
  });

  test('a report that cannot be written is refused and an older one is left whole', () => {
    const run = swarmgate(['scan', '-o', join(folder, 'no-such-folder', 'x'), torrent]);
    assert.equal(run.status, 1);
    assert.match(run.stderr, /\[output-unwritable\]/);
    const old = join(folder, 'old.txt');
    writeFileSync(old, 'old report');
    assert.equal(swarmgate(['scan', '-o', old, join(folder, 'missing.pcap')]).status, 1);
    assert.equal(readFileSync(old, 'utf8'), 'old report');
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.endsWith('.partial')),
      [],
    );
  });

  test('a reader that goes away ends the scan quietly', () => {
    const run = spawnSync(
      'bash',
      ['-c', `"$0" "$1" scan -f jsonl "$2" | head -n 1`, process.execPath, program, capturesFolder],
      {
        encoding: 'utf8',
      },
    );
    assert.equal(run.stderr, '');
    assert.equal(flowsOf(run.stdout).length, 1);
  });

  test('--continuous carries flows from one piece of a recording to the next', () => {
    const bytes = readFileSync(torrent);
    const second = secondRecord(bytes, 12);
    const header = bytes.subarray(0, 24);
    const [one, two] = [join(folder, 'piece-1.pcap'), join(folder, 'piece-2.pcap')];
    writeFileSync(one, bytes.subarray(0, second));
    writeFileSync(two, Buffer.concat([header, bytes.subarray(second)]));
    const whole = flowsOf(swarmgate(['scan', '-f', 'jsonl', torrent]).stdout);
    const pieces = flowsOf(swarmgate(['scan', '-f', 'jsonl', '--continuous', one, two]).stdout);
    assert.deepEqual(
      pieces.map(({ packets, bytes: size, verdict }) => [packets, size, verdict]),
      whole.map(({ packets, bytes: size, verdict }) => [packets, size, verdict]),
    );
    const apart = flowsOf(swarmgate(['scan', '-f', 'jsonl', one, two]).stdout);
    assert.ok(apart.length > whole.length);
  });
});

/** Byte offset of the n-th record (from 0) of a classic little-endian pcap file. */
function secondRecord(bytes: Buffer, n: number): number {
  let at = 24;
  for (let i = 0; i < n; i++) at += 16 + bytes.readUInt32LE(at + 8);
  return at;
}

describe('explain', () => {
  test('the same flow by frame and by its two ends', () => {
    const [flow] = flowsOf(swarmgate(['scan', '-f', 'jsonl', torrent]).stdout).filter(
      (x) => x.verdict === 'bittorrent',
    );
    assert.ok(flow);
    const ends = `${flow.proto}:${flow.server}:${flow.server_port}-${flow.client}:${flow.client_port}`;
    const texts = [
      ['--frame', String(flow.decided_frame)],
      ['--flow', ends],
    ].map((words) => swarmgate(['explain', torrent, ...words]));
    for (const run of texts) {
      assert.equal(run.status, 0, run.stderr);
      assert.match(run.stdout, /BitTorrent/);
      assert.match(run.stdout, new RegExp(`frame\\.number == ${flow.decided_frame ?? 0}`));
    }
    assert.equal(texts[0]!.stdout, texts[1]!.stdout);
  });

  test('refuses what it cannot find or understand', () => {
    const cases: [string[], number, RegExp][] = [
      [['explain', torrent], 2, /--frame N or --flow FLOW/],
      [['explain', torrent, '--frame', '0'], 2, /whole number/],
      [['explain', torrent, '--frame', '99999'], 1, /\[no-such-flow\]/],
      [['explain', torrent, '--flow', 'nonsense'], 2, /\[bad-argument\]/],
      [['explain', torrent, '--flow', 'tcp:10.0.0.1:1-10.0.0.2:2'], 1, /\[no-such-flow\]/],
      [['explain', torrent, '--flow', '1'], 2, /--flow 1: write tcp:.*\[bad-argument\]/],
      [['explain', '-', '--frame', '1'], 2, /read twice/],
      [['explain', capturesFolder, '--frame', '1'], 2, /read twice/],
      [['explain', join(folder, 'missing.pcap'), '--frame', '1'], 1, /\[no-such-file\]/],
    ];
    for (const [words, status, message] of cases) {
      const run = swarmgate(words);
      assert.equal(run.status, status, `${words.join(' ')}: ${run.stderr}`);
      assert.match(run.stderr, message);
    }
  });

  test('of a five-tuple that is used again and again the first hundred connections are shown', () => {
    const capture = join(folder, 'again.pcap');
    const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
    const records = Array.from({ length: 130 }, (_, i) => {
      const syn = tcp(new Uint8Array(0), [50_000, 6881]);
      syn[13] = 0x02;
      syn[5] = i; // of the sequence number
      const packet = ipv4(6, syn);
      return concat(...[i, 0, packet.length, packet.length].map(word), packet);
    });
    // pcap, version 2.4, link type 101 (raw IP).
    const head = [0xa1b2c3d4, 0x0004_0002, 0, 0, 65_535, 101].map(word);
    writeFileSync(capture, concat(...head, ...records));
    const [flow] = flowsOf(swarmgate(['scan', '-f', 'jsonl', capture]).stdout);
    const ends = `${flow!.client}:${flow!.client_port}-${flow!.server}:${flow!.server_port}`;
    const run = swarmgate(['explain', capture, '--json', '--flow', ends]);
    assert.equal(run.stdout.trim().split('\n').length, 100);
    assert.match(run.stderr, /30 further connections between these ends are not shown.*\[flows-left-out\]/);
    assert.equal(run.status, 0);
  });

  test('a pipe is refused, not waited for', () => {
    const command = '"$0" "$1" explain <(cat "$2") --frame 1';
    const run = spawnSync('bash', ['-c', command, process.execPath, program, torrent], {
      encoding: 'utf8',
      timeout: 20_000,
    });
    assert.equal(run.status, 2, run.stderr);
    assert.match(run.stderr, /read twice.*\[bad-argument\]/);
    const stdin = spawnSync(process.execPath, [program, 'explain', '/dev/stdin', '--frame', '1'], {
      encoding: 'utf8',
      timeout: 20_000,
      input: readFileSync(torrent),
    });
    assert.equal(stdin.status, 2, stdin.stderr);
  });

  test('flow descriptions: both families, with and without protocol', () => {
    assert.deepEqual(parseFlow('udp:[2001:db8::1]:6881-[2001:db8::2]:51413'), {
      proto: 17,
      a: [0x20010db8, 0, 0, 1],
      aPort: 6881,
      b: [0x20010db8, 0, 0, 2],
      bPort: 51413,
    });
    assert.equal(parseFlow('10.0.0.1:1-10.0.0.2:2').proto, null);
    for (const text of [
      '',
      'tcp:1.2.3.4:5',
      '1.2.3.4:5-1.2.3.4:66000',
      'icmp:1.2.3.4:5-1.2.3.4:6',
      '1.2.3:5-1.2.3.4:6',
    ]) {
      assert.throws(() => parseFlow(text), { code: 'bad-argument' }, text);
    }
  });
});

test('detectors lists every detector with reference, confidence and limits', () => {
  const run = swarmgate(['detectors']);
  assert.equal(run.status, 0);
  for (const word of ['peer-handshake', 'BEP 3', 'proof', 'Limits:'])
    assert.ok(run.stdout.includes(word), word);
  const list = JSON.parse(swarmgate(['detectors', '--json']).stdout) as { name: string; limits: string }[];
  assert.ok(list.length >= 10 && list.every(({ limits }) => limits.length > 10));
});

test('a defect of the program is one line with the stack below it, and status 70', () => {
  const broken = 'data:text/javascript,JSON.stringify=()=>{throw%20new%20Error("boom")}';
  const run = spawnSync(process.execPath, ['--import', broken, program, 'detectors', '--json'], {
    encoding: 'utf8',
  });
  assert.equal(run.status, 70);
  assert.match(run.stderr, /^swarmgate: internal error: boom\n.*Error: boom\n +at /);
  assert.match(swarmgate(['--help']).stdout, /\b70 a defect/);
});

test('--help of every command shows an example, and --version the version', () => {
  for (const words of [['--help'], ['scan', '--help'], ['explain', '--help'], ['detectors', '--help']]) {
    const run = swarmgate(words);
    assert.equal(run.status, 0);
    assert.match(run.stdout, /swarmgate/);
  }
  assert.match(swarmgate(['scan', '--help']).stdout, /swarmgate scan capture\.pcap/);
  const { version } = JSON.parse(readFileSync(repositoryPath('package.json'), 'utf8')) as { version: string };
  assert.equal(swarmgate(['--version']).stdout.trim(), version);
});
