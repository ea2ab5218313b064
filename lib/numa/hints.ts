/**
 * Commands for the administrator to copy: interrupts, receive and transmit work of each interface on the processors of
 * the node where its packets are inspected. Nothing here is ever run by Swarmgate.
 */
import { cpuListText, cpuMaskText } from './cpu-list.js';
import type { NetworkInterface } from './interfaces.js';
import type { InstancePlan, Plan } from './plan.js';
import type { Topology } from './topology.js';

/** Lines that begin with # are for people. Empty where there is nothing to say. */
export function hintsOf(topology: Topology, { instances }: Plan): string[] {
  const lines = instances.flatMap((instance) =>
    topology.interfaces
      .filter(({ name, physical }) => physical && instance.interfaces.includes(name))
      .flatMap((each) => hintsFor(each, instance)),
  );
  return lines.length === 0
    ? []
    : [
        '# As root; lost at the next start of the machine. irqbalance undoes the first kind: stop it before.',
        ...lines,
      ];
}

function hintsFor(each: NetworkInterface, instance: InstancePlan): string[] {
  const { name, interrupts, receiveQueues, transmitQueues } = each;
  const { dataProcessors, cores } = instance;
  const list = cpuListText(dataProcessors);
  const mask = cpuMaskText(dataProcessors);
  const lines = [
    `# ${name}: ${counted(receiveQueues.length, 'receive queue')}, inspected by ${instance.name}`,
  ];
  if (interrupts.length > 0)
    lines.push(
      `for irq in ${numbersText(interrupts)}; do echo ${list} > /proc/irq/$irq/smp_affinity_list; done`,
    );
  // With a queue per core the hardware spreads the packets already, and a second time would only cost.
  if (receiveQueues.length > 0 && receiveQueues.length < cores)
    lines.push(`for queue in /sys/class/net/${name}/queues/rx-*; do echo ${mask} > $queue/rps_cpus; done`);
  if (transmitQueues.length > 1)
    lines.push(`for queue in /sys/class/net/${name}/queues/tx-*; do echo ${mask} > $queue/xps_cpus; done`);
  return lines.length === 1 ? [] : lines;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function numbersText(numbers: readonly number[]): string {
  const first = numbers[0]!;
  const isRow = numbers.every((number, index) => number === first + index);
  return isRow && numbers.length > 2 ? `$(seq ${first} ${numbers.at(-1)!})` : numbers.join(' ');
}
