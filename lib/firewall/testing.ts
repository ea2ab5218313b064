/** For tests: rule sets, and network namespaces in which the kernel's rules can be tried without touching the host's. */
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { repositoryPath } from '../testing.js';
import type { RuleSet } from './firewall.js';
import { MarkField, markMaskDefault } from './marks.js';
import { Tools } from './tools.js';

export function ruleSet(changes: Partial<RuleSet> = {}): RuleSet {
  return {
    instance: 'default',
    queueFirst: 0,
    queueCount: 1,
    mark: new MarkField(markMaskDefault),
    forwarded: true,
    local: false,
    interfaces: [],
    pairs: [],
    leave: [],
    enforce: true,
    ...changes,
  };
}

/** Why network namespaces cannot be made here; false if they can. */
export function cannotMakeNamespaces(): string | false {
  if (process.getuid?.() !== 0) return 'needs root for network namespaces';
  const made = spawnSync('unshare', ['-n', 'ip', 'link', 'show', 'lo'], { timeout: 10_000 });
  return made.status === 0 ? false : 'needs unshare and ip, and a kernel that permits network namespaces';
}

export function hasProgram(program: string): boolean {
  return spawnSync(program, ['--version'], { timeout: 10_000 }).status === 0;
}

const queueScript =
  'table inet swarmgate_try { chain forward { type filter hook forward priority 0; queue num 0 bypass; }; }';

/** Why nft cannot be tried here; false if it can. Where SWARMGATE_EXPECT_NFT is set it must be there. */
export function nftIsMissing(): string | false {
  const run = spawnSync('unshare', ['-n', 'nft', '-f', '-'], {
    input: queueScript,
    timeout: 10_000,
    encoding: 'utf8',
  });
  if (run.status === 0) return false;
  if (process.env['SWARMGATE_EXPECT_NFT'] !== undefined) throw new Error(`nft has no queue: ${run.stderr}`);
  return "this kernel's nft has no queue (make e2e-nft runs these tests in another kernel)";
}

const script = repositoryPath('lib', 'firewall', 'kernel-test.py');
let made = 0;

/** Three namespaces in a row: client, router, server (10.1.0.2 and fd01::2, 10.2.0.2 and fd02::2). */
export class Network {
  readonly #base = `sgfw${process.pid}n${made++}`;
  readonly client = `${this.#base}c`;
  readonly router = `${this.#base}r`;
  readonly server = `${this.#base}s`;
  readonly #children: ChildProcess[] = [];
  readonly script = script;

  constructor() {
    try {
      for (const name of [this.client, this.router, this.server]) {
        execFileSync('ip', ['netns', 'add', name]);
        this.run(name, 'ip link set lo up');
      }
      this.#connect(this.client, 1);
      this.#connect(this.server, 2);
      this.run(this.router, 'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #connect(name: string, net: number): void {
    this.run(this.router, `ip link add up${net} type veth peer name eth0 netns ${name}`);
    for (const [place, device, host] of [
      [this.router, `up${net}`, 1],
      [name, 'eth0', 2],
    ] as const) {
      this.run(place, `ip address add 10.${net}.0.${host}/24 dev ${device}`);
      this.run(place, `ip address add fd0${net}::${host}/64 dev ${device} nodad`);
      this.run(place, `ip link set ${device} up`);
    }
    this.run(name, `ip route add default via 10.${net}.0.1`);
    this.run(name, `ip -6 route add default via fd0${net}::1`);
  }

  /** Runs a command of plain words in a namespace and returns what it printed. */
  run(name: string, words: string): string {
    const all = ['netns', 'exec', name, ...words.split(' ')];
    return execFileSync('ip', all, { encoding: 'utf8', timeout: 20_000, stdio: ['ignore', 'pipe', 'pipe'] });
  }

  tools(): Tools {
    return new Tools(['ip', 'netns', 'exec', this.router]);
  }

  /** kernel-test.py in a namespace, until it has said "ready". What it prints after that is collected. */
  async start(name: string, ...words: string[]): Promise<string[]> {
    const child = spawn('ip', ['netns', 'exec', name, 'python3', script, ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#children.push(child);
    const lines: string[] = [];
    await new Promise<void>((resolve, reject) => {
      child.on('exit', () => {
        reject(new Error(`kernel-test.py ${words.join(' ')} ended`));
      });
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        lines.push(...text.split('\n').filter((line) => line !== ''));
        if (lines[0] !== 'ready') return;
        lines.shift();
        resolve();
      });
    });
    return lines;
  }

  /** A client's answer: "ok", "reset", "refused" or "timeout". */
  ask(kind: 'tcp' | 'udp', address: string, sourcePort = 0): Promise<string> {
    const words = ['netns', 'exec', this.client, 'python3', script, kind, address, `${sourcePort}`];
    return new Promise((resolve, reject) => {
      const child = spawn('ip', words, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 30_000 });
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
      child.on('error', reject);
      child.on('close', () => {
        resolve(text.trim());
      });
    });
  }

  /** Ends the consumers and servers. */
  stopChildren(): void {
    for (const child of this.#children.splice(0)) {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
    }
  }

  close(): void {
    this.stopChildren();
    for (const name of [this.client, this.router, this.server])
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  }
}
