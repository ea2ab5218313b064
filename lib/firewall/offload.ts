/**
 * Flow offload: a flow that the kernel (flowtable) or the network card forwards by itself passes no rule any more, so
 * its later packets are never inspected, and a verdict on it changes nothing. Offload is welcome once a flow is decided
 * to be let alone; the mend is to offload those only.
 */
import { markAccept, type MarkField } from './marks.js';
import { Tools } from './tools.js';

export interface Offload {
  /** Where: "inet fw4 forward", "iptables filter FORWARD". */
  readonly place: string;
  readonly rule: string;
  readonly hardware: boolean;
  /** The command that lets only accepted flows be offloaded, or ends the offload. */
  readonly mend: string;
}

const openWrtMend =
  "uci set firewall.@defaults[0].flow_offloading='0' && " +
  "uci set firewall.@defaults[0].flow_offloading_hw='0' && uci commit firewall && /etc/init.d/firewall restart";

/** `flow add @name` (and older `flow offload @name`) rules in the output of `nft -a list ruleset`. */
export function nftOffloads(listing: string, mark: MarkField): Offload[] {
  const hardware = new Set<string>();
  const found: { table: string; chain: string; rule: string; handle: string; flowtable: string }[] = [];
  let table = '';
  let block = '';
  for (const line of listing.split('\n')) {
    const head = /^\s*(table|chain|flowtable) (.+?) \{/.exec(line);
    if (head?.[1] === 'table') table = head[2]!;
    else if (head !== null) block = head[2]!;
    else if (/^\s*flags offload/.test(line)) hardware.add(`${table} ${block}`);
    const rule = /^\s*(.*\bflow (?:add|offload) @(\S+).*?) # handle (\d+)/.exec(line);
    if (rule !== null)
      found.push({ table, chain: block, rule: rule[1]!, flowtable: rule[2]!, handle: rule[3]! });
  }
  const decided = decidedText(mark);
  return found
    .filter(({ rule }) => !rule.includes(decided))
    .map(({ table: where, chain, rule, handle, flowtable }) => ({
      place: `nft ${where} ${chain}`,
      rule,
      hardware: hardware.has(`${where} ${flowtable}`),
      mend:
        where === 'inet fw4'
          ? openWrtMend
          : `nft 'replace rule ${where} ${chain} handle ${handle} ct mark & ${mark.maskText} == ${mark.text(markAccept)} ${rule}'`,
    }));
}

/** As nft lists it. */
function decidedText(mark: MarkField): string {
  return `ct mark & 0x${mark.mask.toString(16).padStart(8, '0')} == 0x${mark.text(markAccept).slice(2).padStart(8, '0')}`;
}

/** `-j FLOWOFFLOAD [--hw]` (OpenWrt's kernel) in the output of iptables-save. */
export function iptablesOffloads(
  listing: string,
  family: 'iptables' | 'ip6tables',
  mark: MarkField,
): Offload[] {
  const guard = `-m connmark --mark ${mark.text(markAccept)}/${mark.maskText}`;
  let table = '';
  return listing.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    if (!/ -j FLOWOFFLOAD\b/.test(line) || line.includes(guard)) return [];
    const rule = line.replace(/^-A /, '');
    const chain = rule.split(' ')[0]!;
    const guarded = rule.replace(' -j FLOWOFFLOAD', ` ${guard} -j FLOWOFFLOAD`);
    return {
      place: `${family} ${table} ${chain}`,
      rule: line,
      hardware: / --hw\b/.test(line),
      mend: `${family} -t ${table} -A ${guarded} && ${family} -t ${table} -D ${rule}`,
    };
  });
}

/** Every offload on this machine; a tool that is missing or not permitted hides none that we could see. */
export async function findOffloads(mark: MarkField, tools = new Tools()): Promise<Offload[]> {
  return [
    ...nftOffloads(await tools.text('nft', '-a', 'list', 'ruleset'), mark),
    ...iptablesOffloads(await tools.text('iptables-save'), 'iptables', mark),
    ...iptablesOffloads(await tools.text('ip6tables-save'), 'ip6tables', mark),
  ];
}
