/** The iptables backend in the kernel, in network namespaces that the test makes: nothing of the host's is touched. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { chooseFirewall, removeEverything, showEverything, tryBackend } from './choose.js';
import { IptablesFirewall, type FrontEnd } from './iptables.js';
import { MarkField } from './marks.js';
import { cannotMakeNamespaces, hasProgram, Network, ruleSet } from './testing.js';
import { Tools, type ToolResult } from './tools.js';

const skip = cannotMakeNamespaces() || (hasProgram('iptables') ? false : 'iptables is not installed');

/** Tools that refuse rules with one of these words, `times` times, as iptables-restore does where a module is missing. */
class Without extends Tools {
  times = Number.POSITIVE_INFINITY;
  constructor(
    prefix: readonly string[],
    private readonly refused: RegExp,
  ) {
    super(prefix);
  }
  override run(program: string, words: readonly string[], input = ''): Promise<ToolResult> {
    const word = this.refused.exec(input)?.[0];
    if (word === undefined || this.times-- <= 0) return super.run(program, words, input);
    return Promise.resolve({ status: 2, stdout: '', stderr: `Couldn't load \`${word}'` });
  }
}

/** Without dates and counters. */
const bare = (text: string): string => text.replace(/^#.*\n/gm, '').replace(/\[\d+:\d+\]/g, '[]');

for (const frontEnd of ['-nft', '-legacy'] as const) {
  const missing =
    skip || (hasProgram(`iptables${frontEnd}`) ? false : `iptables${frontEnd} is not installed`);
  describe(`rules by iptables${frontEnd}`, { skip: missing }, () => {
    rulesTests(frontEnd);
  });
}

function rulesTests(frontEnd: FrontEnd): void {
  let net: Network;
  let firewall: IptablesFirewall;
  const rules = ruleSet({ local: true, queueCount: 4 });
  before(() => {
    net = new Network();
    firewall = new IptablesFirewall({ tools: net.tools(), frontEnd });
  });
  after(() => {
    net.close();
  });
  const tables = (): string =>
    bare(net.run(net.router, `iptables${frontEnd}-save`)) +
    bare(net.run(net.router, `ip6tables${frontEnd}-save`));
  const lacking = (words: RegExp): Without => new Without(['ip', 'netns', 'exec', net.router], words);
  const iptables = (words: string): string => net.run(net.router, `iptables${frontEnd} ${words}`);
  beforeEach(async () => {
    await firewall.remove('default');
    await firewall.remove('b');
    iptables('-t mangle -F FORWARD');
    iptables('-t filter -F FORWARD');
    iptables('-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu');
    iptables('-t filter -A FORWARD -s 192.0.2.0/24 -m comment --comment -j_SWARMGATE -j DROP');
    // Tables that were never used are not listed: they are all used before the test looks.
    for (const table of ['mangle', 'security', 'filter']) {
      iptables(`-t ${table} -A OUTPUT -p 253`);
      iptables(`-t ${table} -D OUTPUT -p 253`);
      net.run(net.router, `ip6tables${frontEnd} -t ${table} -A FORWARD -j ACCEPT`);
      net.run(net.router, `ip6tables${frontEnd} -t ${table} -F FORWARD`);
    }
  });

  test('installs, is intact for any process, and leaves every other rule as it was', async () => {
    const untouched = tables();
    assert.equal(await firewall.check(rules), 'absent');
    await firewall.install(rules);
    assert.deepEqual(await firewall.examine(rules), { state: 'intact', problems: [] });
    const elsewhere = new IptablesFirewall({ tools: net.tools(), frontEnd });
    assert.equal(await elsewhere.check(rules), 'intact');
    assert.equal(await elsewhere.check(ruleSet({ queueCount: 2 })), 'damaged');
    const isForeign = (line: string): boolean => !line.includes('SWARMGATE') || line.includes('192.0.2.0');
    const foreign = tables().split('\n').filter(isForeign).join('\n');
    assert.equal(foreign, untouched);
    const once = tables();
    await firewall.install(rules);
    assert.equal(tables(), once);
    await firewall.remove('default');
    assert.equal(tables(), untouched);
    await firewall.remove('default');
  });

  test('a kernel that cannot tell acknowledgements gets the other rules, and every process knows them', async () => {
    const without = new IptablesFirewall({ tools: lacking(/bpf/), frontEnd });
    await without.tryOut(rules);
    assert.equal(await without.acknowledgements(), 'queued');
    assert.match(without.notes.join(), /^iptables has no match "bpf".*,ip6tables has no/);
    assert.equal(await firewall.acknowledgements(), 'left');
    await firewall.install(rules);
    const whole = tables();
    await without.install(rules);
    const unstamped = (text: string): string => text.replace(/^-A SWARMGATE-S .*\n/gm, '');
    assert.equal(unstamped(tables()), unstamped(whole).replace(/^.*-m bpf.*\n/gm, ''));
    assert.equal(await without.check(rules), 'intact');
    assert.equal(await firewall.check(rules), 'intact');
    assert.equal(await firewall.check(ruleSet({ queueCount: 2 })), 'damaged');
    iptables('-t mangle -F SWARMGATE-Q');
    assert.equal(await firewall.check(rules), 'damaged');
    await firewall.install(rules);
    assert.equal(tables(), whole);
  });

  test('nothing else that fails is taken for a missing match', async () => {
    const passing = lacking(/bpf/);
    passing.times = 1;
    await new IptablesFirewall({ tools: passing, frontEnd }).install(rules);
    const found = tables();
    assert.equal(found.split('-m bpf').length, 5, 'in both families, in mangle and security');
    const busy = lacking(/RETURN/);
    const failed = (pattern: RegExp) => (error: Error & { code?: string }) =>
      error.code === 'firewall-failed' && pattern.test(error.message);
    await assert.rejects(new IptablesFirewall({ tools: busy, frontEnd }).install(rules), failed(/RETURN/));
    assert.equal(tables(), found);
    const noQueue = new IptablesFirewall({ tools: lacking(/bpf|NFQUEUE/), frontEnd });
    await assert.rejects(noQueue.tryOut(rules), failed(/NFQUEUE/));
  });

  test('damage is noticed and mended', async () => {
    await firewall.install(rules);
    const whole = tables();
    const damages = [
      [
        '-t mangle -F FORWARD',
        '-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
      ],
      ['-t mangle -F SWARMGATE'],
      ['-t mangle -D SWARMGATE-Q 1'],
      ['-t filter -D INPUT 1'],
      ['-t mangle -D OUTPUT 1'],
      ['-t security -D OUTPUT 2'],
      ['-t mangle -A SWARMGATE -j ACCEPT'],
    ];
    for (const damage of damages) {
      damage.forEach(iptables);
      const report = await firewall.examine(rules);
      assert.equal(report.state, 'damaged', damage.join());
      assert.match(report.problems.join(), /^iptables: /);
      await firewall.install(rules);
      assert.equal(await firewall.check(rules), 'intact');
      assert.equal(tables(), whole);
    }
  });

  test('a rule put before ours is damage; reinstalling goes before it', async () => {
    await firewall.install(rules);
    iptables('-t mangle -I FORWARD 1 -s 198.51.100.1 -j ACCEPT');
    const { problems } = await firewall.examine(rules);
    assert.deepEqual(problems, [
      'iptables: mangle FORWARD: our rule "-j SWARMGATE" is not where it was',
      'iptables: mangle FORWARD: our rule "-m mark ! --mark 0x0/0x70000000 -j SWARMGATE-E" is not where it was',
    ]);
    await firewall.install(rules);
    assert.equal(await firewall.check(rules), 'intact');
    assert.match(tables(), /-A FORWARD -s 198.51.100.1/);
  });

  test('half an installation, and jumps that others wrote, are removed', async () => {
    const untouched = tables();
    await firewall.install(rules);
    net.run(net.router, `ip6tables${frontEnd} -t mangle -F FORWARD`);
    iptables('-t mangle -D FORWARD 1');
    iptables('-t filter -A FORWARD -s 203.0.113.0/24 -g SWARMGATE');
    assert.equal(await firewall.check(rules), 'damaged');
    await firewall.remove('default');
    assert.equal(tables(), untouched);
  });

  test('rules that an earlier version wrote are replaced and removed whole', async () => {
    const untouched = tables();
    const older = `*mangle
:SWARMGATE - [0:0]
:SWARMGATE-Q - [0:0]
:SWARMGATE-E - [0:0]
-A SWARMGATE -m connmark ! --mark 0x0/0x70000000 -j RETURN
-A SWARMGATE -j SWARMGATE-Q
-A SWARMGATE-Q -p 17 -j NFQUEUE --queue-num 0 --queue-bypass
-A SWARMGATE-E -m mark ! --mark 0x0/0x70000000 -j MARK --set-xmark 0x0/0x70000000
-I FORWARD 1 -j SWARMGATE
-I FORWARD 2 -j SWARMGATE-E
COMMIT
*filter
:SWARMGATE - [0:0]
-A SWARMGATE -m connmark --mark 0x30000000/0x70000000 -j DROP
-I FORWARD 1 -j SWARMGATE
COMMIT
`;
    const write = async (): Promise<void> => {
      const { status } = await net.tools().run(`iptables${frontEnd}-restore`, ['--noflush'], older);
      assert.equal(status, 0);
    };
    await firewall.install(rules);
    const whole = tables();
    await firewall.remove('default');
    await write();
    assert.equal(await firewall.check(rules), 'damaged');
    await firewall.install(rules);
    assert.equal(tables(), whole);
    await firewall.remove('default');
    await write();
    await firewall.remove('default');
    assert.equal(tables(), untouched);
  });

  test('two instances stand side by side, whichever is written last', async () => {
    const untouched = tables();
    const other = ruleSet({ instance: 'b', queueFirst: 8, mark: new MarkField(0x0e00_0000), enforce: false });
    await firewall.install(rules);
    await firewall.install(other);
    for (const again of [rules, other, rules]) {
      assert.equal(await firewall.check(rules), 'intact');
      assert.equal(await firewall.check(other), 'intact');
      await firewall.install(again);
    }
    await firewall.remove('default');
    assert.equal(await firewall.check(rules), 'absent');
    assert.equal(await firewall.check(other), 'intact');
    await firewall.remove('b');
    assert.equal(tables(), untouched);
  });

  test('everything is removed and shown, whichever front end wrote it', async () => {
    const untouched = tables();
    await firewall.install(rules);
    assert.match(await showEverything('default', { tools: net.tools() }), /NFQUEUE --queue-balance 0:3/);
    await removeEverything('default', { tools: net.tools() });
    assert.equal(tables(), untouched);
    assert.equal(await showEverything('default', { tools: net.tools() }), '');
  });

  test('trying a backend leaves nothing behind', async () => {
    const untouched = tables();
    assert.equal(await tryBackend('iptables', { tools: net.tools() }), null);
    const nft = await tryBackend('nft', { tools: net.tools() });
    const chosen = await chooseFirewall('auto', { tools: net.tools() });
    assert.equal(chosen.name, nft === null ? 'nft' : 'iptables');
    assert.equal(tables(), untouched);
    assert.doesNotMatch(net.run(net.router, 'nft list tables'), /swarmgate/);
  });

  test(
    'a table of native nft that hides ours is named, and stands in nobody’s way who has no rules there',
    {
      skip: frontEnd === '-legacy' ? 'iptables-legacy and nft do not share tables' : false,
    },
    async () => {
      const hidden =
        'table ip security { chain OUTPUT { type filter hook output priority 150; meta mark set ct mark; }; }';
      net.run(net.router, 'nft delete table ip security');
      await net.tools().must('nft', ['-f', '-'], hidden);
      try {
        await assert.rejects(firewall.install(rules), /cannot show its table security/);
        await assert.rejects(firewall.examine(rules), /cannot show its table security/);
        assert.match(
          (await tryBackend('iptables', { tools: net.tools(), local: true }))?.message ?? '',
          /table ip security/,
        );
        await firewall.install(ruleSet());
        assert.equal(await firewall.check(ruleSet()), 'intact');
        await firewall.remove('default');
        await net.tools().must('nft', ['-f', '-'], 'add chain ip security SWARMGATE\n');
        await assert.rejects(firewall.remove('default'), /cannot show its table security/);
      } finally {
        net.run(net.router, 'nft delete table ip security');
      }
    },
  );

  test('chains that other settings needed go with them', async () => {
    await firewall.install(rules);
    assert.match(tables(), /:SWARMGATE-F /);
    await firewall.install(ruleSet());
    assert.doesNotMatch(tables(), /:SWARMGATE-F /);
    assert.equal(await firewall.check(ruleSet()), 'intact');
  });

  test('a kernel without the security table can do all but look at its own packets, which is said', async () => {
    const tools = lacking(/\*security/);
    assert.equal(await tryBackend('iptables', { tools }), null);
    const reason = await tryBackend('iptables', { tools, local: true });
    assert.equal(reason?.code, 'firewall-no-security');
    assert.match(reason.message, /modprobe -a iptable_security/);
    await assert.rejects(chooseFirewall('iptables', { tools, local: true }), {
      code: 'firewall-no-security',
    });
    assert.equal(await tryBackend('iptables', { tools: net.tools(), local: true }), null);
  });
}
