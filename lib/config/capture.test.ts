/** The settings of `monitor`: its flags beside those of `run`, what contradicts itself, and what a reload may change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import yargs from 'yargs';
import { ConfigError, type Config } from './config.js';
import { configFlags, flagsFrom } from './flags.js';
import { combine } from './load.js';
import { differences } from './reload.js';
import { readConfigText } from './yaml-file.js';

const none = { env: {}, flags: new Map<string, string>() };
const load = (text: string): ReturnType<typeof combine> => combine(readConfigText(text, 'f'), 'f', none);
const read = (text: string): Config => load(text).config;

/** What is wrong with a text: "line path: message". */
function complaints(text: string): string[] {
  try {
    read(text);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ line, path, message }) => `${line ?? '-'} ${path}: ${message}`);
  }
}

function given(...words: string[]): Config {
  const argv = yargs(words).options(configFlags('monitor')).strict().exitProcess(false).parseSync();
  return combine(null, '', { env: {}, flags: flagsFrom(argv, 'monitor') }).config;
}

test('flags of monitor: -i again and again, -f, and the sizes', () => {
  const { capture } = given(
    ...['-i', 'eth0', '-i', 'eth2', '-f', 'not port 22', '--source', 'cap', '--no-promiscuous'],
    ...['--snap-bytes', '1KiB', '--ring-bytes', '8 MiB', '--save-detected', '/var/tmp', '--save-files', '3'],
  );
  assert.deepEqual(capture.interfaces, ['eth0', 'eth2']);
  assert.deepEqual([capture.filter, capture.source, capture.promiscuous], ['not port 22', 'cap', false]);
  assert.deepEqual([capture.snapBytes, capture.ringBytes], [1024, 8 * 1024 * 1024]);
  assert.deepEqual([capture.save.directory, capture.save.files], ['/var/tmp', 3]);
});

test('each command has the flags that mean something to it', () => {
  const [run, monitor] = [configFlags('run'), configFlags('monitor')];
  for (const flag of ['mode', 'rules', 'queue', 'mark-mask', 'forwarded', 'action']) {
    assert.ok(flag in run && !(flag in monitor), flag);
  }
  for (const flag of ['source', 'filter', 'snap-bytes', 'save-detected']) {
    assert.ok(flag in monitor && !(flag in run), flag);
  }
  for (const flag of ['instance', 'workers', 'batch', 'eve', 'metrics', 'allow-network', 'encrypted']) {
    assert.ok(flag in monitor && flag in run, flag);
  }
  assert.match(String(run['interface']!.describe), /come in or go out/);
  assert.match(String(monitor['interface']!.describe), /^Watch these/);
});

test('what cannot be is refused, with place and reason', () => {
  assert.match(
    complaints('capture:\n  snap_bytes: 128 KiB\n  save: { file_bytes: 64 KiB }')[0]!,
    /^3 capture\.save\.file_bytes: a file of 65536 bytes cannot hold one packet of snap_bytes \(131072\)/,
  );
  assert.match(
    complaints('workers: 64\ncapture:\n  interfaces: [a, b]\n  ring_bytes: 1 MiB')[0]!,
    /^4 capture\.ring_bytes: 128 rings \(.*\) .* need 8388608 bytes at least; give them more, or take fewer/,
  );
  assert.match(
    complaints('workers: 16\ncapture: { interfaces: [a], ring_bytes: 1 MiB, save: { directory: /tmp } }')[0]!,
    /32 rings/,
  );
  assert.deepEqual(complaints('workers: 16\ncapture: { interfaces: [a], ring_bytes: 1 MiB }'), []);
  assert.match(complaints('capture: { filter: "a\\nb" }')[0]!, /expected an expression/);
  assert.match(complaints('capture: { save: { directory: here } }')[0]!, /full path of a directory/);
  assert.match(complaints('capture: { source: pcap }')[0]!, /did you mean "?cap"?/);
});

test('a watched interface that is also allowed: nothing of it is inspected, which is said', () => {
  const { warnings } = load('capture: { interfaces: [eth0] }\nallow: { interfaces: [eth0] }');
  assert.match(warnings[0]!.message, /^eth0: also under capture\.interfaces/);
});

test('a reload: what means nothing to the command may change, the rest as ever', () => {
  const before = read('');
  const refusal = (text: string, command: 'run' | 'monitor'): string | null =>
    differences(before, read(text), command).refusal;
  assert.equal(refusal('queue: { first: 7 }\nrules: none\nmark_mask: 0xf', 'monitor'), null);
  assert.equal(refusal('capture: { interfaces: [eth0] }', 'run'), null);
  assert.match(refusal('capture: { interfaces: [eth0] }', 'monitor')!, /capture\.interfaces from \[\]/);
  assert.equal(refusal('allow: { ports: [22] }', 'monitor'), null);
  assert.match(refusal('workers: 3', 'monitor')!, /workers/);
});
