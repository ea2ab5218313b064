/**
 * The rules as an nft script: one table of our own, replaced as a whole in one transaction.
 *
 * Priority: a little before mangle (-150). Conntrack (-200) has run, so connection marks are there; everything that an
 * administrator usually writes (mangle, filter 0) comes after and sees every packet that we let go on. In the output
 * hook this is before destination NAT (-100), like iptables' mangle table.
 *
 * An `accept` in a base chain, and the NF_ACCEPT of user space or of `bypass`, end this chain only (nft(8), "verdict
 * statement"), so nothing of the administrator's is skipped. NF_REPEAT runs this base chain again from its first rule
 * (linux: nfnetlink_queue.c, nf_reinject).
 *
 * `queue num a-b` without `fanout` picks the queue by a hash of the address pair, the same for both directions (linux:
 * nft_queue.c, nfqueue_hash). Marks are computed with constants only: register with register needs Linux 6.13.
 */
import { acknowledgementRules } from './acknowledgements.js';
import type { RuleSet } from './firewall.js';
import { markAccept, markBlocked, markDrop, markPass, markReject, type MarkValue } from './marks.js';
import { hooksOf, icmpProtocols, queuedProtocols, tableName, type Hook } from './rules.js';

const priority = -155;

/** The whole script. */
export function nftScript(rules: RuleSet): string {
  const table = `inet ${tableName(rules.instance)}`;
  return [
    `# Swarmgate, instance ${rules.instance}: ${rules.enforce ? 'enforce' : 'monitor'}. Replaces its table as a whole.`,
    `add table ${table}`,
    `delete table ${table}`,
    tableText(rules),
  ].join('\n');
}

/**
 * The same for a table that stands already, without taking a base chain away: when one goes, the kernel drops every
 * packet that user space holds at that moment, of all queues of the network namespace (linux: nf_queue_nf_hook_drop).
 * @param standing the listing of the table
 * @returns null when its base chains are not those of these rules, or it holds things that we never write
 */
export function nftScriptInPlace(rules: RuleSet, standing: string): string | null {
  const table = `inet ${tableName(rules.instance)}`;
  const hooks = new Set<string>(hooksOf(rules));
  const removals: string[] = [];
  let kept = 0;
  for (const [, what, name, type] of standing.matchAll(/^\t(\S+) (\S+) \{\n(\t\ttype )?/gm)) {
    if (what !== 'chain' || hooks.has(name!) !== (type !== undefined)) return null;
    if (type === undefined) removals.push(`delete chain ${table} ${name!}`);
    else kept++;
  }
  if (kept !== hooks.size) return null;
  return [`flush table ${table}`, ...removals, tableText(rules)].join('\n');
}

function tableText(rules: RuleSet): string {
  const chains = [
    ...hooksOf(rules).map(baseChain),
    inspectChain(rules),
    returnedChain(rules),
    decidedChain(rules),
    acknowledgementChain(),
    queueChain(rules),
  ];
  const text = chains
    .map((lines) => lines.map((line) => (line === '' ? '\n' : `\t${line}\n`)).join(''))
    .join('\n');
  return `table inet ${tableName(rules.instance)} {\n${text}}\n`;
}

function chain(name: string, lines: readonly string[]): string[] {
  return [`chain ${name} {`, ...lines.map((line) => `\t${line}`), '}'];
}

function baseChain(hook: Hook): string[] {
  const except = { forward: '', input: 'iifname != "lo" ', output: 'oifname != "lo" ' }[hook];
  return chain(hook, [
    `type filter hook ${hook} priority ${priority}; policy accept;`,
    `${except}jump inspect`,
  ]);
}

const is = (what: 'meta' | 'ct', { mark }: RuleSet, value: MarkValue): string =>
  `${what} mark and ${mark.maskText} == ${value === 0 ? '0x0' : mark.text(value)}`;
const isSet = (what: 'meta' | 'ct', { mark }: RuleSet): string => `${what} mark and ${mark.maskText} != 0x0`;
const clear = (what: 'meta' | 'ct', rules: RuleSet): string =>
  `${what} mark set ${what} mark and ${rules.mark.othersText}`;
const save = (rules: RuleSet, value: MarkValue): string =>
  `${clear('ct', rules)} or ${rules.mark.text(value)}`;

function inspectChain(rules: RuleSet): string[] {
  return chain('inspect', [
    '# Came back from user space by NF_REPEAT.',
    `${isSet('meta', rules)} goto returned`,
    '# The SYN of a used five-tuple begins a new flow.',
    `tcp flags & (fin | syn | rst | ack) == syn ${isSet('ct', rules)} ${clear('ct', rules)}`,
    `${isSet('ct', rules)} goto decided`,
    'tcp flags & (fin | syn | rst | ack) == ack jump acknowledgement',
    ...selection(rules),
  ]);
}

/** Which packets of undecided flows are this instance's. The first rule that fits counts. */
function selection({ pairs, leave, interfaces }: RuleSet): string[] {
  const either = (names: readonly string[], verdict: string): string[] => {
    const set = `{ ${names.map((name) => `"${name}"`).join(', ')} }`;
    return names.length === 0 ? [] : [`iifname ${set} ${verdict}`, `oifname ${set} ${verdict}`];
  };
  return [
    ...pairs.flatMap(([a, b]) => [
      `iifname "${a}" oifname "${b}" goto undecided`,
      `iifname "${b}" oifname "${a}" goto undecided`,
    ]),
    ...either(leave, 'return'),
    ...(interfaces.length === 0 ? ['goto undecided'] : either(interfaces, 'goto undecided')),
  ];
}

function returnedChain(rules: RuleSet): string[] {
  return chain('returned', [
    '# Pass: this packet only, nothing is kept.',
    `${is('meta', rules, markPass)} ${clear('meta', rules)} accept`,
    ...(rules.enforce ? untrackedRules(rules) : []),
    ...[markAccept, markDrop, markReject].map(
      (value) => `${is('meta', rules, value as MarkValue)} ${save(rules, value as MarkValue)}`,
    ),
    clear('meta', rules),
    'goto decided',
  ]);
}

function untrackedRules({ mark }: RuleSet): string[] {
  const blocked = mark.text(markBlocked);
  return [
    '# No connection keeps a decision: user space is asked again with each packet.',
    `meta mark and ${blocked} == ${blocked} ct state invalid,untracked drop`,
  ];
}

function decidedChain(rules: RuleSet): string[] {
  if (!rules.enforce) return chain('decided', ['# Monitor: nothing is blocked.', 'accept']);
  return chain('decided', [
    `${is('ct', rules, markDrop)} drop`,
    `${is('ct', rules, markReject)} jump refuse`,
    'accept',
  ]).concat('', refuseChain());
}

/** Resets and ICMP go on: they end the flow, and our own answers are among them when the output hook is looked at. */
function refuseChain(): string[] {
  return chain('refuse', [
    '# Resets and ICMP errors end the flow; our own are among them.',
    'tcp flags & rst == rst accept',
    `meta l4proto { ${icmpProtocols.join(', ')} } accept`,
    'meta l4proto tcp reject with tcp reset',
    'reject with icmpx type port-unreachable',
  ]);
}

function acknowledgementChain(): string[] {
  return chain('acknowledgement', [
    '# Without payload there is nothing to look at.',
    ...acknowledgementRules,
  ]);
}

function queueChain({ queueFirst, queueCount }: RuleSet): string[] {
  const queues = queueCount === 1 ? `${queueFirst}` : `${queueFirst}-${queueFirst + queueCount - 1}`;
  return chain('undecided', [
    '# First packets that a queue would cost: copies, and what is in the midst of a connection.',
    'meta pkttype { multicast, broadcast } ct status & confirmed == 0 return',
    'tcp flags & (fin | syn | rst | ack) != syn ct state new ct status & confirmed == 0 return',
    '# TCP, UDP, IPv4 in IP, IPv6 in IP, GRE. Nobody listening: the packet goes on.',
    `meta l4proto { ${queuedProtocols.join(', ')} } queue num ${queues} bypass`,
  ]);
}
