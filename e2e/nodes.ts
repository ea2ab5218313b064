/** A machine of two nodes, as /sys would show it, with two interfaces each; its processors are the first two of this one. */
import { thisMachine } from '../lib/numa/workers.js';

export const hosts = [1, 2, 3, 4] as const;
export type HostNumber = (typeof hosts)[number];
/** `second` is undefined where only one processor may be used. */
export const [first, second] = [...thisMachine().permitted];

/** For makeTree(): one processor a node, up1 and up2 at node 0, up3 and up4 at node 1. */
export function treeText(): string {
  const nic = (host: HostNumber): string =>
    `devices/pci/nic${host}/numa_node = ${host > 2 ? 1 : 0}
devices/pci/nic${host}/net/up${host}/operstate = up
devices/pci/nic${host}/net/up${host}/device -> devices/pci/nic${host}
class/net/up${host} -> devices/pci/nic${host}/net/up${host}`;
  return [
    `devices/system/cpu/online = ${first!},${second!}`,
    `devices/system/node/node0/cpulist = ${first!}`,
    `devices/system/node/node1/cpulist = ${second!}`,
    ...hosts.map(nic),
  ].join('\n');
}
