/**
 * Other instances whose rules stand in this network namespace. Two with common mark bits undo each other's decisions
 * without a word: what one lets pass, the other takes for decided.
 */
import { Tools } from './tools.js';

export interface Neighbour {
  readonly instance: string;
  /** Its mark field, unsigned 32-bit. */
  readonly mask: number;
}

const inIptables =
  /^-A SWARMGATE(?:-([a-z0-9][a-z0-9_-]{0,14}))? -m connmark ! --mark 0x0\/(0x[0-9a-f]+) -g SWARMGATE/;
const tableOfNft = /^table inet swarmgate(?:_([a-z0-9][a-z0-9_-]{0,14}))? \{/;
const inNft = /^\s+meta mark (?:&|and) (0x[0-9a-f]+) != 0x0+ goto returned/;
const fieldBits = 7;

/** @param listing of iptables-save */
export function iptablesNeighbours(listing: string): Neighbour[] {
  return listing.split('\n').flatMap((line) => {
    const [, instance = 'default', mask] = inIptables.exec(line) ?? [];
    return mask === undefined ? [] : [{ instance, mask: Number(mask) }];
  });
}

/** @param listing of nft's tables */
export function nftNeighbours(listing: string): Neighbour[] {
  const found: Neighbour[] = [];
  let instance: string | null = null;
  for (const line of listing.split('\n')) {
    if (line.startsWith('table ')) {
      const table = tableOfNft.exec(line);
      instance = table === null ? null : (table[1] ?? 'default');
    }
    const mask = inNft.exec(line)?.[1];
    if (instance !== null && mask !== undefined) found.push({ instance, mask: Number(mask) });
  }
  return found;
}

/** The instances that have rules here, but for one. A tool that is not there lists none. */
export async function neighboursOf(instance: string, tools = new Tools()): Promise<Neighbour[]> {
  const found = [
    ...iptablesNeighbours(await tools.text('iptables-save', '-t', 'mangle')),
    ...iptablesNeighbours(await tools.text('ip6tables-save', '-t', 'mangle')),
    ...nftNeighbours(await nftTables(tools)),
  ];
  return [...new Map(found.map((neighbour) => [neighbour.instance, neighbour])).values()].filter(
    (neighbour) => neighbour.instance !== instance,
  );
}

/** Ours alone: others may have a hundred thousand rules. */
async function nftTables(tools: Tools): Promise<string> {
  const names = (await tools.text('nft', 'list', 'tables')).matchAll(/^table inet (swarmgate\S*)$/gm);
  const listings: string[] = [];
  for (const [, name] of names) listings.push(await tools.text('nft', 'list', 'table', 'inet', name!));
  return listings.join('\n');
}

/** Three bits that none of the masks has, the highest there are; null if there are none. */
export function freeMask(masks: readonly number[]): number | null {
  const taken = masks.reduce((all, mask) => all | mask, 0);
  for (let shift = 28; shift >= 0; shift--)
    if ((taken & (fieldBits << shift)) === 0) return fieldBits << shift;
  return null;
}
