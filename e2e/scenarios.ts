/**
 * The transfers that are tried: who downloads, how it learns of the seeder, over what. Each has a server address and a
 * port of its own, so that all can run at the same time and every alert can be told to its scenario.
 */
import type { Kind } from '../detectors/detector.js';
import { startClient, type Client, type ClientName, type Endpoint } from './clients.js';
import { clientV4, clientV6, serverV4, serverV6, type Lab } from './lab.js';
import { makeTorrent, type Torrent } from './torrent.js';

/**
 * dial: the seeder knows the downloader and connects to it. peer: the downloader was told the seeder's address.
 * The others: it asks a tracker, or the DHT for a magnet link.
 */
export type Way = 'dial' | 'peer' | 'http-tracker' | 'udp-tracker' | 'dht';

export interface Scenario {
  readonly name: string;
  readonly client: ClientName;
  readonly way: Way;
  readonly transport: 'tcp' | 'utp';
  readonly family: 4 | 6;
  readonly seeder: ClientName;
}

function scenario(
  client: ClientName,
  way: Way,
  transport: 'tcp' | 'utp' = 'tcp',
  family: 4 | 6 = 4,
  seeder: ClientName = 'libtorrent',
): Scenario {
  const name = `${client} ${way} ${transport} IPv${family}${seeder === 'libtorrent' ? '' : `, ${seeder} seeds`}`;
  return { name, client, way, transport, family, seeder };
}

/**
 * transmission needs one to three minutes to find peers by DHT alone, also without a filter, and now and then does not
 * within any patience: only on request.
 */
const slow = scenario('transmission', 'dht');
export const withoutSlow: string | false =
  process.env['SWARMGATE_E2E_SLOW'] === '1'
    ? false
    : `${slow.name} takes minutes even without a filter: SWARMGATE_E2E_SLOW=1 make e2e`;

export const scenarios: readonly Scenario[] = [
  ...(withoutSlow === false ? [slow] : []),
  scenario('libtorrent', 'peer'),
  scenario('libtorrent', 'peer', 'utp'),
  scenario('libtorrent', 'http-tracker', 'tcp', 4, 'transmission'),
  scenario('libtorrent', 'udp-tracker', 'tcp', 4, 'aria2'),
  scenario('libtorrent', 'dht', 'utp'),
  scenario('libtorrent', 'peer', 'utp', 6),
  scenario('libtorrent', 'udp-tracker', 'tcp', 6),
  scenario('transmission', 'dial'),
  scenario('transmission', 'dial', 'utp'),
  scenario('transmission', 'http-tracker'),
  scenario('transmission', 'udp-tracker'),
  scenario('transmission', 'http-tracker', 'tcp', 6),
  scenario('aria2', 'dial'),
  scenario('aria2', 'http-tracker'),
  scenario('aria2', 'udp-tracker'),
  scenario('aria2', 'dht'),
  scenario('aria2', 'http-tracker', 'tcp', 6),
];

export const trackerPort = 6969;
const seederPort = 6881;
/** The server's addresses 40 and up are DHT nodes; scenarios have those from 10 on. */
const nodeFirst = 40;
const nodeCount = 12;
export const dhtNodes: readonly Endpoint[] = Array.from({ length: nodeCount }, (_, index) => [
  serverV4(nodeFirst + index),
  seederPort,
]);

/** A scenario in a lab: its torrent is made once and transferred in each phase. */
export interface Prepared {
  readonly scenario: Scenario;
  readonly torrent: Torrent;
  /** The seeder's address, which is also the tracker's. */
  readonly server: string;
  readonly index: number;
}

export function prepare(lab: Lab, chosen: readonly Scenario[], bytes: number): Prepared[] {
  return chosen.map((each, index) => {
    const server = each.family === 4 ? serverV4(10 + index) : serverV6(10 + index);
    const host = each.family === 4 ? server : `[${server}]`;
    const scheme = { 'http-tracker': 'http', 'udp-tracker': 'udp' }[each.way as string];
    const trackers = scheme === undefined ? [] : [`${scheme}://${host}:${trackerPort}/announce`];
    return { scenario: each, torrent: makeTorrent(lab, `file-${index}`, bytes, trackers), server, index };
  });
}

/** The port on which the downloader of a phase (0 to 9) listens: a new one each time, so that all its flows are new. */
export const leecherPort = ({ index }: Prepared, phase: number): number => 20_000 + phase * 100 + index;

function leech(lab: Lab, prepared: Prepared, phase: number): Promise<Client> {
  const { scenario: each, torrent, server } = prepared;
  return startClient(lab, each.client, {
    host: 'client',
    label: `leecher-${prepared.index}-${phase}`,
    torrent,
    seed: false,
    address: each.family === 4 ? clientV4 : clientV6,
    port: leecherPort(prepared, phase),
    transport: each.transport,
    magnet: each.way === 'dht',
    ...(each.way === 'peer' ? { peers: [[server, seederPort]] } : {}),
    ...(each.way === 'dht' ? { nodes: dhtNodes } : {}),
  });
}

function seed(lab: Lab, prepared: Prepared, phase: number): Promise<Client> {
  const { scenario: each, torrent, server } = prepared;
  const target: Endpoint = [each.family === 4 ? clientV4 : clientV6, leecherPort(prepared, phase)];
  return startClient(lab, each.seeder, {
    host: 'server',
    label: `seeder-${prepared.index}-${phase}`,
    torrent,
    seed: true,
    address: server,
    // aria2 and transmission listen on all addresses, so two of them need two ports.
    port: each.seeder === 'libtorrent' ? seederPort : seederPort + 1 + prepared.index,
    transport: each.transport,
    ...(each.way === 'dial' ? { peers: [target] } : {}),
    ...(each.way === 'dht' ? { nodes: dhtNodes } : {}),
  });
}

/** Starts seeder and downloader in the order that the way needs. */
export async function startTransfer(lab: Lab, prepared: Prepared, phase: number): Promise<Transfer> {
  const first = prepared.scenario.way === 'dial' ? leech : seed;
  const second = prepared.scenario.way === 'dial' ? seed : leech;
  const one = await first(lab, prepared, phase);
  const two = await second(lab, prepared, phase);
  return new Transfer(prepared, first === leech ? one : two, first === leech ? two : one);
}

export class Transfer {
  readonly started = Date.now();
  constructor(
    readonly prepared: Prepared,
    readonly leecher: Client,
    readonly seeder: Client,
  ) {}

  get name(): string {
    return this.prepared.scenario.name;
  }

  tails(): string {
    return `${this.name}\n${this.leecher.process.tail()}\n${this.seeder.process.tail()}`;
  }

  async stop(): Promise<void> {
    await Promise.all([this.leecher.process.stop(), this.seeder.process.stop()]);
  }
}

/** What the filter must say about a scenario: the kind that it sees first, and which others may follow. */
export function kindsOf({ way, transport }: Scenario): { first: Kind; peer: Kind } {
  const peer = transport === 'tcp' ? 'peer' : 'utp';
  return { first: way === 'dial' || way === 'peer' ? peer : way, peer };
}
