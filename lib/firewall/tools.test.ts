import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Tools } from './tools.js';

const tools = new Tools();
const shell = (words: string, input?: string): ReturnType<Tools['run']> =>
  tools.run('sh', ['-c', words], input);

test('a tool reads its input to the end, and what it says comes back whatever its status', async () => {
  const input = 'ü'.repeat(300_000);
  assert.deepEqual(await shell('cat; echo words >&2; exit 3', input), {
    status: 3,
    stdout: input,
    stderr: 'words\n',
  });
});

test('a tool that does not read its input is no failure of ours', async () => {
  assert.equal((await shell('exec 0<&-; sleep 0.1', 'x'.repeat(1_000_000))).status, 0);
});

test('a tool has a session of its own: keys on our terminal are not for it', async () => {
  const sessionOf = (stat: string): string => stat.slice(stat.lastIndexOf(')')).split(' ')[4]!;
  const ours = sessionOf(readFileSync('/proc/self/stat', 'utf8'));
  const { stdout } = await shell('cat /proc/$$/stat');
  assert.equal(sessionOf(stdout), stdout.split(' ')[0]);
  assert.notEqual(sessionOf(stdout), ours);
});

test('a tool that is missing, or ended by others, is named', async () => {
  await assert.rejects(tools.run('swarmgate-no-such-tool', []), {
    code: 'firewall-tool-missing',
    message: /^swarmgate-no-such-tool is not installed/,
  });
  await assert.rejects(shell('kill -9 $$'), {
    code: 'firewall-failed',
    message: /^sh was ended by SIGKILL$/,
  });
  assert.equal(await tools.text('swarmgate-no-such-tool'), '');
});
