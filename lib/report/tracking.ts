/** Words about the kernel's table of tracked connections. */

export interface Tracking {
  /** Connections in the table of this network namespace. */
  readonly entries: number;
  /** net.netfilter.nf_conntrack_max. */
  readonly entries_max: number;
}

const fullShare = 0.9;

/** So full that soon something will be dropped. */
export function isNearlyFull({ entries, entries_max }: Tracking): boolean {
  return entries > fullShare * entries_max;
}

/** The command that makes room. */
export function roomFor({ entries_max }: Tracking): string {
  return `sysctl -w net.netfilter.nf_conntrack_max=${2 * entries_max}`;
}

export function fullText({ entries, entries_max }: Tracking): string {
  return `${entries} of ${entries_max} tracked connections are in use; what does not fit is dropped by the kernel`;
}
