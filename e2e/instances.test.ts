/**
 * Two instances on one router, as `swarmgate numa install` writes them for a machine of two nodes with two interfaces
 * each: both filter, each flow is inspected by one of them, and nothing is left of either.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ask } from '../lib/control/client.js';
import { makeTree } from '../lib/numa/testing.js';
import type { StatusSum } from '../lib/report/status-sum.js';
import type { StatusReport } from '../lib/report/status.js';
import { program, repositoryPath } from '../lib/testing.js';
import { first, hosts, second, treeText, type HostNumber } from './nodes.js';
import { clientScript, handshake, request, serverScript } from './hello.js';
import { Running } from './process.js';
import { withoutFilter } from './requirements.js';

const launcher = repositoryPath('deploy', 'numa', 'launch.sh');
const skip = withoutFilter !== false ? withoutFilter : second === undefined && 'needs two processors';

const addressOf = (host: HostNumber): string => `10.79.${host}.2`;
/** A router with four hosts, each at an interface of its own: up1 to up4. */
class Network {
  readonly #base = `sge2e-${process.pid}-inst`;
  readonly router = `${this.#base}-router`;
  readonly #running: Running[] = [];

  constructor() {
    try {
      this.#ip(`netns add ${this.router}`);
      for (const host of hosts) this.#connect(host);
      this.run(this.router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #ip(words: string): void {
    execFileSync('ip', words.split(' '), { timeout: 20_000 });
  }

  nameOf(host: HostNumber): string {
    return `${this.#base}-h${host}`;
  }

  #connect(host: HostNumber): void {
    const name = this.nameOf(host);
    this.#ip(`netns add ${name}`);
    this.#ip(`-n ${this.router} link add up${host} type veth peer name eth0 netns ${name}`);
    this.#ip(`-n ${this.router} address add 10.79.${host}.1/24 dev up${host}`);
    this.#ip(`-n ${this.router} link set up${host} up`);
    this.#ip(`-n ${name} address add ${addressOf(host)}/24 dev eth0`);
    this.#ip(`-n ${name} link set eth0 up`);
    this.#ip(`-n ${name} route add default via 10.79.${host}.1`);
  }

  run(name: string, argv: readonly string[], env: NodeJS.ProcessEnv = process.env): string {
    return execFileSync('ip', ['netns', 'exec', name, ...argv], { encoding: 'utf8', timeout: 90_000, env });
  }

  start(name: string, argv: readonly string[]): Running {
    const running = new Running(['ip', 'netns', 'exec', name, ...argv]);
    this.#running.push(running);
    return running;
  }

  /** What a client at one host hears after it sent bytes to another. */
  async talk(from: HostNumber, to: HostNumber, hex: string): Promise<string> {
    const argv = [process.execPath, '-e', clientScript, addressOf(to), hex];
    return (await this.start(this.nameOf(from), argv).succeeds(30)).trim();
  }

  /** Rules of both families, without counters and comments. */
  rules(): string {
    return ['iptables-save', 'ip6tables-save']
      .map((tool) => this.run(this.router, [tool]).replace(/^#.*\n|\[\d+:\d+\]/gm, ''))
      .join('')
      .replace(/^\*\w+\n(?::[A-Z]+ ACCEPT \n)+COMMIT\n/gm, '');
  }

  async stop(): Promise<void> {
    for (const running of this.#running.splice(0)) await running.stop('SIGTERM', 10);
  }

  close(): void {
    for (const name of [this.router, ...hosts.map((host) => this.nameOf(host))])
      spawnSync('ip', ['netns', 'delete', name], { stdio: 'ignore' });
  }
}

/** Allowed processors of each thread of a process. */
function masks(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)![1]!;
  });
}

describe('two instances', { skip, timeout: 300_000 }, () => {
  let network: Network;
  let root: string;
  let tree: string;
  let rulesBefore: string;
  const path = (...parts: string[]): string => join(root, ...parts);
  const names = ['node0', 'node1'] as const;
  const statusOf = async (name: (typeof names)[number]): Promise<StatusReport> =>
    (await ask(path('run', `${name}.sock`), 'status', { all: true })) as StatusReport;
  const all = (): { instances: StatusReport[]; sum: StatusSum } =>
    JSON.parse(
      execFileSync(process.execPath, [program, 'status', '--all', '--json', '--folder', path('run')], {
        encoding: 'utf8',
      }),
    ) as { instances: StatusReport[]; sum: StatusSum };

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'swarmgate-instances-'));
    tree = makeTree(treeText());
    mkdirSync(path('etc/swarmgate'), { recursive: true });
    writeFileSync(
      path('etc/swarmgate/config.yaml'),
      `mode: enforce\nrules: iptables\nworkers: 1\ncontrol: { socket: ${path('run/default.sock')} }\n`,
    );
    const words = ['numa', 'install', '--sys', tree, '--root', root];
    execFileSync(process.execPath, [program, ...words], { timeout: 60_000 });
    network = new Network();
    for (const host of hosts) {
      const server = network.start(network.nameOf(host), [process.execPath, '-e', serverScript]);
      await server.outputs('listening', 20);
    }
    rulesBefore = network.rules();
  });
  after(async () => {
    await network.stop();
    network.close();
    for (const folder of [root, tree]) rmSync(folder, { recursive: true });
  });

  test('each flow is inspected by its owner, in both directions and by nobody else', async (t) => {
    const running = names.map((name) =>
      network.start(network.router, [
        ...[process.execPath, program, 'run', '--instance', name],
        ...['--config', path('etc/swarmgate', `${name}.yaml`)],
      ]),
    );
    for (const each of running) await each.outputs('info: ready', 30);
    const flows: readonly (readonly [HostNumber, HostNumber, 0 | 1])[] = [
      ...([
        [1, 2, 0],
        [4, 3, 1],
      ] as const),
      // Between the nodes, begun at either end: dealt out by pair.
      ...([
        [1, 3, 0],
        [4, 2, 0],
        [4, 1, 1],
        [2, 3, 1],
      ] as const),
    ];
    for (const [from, to, owner] of flows) {
      const what = `${from} to ${to}`;
      const start = await Promise.all(names.map(statusOf));
      assert.equal(await network.talk(from, to, request), 'answered', what);
      assert.notEqual(await network.talk(from, to, handshake), 'answered', what);
      const end = await Promise.all(names.map(statusOf));
      const grown = end.map(({ packets }, index) => packets - start[index]!.packets);
      assert.ok(grown[owner]! >= 6, `${what}: both directions, ${grown.join()}`);
      assert.equal(grown[1 - owner], 0, `${what}: not by the other`);
      const decided = end[owner]!.decisions.filter(({ action }) => action === 'reject').map(
        ({ flow }) => flow,
      );
      assert.ok(
        decided.some(
          ({ client, server, kind }) =>
            client === addressOf(from) && server === addressOf(to) && kind === 'peer',
        ),
        what,
      );
    }
    const { instances, sum } = all();
    assert.deepEqual(
      instances.map(({ instance }) => instance),
      names,
    );
    assert.deepEqual(
      instances.map(({ flows: { by_verdict } }) => by_verdict.bittorrent),
      [3, 3],
    );
    assert.equal(sum.flows.by_verdict.bittorrent, 6);
    assert.equal(
      sum.packets,
      instances.reduce((count, { packets }) => count + packets, 0),
    );
    const words = ['status', '--all', '--folder', path('run')];
    const page = execFileSync(process.execPath, [program, ...words], { encoding: 'utf8' });
    for (const line of page.trimEnd().split('\n')) t.diagnostic(line);
    const queues = instances.flatMap(({ workers }) => workers.map(({ queue }) => queue));
    assert.equal(new Set(queues).size, queues.length);
    for (const each of running) assert.equal((await each.stop('SIGTERM', 15)).code, 0, each.tail());
    assert.equal(network.rules(), rulesBefore);
  });

  test('affinity: main thread and workers run where they were told', async () => {
    const running = network.start(network.router, [
      ...['env', `SWARMGATE_AFFINITY_DATA=${second!}`, `SWARMGATE_AFFINITY_CONTROL=${first!}`],
      ...[process.execPath, program, 'run', '--instance', 'node0', '--workers', '3'],
      ...['--config', path('etc/swarmgate/node0.yaml')],
    ]);
    await running.outputs('info: ready', 30);
    const { pid } = await statusOf('node0');
    const main = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1];
    assert.equal(main, `${first!}`);
    assert.equal(masks(pid).filter((mask) => mask === `${second!}`).length, 3, masks(pid).join(' '));
    assert.equal((await running.stop('SIGTERM', 15)).code, 0);
  });

  test('the launch script starts, shows and stops both, and no process that it did not start', async () => {
    const env = {
      ...process.env,
      ...{ SWARMGATE_CONFIGURATION: path('etc/swarmgate'), SWARMGATE_RUN: path('run') },
      SWARMGATE_LOGS: path('log'),
    };
    const launch = (word: string): string => network.run(network.router, [launcher, word], env);
    try {
      assert.match(launch('start'), /^node0: started, process \d+[^]*^node1: started, process \d+/m);
      assert.match(launch('start'), /^node0: runs already/m);
      const shown = launch('show');
      assert.match(
        shown,
        new RegExp(`^node0: process \\d+ on processors ${first!}; planned: processors ${first!}, `, 'm'),
      );
      assert.match(shown, new RegExp(`^node1: process \\d+ on processors ${second!}; planned`, 'm'));
      assert.match(launch('status'), /^ {2}all +enforce /m);
      assert.notEqual(await network.talk(3, 1, handshake), 'answered');
      assert.equal(all().sum.flows.by_verdict.bittorrent, 1);
    } finally {
      assert.match(launch('stop'), /^node0: stopped\nnode1: stopped$/m);
    }
    assert.match(launch('show'), /^node0: not running/m);
    assert.equal(network.rules(), rulesBefore);
    // A number that now belongs to another process: the start time differs.
    const foreign = network.start(network.router, ['sleep', '60']);
    writeFileSync(path('run/node0.launched'), `${foreign.pid} 1\n`);
    writeFileSync(path('run/node1.launched'), `-1 1\n`);
    assert.match(launch('stop'), /^node0: does not run\nnode1: does not run$/m);
    assert.equal(foreign.exit, null);
  });
});
