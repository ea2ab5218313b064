import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AnalysisRow } from './analysis.js';
import { analysedPayloads, payloadLines, type AnalysedPayload } from './analysis-payloads.js';
import { answersTo, timedDispatch, timedHeader, timedMessage } from './dispatch.js';
import { FirstPackets } from './first-packets.js';
import { buildGoBlocker } from './go-blocker.js';
import { analysisOutcome } from './part-analysis.js';

function named(start: string): AnalysedPayload {
  return analysedPayloads.find(({ name }) => name.startsWith(start))!;
}

test('payloads are as long as their names say, and have names of their own', () => {
  for (const { name, bytes } of analysedPayloads)
    assert.equal(bytes.length, Number(/(\d+) B/.exec(name)![1]), name);
  assert.equal(new Set(analysedPayloads.map(({ name }) => name)).size, analysedPayloads.length);
});

test('the engine asks whom it should ask, and the right one says Yes', () => {
  assert.ok(answersTo(named('handshake')).includes('peer-handshake (yes)'));
  assert.ok(answersTo(named('HTTP GET 396')).includes('http-tracker'));
  assert.deepEqual(answersTo(named('UDP tracker')), ['udp-tracker (yes)']);
  assert.deepEqual(answersTo(named('bencode DHT')), ['dht (yes)']);
  assert.deepEqual(answersTo(named('uTP')), ['utp (yes)']);
  assert.deepEqual(answersTo(named('random 1400 B, UDP')), []);
  for (const name of ['TLS', 'HTML'])
    assert.ok(!answersTo(named(name)).some((answer) => /\((yes|more)\)/.test(answer)), name);
});

test('what is timed does the work: its sum counts every answer', () => {
  const one = timedDispatch(named('handshake')).run(1);
  assert.ok(one > 2, 'Yes and the length of what was matched');
  assert.equal(timedDispatch(named('handshake')).run(32), 32 * one);
  assert.equal(timedDispatch(named('random 1400 B, UDP')).run(100), 0);
  assert.ok(timedMessage(named('bencode DHT')).run(3) > 6);
  for (const name of ['bencode DHT', 'UDP tracker', 'uTP']) assert.equal(timedHeader(named(name)).run(3), 3);
  assert.equal(timedDispatch(named('TLS')).run(100), 0);
});

test('every packet of a batch is the first payload of a flow of its own', () => {
  for (const payload of analysedPayloads) {
    const packets = new FirstPackets(payload);
    packets.prepare();
    const sum = packets.run();
    packets.prepare();
    assert.equal(packets.run(), sum, `${payload.name}: the second batch is as the first`);
    assert.ok(sum >= packets.size, payload.name);
  }
});

test('the Go harness is given the bytes as hex, one payload a line', () => {
  const lines = payloadLines(analysedPayloads).trim().split('\n');
  assert.equal(lines.length, analysedPayloads.length);
  const [name, check, transport, hex] = lines[0]!.split('\t');
  assert.deepEqual([name, check, transport], ['handshake signature 28 B', 'analysis', 'tcp']);
  assert.deepEqual(Buffer.from(hex!, 'hex'), Buffer.from(analysedPayloads[0]!.bytes));
});

function reason(): string {
  const found = buildGoBlocker(analysedPayloads);
  assert.ok(typeof found === 'string');
  return found;
}

test('without the source of the Go blocker the reason is said', () => {
  const before = process.env['GO_BLOCKER'];
  const empty = mkdtempSync(join(tmpdir(), 'swarmgate-test-'));
  try {
    delete process.env['GO_BLOCKER'];
    assert.match(reason(), /GO_BLOCKER names no checkout/);
    process.env['GO_BLOCKER'] = empty;
    assert.match(reason(), /analyzer\.go.* not found/);
  } finally {
    if (before === undefined) delete process.env['GO_BLOCKER'];
    else process.env['GO_BLOCKER'] = before;
    rmSync(empty, { recursive: true });
  }
});

test('published figures are marked wherever they are what was compared with', () => {
  const row: AnalysisRow = {
    payload: 'TLS 1448 B',
    check: 'analysis',
    answers: 'mse',
    ...{ detectorsNs: 20, engineNs: 300, messageNs: null, goNs: null, goAnswer: null, publishedNs: 4910 },
    ...{ detectorsRatio: 0.004, engineRatio: 0.06 },
  };
  const { tables, targets } = analysisOutcome({ turns: 1, go: null, goAbsent: 'no Go', rows: [row] });
  assert.deepEqual(tables[0]!.rows, [['TLS 1448 B', '20', '300', '-', '4910', '0.00', '0.06']]);
  assert.ok(tables[0]!.notes.some((note) => note.includes('no Go') && note.includes('PUBLISHED')));
  assert.match(targets[0]!.what, /published figure of Go/);
  const measured = analysisOutcome({
    ...{ turns: 5, go: 'go1.19', goAbsent: null },
    rows: [{ ...row, goNs: 6400, goAnswer: 'passes', detectorsRatio: 1.5 }],
  });
  assert.equal(measured.tables[0]!.rows[0]![3], '6400 (passes)');
  assert.equal(measured.targets[0]!.met, false);
  assert.doesNotMatch(measured.targets[0]!.what, /published/);
});
