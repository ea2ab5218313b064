/**
 * Whole programs side by side over the same mix, in one run, taking turns: the scan, its peers, and bare readers. Peers
 * that are not installed are named as absent; one that fails is reported and the rest goes on.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Mix } from './mix.js';
import { isInstalled, measureAll, type Measured, type Program } from './program.js';

export interface Comparison {
  readonly title: string;
  readonly mix: Mix;
  readonly measured: readonly Measured[];
  /** What the ratios are taken to. */
  readonly reference: string;
  readonly absent: readonly string[];
}

const built = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const swarmgate = built('../program/swarmgate.js');
const walk = built('walk.js');
const node = process.execPath;

export const ourTable = 'swarmgate scan, table';

function scan(name: string, format: string, mix: Mix): Program {
  return { name, command: [node, swarmgate, 'scan', mix.path, '--format', format] };
}

interface Peer {
  readonly tool: string;
  readonly program: Program;
}

/** Splits peers into those that can run here and the names of the others. */
function present(peers: readonly Peer[]): { programs: Program[]; absent: string[] } {
  const here = peers.filter(({ tool }) => isInstalled(tool));
  return {
    programs: here.map(({ program }) => program),
    absent: peers.filter((peer) => !here.includes(peer)).map(({ program }) => program.name),
  };
}

type Note = (text: string) => void;

/** The scan in these formats, ndpiReader and tcpdump over the same mix. */
export async function compareScan(
  { title, mix, formats }: Pick<Comparison, 'title' | 'mix'> & { readonly formats: readonly string[] },
  repeat: number,
  note: Note,
): Promise<Comparison> {
  requireBuild();
  const { programs, absent } = present([
    { tool: 'ndpiReader', program: { name: 'ndpiReader -q', command: ['ndpiReader', '-i', mix.path, '-q'] } },
    {
      tool: 'tcpdump',
      program: { name: 'tcpdump --count (counts only)', command: ['tcpdump', '-nr', mix.path, '--count'] },
    },
  ]);
  const ours = formats.map((format) => scan(`swarmgate scan, ${format}`, format, mix));
  const measured = await measureAll([...ours, ...programs], repeat, note);
  return { title, mix, measured, reference: 'ndpiReader -q', absent };
}

/** tshark takes a minute per gigabyte, so it has a mix of its own; the scan runs over the same one. */
export async function compareTshark(mix: Mix, repeat: number, note: Note): Promise<Comparison> {
  requireBuild();
  const filter = 'bittorrent || bt-dht || bt-utp';
  const name = 'tshark -Y (BitTorrent)';
  const { programs, absent } = present([
    { tool: 'tshark', program: { name, command: ['tshark', '-n', '-r', mix.path, '-Y', filter] } },
  ]);
  const measured = await measureAll([scan(ourTable, 'table', mix), ...programs], repeat, note);
  return { title: 'Scan of a smaller mix', mix, measured, reference: name, absent };
}

/** Our reader and pcap-parser, both only walking the file. */
export async function compareReaders(mix: Mix, repeat: number, note: Note): Promise<Comparison> {
  const ours = { name: 'our reader', command: [node, walk, 'ours', mix.path] } as const;
  const theirs = { name: 'pcap-parser (npm)', command: [node, walk, 'pcap-parser', mix.path] } as const;
  const there = hasModule('pcap-parser');
  const measured = await measureAll(there ? [ours, theirs] : [ours], repeat, note);
  return {
    title: 'Walking the file, nothing else',
    mix,
    measured,
    reference: theirs.name,
    absent: there ? [] : [theirs.name],
  };
}

function hasModule(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

function requireBuild(): void {
  if (!existsSync(swarmgate))
    throw new Error(`${swarmgate} is missing: the benchmark runs from dist/, after make build`);
}
