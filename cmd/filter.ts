/**
 * The inline filter's intake: queues of the kernel, and rules that send packets there. Promises: rules come last at the
 * start and go first at the stop, so that no packet waits for a verdict that nobody gives; after the stop the kernel is
 * as it was.
 */
import type { Config } from '../lib/config/config.js';
import { workerCount } from '../lib/config/load.js';
import { InstanceLock, takeTurn } from '../lib/control/instance-lock.js';
import { readTracking, TrackingWatch } from '../lib/control/tracking.js';
import { chooseFirewall, removeEverything, tryBackend } from '../lib/firewall/choose.js';
import type { Firewall } from '../lib/firewall/firewall.js';
import { neighboursOf } from '../lib/firewall/neighbours.js';
import { markConflicts } from '../lib/firewall/probe.js';
import { installUnmark, removeUnmark, unmarkTable } from '../lib/firewall/unmark.js';
import { Tools } from '../lib/firewall/tools.js';
import { RulesWatch } from '../lib/firewall/watch.js';
import { interfaceIndex, InterfaceNames } from '../lib/io/interfaces.js';
import { clearMarks } from '../lib/native/connections.js';
import type { Log } from '../lib/report/log.js';
import { fullText, roomFor } from '../lib/report/tracking.js';
import type { QueuePlan } from './filter-settings.js';
import { plansOf, ruleSetOf } from './filter-plan.js';
import type { Attempt, Intake, IntakeStatus } from './intake.js';
import { leftRulesText, meetNeighbours, NeighbourWatch } from './neighbour-watch.js';
import { MarkGuard } from './mark-guard.js';
import { SlowWatch } from './slow-watch.js';
import type { SwarmMemory } from './swarm-memory.js';

const rulesCheckMillis = 2000;
const trackingCheckMillis = 5000;

export class Filter implements Intake {
  readonly #log: Log;
  readonly #interfaces = new InterfaceNames();
  #config: Config;
  #firewall: Firewall | null = null;
  #watch: RulesWatch | null = null;
  #slowWatch: SlowWatch | null = null;
  #neighbourWatch: NeighbourWatch | null = null;
  readonly #tracking = new TrackingWatch();
  #trackingTimer: NodeJS.Timeout | undefined;
  #rulesRestored = 0;
  #rulesProblem: string | null = null;
  rulesLeft = false;
  /** No other instance that runs has our mark bits: what they say on connections is ours to clear. */
  #isOurs = false;

  constructor(config: Config, log: Log) {
    this.#config = config;
    this.#log = log;
  }

  async plan(swarm: SwarmMemory, processors: readonly number[] | null): Promise<readonly QueuePlan[]> {
    const config = this.#config;
    if (config.rules !== 'none')
      this.#firewall = await chooseFirewall(config.rules, { local: config.traffic.local });
    return plansOf(config, this.#firewall?.pass ?? 'repeat', swarm, processors);
  }

  async begin(stopWanted: () => boolean): Promise<void> {
    this.#trackingTimer = setInterval(() => {
      this.#lookAtTracking();
    }, trackingCheckMillis).unref();
    // Whose bits are taken is told by the rules: who looks and who writes them come one after another.
    const turn = await takeTurn(stopWanted);
    try {
      const { instance, markMask } = this.#config;
      const left = await meetNeighbours(instance, markMask);
      for (const other of left) this.#log.warn(leftRulesText(other), 'rules-of-others');
      if (this.#firewall === null) return;
      this.#isOurs = true;
      await this.#removeOthers(this.#firewall);
      await this.forget();
      await this.#lookAround(left);
      await this.#firewall.install(ruleSetOf(this.#config));
    } finally {
      turn.release();
    }
    this.#lookForInterfaces();
    this.#startWatch();
  }

  /** Rules may wait for an interface that comes later, but a misspelt one never comes. */
  #lookForInterfaces(): void {
    const { interfaces, pairs, leaveInterfaces } = this.#config.traffic;
    for (const name of new Set([...interfaces, ...pairs.flat(), ...leaveInterfaces])) {
      if (interfaceIndex(name) !== null) continue;
      this.#log.warn(`there is no interface ${name} now; the rules wait for it`, 'no-interface');
    }
  }

  /** Now and once a minute. */
  async #lookAround(left: readonly string[]): Promise<void> {
    const neighbours = this.#makeNeighbourWatch(left);
    const guard = this.#makeMarkGuard();
    this.#neighbourWatch = neighbours;
    this.#slowWatch = new SlowWatch(async () => {
      await neighbours.look();
      await guard.look();
    });
    await guard.look();
    this.#slowWatch.start();
  }

  #makeNeighbourWatch(told: readonly string[]): NeighbourWatch {
    const { instance } = this.#config;
    return new NeighbourWatch(
      {
        neighbours: () => neighboursOf(instance),
        runs: (other) => InstanceLock.holder(other) !== null,
        onLeft: (other) => {
          this.#log.warn(leftRulesText(other), 'rules-of-others');
        },
      },
      told,
    );
  }

  #makeMarkGuard(): MarkGuard {
    const { instance } = this.#config;
    return new MarkGuard({
      conflicts: () => markConflicts(ruleSetOf(this.#config)),
      unmark: () => installUnmark(ruleSetOf(this.#config)),
      place: `nft's table inet ${unmarkTable(instance)}`,
      onFinding: (code, message) => {
        this.#log.warn(message, code);
      },
    });
  }

  /** Rules that an earlier run left in another backend or front end would block what this one only watches. */
  async #removeOthers(firewall: Firewall): Promise<void> {
    try {
      await removeEverything(this.#config.instance, {}, firewall.name);
    } catch (error) {
      this.#log.warn(`rules of an earlier run may be left: ${(error as Error).message}`, 'rules-left');
    }
  }

  async forget(): Promise<void> {
    try {
      await clearMarks(this.#config.markMask);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#log.warn(
        `connections that were decided before keep their decision until they end: ${why}`,
        'decisions-kept',
      );
    }
  }

  /** The kernel drops new connections when its table is full, and our rules made it track them. */
  #lookAtTracking(): void {
    const now = readTracking();
    if (now !== null && this.#tracking.look(now))
      this.#log.warn(`${fullText(now)}; ${roomFor(now)} makes room`, 'conntrack-full');
  }

  #startWatch(): void {
    const firewall = this.#firewall;
    if (firewall === null) return;
    this.#watch = new RulesWatch(firewall, ruleSetOf(this.#config), {
      intervalMillis: rulesCheckMillis,
      onRestored: (problems) => {
        this.#rulesRestored++;
        this.#rulesProblem = null;
        this.#log.warn(
          `another program changed our rules (${problems.join('; ')}): restored`,
          'rules-restored',
        );
        this.#slowWatch?.soon();
      },
      onProblem: ({ code, message }) => {
        this.#rulesProblem = message;
        this.#log.warn(message, code);
      },
    });
  }

  async #stopWatch(): Promise<void> {
    await this.#watch?.stop();
    this.#watch = null;
  }

  async reload(config: Config): Promise<void> {
    await this.#stopWatch();
    try {
      await this.#tryLocal(config);
      await this.#firewall?.install(ruleSetOf(config));
      this.#config = config;
      if (this.#firewall !== null) this.#lookForInterfaces();
    } finally {
      this.#startWatch();
    }
  }

  /** Own packets may need what forwarded ones did not. @throws FirewallError before anything is written */
  async #tryLocal({ traffic }: Config): Promise<void> {
    if (this.#firewall === null || !traffic.local || this.#config.traffic.local) return;
    const reason = await tryBackend(this.#firewall.name, { local: true });
    if (reason !== null) throw reason;
  }

  async cut(attempt: Attempt): Promise<void> {
    clearInterval(this.#trackingTimer);
    this.#neighbourWatch?.stop();
    // A look changes nothing that matters now: it is waited for when the rules are gone.
    void this.#slowWatch?.stop();
    await this.#stopWatch();
    await attempt('take the rules out', 'rules-left', () => this.#firewall?.drain(this.#config.instance));
  }

  async end(attempt: Attempt): Promise<void> {
    const firewall = this.#firewall;
    this.rulesLeft = !(await attempt('remove the rules', 'rules-left', () => this.#removeRules(firewall)));
    if (firewall !== null && this.#isOurs) await this.forget();
    if (!this.rulesLeft) this.#firewall = null;
  }

  async #removeRules(firewall: Firewall | null): Promise<void> {
    if (firewall === null) return;
    const { instance } = this.#config;
    await firewall.remove(instance);
    await this.#slowWatch?.stop();
    // Also one that an earlier run left; without nft there is none.
    if (await new Tools().has('nft')) await removeUnmark(instance);
  }

  interfaceName(index: number): string | null {
    return this.#interfaces.name(index);
  }

  status(): IntakeStatus {
    const firewall = this.#firewall;
    const state = firewall === null ? 'unknown' : (this.#watch?.state ?? 'unknown');
    return {
      rules: {
        backend: firewall?.name ?? 'none',
        state,
        restored: this.#rulesRestored,
        problem: state === 'intact' ? null : this.#rulesProblem,
      },
      tracking: readTracking(),
      capture: null,
    };
  }

  readyText(): string {
    const { mode } = this.#config;
    const what = mode === 'enforce' ? 'BitTorrent is blocked' : 'nothing is blocked, only reported';
    return `mode ${mode}, ${what}; ${workerCount(this.#config)} workers`;
  }

  stoppedText(): string {
    if (this.#config.rules === 'none') return 'stopped; the rules are yours';
    return this.rulesLeft
      ? 'stopped; "swarmgate firewall remove" removes what is left'
      : 'stopped, the rules are removed';
  }

  abortedText(): string {
    return 'stopped at once; "swarmgate firewall remove" removes what is left';
  }
}
