/**
 * Looks for rules of instances that do not run: a killed one's rules that stand before ours send packets to a queue that
 * nobody reads, and from there they pass. What stands at the start is told then; this tells of what comes later.
 */
import { InstanceLock } from '../lib/control/instance-lock.js';
import { FirewallError } from '../lib/firewall/firewall.js';
import { freeMask, neighboursOf, type Neighbour } from '../lib/firewall/neighbours.js';

export interface NeighbourWatchOptions {
  readonly neighbours: () => Promise<readonly Neighbour[]>;
  /** Whether a process of that instance runs. */
  readonly runs: (instance: string) => boolean;
  readonly onLeft: (instance: string) => void;
}

/** What is said of rules that nobody reads the queues of. */
export function leftRulesText(instance: string): string {
  return (
    `rules of instance ${instance} stand here, and no process of that name is seen; if it does not run, they keep ` +
    `packets from this one: swarmgate firewall remove --instance ${instance}`
  );
}

/**
 * Looks whose rules stand here, before others are written.
 * @returns instances of which only rules are here
 * @throws FirewallError 'mark-busy' if one that runs has some of the bits
 */
export async function meetNeighbours(instance: string, markMask: number): Promise<string[]> {
  const neighbours = await neighboursOf(instance);
  const left: string[] = [];
  for (const { instance: other, mask } of neighbours) {
    const process = InstanceLock.holder(other);
    if (process === null) left.push(other);
    else if ((mask & markMask) !== 0) {
      const free = freeMask([markMask, ...neighbours.map((each) => each.mask)]);
      throw new FirewallError(
        'mark-busy',
        `instance ${other} (process ${process}) has the mark bits 0x${mask.toString(16)}, and each would take the ` +
          `other's decisions for its own; give this one bits of its own` +
          (free === null ? '' : ` (--mark-mask 0x${free.toString(16).padStart(8, '0')}, or mark_mask)`),
      );
    }
  }
  return left;
}

export class NeighbourWatch {
  /** Instances told of, until their rules are gone or somebody runs them. */
  #told: ReadonlySet<string>;
  /** Seen once: one that starts or stops has rules and no process for a moment. */
  #seen: ReadonlySet<string> = new Set();
  #stopped = false;

  /** @param told those that were told of at the start */
  constructor(
    private readonly options: NeighbourWatchOptions,
    told: readonly string[],
  ) {
    this.#told = new Set(told);
  }

  /** Nothing is told after this. */
  stop(): void {
    this.#stopped = true;
  }

  /** One look. Never throws: what cannot be listed is told by others. */
  async look(): Promise<void> {
    let neighbours: readonly Neighbour[];
    try {
      neighbours = await this.options.neighbours();
    } catch {
      return;
    }
    if (this.#stopped) return;
    const left = neighbours.map(({ instance }) => instance).filter((name) => !this.options.runs(name));
    const told = left.filter((name) => this.#told.has(name) || this.#seen.has(name));
    for (const name of told) if (!this.#told.has(name)) this.options.onLeft(name);
    this.#told = new Set(told);
    this.#seen = new Set(left);
  }
}
