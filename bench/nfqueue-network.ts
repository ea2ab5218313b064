/** The queue benchmark's network: left - router - right, one consumer in the router, and programs at the ends. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../lib/control/client.js';
import { MarkField, markAccept, markMaskDefault } from '../lib/firewall/marks.js';
import { Namespaces } from '../lib/io/nfqueue-testing.js';
import type { StatusReport } from '../lib/report/status.js';
import { program, repositoryPath } from '../lib/testing.js';
import { builtPath, type Consumer, queueNumber } from './nfqueue-consumers.js';

export const sinkHost = '10.9.2.2';
export const echoPort = 7;
/** The flows of the generator go to the first 1024 addresses of this network, all behind the right end. */
export const floodNetwork = { first: '10.64.0.0', prefix: 22 };
/** Short, so that the flows of one load are gone from conntrack when the next but one runs. */
const conntrackSeconds = 5;
const patienceMillis = 8000;
/** Clock ticks of /proc/PID/stat (USER_HZ), the same on every Linux. */
const ticksPerSecond = 100;

/** Compiles the yardstick and the generators; throws with the compiler's words. */
export function buildPrograms(): void {
  mkdirSync(builtPath('.'), { recursive: true });
  for (const name of ['accept-all', 'generate', 'echo']) {
    const source = repositoryPath('bench', 'native', `${name}.c`);
    const argv = ['-O2', '-std=gnu11', '-D_GNU_SOURCE', source, '-o', builtPath(name)];
    const { status, stderr } = spawnSync('cc', [...argv, '-lnetfilter_queue', '-lmnl'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`cc ${name}.c: ${stderr}`);
  }
}

/** The rules that the benchmark itself installs and removes. */
const haveOurs = ({ rules }: Consumer): boolean => rules === 'swarmgate' || rules === 'decided';

/** User and system time of a process, seconds. */
export type ProcessorTime = readonly [user: number, system: number];

export class BenchNetwork {
  readonly #net = new Namespaces();
  readonly #children = new Set<ChildProcess>();
  readonly #socket: string;
  /** What a sender of TCP can be told to use, and what it uses by itself. */
  readonly congestionControls: readonly string[];
  readonly congestionControl: string;
  #consumer: { what: Consumer; child: ChildProcess | null; answers: Interface | null } | null = null;

  /** @param socket path of the control socket of a consumer that is counted 'by-status' */
  constructor(socket: string) {
    this.#socket = socket;
    this.#net.addRouter();
    const { first, prefix } = floodNetwork;
    this.#net.run(
      'router',
      `ip route add ${first}/${prefix} via ${sinkHost}
      sysctl -qw net.netfilter.nf_conntrack_udp_timeout=${conntrackSeconds} || true`,
    );
    // As early as possible, so that the sink takes little of the time that is measured.
    this.#net.run('right', `iptables -t raw -A PREROUTING -p udp ! --dport ${echoPort} -j DROP`);
    // Large sends are cut before they reach the router, which then sees as many small packets.
    this.#net.run('left', 'ethtool -K wire tx-udp-segmentation off > /dev/null');
    // Without this, the first packets of a run are lost while the neighbour is asked for its address.
    this.#net.run('left', `ping -c 2 -i 0.2 -W 1 -q ${sinkHost}`);
    this.spawn('right', builtPath('echo'), ['serve', String(echoPort)]);
    const setting = (key: string): string => this.#net.run('left', `sysctl -n net.ipv4.tcp_${key}`).trim();
    this.congestionControls = setting('available_congestion_control').split(' ');
    this.congestionControl = setting('congestion_control');
  }

  /** At once, whatever runs. */
  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    this.#net.remove();
  }

  /** Starts a program in a namespace; it does not outlive the network. */
  spawn(
    which: string,
    command: string,
    args: readonly string[],
    output: 'ignore' | 'pipe' = 'ignore',
  ): ChildProcess {
    // `ip netns exec` becomes the program that it starts, so the pid is the program's.
    const argv = ['netns', 'exec', this.#net.name(which), command, ...args];
    const child = spawn('ip', argv, { stdio: ['ignore', output, 'pipe'] });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs a program in a namespace to its end; what it printed. */
  async output(which: string, command: string, args: readonly string[]): Promise<string> {
    const child = this.spawn(which, command, args, 'pipe');
    let printed = '';
    let complaint = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (printed += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`${command} ended with ${code}: ${complaint.trim() || printed.trim()}`);
    return printed;
  }

  async start(what: Consumer): Promise<void> {
    this.#consumer = { what, child: null, answers: null };
    if (what.rules === 'queue')
      this.#net.run('router', `iptables -A FORWARD -j NFQUEUE --queue-num ${queueNumber}`);
    else if (what.rules === 'conntrack')
      this.#net.run('router', 'iptables -A FORWARD -m conntrack --ctstate INVALID');
    else if (haveOurs(what))
      await this.#firewall('install', '--queue', `${queueNumber}`, '--queues', '1', '--enforce');
    if (what.rules === 'decided') {
      const field = new MarkField(markMaskDefault);
      const mark = `${field.text(markAccept)}/${field.maskText}`;
      this.#net.run('router', `iptables -t mangle -A PREROUTING -j CONNMARK --set-xmark ${mark}`);
    }
    if (what.command === null) return;
    const child = this.spawn('router', what.command, what.args, 'pipe');
    this.#consumer = { what, child, answers: createInterface(child.stdout!) };
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (said += text));
    const deadline = Date.now() + patienceMillis;
    while (!(what.rules === 'own' ? said.includes('ready:') : this.#isQueueBound())) {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error(`no queue was bound: ${said}`);
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    if (consumer === null) return;
    const { child, what } = consumer;
    if (child?.exitCode === null) {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), patienceMillis);
      await gone;
      clearTimeout(killer);
    }
    if (haveOurs(what)) await this.#firewall('remove');
    if (what.rules === 'decided') this.#net.run('router', 'iptables -t mangle -F PREROUTING');
    this.#net.run('router', 'iptables -F FORWARD');
  }

  async #firewall(...words: string[]): Promise<void> {
    await this.output('router', process.execPath, [program, 'firewall', ...words]);
  }

  #isQueueBound(): boolean {
    return this.#net.run('router', 'cat /proc/net/netfilter/nfnetlink_queue') !== '';
  }

  /** Packets that the consumer has seen; null if it cannot be asked. */
  async seen(): Promise<number | null> {
    const { what, child, answers } = this.#consumer!;
    if (what.counted === 'by-status') return (await this.status()).packets;
    if (what.counted === 'by-arrival' || child === null || answers === null) return null;
    const answer = once(answers, 'line', { signal: AbortSignal.timeout(patienceMillis) });
    child.kill('SIGUSR2');
    return Number(((await answer) as [string])[0]);
  }

  async status(): Promise<StatusReport> {
    return (await ask(this.#socket, 'status')) as StatusReport;
  }

  /** Packets that came to the right end once nothing moves any more. */
  async arrived(): Promise<number> {
    const count = (): number =>
      Number(this.#net.run('right', 'cat /sys/class/net/wire/statistics/rx_packets'));
    let now = count();
    for (let last = -1; now !== last; now = count()) {
      last = now;
      await sleep(100);
    }
    return now;
  }

  /** Segments that TCP put aside at either end because one before them was missing. */
  outOfOrder(): number {
    return ['left', 'right'].reduce((sum, end) => {
      const [names = '', values = ''] = this.#net
        .run(end, 'cat /proc/net/netstat')
        .split('\n')
        .filter((line) => line.startsWith('TcpExt:'));
      return sum + Number(values.split(' ')[names.split(' ').indexOf('TCPOFOQueue')]);
    }, 0);
  }

  /** Processor time of the consumer. */
  processorTime(): ProcessorTime {
    const pid = this.#consumer?.child?.pid;
    if (pid === undefined) return [0, 0];
    const stat = this.#net.run('router', `cat /proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [Number(fields[11]) / ticksPerSecond, Number(fields[12]) / ticksPerSecond];
  }

  /** A line of /proc/PID/status of the consumer, such as VmHWM, in bytes. */
  memory(line: 'VmHWM' | 'VmRSS'): number {
    const status = this.#net.run('router', `cat /proc/${this.#consumer!.child!.pid!}/status`);
    return Number(new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) * 1024;
  }
}
