/** The nft backend in the kernel, in a network namespace that the test makes. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { chooseFirewall, removeEverything, tryBackend } from './choose.js';
import { MarkField } from './marks.js';
import { NftFirewall } from './nft.js';
import { findOffloads } from './offload.js';
import { probeFirewall } from './probe.js';
import { cannotMakeNamespaces, Network, nftIsMissing, ruleSet } from './testing.js';
import { RulesWatch } from './watch.js';

describe('rules by nft', { skip: cannotMakeNamespaces() || nftIsMissing() }, () => {
  let net: Network;
  let firewall: NftFirewall;
  const rules = ruleSet({ local: true, queueCount: 4, interfaces: ['eth0', 'ppp0'] });
  const listing = (): string => net.run(net.router, 'nft list ruleset');
  const nft = (words: string): string => net.run(net.router, `nft ${words}`);
  before(() => {
    net = new Network();
    firewall = new NftFirewall(net.tools());
  });
  after(() => {
    net.close();
  });
  beforeEach(() => {
    nft('flush ruleset');
    nft('add table inet admin');
    nft('add chain inet admin forward { type filter hook forward priority 0 ; policy accept ; }');
    nft('add rule inet admin forward ip saddr 192.0.2.1 drop');
  });

  test('installs, is intact for any process, and leaves every other table as it was', async () => {
    const untouched = listing();
    assert.equal(await firewall.check(rules), 'absent');
    await firewall.install(rules);
    assert.deepEqual(await firewall.examine(rules), { state: 'intact', problems: [] });
    assert.equal(await new NftFirewall(net.tools()).check(rules), 'intact');
    assert.equal(await firewall.check(ruleSet()), 'damaged');
    assert.ok(listing().startsWith(untouched.trimEnd()));
    const once = listing();
    await firewall.install(rules);
    assert.equal(listing(), once);
    await firewall.remove('default');
    assert.equal(listing(), untouched);
    await firewall.remove('default');
  });

  test('damage is noticed and mended', async () => {
    await firewall.install(rules);
    const whole = await firewall.show('default');
    const damages = [
      'flush chain inet swarmgate undecided',
      'insert rule inet swarmgate forward accept',
      'delete chain inet swarmgate forward',
      'flush ruleset',
    ];
    for (const damage of damages) {
      nft(damage);
      assert.notEqual(await firewall.check(rules), 'intact', damage);
      const told: string[] = [];
      const watch = new RulesWatch(firewall, rules, {
        intervalMillis: 100_000,
        onRestored: (problems) => told.push(...problems),
        onProblem: ({ message }) => told.push(message),
      });
      await watch.look();
      await watch.stop();
      assert.equal(told.length, 1, told.join());
      assert.equal(await firewall.check(rules), 'intact');
      assert.equal(await firewall.show('default'), whole);
    }
  });

  test('two instances, and removing everything', async () => {
    const untouched = listing();
    const other = ruleSet({
      instance: 'node-1',
      queueFirst: 8,
      mark: new MarkField(0x0e00_0000),
      enforce: false,
    });
    await firewall.install(rules);
    await firewall.install(other);
    assert.equal(await firewall.check(rules), 'intact');
    assert.equal(await firewall.check(other), 'intact');
    await removeEverything('default', { tools: net.tools() });
    assert.equal(await firewall.check(other), 'intact');
    await removeEverything('node-1', { tools: net.tools() });
    assert.equal(listing().startsWith(untouched.trimEnd()), true);
    assert.doesNotMatch(listing(), /swarmgate/i);
  });

  test('trying leaves nothing behind, and nft is the first choice', async () => {
    const untouched = listing();
    assert.equal(await tryBackend('nft', { tools: net.tools() }), null);
    assert.equal((await chooseFirewall('auto', { tools: net.tools() })).name, 'nft');
    assert.equal(listing(), untouched);
  });

  test('offload and conflicts are found as this nft lists them, and the mend works', async () => {
    nft('add flowtable inet admin ft { hook ingress priority 0 ; devices = { up1 , up2 } ; }');
    nft('add rule inet admin forward meta l4proto { tcp , udp } flow add @ft');
    nft('add rule inet admin forward meta mark set 5');
    nft('add rule inet admin forward queue num 2');
    await firewall.install(rules);
    const found = await probeFirewall(rules, { tools: net.tools() });
    const codes = found.filter(({ level }) => level !== 'ok').map(({ code }) => code);
    for (const code of ['queue-taken', 'mark-taken', 'flow-offload'])
      assert.ok(codes.includes(code), codes.join());
    const mend = found.find(({ code }) => code === 'flow-offload')?.mend ?? '';
    nft(mend.slice("nft '".length, -1));
    assert.deepEqual(await findOffloads(rules.mark, net.tools()), []);
  });
});
