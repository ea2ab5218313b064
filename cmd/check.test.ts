import assert from 'node:assert/strict';
import { type SpawnSyncReturns } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { filterProblem } from '../lib/native/ring.js';
import { swarmgate } from './program-testing.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-check-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const run = (...words: string[]): SpawnSyncReturns<string> => swarmgate(words);

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test('a right file: what differs from the defaults, and where it was set', () => {
  const file = fileOf('right.yaml', 'mode: enforce\nbatch: 64\n');
  const { status, stdout, stderr } = run('check', '--config', file, '--queue', '12');
  assert.equal(stdout, `ok: ${file}\n  mode: enforce  (${file}:1)\n  queue.first: 12  (command line)\n`);
  assert.deepEqual([status, stderr], [0, '']);
});

test('a wrong file: every problem with its line, exit status 78', () => {
  const file = fileOf('wrong.yaml', 'mod: enforce\nbatch: 0\n');
  const { status, stdout, stderr } = run('check', '--config', file);
  assert.deepEqual([status, stdout], [78, '']);
  assert.match(stderr, /wrong\.yaml:1: mod: unknown key; did you mean mode\?\n.*wrong\.yaml:2: batch: "0"/);
});

test('--print gives a file that means the same', () => {
  const first = run('check', '--print', '--config', fileOf('a.yaml', 'allow: { ports: [22, 80-90] }'));
  const second = run('check', '--print', '--config', fileOf('b.yaml', first.stdout));
  assert.match(first.stdout, /ports: \[22, 80-90\]/);
  assert.equal(second.stdout, first.stdout);
});

test('--config twice is refused', () => {
  const { status, stderr } = run('check', '--config', 'a', '--config', 'b');
  assert.equal(status, 2);
  assert.match(stderr, /--config was given more than once/);
});

test('the doctor answers in JSON, and looks at the machine though the configuration is wrong', () => {
  const file = fileOf('wrong2.yaml', 'mod: enforce\n');
  const { status, stdout } = run('doctor', '--json', '--config', file);
  const { can_run: canRun, findings } = JSON.parse(stdout) as {
    can_run: boolean;
    findings: { code: string }[];
  };
  assert.deepEqual([status, canRun], [1, false]);
  const codes = findings.map(({ code }) => code);
  for (const code of ['configuration', 'node', 'permission', 'kernel-queue', 'memory'])
    assert.ok(codes.includes(code), code);
});

test('a capture filter that libpcap cannot read is refused, one that it only may not know is a warning', (t) => {
  if (filterProblem('and') === null) {
    t.skip('no addon or no libpcap');
    return;
  }
  const of = (filter: string): SpawnSyncReturns<string> =>
    run('check', '--config', fileOf('filter.yaml', `mode: monitor\ncapture:\n  filter: '${filter}'\n`));
  const wrong = of('port 80 and and');
  assert.equal(wrong.status, 78);
  assert.match(
    wrong.stderr,
    /filter\.yaml:3: capture\.filter: .*syntax error.* \(the language is that of pcap-filter/,
  );
  const unknown = of('port nonesuch');
  assert.equal(unknown.status, 0);
  assert.match(unknown.stderr, /^warning: .*filter\.yaml:3: capture\.filter: .*nonesuch/);
  for (const right of ['not port 22', 'vlan and udp', 'inbound']) {
    const { status, stderr } = of(right);
    assert.deepEqual([status, stderr], [0, ''], right);
  }
});

test('an event log in a folder that is not there is a warning', () => {
  const { status, stderr } = run(
    'check',
    '--config',
    fileOf('eve.yaml', 'eve: { file: /nonesuch/a/eve.json }\n'),
  );
  assert.equal(status, 0);
  assert.match(
    stderr,
    /^warning: .*eve\.yaml:1: eve\.file: there is no folder \/nonesuch\/a on this machine\n$/,
  );
});
