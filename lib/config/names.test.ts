import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError, wantsNames, type Config } from './config.js';
import { flagsFrom } from './flags.js';
import { combine } from './load.js';
import { namesFileBytesMax, namesMax, parseListedName, readNames } from './names.js';
import { differences } from './reload.js';
import { readConfigText } from './yaml-file.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-names-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function list(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const read = (text: string, env: Record<string, string> = {}, argv: Record<string, unknown> = {}): Config =>
  combine(readConfigText(text, 'f'), 'f', { env, flags: flagsFrom(argv) }).config;

function problemsOf(text: string): string[] {
  try {
    read(text);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message.split('\n');
  }
}

test('how names may be written', () => {
  const right: Record<string, string> = {
    'tracker.example.org': 'tracker.example.org',
    'Tracker.EXAMPLE.org.': 'tracker.example.org',
    '*.OpenTrackr.org': '*.opentrackr.org',
    '=example.org': '=example.org',
    '=localhost': '=localhost',
    'bücher.example': 'xn--bcher-kva.example',
    '*.例え.jp': '*.xn--r8jz45g.jp',
    '_service.example.org': '_service.example.org',
    'a--b.example.org': 'a--b.example.org',
  };
  for (const [text, expected] of Object.entries(right)) assert.equal(parseListedName(text), expected);
  const wrong: Record<string, RegExp> = {
    '': /no host name/,
    org: /top-level domain.*=org/,
    '*.org': /top-level domain/,
    '192.0.2.1': /is an address/,
    '0x7f.1': /is an address/,
    '0.0.0.0 tracker.example.org': /no host name alone/,
    '||tracker.example.org^': /no host name alone/,
    'https://tracker.example.org/': /no host name alone/,
    'tracker.example.org:443': /no host name alone/,
    'a.*.org': /no host name/,
    '.example.org': /no host name/,
    'a..org': /no host name/,
    '-a.org': /no host name/,
    'a%2eb.org': /no host name/,
    'a\0b.org': /no host name/,
    [`${'a'.repeat(64)}.org`]: /no host name/,
    [`${'a.'.repeat(126)}org`]: /no host name/,
  };
  for (const [text, message] of Object.entries(wrong))
    assert.throws(() => parseListedName(text), { name: 'RangeError', message }, text);
});

test('no list is the default', () => {
  const { names } = read('');
  assert.deepEqual(names, { block: [], files: [], alpn: [], listed: [] });
  assert.equal(wantsNames(read('')), false);
});

test('names of the file, of the environment, of flags, and of lists', () => {
  const path = list('good.txt', '# trackers\r\n\n  Tracker.example.org  # mine\n=alone.example\n*.b.example');
  const inFile = read(`names: { block: [A.example, '*.c.example'], files: [${path}], alpn: [webtorrent] }`);
  assert.deepEqual(inFile.names.block, ['a.example', '*.c.example']);
  assert.deepEqual(inFile.names.alpn, ['webtorrent']);
  assert.deepEqual(inFile.names.listed, [
    'a.example',
    '*.c.example',
    'tracker.example.org',
    '=alone.example',
    '*.b.example',
  ]);
  assert.deepEqual(read('', { SWARMGATE_NAMES_BLOCK: 'a.example, =b.example' }).names.listed, [
    'a.example',
    '=b.example',
  ]);
  const flags = read('', {}, { 'block-name': ['x.example', 'y.example'], 'block-names-file': path });
  assert.deepEqual(flags.names.block, ['x.example', 'y.example']);
  assert.equal(flags.names.listed.length, 5);
  assert.equal(wantsNames(flags), true);
});

test('wrong names are refused with their place', () => {
  assert.deepEqual(problemsOf('names:\n  block: [a.example, org]'), [
    'f:2: names.block[1]: "org" is a whole top-level domain; write a name below it, or =org for the host of that name',
  ]);
  assert.match(
    problemsOf('names: { block: [17] }')[0]!,
    /^f:1: names\.block\[0\]: "17" is wrong; expected a host/,
  );
  assert.match(
    problemsOf('names: { alpn: ["a b"] }')[0]!,
    /^f:1: names\.alpn\[0\]: "a b" is wrong; expected an ALPN/,
  );
  assert.match(problemsOf('names: { files: [trackers.txt] }')[0]!, /expected a full path/);
});

test('every bad line of a list is refused with file and line', () => {
  const path = list('bad.txt', 'a.example\n127.0.0.1 b.example\n\n.c.example\nd.example\n');
  const problems = problemsOf(`names: { files: [${path}] }`);
  assert.equal(problems.length, 2);
  assert.ok(
    problems[0]!.startsWith(`${path}:2: "127.0.0.1 b.example" is no host name alone; expected`),
    problems[0],
  );
  assert.ok(problems[1]!.startsWith(`${path}:4: ".c.example" is no host name`), problems[1]);
});

test('a file of another kind is not reported line by line', () => {
  const { problems } = readNames([], [list('binary.txt', '<p>\n'.repeat(5000))]);
  assert.equal(problems.length, 21);
  assert.match(problems[20]!.message, /does not look like a list/);
});

test('what cannot be read as a list', () => {
  mkdirSync(join(folder, 'sub'));
  const cases: readonly [string, RegExp][] = [
    [join(folder, 'absent.txt'), /no such file/],
    [join(folder, 'sub'), /no regular file|cannot be read/],
    ['/dev/null', /no regular file/],
    [list('latin1.txt', Uint8Array.of(0x62, 0xfc, 0x0a)), /not UTF-8/],
    [list('large.txt', '#'.repeat(namesFileBytesMax + 1)), /larger than 4 MiB/],
  ];
  for (const [path, message] of cases) {
    const { problems } = readNames([], [path]);
    assert.equal(problems.length, 1, path);
    assert.match(problems[0]!.message, message);
    assert.equal(problems[0]!.source, path);
  }
});

test('more names than any list needs are refused', () => {
  const lines = Array.from({ length: namesMax }, (_, i) => `n${i}.example`).join('\n');
  const path = list('many.txt', lines);
  assert.deepEqual(readNames([], [path]).problems, []);
  assert.match(readNames(['one.more.example'], [path]).problems[0]!.message, /more than 100,000 names/);
});

test('a list may change while running, the first one needs a restart', () => {
  const [none, one, two] = [
    '',
    'names: { block: [a.example] }',
    'names: { block: [a.example, b.example] }',
  ].map((text) => read(text)) as [Config, Config, Config];
  const live = differences(one, two);
  assert.deepEqual([live.live.length, live.restart.length, live.refusal], [1, 0, null]);
  assert.equal(differences(one, none).refusal, null);
  const first = differences(none, one);
  assert.match(
    first.refusal!,
    /cannot change names\.block from \[\] to \["a\.example"\] \(with the first list/,
  );
});
