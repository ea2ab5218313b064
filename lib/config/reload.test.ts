import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from './config.js';
import { combine } from './load.js';
import { differences } from './reload.js';
import { readConfigText } from './yaml-file.js';

const read = (text: string): Config =>
  combine(readConfigText(text, 'f'), 'f', { env: {}, flags: new Map<string, string>() }).config;

test('nothing changed', () => {
  assert.deepEqual(differences(read(''), read('mode: monitor')), { live: [], restart: [], refusal: null });
});

test('what can be taken over while running', () => {
  const text = 'mode: enforce\nallow: { ports: [22, 80-90] }\naction: { kinds: { dht: drop } }';
  const { live, restart, refusal } = differences(read(''), read(text));
  assert.deepEqual(
    live.map(({ path, before, after }) => `${path} ${before} ${after}`),
    ['mode monitor enforce', 'action.kinds.dht default drop', 'allow.ports [] [22, 80-90]'],
  );
  assert.deepEqual([restart, refusal], [[], null]);
});

test('what needs a restart is named in one sentence', () => {
  const { live, restart, refusal } = differences(
    read(''),
    read('mode: enforce\nqueue: { first: 1 }\nbatch: 2'),
  );
  assert.equal(live.length, 1);
  assert.deepEqual(
    restart.map(({ path }) => path),
    ['batch', 'queue.first'],
  );
  assert.match(refusal!, /batch from 64 to 2 .*, queue\.first from 9600 to 1 .*old configuration is kept/);
});

for (const text of [
  'workers: 3',
  'mark_mask: 0xf',
  'instance: b',
  'limits: { flows: 100 }',
  'rules: none',
  'detectors: { utp: off }',
]) {
  test(`${text} needs a restart`, () => {
    assert.notEqual(differences(read(''), read(text)).refusal, null);
  });
}
