/** What the kernel tests of live sources share: a wire between two namespaces, a sender of frames, tcpdump as the judge. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openCaptureFile } from './capture-file.js';
import { readAll, type ReadPacket } from './capture-testing.js';
import type { LivePlan, LiveWords } from './live-child.js';
import type { LiveOptions } from './live-source.js';
import { Namespaces } from './nfqueue-testing.js';
import { ringProblem } from './open-live.js';

const stepTimeoutMillis = 30_000;

/** Why live sources cannot be tested here, or false. */
export function whyNoLive(): string | false {
  const problem = ringProblem();
  if (problem !== null) return problem;
  if (process.getuid?.() !== 0) return 'needs root for network namespaces';
  for (const program of ['python3', 'tcpdump']) {
    if (spawnSync(program, ['--version']).status !== 0) return `needs ${program}`;
  }
  const probe = new Namespaces();
  try {
    probe.add('probe');
    probe.run('probe', 'ip link add near type veth peer name far');
    return false;
  } catch (error) {
    return `no network namespaces with veth here: ${String(error)}`;
  } finally {
    probe.remove();
  }
}

export const everything: LiveOptions = {
  interface: 'near',
  filter: '',
  snapBytes: 262_144,
  promiscuous: true,
  batchPackets: 64,
};

/** Sends each line of hex digits as one frame, with a pause now and then so that no receiver on a busy machine loses any. */
const sendScript = `import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind((sys.argv[1], 0))
for i, line in enumerate(sys.stdin):
    s.send(bytes.fromhex(line.strip()))
    if i % 100 == 99: time.sleep(0.01)`;

/** `near` in namespace `here`, `far` in namespace `there`; nothing is on the wire but what a test sends. */
export class Wire {
  readonly spaces = new Namespaces();
  readonly #children: ChildProcess[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'swarmgate-live-'));

  constructor() {
    this.spaces.add('here', 'there');
    for (const side of ['here', 'there'])
      this.spaces.run(
        side,
        'sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1',
      );
    this.connect();
  }

  connect(): void {
    this.spaces.run('here', `ip link add near type veth peer name far netns ${this.spaces.name('there')}`);
    this.spaces.run('here', 'ip link set near address 02:00:00:00:00:02; ip link set near up');
    this.spaces.run('there', 'ip link set far address 02:00:00:00:00:01; ip link set far up');
  }

  send(frames: readonly Uint8Array[], device = 'far', side = 'there'): void {
    const argv = ['netns', 'exec', this.spaces.name(side), 'python3', '-c', sendScript, device];
    const input = frames.map((frame) => `${Buffer.from(frame).toString('hex')}\n`).join('');
    const { status, stderr } = spawnSync('ip', argv, { input, encoding: 'utf8', timeout: stepTimeoutMillis });
    assert.equal(status, 0, stderr);
  }

  /** The child, once it watches; or, if it does not open, once it has said why. */
  async watch(plan: LivePlan, prefix: readonly string[] = []): Promise<Watcher> {
    const program = fileURLToPath(new URL('live-child.js', import.meta.url));
    const node = [...prefix, process.execPath, '--expose-gc', program, JSON.stringify(plan)];
    const child = spawn('ip', ['netns', 'exec', this.spaces.name('here'), ...node], {
      stdio: ['pipe', 'pipe', 'inherit'],
      timeout: 10 * stepTimeoutMillis,
    });
    this.#children.push(child);
    const watcher = new Watcher(child);
    await watcher.begin();
    return watcher;
  }

  /** A program that runs until the end, once it has said something. */
  async start(side: string, argv: readonly string[]): Promise<void> {
    const child = spawn('ip', ['netns', 'exec', this.spaces.name(side), ...argv], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: stepTimeoutMillis,
    });
    this.#children.push(child);
    await once(child.stdout, 'data');
  }

  /** Starts tcpdump on `near`; the promise is kept when it listens, and what it returns ends it and reads its file. */
  async judge(filter: string, device = 'near'): Promise<() => Promise<ReadPacket[]>> {
    const path = join(this.#folder, `${this.#children.length}.pcap`);
    const argv = ['-i', device, '-w', path, '-U', '-B', '8192', '-s', '262144', '-Z', 'root', filter];
    const child = spawn('ip', ['netns', 'exec', this.spaces.name('here'), 'tcpdump', ...argv], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#children.push(child);
    await new Promise<void>((resolve, reject) => {
      let said = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
        if (said.includes('listening on')) resolve();
      });
      child.once('exit', () => {
        reject(new Error(`tcpdump: ${said}`));
      });
    });
    return async () => {
      // tcpdump's own block must be due before it is told to end.
      await sleep(1500);
      child.kill('SIGINT');
      await once(child, 'exit');
      return (await readAll(await openCaptureFile(path))).packets;
    };
  }

  remove(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    this.spaces.remove();
    rmSync(this.#folder, { recursive: true });
  }
}

/** Runs a test with a wire of its own, removed whatever happens. */
export async function withWire(body: (wire: Wire) => Promise<void>): Promise<void> {
  const wire = new Wire();
  try {
    await body(wire);
  } finally {
    wire.remove();
  }
}

export class Watcher {
  readonly #child: ChildProcess;
  readonly #lines;
  /** What it said first. */
  first: LiveWords = {};

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  }

  async begin(): Promise<void> {
    this.first = await this.next();
  }

  async next(): Promise<LiveWords> {
    const next = (await this.#lines.next()) as IteratorResult<string, undefined>;
    assert.ok(next.value !== undefined, 'the child ended without a word');
    return JSON.parse(next.value) as LiveWords;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Ends the child's input and returns what it saw. */
  async finish(): Promise<LiveWords> {
    this.#child.stdin!.end();
    const words = await this.next();
    assert.equal(words.error, undefined);
    return words;
  }
}

/** As SeededRandom is. */
export interface Random {
  below(limit: number): number;
  bytes(length: number): Uint8Array;
}

const addresses = [...Buffer.from('020000000002020000000001', 'hex')];

/** A frame to `near`: the tags in hex digits, then an IPv4 UDP packet of `payload` random bytes. */
export function frame(random: Random, tags: string, payload: number, port = 53): Uint8Array {
  const length = 28 + payload;
  const ip = [0x45, 0, length >> 8, length & 255, 0, 1, 0, 0, 64, 17, 0, 0, 10, 9, 1, 1, 10, 9, 1, 2];
  const udp = [0x12, 0x34, port >> 8, port & 255, (8 + payload) >> 8, (8 + payload) & 255, 0, 0];
  return Uint8Array.from([
    ...addresses,
    ...Buffer.from(`${tags}0800`, 'hex'),
    ...ip,
    ...udp,
    ...random.bytes(payload),
  ]);
}

/** Frames of every length, without a tag, with one, with two, and of other protocols than IP. */
export function mixedFrames(random: Random, count: number): Uint8Array[] {
  const tags = ['', '', '8100e007', '88a80064810000c8', '81000000'];
  return Array.from({ length: count }, (_, i) =>
    i % 10 === 9
      ? Uint8Array.from([...addresses, 0x88, 0xb5, ...random.bytes(random.below(1400))])
      : frame(random, tags[random.below(tags.length)]!, random.below(1440), i % 3 === 0 ? 53 : 6881),
  );
}
