/**
 * Three network namespaces that stand for a customer, the filtering router and the Internet:
 *
 *     client 100.64.1.2 ── lan0 [router] wan0 ── server 198.18.N.1 (N = 1 to 99)
 *     2001:db8:1::2                               2001:db8:100:N::1
 *
 * Promise: nothing is attached to this machine's own network, names carry the pid of the test, and leaving the lab
 * (also by an error or a signal) ends what runs in it and removes it. What a killed run left is removed by the next.
 * The server has one address per /24 because DHT nodes refuse several neighbours of one network.
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { atProcessEnd, Running, slowness, until, type StartOptions } from './process.js';

export type Host = 'client' | 'router' | 'server';
const hosts: readonly Host[] = ['client', 'router', 'server'];
const prefix = 'sge2e';

export const clientV4 = '100.64.1.2';
export const clientV6 = '2001:db8:1::2';
/** Addresses of the server, N from 1 to 99. */
export const serverV4 = (n: number): string => `198.18.${n}.1`;
export const serverV6 = (n: number): string => `2001:db8:100:${n}::1`;
export const serverAddresses = 99;

function ip(words: readonly string[], input?: string): string {
  return execFileSync('ip', words, {
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 20_000 * slowness,
    ...(input === undefined ? {} : { input }),
  });
}

function namespaces(): string[] {
  return ip(['netns', 'list'])
    .split('\n')
    .map((line) => line.split(' ')[0]!)
    .filter((name) => name.startsWith(`${prefix}-`));
}

/** Ends what is left in a namespace of ours and removes it. */
function removeNamespace(name: string): void {
  try {
    for (const pid of ip(['netns', 'pids', name]).split('\n').filter(Boolean)) killQuietly(Number(pid));
    ip(['netns', 'del', name]);
  } catch {
    // Somebody else removed it first, which is what we want.
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Removes what runs left behind whose process is gone. */
export function removeLeftovers(): void {
  const dead = (name: string): boolean => !existsSync(`/proc/${name.split('-')[1] ?? ''}`);
  for (const name of namespaces().filter(dead)) removeNamespace(name);
  for (const name of readdirSync(tmpdir()).filter((each) => each.startsWith(`${prefix}-`) && dead(each)))
    rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

let labNumber = 0;

export class Lab {
  readonly folder: string;
  readonly #name: string;
  readonly #running: Running[] = [];
  #forget = (): void => undefined;

  private constructor() {
    this.#name = `${prefix}-${process.pid}-${labNumber++}`;
    this.folder = mkdtempSync(join(tmpdir(), `${this.#name}-`));
    execFileSync('chmod', ['755', this.folder]);
  }

  static async create(): Promise<Lab> {
    removeLeftovers();
    const lab = new Lab();
    lab.#forget = atProcessEnd(() => {
      lab.removeNow();
    });
    try {
      lab.#build();
      await lab.#settled();
    } catch (error) {
      await lab.close();
      throw error;
    }
    return lab;
  }

  namespace(host: Host): string {
    return `${this.#name}-${host}`;
  }

  #build(): void {
    const link = (left: Host, device: string, right: Host, peer: string): string =>
      `link add ${device} netns ${this.namespace(left)} type veth peer name ${peer} netns ${this.namespace(right)}`;
    const lines = [
      ...hosts.map((host) => `netns add ${this.namespace(host)}`),
      link('client', 'eth0', 'router', 'lan0'),
      link('server', 'eth0', 'router', 'wan0'),
    ];
    ip(['-batch', '-'], `${lines.join('\n')}\n`);
    this.#sysctl('router', ['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    this.#configure('client', ['link set eth0 up', `addr add ${clientV4}/24 dev eth0`], '100.64.1.1');
    this.#configure('client', [`addr add ${clientV6}/64 dev eth0 nodad`], '2001:db8:1::1');
    this.#configure('router', ['link set lan0 up', 'link set wan0 up', 'addr add 100.64.1.1/24 dev lan0']);
    this.#configure('router', [
      'addr add 198.18.0.1/15 dev wan0',
      'addr add 2001:db8:1::1/64 dev lan0 nodad',
    ]);
    this.#configure('router', ['addr add 2001:db8:100::1/48 dev wan0 nodad']);
    const numbers = Array.from({ length: serverAddresses }, (_, index) => index + 1);
    const addresses = (family: (n: number) => string, length: string): string[] =>
      numbers.map((n) => `addr add ${family(n)}/${length} dev eth0${length === '48' ? ' nodad' : ''}`);
    this.#configure('server', ['link set eth0 up', ...addresses(serverV4, '15')], '198.18.0.1');
    this.#configure('server', addresses(serverV6, '48'), '2001:db8:100::1');
  }

  #configure(host: Host, lines: readonly string[], gateway?: string): void {
    const all = [
      'link set lo up',
      ...lines,
      ...(gateway === undefined ? [] : [`route add default via ${gateway}`]),
    ];
    ip(['-n', this.namespace(host), '-batch', '-'], `${all.join('\n')}\n`);
  }

  #sysctl(host: Host, settings: readonly string[]): void {
    this.runNow(host, ['sysctl', '-q', '-w', ...settings]);
  }

  /** Neighbours are known and both families are forwarded. */
  async #settled(): Promise<void> {
    await until(
      async () => {
        const pings = [serverV4(1), serverV6(1)].map((address) =>
          this.run('client', ['ping', '-c', '1', '-W', '1', address], 5).then(
            () => true,
            () => false,
          ),
        );
        return (await Promise.all(pings)).every(Boolean);
      },
      15,
      'ping through the lab',
    );
  }

  path(...parts: string[]): string {
    const path = join(this.folder, ...parts);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }

  write(name: string, content: string | Uint8Array, mode = 0o644): string {
    const path = this.path(name);
    writeFileSync(path, content, { mode });
    return path;
  }

  #argv(host: Host, argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.namespace(host), ...argv];
  }

  /** Starts a program that the lab ends at the latest when it is closed. */
  start(host: Host, argv: readonly string[], options: StartOptions = {}): Running {
    const running = new Running(this.#argv(host, argv), { cwd: this.folder, name: argv[0]!, ...options });
    this.#running.push(running);
    return running;
  }

  /** Runs a program to its successful end; gives its standard output. */
  async run(host: Host, argv: readonly string[], seconds = 30): Promise<string> {
    return await this.start(host, argv, { name: argv.join(' ') }).succeeds(seconds);
  }

  /** For short commands in between. */
  runNow(host: Host, argv: readonly string[]): string {
    const [command, ...words] = this.#argv(host, argv);
    return execFileSync(command!, words, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 20_000 * slowness,
    });
  }

  /** Waits until somebody listens there; reads the kernel's table and sends nothing. */
  async listening(host: Host, port: number, protocol: 'tcp' | 'udp' = 'tcp', by?: Running): Promise<void> {
    const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const open = (): boolean =>
      [protocol, `${protocol}6`]
        .flatMap((file) => this.#socketTable(host, file, by))
        .some(([, local, , state]) => local!.endsWith(suffix) && (protocol === 'udp' || state === '0A'));
    await until(
      () => open() || (by !== undefined && by.exit !== null),
      20,
      () => `${protocol} port ${port} on ${host}\n${by?.tail() ?? ''}`,
    );
    if (by !== undefined && by.exit !== null) throw new Error(`ended instead of listening\n${by.tail()}`);
  }

  #socketTable(host: Host, file: string, by: Running | undefined): string[][] {
    const text =
      by === undefined
        ? this.runNow(host, ['cat', `/proc/net/${file}`])
        : readQuietly(`/proc/${by.pid}/net/${file}`);
    return text
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields.length > 3);
  }

  /** The end of the output of everything that still runs, for failure messages. */
  tails(): string {
    return this.#running
      .filter((each) => each.exit === null)
      .map((each) => each.tail())
      .join('\n');
  }

  async close(): Promise<void> {
    await Promise.all(this.#running.map((each) => each.stop()));
    this.removeNow();
  }

  /** Without waiting for anybody; also called when this process ends. */
  removeNow(): void {
    this.#forget();
    for (const each of this.#running) if (each.exit === null) each.killGroup('SIGKILL');
    for (const name of namespaces().filter((each) => each.startsWith(`${this.#name}-`)))
      removeNamespace(name);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function readQuietly(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
