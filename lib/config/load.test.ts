import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { type Config, ConfigError, type ConfigProblem } from './config.js';
import { thisMachine } from '../numa/workers.js';
import { combine, loadConfig, readConfig, valueIn, workerCount, type Flags } from './load.js';
import { environmentName, settings } from './schema.js';
import { fileBytesMax, readConfigText } from './yaml-file.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-config-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const none = { env: {}, flags: new Map<string, string>() };
const read = (text: string, more: Partial<typeof none> = {}): ReturnType<typeof combine> =>
  combine(readConfigText(text, 'file'), 'file', { ...none, ...more });

function problemsOf(make: () => unknown): readonly ConfigProblem[] {
  try {
    make();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

/** "line path: message" of all problems of a text. */
const complaints = (text: string): string[] =>
  problemsOf(() => read(text)).map(({ line, path, message }) => `${line ?? '-'} ${path}: ${message}`);

function fileOf(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('defaults are the documented ones', () => {
  const { config, warnings } = read('');
  assert.deepEqual(warnings, []);
  assert.deepEqual(config, {
    mode: 'monitor',
    encrypted: 'corroborated',
    instance: 'default',
    workers: 'auto',
    batch: 64,
    queue: { first: 9600, length: 4096, copyBytes: 512, receiveBufferBytes: 1536 * 1024 },
    traffic: { forwarded: true, local: false, interfaces: [], pairs: [], leaveInterfaces: [] },
    affinity: { data: null, control: null },
    capture: {
      interfaces: [],
      source: 'auto',
      filter: '',
      snapBytes: 2048,
      promiscuous: true,
      ringBytes: 64 * 1024 * 1024,
      kernelBytes: 16 * 1024 * 1024,
      save: { directory: null, fileBytes: 64 * 1024 * 1024, files: 16 },
    },
    rules: 'auto',
    markMask: 0x7000_0000,
    action: { default: 'reject', kinds: {} },
    allow: { networks: [], ports: [], interfaces: [], macs: [], infoHashes: [] },
    names: { block: [], files: [], alpn: [], listed: [] },
    detectorsOff: [],
    limits: { flows: 262_144, inspectedPackets: 32, inspectedPacketsClear: 8 },
    control: { socket: '/run/swarmgate/default.sock' },
    metrics: { listen: null },
    eve: { file: null, suspects: false, perSecond: 1000 },
    log: { level: 'info' },
  });
});

test('flags win over the environment, the environment over the file', () => {
  const env = { SWARMGATE_BATCH: '2', SWARMGATE_QUEUE_FIRST: '7', SWARMGATE_MODE: '' };
  const flags: Flags = new Map([['batch', '3']]);
  const { config, origins } = combine(readConfigText('batch: 1\nmode: enforce', 'file'), 'file', {
    env,
    flags,
  });
  assert.equal(config.batch, 3);
  assert.equal(config.queue.first, 7);
  assert.equal(config.mode, 'enforce');
  assert.deepEqual(origins.get('mode'), { source: 'file', line: 2 });
  assert.deepEqual(origins.get('batch'), { source: 'command line', line: null });
});

test('an empty value beside others is refused: it is a variable of a script that is not set', () => {
  const given = (words: string[]): Config =>
    combine(null, 'file', { env: {}, flags: new Map([['traffic.interfaces', words]]) }).config;
  const problems = problemsOf(() => given(['', 'eth0']));
  assert.deepEqual(
    problems.map(({ path, message }) => `${path}: ${message}`),
    ['traffic.interfaces: --interface: one of the values is empty'],
  );
  assert.deepEqual(given(['eth1', 'eth0']).traffic.interfaces, ['eth1', 'eth0']);
  assert.deepEqual(given(['']).traffic.interfaces, []);
});

test('a later layer is no excuse for an earlier one, and all problems come at once', () => {
  const env = { SWARMGATE_BATCH: '0' };
  const flags: Flags = new Map<string, string | string[]>([
    ['mode', ['monitor', 'enforce']],
    ['batch', '9'],
  ]);
  const problems = problemsOf(() => combine(readConfigText('batch: x', 'file'), 'file', { env, flags }));
  assert.deepEqual(
    problems.map(({ source, path, message }) => `${source} ${path}: ${message}`),
    [
      'file batch: "x" is wrong; expected a whole number from 1 to 256',
      'environment batch: SWARMGATE_BATCH: "0" is wrong; expected a whole number from 1 to 256',
      'command line mode: --mode: given more than once',
    ],
  );
});

const wrong: readonly (readonly [text: string, complaint: RegExp])[] = [
  ['mod: enforce', /^1 mod: unknown key; did you mean mode\?$/],
  ['queue:\n  frist: 1', /^2 queue\.frist: unknown key; did you mean first\?$/],
  ['copyBytes: 1', /^1 copyBytes: unknown key; did you mean queue\.copy_bytes\?$/],
  ['zebra: 1', /^1 zebra: unknown key; known here: queue, /],
  ['batch: 1\nbatch: 2', /^2 batch: this key stands here again, first in line 1/],
  ['batch: "64"', /^1 batch: .*without quotes$/],
  ['batch: 1.5', /whole number from 1 to 256/],
  ['batch:', /^1 batch: is empty; expected a whole number/],
  ['batch: [1]', /^1 batch: is a list/],
  ['batch: {a: 1}', /^1 batch: is one value or a list, not a section/],
  ['batch: 257', /from 1 to 256/],
  ['queue: 5', /^1 queue: is a section/],
  ['queue: { copy_bytes: 4MB }', /units are KiB, MiB and GiB/],
  ['queue: { copy_bytes: 1 mib }', /units are KiB, MiB and GiB/],
  ['queue: { copy_bytes: 127 }', /from 128 to 65,531/],
  ['queue: { length: 4KiB }', /a whole number from 16/],
  ['mode: enfroce', /expected monitor or enforce; did you mean enforce\?/],
  ['mark_mask: 0x50000000', /neighbouring bits/],
  ['mark_mask: 0x700000000', /neighbouring bits/],
  ['mark_mask: 3', /neighbouring bits/],
  ['instance: Big', /instance: "Big" is wrong/],
  ['instance: averyverylongname', /1 to 15/],
  ['traffic: { interfaces: [eth0/1] }', /^1 traffic\.interfaces\[0\]: "eth0\/1"/],
  ['traffic: { interfaces: [sixteen-letters-] }', /1 to 15 characters/],
  ['traffic: { interfaces: [ééééééééé] }', /1 to 15 characters/],
  ['traffic: { interfaces: [eth+] }', /patterns/],
  ['traffic: { interfaces: [".."] }', /a network interface/],
  ['traffic: { interfaces: eth0 }', /is no list; write \[eth0\]/],
  ['traffic: { forwarded: false }', /neither forwarded nor local/],
  ['traffic: { forwarded: yes }', /expected true or false/],
  ['allow: { networks: [10.0.0.1/8] }', /write 10\.0\.0\.0\/8$/],
  ['allow: { networks: ["2001:DB8::1/32"] }', /write 2001:db8::\/32$/],
  ['allow: { networks: [10.0.0.0/33] }', /IPv4 has \/0 to \/32/],
  ['allow: { networks: [10.0.0] }', /is not a network/],
  ['allow: { networks: ["::ffff:10.0.0.0/104"] }', /write 10\.0\.0\.0\/8/],
  ['allow: { networks: [[10.0.0.0/8]] }', /allow\.networks\[0\]: is a list/],
  ['allow: { macs: [02-00-5e-10-00-01] }', /write 02:00:5e:10:00:01/],
  ['allow: { macs: [02:00:5e:10:00] }', /hardware address/],
  ['allow: { ports: [0] }', /a port from 1 to 65535/],
  ['allow: { ports: [20-10] }', /write 10-20/],
  ['allow: { ports: [1-65536] }', /a port from 1/],
  ['allow: { info_hashes: [abcd] }', /40 or 64 hexadecimal/],
  ['action: { kinds: { dth: drop } }', /did you mean dht/],
  ['action: { kinds: { dht: allow } }', /expected default or drop, reject or accept/],
  ['detectors: { utp: no }', /expected on or off/],
  ['metrics: { listen: ":9469" }', /write 127\.0\.0\.1:9469/],
  ['metrics: { listen: "::1:9469" }', /an address with a port/],
  ['metrics: { listen: "127.0.0.1:0" }', /an address with a port/],
  ['eve: { file: eve.json }', /a full path/],
  ['control: { socket: swarmgate.sock }', /a full path/],
  [`control: { socket: /${'a'.repeat(107)} }`, /at most 107 bytes/],
  ['queue: { first: 65530 }\nworkers: 10', /begin at 65526 or lower/],
  ['- a', /expected settings/],
  ['mode', /expected settings/],
  ['mode: [', /^\d YAML|: YAML: /],
  ['a: &a [x]\nmode: *a', /aliases/],
  ['mode: !secret x', /tag !secret/],
  ['mode: monitor\n---\nmode: enforce', /^2 .*a second document/],
  ['['.repeat(100_000), /nested too deeply/],
  ['allow: { networks: [010.0.0.1] }', /not a network/],
  ['? [a]\n: b', /a key is one word/],
];

test('what is wrong is told with its line, its path, and what would be right', () => {
  for (const [text, complaint] of wrong) {
    const told = complaints(text);
    assert.ok(
      told.some((line) => complaint.test(line)),
      `${text}\n  told: ${told.join('\n  ')}\n  wanted: ${complaint.source}`,
    );
  }
});

test('values in their usual forms', () => {
  const { config } = read(`
queue: { copy_bytes: 1KiB, receive_buffer_bytes: 8 MiB }
traffic: { interfaces: [eth0.5, br-lan, 12] }
allow:
  networks: [10.0.0.0/8, 2001:DB8::/32, 192.0.2.1, 10.0.0.0/8]
  ports: [80, 6000-6010]
  macs: [02:00:5E:10:00:01]
  info_hashes: [0123456789012345678901234567890123456789, ${'AB'.repeat(32)}]
action: { kinds: { dht: accept, peer: drop, utp: default } }
detectors: { utp: off, dht: true }
metrics: { listen: off }
control:
limits:
  # nothing here
`);
  assert.equal(config.queue.copyBytes, 1024);
  assert.equal(config.queue.receiveBufferBytes, 8 * 1024 * 1024);
  assert.deepEqual(config.traffic.interfaces, ['eth0.5', 'br-lan', '12']);
  assert.deepEqual(config.allow.networks, ['10.0.0.0/8', '2001:db8::/32', '192.0.2.1/32']);
  assert.deepEqual(config.allow.ports[1], { first: 6000, last: 6010 });
  assert.deepEqual(config.allow.macs, ['02:00:5e:10:00:01']);
  assert.deepEqual(config.allow.infoHashes, ['0123456789012345678901234567890123456789', 'ab'.repeat(32)]);
  assert.deepEqual(config.action.kinds, { dht: 'accept', peer: 'drop' });
  assert.deepEqual(config.detectorsOff, ['utp']);
});

test('lists of environment and flags, and the socket that follows the instance', () => {
  const env = { SWARMGATE_ALLOW_PORTS: '80, 90-100', SWARMGATE_MARK_MASK: '0xf0', SWARMGATE_INSTANCE: 'b' };
  const flags: Flags = new Map([['allow.networks', ['10.0.0.0/8', 'fe80::/10,fc00::/7']]]);
  const { config } = combine(null, '', { env, flags });
  assert.equal(config.allow.ports.length, 2);
  assert.deepEqual(config.allow.networks, ['10.0.0.0/8', 'fe80::/10', 'fc00::/7']);
  assert.equal(config.markMask, 0xf0);
  assert.equal(config.control.socket, '/run/swarmgate/b.sock');
});

test('what works and is hardly meant is a warning', () => {
  const warned = (text: string, env = {}): string =>
    read(text, { env })
      .warnings.map(({ path, message }) => `${path}: ${message}`)
      .join('\n');
  assert.match(warned('allow: { networks: [0.0.0.0/0] }'), /all of IPv4/);
  assert.match(warned('allow: { networks: ["::/1", "8000::/1"] }'), /all of IPv6/);
  assert.match(warned('allow: { ports: [1-65535] }'), /all ports/);
  assert.match(warned('limits: { inspected_packets: 4 }'), /larger than/);
  assert.match(warned('eve: { suspects: true }'), /eve\.suspects: needs eve\.file/);
  assert.equal(warned('eve: { suspects: true, file: "-" }'), '');
  assert.match(warned('', { SWARMGATE_MOED: 'x' }), /did you mean SWARMGATE_MODE/);
  assert.equal(warned('', { SWARMGATE_GOLDEN: 'write', SWARMGATE_FUZZ_SECONDS: '1' }), '');
});

test('files that are no configuration', () => {
  const refused = (path: string): string =>
    problemsOf(() => loadConfig({ ...none, file: path }))
      .map(({ message }) => message)
      .join();
  assert.match(refused(join(folder, 'absent.yaml')), /no such file/);
  mkdirSync(join(folder, 'folder'));
  assert.match(refused(join(folder, 'folder')), /this is a folder/);
  assert.match(refused(fileOf('large', '#'.repeat(fileBytesMax + 1))), /larger than 1024 KiB/);
  assert.match(refused('/dev/zero'), /no regular file/);
  assert.equal(loadConfig({ ...none, file: '/dev/null' }).mode, 'monitor');
  assert.match(refused(fileOf('latin', Uint8Array.of(0x23, 0xe9, 0x0a))), /not UTF-8/);
  const keys = Array.from({ length: 50_000 }, (_, i) => `k${i}: 1`).join('\n');
  assert.match(refused(fileOf('keys', keys)), /unknown key/);
  assert.match(refused(fileOf('deep', '['.repeat(20_000))), /./);
});

test('the default file may be absent, and SWARMGATE_CONFIG names another', () => {
  assert.equal(loadConfig({ ...none, file: null }).mode, 'monitor');
  const file = fileOf('named.yaml', '\ufeffmode: enforce\r\n');
  assert.equal(loadConfig({ flags: new Map(), file: null, env: { SWARMGATE_CONFIG: file } }).mode, 'enforce');
});

test(
  'root is warned of a file that others can write',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  () => {
    const file = fileOf('open.yaml', 'mode: monitor');
    chmodSync(file, 0o666);
    assert.match(readConfig({ ...none, file }).warnings[0]!.message, /chmod go-w/);
  },
);

test('every setting has its own environment variable and flag, and a place in Config', () => {
  const { config } = read('');
  assert.equal(new Set(settings.map(({ path }) => environmentName(path))).size, settings.length);
  for (const of of ['run', 'monitor'] as const) {
    const flags = settings.filter(({ command }) => (command ?? of) === of).flatMap(({ flag }) => flag ?? []);
    assert.equal(new Set(flags).size, flags.length);
  }
  for (const { path } of settings) assert.notEqual(valueIn(config, path), undefined, path);
});

test('auto workers are two per core, four on Arm', () => {
  const perCore = ['arm', 'arm64'].includes(process.arch) ? 4 : 2;
  assert.equal(workerCount({ workers: 'auto' }, 4), 4 * perCore);
  assert.equal(workerCount({ workers: 'auto' }, 1000), 256);
  assert.equal(workerCount({ workers: 3 }, 4), 3);
  const one = thisMachine().topology.processors.find(({ id }) => thisMachine().permitted.has(id))!;
  assert.equal(workerCount({ workers: 'auto', affinity: { data: [one.id], control: null } }), perCore);
});

test('processors that are not there, or not permitted, are refused with place and reason', () => {
  assert.throws(
    () => read('affinity:\n  data: 0-3000\n'),
    /file:2: affinity\.data: no processor [\d,-]+ is online on this machine; there are [\d,-]+/,
  );
  assert.throws(
    () => read('affinity: { control: "8191" }'),
    /affinity\.control: no processor 8191 is online on this machine/,
  );
  for (const wrong of ['"3-1"', 'a', '"1,,2"', '-1', '0x1', '99999', '[0, 1]', '"0-"', '""'])
    assert.throws(() => read(`affinity: { data: ${wrong} }`), /affinity\.data/, wrong);
  const { config } = read('affinity: { data: 0, control: "0" }');
  assert.deepEqual(config.affinity, { data: [0], control: [0] });
  assert.deepEqual(read('').config.affinity, { data: null, control: null });
});

test('pairs of interfaces have a slash, and two names that interfaces may have', () => {
  const { config } = read('traffic: { pairs: [eth0/eth2, "br-lan/wg0"], leave_interfaces: [eth2] }');
  assert.deepEqual(config.traffic.pairs, [
    ['eth0', 'eth2'],
    ['br-lan', 'wg0'],
  ]);
  assert.deepEqual(config.traffic.leaveInterfaces, ['eth2']);
  for (const wrong of ['eth0', 'eth0/', '/eth0', 'a/b/c', '"a b/c"', 'eth0/eth+', 'eth0/eth:1'])
    assert.throws(() => read(`traffic: { pairs: [${wrong}] }`), /traffic\.pairs\[0\]/, wrong);
});

test('no text makes it do anything but load or complain', () => {
  const words = [
    'mode',
    'queue',
    'first',
    ':',
    '\n',
    '  ',
    '[',
    ']',
    '{',
    '- ',
    '*a',
    '&a',
    '!',
    '1',
    '"',
    ',',
    '?',
  ];
  const texts = fc.array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 30 });
  fc.assert(
    fc.property(texts, (parts) => {
      problemsOf(() => read(parts.join('')));
    }),
  );
});
