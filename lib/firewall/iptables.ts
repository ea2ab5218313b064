/**
 * Backend iptables with ip6tables, for kernels whose nft has no `queue`. Works with both front ends (legacy and nft).
 * Each family is written by one iptables-restore, which commits table by table. What the kernel holds is told from what
 * was installed by a digest of the listing right after the installation, kept as a comment in a chain that nothing
 * jumps to, so that any process can compare and no spelling of a tool's version matters.
 */
import { existsSync } from 'node:fs';
import { forEach } from './each.js';
import { FirewallError, type Firewall, type RuleSet, type RulesReport, type RulesState } from './firewall.js';
import {
  kindOfJump,
  leadingJumps,
  ownParts,
  ownText,
  parseListing,
  targetOf,
  type ListedTable,
  type OwnPart,
} from './iptables-listing.js';
import {
  acknowledgementRule,
  iptablesScript,
  section,
  tablePlans,
  type Acknowledgements,
  type Jump,
  type TablePlan,
} from './iptables-text.js';
import { chainNames, digest, requireInstance, requireSound } from './rules.js';
import { toolError, Tools, type ToolResult } from './tools.js';

/** Which of the installed front ends: the machine's default, or one by name. */
export type FrontEnd = '' | '-legacy' | '-nft';

type Family = 'iptables' | 'ip6tables';

/** Seconds to wait for the lock that legacy front ends share (/run/xtables.lock). */
const lockSeconds = 10;

export interface IptablesOptions {
  readonly tools?: Tools;
  readonly frontEnd?: FrontEnd;
  /** Whether the kernel has IPv6. */
  readonly hasIpv6?: () => boolean;
}

export class IptablesFirewall implements Firewall {
  readonly name = 'iptables';
  readonly pass = 'repeat';
  readonly #tools: Tools;
  readonly #frontEnd: FrontEnd;
  readonly #families: readonly Family[];
  readonly notes: string[];
  readonly #ways = new Map<Family, Acknowledgements>();

  constructor({ tools = new Tools(), frontEnd = '', hasIpv6 = kernelHasIpv6 }: IptablesOptions = {}) {
    this.#tools = tools;
    this.#frontEnd = frontEnd;
    const both = hasIpv6();
    this.#families = both ? ['iptables', 'ip6tables'] : ['iptables'];
    this.notes = both ? [] : ['this kernel has no IPv6: rules for IPv4 only'];
  }

  render(rules: RuleSet): string {
    requireSound(rules);
    return iptablesScript(rules, 'left');
  }

  async install(rules: RuleSet): Promise<void> {
    requireSound(rules);
    for (const family of this.#families) {
      const used = await this.#acknowledgements(family);
      await this.#restore(family, installation(rules, await this.#list(family, rules), used));
      const listed = digest(ownText(ownParts(await this.#list(family, rules), rules.instance)));
      await this.#restore(family, stampInput(rules.instance, digest(iptablesScript(rules, used)), listed));
    }
  }

  /**
   * Empties only the chain that queues. The rules about connection marks have to stay: with the last of them connection
   * tracking takes its hooks away, and the kernel drops all that is held (measured on Linux 6.18: 148 of 148 packets).
   */
  async drain(instance: string): Promise<void> {
    requireInstance(instance);
    const { queue } = chainNames(instance);
    await forEach(this.#families, async (family) => {
      const holding = ownParts(await this.#list(family), instance).filter(({ chains }) =>
        chains.includes(queue),
      );
      if (holding.length === 0) return;
      await this.#restore(family, holding.map(({ table }) => `*${table}\n-F ${queue}\nCOMMIT\n`).join(''));
    });
  }

  async remove(instance: string): Promise<void> {
    requireInstance(instance);
    await forEach(this.#families, async (family) => {
      const input = removal(ownParts(await this.#list(family), instance));
      if (input !== '') await this.#restore(family, input);
    });
  }

  async check(rules: RuleSet): Promise<RulesState> {
    return (await this.examine(rules)).state;
  }

  async examine(rules: RuleSet): Promise<RulesReport> {
    requireSound(rules);
    const expected = ways.map((acknowledgements) => digest(iptablesScript(rules, acknowledgements)));
    const problems: string[] = [];
    let found = false;
    for (const family of this.#families) {
      const tables = await this.#list(family, rules);
      const parts = ownParts(tables, rules.instance);
      found ||= parts.length > 0;
      problems.push(...problemsOf(rules, tables, parts, expected).map((words) => `${family}: ${words}`));
    }
    if (!found) return { state: 'absent', problems };
    return { state: problems.length === 0 ? 'intact' : 'damaged', problems };
  }

  async show(instance: string): Promise<string> {
    requireInstance(instance);
    const texts: string[] = [];
    for (const family of this.#families) {
      const text = shownText(ownParts(await this.#list(family), instance));
      if (text !== '') texts.push(`# ${family}\n${text}`);
    }
    return texts.join('');
  }

  /** @throws FirewallError unless this kernel takes the rules; a chain is made for the question and removed. */
  async tryOut(rules: RuleSet): Promise<void> {
    for (const family of this.#families) {
      // Native tables of nft can have the names of ours and hold what iptables cannot show.
      await this.#list(family, rules);
      await this.#try(family, trialInput(rules, await this.#acknowledgements(family)));
    }
  }

  /** 'left' if both families leave them to the kernel; asked in the same way. @throws FirewallError */
  async acknowledgements(): Promise<Acknowledgements> {
    for (const family of this.#families)
      if ((await this.#acknowledgements(family)) === 'queued') return 'queued';
    return 'left';
  }

  async #try(family: Family, input: string): Promise<void> {
    try {
      await this.#restore(family, input);
    } finally {
      const tables = [...input.matchAll(/^\*(\w+)$/gm)].map(([, table]) => table!);
      await this.#run(family, 'restore', ['--noflush', '-w', `${lockSeconds}`], trialEnd(tables));
    }
  }

  /** Asked once for each family. @throws FirewallError if no rule at all can be tried */
  async #acknowledgements(family: Family): Promise<Acknowledgements> {
    const known = this.#ways.get(family);
    if (known !== undefined) return known;
    const takes = (await this.#takesMatch(family)) || (await this.#takesMatch(family));
    const way = takes ? 'left' : 'queued';
    if (!takes)
      this.notes.push(`${family} has no match "bpf": acknowledgements without payload are queued too`);
    this.#ways.set(family, way);
    return way;
  }

  /** False if a rule with the match is refused and one without it is taken: whatever else fails is not blamed on the match. */
  async #takesMatch(family: Family): Promise<boolean> {
    try {
      await this.#try(family, trial('mangle', [acknowledgementRule(trialChain)]));
      return true;
    } catch {
      await this.#try(family, trial('mangle', [`-A ${trialChain} -p tcp -j RETURN`]));
      return false;
    }
  }

  #run(family: Family, tool: 'save' | 'restore', words: readonly string[], input = ''): Promise<ToolResult> {
    return this.#tools.run(`${family}${this.#frontEnd}-${tool}`, words, input);
  }

  /**
   * @param planned rules that are to stand: a table of native nft with the name of one of theirs cannot be shown, though it
   *   takes rules. Without it such a table matters only if it holds rules of ours.
   */
  async #list(family: Family, planned: RuleSet | null = null): Promise<ListedTable[]> {
    const result = await this.#run(family, 'save', []);
    if (result.status !== 0) throw toolError(`${family}${this.#frontEnd}-save`, result);
    const hidden = [...result.stdout.matchAll(/^# Table `(\w+)' is incompatible/gm)].map(([, name]) => name!);
    const needed = planned === null ? [] : tablePlans(planned, 'left').map(({ table }) => table as string);
    for (const name of hidden)
      if (needed.includes(name) || (await this.#holdsOurs(family, name))) throw hiddenTable(family, name);
    return parseListing(result.stdout);
  }

  async #holdsOurs(family: Family, table: string): Promise<boolean> {
    const nftFamily = family === 'iptables' ? 'ip' : 'ip6';
    return (await this.#tools.text('nft', 'list', 'table', nftFamily, table)).includes('SWARMGATE');
  }

  async #restore(family: Family, input: string): Promise<void> {
    const result = await this.#run(family, 'restore', ['--noflush', '-w', `${lockSeconds}`], input);
    if (result.status !== 0) throw toolError(`${family}${this.#frontEnd}-restore`, result);
  }
}

/** What another process may have installed. */
const ways = ['left', 'queued'] as const;

/** Without IPv6 (not built, or ipv6.disable=1) this file is not there. */
export function kernelHasIpv6(): boolean {
  return existsSync('/proc/net/if_inet6');
}

function hiddenTable(family: Family, name: string): FirewallError {
  const table = `${family === 'iptables' ? 'ip' : 'ip6'} ${name}`;
  return new FirewallError(
    'firewall-failed',
    `${family} cannot show its table ${name}, because nft has a table of its own of that name: rename it ` +
      `(nft list table ${table})`,
  );
}

function ownOf(parts: readonly OwnPart[], table: string): OwnPart | undefined {
  return parts.find((part) => part.table === table);
}

const deletion = (rule: string): string => rule.replace(/^-A /, '-D ');

/** What makes the tables hold these rules and nothing else of this instance. */
export function installation(
  rules: RuleSet,
  tables: readonly ListedTable[],
  acknowledgements: Acknowledgements,
): string {
  const parts = ownParts(tables, rules.instance);
  const plans = tablePlans(rules, acknowledgements);
  const stale = parts.filter(({ table }) => !plans.some((plan) => plan.table === table));
  return removal(stale) + plans.map((plan) => tableInstallation(plan, parts, tables)).join('');
}

function tableInstallation(
  plan: TablePlan,
  parts: readonly OwnPart[],
  tables: readonly ListedTable[],
): string {
  const own = ownOf(parts, plan.table);
  const references = own?.references ?? [];
  const stale = own?.chains.filter((name) => !plan.chains.includes(name)) ?? [];
  const listed = tables.find(({ name }) => name === plan.table)?.rules ?? [];
  const others = listed.filter((rule) => !references.includes(rule));
  return section(plan, {
    deletions: [...references.map(deletion), ...stale.flatMap((name) => [`-F ${name}`, `-X ${name}`])],
    leading: (chain) => leadingJumps(others, chain).length,
  });
}

export function removal(parts: readonly OwnPart[]): string {
  const sections = parts.map(({ table, chains, references }) => [
    `*${table}`,
    ...references.map(deletion),
    ...chains.map((name) => `-F ${name}`),
    ...chains.map((name) => `-X ${name}`),
    'COMMIT',
  ]);
  return sections
    .flat()
    .map((line) => `${line}\n`)
    .join('');
}

function stampInput(instance: string, rulesDigest: string, listedDigest: string): string {
  const { stamp } = chainNames(instance);
  const words = `swarmgate:rules=${rulesDigest}:listed=${listedDigest}`;
  return `*mangle\n-A ${stamp} -m comment --comment ${words}\nCOMMIT\n`;
}

function problemsOf(
  rules: RuleSet,
  tables: readonly ListedTable[],
  parts: readonly OwnPart[],
  expected: readonly string[],
): string[] {
  if (parts.length === 0) return ['nothing is installed'];
  const stamp = /rules=([0-9a-f]{16}):listed=([0-9a-f]{16})/.exec(ownOf(parts, 'mangle')?.stamp ?? '');
  if (stamp === null) return ['the rules are not complete'];
  if (!expected.includes(stamp[1]!)) return ['the rules were installed with other settings'];
  if (stamp[2] !== digest(ownText(parts))) return ['the rules were changed after they were installed'];
  // The jumps are the same either way.
  return tablePlans(rules, 'left').flatMap((plan) => misplaced(plan, tables));
}

/** Rules before ours could take packets away from us, and would run twice on a packet that comes back. */
function misplaced(plan: TablePlan, tables: readonly ListedTable[]): string[] {
  const listed = tables.find(({ name }) => name === plan.table)?.rules ?? [];
  const wrong = ({ chain, rule, target }: Jump, index: (place: readonly string[]) => boolean): string[] => {
    const leading = leadingJumps(listed, chain);
    const at = leading.findIndex((each) => targetOf(each) === target);
    return at >= 0 && index(leading.slice(at))
      ? []
      : [`${plan.table} ${chain}: our rule "${rule}" is not where it was`];
  };
  return [
    ...plan.first.flatMap((jump) => wrong(jump, () => true)),
    ...plan.last.flatMap((jump) => wrong(jump, (after) => after.every((rule) => kindOfJump(rule) === 'end'))),
  ];
}

function shownText(parts: readonly OwnPart[]): string {
  return parts
    .flatMap(({ table, rules, references }) => [`*${table}`, ...rules, ...references])
    .map((line) => `${line}\n`)
    .join('');
}

/** Capitals: no instance can have this name. The process id keeps two doctors apart. */
const trialChain = `SWARMGATE-TRY-${process.pid}`;
const trialEnd = (tables: readonly string[]): string =>
  tables.map((table) => `*${table}\n:${trialChain} - [0:0]\n-X ${trialChain}\nCOMMIT\n`).join('');

/** Rules in a chain that nothing jumps to. */
function trial(table: string, rules: readonly string[]): string {
  return `*${table}\n:${trialChain} - [0:0]\n${rules.map((rule) => `${rule}\n`).join('')}COMMIT\n`;
}

/** Every rule once. */
function trialInput(rules: RuleSet, acknowledgements: Acknowledgements): string {
  const own = new RegExp(`^-A ${chainNames(rules.instance).main}\\S* `);
  return tablePlans(rules, acknowledgements)
    .map(({ table, rules: lines }) => {
      const copies = lines
        .filter((line) => !/-[jg] SWARMGATE/.test(line))
        .map((line) => line.replace(own, `-A ${trialChain} `));
      return trial(table, copies);
    })
    .join('');
}

/** The words of `iptables -V`: "iptables v1.8.9 (nf_tables)". @throws FirewallError 'firewall-tool-missing' */
export async function iptablesVersion(tools = new Tools()): Promise<string> {
  const result = await tools.run('iptables', ['-V']);
  if (result.status !== 0) throw new FirewallError('firewall-tool-missing', 'iptables is not installed');
  return result.stdout.trim();
}
