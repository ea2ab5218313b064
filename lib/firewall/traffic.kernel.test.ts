/** What the rules of each backend do to real packets: a client, a router with the rules and a consumer of the queue, a server. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import type { Firewall } from './firewall.js';
import { IptablesFirewall } from './iptables.js';
import { MarkField } from './marks.js';
import { NftFirewall } from './nft.js';
import { cannotMakeNamespaces, hasProgram, Network, nftIsMissing, ruleSet } from './testing.js';
import type { Tools } from './tools.js';

const skip: string | false =
  cannotMakeNamespaces() ||
  (hasProgram('iptables') ? false : 'iptables is not installed') ||
  (hasProgram('python3') ? false : 'python3 with libnetfilter_queue is not installed');

/** In the emulated machine only what cannot be tested outside. */
const nftOnly: string | false =
  process.env['SWARMGATE_EXPECT_NFT'] === undefined ? false : 'tested outside of the emulated machine';

const noBridge: string | false = existsSync('/proc/sys/net/bridge') ? false : 'br_netfilter is not loaded';

const servers = { iptables: '10.2.0.2', ip6tables: 'fd02::2' } as const;
/** Nobody has these: what is sent there is forwarded and never answered by TCP. */
const nobody = { iptables: '10.2.0.9', ip6tables: 'fd02::9' } as const;
const mask = '0x70000000';

interface Kind {
  readonly name: string;
  /** By which the test writes the administrator's rules. */
  readonly frontEnd: '-nft' | '-legacy';
  readonly make: (tools: Tools) => Firewall;
  /** How the consumer lets a packet of an undecided flow go on. */
  readonly goOn: 'go' | 'pass';
  readonly missing: string | false;
}

const kinds: readonly Kind[] = [
  ...(['-nft', '-legacy'] as const).map((frontEnd) => ({
    ...{ name: `iptables${frontEnd}`, frontEnd, goOn: 'pass' as const },
    make: (tools: Tools) => new IptablesFirewall({ tools, frontEnd }),
    missing:
      skip === false && !hasProgram(`iptables${frontEnd}`)
        ? `iptables${frontEnd} is not installed`
        : skip || nftOnly,
  })),
  {
    ...{ name: 'nft', frontEnd: '-nft', goOn: 'go' },
    make: (tools: Tools) => new NftFirewall(tools),
    missing: skip === false ? nftIsMissing() : skip,
  },
];

for (const kind of kinds) {
  for (const family of ['iptables', 'ip6tables'] as const) {
    const version = family === 'iptables' ? 'IPv4' : 'IPv6';
    describe(`${version} packets through ${kind.name}`, { skip: kind.missing }, () => {
      trafficTests(kind, family);
    });
  }
}

function trafficTests({ frontEnd, make, goOn }: Kind, family: keyof typeof servers): void {
  const server = servers[family];
  const rules = ruleSet();
  let net: Network;
  let firewall: Firewall;
  before(() => {
    net = new Network();
    firewall = make(net.tools());
  });
  after(() => {
    net.close();
  });
  beforeEach(async () => {
    await net.start(net.server, 'serve');
    await firewall.install(rules);
  });
  afterEach(async () => {
    net.stopChildren();
    await firewall.remove('default');
    await firewall.remove('b');
    for (const chain of ['PREROUTING', 'FORWARD', 'POSTROUTING']) tables(`-t mangle -F ${chain}`);
  });
  const tables = (words: string): string => net.run(net.router, `${family}${frontEnd} ${words}`);
  const consume = (...plan: string[]): Promise<string[]> =>
    net.start(net.router, 'queue', '0', mask, ...plan);
  const send = (...segments: string[]): string =>
    net.run(net.client, `python3 ${net.script} segments ${nobody[family]} ${segments.join(' ')}`);
  /** Packets that the last rule of a chain in mangle has counted. */
  const counted = (chain: string): number => {
    const lines = tables(`-t mangle -L ${chain} -v -x -n`).trim().split('\n');
    return Number(lines.at(-1)!.trim().split(/\s+/)[0]);
  };

  test('with nobody listening packets pass; by iptables not through the rules behind ours in mangle', async () => {
    tables('-t mangle -A FORWARD -p udp');
    assert.equal(await net.ask('tcp', server), 'ok');
    assert.equal(await net.ask('udp', server), 'ok');
    // Bypass "moves on to the next table", iptables-extensions(8).
    assert.equal(counted('FORWARD'), firewall.name === 'iptables' ? 0 : 8);
  });

  test('passed packets meet the rules behind ours, once each, with a clean mark', async () => {
    tables('-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 700');
    tables('-t mangle -A FORWARD -m mark ! --mark 0');
    tables('-t mangle -A POSTROUTING -p tcp');
    const seen = await consume(goOn);
    assert.equal(await net.ask('tcp', server), 'ok');
    const clamped = /TCPMSS.*/.exec(tables('-t mangle -L FORWARD -v -x -n'));
    assert.ok(clamped);
    assert.match(tables('-t mangle -L FORWARD -v -x -n'), /^ +2 .*TCPMSS set 700/m);
    assert.equal(counted('FORWARD'), 0, 'packets with a mark behind our rules');
    assert.ok(seen.length > 8);
    assert.ok(counted('POSTROUTING') > seen.length, 'acknowledgements too');
  });

  test('of undecided flows all but acknowledgements without payload is queued; these pass', async () => {
    tables('-t mangle -A FORWARD -p tcp');
    const seen = await consume(goOn);
    const options = [0, 3, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0, 0];
    send(...options.map((words) => `0x10:${words}:0`), '0x18:3:0');
    const others = [
      ...[0, 3, 5, 6, 7, 8, 9, 10].map((words) => `0x10:${words}:1`),
      ...['0x10:0:12', '0x02:0:0', '0x12:0:0', '0x11:3:0', '0x14:0:0', '0x18:3:1448'],
    ];
    send(...others);
    // Its packets come through the same queue: behind them nothing is left in it.
    assert.equal(await net.ask('udp', server), 'ok');
    assert.equal(seen.length, others.length + 8);
    assert.equal(counted('FORWARD'), others.length + options.length + 1);
  });

  test('a burst of a connection that conntrack does not know arrives whole; its first segment is not queued', async () => {
    tables('-t mangle -A POSTROUTING -p tcp --dport 5001 -m length --length 100:');
    const seen = await consume(goOn);
    const burst = (port: number): string[] => Array.from({ length: 10 }, () => `0x18:3:100:${port}`);
    for (const port of [41_001, 41_002, 41_003]) send(...burst(port));
    assert.equal(await net.ask('udp', server), 'ok');
    assert.equal(counted('POSTROUTING'), 30);
    assert.ok(seen.length - 8 <= 27, `${seen.length - 8} queued`);
  });

  test(
    'broadcast and multicast over a bridge arrive at every port, the first packet too',
    { skip: noBridge },
    async () => {
      const ports = [net.client, net.server, net.server].map((peer, i) => ({
        peer,
        port: `b${i}`,
        end: `e${i}`,
      }));
      net.run(net.router, 'ip link add br0 type bridge');
      try {
        for (const { peer, port, end } of ports) {
          net.run(net.router, `ip link add ${port} type veth peer name ${end} netns ${peer}`);
          net.run(net.router, `ip link set ${port} master br0 up`);
          net.run(peer, `ip link set ${end} up`);
        }
        net.run(net.router, 'ip link set br0 up');
        net.run(net.client, 'ip address add 10.9.0.2/24 dev e0');
        net.run(net.client, 'ip address add fd09::2/64 dev e0 nodad');
        net.run(net.router, `sysctl -qw net.bridge.bridge-nf-call-${family}=1`);
        tables(
          '-t mangle -A POSTROUTING -p udp --dport 5001 -s ' +
            (family === 'iptables' ? '10.9.0.2' : 'fd09::2'),
        );
        const seen = await consume(goOn);
        for (const address of family === 'iptables' ? ['255.255.255.255', '239.1.2.3'] : ['ff05::123']) {
          const before = counted('POSTROUTING');
          const queued = seen.length;
          net.run(net.client, `python3 ${net.script} datagrams ${address} e0 3`);
          assert.equal(counted('POSTROUTING') - before, 6, `${address}: three datagrams at two ports`);
          // The question's own eight are queued too.
          assert.equal(await net.ask('udp', server), 'ok');
          assert.ok(seen.length - queued > 8, `${address}: the later ones are queued`);
        }
      } finally {
        net.run(net.router, 'ip link delete br0');
        for (const { port } of ports) net.run(net.router, `ip link delete ${port}`);
      }
    },
  );

  test('an accepted flow is not queued any more; all other bits of both marks survive', async () => {
    tables('-t mangle -A PREROUTING -j MARK --set-mark 0x8a000005');
    tables('-t mangle -A PREROUTING -j CONNMARK --set-xmark 0x8c000a00/0x8fffffff');
    tables('-t mangle -A POSTROUTING -p tcp -m mark --mark 0x8a000005 -m connmark --mark 0xac000a00');
    const seen = await consume(goOn, goOn, 'accept');
    assert.equal(await net.ask('tcp', server), 'ok');
    // Packets that were on their way when the flow was decided are queued once more.
    assert.deepEqual(seen.slice(0, 3), [goOn, goOn, 'accept']);
    assert.ok(seen.length <= 5, seen.join());
    assert.ok(counted('POSTROUTING') >= 8, 'packets after the decision carry all bits');
  });

  test('packets of a decided flow go past the rules for others', { skip: goOn === 'go' }, async () => {
    tables('-t mangle -A PREROUTING -j CONNMARK --set-xmark 0x20000000/0x70000000');
    assert.equal(await net.ask('udp', server), 'ok');
    const lines = tables('-t mangle -L -v -x -n').split('\n');
    /** Rules of a chain that counted packets. */
    const met = (chain: string): number => {
      const from = lines.findIndex((line) => line.startsWith(`Chain ${chain} `)) + 2;
      return lines.slice(from, lines.indexOf('', from)).filter((line) => !/^ +0 /.test(line)).length;
    };
    assert.deepEqual(['SWARMGATE', 'SWARMGATE-D', 'SWARMGATE-U', 'SWARMGATE-Q'].map(met), [1, 0, 0, 0]);
    assert.doesNotMatch(tables('-t filter -L FORWARD -v -x -n'), /^ +[1-9].*SWARMGATE/m);
  });

  test('a dropped flow goes silent, a rejected one is refused', async () => {
    // The client's first data: a server that has answered sends its answer again for a minute, in later tests too.
    await consume(goOn, goOn, 'drop');
    assert.equal(await net.ask('tcp', server), 'timeout');
    net.stopChildren();
    await net.start(net.server, 'serve');
    // What is refused is answered to its sender: here the client's first data.
    await consume(goOn, goOn, 'reject');
    assert.equal(await net.ask('tcp', server), 'reset');
    net.stopChildren();
    await net.start(net.server, 'serve');
    await consume('reject');
    assert.equal(await net.ask('udp', server), 'refused');
    assert.equal(await net.ask('tcp', server), 'refused');
  });

  test('packets without a connection (NOTRACK) are blocked one by one, as user space says', async () => {
    tables('-t raw -A PREROUTING -j CT --notrack');
    try {
      assert.equal(await net.ask('udp', server), 'ok', 'nobody listens');
      await consume(goOn);
      assert.equal(await net.ask('udp', server), 'ok');
      assert.equal(await net.ask('tcp', server), 'ok');
      for (const verdict of ['drop', 'reject']) {
        net.stopChildren();
        await net.start(net.server, 'serve');
        const seen = await consume(verdict);
        assert.equal(await net.ask('udp', server), 'timeout');
        assert.equal(await net.ask('tcp', server), 'timeout');
        assert.ok(seen.length >= 2, seen.join());
      }
      await firewall.install(ruleSet({ enforce: false }));
      assert.equal(await net.ask('udp', server), 'ok', 'monitor');
    } finally {
      tables('-t raw -F PREROUTING');
    }
  });

  test('a flow of this machine itself is refused too, when local packets are looked at', async () => {
    await firewall.install(ruleSet({ local: true, forwarded: false }));
    await consume('reject');
    const ask = (kind: string): string =>
      net.run(net.router, `python3 ${net.script} ${kind} ${server}`).trim();
    // By iptables the packet that decides is dropped, and those behind it are refused. A first one that is dropped takes
    // the connection along, which would keep the decision.
    assert.equal(ask('udp'), goOn === 'go' ? 'refused' : 'timeout');
    net.stopChildren();
    await net.start(net.server, 'serve');
    await consume(goOn, goOn, 'reject');
    assert.equal(ask('tcp'), 'reset');
  });

  test('packets of this machine leave where their user is routed to, whatever is decided', async () => {
    const ip = family === 'iptables' ? 'ip' : 'ip -6';
    await firewall.install(ruleSet({ local: true, forwarded: false }));
    net.run(net.router, `${ip} rule add uidrange 65534-65534 lookup 100`);
    net.run(net.router, `${ip} route add ${server} dev up1 table 100`);
    for (const up of ['up1', 'up2']) tables(`-t mangle -A POSTROUTING -o ${up} -p udp --dport 5001`);
    const left = (up: string): number => {
      const lines = tables('-t mangle -L POSTROUTING -v -x -n').split('\n');
      return Number(
        lines
          .find((line) => line.includes(` ${up} `))
          ?.trim()
          .split(/ +/)[0],
      );
    };
    try {
      for (const [index, verdict] of [goOn, 'accept'].entries()) {
        await consume(verdict);
        const words = ['--reuid', '65534', '--clear-groups', 'bash', '-c', `echo > /dev/udp/${server}/5001`];
        await net.tools().must('setpriv', words);
        for (let i = 0; i < 100 && left('up1') + left('up2') === index; i++) await setTimeout(20);
        net.stopChildren();
      }
      assert.deepEqual([left('up1'), left('up2')], [2, 0]);
    } finally {
      net.run(net.router, `${ip} rule del uidrange 65534-65534 lookup 100`);
    }
  });

  test('monitor: the same decisions, and nothing is blocked', async () => {
    await firewall.install(ruleSet({ enforce: false }));
    const seen = await consume('drop');
    assert.equal(await net.ask('tcp', server), 'ok');
    assert.deepEqual(seen, ['drop']);
  });

  test('a SYN on a used five-tuple begins a new flow', async () => {
    const seen = await consume('accept');
    assert.equal(await net.ask('tcp', server, 40_001), 'ok');
    assert.equal(await net.ask('tcp', server, 40_001), 'ok');
    assert.equal(seen.length, 2);
  });

  test('only packets of the named interfaces are queued', async () => {
    const seen = await consume(goOn);
    await firewall.install(ruleSet({ interfaces: ['eth7'] }));
    assert.equal(await net.ask('udp', server), 'ok');
    assert.equal(seen.length, 0);
    await firewall.install(ruleSet({ interfaces: ['eth7', 'up2'] }));
    assert.equal(await net.ask('udp', server), 'ok');
    assert.equal(seen.length, 8);
  });

  test('of two instances that share the traffic each packet is seen by one, in both directions', async () => {
    const plans = [
      { leave: ['up2'], pairs: [['up1', 'up2']] },
      { leave: ['up2'], pairs: [] },
    ] as const;
    const counts: number[][] = [];
    for (const plan of plans) {
      const other = plan.pairs.length > 0 ? ['up1'] : [];
      await firewall.install(ruleSet(plan));
      await firewall.install(
        ruleSet({
          instance: 'b',
          queueFirst: 1,
          mark: new MarkField(0x0e00_0000),
          interfaces: ['up2'],
          leave: other,
        }),
      );
      const one = await consume(goOn);
      const two = await net.start(net.router, 'queue', '1', '0x0e000000', goOn);
      assert.equal(await net.ask('udp', server), 'ok');
      counts.push([one.length, two.length]);
      net.stopChildren();
      await net.start(net.server, 'serve');
    }
    assert.deepEqual(counts, [
      [8, 0],
      [0, 8],
    ]);
  });

  test('two instances that see the same packets each see them once', async () => {
    await firewall.install(ruleSet({ instance: 'b', queueFirst: 1, mark: new MarkField(0x0e00_0000) }));
    const one = await consume(goOn);
    const two = await net.start(net.router, 'queue', '1', '0x0e000000', goOn);
    assert.equal(await net.ask('udp', server), 'ok');
    assert.deepEqual([one.length, two.length], [8, 8]);
  });
}
