/** Names that the operator lists, from the command line and the configuration to what is found. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { listedNames, listsOf } from '../detectors/listed-names.js';
import { registry, registryWith } from '../detectors/index.js';
import { capturesFolder } from '../fixtures/scan-fixture.js';
import type { Config } from '../lib/config/config.js';
import { combine } from '../lib/config/load.js';
import { readConfigText } from '../lib/config/yaml-file.js';
import type { FlowReport } from '../lib/report/report.js';
import { concat } from '../lib/testing.js';
import { swarmgate } from './program-testing.js';
import { ipv4, realHello, tcp } from '../lib/wire/testing.js';
import { plansOf } from './filter-plan.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-names-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const captureOf = (name: string): string => join(capturesFolder, `benign-${name}.pcap`);
const tlsCapture = join(folder, 'tls.pcap');
const list = join(folder, 'trackers.txt');

const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

before(async () => {
  const hello = await realHello({ name: 'tracker.fixture.example' });
  const packet = ipv4(6, tcp(hello, [50_000, 443]));
  // pcap, version 2.4, link type 101 (raw IP); one record.
  const head = [0xa1b2c3d4, 0x0004_0002, 0, 0, 65_535, 101, 1, 0, packet.length, packet.length];
  writeFileSync(tlsCapture, concat(...head.map(word), packet));
  writeFileSync(list, '# trackers\n*.fixture.example\n');
});

const run = (...words: string[]): SpawnSyncReturns<string> => swarmgate(words);

function flowsOf(...words: string[]): FlowReport[] {
  const { status, stdout, stderr } = run('scan', '--format', 'jsonl', ...words);
  assert.deepEqual([status, stderr], [0, ''], words.join(' '));
  const records = stdout.trim().split('\n');
  return records.map((line) => JSON.parse(line) as FlowReport);
}

const found = (...words: string[]): FlowReport[] =>
  flowsOf(...words).filter(({ verdict }) => verdict === 'bittorrent');

test('a TLS hello to a listed name is BitTorrent of the kind listed-name, and nothing without the list', () => {
  assert.deepEqual(found(tlsCapture), []);
  assert.deepEqual(found(tlsCapture, '--block-name', 'other.example'), []);
  const [flow] = found(tlsCapture, '--block-name', 'other.example', '--block-name', 'fixture.example');
  assert.equal(flow?.kind, 'listed-name');
  assert.match(JSON.stringify(flow.evidence), /a name on the operator's list, in the TLS hello \(SNI\)/);
  assert.equal(found(tlsCapture, '--block-names-file', list).length, 1);
  assert.equal(run('scan', '--exit-code', '--block-names-file', list, tlsCapture).status, 10);
});

test('recordings of real programs: DNS, QUIC, TLS with a listed protocol', () => {
  for (const capture of ['dns', 'quic', 'tls']) assert.deepEqual(found(captureOf(capture)), [], capture);
  const dns = found(captureOf('dns'), '--block-name', 'torrent.example');
  assert.ok(dns.length >= 3 && dns.every(({ kind }) => kind === 'listed-name'), String(dns.length));
  const quic = found(captureOf('quic'), '--block-name', '=localhost');
  assert.deepEqual(
    quic.map(({ kind, proto }) => [kind, proto]),
    [['listed-name', 'udp']],
  );
  assert.ok(found(captureOf('tls'), '--block-alpn', 'http/1.1').length > 0);
});

test('explain knows the list too', () => {
  const { status, stdout } = run('explain', tlsCapture, '--frame', '1', '--block-name', 'fixture.example');
  assert.equal(status, 0);
  assert.match(stdout, /on the operator's list/);
});

test('wrong names are refused in one sentence each', () => {
  writeFileSync(join(folder, 'bad.txt'), 'a.example\nnot a name\n');
  const bad = join(folder, 'bad.txt');
  const { status, stderr } = run('scan', tlsCapture, '--block-name', 'org', '--block-names-file', bad);
  assert.equal(status, 2);
  assert.match(stderr, /--block-name: "org" is a whole top-level domain/);
  assert.match(stderr, /bad\.txt:2: "not a name" is no host name alone.*\[bad-names\]/);
});

test('check counts the names of all lists, and refuses what run would refuse', () => {
  const file = join(folder, 'config.yaml');
  writeFileSync(file, `names: { block: [a.example, b.example], files: [${list}] }\n`);
  const { status, stdout } = run('check', '--config', file);
  assert.equal(status, 0);
  assert.match(stdout, /^ {2}names: 3 on the lists$/m);
  writeFileSync(file, `names: { files: [${join(folder, 'absent.txt')}] }\n`);
  const refused = run('check', '--config', file);
  assert.equal(refused.status, 78);
  assert.match(refused.stderr, /absent\.txt: no such file/);
});

test('detectors of names are listed as off, and are no part of the registry without a list', () => {
  const { stdout } = run('detectors');
  assert.match(stdout, /listed-names-tls .*\n +Off unless names are listed/);
  const list = JSON.parse(run('detectors', '--json').stdout) as { name: string; needs: string | null }[];
  const optional = list.filter(({ needs }) => needs === 'names').map(({ name }) => name);
  assert.deepEqual(
    optional,
    listedNames(listsOf({ listed: [], alpn: [] }, 1)).map(({ name }) => name),
  );
  assert.equal(registryWith(null), registry);
  assert.ok(registry.detectors.every(({ name }) => !optional.includes(name)));
});

test('while there is a list, whole hellos are copied', () => {
  const read = (text: string): Config =>
    combine(readConfigText(text, 'f'), 'f', { env: {}, flags: new Map<string, string>() }).config;
  const copied = (text: string): number => plansOf(read(text), 'accept')[0]!.queue.copyBytes;
  assert.equal(copied(''), 512);
  assert.ok(copied('names: { block: [a.example] }') >= 2048);
  assert.equal(copied('names: { alpn: [x] }\nqueue: { copy_bytes: 9000 }'), 9000);
});
