/** Small pieces of traffic that several tests use: a watched ping, one odd connection, a flood, a short transfer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryPath } from '../lib/testing.js';
import { serverV4, type Lab } from './lab.js';
import type { Running } from './process.js';
import { prepare, scenarios, startTransfer, type Prepared, type Transfer } from './scenarios.js';
import type { TalkResult } from './tools/talk.js';

const tool = (name: string): string[] => [
  process.execPath,
  repositoryPath('dist', 'e2e', 'tools', `${name}.js`),
];

/** Where `listen` listens. */
export const target = serverV4(3);
export const targetPort = 8080;

export interface PingLoss {
  readonly sent: number;
  readonly lost: number;
}

/** A ping that goes on until it is asked for its sums. */
export class Ping {
  readonly #running: Running;
  constructor(lab: Lab, address = target) {
    this.#running = lab.start('client', ['ping', '-q', '-i', '0.02', address]);
  }
  async end(): Promise<PingLoss> {
    // The last ones may still be on their way.
    await sleep(300);
    await this.#running.stop('SIGINT');
    const match = /(\d+) packets transmitted, (\d+) received/.exec(this.#running.output);
    if (match === null) throw new Error(`no sums\n${this.#running.tail()}`);
    return { sent: Number(match[1]), lost: Number(match[1]) - Number(match[2]) };
  }
}

export async function startListener(lab: Lab): Promise<Running> {
  const running = lab.start('server', [...tool('listen'), String(targetPort)], { name: 'listener' });
  await running.outputs('ready');
  return running;
}

/** Connects from a chosen port (0: any), sends bytes, and tells how it went within `seconds`. */
export async function talk(
  lab: Lab,
  bytes: Uint8Array,
  localPort = 0,
  seconds = 5,
  address = target,
): Promise<TalkResult> {
  const words = [
    String(localPort),
    address,
    String(targetPort),
    Buffer.from(bytes).toString('hex'),
    String(seconds),
  ];
  return JSON.parse(await lab.run('client', [...tool('talk'), ...words], seconds + 10)) as TalkResult;
}

/** BEP 3: what a peer says first. */
export const handshake = Buffer.concat([
  Buffer.from('\x13BitTorrent protocol', 'latin1'),
  Buffer.alloc(8),
  Buffer.alloc(20, 0xa7),
  Buffer.from('-LT2080-abcdefghijkl', 'latin1'),
]);

export const webRequest = Buffer.from('GET /about HTTP/1.1\r\nHost: server.example\r\n\r\n');

export function startFlood(lab: Lab, packetsPerSecond: number, seconds: number): Running {
  const words = [target, String(targetPort), String(packetsPerSecond), String(seconds)];
  return lab.start('client', [...tool('flood'), ...words]);
}

const direct = scenarios.find(
  ({ client, way, transport }) => client === 'libtorrent' && way === 'peer' && transport === 'tcp',
)!;

/** A quick libtorrent transfer: without a filter it takes about half a second. */
export class Torrents {
  readonly #prepared: Prepared;
  #runs = 0;
  constructor(private readonly lab: Lab) {
    [this.#prepared] = prepare(lab, [direct], 1024 * 1024) as [Prepared];
  }
  start(): Promise<Transfer> {
    return startTransfer(this.lab, this.#prepared, this.#runs++);
  }
  /** Blocks that arrived within so many seconds; ends as soon as all have. */
  async blocksWithin(seconds: number): Promise<number> {
    const transfer = await this.start();
    const end = Date.now() + seconds * 1000;
    while (!transfer.leecher.complete() && Date.now() < end) await sleep(100);
    const blocks = transfer.leecher.blocks();
    await transfer.stop();
    return blocks;
  }
  get blocks(): number {
    return this.#prepared.torrent.blocks;
  }
}
