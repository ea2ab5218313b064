/** Reads what iptables-save prints, and finds in it what belongs to an instance. */
import { chainNames } from './rules.js';

export interface ListedTable {
  readonly name: string;
  readonly chains: readonly string[];
  /** `-A CHAIN ...`, in order. */
  readonly rules: readonly string[];
}

/** Counters and comments are left out. */
export function parseListing(text: string): ListedTable[] {
  const tables: { name: string; chains: string[]; rules: string[] }[] = [];
  for (const line of text.split('\n')) {
    const last = tables.at(-1);
    if (line.startsWith('*')) tables.push({ name: line.slice(1).trim(), chains: [], rules: [] });
    else if (line.startsWith(':')) last?.chains.push(line.slice(1).split(' ')[0]!);
    else if (line.startsWith('-A ')) last?.rules.push(line.trimEnd());
  }
  return tables;
}

/** Where a rule jumps to; null if nowhere. Quoted words (comments) are not looked at. */
export function targetOf(rule: string): string | null {
  return /\s-[jg] (\S+)/.exec(rule.replace(/"(?:[^"\\]|\\.)*"/g, '""'))?.[1] ?? null;
}

export function chainOf(rule: string): string {
  return rule.split(' ')[1] ?? '';
}

/** What one table holds of an instance. */
export interface OwnPart {
  readonly table: string;
  readonly chains: readonly string[];
  /** Rules in our chains, without the digest. */
  readonly rules: readonly string[];
  /** Rules of other chains that lead into ours. */
  readonly references: readonly string[];
  /** The digest's rule. */
  readonly stamp: string | null;
}

export function ownParts(tables: readonly ListedTable[], instance: string): OwnPart[] {
  const { stamp, ...others } = chainNames(instance);
  const names = new Set([...Object.values(others), stamp]);
  const parts = tables.map((table) => {
    const inside = table.rules.filter((rule) => names.has(chainOf(rule)));
    return {
      table: table.name,
      chains: table.chains.filter((name) => names.has(name)).sort(),
      rules: inside.filter((rule) => chainOf(rule) !== stamp),
      references: table.rules.filter((rule) => !names.has(chainOf(rule)) && names.has(targetOf(rule) ?? '')),
      stamp: inside.find((rule) => chainOf(rule) === stamp) ?? null,
    };
  });
  return parts.filter(({ chains, references }) => chains.length > 0 || references.length > 0);
}

/** The text of what is ours, for the digest. The tables' order depends on who created them first. */
export function ownText(parts: readonly OwnPart[]): string {
  const sorted = [...parts].sort((a, b) => (a.table < b.table ? -1 : 1));
  return sorted
    .flatMap(({ table, chains, rules, references }) => [
      `*${table}`,
      ...chains.map((name) => `:${name}`),
      ...rules,
      ...[...references].sort(),
    ])
    .join('\n');
}

const jumpOfSwarmgate =
  /^-A \S+ (?:! -[io] lo )?(?:-m \w+ (?:! )?--mark \S+ )?-j SWARMGATE(?:-[a-z0-9][a-z0-9_-]{0,14})?(?:-F|(-E))?$/;

/** 'main' or 'end' for a jump of any instance, null for any other rule. */
export function kindOfJump(rule: string): 'main' | 'end' | null {
  const match = jumpOfSwarmgate.exec(rule);
  if (match === null) return null;
  return match[1] === undefined ? 'main' : 'end';
}

/** Rules of a chain before the first that is no jump of Swarmgate. */
export function leadingJumps(rules: readonly string[], chain: string): string[] {
  const inChain = rules.filter((rule) => chainOf(rule) === chain);
  const end = inChain.findIndex((rule) => kindOfJump(rule) === null);
  return end < 0 ? inChain : inChain.slice(0, end);
}
