/** What a machine needs for the inline filter, one function per question. Nothing here changes anything. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { dirname } from 'node:path';
import type { Config } from '../lib/config/config.js';
import { workerCount } from '../lib/config/load.js';
import { readTracking } from '../lib/control/tracking.js';
import { fullText, isNearlyFull, roomFor } from '../lib/report/tracking.js';
import { checkCapture } from './doctor-capture.js';
import { failure, fine, warning, type Finding, type Machine } from './doctor-machine.js';

/** Looks at everything that does not depend on other parts of the program. */
export async function checkMachine(machine: Machine, config: Config): Promise<Finding[]> {
  return [
    checkNode(machine),
    checkCapability(machine),
    ...(await checkTools(machine, config)),
    checkKernelQueue(machine),
    checkConntrack(machine),
    ...(config.traffic.forwarded ? [...checkForwarding(machine), ...checkBridges(machine)] : []),
    ...checkPorts(machine, config),
    ...checkQueues(machine, config),
    ...checkInterfaces(machine, config),
    ...(await checkCapture(machine, config)),
    checkFolder(machine, 'control-folder', 'control.socket', config.control.socket),
    ...checkEve(machine, config),
    ...(await checkMetrics(machine, config)),
    checkMemory(machine, config),
  ];
}

function checkNode({ nodeVersion }: Machine): Finding {
  const [major = 0, minor = 0] = nodeVersion.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return fine('node', `Node ${nodeVersion}`);
  return failure(
    'node',
    `Node ${nodeVersion} is too old, 20.19 or newer is needed`,
    'apt-get install nodejs',
  );
}

/** Number of CAP_NET_ADMIN (capability.h). */
const capNetAdmin = 12n;

function checkCapability(machine: Machine): Finding {
  const digits = /^CapEff:\s*([0-9a-f]+)$/m.exec(machine.read('/proc/self/status') ?? '')?.[1] ?? '0';
  if (((BigInt(`0x${digits}`) >> capNetAdmin) & 1n) === 1n)
    return fine('permission', 'CAP_NET_ADMIN is there: queues and rules are permitted');
  return failure(
    'permission',
    'CAP_NET_ADMIN is missing: neither queues nor rules are permitted',
    'sudo swarmgate doctor',
  );
}

const tools = [
  { name: 'nft', args: ['--version'], install: 'apt-get install nftables' },
  { name: 'iptables', args: ['--version'], install: 'apt-get install iptables' },
  { name: 'ip6tables', args: ['--version'], install: 'apt-get install iptables' },
  { name: 'ip', args: ['-Version'], install: 'apt-get install iproute2' },
] as const;

async function checkTools(machine: Machine, { rules }: Config): Promise<Finding[]> {
  const versions = new Map<string, string | null>();
  for (const { name, args } of tools) versions.set(name, await machine.run(name, args));
  const has = (name: string): boolean => versions.get(name) !== null;
  const needed: Readonly<Record<Config['rules'], boolean>> = {
    auto: has('nft') || (has('iptables') && has('ip6tables')),
    nft: has('nft'),
    iptables: has('iptables') && has('ip6tables'),
    none: true,
  };
  const findings = tools.map(({ name, install }) => {
    const version = versions.get(name);
    if (typeof version === 'string') return fine(`tool-${name}`, version.trim().split('\n')[0]!);
    const isSpare = name.endsWith('tables') && rules !== 'iptables' && (rules === 'nft' || has('nft'));
    return isSpare
      ? fine(`tool-${name}`, `${name} is not installed; only where nft has no queue it is needed`)
      : warning(`tool-${name}`, `${name} is not installed`, install);
  });
  if (needed[rules]) return findings;
  const package_ = rules === 'iptables' ? 'iptables' : 'nftables';
  const message = `rules: ${rules} has no tool to write the kernel's rules with`;
  return [...findings, failure('tools', message, `apt-get install ${package_}`)];
}

const queueFile = '/proc/net/netfilter/nfnetlink_queue';

function checkKernelQueue(machine: Machine): Finding {
  if (!machine.exists(queueFile)) machine.wakeQueue();
  if (machine.exists(queueFile)) return fine('kernel-queue', 'the kernel has NFQUEUE (nfnetlink_queue)');
  return failure(
    'kernel-queue',
    'the kernel offers no NFQUEUE: nfnetlink_queue is not there',
    'modprobe nfnetlink_queue',
  );
}

function checkConntrack(machine: Machine): Finding {
  const tracking = readTracking((path) => machine.read(path));
  // Whether the rules can have it is asked with the rules.
  if (tracking === null)
    return fine('conntrack', 'connection tracking is not loaded yet: the kernel loads it with the rules');
  if (isNearlyFull(tracking)) return warning('conntrack', fullText(tracking), roomFor(tracking));
  const { entries, entries_max } = tracking;
  return fine('conntrack', `connection tracking: ${entries} of ${entries_max} in use`);
}

function checkForwarding(machine: Machine): Finding[] {
  const switches = [
    { name: 'IPv4', path: 'net/ipv4/ip_forward', key: 'net.ipv4.ip_forward' },
    { name: 'IPv6', path: 'net/ipv6/conf/all/forwarding', key: 'net.ipv6.conf.all.forwarding' },
  ];
  return switches.flatMap(({ name, path, key }) => {
    const value = machine.read(`/proc/sys/${path}`)?.trim();
    if (value === undefined) return [];
    const code = `forwarding-${name.toLowerCase()}`;
    if (value !== '0') return [fine(code, `${name} is routed by this machine`)];
    const message = `traffic.forwarded is on, and this machine does not route ${name} (bridged traffic is another matter)`;
    return [warning(code, message, `sysctl -w ${key}=1`)];
  });
}

/** With br_netfilter the rules see a packet come in and go out by the bridge itself (linux: br_netfilter_hooks.c). */
function checkPorts(machine: Machine, { traffic, allow }: Config): Finding[] {
  const named = [
    ...traffic.interfaces,
    ...traffic.leaveInterfaces,
    ...traffic.pairs.flat(),
    ...allow.interfaces,
  ];
  return [...new Set(named)]
    .filter((name) => machine.exists(`/sys/class/net/${name}/brport`))
    .map((name) =>
      warning(
        'bridge-port',
        `${name} is a port of a bridge: packets are seen by the name of the bridge, so that no packet is by this one`,
        null,
      ),
    );
}

function checkBridges(machine: Machine): Finding[] {
  const bridges = machine
    .list('/sys/class/net')
    .filter((name) => machine.exists(`/sys/class/net/${name}/bridge`));
  if (bridges.length === 0) return [];
  const names = bridges.join(', ');
  const folder = '/proc/sys/net/bridge';
  const off = ['bridge-nf-call-iptables', 'bridge-nf-call-ip6tables'].filter(
    (name) => machine.read(`${folder}/${name}`)?.trim() !== '1',
  );
  if (off.length === 0) return [fine('bridge', `what the bridges (${names}) carry passes the rules too`)];
  const load = machine.exists(folder) ? '' : 'modprobe br_netfilter && ';
  const set = off.map((name) => `net.bridge.${name}=1`).join(' ');
  const message = `what the bridges (${names}) carry from port to port does not pass the rules; that is right unless this machine is to filter as a bridge`;
  return [warning('bridge', message, `${load}sysctl -w ${set}`)];
}

/** Queue number and the netlink port that holds it (usually the process id). */
function queuesInUse(machine: Machine): Map<number, number> {
  const rows = (machine.read(queueFile) ?? '')
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number));
  return new Map(rows.filter((row) => row.length >= 2).map(([queue, port]) => [queue!, port!]));
}

function checkQueues(machine: Machine, config: Config): Finding[] {
  const used = queuesInUse(machine);
  const count = workerCount(config, machine.processors);
  const wanted = Array.from({ length: count }, (_, i) => config.queue.first + i);
  const taken = wanted.filter((queue) => used.has(queue));
  const range = `${wanted[0]!} to ${wanted.at(-1)!}`;
  if (taken.length === 0) return [fine('queues', `queues ${range} are free`)];
  const port = used.get(taken[0]!)!;
  const holder = machine.read(`/proc/${port}/comm`)?.trim();
  const named = `queue ${taken.join(', ')} of ${range} is held by ${holder ?? 'netlink port'} ${port}`;
  const running = machine.holder(config.instance);
  if (running !== null) {
    const who = `this instance runs already, as process ${running}`;
    return [warning('queues', `${named}; ${who}`, null)];
  }
  const free = firstFree(used, count);
  const mend = free === null ? null : `set queue.first: ${free} in the configuration`;
  return [failure('queues', named, mend)];
}

/** The lowest `count` queues in a row that nobody holds, from our default on. */
function firstFree(used: ReadonlyMap<number, number>, count: number): number | null {
  for (let first = 9600; first + count <= 65_536; first++) {
    let length = 0;
    while (length < count && !used.has(first + length)) length++;
    if (length === count) return first;
    first += length;
  }
  return null;
}

function checkInterfaces(machine: Machine, { traffic, allow }: Config): Finding[] {
  const named = [...new Set([...traffic.interfaces, ...allow.interfaces])];
  return named
    .filter((name) => !machine.exists(`/sys/class/net/${name}`))
    .map((name) =>
      warning('interface', `the interface ${name} of the configuration is not there`, 'ip link'),
    );
}

function checkFolder(machine: Machine, code: string, path: string, file: string): Finding {
  const folder = dirname(file);
  const mend = `install -d -m 0750 ${folder}`;
  if (!machine.exists(folder)) {
    const parent = dirname(folder);
    // The service makes its folder below /run by itself, and so does root.
    if (machine.writable(parent) && parent === '/run') return fine(code, `${path}: ${folder} will be made`);
    return failure(code, `${path}: the folder ${folder} is not there`, mend);
  }
  if (!machine.writable(folder))
    return failure(code, `${path}: no permission to write in ${folder}`, 'sudo swarmgate doctor');
  return fine(code, `${path}: ${folder} is writable`);
}

function checkEve(machine: Machine, { eve: { file } }: Config): Finding[] {
  if (file === null || file === '-') return [];
  if (machine.exists(`${file}/.`)) {
    const mend = `set eve.file: ${file.replace(/\/+$/, '')}/eve.json in the configuration`;
    return [failure('eve-file', `eve.file: ${file} is a folder`, mend)];
  }
  return [checkFolder(machine, 'eve-folder', 'eve.file', file)];
}

/** An address that comes later is waited for; one that never comes means no metrics. */
async function checkMetrics(machine: Machine, { metrics: { listen } }: Config): Promise<Finding[]> {
  if (listen === null) return [];
  const address = listen.slice(0, listen.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  if (isIP(address) === 0 || ['0.0.0.0', '::'].includes(address) || address.startsWith('127.')) return [];
  const listing = await machine.run('ip', ['-o', 'address', 'show']);
  if (listing === null) return [];
  const own = [...listing.matchAll(/ inet6? ([0-9a-f.:]+)/g)].map(([, each]) => each!);
  const sameAddress = new BlockList();
  sameAddress.addAddress(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  if (own.some((each) => isIP(each) !== 0 && sameAddress.check(each, isIPv6(each) ? 'ipv6' : 'ipv4')))
    return [fine('metrics', `metrics.listen: ${address} is an address of this machine`)];
  const message = `metrics.listen: no interface has the address ${address} now, so there are no metrics until one has it`;
  return [warning('metrics', message, 'ip address')];
}

const mebibyte = 1024 * 1024;
/** Bytes per flow row with its share of evidence, per worker (thread, openings, queue), and of the process itself. */
const flowBytes = 250;
const workerBytes = 48 * mebibyte;
const processBytes = 64 * mebibyte;

function checkMemory(machine: Machine, config: Config): Finding {
  const workers = workerCount(config, machine.processors);
  const most =
    processBytes +
    config.limits.flows * flowBytes +
    workers * (workerBytes + config.queue.receiveBufferBytes);
  const text = `up to about ${Math.ceil(most / mebibyte)} MiB of memory for ${workers} workers`;
  const available = /^MemAvailable:\s*(\d+) kB$/m.exec(machine.read('/proc/meminfo') ?? '')?.[1];
  if (available === undefined || most < Number(available) * 1024) return fine('memory', text);
  const message = `${text}, and ${Math.floor(Number(available) / 1024)} MiB are available`;
  return warning('memory', message, `set workers: ${Math.max(1, workers >> 1)} in the configuration`);
}
