/** What other rules on this machine would do to ours: reads listings, changes nothing. Pure functions over text. */
import { chainOf, kindOfJump, parseListing, targetOf } from './iptables-listing.js';
import type { RuleSet } from './firewall.js';
import type { MarkField } from './marks.js';
import { chainNames, hooksOf } from './rules.js';

/** One thing that the operator should know. */
export interface Finding {
  /** Stable, such as "queue-taken". */
  readonly code: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly message: string;
  /** The command that mends it, ready to be pasted; null if there is none. */
  readonly mend: string | null;
}

const hookChains = { forward: 'FORWARD', input: 'INPUT', output: 'OUTPUT' } as const;

/** @param listing of iptables-save or ip6tables-save */
export function iptablesConflicts(
  rules: RuleSet,
  listing: string,
  family: 'iptables' | 'ip6tables',
): Finding[] {
  const own = new Set(Object.values(chainNames(rules.instance)));
  const inHooks = hooksOf(rules).map((hook) => hookChains[hook] as string);
  return parseListing(listing).flatMap(({ name, rules: lines }) => {
    const others = lines
      .filter((line) => !own.has(chainOf(line)) && !own.has(targetOf(line) ?? ''))
      .map(withoutQuotes);
    const where = `${family} ${name}`;
    // This machine's own packets are looked at in the security table, see iptables-text.ts.
    const queued = { mangle: inHooks.filter((chain) => chain !== 'OUTPUT'), security: ['OUTPUT'] }[name];
    const chains = queued?.filter((chain) => inHooks.includes(chain)) ?? (name === 'filter' ? inHooks : []);
    return [
      ...others.filter((line) => takesQueue(rules, line)).map((line) => queueTaken(where, line)),
      ...others.flatMap((line) => {
        const bits = bitsWritten(line);
        return (bits & rules.mark.mask) === 0 ? [] : markTaken(rules, where, line, bits, chainOf(line));
      }),
      ...others.filter((line) => comparesMark(rules, line)).map((line) => markCompared(rules, where, line)),
      ...others
        .filter(
          (line) => !rules.local && chainOf(line) !== 'OUTPUT' && / -j (?:TPROXY|REDIRECT)\b/.test(line),
        )
        .map((line) => proxied(where, line)),
      ...others.flatMap((line) => natFindings(where, line)),
      ...(chains.length > 0 ? rulesBefore(rules, lines, chains, where) : []),
      ...(queued === undefined ? [] : rulesBehind(lines, chains, where)),
    ];
  });
}

function takesQueue({ queueFirst, queueCount }: RuleSet, line: string): boolean {
  const match = / -j NFQUEUE(?: --queue-(?:num|balance) (\d+)(?::(\d+))?)?/.exec(line);
  if (match === null) return false;
  const first = Number(match[1] ?? 0);
  return first < queueFirst + queueCount && Number(match[2] ?? first) >= queueFirst;
}

function queueTaken(where: string, line: string): Finding {
  return {
    code: 'queue-taken',
    level: 'error',
    message:
      `${where} sends packets to a queue of ours: ${line}; choose other numbers (queue.first)` +
      (line.includes('-A SWARMGATE-')
        ? ', or is this the instance that was meant? (doctor --instance NAME)'
        : ''),
    mend: null,
  };
}

const everyBit = 0xffff_ffff;

/** Bits of the packet or connection mark that a rule writes: all of them unless it says otherwise; 0 if it writes none. */
function bitsWritten(line: string): number {
  if (!/ -j (?:CONN)?MARK /.test(line) || /-A SWARMGATE|-j SWARMGATE/.test(line)) return 0;
  const masks = [...line.matchAll(/--(?:nf|ct)mask (0x[0-9a-f]+)/g)].map((match) => Number(match[1]));
  const xmark = /--set-xmark 0x[0-9a-f]+(?:\/(0x[0-9a-f]+))?/.exec(line);
  if (xmark !== null) masks.push(Number(xmark[1] ?? everyBit));
  const either = / --(?:or|xor)-mark (0x[0-9a-f]+)/.exec(line);
  if (either !== null) masks.push(Number(either[1]));
  return masks.length === 0 ? everyBit : masks.reduce((all, mask) => (all | mask) >>> 0, 0);
}

/** The usual form of policy routing: what a connection was decided is then on its packets, and they go another way. */
const restores = (line: string): boolean =>
  / -j CONNMARK .*--restore-mark|\bmeta mark set ct mark\b/.test(line);

/** Hooks behind routing, by iptables' names: what is copied there is not taken off again (unmark.ts). */
const lateHooks = ['INPUT', 'FORWARD', 'POSTROUTING'];

/** What a rule says apart from its comments. */
const withoutQuotes = (line: string): string => line.replace(/"(?:[^"\\]|\\.)*"/g, '""');

/** What makes such a rule leave our bits where they are. */
const maskedCopy = ({ othersText }: MarkField): string =>
  `give it masks without our bits: --nfmask ${othersText} --ctmask ${othersText} (nft: meta mark set ct mark & ${othersText})`;

function markTaken(rules: RuleSet, where: string, line: string, bits: number, hook: string): Finding[] {
  const finding = markTakenIn(rules, where, line, bits, hook);
  return rules.local && restores(line) && hook === 'OUTPUT'
    ? [finding, ownRerouted(rules, where, line)]
    : [finding];
}

/** The kernel routes an own packet whose mark changed without asking who sent it (linux: ip_route_me_harder). */
function ownRerouted({ mark }: RuleSet, where: string, line: string): Finding {
  return {
    code: 'own-rerouted',
    level: 'warning',
    message:
      `${where} copies our decisions to this machine's own packets: ${line}; these are then routed again without their ` +
      'user and interface (ip rule uidrange, programs bound to a VPN), and can leave by another way; ' +
      maskedCopy(mark),
    mend: null,
  };
}

function markTakenIn({ mark }: RuleSet, where: string, line: string, bits: number, hook: string): Finding {
  if (restores(line) && lateHooks.includes(hook))
    return {
      code: 'mark-restored-late',
      level: 'warning',
      message:
        `${where} copies our decisions from connections to packets behind routing: ${line}; what asks for whole marks ` +
        `after that (tc, -m mark) fits no more; ${maskedCopy(mark)}`,
      mend: null,
    };
  if (restores(line))
    return {
      code: 'mark-restored',
      level: 'warning',
      message:
        `${where} copies our decisions from connections to packets: ${line}; run takes them off again before routing if ` +
        'there is nft, and without that connections break that are routed or filtered by whole marks (ip rule fwmark, ' +
        `-m mark), also in monitor mode; ${maskedCopy(mark)}`,
      mend: null,
    };
  return {
    code: 'mark-taken',
    level: 'warning',
    message:
      `${where} writes bits of our mark field ${mark.maskText}: ${line}; give that rule a mask without them ` +
      '(--set-xmark VALUE/MASK, --nfmask MASK --ctmask MASK)' +
      (bits === everyBit ? '' : ', or choose another mark_mask'),
    mend: null,
  };
}

/** Whether a rule compares bits of ours when it asks for the connection's mark. */
function comparesMark({ mark }: RuleSet, line: string): boolean {
  if (/-A SWARMGATE|-j SWARMGATE/.test(line)) return false;
  return [...line.matchAll(/-m connmark (?:! )?--mark 0x[0-9a-f]+(?:\/(0x[0-9a-f]+))?/g)].some(
    ([, mask]) => (Number(mask ?? everyBit) & mark.mask) !== 0,
  );
}

/** "ct mark 0x2" compares all bits, "ct mark & 0xff == 0x2" some. */
function nftComparesMark({ mark }: RuleSet, line: string): boolean {
  const found = /\bct mark (?!set)(?:(?:&|and) (0x[0-9a-f]+) )?(?:== |!= )?(?:0x|\{|vmap|@|map)/.exec(
    line.replace(/\b(?:ct|meta) mark set .*/, ''),
  );
  return found !== null && (Number(found[1] ?? everyBit) & mark.mask) !== 0;
}

function markCompared({ mark }: RuleSet, where: string, line: string): Finding {
  return {
    code: 'mark-compared',
    level: 'warning',
    message:
      `${where} compares connection marks with our bits in them: ${line}; it fits no more once a connection is decided; ` +
      `give it a mask without them: --mark VALUE/${mark.othersText} (nft: ct mark & ${mark.othersText} == VALUE)`,
    mend: null,
  };
}

/** A proxy on this machine: what goes through it is not forwarded. */
function proxied(where: string, line: string): Finding {
  return {
    code: 'proxied',
    level: 'warning',
    message:
      `${where} leads packets to a program on this machine: ${line}; they are not forwarded, so they are looked at only ` +
      'with traffic.local',
    mend: 'swarmgate run --local',
  };
}

/**
 * NAT that chooses anew for each packet, until the kernel has settled the connection: that is some 50 microseconds later
 * where the first packet waits in a queue. And connections of several zones, which we cannot tell apart.
 */
function natFindings(where: string, line: string): Finding[] {
  const chooses =
    / -j (?:MASQUERADE|SNAT|DNAT) .*--random-fully|-m statistic .*-j DNAT\b/.test(line) ||
    /\b(?:masquerade|snat|dnat)\b.*\bfully-random\b|\bdnat\b.*\bnumgen\b/.test(line);
  const zones = / -j CT .*--zone|\bct (?:original |reply )?zone set\b/.test(line);
  return [
    ...(chooses
      ? [
          {
            code: 'nat-anew',
            level: 'warning' as const,
            message:
              `${where} translates by chance or in turn: ${line}; datagrams that a new UDP flow sends back to back can get ` +
              'different translations while the first waits in the queue (so with any NFQUEUE); without --random-fully ' +
              '(nft: fully-random) a flow keeps its own',
            mend: null,
          },
        ]
      : []),
    ...(zones
      ? [
          {
            code: 'zones',
            level: 'warning' as const,
            message:
              `${where} puts connections into zones: ${line}; flows with the same addresses and ports in two zones are one ` +
              'flow here: run an instance for each (traffic.interfaces) if the networks of customers overlap',
            mend: null,
          },
        ]
      : []),
  ];
}

/** Before our jump: such a rule can take packets away from us. */
function rulesBefore(
  { instance }: RuleSet,
  lines: readonly string[],
  chains: readonly string[],
  where: string,
): Finding[] {
  return chains.flatMap((chain) => {
    const inChain = lines.filter((line) => chainOf(line) === chain);
    const ours = inChain.findIndex((line) => kindOfJump(line) !== null);
    if (ours <= 0) return [];
    return {
      code: 'rules-before',
      level: 'warning' as const,
      message: `${where} ${chain} has ${ours} rules before ours, the first: ${inChain[0]!}; packets that it takes are not inspected`,
      mend:
        instance === 'default'
          ? 'swarmgate firewall install'
          : `swarmgate firewall install --config /etc/swarmgate/${instance}.yaml --instance ${instance}`,
    };
  });
}

/** Behind our jumps in mangle: not met by undecided packets while nobody reads the queue (--queue-bypass). */
function rulesBehind(lines: readonly string[], chains: readonly string[], where: string): Finding[] {
  const behind = lines.filter((line) => chains.includes(chainOf(line)) && kindOfJump(line) === null);
  if (behind.length === 0) return [];
  return [
    {
      code: 'rules-behind',
      level: 'warning',
      message:
        `${where} has rules of its own in the same chains, the first: ${behind[0]!}; should Swarmgate die, or a queue ` +
        'be full, new flows skip them until its rules are removed (its service does so when it stops)',
      mend: null,
    },
  ];
}

/**
 * @param listing of `nft list ruleset`
 * @param shown tables that iptables shows, and that were looked at so: "ip mangle"
 */
export function nftConflicts(
  rules: RuleSet,
  listing: string,
  shown: ReadonlySet<string> = new Set(),
): Finding[] {
  let table = '';
  let hook = '';
  const findings: Finding[] = [];
  for (const whole of listing.split('\n')) {
    const line = withoutQuotes(whole);
    table = /^table (.+) \{/.exec(line)?.[1] ?? table;
    if (line.startsWith('\tchain ')) hook = '';
    hook = /^\t\ttype \w+ hook (\w+)/.exec(line)?.[1]?.toUpperCase() ?? hook;
    if (table.startsWith('inet swarmgate') || shown.has(table)) continue;
    const where = `nft ${table}`;
    if (nftTakesQueue(rules, line)) findings.push(queueTaken(where, line.trim()));
    if (nftUsesMark(rules, line)) findings.push(...markTaken(rules, where, line.trim(), everyBit, hook));
    if (nftComparesMark(rules, line)) findings.push(markCompared(rules, where, line.trim()));
    if (!rules.local && hook !== 'OUTPUT' && /\btproxy\b|\bredirect(?: to\b|\s*$)/.test(line))
      findings.push(proxied(where, line.trim()));
    findings.push(...natFindings(where, line.trim()));
  }
  return findings;
}

/**
 * The names that nft has for tables that a listing of iptables-save holds. Of a table with chains that only nft can show it
 * holds the name alone, or chains without rules; what iptables-legacy lists is in none of nft's tables.
 */
export function shownTables(listing: string, family: 'ip' | 'ip6'): string[] {
  if (!/^# Generated by .*(?:nf_tables|xtables)/m.test(listing)) return [];
  const hidden = [...listing.matchAll(/^# Table `([^']+)' .*incompatible/gm)].map(([, name]) => name!);
  return parseListing(listing)
    .filter(({ name }) => !hidden.includes(name))
    .map(({ name }) => `${family} ${name}`);
}

function nftTakesQueue({ queueFirst, queueCount }: RuleSet, line: string): boolean {
  const match = /\bqueue (?:flags \S+ )?(?:num|to) (\d+)(?:-(\d+))?/.exec(line);
  if (match === null) return false;
  const first = Number(match[1]);
  return first < queueFirst + queueCount && Number(match[2] ?? first) >= queueFirst;
}

/** A constant touches all bits. Of the mark itself ours must be kept: `mark & KEPT`; of the other mark they must not come. */
function nftUsesMark({ mark }: RuleSet, line: string): boolean {
  const match = /\b(meta|ct) mark set (.*)/.exec(line);
  if (match === null) return false;
  const [, to, value] = match;
  const kept = /\b(meta|ct) mark (?:&|and) (0x[0-9a-f]+)/.exec(value!);
  if (kept === null) return true;
  const bits = (Number(kept[2]) & mark.mask) >>> 0;
  return kept[1] === to ? bits !== mark.mask : bits !== 0;
}
