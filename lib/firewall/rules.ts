/** What both backends know of a rule set: whether it may be written at all, how its parts are named, its digest. */
import { createHash } from 'node:crypto';
import { FirewallError, type RuleSet } from './firewall.js';

export const instancePattern = /^[a-z0-9][a-z0-9_-]{0,14}$/;
/**
 * A subset of what the kernel takes (`dev_valid_name`: up to 15 bytes, no slash, colon or space) without the characters
 * that mean something to nft or iptables; a closing `*` or `+` would be their wildcard.
 */
export const interfacePattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;
export const queueNumberMax = 65_535;
/** A queue per worker, so the bound is generous. */
export const queuesMax = 256;

/** IPv4 in IP, TCP, UDP, IPv6 in IPv4, GRE (RFC 2003, 4213, 2784). UDP-Lite is left alone: no BitTorrent uses it. */
export const queuedProtocols = [6, 17, 4, 41, 47] as const;
/** ICMP and ICMPv6: never rejected, or the errors of our own rejects would be. */
export const icmpProtocols = [1, 58] as const;

/** The hooks in which this rule set looks at packets. */
export type Hook = 'forward' | 'input' | 'output';

export function hooksOf(rules: RuleSet): Hook[] {
  return [
    ...(rules.forwarded ? ['forward' as const] : []),
    ...(rules.local ? (['input', 'output'] as const) : []),
  ];
}

/** @throws FirewallError 'firewall-bad-rules': nothing that was not looked at here gets into a rule text */
export function requireSound(rules: RuleSet): void {
  const { instance, queueFirst, queueCount, interfaces, pairs, leave } = rules;
  requireInstance(instance);
  require(isWhole(queueFirst, 0, queueNumberMax), 'the first queue is a number from 0 to 65535');
  require(isWhole(queueCount, 1, queuesMax), `the number of queues is 1 to ${queuesMax}`);
  require(queueFirst + queueCount - 1 <= queueNumberMax, 'the last queue is beyond 65535');
  require(rules.forwarded || rules.local, 'neither forwarded nor local packets are asked for: nothing to do');
  for (const name of [...interfaces, ...pairs.flat(), ...leave]) {
    require(interfacePattern.test(name), `${JSON.stringify(name)} is no interface name`);
  }
}

/** @throws FirewallError 'firewall-bad-rules' */
export function requireInstance(instance: string): void {
  require(instancePattern.test(
    instance,
  ), 'an instance is named by 1 to 15 of a-z, 0-9, _ and -, not beginning with _ or -');
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

function require(condition: boolean, message: string): asserts condition {
  if (!condition) throw new FirewallError('firewall-bad-rules', message);
}

/** Names in iptables; 28 characters at the most (XT_EXTENSION_MAXNAMELEN). Instances have no capitals: no two names meet. */
export interface ChainNames {
  readonly main: string;
  /** What becomes of packets of decided flows. */
  readonly decided: string;
  /** Which packets of undecided flows go to the queue. */
  readonly undecided: string;
  /** Holds the queue rules. */
  readonly queue: string;
  /** Clears the field of a packet that goes on. */
  readonly end: string;
  /** Forgets decisions about connections that this machine begins anew. */
  readonly forget: string;
  /** Never jumped to; holds the digest. */
  readonly stamp: string;
}

export function chainNames(instance: string): ChainNames {
  requireInstance(instance);
  const main = instance === 'default' ? 'SWARMGATE' : `SWARMGATE-${instance}`;
  return {
    ...{ main, decided: `${main}-D`, undecided: `${main}-U` },
    ...{ queue: `${main}-Q`, end: `${main}-E`, forget: `${main}-F`, stamp: `${main}-S` },
  };
}

/** nft takes `_` and `-` inside a name as they are. */
export function tableName(instance: string): string {
  requireInstance(instance);
  return instance === 'default' ? 'swarmgate' : `swarmgate_${instance}`;
}

/** 16 hex digits that stand for a text. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
