/**
 * Looks after the rules: another program may wipe or change them (`nft flush ruleset`, a firewall's restart). They are
 * written again at once the first time; a program that keeps undoing them is not fought for ever: each time within a
 * quarter of an hour doubles the pause before they are written again, up to five minutes, and the operator is told. They
 * are looked at all the while, so that the status says how they are.
 */
import { FirewallError, type Firewall, type RuleSet, type RulesState } from './firewall.js';

export interface WatchOptions {
  readonly intervalMillis: number;
  /** The rules were damaged, for these reasons, and stand again. */
  readonly onRestored: (problems: readonly string[]) => void;
  /** Could not look or could not restore, or another program keeps undoing the rules. */
  readonly onProblem: (error: FirewallError) => void;
}

/** Pause between two looks, in multiples of what the last one took: listing a hundred thousand rules of others takes seconds. */
const lookShare = 10;
const lookPauseMillisMax = 20_000;
export const watchPauseMillisMax = 300_000;
/** Rules that stood this long are at peace: the next damage is mended at once again. */
export const watchPeaceMillis = 900_000;
/** So many restorations without peace between them are a fight. */
export const watchFightsMax = 5;

export class RulesWatch {
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #restorations = 0;
  #lastDamage = -Infinity;
  #looking: Promise<void> = Promise.resolve();
  /** What the last look found; after a restoration they stand as written. 'unknown' after a look that failed. */
  state: RulesState | 'unknown' = 'intact';
  #lookMillis = 0;

  /** @param now milliseconds; for tests */
  constructor(
    private readonly firewall: Firewall,
    private readonly rules: RuleSet,
    private readonly options: WatchOptions,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#schedule(options.intervalMillis);
  }

  /** No look begins after this; resolves when one that is under way has ended, so that `remove` may follow. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Pause before the next look. */
  get pauseMillis(): number {
    const pause = Math.min(lookPauseMillisMax, lookShare * this.#lookMillis);
    return Math.max(this.options.intervalMillis, pause);
  }

  /** Pause after the last damage before the rules are written again. */
  get restorePauseMillis(): number {
    if (this.#restorations < 2) return 0;
    return Math.min(watchPauseMillisMax, this.options.intervalMillis * 2 ** (this.#restorations - 1));
  }

  /** One look, and what follows from it. Never throws. */
  async look(): Promise<void> {
    const began = this.now();
    try {
      const { state, problems } = await this.firewall.examine(this.rules);
      this.#lookMillis = this.now() - began;
      if (this.#isStopped()) return;
      this.state = state;
      if (state !== 'intact') {
        if (this.now() - this.#lastDamage >= this.restorePauseMillis) await this.#restore(problems);
      } else if (this.now() - this.#lastDamage > watchPeaceMillis) this.#restorations = 0;
    } catch (error) {
      this.state = 'unknown';
      if (this.now() - this.#lastDamage < this.restorePauseMillis) return;
      this.#restorations++;
      this.#lastDamage = this.now();
      this.options.onProblem(asFirewallError(error));
    }
  }

  async #restore(problems: readonly string[]): Promise<void> {
    await this.#install();
    this.state = 'intact';
    this.#restorations++;
    this.#lastDamage = this.now();
    this.options.onRestored(problems);
    if (this.#restorations !== watchFightsMax) return;
    this.options.onProblem(
      new FirewallError(
        'firewall-contested',
        `another program has undone our rules ${this.#restorations} times (${problems.join('; ')}); ` +
          'find it, or use --rules none and let it write them (swarmgate firewall show --planned)',
      ),
    );
  }

  /** A firewall's restart comes in several steps: what was listed may be gone when it is to be replaced. */
  async #install(): Promise<void> {
    try {
      await this.firewall.install(this.rules);
    } catch {
      await this.firewall.install(this.rules);
    }
  }

  /** Read through a method: the compiler does not know that awaiting can change it. */
  #isStopped(): boolean {
    return this.#stopped;
  }

  #schedule(millis: number): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.look();
      void this.#looking.then(() => {
        this.#schedule(this.pauseMillis);
      });
    }, millis);
    this.#timer.unref();
  }
}

function asFirewallError(error: unknown): FirewallError {
  if (error instanceof FirewallError) return error;
  return new FirewallError('firewall-failed', error instanceof Error ? error.message : String(error));
}

/** Begins to look after the rules; they must have been installed. */
export function watchRules(firewall: Firewall, rules: RuleSet, options: WatchOptions): RulesWatch {
  return new RulesWatch(firewall, rules, options);
}
