import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { repositoryPath } from '../testing.js';
import { daemonStyle } from './log.js';

const module = JSON.stringify(repositoryPath('dist', 'lib', 'report', 'log.js'));

/** What a program writes to standard error. */
function errors(program: string, environment: Record<string, string> = {}): string {
  const script = `import { Log } from ${module}; ${program}`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], ...environment },
  });
  assert.equal(run.status, 0, run.stderr);
  assert.equal(run.stdout, '');
  return run.stderr;
}

const all = `log.error('a', 'code-a'); log.warn('b', 'code-b'); log.info('c'); log.debug('d');`;

test('commands: level and code, no time', () => {
  assert.equal(
    errors(`const log = new Log('info'); ${all}`),
    'swarmgate: error: a [code-a]\nswarmgate: warn: b [code-b]\nswarmgate: info: c\n',
  );
  assert.equal(errors(`const log = new Log('error'); ${all}`), 'swarmgate: error: a [code-a]\n');
});

test('a daemon: times of its own, or priorities under systemd', () => {
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
  assert.match(errors(`const log = Log.daemon('debug'); ${all}`), new RegExp(`^${time} swarmgate: error: a`));
  assert.equal(
    errors(`const log = Log.daemon('debug'); ${all}`, { JOURNAL_STREAM: '8:12345' }),
    '<3>a [code-a]\n<4>b [code-b]\n<6>c\n<7>d\n',
  );
  assert.equal(daemonStyle({ JOURNAL_STREAM: '' }), 'time');
});

test('a message that repeats is counted, others go on', () => {
  const text = errors(`
    let now = 0;
    const log = new Log('info', { repeatsPerMinute: 2, now: () => now });
    for (let i = 0; i < 10; i++) log.warn('queue full ' + i, 'queue-full');
    log.info('other');
    now = 60_000;
    log.warn('queue full again', 'queue-full');`);
  assert.deepEqual(text.trimEnd().split('\n'), [
    'swarmgate: warn: queue full 0 [queue-full]',
    'swarmgate: warn: queue full 1 [queue-full]',
    'swarmgate: info: other',
    'swarmgate: warn: queue full again (8 more like it were left out) [queue-full]',
  ]);
});

test('a message stays on its line and acts on no terminal', () => {
  const text = errors(`new Log('info').info('a\\n<0>b\\x1b[2J')`);
  assert.equal(text, 'swarmgate: info: a\\x0a<0>b\\x1b[2J\n');
});
