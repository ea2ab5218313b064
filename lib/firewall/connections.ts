/**
 * The marks that our decisions left on connections. They outlive the rules and the process, and the kernel acts on them
 * before anybody is asked: a flow that an older configuration condemned would stay blocked without an entry in any log.
 * So they are cleared at the start, at the stop, and when what decides has changed.
 */
import { setTimeout } from 'node:timers/promises';
import { forEach } from './each.js';
import { FirewallError } from './firewall.js';
import type { MarkField } from './marks.js';
import { toolError, Tools } from './tools.js';

/** A table in use is not read to its end in one go: the program gives up where the kernel sends faster than it reads. */
const attemptsMax = 12;
/** A stop must not take for ever: nothing is begun anew after this. */
const patienceMillis = 10_000;
const pauseMillis = 50;

/**
 * Clears our bits, and no other, on every tracked connection of this network namespace (conntrack(8): with `-U` the mask
 * of `-m` says which bits are zeroed). Under traffic one call leaves some of them, each further one fewer, so it is
 * repeated until none fails; what fails for one family is no reason to leave the other.
 * @throws FirewallError 'firewall-tool-missing' without the program conntrack, 'firewall-failed' with its words
 */
export async function forgetDecisions(mark: MarkField, tools = new Tools()): Promise<void> {
  await forEach(['ipv4', 'ipv6'], (family) => forgetFamily(family, mark, tools));
}

async function forgetFamily(family: string, mark: MarkField, tools: Tools): Promise<void> {
  const began = performance.now();
  for (let attempt = 1; ; attempt++) {
    const result = await tools.run('conntrack', ['-U', '-f', family, '-m', `0/${mark.maskText}`]);
    if (result.status === 0 || /\b0 flow entries/.test(result.stderr)) return;
    const gaveUp = attempt === attemptsMax || performance.now() - began > patienceMillis;
    if (gaveUp || !/buffer space|protocol error|interrupted/i.test(result.stderr))
      throw toolError('conntrack', result);
    await setTimeout(pauseMillis);
  }
}

/** What to do when `forgetDecisions` could not. */
export function forgettingProblem(error: unknown): string {
  const missing = error instanceof FirewallError && error.code === 'firewall-tool-missing';
  const what = 'connections that were decided before keep their decision until they end';
  return missing
    ? `${what}: the program conntrack is not installed (apt-get install conntrack)`
    : `${what}: ${error instanceof Error ? error.message : String(error)}`;
}
