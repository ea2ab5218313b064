/** A plan in plain words, and as an object for programs. */
import { cpuListText } from '../lib/numa/cpu-list.js';
import { hintsOf } from '../lib/numa/hints.js';
import type { NetworkInterface } from '../lib/numa/interfaces.js';
import type { InstancePlan, Plan } from '../lib/numa/plan.js';
import { coreCount } from '../lib/numa/workers.js';
import type { Topology } from '../lib/numa/topology.js';
import { printable } from '../lib/report/escape.js';
import { bytesText, plural } from '../lib/report/format.js';

const markText = (mask: number): string => `0x${mask.toString(16)}`;

function nodeText({ processors }: Topology, { id, memoryBytes }: Topology['nodes'][number]): string {
  const own = processors.filter(({ node }) => node === id);
  if (own.length === 0) return `node ${id}: no processor`;
  const small = own.filter(({ kind }) => kind === 'efficiency');
  const cores = coreCount(own);
  const parts = [
    `processors ${cpuListText(own.map((each) => each.id))}`,
    small.length === 0 ? plural(cores, 'core') : `${plural(cores, 'large core')}, ${small.length} small`,
    ...(own.length - small.length > cores ? ['SMT'] : []),
    ...(memoryBytes === null ? [] : [`${bytesText(memoryBytes)} of memory`]),
  ];
  return `node ${id}: ${parts.join(', ')}`;
}

function interfaceText(each: NetworkInterface): string {
  const { name, node, physical, receiveQueues, up, lower, portOf } = each;
  const parts = [
    node === null ? 'on no node' : `node ${node}`,
    ...(physical ? [plural(receiveQueues.length, 'receive queue')] : ['virtual']),
    ...(lower.length === 0 ? [] : [`over ${lower.join(', ')}`]),
    ...(portOf === null ? [] : [`port of ${portOf}`]),
    ...(up === false ? ['down'] : []),
  ];
  return printable(`${name}: ${parts.join(', ')}`);
}

function instanceLines(instance: InstancePlan, index: number, count: number): string[] {
  const { name, node, interfaces, share, queueFirst, workers } = instance;
  const data = cpuListText(instance.dataProcessors);
  const control = cpuListText(instance.controlProcessors);
  const memory =
    instance.memoryNodes.length === 0 ? 'not bound' : `node ${cpuListText(instance.memoryNodes)}`;
  const named = interfaces.join(', ') || 'none';
  const others = index === 0 ? `${named}, and all that no other instance takes` : named;
  const taken = count > 1 ? others : share.interfaces.join(', ') || `all (now ${named})`;
  const field = (title: string, text: string): string => `  ${title.padEnd(11)}${text}`;
  return [
    `Instance ${name}, on node ${node}`,
    field('interfaces', printable(taken)),
    ...(share.pairs.length === 0
      ? []
      : [field('between', printable(share.pairs.map((pair) => pair.join(' and ')).join(', ')))]),
    field('workers', `${workers} on processors ${data}; main thread on ${control}`),
    field('queues', `${queueFirst} to ${queueFirst + workers - 1}, batches of ${instance.batch} packets`),
    field('marks', markText(instance.markMask)),
    field('memory', memory),
  ];
}

/** The plan for people, with a newline at the end. */
export function planText(topology: Topology, plan: Plan): string {
  const { isArm, nodes, interfaces } = topology;
  const hints = hintsOf(topology, plan);
  return [
    `${plural(nodes.length, 'node')}${isArm ? ', Arm' : ''}`,
    ...nodes.map((node) => `  ${nodeText(topology, node)}`),
    plural(interfaces.length, 'network interface'),
    ...interfaces.map((each) => `  ${interfaceText(each)}`),
    ...plan.instances.flatMap((instance, index) => [
      '',
      ...instanceLines(instance, index, plan.instances.length),
    ]),
    ...(plan.notes.length === 0 ? [] : ['', 'Notes', ...plan.notes.map((note) => `  ${printable(note)}`)]),
    ...(hints.length === 0
      ? []
      : ['', 'To copy (swarmgate does not run these)', ...hints.map((line) => `  ${line}`)]),
    '',
  ].join('\n');
}

/** The plan for programs: lists of processors as the kernel writes them. */
export function planObject(topology: Topology, plan: Plan): object {
  return {
    arm: topology.isArm,
    nodes: topology.nodes.map(({ id, memoryBytes }) => {
      const own = topology.processors.filter(({ node }) => node === id);
      return {
        node: id,
        processors: cpuListText(own.map((each) => each.id)),
        cores: coreCount(own),
        memory_bytes: memoryBytes,
      };
    }),
    interfaces: topology.interfaces.map((each) => ({
      name: each.name,
      node: each.node,
      physical: each.physical,
      receive_queues: each.receiveQueues.length,
      transmit_queues: each.transmitQueues.length,
      up: each.up,
      lower: each.lower,
      port_of: each.portOf,
      interrupts: each.interrupts,
    })),
    instances: plan.instances.map((instance) => ({
      name: instance.name,
      node: instance.node,
      interfaces: instance.interfaces,
      rules: instance.share,
      cores: instance.cores,
      workers: instance.workers,
      queue_first: instance.queueFirst,
      queue_last: instance.queueFirst + instance.workers - 1,
      batch: instance.batch,
      mark_mask: markText(instance.markMask),
      data_processors: cpuListText(instance.dataProcessors),
      control_processors: cpuListText(instance.controlProcessors),
      memory_nodes: instance.memoryNodes,
    })),
    notes: plan.notes,
    hints: hintsOf(topology, plan),
  };
}
