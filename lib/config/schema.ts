/**
 * The table of settings: the one place that says which settings there are, of which type, with which default, under
 * which flag, and whether a running Swarmgate can take a new value. Validation, flags, environment variables, the example
 * file and the JSON Schema are all made from it.
 */
import { kinds } from '../../detectors/detector.js';
import { detectors } from '../../detectors/index.js';
import { markMaskDefault } from '../firewall/marks.js';
import { flowsMaxHighest, flowsMaxLowest, inspectedPacketsMax } from '../limits.js';
import { listedName, protocolId } from './names.js';
import {
  directoryPath,
  filterExpression,
  infoHash,
  instanceName,
  interfaceName,
  interfacePair,
  listenAddress,
  listFile,
  macAddress,
  markMask,
  network,
  oneOf,
  orWord,
  outputPath,
  portRange,
  processorList,
  socketPath,
  switched,
  wholeNumber,
  type ValueType,
} from './values.js';

/** The commands that a configuration is for. */
export type Command = 'run' | 'monitor';

export interface Setting {
  /** "queue.copy_bytes": as in the file, sections and key joined by dots. */
  readonly path: string;
  readonly type: ValueType;
  /** True: the value is a list of such. */
  readonly list: boolean;
  /** In the form of Config. */
  readonly default: unknown;
  /** One or two sentences for the example file and the flag's help. */
  readonly doc: string;
  /** Without the dashes; null: file and environment only. */
  readonly flag: string | null;
  /** One letter that says the same as the flag. */
  readonly letter: string | null;
  /** Why a running Swarmgate cannot take a new value; null: it can. */
  readonly restart: string | null;
  /** The only command to which it means something; null: to all. */
  readonly command: Command | null;
}

interface Extra {
  readonly flag?: string;
  readonly letter?: string;
  readonly restart?: string;
  readonly command?: Command;
}

const setting = (path: string, type: ValueType, value: unknown, doc: string, extra: Extra = {}): Setting => ({
  path,
  type,
  list: false,
  default: value,
  doc,
  flag: extra.flag ?? null,
  letter: extra.letter ?? null,
  restart: extra.restart ?? null,
  command: extra.command ?? null,
});

const list = (path: string, type: ValueType, doc: string, extra: Extra = {}): Setting => ({
  ...setting(path, type, [], doc, extra),
  list: true,
});

const yesNo = switched(['true', 'false']);
const onOff = switched(['on', 'off']);
const action = oneOf('drop', 'reject');
const kindAction = oneOf('drop', 'reject', 'accept');

/** Why the data path's shape stays as it was at the start. */
const opensQueues = 'the queues are opened with it';
const fixedTable = 'the flow tables are built with it';
const opensCapture = 'the capture is opened with it';
const namesAll = 'rules, socket and state are named by it';

const general: readonly Setting[] = [
  setting(
    'mode',
    oneOf('monitor', 'enforce'),
    'monitor',
    'monitor reports BitTorrent and never blocks; enforce blocks it.',
    { flag: 'mode', command: 'run' },
  ),
  setting(
    'encrypted',
    oneOf('off', 'corroborated', 'shape'),
    'corroborated',
    'Encrypted peer connections: corroborated blocks them when other evidence about their hosts or addresses agrees; shape blocks by the shape of one connection alone, which also hits some obfuscated tunnels; off leaves them alone.',
    { flag: 'encrypted' },
  ),
  setting(
    'instance',
    instanceName,
    'default',
    'Name of this instance; rules and control socket are named by it, so that several can run on one machine.',
    { flag: 'instance', restart: namesAll },
  ),
  setting(
    'workers',
    orWord('auto', 'auto', wholeNumber(1, 256)),
    'auto',
    'Worker threads, each with its own queue or rings; auto is two per core, four on Arm. Only the large cores of a hybrid processor count, and only those that affinity.data names.',
    { flag: 'workers', restart: opensQueues },
  ),
  setting(
    'batch',
    wholeNumber(1, 256),
    64,
    'Packets taken from the kernel at once; a quarter of queue.length at the most.',
    {
      flag: 'batch',
      restart: opensQueues,
    },
  ),
  setting(
    'rules',
    oneOf('auto', 'nft', 'iptables', 'none'),
    'auto',
    "Which tool writes the kernel's rules; auto takes what this kernel can do, none leaves the rules to you.",
    {
      flag: 'rules',
      command: 'run',
      restart: 'the rules of one tool would have to hand over to the other',
    },
  ),
  setting(
    'mark_mask',
    markMask,
    markMaskDefault,
    "The bits of packet and connection marks that are Swarmgate's; three or more neighbouring bits that no other software uses.",
    { flag: 'mark-mask', command: 'run', restart: 'connections are marked with it' },
  ),
];

const queue: readonly Setting[] = [
  setting(
    'queue.first',
    wholeNumber(0, 65_535),
    9600,
    'Number of the first NFQUEUE queue; the workers use this one and those after it.',
    { flag: 'queue', command: 'run', restart: opensQueues },
  ),
  setting(
    'queue.length',
    wholeNumber(16, 1_048_576),
    4096,
    'Packets that the kernel holds per queue; what does not fit passes uninspected.',
    { flag: 'queue-length', command: 'run', restart: opensQueues },
  ),
  setting(
    'queue.copy_bytes',
    wholeNumber(128, 65_531, 'bytes'),
    512,
    'Bytes of each packet that the kernel copies to Swarmgate.',
    { flag: 'copy-bytes', command: 'run', restart: opensQueues },
  ),
  setting(
    'queue.receive_buffer_bytes',
    wholeNumber(64 * 1024, 1024 ** 3, 'bytes'),
    1536 * 1024,
    "Receive buffer of each queue's netlink socket. It is the shorter of the two queues, with at most 384 bytes per packet of queue.length that is not in a batch: only what it cannot take is counted.",
    { command: 'run', restart: opensQueues },
  ),
];

const traffic: readonly Setting[] = [
  setting('traffic.forwarded', yesNo, true, 'Inspect what is routed (or bridged) through this machine.', {
    flag: 'forwarded',
    command: 'run',
  }),
  setting('traffic.local', yesNo, false, 'Inspect what this machine itself sends and receives.', {
    flag: 'local',
    command: 'run',
  }),
  list(
    'traffic.interfaces',
    interfaceName,
    'Inspect only packets that come in or go out by one of these network interfaces; empty: all.',
    { flag: 'interface', command: 'run' },
  ),
  list(
    'traffic.pairs',
    interfacePair,
    'Inspect what goes between the two interfaces of such a pair, whatever interfaces and leave_interfaces say. For several instances on one machine (swarmgate numa).',
    { command: 'run' },
  ),
  list(
    'traffic.leave_interfaces',
    interfaceName,
    'Leave packets that come in or go out by one of these to other instances on this machine.',
    { command: 'run' },
  ),
];

const save = 'capture.save';

const capture: readonly Setting[] = [
  list('capture.interfaces', interfaceName, 'Watch these network interfaces.', {
    flag: 'interface',
    letter: 'i',
    restart: opensCapture,
    command: 'monitor',
  }),
  setting(
    'capture.source',
    oneOf('auto', 'ring', 'cap'),
    'auto',
    "How packets are captured: ring is a ring shared with the kernel (TPACKET_V3), cap is libpcap through npm's cap; auto takes the ring where there is one.",
    { flag: 'source', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    'capture.filter',
    filterExpression,
    '',
    'Capture only what this expression of pcap-filter(7) lets through; the kernel leaves the rest alone.',
    { flag: 'filter', letter: 'f', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    'capture.snap_bytes',
    wholeNumber(64, 262_144, 'bytes'),
    2048,
    'Bytes of each packet that are captured, from its link layer on.',
    { flag: 'snap-bytes', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    'capture.promiscuous',
    yesNo,
    true,
    'Also capture packets for other stations, which is what a mirror port carries.',
    { flag: 'promiscuous', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    'capture.ring_bytes',
    wholeNumber(1024 * 1024, 4 * 1024 ** 3, 'bytes'),
    64 * 1024 * 1024,
    'Memory of all rings between captures and workers together; what finds its ring full is skipped and counted.',
    { flag: 'ring-bytes', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    'capture.kernel_bytes',
    wholeNumber(1024 * 1024, 1024 ** 3, 'bytes'),
    16 * 1024 * 1024,
    "Memory of the ring that the kernel fills, for each interface; cap's buffer always has 64 MiB.",
    { restart: opensCapture, command: 'monitor' },
  ),
  setting(
    `${save}.directory`,
    orWord('off', null, directoryPath),
    null,
    'Write the packets of detected flows, from the deciding one on, to capture files in this directory.',
    { flag: 'save-detected', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    `${save}.file_bytes`,
    wholeNumber(64 * 1024, 1024 ** 4, 'bytes'),
    64 * 1024 * 1024,
    'Size at which the next file is begun.',
    { flag: 'save-file-bytes', restart: opensCapture, command: 'monitor' },
  ),
  setting(
    `${save}.files`,
    wholeNumber(1, 10_000),
    16,
    'Files of this instance that are kept; the oldest is removed for a new one.',
    { flag: 'save-files', restart: opensCapture, command: 'monitor' },
  ),
];

const affinity: readonly Setting[] = [
  setting(
    'affinity.data',
    orWord('any', null, processorList),
    null,
    'Processors that the workers may run on. Each may use the whole list; the kernel spreads them.',
    { restart: 'the number of queues goes by it' },
  ),
  setting(
    'affinity.control',
    orWord('any', null, processorList),
    null,
    'Processors of the main thread, which answers status, writes logs and watches the rules.',
    { restart: 'threads take it over when they start' },
  ),
];

const actions: readonly Setting[] = [
  setting(
    'action.default',
    action,
    'reject',
    'What enforce does with BitTorrent: reject tells each end as soon as it sends something, drop leaves them waiting.',
    { flag: 'action', command: 'run' },
  ),
  ...kinds.map((kind) =>
    setting(
      `action.kinds.${kind}`,
      orWord('default', null, kindAction),
      null,
      `What enforce does with ${kind} flows.`,
    ),
  ),
];

const allow: readonly Setting[] = [
  list('allow.networks', network, 'Networks (or addresses) never inspected, at either end of a flow.', {
    flag: 'allow-network',
  }),
  list('allow.ports', portRange, 'Ports and ranges of ports never inspected, at either end of a flow.', {
    flag: 'allow-port',
  }),
  list('allow.interfaces', interfaceName, 'Network interfaces never inspected, in or out.'),
  list('allow.macs', macAddress, 'Hardware addresses of senders that are never inspected.'),
  list('allow.info_hashes', infoHash, 'Torrents that are reported and never blocked.'),
];

const names: readonly Setting[] = [
  list(
    'names.block',
    listedName,
    'Host names that count as BitTorrent wherever they are asked for: in DNS, and in the hello of TLS, QUIC and plain HTTP.',
    { flag: 'block-name' },
  ),
  list(
    'names.files',
    listFile,
    'Files with such names, one a line, # begins a comment; a reload reads them again.',
    { flag: 'block-names-file' },
  ),
  list(
    'names.alpn',
    protocolId,
    'Protocols that count as BitTorrent where a TLS or QUIC client offers them.',
    {
      flag: 'block-alpn',
    },
  ),
];

const switches: readonly Setting[] = detectors.map(({ name, summary }) =>
  setting(`detectors.${name}`, onOff, true, summary, { restart: 'the workers are built with them' }),
);

const inspectedMost = 2 * inspectedPacketsMax;

const rest: readonly Setting[] = [
  setting(
    'limits.flows',
    wholeNumber(flowsMaxLowest, flowsMaxHighest),
    262_144,
    'Flows tracked at once, over all workers; about 280 bytes each.',
    { restart: fixedTable },
  ),
  setting(
    'limits.inspected_packets',
    wholeNumber(1, inspectedMost),
    32,
    'Payload packets of both sides after which a flow that nothing recognised is let go.',
  ),
  setting(
    'limits.inspected_packets_clear',
    wholeNumber(1, inspectedMost),
    8,
    'The same for a flow that was recognised as another protocol.',
  ),
  setting(
    'control.socket',
    orWord('auto', null, socketPath),
    null,
    'Unix socket for status and control; auto is /run/swarmgate/INSTANCE.sock.',
    { flag: 'socket', restart: 'those who are connected to it would lose it' },
  ),
  setting(
    'metrics.listen',
    orWord('off', null, listenAddress),
    null,
    'Address and port where Prometheus finds metrics. Whoever reaches it can read them.',
    { flag: 'metrics' },
  ),
  setting('eve.file', orWord('off', null, outputPath), null, 'File that EVE JSON records are appended to.', {
    flag: 'eve',
  }),
  setting(
    'eve.suspects',
    yesNo,
    false,
    'Also a record of each flow that passed in doubt: something spoke for BitTorrent or nearly did, but not enough.',
  ),
  setting(
    'eve.per_second',
    wholeNumber(1, 1_000_000),
    1000,
    'Records per second at the most, so that nobody who makes flows without end fills the disk; what is more is counted.',
  ),
  setting('log.level', oneOf('error', 'warn', 'info', 'debug'), 'info', 'How much the program itself logs.', {
    flag: 'log-level',
    restart: 'the log was opened with it',
  }),
];

export const settings: readonly Setting[] = [
  ...general,
  ...queue,
  ...traffic,
  ...capture,
  ...affinity,
  ...actions,
  ...allow,
  ...names,
  ...switches,
  ...rest,
];

export const settingAt: ReadonlyMap<string, Setting> = new Map(settings.map((entry) => [entry.path, entry]));

/** One sentence about each section, for the example file. */
export const sections: ReadonlyMap<string, string> = new Map([
  ['queue', "The kernel's packet queues (NFQUEUE)."],
  ['traffic', 'Which traffic is inspected.'],
  ['capture', 'What swarmgate monitor watches, and how. It captures copies and can block nothing.'],
  ['capture.save', 'Files with the packets of detected flows. They take file_bytes times files at the most.'],
  ['affinity', 'On which processors the threads run (as swarmgate numa plans them).'],
  ['action', 'What happens to BitTorrent in mode enforce.'],
  ['action.kinds', 'Other actions for single kinds of BitTorrent traffic: accept lets it pass.'],
  ['allow', 'What Swarmgate leaves alone. Connections inside these are never looked at.'],
  [
    'names',
    'Names that you know to be trackers: Swarmgate cannot look into HTTPS. Nothing is listed unless you list it.',
  ],
  ['detectors', 'Detectors can be switched off one by one (swarmgate detectors describes them).'],
  ['limits', 'Bounds on memory and on the time spent on one flow.'],
  ['control', 'How the commands status, top and explain --live reach the running Swarmgate.'],
  ['metrics', 'Prometheus metrics.'],
  ['eve', 'Records of found flows in the EVE format of Suricata.'],
  ['log', 'The log on standard error.'],
]);

/** "SWARMGATE_QUEUE_COPY_BYTES" */
export function environmentName(path: string): string {
  return `SWARMGATE_${path.replace(/[.-]/g, '_').toUpperCase()}`;
}
