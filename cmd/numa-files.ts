/**
 * The files of a plan: a configuration for each instance, systemd's drop-in that binds it to its node, and the table that
 * deploy/numa/launch.sh reads. Each begins with a digest of itself, so that an edited one is known.
 */
import { createHash } from 'node:crypto';
import { basename, dirname, extname, join } from 'node:path';
import type { Config } from '../lib/config/config.js';
import { differingFile } from '../lib/config/render.js';
import { parseListen } from '../lib/config/values.js';
import { cpuListText } from '../lib/numa/cpu-list.js';
import type { InstancePlan, Plan } from '../lib/numa/plan.js';

export interface PlannedFile {
  /** As on the machine, without the root that it is written under. */
  readonly path: string;
  readonly text: string;
}

export const configurationFolder = '/etc/swarmgate';
export const unitFolder = '/etc/systemd/system';
/** Which instances there are; also how a later install or remove knows what it wrote. */
export const tableFile = `${configurationFolder}/instances`;

const stampPattern = /^# Made by "swarmgate numa install" \(([0-9a-f]{16})\)[^\n]*\n/;
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

function stamped(body: string): string {
  return `# Made by "swarmgate numa install" (${digestOf(body)}). It replaces this file while nobody has edited it.\n${body}`;
}

/** True if the text was made here, and maybe edited since. */
export const isMade = (text: string): boolean => stampPattern.test(text);

/** True if the text is as it was made. */
export function isUntouched(text: string): boolean {
  const stamp = stampPattern.exec(text);
  return stamp !== null && digestOf(text.slice(stamp[0].length)) === stamp[1];
}

export const configurationPath = (name: string): string => `${configurationFolder}/${name}.yaml`;
export const dropInPath = (name: string): string => `${unitFolder}/swarmgate@${name}.service.d/numa.conf`;

/** All files of a plan. @param base what all instances have in common: mode, actions, lists */
export function filesOf(plan: Plan, base: Config): PlannedFile[] {
  return [
    ...plan.instances.flatMap((instance, index) => [
      {
        path: configurationPath(instance.name),
        text: stamped(differingFile(configOf(instance, base, index))),
      },
      { path: dropInPath(instance.name), text: stamped(dropIn(instance)) },
    ]),
    { path: tableFile, text: stamped(tableText(plan)) },
  ];
}

/** The base with what must be the instance's own. */
export function configOf(instance: InstancePlan, base: Config, index: number): Config {
  const { name, share } = instance;
  return {
    ...base,
    instance: name,
    workers: instance.workers,
    batch: instance.batch,
    markMask: instance.markMask,
    queue: { ...base.queue, first: instance.queueFirst },
    traffic: {
      ...base.traffic,
      interfaces: share.interfaces,
      pairs: share.pairs,
      leaveInterfaces: share.leave,
    },
    affinity: { data: instance.dataProcessors, control: instance.controlProcessors },
    control: { socket: join(dirname(base.control.socket), `${name}.sock`) },
    metrics: { listen: nextAddress(base.metrics.listen, index) },
    eve: { ...base.eve, file: ownFile(base.eve.file, name) },
  };
}

/** "127.0.0.1:9469" and 1: "127.0.0.1:9470"; where there is no port above, one below. */
function nextAddress(listen: string | null, index: number): string | null {
  const parsed = listen === null ? null : parseListen(listen);
  if (listen === null || parsed === null) return null;
  const port = parsed.port + index > 65_535 ? parsed.port - index : parsed.port + index;
  return `${listen.slice(0, listen.lastIndexOf(':'))}:${port}`;
}

/** "/var/log/swarmgate/eve.json": "/var/log/swarmgate/eve-node0.json". */
function ownFile(file: string | null, name: string): string | null {
  if (file === null || file === '-') return file;
  const kind = extname(file);
  return join(dirname(file), `${basename(file, kind)}-${name}${kind}`);
}

/** All processors that any of its threads uses, and its memory. */
function allProcessors({ dataProcessors, controlProcessors }: InstancePlan): string {
  return cpuListText([...dataProcessors, ...controlProcessors]);
}

/** systemd.exec(5): CPUAffinity=, NUMAPolicy=, NUMAMask= (systemd 243). */
function dropIn(instance: InstancePlan): string {
  const { memoryNodes, dataProcessors, controlProcessors } = instance;
  const memory = memoryNodes.length === 0 ? [] : ['NUMAPolicy=bind', `NUMAMask=${cpuListText(memoryNodes)}`];
  const data = cpuListText(dataProcessors);
  const control = cpuListText(controlProcessors);
  const which = data === control ? `processors ${data}` : `processors ${data}, main thread ${control}`;
  return [
    `# Instance of node ${instance.node}: ${which}.`,
    '[Service]',
    `CPUAffinity=${allProcessors(instance)}`,
    ...memory,
    '',
  ].join('\n');
}

/** Name, processors, memory nodes ("-": not bound). */
function tableText({ instances }: Plan): string {
  const rows = instances.map((instance) => {
    const memory = instance.memoryNodes.length === 0 ? '-' : cpuListText(instance.memoryNodes);
    return `${instance.name} ${allProcessors(instance)} ${memory}`;
  });
  return ['# For deploy/numa/launch.sh: instance, its processors, its memory nodes.', ...rows, ''].join('\n');
}

/** Names of the instances in such a table; what is no name is passed over. */
export function namesIn(table: string): string[] {
  return [...table.matchAll(/^(node\d{1,4}) /gm)].map((match) => match[1]!);
}
