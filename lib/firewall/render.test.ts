/** The rules as text: golden, and never anything in them but what was looked at. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FirewallError, type RuleSet } from './firewall.js';
import { installation, IptablesFirewall, removal } from './iptables.js';
import { ownParts, parseListing, targetOf } from './iptables-listing.js';
import { MarkField } from './marks.js';
import { NftFirewall } from './nft.js';
import { nftScriptInPlace } from './nft-text.js';
import { chainNames, requireSound } from './rules.js';
import { ruleSet } from './testing.js';
import { takes } from '../numa/shares.js';

const nft = new NftFirewall();
const iptables = new IptablesFirewall({ hasIpv6: () => true });

test('iptables: the whole text', () => {
  const text = iptables.render(ruleSet({ queueCount: 4, interfaces: ['ppp0'], local: true }));
  assert.equal(
    text,
    `# Swarmgate, instance default: enforce.
# For iptables-restore --noflush -w and ip6tables-restore --noflush -w.
# Where they lack the match bpf, leave out the line with it: acknowledgements are then queued too.
*mangle
:SWARMGATE - [0:0]
:SWARMGATE-D - [0:0]
:SWARMGATE-U - [0:0]
:SWARMGATE-Q - [0:0]
:SWARMGATE-E - [0:0]
:SWARMGATE-F - [0:0]
:SWARMGATE-S - [0:0]
-A SWARMGATE -m connmark ! --mark 0x0/0x70000000 -g SWARMGATE-D
-A SWARMGATE -m mark ! --mark 0x0/0x70000000 -j RETURN
-A SWARMGATE -p tcp -m bpf --bytecode "30,48 0 0 0,116 0 0 4,21 0 13 4,177 0 0 0,40 0 0 6,69 23 0 16383,80 0 0 13,84 0 0 23,21 0 20 16,80 0 0 12,116 0 0 2,84 0 0 60,12 0 0 0,7 0 0 0,40 0 0 2,29 12 13 0,21 0 12 6,48 0 0 6,21 0 10 6,48 0 0 53,84 0 0 23,21 0 7 16,48 0 0 52,116 0 0 2,84 0 0 60,7 0 0 0,40 0 0 4,29 0 1 0,6 0 0 1,6 0 0 0" -j RETURN
-A SWARMGATE -g SWARMGATE-U
-A SWARMGATE-D -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x0/0x70000000 -j CONNMARK --set-xmark 0x0/0x70000000
-A SWARMGATE-D -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x0/0x70000000 -g SWARMGATE-U
-A SWARMGATE-U -i ppp0 -j SWARMGATE-Q
-A SWARMGATE-U -o ppp0 -j SWARMGATE-Q
-A SWARMGATE-Q -m pkttype --pkt-type multicast -m conntrack ! --ctstatus CONFIRMED -j RETURN
-A SWARMGATE-Q -m pkttype --pkt-type broadcast -m conntrack ! --ctstatus CONFIRMED -j RETURN
-A SWARMGATE-Q -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -m conntrack ! --ctstatus CONFIRMED -j RETURN
-A SWARMGATE-Q -p 6 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 17 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 4 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 41 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 47 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-E -m mark --mark 0x40000000/0x40000000 -m conntrack --ctstate INVALID,UNTRACKED -j DROP
-A SWARMGATE-E -m mark ! --mark 0x10000000/0x70000000 -j CONNMARK --save-mark --nfmask 0x70000000 --ctmask 0x70000000
-A SWARMGATE-E -j MARK --set-xmark 0x0/0x70000000
-A SWARMGATE-F -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x0/0x70000000 -j CONNMARK --set-xmark 0x0/0x70000000
-I FORWARD 1 -j SWARMGATE
-I INPUT 1 ! -i lo -j SWARMGATE
-I OUTPUT 1 ! -o lo -m connmark ! --mark 0x0/0x70000000 -j SWARMGATE-F
-I FORWARD 2 -m mark ! --mark 0x0/0x70000000 -j SWARMGATE-E
-I INPUT 2 ! -i lo -m mark ! --mark 0x0/0x70000000 -j SWARMGATE-E
COMMIT
*security
:SWARMGATE - [0:0]
:SWARMGATE-D - [0:0]
:SWARMGATE-U - [0:0]
:SWARMGATE-Q - [0:0]
:SWARMGATE-E - [0:0]
-A SWARMGATE -m connmark ! --mark 0x0/0x70000000 -g SWARMGATE-D
-A SWARMGATE -m mark ! --mark 0x0/0x70000000 -j RETURN
-A SWARMGATE -p tcp -m bpf --bytecode "30,48 0 0 0,116 0 0 4,21 0 13 4,177 0 0 0,40 0 0 6,69 23 0 16383,80 0 0 13,84 0 0 23,21 0 20 16,80 0 0 12,116 0 0 2,84 0 0 60,12 0 0 0,7 0 0 0,40 0 0 2,29 12 13 0,21 0 12 6,48 0 0 6,21 0 10 6,48 0 0 53,84 0 0 23,21 0 7 16,48 0 0 52,116 0 0 2,84 0 0 60,7 0 0 0,40 0 0 4,29 0 1 0,6 0 0 1,6 0 0 0" -j RETURN
-A SWARMGATE -g SWARMGATE-U
-A SWARMGATE-D -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x0/0x70000000 -j CONNMARK --set-xmark 0x0/0x70000000
-A SWARMGATE-D -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x0/0x70000000 -g SWARMGATE-U
-A SWARMGATE-U -i ppp0 -j SWARMGATE-Q
-A SWARMGATE-U -o ppp0 -j SWARMGATE-Q
-A SWARMGATE-Q -m pkttype --pkt-type multicast -m conntrack ! --ctstatus CONFIRMED -j RETURN
-A SWARMGATE-Q -m pkttype --pkt-type broadcast -m conntrack ! --ctstatus CONFIRMED -j RETURN
-A SWARMGATE-Q -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -m conntrack ! --ctstatus CONFIRMED -j RETURN
-A SWARMGATE-Q -p 6 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 17 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 4 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 41 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-Q -p 47 -j NFQUEUE --queue-balance 0:3 --queue-bypass
-A SWARMGATE-E -m mark ! --mark 0x10000000/0x70000000 -j CONNMARK --save-mark --nfmask 0x70000000 --ctmask 0x70000000
-A SWARMGATE-E -m mark --mark 0x40000000/0x40000000 -j DROP
-A SWARMGATE-E -j MARK --set-xmark 0x0/0x70000000
-I OUTPUT 1 ! -o lo -j SWARMGATE
-I OUTPUT 2 ! -o lo -m mark ! --mark 0x0/0x70000000 -j SWARMGATE-E
COMMIT
*filter
:SWARMGATE - [0:0]
-A SWARMGATE -m connmark --mark 0x50000000/0x70000000 -j DROP
-A SWARMGATE -p tcp -m tcp --tcp-flags RST RST -j RETURN
-A SWARMGATE -p tcp -m connmark --mark 0x40000000/0x70000000 -j REJECT --reject-with tcp-reset
-A SWARMGATE -p 1 -j RETURN
-A SWARMGATE -p 58 -j RETURN
-A SWARMGATE -m connmark --mark 0x40000000/0x70000000 -j REJECT
-I FORWARD 1 -m connmark --mark 0x40000000/0x40000000 -j SWARMGATE
-I INPUT 1 ! -i lo -m connmark --mark 0x40000000/0x40000000 -j SWARMGATE
-I OUTPUT 1 ! -o lo -m connmark --mark 0x40000000/0x40000000 -j SWARMGATE
COMMIT
`,
  );
});

test('nft: the whole text', () => {
  const text = nft.render(ruleSet({ instance: 'node-1', queueFirst: 8, mark: new MarkField(0x0700) }));
  assert.equal(
    text,
    `# Swarmgate, instance node-1: enforce. Replaces its table as a whole.
add table inet swarmgate_node-1
delete table inet swarmgate_node-1
table inet swarmgate_node-1 {
	chain forward {
		type filter hook forward priority -155; policy accept;
		jump inspect
	}

	chain inspect {
		# Came back from user space by NF_REPEAT.
		meta mark and 0x700 != 0x0 goto returned
		# The SYN of a used five-tuple begins a new flow.
		tcp flags & (fin | syn | rst | ack) == syn ct mark and 0x700 != 0x0 ct mark set ct mark and 0xfffff8ff
		ct mark and 0x700 != 0x0 goto decided
		tcp flags & (fin | syn | rst | ack) == ack jump acknowledgement
		goto undecided
	}

	chain returned {
		# Pass: this packet only, nothing is kept.
		meta mark and 0x700 == 0x100 meta mark set meta mark and 0xfffff8ff accept
		# No connection keeps a decision: user space is asked again with each packet.
		meta mark and 0x400 == 0x400 ct state invalid,untracked drop
		meta mark and 0x700 == 0x200 ct mark set ct mark and 0xfffff8ff or 0x200
		meta mark and 0x700 == 0x500 ct mark set ct mark and 0xfffff8ff or 0x500
		meta mark and 0x700 == 0x400 ct mark set ct mark and 0xfffff8ff or 0x400
		meta mark set meta mark and 0xfffff8ff
		goto decided
	}

	chain decided {
		ct mark and 0x700 == 0x500 drop
		ct mark and 0x700 == 0x400 jump refuse
		accept
	}

	chain refuse {
		# Resets and ICMP errors end the flow; our own are among them.
		tcp flags & rst == rst accept
		meta l4proto { 1, 58 } accept
		meta l4proto tcp reject with tcp reset
		reject with icmpx type port-unreachable
	}

	chain acknowledgement {
		# Without payload there is nothing to look at.
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 40 tcp doff 5 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 52 tcp doff 8 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 60 tcp doff 10 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 64 tcp doff 11 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 68 tcp doff 12 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 72 tcp doff 13 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 76 tcp doff 14 accept
		ip frag-off & 0x3fff == 0 ip hdrlength 5 ip length 80 tcp doff 15 accept
		ip6 nexthdr tcp ip6 length 20 tcp doff 5 accept
		ip6 nexthdr tcp ip6 length 32 tcp doff 8 accept
		ip6 nexthdr tcp ip6 length 40 tcp doff 10 accept
		ip6 nexthdr tcp ip6 length 44 tcp doff 11 accept
		ip6 nexthdr tcp ip6 length 48 tcp doff 12 accept
		ip6 nexthdr tcp ip6 length 52 tcp doff 13 accept
		ip6 nexthdr tcp ip6 length 56 tcp doff 14 accept
		ip6 nexthdr tcp ip6 length 60 tcp doff 15 accept
	}

	chain undecided {
		# First packets that a queue would cost: copies, and what is in the midst of a connection.
		meta pkttype { multicast, broadcast } ct status & confirmed == 0 return
		tcp flags & (fin | syn | rst | ack) != syn ct state new ct status & confirmed == 0 return
		# TCP, UDP, IPv4 in IP, IPv6 in IP, GRE. Nobody listening: the packet goes on.
		meta l4proto { 6, 17, 4, 41, 47 } queue num 8 bypass
	}
}
`,
  );
});

test('monitor: nothing is dropped or rejected', () => {
  for (const firewall of [nft, iptables])
    assert.doesNotMatch(firewall.render(ruleSet({ enforce: false })), /\bdrop\b|reject/i);
});

test('what is not sound is refused before a text is made', () => {
  const wrong: Partial<RuleSet>[] = [
    { instance: 'A' },
    { instance: '' },
    { instance: 'a'.repeat(16) },
    { instance: 'a;b' },
    { interfaces: ['eth0; drop'] },
    { interfaces: ['eth0"'] },
    { interfaces: ['ppp+'] },
    { interfaces: ['-j'] },
    { interfaces: ['a'.repeat(16)] },
    { interfaces: ['eth0\n'] },
    { instance: 'a\n' },
    { leave: ['eth0 accept'] },
    { pairs: [['eth0', 'eth1; drop']] },
    { queueFirst: -1 },
    { queueFirst: 0.5 },
    { queueFirst: 65_535, queueCount: 2 },
    { queueCount: 0 },
    { forwarded: false },
  ];
  for (const changes of wrong) {
    const isBad = (error: unknown): boolean =>
      error instanceof FirewallError && error.code === 'firewall-bad-rules';
    for (const firewall of [nft, iptables])
      assert.throws(() => firewall.render(ruleSet(changes)), isBad, JSON.stringify(changes));
  }
});

test('property: a text is refused, or holds only characters that mean what they should', () => {
  const anyName = fc.oneof(fc.stringMatching(/^[a-z][a-z0-9.]{0,14}$/), fc.string());
  const anyRules = fc.record({
    instance: fc.oneof(fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,14}$/), fc.string()),
    queueFirst: fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.double()),
    queueCount: fc.integer({ min: -1, max: 300 }),
    shift: fc.integer({ min: 0, max: 29 }),
    interfaces: fc.array(anyName, { maxLength: 3 }),
    pairs: fc.array(fc.tuple(anyName, anyName), { maxLength: 2 }),
    leave: fc.array(anyName, { maxLength: 2 }),
    local: fc.boolean(),
    forwarded: fc.boolean(),
    enforce: fc.boolean(),
  });
  fc.assert(
    fc.property(anyRules, ({ shift, ...rest }) => {
      const rules = { ...rest, mark: new MarkField((7 << shift) >>> 0) };
      try {
        requireSound(rules);
      } catch {
        return;
      }
      // nft's braces, quotes and operators; none of $ ` \ * ? ~ or anything outside printable ASCII.
      assert.match(nft.render(rules), /^[A-Za-z0-9 \t\n#:,._{}()&|=!";-]*$/);
      assert.match(iptables.render(rules), /^[A-Za-z0-9 \n#:,._/*![\]"-]*$/);
      for (const name of Object.values({ ...chainNames(rules.instance) })) assert.ok(name.length <= 28);
      for (const line of iptables.render(rules).split('\n'))
        assert.match(line, /^(#.*|\*(mangle|security|filter)|COMMIT|:SWARMGATE\S* - \[0:0\]|-[AI] .*|)$/);
    }),
  );
});

/** What the rules about interfaces in an iptables text do with a packet: whether it reaches the queue. */
function reachesQueue(text: string, incoming: string, outgoing: string): boolean {
  for (const [, from, to, target] of text.matchAll(
    /^-A SWARMGATE-U(?: -i (\S+))?(?: -o (\S+))? -j (SWARMGATE-Q|RETURN)$/gm,
  )) {
    if ((from ?? incoming) === incoming && (to ?? outgoing) === outgoing) return target === 'SWARMGATE-Q';
  }
  return false;
}

/** The same for nft; its lines about interfaces stand in the chain `inspect`. */
function reachesQueueByNft(text: string, incoming: string, outgoing: string): boolean {
  const chain = /\tchain inspect \{\n([^}]*\}?[^}]*)+?\n\t\}/.exec(text)![0];
  const names = (set: string | undefined): string[] | null =>
    set === undefined ? null : [...set.matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
  for (const [, from, to, verdict] of chain.matchAll(
    /^\t\t(?:iifname (\{[^}]*\}|"\S+") ?)?(?:oifname (\{[^}]*\}|"\S+") ?)?(goto undecided|return)$/gm,
  )) {
    const fits =
      (names(from) ?? [incoming]).includes(incoming) && (names(to) ?? [outgoing]).includes(outgoing);
    if (fits) return verdict === 'goto undecided';
  }
  return false;
}

test('property: both backends queue what the share of an instance says', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd');
  const share = fc.record({
    interfaces: fc.uniqueArray(name),
    pairs: fc.array(fc.tuple(name, name), { maxLength: 3 }),
    leave: fc.uniqueArray(name),
  });
  fc.assert(
    fc.property(share, name, name, (wanted, incoming, outgoing) => {
      const rules = ruleSet(wanted);
      const expected = takes(wanted, incoming, outgoing);
      assert.equal(reachesQueue(iptables.render(rules), incoming, outgoing), expected);
      assert.equal(reachesQueueByNft(nft.render(rules), incoming, outgoing), expected);
    }),
  );
});

test('a reinstallation deletes what stands, and goes before other instances', () => {
  const listing = `*mangle
:FORWARD ACCEPT [0:0]
:SWARMGATE - [0:0]
-A FORWARD -j SWARMGATE-b
-A FORWARD -j SWARMGATE
-A FORWARD -m mark ! --mark 0x0/0x70000000 -j SWARMGATE-E
-A FORWARD -j SWARMGATE-b-E
-A FORWARD -m comment --comment "mine -j SWARMGATE" -j ACCEPT
COMMIT
*filter
:SWARMGATE - [0:0]
-A FORWARD -j SWARMGATE
COMMIT
`;
  const tables = parseListing(listing);
  const text = installation(ruleSet({ enforce: false }), tables, 'left');
  assert.match(text, /^\*filter\n-D FORWARD -j SWARMGATE\n-F SWARMGATE\n-X SWARMGATE\nCOMMIT\n\*mangle\n/);
  assert.match(
    text,
    /\n-D FORWARD -j SWARMGATE\n-D FORWARD -m mark ! --mark 0x0\/0x70000000 -j SWARMGATE-E\n-A /,
  );
  assert.match(
    text,
    /\n-I FORWARD 1 -j SWARMGATE\n-I FORWARD 4 -m mark ! --mark 0x0\/0x70000000 -j SWARMGATE-E\nCOMMIT\n$/,
  );
  assert.doesNotMatch(text, /mine|SWARMGATE-b/);
  assert.equal(removal(ownParts(tables, 'other')), '');
  assert.equal(targetOf('-A FORWARD -m comment --comment "a \\" -j X" -j Y'), 'Y');
});

test('nft: a table that stands is written again without unhooking a base chain', () => {
  const hooked = (name: string): string =>
    `\tchain ${name} {\n\t\ttype filter hook ${name} priority mangle - 5; policy accept;\n\t\tjump inspect\n\t}\n`;
  const standing = (...blocks: string[]): string => `table inet swarmgate {\n${blocks.join('\n')}}\n`;
  const plain = '\tchain stamp_0_1 {\n\t}\n';
  const script = nftScriptInPlace(ruleSet(), standing(hooked('forward'), plain))!;
  const start = 'flush table inet swarmgate\ndelete chain inet swarmgate stamp_0_1\ntable inet swarmgate {\n';
  assert.ok(script.startsWith(start), script);
  assert.ok(nft.render(ruleSet()).endsWith(script.slice(start.length)));
  assert.equal(nftScriptInPlace(ruleSet(), ''), null);
  assert.equal(nftScriptInPlace(ruleSet(), standing(plain)), null, 'a base chain is missing');
  assert.equal(nftScriptInPlace(ruleSet(), standing(hooked('forward'), hooked('input'))), null);
  assert.equal(nftScriptInPlace(ruleSet(), standing('\tchain forward {\n\t}\n')), null, 'not hooked');
  const set = '\tset others {\n\t\ttype ipv4_addr\n\t}\n';
  assert.equal(nftScriptInPlace(ruleSet(), standing(hooked('forward'), set)), null);
});
