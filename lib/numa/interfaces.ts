/** Network interfaces as /sys shows them: on which node their hardware sits, and which interfaces carry which. */
import { numbered, type SysTree } from './sys-tree.js';

export interface NetworkInterface {
  readonly name: string;
  /** Has hardware (or a virtual machine's hardware) of its own. */
  readonly physical: boolean;
  /** The hardware's node; of one that is carried by others (VLAN, bond, bridge) theirs if they agree; null: none. */
  readonly node: number | null;
  /** Numbers of its receive queues. */
  readonly receiveQueues: readonly number[];
  readonly transmitQueues: readonly number[];
  /** False when the kernel says that nothing can pass; null when it does not say. */
  readonly up: boolean | null;
  /** Interfaces that carry this one. */
  readonly lower: readonly string[];
  /** Bond or bridge whose port this is: routed packets come by that one and never by this one. */
  readonly portOf: string | null;
  /** Interrupts of its hardware. */
  readonly interrupts: readonly number[];
}

/** ARPHRD_LOOPBACK of linux/if_arp.h. */
const typeLoopback = 772;
/** What rules of both backends, our configuration and a shell's command line all take as a plain name. */
const plainName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;
/** More queues than any hardware has: a tree that claims more is cut. */
const queuesMax = 4096;

export function readInterfaces(
  tree: SysTree,
  nodes: ReadonlySet<number>,
  problems: string[],
): NetworkInterface[] {
  const names = tree
    .names('class/net')
    .filter((name) => tree.number(`class/net/${name}/type`) !== typeLoopback && name !== 'lo')
    // A plain file: "bonding_masters".
    .filter((name) => tree.names(`class/net/${name}`).length > 0)
    .filter((name) => isPlain(name, problems));
  if (names.length === 0) problems.push('no network interface is listed');
  const read = new Map(names.map((name) => [name, readOne(tree, name, nodes, problems)]));
  return names.map((name) => {
    const found = read.get(name)!;
    return found.physical ? found : { ...found, node: nodeBelow(name, read, problems) };
  });
}

function isPlain(name: string, problems: string[]): boolean {
  if (plainName.test(name)) return true;
  problems.push(`the interface ${JSON.stringify(name)} has a name that no rule can hold: it is passed over`);
  return false;
}

function readOne(
  tree: SysTree,
  name: string,
  nodes: ReadonlySet<number>,
  problems: string[],
): NetworkInterface {
  const folder = `class/net/${name}`;
  const files = tree.names(folder);
  const physical = tree.has(`${folder}/device`);
  const queues = tree.names(`${folder}/queues`);
  return {
    name,
    physical,
    node: physical ? hardwareNode(tree, name, nodes, problems) : null,
    receiveQueues: numbered(queues, 'rx-').slice(0, queuesMax),
    transmitQueues: numbered(queues, 'tx-').slice(0, queuesMax),
    up: isUp(tree.text(`${folder}/operstate`)),
    lower: files.filter((file) => file.startsWith('lower_')).map((file) => file.slice('lower_'.length)),
    portOf: masterOf(tree, folder),
    interrupts: physical ? interruptsOf(tree, name) : [],
  };
}

/** A virtio device's node and interrupts are those of the PCI device that it sits on. */
function hardwareFolder(tree: SysTree, name: string): string {
  const device = `class/net/${name}/device`;
  return tree.has(`${device}/features`) ? `${device}/..` : device;
}

function hardwareNode(
  tree: SysTree,
  name: string,
  nodes: ReadonlySet<number>,
  problems: string[],
): number | null {
  const node = tree.number(`${hardwareFolder(tree, name)}/numa_node`);
  // -1 is "none": the firmware does not say, as is usual where there is one node only.
  if (node === null || node < 0) return null;
  if (nodes.has(node)) return node;
  problems.push(`${name} is said to be on node ${node}, which is not there: it counts as on none`);
  return null;
}

function interruptsOf(tree: SysTree, name: string): number[] {
  const device = hardwareFolder(tree, name);
  const message = numbered(tree.names(`${device}/msi_irqs`), '');
  if (message.length > 0) return message;
  const single = tree.number(`${device}/irq`) ?? 0;
  return single > 0 ? [single] : [];
}

/** linux: Documentation/ABI/testing/sysfs-class-net, operstate (RFC 2863). */
function isUp(state: string | null): boolean | null {
  if (state === null || state === 'unknown') return null;
  return state === 'up' || state === 'dormant' || state === 'testing';
}

function masterOf(tree: SysTree, folder: string): string | null {
  if (!tree.has(`${folder}/master`)) return null;
  // A VRF is a master too, and its ports do carry routed packets.
  const isPort = ['bonding', 'bridge'].some((word) => tree.names(`${folder}/master/${word}`).length > 0);
  return isPort ? tree.target(`${folder}/master`) : null;
}

/** All interfaces with hardware that carry this one, also through others. */
export function hardwareBelow(
  name: string,
  interfaces: ReadonlyMap<string, NetworkInterface>,
): NetworkInterface[] {
  const seen = new Set<string>();
  const found: NetworkInterface[] = [];
  const waiting = [name];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const at = interfaces.get(next);
    if (at === undefined) continue;
    if (at.physical) found.push(at);
    waiting.push(...at.lower);
  }
  return found;
}

function nodeBelow(
  name: string,
  interfaces: ReadonlyMap<string, NetworkInterface>,
  problems: string[],
): number | null {
  const below = hardwareBelow(name, interfaces);
  const nodes = new Set(below.flatMap(({ node }) => node ?? []));
  if (nodes.size > 1) problems.push(`${name} is carried by hardware of several nodes: it counts as on none`);
  return nodes.size === 1 ? [...nodes][0]! : null;
}
