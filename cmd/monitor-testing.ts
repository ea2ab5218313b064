/** For tests of `swarmgate monitor`: namespaces with two links between them, small traffic, and the program itself. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../lib/control/client.js';
import type { StatusReport } from '../lib/report/status.js';
import { program } from '../lib/testing.js';

const patienceMillis = 20_000;
let made = 0;

/**
 * Two stations with two links, m0 (10.9.0.0/24) and m1 (10.9.1.0/24). What goes from 10.9.2.1 to 10.9.3.1 takes m0, and
 * what comes back takes m1.
 */
export class Links {
  readonly near: string;
  readonly far: string;
  readonly folder = mkdtempSync(join(tmpdir(), 'sgmon-'));
  readonly #children: ChildProcess[] = [];

  constructor() {
    const name = `sgmon${process.pid}n${made++}`;
    [this.near, this.far] = [`${name}x`, `${name}y`];
    try {
      for (const each of [this.near, this.far]) {
        execFileSync('ip', ['netns', 'add', each]);
        this.run(each, 'ip link set lo up');
      }
      this.connect('m0', 0);
      this.connect('m1', 1);
      this.#crossRoutes();
      writeFileSync(join(this.folder, 'serve.cjs'), serveScript);
      writeFileSync(join(this.folder, 'talk.cjs'), talkScript);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Makes a link; also again after it was deleted. */
  connect(device: string, net: number): void {
    execFileSync('ip', [
      ...['link', 'add', device, 'netns', this.near, 'type', 'veth'],
      ...['peer', 'name', device, 'netns', this.far],
    ]);
    for (const [host, each] of [this.near, this.far].entries()) {
      this.run(each, `ip address add 10.9.${net}.${host + 1}/24 dev ${device}`);
      this.run(each, `ip link set ${device} up`);
    }
  }

  #crossRoutes(): void {
    const ends = [
      [this.near, '10.9.2.1', 'via 10.9.0.2 dev m0', '10.9.3.1'],
      [this.far, '10.9.3.1', 'via 10.9.1.1 dev m1', '10.9.2.1'],
    ] as const;
    for (const [each, own, way, other] of ends) {
      this.run(each, 'sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.m0.rp_filter=0');
      this.run(each, 'sysctl -qw net.ipv4.conf.m1.rp_filter=0');
      this.run(each, `ip address add ${own}/32 dev lo`);
      this.run(each, `ip route add ${other}/32 ${way} src ${own}`);
    }
  }

  run(name: string, words: string): string {
    const all = ['netns', 'exec', name, ...words.split(' ')];
    return execFileSync('ip', all, { encoding: 'utf8', timeout: 20_000, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  spawn(name: string, argv: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', name, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#children.push(child);
    return child;
  }

  /** Peers on 5000, a web server on 8080: each answers the way it is spoken to. */
  async serve(): Promise<void> {
    const child = this.spawn(this.far, [process.execPath, join(this.folder, 'serve.cjs')]);
    await once(child.stdout!, 'data');
  }

  /** A peer's handshake and some blocks after it, and a web request, each from the port that is given. */
  talk(server: string, ports: { readonly peer: number; readonly web: number }, local = ''): void {
    const words = [server, ports.peer, ports.web, local].join(' ').trim();
    this.run(this.near, `${process.execPath} ${join(this.folder, 'talk.cjs')} ${words}`);
  }

  close(): void {
    for (const child of this.#children.splice(0)) child.kill('SIGKILL');
    for (const each of [this.near, this.far]) spawnSync('ip', ['netns', 'delete', each], { stdio: 'ignore' });
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One `swarmgate monitor`. */
export class MonitorProcess {
  said = '';
  readonly socket: string;
  readonly eve: string;
  readonly child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  constructor(
    links: Links,
    words: readonly string[],
    env: Record<string, string> = {},
    before: string[] = [],
  ) {
    const number = made++;
    this.socket = join(links.folder, `${number}.sock`);
    this.eve = join(links.folder, `${number}.json`);
    this.child = links.spawn(
      links.near,
      [
        ...[...before, process.execPath, program, 'monitor', '--no-live', '--workers', '2'],
        ...['--socket', this.socket, '--eve', this.eve, ...words],
        ...(words.includes('--instance') ? [] : ['--instance', `m${process.pid}-${number}`]),
      ],
      env,
    );
    this.#exit = once(this.child, 'close');
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.said += text));
  }

  static async start(
    links: Links,
    words: readonly string[],
    env: Record<string, string> = {},
  ): Promise<MonitorProcess> {
    const monitor = new MonitorProcess(links, words, env);
    await monitor.heard('info: ready');
    return monitor;
  }

  async heard(words: string): Promise<void> {
    await this.until(() => this.said.includes(words), words);
  }

  async until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const end = Date.now() + patienceMillis;
    while (!(await condition())) {
      if (Date.now() > end || this.child.exitCode !== null)
        throw new Error(`"${what}" did not come; it said:\n${this.said}`);
      await sleep(50);
    }
  }

  async status(): Promise<StatusReport> {
    return (await ask(this.socket, 'status', { all: true })) as StatusReport;
  }

  /** The status once so many flows were decided. */
  async decided(count: number): Promise<StatusReport> {
    await this.until(async () => (await this.status()).decisions.length >= count, `${count} decisions`);
    return this.status();
  }

  alerts(): { src_port: number; dest_port: number; in_iface?: string }[] {
    return readFileSync(this.eve, 'utf8')
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as ReturnType<MonitorProcess['alerts']>[number]);
  }

  ask(...words: string[]): string {
    return execFileSync(process.execPath, [program, ...words, '--socket', this.socket], { encoding: 'utf8' });
  }

  /** Exit code and signal. */
  async ended(): Promise<unknown[]> {
    return this.#exit;
  }

  async stop(): Promise<unknown[]> {
    this.child.kill('SIGTERM');
    return this.ended();
  }
}

/** Echoes to peers with a handshake of its own, and serves a page. */
const serveScript = `
  const net = require('node:net');
  const hello = Buffer.concat([Buffer.from('\\x13BitTorrent protocol', 'latin1'), Buffer.alloc(48, 9)]);
  const peers = net.createServer((socket) => {
    socket.on('error', () => undefined).on('data', (bytes) => socket.write(bytes.length === 68 ? hello : bytes));
  });
  const web = net.createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => {
      socket.end('HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\nContent-Length: 12\\r\\n\\r\\n<p>hello</p>');
    });
  });
  peers.listen(5000, () => web.listen(8080, () => console.log('ready')));
`;

const talkScript = `
  const net = require('node:net');
  const [server, peerPort, webPort, localAddress] = process.argv.slice(2);
  const hello = Buffer.concat([Buffer.from('\\x13BitTorrent protocol', 'latin1'), Buffer.alloc(48, 7)]);
  const local = localAddress === undefined ? {} : { localAddress };
  const done = () => { if (--left === 0) setTimeout(() => process.exit(0), 100); };
  let left = 2;
  const peer = net.connect({ host: server, port: 5000, localPort: Number(peerPort), ...local }, () => {
    peer.write(hello);
    let sent = 0;
    const timer = setInterval(() => {
      peer.write(Buffer.alloc(1000, sent));
      if (++sent < 5) return;
      clearInterval(timer);
      peer.end();
    }, 20);
  });
  peer.on('data', () => undefined).on('close', done);
  const web = net.connect({ host: server, port: 8080, localPort: Number(webPort), ...local }, () => {
    web.write('GET /about HTTP/1.1\\r\\nHost: server.example\\r\\n\\r\\n');
  });
  web.on('data', () => undefined).on('close', done);
  for (const socket of [peer, web]) socket.on('error', (error) => { console.error(error.message); process.exit(1); });
`;
