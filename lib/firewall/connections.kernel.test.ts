import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgetDecisions, forgettingProblem } from './connections.js';
import { FirewallError } from './firewall.js';
import { MarkField, markMaskDefault } from './marks.js';
import { cannotMakeNamespaces, hasProgram, Network } from './testing.js';
import { Tools } from './tools.js';

const skip = cannotMakeNamespaces() || (hasProgram('conntrack') ? false : 'conntrack is not installed');

test('our bits are cleared on every connection, all others stay', { skip, timeout: 60_000 }, async () => {
  const network = new Network();
  try {
    const tools = new Tools(['ip', 'netns', 'exec', network.router]);
    await tools.must('iptables', [
      '-t',
      'mangle',
      '-A',
      'FORWARD',
      '-j',
      'CONNMARK',
      '--set-mark',
      '0xc0000005',
    ]);
    await tools.must('ip6tables', [
      '-t',
      'mangle',
      '-A',
      'FORWARD',
      '-j',
      'CONNMARK',
      '--set-mark',
      '0xc0000005',
    ]);
    const client = new Tools(['ip', 'netns', 'exec', network.client]);
    await client.must('ping', ['-c', '1', '-W', '5', '10.2.0.2']);
    await client.must('ping', ['-c', '1', '-W', '5', 'fd02::2']);
    const marks = async (family: string): Promise<string[]> =>
      [...(await tools.must('conntrack', ['-L', '-f', family])).matchAll(/mark=(\d+)/g)].map(([, mark]) =>
        Number(mark).toString(16),
      );
    assert.deepEqual([await marks('ipv4'), await marks('ipv6')], [['c0000005'], ['c0000005']]);
    await forgetDecisions(new MarkField(markMaskDefault), tools);
    assert.deepEqual([await marks('ipv4'), await marks('ipv6')], [['80000005'], ['80000005']]);
    await forgetDecisions(new MarkField(markMaskDefault), new Tools(['ip', 'netns', 'exec', network.server]));
  } finally {
    network.close();
  }
});

test('what stands in the way is said with what to do', async () => {
  const missing = await forgetDecisions(new MarkField(markMaskDefault), new Tools(['/nonexistent'])).catch(
    (error: unknown) => error,
  );
  assert.ok(missing instanceof FirewallError);
  assert.match(forgettingProblem(missing), /apt-get install conntrack/);
  assert.match(forgettingProblem(new Error('no')), /keep their decision until they end: no/);
});
