/** What `swarmgate doctor` asks about the kernel's rules: which backend works, what is missing, what is in the way. */
import { existsSync, readFileSync } from 'node:fs';
import { iptablesAcknowledgements, tryBackend, type ChooseOptions } from './choose.js';
import { iptablesConflicts, nftConflicts, shownTables, type Finding } from './conflicts.js';
import type { RuleSet } from './firewall.js';
import { kernelHasIpv6 } from './iptables.js';
import { freeMask, neighboursOf, type Neighbour } from './neighbours.js';
import { findOffloads } from './offload.js';
import { Tools } from './tools.js';

export type { Finding } from './conflicts.js';

const ok = (code: string, message: string): Finding => ({ code, level: 'ok', message, mend: null });

export interface ProbeOptions extends ChooseOptions {
  /** The text of a file, null if it is not there; for tests. */
  readonly read?: (path: string) => string | null;
}

function readText(path: string): string | null {
  try {
    return existsSync(path) ? readFileSync(path, 'utf8').trim() : null;
  } catch {
    return null;
  }
}

/** Everything that is to be said about this machine and these rules; changes nothing. Never throws for what it finds. */
export async function probeFirewall(rules: RuleSet, options: ProbeOptions = {}): Promise<Finding[]> {
  const { tools = new Tools(), hasIpv6 = kernelHasIpv6, read = readText } = options;
  return [
    ...(await backendFindings({ tools, hasIpv6, local: rules.local })),
    ...(hasIpv6() ? [] : [ok('no-ipv6', 'this kernel has no IPv6: rules for IPv4 only')]),
    ...(await frontEndFindings(tools)),
    ...sysctlFindings(rules, read, hasIpv6()),
    ...(await conflictFindings(rules, tools)),
    ...(await offloadFindings(rules, tools)),
  ];
}

async function backendFindings(options: ChooseOptions): Promise<Finding[]> {
  const nft = await tryBackend('nft', options);
  const iptables = await tryBackend('iptables', options);
  const one = (name: string, reason: Error | null): Finding =>
    reason === null
      ? ok(`backend-${name}`, `${name} works: queue, marks and reject are there`)
      : {
          code: `backend-${name}`,
          level: nft === null || iptables === null ? 'ok' : 'error',
          message: `${name} cannot be used: ${reason.message}`,
          mend: nft === null || iptables === null ? null : mendOf(name, reason),
        };
  const findings = [one('nft', nft), one('iptables', iptables)];
  const lacksBpf = async (): Promise<boolean> =>
    (await iptablesAcknowledgements(options).catch(() => null)) === 'queued';
  if (nft !== null && iptables === null && (await lacksBpf()))
    findings.push({
      code: 'no-bpf-match',
      level: 'warning',
      message:
        'iptables has no match `bpf`: acknowledgements without payload are queued too, which only costs speed',
      mend: 'modprobe xt_bpf',
    });
  return findings;
}

function mendOf(name: string, reason: Error & { code?: string }): string | null {
  if (reason.code === 'firewall-tool-missing')
    return name === 'nft' ? 'apt-get install nftables' : 'apt-get install iptables';
  if (reason.code === 'firewall-no-security') return 'modprobe -a iptable_security ip6table_security';
  if (reason.code !== 'firewall-failed') return null;
  return name === 'nft'
    ? 'modprobe -a nf_tables nft_queue nft_ct nft_reject_inet'
    : 'modprobe -a xt_NFQUEUE xt_connmark xt_conntrack xt_pkttype xt_mark xt_comment ipt_REJECT ip6t_REJECT';
}

/** Rules in both front ends work, but nobody sees all of them in one listing, and their order is hard to foretell. */
async function frontEndFindings(tools: Tools): Promise<Finding[]> {
  const used: string[] = [];
  for (const end of ['legacy', 'nft']) {
    const result = await tools.run(`iptables-${end}-save`, []).catch(() => null);
    if (result?.status === 0 && /^-A /m.test(result.stdout)) used.push(`iptables-${end}`);
  }
  if (used.length < 2) return [];
  return [
    {
      code: 'two-front-ends',
      level: 'warning',
      message:
        'rules stand in both iptables-legacy and iptables-nft; keep them in one (iptables-legacy-save and ' +
        'iptables-nft-save print them)',
      mend: null,
    },
  ];
}

function sysctlFindings(rules: RuleSet, read: (path: string) => string | null, ipv6: boolean): Finding[] {
  const findings: Finding[] = [];
  const bridged = read('/proc/sys/net/bridge/bridge-nf-call-iptables');
  const needs = (code: string, key: string, message: string): void => {
    if (read(`/proc/sys/${key.replaceAll('.', '/')}`) === '0')
      findings.push({ code, level: 'warning', message, mend: `sysctl -w ${key}=1` });
  };
  if (rules.forwarded && bridged !== '1') {
    needs('no-forwarding', 'net.ipv4.ip_forward', 'this machine does not forward IPv4: nothing to inspect');
    if (ipv6)
      needs('no-forwarding-ipv6', 'net.ipv6.conf.all.forwarding', 'this machine does not forward IPv6');
  }
  if (bridged === '0')
    needs(
      'bridge-unseen',
      'net.bridge.bridge-nf-call-iptables',
      'br_netfilter is loaded but bridged IPv4 packets do not pass the rules',
    );
  if (bridged === '1' && ipv6)
    needs(
      'bridge-unseen-ipv6',
      'net.bridge.bridge-nf-call-ip6tables',
      'bridged IPv6 packets do not pass the rules',
    );
  if (bridged === null)
    findings.push(
      ok('no-br-netfilter', 'br_netfilter is not loaded: routed packets are seen, bridged ones are not'),
    );
  if (read('/proc/sys/net/netfilter/nf_conntrack_max') === null)
    findings.push(ok('conntrack-not-loaded', 'connection tracking is not loaded yet; our rules load it'));
  return findings;
}

async function conflictFindings(rules: RuleSet, tools: Tools): Promise<Finding[]> {
  return [
    ...(await ruleConflicts(rules, tools)),
    ...(await neighboursOf(rules.instance, tools))
      .filter(({ mask }) => (mask & rules.mark.mask) !== 0)
      .map((neighbour) => sharedMark(rules, neighbour)),
  ];
}

/** Of both front ends of iptables, each listing once, and of nft what these do not show. */
async function ruleConflicts(rules: RuleSet, tools: Tools): Promise<Finding[]> {
  const findings: Finding[] = [];
  const shown = new Set<string>();
  for (const [family, name] of [
    ['ip', 'iptables'],
    ['ip6', 'ip6tables'],
  ] as const) {
    const seen = new Set<string>();
    for (const end of ['', '-legacy', '-nft']) {
      const listing = await tools.text(`${name}${end}-save`);
      const text = listing.replace(/^#.*$/gm, '').replace(/\[\d+:\d+\]/g, '');
      if (seen.has(text)) continue;
      seen.add(text);
      findings.push(...iptablesConflicts(rules, listing, name));
      for (const table of shownTables(listing, family)) shown.add(table);
    }
  }
  return [...findings, ...nftConflicts(rules, await tools.text('nft', '-s', 'list', 'ruleset'), shown)];
}

/** Rules of others that our marks on connections and packets break, or that break them. */
export async function markConflicts(rules: RuleSet, tools = new Tools()): Promise<Finding[]> {
  const told = ['mark-restored', 'mark-restored-late', 'mark-compared', 'own-rerouted'];
  return (await ruleConflicts(rules, tools)).filter(({ code }) => told.includes(code));
}

function sharedMark({ mark }: RuleSet, { instance, mask }: Neighbour): Finding {
  const free = freeMask([mark.mask, mask]);
  return {
    code: 'mark-shared',
    level: 'error',
    message:
      `the rules of instance ${instance} use the mark bits 0x${mask.toString(16)}, which are among ours ` +
      `(${mark.maskText}): each would take the other's decisions for its own` +
      (free === null ? '' : `; set mark_mask: 0x${free.toString(16).padStart(8, '0')}`),
    mend: null,
  };
}

async function offloadFindings(rules: RuleSet, tools: Tools): Promise<Finding[]> {
  const offloads = await findOffloads(rules.mark, tools);
  return offloads.map(({ place, rule, hardware, mend }) => ({
    code: hardware ? 'hardware-offload' : 'flow-offload',
    level: 'error',
    message: `${place} hands flows to ${hardware ? 'the network card' : "the kernel's flowtable"} before they are decided: ${rule}`,
    mend,
  }));
}
