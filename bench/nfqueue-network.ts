/** The queue benchmark's network: left - router - right, a consumer in the router, and the loads that run through it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Namespaces } from '../lib/io/nfqueue-testing.js';
import { repositoryPath } from '../lib/testing.js';
import { median } from './stopwatch.js';

export interface Consumer {
  readonly name: string;
  /** Started in the router's namespace; null measures the path without a queue. */
  readonly command: string | null;
  readonly args: readonly string[];
  /** It sets and removes the kernel's rules itself, and chooses its queues. */
  readonly ownRules?: boolean;
}

export interface Figures {
  /** Forwarded packets per second. */
  readonly perSecond?: number;
  /** The consumer's own processor time per forwarded packet. */
  readonly userMicros?: number;
  readonly systemMicros?: number;
  /** Share of the packets sent that did not arrive. */
  readonly lossPercent?: number;
  readonly roundTripMicros?: number;
  readonly gigabits?: number;
}

export const queueNumber = 3;
const sink = { host: '10.9.2.2', port: 9 };
/** Clock ticks of /proc/PID/stat (USER_HZ), the same on every Linux. */
const ticksPerSecond = 100;
const patienceMillis = 8000;

export function builtPath(name: string): string {
  return repositoryPath('dist', 'bench', 'native', name);
}

/** Compiles the yardstick and the generator; throws with the compiler's words. */
export function buildPrograms(): void {
  mkdirSync(builtPath('.'), { recursive: true });
  for (const name of ['accept-all', 'generate']) {
    const source = repositoryPath('bench', 'native', `${name}.c`);
    const argv = ['-O2', '-std=gnu11', '-D_GNU_SOURCE', source, '-o', builtPath(name)];
    const { status, stderr } = spawnSync('cc', [...argv, '-lnetfilter_queue', '-lmnl'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`cc ${name}.c: ${stderr}`);
  }
}

export class BenchNetwork {
  readonly #net = new Namespaces();
  #consumer: ChildProcess | null = null;

  constructor() {
    this.#net.addRouter();
    this.#net.run('right', 'iptables -A INPUT -p udp --dport 9 -j DROP');
    // Without this, the first packets of a run are lost while the neighbour is asked for its address.
    this.#net.run('left', `ping -c 2 -i 0.2 -W 1 -q ${sink.host}`);
  }

  remove(): void {
    this.#consumer?.kill('SIGKILL');
    this.#net.remove();
  }

  async start(consumer: Consumer): Promise<void> {
    if (consumer.command === null) return;
    if (!consumer.ownRules)
      this.#net.run('router', `iptables -A FORWARD -j NFQUEUE --queue-num ${queueNumber}`);
    const argv = ['netns', 'exec', this.#net.name('router'), consumer.command, ...consumer.args];
    this.#consumer = spawn('ip', argv, { stdio: ['ignore', 'ignore', 'inherit'] });
    const deadline = Date.now() + patienceMillis;
    while (this.#net.run('router', 'cat /proc/net/netfilter/nfnetlink_queue') === '') {
      if (Date.now() > deadline || this.#consumer.exitCode !== null) throw new Error('no queue was bound');
      await sleep(50);
    }
    // Let a compiler warm up on real packets before anything is timed.
    this.generate(20_000, 0.5, 64);
  }

  async stop(): Promise<void> {
    const consumer = this.#consumer;
    this.#consumer = null;
    if (consumer?.exitCode === null) {
      const gone = new Promise((resolve) => consumer.once('exit', resolve));
      consumer.kill('SIGTERM');
      const killer = setTimeout(() => consumer.kill('SIGKILL'), patienceMillis);
      await gone;
      clearTimeout(killer);
    }
    this.#net.run('router', 'iptables -F FORWARD');
  }

  /** Sends through the router and waits until no more arrives. A rate of 0 has no limit. */
  generate(rate: number, seconds: number, ports: number): Figures {
    const before = { arrived: this.#arrived(), ticks: this.#ticks() };
    const words = [builtPath('generate'), sink.host, sink.port, rate, seconds, 20, ports];
    const [sent, took] = this.#net.run('left', words.join(' ')).trim().split(' ').map(Number);
    const arrived = this.#settled() - before.arrived;
    const [user, system] = this.#ticks().map((value, i) => value - before.ticks[i]!);
    const micros = (ticks: number): number => ((ticks / ticksPerSecond) * 1e6) / arrived;
    return {
      perSecond: arrived / took!,
      lossPercent: Math.max(0, 100 * (1 - arrived / sent!)),
      userMicros: micros(user!),
      systemMicros: micros(system!),
    };
  }

  #arrived(): number {
    return Number(this.#net.run('right', 'cat /sys/class/net/wire/statistics/rx_packets'));
  }

  /** Packets that arrived once nothing moves any more. */
  #settled(): number {
    for (let last = -1, now = this.#arrived(); ; last = now, now = this.#arrived()) {
      if (now === last) return now;
      spawnSync('sleep', ['0.1']);
    }
  }

  /** User and system time of the consumer. `ip netns exec` becomes the program it starts, so the pid is the program's. */
  #ticks(): [number, number] {
    const pid = this.#consumer?.pid;
    if (pid === undefined) return [0, 0];
    const stat = this.#net.run('router', `cat /proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [Number(fields[11]), Number(fields[12])];
  }

  roundTrip(count: number): Figures {
    const printed = this.#net.run('left', `ping -i 0.003 -c ${count} ${sink.host}`);
    const micros = [...printed.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
    return { roundTripMicros: median(micros) };
  }

  async throughput(seconds: number): Promise<Figures> {
    const server = spawn('ip', ['netns', 'exec', this.#net.name('right'), 'iperf3', '-s', '-1'], {
      stdio: 'ignore',
    });
    const gone = new Promise((resolve) => server.once('exit', resolve));
    await sleep(300);
    try {
      const printed = this.#net.run('left', `timeout ${seconds + 5} iperf3 -c ${sink.host} -t ${seconds} -J`);
      const result = JSON.parse(printed) as { end: { sum_received: { bits_per_second: number } } };
      return { gigabits: result.end.sum_received.bits_per_second / 1e9 };
    } finally {
      server.kill();
      await gone;
    }
  }
}
