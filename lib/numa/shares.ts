/**
 * Which traffic reaches which instance. A packet is known by the interfaces that it comes in and goes out by; both
 * directions of a flow must reach the same instance, whichever way they go, and no packet two of them. So ownership is a
 * function of the unordered pair of interfaces:
 *
 *   both on one node                      that node's instance
 *   on two nodes                          one of the two, see below
 *   one on a node, the other on none      that node's instance (wg0, ppp0, a container's veth)
 *   both on none                          the first instance
 *
 * Pairs across two nodes are dealt out. Where one of the two is an uplink (has a default route) the other one decides:
 * all that a LAN sends by any uplink meets in one instance, also when answers come back by another uplink than questions
 * left by, and only there can what one flow proves about a host or peer help to judge the next (a hash of the addresses
 * would be more even, and would tear all that apart). Other pairs are dealt out like the squares of a chessboard, so that
 * two interfaces on each node keep both busy. Above `pairsHighest` pairs the rules would get long; then the later instance has them all.
 *
 * In the kernel's rules an instance looks at `pairs` first, then leaves alone what comes in or goes out by an interface
 * in `leave`, then takes what comes in or goes out by its `interfaces` (all when there are none).
 */

import { invariant } from '../invariant.js';

export type Pair = readonly [string, string];

export interface Share {
  /** Empty: all that is not left to others. */
  readonly interfaces: readonly string[];
  readonly pairs: readonly Pair[];
  readonly leave: readonly string[];
}

/** Two rules each in iptables, which are walked one by one for each packet of an undecided flow. */
export const pairsHighest = 64;

/**
 * @param groups interfaces of each instance, only the first may have none; no name twice
 * @param uplinks interfaces with a default route
 */
export function sharesOf(groups: readonly (readonly string[])[], uplinks: readonly string[] = []): Share[] {
  // No interfaces means all of them.
  invariant(
    groups.slice(1).every(({ length }) => length > 0),
    'an instance has interfaces',
  );
  /** Whether the i-th interface of the lower group and the j-th of the higher one are for the lower instance. */
  const together = uplinksAreTogether(groups, uplinks);
  const isLow = (a: string, i: number, b: string, j: number): boolean => {
    const [up, down] = [uplinks.includes(a), uplinks.includes(b)];
    if (up === down) return (i + j) % 2 === 0;
    if (!together) return down;
    return down ? i % 2 === 0 : j % 2 === 1;
  };
  const crossing = groups.flatMap((_, high) => groups.slice(0, high).map((_, low) => ({ low, high })));
  const count = crossing.reduce((sum, { low, high }) => sum + groups[low]!.length * groups[high]!.length, 0);
  const dealt = count <= pairsHighest;
  const pairs: Pair[][] = groups.map(() => []);
  if (dealt) {
    for (const { low, high } of crossing) {
      for (const [i, a] of groups[low]!.entries()) {
        for (const [j, b] of groups[high]!.entries()) pairs[isLow(a, i, b, j) ? low : high]!.push([a, b]);
      }
    }
  }
  return groups.map((own, index) => ({
    interfaces: index === 0 ? [] : own,
    pairs: pairs[index]!,
    leave: groups.filter((_, other) => (dealt ? other !== index : other > index)).flat(),
  }));
}

/**
 * Whether all uplinks are in one group. Then a LAN elsewhere may be dealt to either side. Otherwise it stays with its own
 * instance: that has what the LAN sends by an uplink of its own node or of none, and a part elsewhere would be torn off.
 */
function uplinksAreTogether(groups: readonly (readonly string[])[], uplinks: readonly string[]): boolean {
  const places = new Set(uplinks.map((name) => groups.findIndex((own) => own.includes(name))));
  return places.size === 1 && !places.has(-1);
}

/** What the kernel's rules do with a share: whether a packet is queued. Null: the packet has no such side (local traffic). */
export function takes(
  { interfaces, pairs, leave }: Share,
  incoming: string | null,
  outgoing: string | null,
): boolean {
  const ways = [incoming, outgoing];
  if (pairs.some(([a, b]) => (a === incoming && b === outgoing) || (b === incoming && a === outgoing)))
    return true;
  if (ways.some((name) => name !== null && leave.includes(name))) return false;
  return interfaces.length === 0 || ways.some((name) => name !== null && interfaces.includes(name));
}
