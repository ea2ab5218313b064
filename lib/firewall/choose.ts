/** Which backend to use, found out by asking this machine's kernel, and how to get rid of the rules of all of them. */
import { FirewallError, type BackendName, type Firewall, type RuleSet } from './firewall.js';
import { IptablesFirewall, iptablesVersion, kernelHasIpv6, type FrontEnd } from './iptables.js';
import type { Acknowledgements } from './iptables-text.js';
import { MarkField, markMaskDefault } from './marks.js';
import { NftFirewall, tryNft } from './nft.js';
import { requireInstance } from './rules.js';
import { Tools } from './tools.js';
import { removeUnmark, showUnmark } from './unmark.js';

export type BackendChoice = 'auto' | BackendName;

/** Every kind of rule that an instance may need, but those for this machine's own packets. */
const forwarding: RuleSet = {
  instance: 'try',
  queueFirst: 0,
  queueCount: 2,
  mark: new MarkField(markMaskDefault),
  forwarded: true,
  local: false,
  interfaces: ['lo'],
  pairs: [['lo', 'eth0']],
  leave: ['eth1'],
  enforce: true,
};

export interface ChooseOptions {
  readonly tools?: Tools;
  readonly hasIpv6?: () => boolean;
  /** Whether this machine's own packets are to be looked at: iptables needs another table for these. */
  readonly local?: boolean;
}

/** Whether a backend works on this machine; null, or the reason why not. Leaves nothing behind. */
export async function tryBackend(
  name: BackendName,
  options: ChooseOptions = {},
): Promise<FirewallError | null> {
  const { tools = new Tools(), hasIpv6 = kernelHasIpv6, local = false } = options;
  const rules = { ...forwarding, local };
  try {
    if (name === 'nft') await tryNft(rules, tools);
    else await new IptablesFirewall({ tools, hasIpv6 }).tryOut(rules);
    return null;
  } catch (error) {
    if (!(error instanceof FirewallError)) throw error;
    if (name === 'nft' || !local || (await tryBackend(name, { tools, hasIpv6 })) !== null) return error;
    return new FirewallError(
      'firewall-no-security',
      "for this machine's own packets iptables needs the table `security`, which this kernel has not: " +
        `modprobe -a iptable_security ip6table_security, or use iptables-nft (${error.message})`,
    );
  }
}

/** Whether iptables, if it works here, can leave acknowledgements to the kernel. @throws FirewallError */
export async function iptablesAcknowledgements(options: ChooseOptions = {}): Promise<Acknowledgements> {
  return new IptablesFirewall(options).acknowledgements();
}

/**
 * The backend that was asked for, or the first that works: nft, then iptables.
 * @throws FirewallError with the reason of the backend asked for; 'firewall-permission' or 'firewall-no-backend' with
 *   the reasons of both
 */
export async function chooseFirewall(choice: BackendChoice, options: ChooseOptions = {}): Promise<Firewall> {
  const names: readonly BackendName[] = choice === 'auto' ? ['nft', 'iptables'] : [choice];
  const reasons: FirewallError[] = [];
  for (const name of names) {
    const reason = await tryBackend(name, options);
    if (reason === null) return backend(name, options);
    reasons.push(reason);
  }
  const noSecurity = reasons.find(({ code }) => code === 'firewall-no-security');
  if (reasons.length === 1 || noSecurity !== undefined) throw noSecurity ?? reasons[0]!;
  throw noBackend(reasons);
}

/** The backend without asking whether it works: for texts, and to look at what is there. */
export function backend(name: BackendName, options: ChooseOptions = {}): Firewall {
  const { tools = new Tools(), hasIpv6 = kernelHasIpv6 } = options;
  return name === 'nft' ? new NftFirewall(tools) : new IptablesFirewall({ tools, hasIpv6 });
}

function noBackend(reasons: readonly FirewallError[]): FirewallError {
  const permission = reasons.find(({ code }) => code === 'firewall-permission');
  if (permission !== undefined) return permission;
  return new FirewallError(
    'firewall-no-backend',
    'neither nft nor iptables can queue packets here; load the module nft_queue or xt_NFQUEUE, ' +
      `or write the rules yourself. ${reasons.map(({ message }) => message).join('. ')}`,
  );
}

const frontEnds: readonly FrontEnd[] = ['', '-legacy', '-nft'];

/** The front ends whose rules are not those of the default one. */
async function otherFrontEnds(tools: Tools): Promise<FrontEnd[]> {
  const version = await iptablesVersion(tools).catch(() => '');
  if (version === '') return ['-legacy', '-nft'];
  return version.includes('nf_tables') ? ['-legacy'] : ['-nft'];
}

/**
 * Removes everything of this instance, whichever backend and front end installed it. A tool that is not there has
 * nothing to remove.
 * @param keep the backend whose rules stay (its `install` replaces them in one transaction)
 * @throws FirewallError when something could not be removed, after the rest was
 */
export async function removeEverything(
  instance: string,
  options: ChooseOptions = {},
  keep?: BackendName,
): Promise<void> {
  requireInstance(instance);
  const { tools = new Tools(), hasIpv6 = kernelHasIpv6 } = options;
  const errors: unknown[] = [];
  const attempt = async (program: string, firewall: Firewall): Promise<void> => {
    if (!(await tools.has(program))) return;
    await firewall.remove(instance).catch((error: unknown) => errors.push(error));
  };
  if (keep !== 'nft') await attempt('nft', new NftFirewall(tools));
  const ends = keep === 'iptables' ? await otherFrontEnds(tools) : frontEnds;
  for (const frontEnd of ends)
    await attempt(`iptables${frontEnd}-save`, new IptablesFirewall({ tools, frontEnd, hasIpv6 }));
  // Last: with its hook the kernel drops what is still queued. Where rules stay it may belong to them.
  if (keep === undefined && (await tools.has('nft')))
    await removeUnmark(instance, tools).catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}

/** What any backend and front end holds of this instance: headings and listings. '' when nothing. */
export async function showEverything(instance: string, options: ChooseOptions = {}): Promise<string> {
  requireInstance(instance);
  const { tools = new Tools(), hasIpv6 = kernelHasIpv6 } = options;
  const texts: string[] = [];
  const add = async (program: string, firewall: Firewall): Promise<void> => {
    if (!(await tools.has(program))) return;
    const text = await firewall.show(instance);
    // The default front end is one of the other two: shown once.
    if (text !== '' && !texts.includes(text)) texts.push(text);
  };
  await add('nft', new NftFirewall(tools));
  for (const frontEnd of frontEnds)
    await add(`iptables${frontEnd}-save`, new IptablesFirewall({ tools, frontEnd, hasIpv6 }));
  if (await tools.has('nft')) texts.push(await showUnmark(instance, tools));
  return texts.join('');
}
