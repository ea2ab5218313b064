/**
 * What a machine is made of: nodes, processors, cores, network interfaces. Promise: whatever a /sys tree holds or lacks,
 * this neither throws nor guesses in silence; what is odd is named in `problems`.
 */
import { cpuListText } from './cpu-list.js';
import { readInterfaces, type NetworkInterface } from './interfaces.js';
import { numbered, SysTree } from './sys-tree.js';

/** 'efficiency': the small cores of a hybrid Intel processor or of Arm's big.LITTLE. */
export type CoreKind = 'performance' | 'efficiency';

export interface Processor {
  readonly id: number;
  readonly node: number;
  /** The lowest processor of the same core: SMT siblings have the same. */
  readonly core: number;
  readonly kind: CoreKind;
}

export interface NumaNode {
  readonly id: number;
  /** Null when the kernel does not say. */
  readonly memoryBytes: number | null;
  /** By node number; empty when the kernel does not say. */
  readonly distances: ReadonlyMap<number, number>;
}

export interface Topology {
  readonly isArm: boolean;
  readonly nodes: readonly NumaNode[];
  /** Those that are online, in rising order. */
  readonly processors: readonly Processor[];
  readonly interfaces: readonly NetworkInterface[];
  /** Sentences: what is not as expected, and what was made of it. */
  readonly problems: readonly string[];
}

export interface ReadOptions {
  /** Whether the machine is an Arm one; null: told by the tree. */
  readonly isArm?: boolean | null;
}

export function readTopology(root = '/sys', { isArm = null }: ReadOptions = {}): Topology {
  const tree = new SysTree(root);
  const problems: string[] = [];
  const online = onlineProcessors(tree, problems);
  const nodes = readNodes(tree, problems);
  const nodeOf = nodesOfProcessors(tree, nodes, online, problems);
  const kindOf = kindsOfProcessors(tree, online);
  const processors = online.map((id) => ({
    id,
    node: nodeOf.get(id)!,
    core: coreOf(tree, id, online),
    kind: kindOf(id),
  }));
  const known = new Set(nodes.map(({ id }) => id));
  return {
    // Only Arm's kernel has the register.
    isArm: isArm ?? tree.has('devices/system/cpu/cpu0/regs/identification/midr_el1'),
    nodes,
    processors,
    interfaces: readInterfaces(tree, known, problems),
    problems,
  };
}

function onlineProcessors(tree: SysTree, problems: string[]): number[] {
  const listed = tree.cpuList('devices/system/cpu/online');
  if (listed !== null && listed.length > 0) return listed;
  const found = numbered(tree.names('devices/system/cpu'), 'cpu').filter(
    (id) => tree.number(`devices/system/cpu/cpu${id}/online`) !== 0,
  );
  if (found.length > 0) {
    problems.push('devices/system/cpu/online cannot be read: the folders cpu0, cpu1 ... are counted');
    return found;
  }
  problems.push('no processor is listed: one is assumed');
  return [0];
}

function readNodes(tree: SysTree, problems: string[]): NumaNode[] {
  const ids = numbered(tree.names('devices/system/node'), 'node');
  if (ids.length === 0) {
    problems.push('the kernel lists no nodes: the machine counts as one node');
    return [{ id: 0, memoryBytes: null, distances: new Map() }];
  }
  return ids.map((id) => {
    const memoryBytes = memoryOf(tree.text(`devices/system/node/node${id}/meminfo`));
    if (memoryBytes === 0) problems.push(`node ${id} has no memory`);
    return { id, memoryBytes, distances: distancesOf(tree, id, ids) };
  });
}

/** Columns are the nodes that are online, in rising order. */
function distancesOf(tree: SysTree, id: number, ids: readonly number[]): Map<number, number> {
  const words = (tree.text(`devices/system/node/node${id}/distance`) ?? '').split(/\s+/);
  if (words.length !== ids.length) return new Map();
  return new Map(ids.map((other, index) => [other, Number(words[index])]));
}

/** "Node 0 MemTotal:       65843000 kB" */
function memoryOf(meminfo: string | null): number | null {
  const kilobytes = /MemTotal:\s*(\d{1,15}) kB/.exec(meminfo ?? '')?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

function nodesOfProcessors(
  tree: SysTree,
  nodes: readonly NumaNode[],
  online: readonly number[],
  problems: string[],
): Map<number, number> {
  const found = new Map<number, number>();
  const wanted = new Set(online);
  for (const { id } of nodes) {
    const listed = tree.cpuList(`devices/system/node/node${id}/cpulist`);
    if (listed === null && nodes.length > 1) problems.push(`node ${id}: cpulist cannot be read`);
    const usable = (listed ?? []).filter((processor) => wanted.has(processor) && !found.has(processor));
    for (const processor of usable) found.set(processor, id);
    if (listed !== null && usable.length === 0) problems.push(`node ${id} has no processor that is online`);
  }
  const lost = online.filter((processor) => !found.has(processor));
  const home = nodes[0]!.id;
  if (lost.length > 0 && nodes.length > 1)
    problems.push(`processors ${cpuListText(lost)} belong to no node: they count to node ${home}`);
  for (const processor of lost) found.set(processor, home);
  return found;
}

function coreOf(tree: SysTree, id: number, online: readonly number[]): number {
  const topology = `devices/system/cpu/cpu${id}/topology`;
  // The first name is the newer one (Linux 5.3) and means the same.
  const siblings =
    tree.cpuList(`${topology}/core_cpus_list`) ?? tree.cpuList(`${topology}/thread_siblings_list`) ?? [];
  const usable = siblings.filter((sibling) => online.includes(sibling));
  return usable.includes(id) ? usable[0]! : id;
}

/** Below this share of the largest core's capacity a core is a small one (Cortex-A55 beside A76: 0.4; A710 beside X2: 0.8). */
const smallShare = 0.6;

function kindsOfProcessors(tree: SysTree, online: readonly number[]): (id: number) => CoreKind {
  // Whatever is not among these is small: cpu_atom, and since Linux 6.13 cpu_lowpower.
  const large = new Set(tree.cpuList('devices/cpu_core/cpus') ?? []);
  if (online.some((id) => large.has(id))) return (id) => (large.has(id) ? 'performance' : 'efficiency');
  const capacity = new Map(online.map((id) => [id, tree.number(`devices/system/cpu/cpu${id}/cpu_capacity`)]));
  const largest = Math.max(...[...capacity.values()].map((value) => value ?? 0));
  return (id) => ((capacity.get(id) ?? largest) < smallShare * largest ? 'efficiency' : 'performance');
}
