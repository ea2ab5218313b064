/**
 * Backend nft. The table is ours alone; other programs can only wipe it (`flush ruleset`) or change it by name. What
 * the kernel holds is told from what was installed by a digest of the listing right after the installation, kept in
 * the name of an empty chain, so that any process can compare.
 */
import { FirewallError, type Firewall, type RuleSet, type RulesReport, type RulesState } from './firewall.js';
import { nftScript, nftScriptInPlace } from './nft-text.js';
import { digest, requireSound, tableName } from './rules.js';
import { toolError, Tools } from './tools.js';

const stampBlock = /\n*\tchain stamp_([0-9a-f]{16})_([0-9a-f]{16}) \{\n\t\}\n?/;

export class NftFirewall implements Firewall {
  readonly name = 'nft';
  readonly pass = 'accept';
  readonly notes: readonly string[] = [];

  constructor(private readonly tools = new Tools()) {}

  render(rules: RuleSet): string {
    requireSound(rules);
    return nftScript(rules);
  }

  async install(rules: RuleSet): Promise<void> {
    const text = this.render(rules);
    const inPlace = nftScriptInPlace(rules, await this.show(rules.instance));
    // Refused when another program gave a base chain of ours another hook or priority.
    const done = inPlace !== null && (await this.tools.run('nft', ['-f', '-'], inPlace)).status === 0;
    if (!done) await this.tools.must('nft', ['-f', '-'], text);
    const listed = listing(await this.show(rules.instance));
    const stamp = `stamp_${digest(text)}_${digest(listed)}`;
    await this.tools.must('nft', ['-f', '-'], `add chain inet ${tableName(rules.instance)} ${stamp}\n`);
  }

  async drain(instance: string): Promise<void> {
    if (!/^\tchain undecided \{$/m.test(await this.show(instance))) return;
    // Not the whole table: when the last rule that asks conntrack goes, conntrack's hooks go, and with any hook the
    // kernel drops what user space holds. The rules for decided flows stay in force until `remove`.
    await this.tools.must('nft', ['flush', 'chain', 'inet', tableName(instance), 'undecided']);
  }

  async remove(instance: string): Promise<void> {
    const table = `inet ${tableName(instance)}`;
    if ((await this.show(instance)) === '') return;
    // Added first, so that a table that has just gone is no error.
    await this.tools.must('nft', ['-f', '-'], `add table ${table}\ndelete table ${table}\n`);
  }

  async check(rules: RuleSet): Promise<RulesState> {
    return (await this.examine(rules)).state;
  }

  async examine(rules: RuleSet): Promise<RulesReport> {
    const text = this.render(rules);
    const shown = await this.show(rules.instance);
    const table = `table inet ${tableName(rules.instance)}`;
    if (shown === '') return { state: 'absent', problems: [`${table} is not there`] };
    const stamp = stampBlock.exec(shown);
    const problem = (words: string): RulesReport => ({ state: 'damaged', problems: [`${table} ${words}`] });
    if (stamp === null) return problem('was not installed to its end, or was written by another program');
    if (stamp[1] !== digest(text)) return problem('was installed with other settings');
    if (stamp[2] !== digest(listing(shown))) return problem('was changed after it was installed');
    return { state: 'intact', problems: [] };
  }

  async show(instance: string): Promise<string> {
    const result = await this.tools.run('nft', ['-s', 'list', 'table', 'inet', tableName(instance)]);
    if (result.status === 0) return result.stdout;
    if (result.stderr.includes('No such file or directory')) return '';
    throw toolError('nft', result);
  }
}

/** The listing without the digest itself. */
function listing(shown: string): string {
  return shown.replace(stampBlock, '\n').replace(/\n+/g, '\n');
}

/**
 * Asks the kernel whether it takes the rules, and changes nothing: `nft -c` sends the transaction and lets the kernel
 * undo it, so a missing expression (a kernel without `nft_queue`) is found.
 * @throws FirewallError with the reason
 */
export async function tryNft(rules: RuleSet, tools = new Tools()): Promise<void> {
  const result = await tools.run('nft', ['-c', '-f', '-'], nftScript(rules));
  if (result.status === 0) return;
  const error = toolError('nft', result);
  if (error.code !== 'firewall-permission' && result.stderr.includes('queue'))
    throw new FirewallError('firewall-failed', "this kernel's nft has no queue (module nft_queue)");
  throw error;
}
