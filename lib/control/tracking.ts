/**
 * How full the kernel's table of tracked connections is. Our rules ask connection tracking, so it runs on a router that
 * did without it before; and when its table is full, the kernel drops what would need a new entry (linux:
 * nf_conntrack_core.c, "table full, dropping packet"). The operator hears of it before that.
 */
import { isNearlyFull, type Tracking } from '../report/tracking.js';
import { textOf } from './instance-lock.js';

const folder = '/proc/sys/net/netfilter';
/** Below this share the next filling is worth another word. */
const easedShare = 0.7;

/** Null where connection tracking is not loaded, or has no limit. */
export function readTracking(read: (path: string) => string | null = textOf): Tracking | null {
  const [entries, most] = ['nf_conntrack_count', 'nf_conntrack_max'].map((name) =>
    Number.parseInt(read(`${folder}/${name}`) ?? '', 10),
  ) as [number, number];
  return Number.isNaN(entries) || !(most > 0) ? null : { entries, entries_max: most };
}

/** Tells when the table has become nearly full: once, until it has emptied and filled again. */
export class TrackingWatch {
  #told = false;

  /** True when it is time for a word. */
  look(now: Tracking | null): boolean {
    if (now === null) return false;
    if (now.entries < easedShare * now.entries_max) this.#told = false;
    if (this.#told || !isNearlyFull(now)) return false;
    this.#told = true;
    return true;
  }
}
