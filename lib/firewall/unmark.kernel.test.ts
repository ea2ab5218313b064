import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { removeEverything, showEverything } from './choose.js';
import { MarkField, markMaskDefault } from './marks.js';
import { markConflicts } from './probe.js';
import { cannotMakeNamespaces, hasProgram, Network, ruleSet } from './testing.js';
import { installUnmark, removeUnmark, showUnmark } from './unmark.js';

const skip: string | false =
  cannotMakeNamespaces() || (['nft', 'iptables', 'python3'].find((name) => !hasProgram(name)) ?? false);
const mark = new MarkField(markMaskDefault);

describe('our bits are taken off packets before routing', { skip, timeout: 60_000 }, () => {
  let net: Network;
  before(async () => {
    net = new Network();
    await net.start(net.server, 'serve');
    // What another program copies to packets: its own mark, by which it routes, and a decision of ours.
    for (const [ip, tables] of [
      ['ip', 'iptables'],
      ['ip -6', 'ip6tables'],
    ] as const) {
      net.run(net.router, `${tables} -t mangle -A PREROUTING -j MARK --set-mark 0xa0000002`);
      net.run(net.router, `${tables} -t mangle -A PREROUTING -j ACCEPT`);
      net.run(net.router, `${ip} rule add fwmark 0x80000002 lookup 102`);
      net.run(net.router, `${ip} route add unreachable default table 102`);
    }
  });
  after(() => {
    net.close();
  });
  const asked = async (): Promise<string[]> => [
    await net.ask('udp', '10.2.0.2'),
    await net.ask('udp', 'fd02::2'),
  ];

  test('packets go where the bits of others lead them, and no longer once it is removed', async () => {
    const tools = net.tools();
    assert.deepEqual(await asked(), ['ok', 'ok'], 'the mark fits no rule');
    for (const name of ['default', 'node-1']) {
      await installUnmark({ instance: name, mark, local: false }, tools);
      await installUnmark({ instance: name, mark, local: false }, tools);
      assert.deepEqual(await asked(), ['timeout', 'timeout'], 'routed by 0x80000002');
      assert.match(await showEverything(name, { tools }), /table inet swarmgate-unmark/);
      await removeUnmark(name, tools);
      await removeUnmark(name, tools);
      assert.equal(await showUnmark(name, tools), '');
      assert.deepEqual(await asked(), ['ok', 'ok']);
    }
  });

  test('copied by nft behind mangle they are taken off too, and by the mask of this run', async () => {
    const tools = net.tools();
    await installUnmark({ instance: 'default', mark: new MarkField(0x7000), local: false }, tools);
    await installUnmark({ instance: 'default', mark, local: false }, tools);
    for (const priority of ['mangle', 'dstnat', 'filter', '300']) {
      const chain = `type filter hook prerouting priority ${priority}; policy accept;`;
      const rule = 'meta mark set 0xd0000002';
      await tools.must('nft', ['-f', '-'], `table inet w {\nchain c {\n${chain}\n${rule}\n}\n}\n`);
      assert.equal(await net.ask('udp', '10.2.0.2'), 'timeout', priority);
      await tools.must('nft', ['delete', 'table', 'inet', 'w']);
    }
    await removeUnmark('default', tools);
  });

  test('a rule that counts packets is the same rule at the next look', async () => {
    const tools = net.tools();
    const chain = 'type filter hook prerouting priority 0; policy accept;';
    const text = `table inet w {\nchain c {\n${chain}\nct mark 0x2 counter\ncounter meta mark set ct mark\n}\n}\n`;
    await tools.must('nft', ['-f', '-'], text);
    const look = async (): Promise<string[]> =>
      (await markConflicts(ruleSet({ mark }), tools)).map(({ message }) => message);
    const first = await look();
    assert.equal(first.filter((message) => message.startsWith('nft inet w')).length, 2, first.join('\n'));
    await asked();
    assert.deepEqual(await look(), first);
    await tools.must('nft', ['delete', 'table', 'inet', 'w']);
  });

  test('emptied by another program it is written again; it goes with everything else', async () => {
    const tools = net.tools();
    await installUnmark({ instance: 'default', mark, local: true }, tools);
    await tools.must('nft', ['flush', 'chain', 'inet', 'swarmgate-unmark', 'output']);
    await installUnmark({ instance: 'default', mark, local: true }, tools);
    const shown = await showUnmark('default', tools);
    assert.equal(shown.split('meta mark set').length, 5, shown);
    assert.match(shown, /type route hook output/);
    await removeEverything('default', { tools });
    assert.equal(await showUnmark('default', tools), '');
  });
});
