/**
 * A chain of nft that takes our bits off packets before they are routed, for machines on which another program copies whole
 * connection marks to packets (`CONNMARK --restore-mark` without masks: multi-WAN, wg-quick): an `ip rule fwmark`, and rules
 * that compare whole marks, would no longer fit packets of decided connections.
 *
 * Priority -149: behind mangle (-150), where that is usually written, and before address translation, whose rules may ask
 * for marks; 1000: behind other places where nft may write it, and before routing. iptables has no place for it: such recipes
 * end their chain with ACCEPT. Nothing but our bits is changed, and our own rules ask for the connection's mark.
 *
 * Own packets were routed again by mangle's OUTPUT when their mark changed there; chains of type route route them once
 * more, with what others marked alone. Neither asks who sent them: see 'own-rerouted' in conflicts.ts.
 *
 * To take the chain away drops what is queued at that moment, as with every hook (linux: nf_queue_nf_hook_drop), so it
 * goes when the queues are gone.
 */
import type { RuleSet } from './firewall.js';
import type { MarkField } from './marks.js';
import { requireInstance, tableName } from './rules.js';
import { toolError, Tools } from './tools.js';

const priorities = [-149, 1000];

/** "swarmgate-unmark", "swarmgate-unmark_NAME": no instance's own table has such a name. */
export function unmarkTable(instance: string): string {
  return tableName(instance).replace(/^swarmgate/, 'swarmgate-unmark');
}

/** @param local own packets too: they are routed anew, with the mark that others gave them */
export function unmarkScript(instance: string, mark: MarkField, local: boolean): string {
  const table = `table inet ${unmarkTable(instance)}`;
  const rule = `meta mark and ${mark.maskText} != 0x0 meta mark set meta mark and ${mark.othersText}`;
  const chains = priorities.flatMap((priority, index) =>
    (local ? (['prerouting', 'output'] as const) : (['prerouting'] as const)).map(
      (hook) => `	chain ${hook}${index === 0 ? '' : '_late'} {
		type ${hook === 'output' ? 'route' : 'filter'} hook ${hook} priority ${priority}; policy accept;
		${rule}
	}
`,
    ),
  );
  return `add ${table}
delete ${table}
${table} {
${chains.join('')}}
`;
}

/** Chains of the table that hold the rule for this mark. */
function standing(listing: string, { othersText }: MarkField): number {
  const others = othersText.slice(2);
  return [...listing.matchAll(new RegExp(`meta mark set .*\\b0x0*${others}\\b`, 'g'))].length;
}

/** The listing, '' if it is not there. @throws FirewallError */
export async function showUnmark(instance: string, tools = new Tools()): Promise<string> {
  requireInstance(instance);
  const result = await tools.run('nft', ['-s', 'list', 'table', 'inet', unmarkTable(instance)]);
  if (result.status === 0) return result.stdout;
  if (result.stderr.includes('No such file or directory')) return '';
  throw toolError('nft', result);
}

/** Writes it where it does not stand; whoever emptied it left the table or nothing. @throws FirewallError */
export async function installUnmark(
  { instance, mark, local }: Pick<RuleSet, 'instance' | 'mark' | 'local'>,
  tools = new Tools(),
): Promise<void> {
  // More than is needed does no harm, and to take a chain away does.
  const needed = priorities.length * (local ? 2 : 1);
  if (standing(await showUnmark(instance, tools), mark) >= needed) return;
  await tools.must('nft', ['-f', '-'], unmarkScript(instance, mark, local));
}

/** Idempotent. @throws FirewallError */
export async function removeUnmark(instance: string, tools = new Tools()): Promise<void> {
  if ((await showUnmark(instance, tools)) === '') return;
  const table = `table inet ${unmarkTable(instance)}`;
  await tools.must('nft', ['-f', '-'], `add ${table}\ndelete ${table}\n`);
}
