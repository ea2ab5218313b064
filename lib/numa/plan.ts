/**
 * From a machine and a few settings to instances, one per node that has network interfaces. A pure function. Promises
 * (plan.test.ts): queues and mark fields of two instances are disjoint, no processor is in two lists for data, no list is
 * empty, every packet belongs to exactly one instance and both directions of a flow to the same.
 */
import { hardwareBelow, type NetworkInterface } from './interfaces.js';
import { sharesOf, type Share } from './shares.js';
import type { Processor, Topology } from './topology.js';
import { coreCount, performanceOf, workersFor, workersHighest } from './workers.js';

export interface PlanSettings {
  /** First queue of the first instance. */
  readonly queueFirst: number;
  /** Packets per batch. */
  readonly batch: number;
  /** Mark field of the first instance. */
  readonly markMask: number;
  /** Only these interfaces; all when empty. */
  readonly interfaces: readonly string[];
  /** Interfaces with a default route. */
  readonly uplinks: readonly string[];
  /** Workers of each instance; null: by its cores. */
  readonly workers: number | null;
}

export interface InstancePlan {
  /** "node0"; also the name of its configuration file and of its service. */
  readonly name: string;
  readonly node: number;
  /** Interfaces of this node, in the order of their names. */
  readonly interfaces: readonly string[];
  /** What its rules say. */
  readonly share: Share;
  readonly cores: number;
  readonly workers: number;
  readonly queueFirst: number;
  readonly batch: number;
  readonly markMask: number;
  readonly dataProcessors: readonly number[];
  readonly controlProcessors: readonly number[];
  /** Nodes whose memory it uses; empty: not bound. */
  readonly memoryNodes: readonly number[];
}

export interface Plan {
  readonly instances: readonly InstancePlan[];
  /** Sentences: what was decided and what is odd. */
  readonly notes: readonly string[];
}

/** An instance's queues begin here after the one before: its file may name more workers without meeting the next. */
const queueStride = workersHighest;
const queueHighest = 65_535;
const markBits = 3;

export function makePlan(topology: Topology, settings: PlanSettings): Plan {
  const notes = [...topology.problems];
  const usable = usableInterfaces(topology, settings, notes);
  const masks = markMasks(settings.markMask);
  const most = Math.min(masks.length, Math.floor((queueHighest + 1 - settings.queueFirst) / queueStride));
  const wanted = nodesWithTraffic(topology, usable, notes);
  const nodes = wanted.slice(0, Math.max(1, most));
  if (nodes.length < wanted.length)
    notes.push(
      `there are mark bits and queue numbers for ${nodes.length} instances only: nodes ${wanted.slice(nodes.length).join(', ')} get none`,
    );
  // A single instance takes all; what is listed then is only said to people.
  const belongs = (node: number, each: NetworkInterface): boolean =>
    nodes.length === 1 ? each.node === node || each.physical : each.node === node;
  const groups = nodes.map((node) => usable.filter((each) => belongs(node, each)).map(({ name }) => name));
  const shares = sharesOf(groups, settings.uplinks);
  noteShares(nodes, groups, shares, notes);
  if (nodes.length > 1) notes.push(uplinkNote(settings));
  if (nodes.length > 2)
    notes.push(
      'from the third instance on the mark fields use bits that other software may use too (Tailscale, Docker, ...): swarmgate doctor finds rules that do',
    );
  const instances = nodes.map((node, index) => ({
    name: `node${node}`,
    node,
    interfaces: groups[index]!,
    // The administrator's own list still holds for the one that takes what is on no node.
    share: index === 0 ? { ...shares[0]!, interfaces: settings.interfaces } : shares[index]!,
    ...processorsOf(topology, node, settings, notes),
    queueFirst: settings.queueFirst + index * queueStride,
    batch: settings.batch,
    markMask: masks[index]!,
    memoryNodes: memoryOf(topology, node, notes),
  }));
  return { instances, notes };
}

/** Those by which routed packets come: not the ports of bonds and bridges. */
function usableInterfaces(
  { interfaces }: Topology,
  { interfaces: named, uplinks }: PlanSettings,
  notes: string[],
): NetworkInterface[] {
  const missingOf = (names: readonly string[]): string[] =>
    names.filter((name) => !interfaces.some((each) => each.name === name));
  const missing = missingOf(named);
  if (missing.length > 0) notes.push(`not there now: ${missing.join(', ')} (traffic.interfaces)`);
  const missingUplinks = missingOf(uplinks);
  if (missingUplinks.length > 0) notes.push(`not there now: ${missingUplinks.join(', ')} (uplinks)`);
  return interfaces.filter(
    ({ name, portOf }) => portOf === null && (named.length === 0 || named.includes(name)),
  );
}

/** Nodes that get an instance, in rising order; at least one. */
function nodesWithTraffic(
  topology: Topology,
  usable: readonly NetworkInterface[],
  notes: string[],
): number[] {
  const able = topology.nodes
    .map(({ id }) => id)
    .filter((id) => topology.processors.some(({ node }) => node === id));
  const byName = new Map(topology.interfaces.map((each) => [each.name, each]));
  // A VLAN or bridge without hardware below it says nothing about a node.
  const onNode = (id: number): NetworkInterface[] =>
    usable.filter((each) => each.node === id && hardwareBelow(each.name, byName).length > 0);
  const anyUp = usable.some(({ node, up }) => node !== null && up !== false);
  const chosen = able.filter((id) => onNode(id).some(({ up }) => up !== false || !anyUp));
  for (const { id } of topology.nodes) {
    const names = onNode(id).map(({ name }) => name);
    if (topology.nodes.length === 1 || chosen.includes(id)) continue;
    if (names.length === 0) notes.push(`node ${id} has no network interface: no instance`);
    else if (!able.includes(id))
      notes.push(
        `node ${id} has ${names.join(', ')} but no processor: no instance, the first one takes them`,
      );
    else notes.push(`node ${id}: ${names.join(', ')} down, no instance; plan again when one of them is up`);
  }
  if (chosen.length > 0) return chosen;
  if (topology.nodes.length > 1)
    notes.push('no network interface says on which node it is: one instance, on the first node');
  return [able[0] ?? topology.nodes[0]!.id];
}

/** The first instance's field, then those of three bits that do not touch it, from the highest down. */
function markMasks(first: number): number[] {
  const others: number[] = [];
  for (let shift = 32 - 1 - markBits; shift >= 1; shift -= markBits) {
    const mask = (((1 << markBits) - 1) << shift) >>> 0;
    if ((mask & first) === 0) others.push(mask);
  }
  return [first, ...others];
}

function uplinkNote({ uplinks }: PlanSettings): string {
  return uplinks.length === 0
    ? 'no uplink is known: with --uplink NAME all flows of a LAN meet in one instance'
    : `uplinks: ${uplinks.join(', ')}; what goes by them is inspected where the LAN at the other end is assigned`;
}

function noteShares(
  nodes: readonly number[],
  groups: readonly (readonly string[])[],
  shares: readonly Share[],
  notes: string[],
): void {
  if (nodes.length < 2) {
    notes.push('one instance: swarmgate.service does the same without the lists of processors');
    return;
  }
  const dealt = shares.some(({ pairs }) => pairs.length > 0);
  for (const [index, { pairs }] of shares.entries()) {
    if (dealt && pairs.length === 0)
      notes.push(`node${nodes[index]!} inspects nothing that goes between two nodes: the pairs are few`);
  }
  const crossing = groups.slice(1).some(({ length }) => length > 0);
  if (!dealt && crossing)
    notes.push(
      'too many pairs of interfaces on two nodes to deal them out: what goes between two nodes is inspected by the later one',
    );
  notes.push(
    `what goes by no interface of a node (tunnels, PPP, containers) is inspected by node${nodes[0]!}, or by the node at its other end`,
  );
}

function processorsOf(
  { processors, isArm }: Topology,
  node: number,
  settings: PlanSettings,
  notes: string[],
): Pick<InstancePlan, 'cores' | 'workers' | 'dataProcessors' | 'controlProcessors'> {
  const own = processors.filter((each) => each.node === node);
  const all: readonly Processor[] = own.length === 0 ? processors : own;
  const data = performanceOf(all);
  const small = all.filter((each) => !data.includes(each));
  if (small.length > 0)
    notes.push(
      `node ${node}: the ${small.length} small cores are left to the control thread and to other programs`,
    );
  const cores = coreCount(all);
  const workers = settings.workers ?? workersFor(cores, isArm);
  if (settings.workers === null && cores * (isArm ? 4 : 2) > workersHighest)
    notes.push(`node ${node}: ${workersHighest} workers are the most, ${cores} cores would have more`);
  const ids = (list: readonly Processor[]): number[] => list.map(({ id }) => id);
  return {
    ...{ cores, workers },
    dataProcessors: ids(data),
    // It sleeps most of the time: a processor of its own would be idle.
    controlProcessors: ids(small.length > 0 ? small : data),
  };
}

/** The node's own memory; of a node without, that of the nearest with. */
function memoryOf({ nodes }: Topology, node: number, notes: string[]): number[] {
  if (nodes.length === 1) return [];
  const own = nodes.find(({ id }) => id === node)!;
  if (own.memoryBytes !== 0) return [node];
  const nearest = nodes
    .filter(({ memoryBytes }) => memoryBytes !== 0)
    .sort((a, b) => (own.distances.get(a.id) ?? 255) - (own.distances.get(b.id) ?? 255))[0];
  if (nearest === undefined) return [];
  notes.push(`node${node} uses the memory of node ${nearest.id}, the nearest that has some`);
  return [nearest.id];
}
