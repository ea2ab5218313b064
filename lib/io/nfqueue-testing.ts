/** What the kernel tests share: network namespaces that are removed whatever happens, and the child inside them. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { nativeProblem } from '../native/index.js';
import type { ChildPlan, ChildReport } from './nfqueue-child.js';

const stepTimeoutMillis = 15_000;

function succeeds(command: string, ...argv: string[]): boolean {
  return spawnSync(command, argv, { timeout: stepTimeoutMillis }).status === 0;
}

/** Why the kernel cannot be tested here, or false. */
export function whyNoKernel(): string | false {
  const problem = nativeProblem();
  if (problem !== null) return problem;
  if (process.getuid?.() !== 0) return 'needs root for network namespaces';
  const probe = new Namespaces();
  try {
    probe.add('probe');
    probe.run('probe', 'iptables -A OUTPUT -p udp -j NFQUEUE --queue-num 1 --queue-bypass');
    return false;
  } catch (error) {
    return `no network namespaces with iptables NFQUEUE here: ${String(error)}`;
  } finally {
    probe.remove();
  }
}

let created = 0;

/** Namespaces with names of this process alone. */
export class Namespaces {
  readonly #prefix = `swq${process.pid}x${created++}`;
  readonly #names: string[] = [];
  readonly #children: Child[] = [];

  name(which: string): string {
    return `${this.#prefix}${which}`;
  }

  add(...which: string[]): void {
    for (const one of which) {
      const { status, stderr } = spawnSync('ip', ['netns', 'add', this.name(one)], { encoding: 'utf8' });
      assert.equal(status, 0, `ip netns add: ${stderr}`);
      this.#names.push(one);
      this.run(one, 'ip link set lo up');
    }
  }

  /** Runs shell commands inside; throws with their words if one fails. Returns what they printed. */
  run(which: string, script: string): string {
    const argv = ['netns', 'exec', this.name(which), 'bash', '-ec', script];
    const { status, stdout, stderr } = spawnSync('ip', argv, {
      encoding: 'utf8',
      timeout: stepTimeoutMillis,
    });
    assert.equal(status, 0, `${script}: ${stderr}`);
    return stdout;
  }

  /** left - router - right, 10.9.1.0/24 and 10.9.2.0/24, the router being `.1` in both. */
  addRouter(): void {
    this.add('left', 'router', 'right');
    for (const [side, net] of [
      ['left', '10.9.1'],
      ['right', '10.9.2'],
    ] as const) {
      this.run('router', `ip link add ${side} type veth peer name wire netns ${this.name(side)}`);
      this.run('router', `ip addr add ${net}.1/24 dev ${side}; ip link set ${side} up`);
      this.run(
        side,
        `ip addr add ${net}.2/24 dev wire; ip link set wire up; ip route add default via ${net}.1`,
      );
    }
    this.run('router', 'sysctl -qw net.ipv4.ip_forward=1');
  }

  interfaceIndex(which: string, device: string): number {
    return Number(this.run(which, `cat /sys/class/net/${device}/ifindex`));
  }

  /** Packets counted by the rules whose listing contains `text`. */
  counted(which: string, text: string): number {
    const rules = this.run(which, 'iptables-save -c; ip6tables-save -c').split('\n');
    const counts = rules
      .filter((rule) => rule.includes(text))
      .map((rule) => Number(/^\[(\d+):/.exec(rule)?.[1] ?? 0));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Starts the child and waits until its queue is open. */
  async start(which: string, plan: ChildPlan, prefix: readonly string[] = []): Promise<Child> {
    const child = new Child(this.name(which), plan, prefix);
    this.#children.push(child);
    await child.next();
    return child;
  }

  remove(): void {
    for (const child of this.#children) child.kill();
    for (const one of this.#names.splice(0)) succeeds('ip', 'netns', 'del', this.name(one));
  }
}

interface Line extends Partial<ChildReport> {
  readonly error?: { code: string; message: string };
  readonly holding?: number;
}

export class Child {
  readonly #process;
  readonly #lines;
  /** Every line so far. */
  readonly said: Line[] = [];

  constructor(namespace: string, plan: ChildPlan, prefix: readonly string[]) {
    const program = fileURLToPath(new URL('nfqueue-child.js', import.meta.url));
    const argv = ['netns', 'exec', namespace, ...prefix, process.execPath, '--expose-gc', program];
    this.#process = spawn('ip', [...argv, JSON.stringify(plan)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 2 * stepTimeoutMillis,
    });
    this.#lines = createInterface(this.#process.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#process.pid!;
  }

  /** The child's next line. */
  async next(): Promise<Line> {
    const next = (await this.#lines.next()) as IteratorResult<string, undefined>;
    assert.ok(next.value !== undefined, 'the child ended without a word');
    const line = JSON.parse(next.value) as Line;
    this.said.push(line);
    return line;
  }

  /** Lets a child that waits begin. */
  go(): void {
    this.#process.stdin.write('go');
  }

  /** Ends the child's input and returns its report. */
  async finish(): Promise<ChildReport> {
    this.#process.stdin.end();
    const line = await this.next();
    assert.equal(line.error, undefined);
    if (this.#process.exitCode === null) await once(this.#process, 'exit');
    return line as ChildReport;
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }
}

/** Shell words that send `count` UDP packets of `bytes` payload bytes to a port. */
export function udp(host: string, port: number, count: number, bytes = 20): string {
  const script = `
    const socket = require('node:dgram').createSocket('${host.includes(':') ? 'udp6' : 'udp4'}');
    let left = ${count};
    const payload = Buffer.alloc(${bytes});
    const more = () => left-- > 0 ? socket.send(payload, ${port}, '${host}', more) : socket.close();
    more();`;
  return `${process.execPath} -e "${script.replaceAll('\n', ' ')}"`;
}
