/**
 * The rules as input of iptables-restore, the same text for IPv4 and IPv6.
 *
 *     mangle FORWARD (INPUT)
 *       -> SWARMGATE      decided, or a packet that came back, or else
 *            -> SWARMGATE-D   decided: forget on SYN, and then like the others
 *            -> back          acknowledgements without payload (acknowledgements.ts)
 *            -> SWARMGATE-U   which other packets of undecided flows
 *                 -> SWARMGATE-Q   the queue
 *       -> SWARMGATE-E    packets that came back: saves a decision to the connection, clears our field of the packet
 *       ... the administrator's rules
 *     security OUTPUT: the same, and what is blocked is dropped there, because the filter table was before
 *     mangle OUTPUT
 *       -> SWARMGATE-F    decided: forget on SYN
 *     filter FORWARD (INPUT, OUTPUT), enforce only
 *       -> SWARMGATE      blocked flows only: drop or reject by connection mark (REJECT works in the filter table only,
 *                         iptables-extensions(8))
 *
 * Most packets of a router are of decided flows that go on. They meet as few rules as can be, because each costs them 10
 * to 40 ns: a jump, one look at the connection's mark, SWARMGATE-D, one look at their own mark, and one in the filter table.
 *
 * NF_ACCEPT from user space ends the whole mangle table for a packet, so an undecided packet comes back by NF_REPEAT
 * with the value `pass`, and then meets the administrator's rules. The field is cleared behind the jumps of all
 * instances and not in SWARMGATE itself: two instances that see the same packet would else send it to each other's
 * queue for ever, since each repetition begins at the first rule.
 *
 * Packets of this machine are looked at in the security table, not in mangle, although mangle comes first: what comes back
 * to mangle's OUTPUT has another mark than it leaves with, and is routed again (linux: ipt_mangle_out), for IPv4 without
 * the user, the interface and the source that its socket asked for. Who sends some users' traffic into a VPN would see it
 * leave in the clear. The security table only sets what SELinux asks for, and routes nothing.
 *
 * A rule with `--queue-bypass` and nobody listening "behaves like ACCEPT instead, and the packet will move on to the
 * next table" (iptables-extensions(8), NFQUEUE): while Swarmgate is dead and its rules still stand, the administrator's
 * rules in mangle behind ours do not see undecided packets. The same holds for packets that a full queue lets pass.
 */
import { acknowledgementBytecode } from './acknowledgements.js';
import type { RuleSet } from './firewall.js';
import { markBlocked, markDrop, markPass, markReject } from './marks.js';
import { chainNames, hooksOf, icmpProtocols, queuedProtocols, type Hook } from './rules.js';

export type TableName = 'mangle' | 'filter' | 'security';

/** Whether acknowledgements are left to the kernel: not where it lacks the match `bpf` (module xt_bpf). */
export type Acknowledgements = 'left' | 'queued';

/** One of our jumps: the built-in chain, what it matches, and where it goes. */
export interface Jump {
  readonly chain: string;
  readonly rule: string;
  readonly target: string;
}

/** What is to be in one table. */
export interface TablePlan {
  readonly table: TableName;
  readonly chains: readonly string[];
  readonly rules: readonly string[];
  /** As the first rule of their chains. */
  readonly first: readonly Jump[];
  /** Behind the last of all instances' first jumps. */
  readonly last: readonly Jump[];
}

const builtIn: Readonly<Record<Hook, { chain: string; match: string }>> = {
  forward: { chain: 'FORWARD', match: '' },
  input: { chain: 'INPUT', match: '! -i lo ' },
  output: { chain: 'OUTPUT', match: '! -o lo ' },
};

function jumps(hooks: readonly Hook[], target: string, condition = ''): Jump[] {
  return hooks.map((hook) => ({
    chain: builtIn[hook].chain,
    rule: `${builtIn[hook].match}${condition}-j ${target}`,
    target,
  }));
}

export function tablePlans(rules: RuleSet, acknowledgements: Acknowledgements): TablePlan[] {
  return [
    manglePlan(rules, acknowledgements),
    ...(rules.local ? [securityPlan(rules, acknowledgements)] : []),
    ...(rules.enforce ? [filterPlan(rules)] : []),
  ];
}

/** What packets of undecided flows meet, wherever that is. */
function inspection(rules: RuleSet, acknowledgements: Acknowledgements): string[] {
  return [
    ...mainRules(rules, acknowledgements),
    ...decidedRules(rules),
    ...selection(rules),
    ...unconfirmedRules(rules),
    ...queueRules(rules),
  ];
}

function manglePlan(rules: RuleSet, acknowledgements: Acknowledgements): TablePlan {
  const { main, decided, undecided, queue, end, forget, stamp } = chainNames(rules.instance);
  const mask = rules.mark.maskText;
  const hooks = hooksOf(rules).filter((hook) => hook !== 'output');
  const forgetting = `-m connmark ! --mark 0x0/${mask} `;
  return {
    table: 'mangle',
    chains: [main, decided, undecided, queue, end, ...(rules.local ? [forget] : []), stamp],
    rules: [
      ...inspection(rules, acknowledgements),
      ...endRules(rules, false),
      ...(rules.local ? [forgetRule(forget, rules)] : []),
    ],
    first: [...jumps(hooks, main), ...(rules.local ? jumps(['output'], forget, forgetting) : [])],
    last: jumps(hooks, end, cameBack(rules)),
  };
}

/** This machine's own packets. The filter table was before: what is blocked now is dropped here, and rejected from then on. */
function securityPlan(rules: RuleSet, acknowledgements: Acknowledgements): TablePlan {
  const { main, decided, undecided, queue, end } = chainNames(rules.instance);
  return {
    table: 'security',
    chains: [main, decided, undecided, queue, end],
    rules: [...inspection(rules, acknowledgements), ...endRules(rules, rules.enforce)],
    first: jumps(['output'], main),
    last: jumps(['output'], end, cameBack(rules)),
  };
}

const cameBack = (rules: RuleSet): string => `-m mark ! --mark 0x0/${rules.mark.maskText} `;

export function acknowledgementRule(chain: string): string {
  return `-A ${chain} -p tcp -m bpf --bytecode "${acknowledgementBytecode}" -j RETURN`;
}

/**
 * First packets that the queue would cost. Copies of one packet (multicast, broadcast, what a bridge floods) share a
 * connection that the kernel does not know yet, and of those only one comes back. So do segments of a TCP connection from
 * before connection tracking, which come in bursts: of those behind the first it drops what comes back after that was known.
 */
function unconfirmedRules({ instance }: RuleSet): string[] {
  const { queue } = chainNames(instance);
  const unconfirmed = '-m conntrack ! --ctstatus CONFIRMED -j RETURN';
  return [
    `-A ${queue} -m pkttype --pkt-type multicast ${unconfirmed}`,
    `-A ${queue} -m pkttype --pkt-type broadcast ${unconfirmed}`,
    `-A ${queue} -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW ${unconfirmed}`,
  ];
}

/** A packet without a connection (INVALID, NOTRACK) fits no rule about the connection's mark, with `!` or without. */
function mainRules({ instance, mark }: RuleSet, acknowledgements: Acknowledgements): string[] {
  const { main, decided, undecided } = chainNames(instance);
  const mask = mark.maskText;
  const set = `! --mark 0x0/${mask}`;
  return [
    `-A ${main} -m connmark ${set} -g ${decided}`,
    `-A ${main} -m mark ${set} -j RETURN`,
    ...(acknowledgements === 'left' ? [acknowledgementRule(main)] : []),
    `-A ${main} -g ${undecided}`,
  ];
}

/** A SYN begins a new flow, unless it is one that came back: its flow was decided while it was away. */
function synOf(chain: string, { mark }: RuleSet): string {
  return `-A ${chain} -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m mark --mark 0x0/${mark.maskText}`;
}

function forgetRule(chain: string, rules: RuleSet): string {
  return `${synOf(chain, rules)} -j CONNMARK --set-xmark 0x0/${rules.mark.maskText}`;
}

function decidedRules(rules: RuleSet): string[] {
  const { decided, undecided } = chainNames(rules.instance);
  return [forgetRule(decided, rules), `${synOf(decided, rules)} -g ${undecided}`];
}

/** Which packets of undecided flows are this instance's. The first rule that fits counts. */
function selection({ instance, pairs, leave, interfaces }: RuleSet): string[] {
  const { undecided, queue } = chainNames(instance);
  const either = (names: readonly string[], target: string): string[] =>
    names.flatMap((name) => [`-i ${name} -j ${target}`, `-o ${name} -j ${target}`]);
  const rules = [
    ...pairs.flatMap(([a, b]) => [`-i ${a} -o ${b} -j ${queue}`, `-i ${b} -o ${a} -j ${queue}`]),
    ...either(leave, 'RETURN'),
    ...(interfaces.length === 0 ? [`-j ${queue}`] : either(interfaces, queue)),
  ];
  return rules.map((rule) => `-A ${undecided} ${rule}`);
}

function queueRules({ instance, queueFirst, queueCount }: RuleSet): string[] {
  const { queue } = chainNames(instance);
  const to =
    queueCount === 1
      ? `--queue-num ${queueFirst}`
      : `--queue-balance ${queueFirst}:${queueFirst + queueCount - 1}`;
  return queuedProtocols.map((protocol) => `-A ${queue} -p ${protocol} -j NFQUEUE ${to} --queue-bypass`);
}

/**
 * For packets that came back. The last decision counts, also where an earlier one stands. Where no connection can keep it
 * (NOTRACK, INVALID) nothing would ever be blocked by the filter table: user space is asked again with each packet, and
 * what it blocks is dropped here.
 * @param drops everything that is blocked is
 */
function endRules({ instance, mark, enforce }: RuleSet, drops: boolean): string[] {
  const { end } = chainNames(instance);
  const mask = mark.maskText;
  const blocked = `-m mark --mark ${mark.text(markBlocked)}/${mark.text(markBlocked)}`;
  const untracked = `${blocked} -m conntrack --ctstate INVALID,UNTRACKED`;
  return [
    ...(enforce && !drops ? [`-A ${end} ${untracked} -j DROP`] : []),
    `-A ${end} -m mark ! --mark ${mark.text(markPass)}/${mask} -j CONNMARK --save-mark --nfmask ${mask} --ctmask ${mask}`,
    ...(drops ? [`-A ${end} ${blocked} -j DROP`] : []),
    `-A ${end} -j MARK --set-xmark 0x0/${mask}`,
  ];
}

/**
 * Resets and ICMP go on: they end the flow, and our own answers are among them where OUTPUT is looked at. The mark is
 * never asked for with `!`: a packet without a connection (INVALID, NOTRACK) fits neither (linux: xt_connmark.c).
 */
function filterPlan(rules: RuleSet): TablePlan {
  const { main } = chainNames(rules.instance);
  const mask = rules.mark.maskText;
  const blocked = rules.mark.text(markBlocked);
  const rejected = `-m connmark --mark ${rules.mark.text(markReject)}/${mask}`;
  return {
    table: 'filter',
    chains: [main],
    rules: [
      `-A ${main} -m connmark --mark ${rules.mark.text(markDrop)}/${mask} -j DROP`,
      `-A ${main} -p tcp -m tcp --tcp-flags RST RST -j RETURN`,
      `-A ${main} -p tcp ${rejected} -j REJECT --reject-with tcp-reset`,
      ...icmpProtocols.map((protocol) => `-A ${main} -p ${protocol} -j RETURN`),
      `-A ${main} ${rejected} -j REJECT`,
    ],
    first: jumps(hooksOf(rules), main, `-m connmark --mark ${blocked}/${blocked} `),
    last: [],
  };
}

/** The rule set as written into empty tables, for people. */
export function iptablesScript(rules: RuleSet, acknowledgements: Acknowledgements): string {
  const sections = tablePlans(rules, acknowledgements).map((plan) =>
    section(plan, { deletions: [], leading: () => 0 }),
  );
  const head =
    `# Swarmgate, instance ${rules.instance}: ${rules.enforce ? 'enforce' : 'monitor'}.\n` +
    '# For iptables-restore --noflush -w and ip6tables-restore --noflush -w.\n' +
    (acknowledgements === 'left'
      ? '# Where they lack the match bpf, leave out the line with it: acknowledgements are then queued too.\n'
      : '');
  return head + sections.join('');
}

export interface Surroundings {
  /** Rules of ours that stand now, as `-D` lines. */
  readonly deletions: readonly string[];
  /** Number of other instances' jumps at the head of a built-in chain. */
  readonly leading: (chain: string) => number;
}

/** One table's part of the restore input. A declared chain is emptied if it exists (iptables-restore(8), --noflush). */
export function section(plan: TablePlan, { deletions, leading }: Surroundings): string {
  const lines = [
    `*${plan.table}`,
    ...plan.chains.map((name) => `:${name} - [0:0]`),
    ...deletions,
    ...plan.rules,
    ...plan.first.map(({ chain, rule }) => `-I ${chain} 1 ${rule}`),
    ...plan.last.map(({ chain, rule }) => `-I ${chain} ${leading(chain) + 2} ${rule}`),
    'COMMIT',
  ];
  return lines.map((line) => `${line}\n`).join('');
}
