/** The files in deploy/ are what the table of settings says. Rewrite them with SWARMGATE_GOLDEN=write. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { Ajv as AjvClass } from 'ajv';
import { parse } from 'yaml';
import { repositoryPath } from '../testing.js';
import { combine } from './load.js';
import { effectiveFile, exampleFile, jsonSchema } from './render.js';
import { readConfigText } from './yaml-file.js';

const none = { env: {}, flags: new Map<string, string>() };
const read = (text: string): ReturnType<typeof combine> =>
  combine(readConfigText(text, 'test'), 'test', none);

for (const [name, text] of [
  ['config.example.yaml', exampleFile()],
  ['config.schema.json', jsonSchema()],
] as const) {
  test(`deploy/${name} is up to date`, () => {
    const path = repositoryPath('deploy', name);
    if (process.env['SWARMGATE_GOLDEN'] === 'write') writeFileSync(path, text);
    assert.equal(
      readFileSync(path, 'utf8'),
      text,
      'run: SWARMGATE_GOLDEN=write deploy/run-tests dist/lib/config',
    );
  });
}

test('the example file says nothing, and with every line uncommented it says the defaults', () => {
  const defaults = read('');
  assert.deepEqual(read(exampleFile()), defaults);
  const all = exampleFile().replace(/^( *)#(?! )/gm, '$1');
  const loaded = read(all);
  assert.deepEqual(loaded.config, defaults.config);
  assert.ok(loaded.origins.size > 40);
});

const mixed = `
mode: enforce
queue: { copy_bytes: 1 KiB, receive_buffer_bytes: 8MiB }
traffic: { pairs: [eth0/eth2], leave_interfaces: [eth2, eth3] }
affinity: { data: 0, control: 0-0 }
action: { default: drop, kinds: { dht: accept } }
allow:
  networks: [10.0.0.0/8, fe80::/10, 192.0.2.7]
  ports: [22, 6000-6010]
  macs: [02:00:5E:10:00:01]
  info_hashes: [1234567890123456789012345678901234567890]
detectors: { utp: off }
metrics: { listen: '[::1]:9477' }
eve: { file: '-' }
`;

test('the effective configuration, read as a file, is the same configuration', () => {
  const { config } = read(mixed);
  assert.deepEqual(read(effectiveFile(config)).config, config);
});

test('the schema for editors takes what is right and refuses unknown keys and wrong ranges', () => {
  const require = createRequire(import.meta.url);
  const { Ajv } = require('ajv') as { Ajv: typeof AjvClass };
  const judge = new Ajv({ strict: false }).compile(JSON.parse(jsonSchema()) as object);
  const takes = (text: string): boolean => judge(parse(text));
  assert.ok(takes(mixed), JSON.stringify(judge.errors));
  assert.ok(takes(exampleFile()));
  assert.ok(!takes('queue: { frist: 1 }'));
  assert.ok(!takes('batch: 257'));
});
