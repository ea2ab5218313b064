/** What other rules on a machine mean for ours, read from listings as the tools print them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { iptablesConflicts, nftConflicts, shownTables } from './conflicts.js';
import { iptablesOffloads, nftOffloads } from './offload.js';
import { ruleSet } from './testing.js';

const rules = ruleSet({ queueFirst: 2, queueCount: 2 });
const codesOf = (line: string): string[] =>
  iptablesConflicts(rules, `*nat\n${line}\nCOMMIT\n`, 'iptables').map(({ code }) => code);

test('queues and mark bits that others use', () => {
  assert.deepEqual(codesOf('-A FORWARD -j NFQUEUE --queue-num 3'), ['queue-taken']);
  assert.deepEqual(codesOf('-A FORWARD -j NFQUEUE --queue-balance 0:2'), ['queue-taken']);
  assert.deepEqual(codesOf('-A FORWARD -j NFQUEUE --queue-num 4'), []);
  assert.deepEqual(codesOf('-A FORWARD -j NFQUEUE'), []);
  assert.deepEqual(codesOf('-A X -j MARK --set-xmark 0x5/0xffffffff'), ['mark-taken']);
  assert.deepEqual(codesOf('-A X -j MARK --set-xmark 0x40000/0xff0000'), []);
  assert.deepEqual(codesOf('-A X -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff'), [
    'mark-restored',
  ]);
  assert.deepEqual(codesOf('-A X -j CONNMARK --restore-mark --nfmask 0x8fffffff --ctmask 0x8fffffff'), []);
  assert.deepEqual(codesOf('-A X -m connmark --mark 0x2 -j ACCEPT'), ['mark-compared']);
  assert.deepEqual(codesOf('-A X -m connmark ! --mark 0x0/0xf0000000 -j ACCEPT'), ['mark-compared']);
  assert.deepEqual(codesOf('-A X -m connmark --mark 0x2/0xff -j ACCEPT'), []);
  assert.deepEqual(codesOf('-A X -m mark --mark 0x2 -j ACCEPT'), []);
  assert.deepEqual(codesOf('-A X -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff'), []);
  assert.deepEqual(codesOf('-A X -j DROP'), []);
});

test('a proxy on this machine is told of where its packets are not looked at', () => {
  const lines = [
    '-A PREROUTING -p tcp -m tcp --dport 80 -j TPROXY --on-port 3129 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1',
    '-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 3128',
  ];
  for (const line of lines) {
    const listing = `*mangle\n${line}\nCOMMIT\n`;
    assert.deepEqual(
      iptablesConflicts(ruleSet(), listing, 'iptables').map(({ code, mend }) => [code, mend]),
      [['proxied', 'swarmgate run --local']],
    );
    assert.deepEqual(iptablesConflicts(ruleSet({ local: true }), listing, 'iptables'), []);
  }
  const native =
    'table inet p {\n\tchain c {\n\t\ttcp dport 80 tproxy to :3129\n\t\tredirect to :53\n\t}\n}\n';
  assert.deepEqual(
    nftConflicts(ruleSet(), native).map(({ code }) => code),
    ['proxied', 'proxied'],
  );
});

test('copies behind routing are told apart, comments are not read, and the advised masks are taken', () => {
  const restore = '-j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff';
  assert.deepEqual(codesOf(`-A PREROUTING ${restore}`), ['mark-restored']);
  assert.deepEqual(codesOf(`-A OUTPUT ${restore}`), ['mark-restored']);
  assert.deepEqual(codesOf(`-A POSTROUTING ${restore}`), ['mark-restored-late']);
  assert.deepEqual(codesOf(`-A FORWARD -m comment --comment "x ${restore}" -j ACCEPT`), []);
  const inHook = (hook: string, rule: string): string[] =>
    nftConflicts(
      ruleSet(),
      `table ip mangle {\n\tchain c {\n\t\ttype filter hook ${hook} priority mangle; policy accept;\n\t\t${rule}\n\t}\n}\n`,
    ).map(({ code }) => code);
  assert.deepEqual(inHook('prerouting', 'meta mark set ct mark'), ['mark-restored']);
  assert.deepEqual(inHook('postrouting', 'meta mark set ct mark'), ['mark-restored-late']);
  assert.deepEqual(inHook('prerouting', 'meta mark set ct mark & 0x8fffffff'), []);
  assert.deepEqual(inHook('prerouting', 'meta mark set ct mark & 0x0000ff00'), []);
  assert.deepEqual(inHook('prerouting', 'meta mark set meta mark & 0x0000ff00'), ['mark-taken']);
  assert.deepEqual(inHook('prerouting', 'ct mark vmap { 0x00000001 : accept }'), ['mark-compared']);
  assert.deepEqual(inHook('prerouting', 'tcp dport 80 redirect'), ['proxied']);
  const listing = 'table ip mangle {\n\tchain c {\n\t\tmeta mark set ct mark\n\t}\n}\n';
  assert.deepEqual(nftConflicts(ruleSet(), listing, new Set(['ip mangle'])), []);
});

test('own packets that the kernel routes again by our bits are told of', () => {
  const restore = '-A OUTPUT -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff';
  const codes = iptablesConflicts(ruleSet({ local: true }), `*mangle\n${restore}\nCOMMIT\n`, 'iptables').map(
    ({ code }) => code,
  );
  assert.deepEqual(codes.slice(0, 2), ['mark-restored', 'own-rerouted']);
});

test('NAT that chooses anew for each packet, and zones, are told of', () => {
  const codes = (rule: string): string[] =>
    iptablesConflicts(ruleSet(), `*nat\n${rule}\nCOMMIT\n`, 'iptables').map(({ code }) => code);
  assert.deepEqual(codes('-A POSTROUTING -o eth0 -j MASQUERADE --random-fully'), ['nat-anew']);
  assert.deepEqual(
    codes(
      '-A PREROUTING -p udp -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.0.0.1',
    ),
    ['nat-anew'],
  );
  for (const rule of [
    '-A POSTROUTING -o eth0 -j MASQUERADE',
    '-A PREROUTING -j DNAT --to-destination 10.0.0.1',
  ])
    assert.deepEqual(codes(rule), []);
  assert.deepEqual(codes('-A PREROUTING -i lan0 -j CT --zone-orig 1'), ['zones']);
  const native = (rule: string): string[] =>
    nftConflicts(ruleSet(), `table ip n {\n\tchain c {\n\t\t${rule}\n\t}\n}\n`).map(({ code }) => code);
  assert.deepEqual(native('oifname "eth0" masquerade fully-random'), ['nat-anew']);
  assert.deepEqual(native('dnat to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }'), ['nat-anew']);
  assert.deepEqual(native('oifname "eth0" masquerade'), []);
  assert.deepEqual(native('iifname "lan0" ct original zone set 1'), ['zones']);
});

test('tables that iptables does not show are looked at in nft', () => {
  const of = (generated: string, comment = ''): string[] =>
    shownTables(
      `${comment}# Generated by ${generated} on Mon Nov 23\n*mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n`,
      'ip',
    );
  assert.deepEqual(of('iptables-nft-save v1.8.9 (nf_tables)'), ['ip mangle']);
  assert.deepEqual(of('xtables-save v1.8.2'), ['ip mangle']);
  assert.deepEqual(of('iptables-save v1.8.9'), [], "legacy's table of the same name is another one");
  for (const words of ['is incompatible', 'contains incompatible base-chains'])
    assert.deepEqual(
      of('iptables-save v1.8.9 (nf_tables)', `# Table \`mangle' ${words}, use 'nft' tool.\n`),
      [],
    );
});

test('rules before and behind ours', () => {
  const listing =
    '*mangle\n-A FORWARD -s 192.0.2.1/32 -j ACCEPT\n-A FORWARD -j SWARMGATE\n-A FORWARD -j SWARMGATE-E\n';
  const findings = iptablesConflicts(rules, listing, 'ip6tables');
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['rules-before', 'rules-behind'],
  );
  assert.match(findings[0]!.message, /^ip6tables mangle FORWARD has 1 rules before ours.*192\.0\.2\.1/);
});

test('nft: queues and marks, but not those of our own tables', () => {
  const listing = `table inet other {
	chain c {
		meta l4proto tcp queue flags bypass to 0-3
		queue num 7
		meta mark set 0x00000001
		ct mark set ct mark & 0xffffff00 | 0x00000001
		meta mark set ct mark
		ct mark 0x00000002 accept
		ct mark & 0x000000ff == 0x00000002 accept
	}
}
table inet swarmgate {
	chain undecided {
		queue flags bypass to 2-3
	}
}
`;
  assert.deepEqual(
    nftConflicts(rules, listing).map(
      ({ code, message }) => `${code} ${message.split(': ')[1]!.split(';')[0]!}`,
    ),
    [
      'queue-taken meta l4proto tcp queue flags bypass to 0-3',
      'mark-taken meta mark set 0x00000001',
      'mark-restored meta mark set ct mark',
      'mark-compared ct mark 0x00000002 accept',
    ],
  );
});

test('flow offload is found, with the command that lets only accepted flows be offloaded', () => {
  const listing = `table inet fw { # handle 1
	flowtable ft { # handle 3
		hook ingress priority filter
		devices = { eth0, eth1 }
		flags offload
	}
	chain forward { # handle 2
		type filter hook forward priority filter; policy accept;
		ip protocol { tcp, udp } flow add @ft # handle 5
		ct mark & 0x70000000 == 0x20000000 flow add @ft # handle 6
	}
}
`;
  assert.deepEqual(nftOffloads(listing, rules.mark), [
    {
      place: 'nft inet fw forward',
      rule: 'ip protocol { tcp, udp } flow add @ft',
      hardware: true,
      mend: "nft 'replace rule inet fw forward handle 5 ct mark & 0x70000000 == 0x20000000 ip protocol { tcp, udp } flow add @ft'",
    },
  ]);
  assert.match(nftOffloads(listing.replace('inet fw ', 'inet fw4 '), rules.mark)[0]!.mend, /^uci set/);
  const [legacy] = iptablesOffloads(
    '*filter\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j FLOWOFFLOAD\n',
    'iptables',
    rules.mark,
  );
  assert.equal(legacy?.hardware, false);
  assert.equal(
    legacy.mend,
    'iptables -t filter -A FORWARD -m conntrack --ctstate ESTABLISHED -m connmark --mark 0x20000000/0x70000000 ' +
      '-j FLOWOFFLOAD && iptables -t filter -D FORWARD -m conntrack --ctstate ESTABLISHED -j FLOWOFFLOAD',
  );
});
