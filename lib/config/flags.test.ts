import assert from 'node:assert/strict';
import { test } from 'node:test';
import yargs from 'yargs';
import { configFlags, fileFrom, flagsFrom } from './flags.js';
import { combine, type Flags } from './load.js';

const parse = (...words: string[]): Record<string, unknown> =>
  yargs(words).options(configFlags()).exitProcess(false).parseSync();
const flags = (...words: string[]): Flags => flagsFrom(parse(...words));

test('no flag given, no value found', () => {
  assert.equal(flags().size, 0);
  assert.equal(fileFrom(parse()), null);
});

test('flags become values', () => {
  const given = flags(
    ...[
      '--mode',
      'enforce',
      '--queue',
      '7',
      '--no-forwarded',
      '--local',
      '--interface',
      'a',
      '--interface',
      'b',
    ],
    ...[
      '--allow-port',
      '80,90-95',
      '--eve',
      '\0-',
      '--mark-mask',
      '0xf0',
      '--workers',
      '2',
      '--socket',
      '/s',
    ],
  );
  const { config } = combine(null, '', { env: {}, flags: given });
  assert.equal(config.mode, 'enforce');
  assert.equal(config.queue.first, 7);
  const { forwarded, local, interfaces } = config.traffic;
  assert.deepEqual([forwarded, local, interfaces], [false, true, ['a', 'b']]);
  assert.deepEqual(config.allow.ports.at(-1), { first: 90, last: 95 });
  assert.equal(config.eve.file, '-');
  assert.equal(config.markMask, 0xf0);
});

test('the file', () => {
  assert.equal(fileFrom(parse('--config', 'x.yaml')), 'x.yaml');
  assert.throws(() => fileFrom(parse('--config', 'x', '--config', 'y')), /more than once/);
});
