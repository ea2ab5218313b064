/**
 * The kernel's rules, behind one interface: which packets go to which queue, and what happens to flows that are
 * decided. Two backends write the same meaning: nft, and iptables with ip6tables where the kernel's nft has no `queue`.
 *
 *     mark set? (came back by NF_REPEAT) ── pass ──> clear the field, go on with the other rules of this hook
 *         │                              └─ else ──> save the field to the connection, clear it, go on
 *     SYN of a reused five-tuple ──> forget the connection's field
 *     connection decided ──> accept: go on; drop, reject (enforce only): do it
 *     TCP acknowledgement without payload ──> go on
 *     else ──> queue, by address pair, bypass
 *
 * Promises: one transaction; foreign rules, chains and mark bits are never touched; `remove` leaves nothing behind and
 * may be called at any time, also after a crash; no command is built from data by a shell.
 */
import type { MarkField } from './marks.js';

export type BackendName = 'nft' | 'iptables';

/** Everything that the rules say. Plain data: equal rule sets give equal texts. */
export interface RuleSet {
  /** Name of the instance, `[a-z0-9][a-z0-9_-]{0,14}`; "default" gives the plain names. */
  readonly instance: string;
  /** Queue numbers `first` to `first + count - 1`. */
  readonly queueFirst: number;
  readonly queueCount: number;
  readonly mark: MarkField;
  /** Packets that are routed (or bridged, with br_netfilter) through this machine. */
  readonly forwarded: boolean;
  /** Packets from and to this machine itself, except those over loopback interfaces. */
  readonly local: boolean;
  /** Only packets that come in or go out by one of these; all when empty. */
  readonly interfaces: readonly string[];
  /** Packets that come in by one and go out by the other, whatever `leave` and `interfaces` say. */
  readonly pairs: readonly (readonly [string, string])[];
  /** Packets that come in or go out by one of these are left to other instances. */
  readonly leave: readonly string[];
  /** False (monitor): decided flows are marked, but nothing is dropped or rejected. */
  readonly enforce: boolean;
}

export type RulesState =
  /** As `install` wrote them. */
  | 'intact'
  /** Something of ours is missing or was changed. */
  | 'damaged'
  /** Nothing of ours is there. */
  | 'absent';

/** The state, and in words what is not as it was installed; empty when intact. */
export interface RulesReport {
  readonly state: RulesState;
  readonly problems: readonly string[];
}

export interface Firewall {
  readonly name: BackendName;
  /** What the operator should know about how this backend works here, such as "no IPv6 in this kernel". */
  readonly notes: readonly string[];
  /**
   * How a packet of an undecided flow goes on. 'accept': NF_ACCEPT (the backend's chains stand alone, the other rules of
   * the hook still see the packet). 'repeat': NF_REPEAT with `markPass`, because NF_ACCEPT would skip the rest of the
   * table that our jump stands in.
   */
  readonly pass: 'accept' | 'repeat';
  /** The text that `install` feeds to the kernel's tools, for people to read: nft script, or iptables-restore input. */
  render(rules: RuleSet): string;
  /** Replaces whatever of ours is installed for this instance, in one transaction per family. */
  install(rules: RuleSet): Promise<void>;
  /**
   * First half of an orderly stop: no packet is queued any more, and none of those that user space still holds is lost
   * (they are dropped when any hook goes: a base chain of nft, or conntrack's own when the last rule that asks it goes;
   * linux: nf_queue_nf_hook_drop). Settle those, then `remove`.
   */
  drain(instance: string): Promise<void>;
  /** Removes everything of this instance; does nothing when there is nothing. */
  remove(instance: string): Promise<void>;
  /**
   * Compares the kernel with `rules`. Works in any process: `install` leaves a digest of what the kernel made of the
   * rules among them. Costs one run of a listing tool per family.
   */
  check(rules: RuleSet): Promise<RulesState>;
  /** As `check`, with the reasons. */
  examine(rules: RuleSet): Promise<RulesReport>;
  /** What the kernel holds of this instance now, in the tool's own words; '' when nothing. */
  show(instance: string): Promise<string>;
}

/** A problem with the kernel's rules that the operator can mend. */
export class FirewallError extends Error {
  override readonly name = 'FirewallError';
  /**
   * @param code stable: "firewall-permission", "firewall-tool-missing", "firewall-no-backend", "firewall-failed" (the
   *   tool's own words), "firewall-bad-rules", "firewall-contested" (another program keeps undoing the rules)
   */
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
