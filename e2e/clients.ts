/**
 * How each BitTorrent client is started. All of them speak plaintext here, and every way of finding peers is off unless
 * asked for, so that a scenario tests the one way that it names.
 */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { repositoryPath } from '../lib/testing.js';
import type { Host, Lab } from './lab.js';
import type { Running } from './process.js';
import { blocksOnDisk, type Torrent } from './torrent.js';

export type ClientName = 'libtorrent' | 'transmission' | 'aria2';
export type Endpoint = readonly [address: string, port: number];

export interface ClientOptions {
  readonly host: Host;
  /** Names the folder of this client. */
  readonly label: string;
  readonly torrent: Torrent;
  readonly seed: boolean;
  /** What it listens on. */
  readonly address: string;
  readonly port: number;
  readonly transport: 'tcp' | 'utp';
  /** Begin with the magnet link alone. */
  readonly magnet?: boolean;
  /** Connect to these (libtorrent only: the others have no such option). */
  readonly peers?: readonly Endpoint[];
  /** Speak by MSE with RC4 only (libtorrent). */
  readonly encrypted?: boolean;
  /** Bytes per second that it sends at most (libtorrent). */
  readonly uploadRate?: number;
  /** Turns DHT on, which is bootstrapped with these. */
  readonly nodes?: readonly Endpoint[];
}

export class Client {
  constructor(
    readonly process: Running,
    readonly torrent: Torrent,
    readonly file: string,
  ) {}

  /** 16 KiB blocks on disk that are equal to the original. */
  blocks(): number {
    return blocksOnDisk(this.torrent, this.file);
  }

  complete(): boolean {
    return this.blocks() === this.torrent.blocks;
  }
}

const python = '/usr/bin/python3';
const listenUrl = ([address, port]: Endpoint): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** The folder of a client and the path of its content, which a seeder finds there. */
function folders(
  lab: Lab,
  { label, torrent, seed }: ClientOptions,
): { home: string; save: string; file: string } {
  const home = lab.path('clients', label, 'home', 'x');
  const file = lab.path('clients', label, 'data', torrent.name);
  if (seed) writeFileSync(file, torrent.data);
  return { home: dirname(home), save: dirname(file), file };
}

const libtorrentDriver = repositoryPath('fixtures', 'record', 'tools', 'peer.py');

/** libtorrent's policies: 0 forced, 2 disabled; levels: 2 is RC4. */
const encryption = (forced: boolean): object =>
  forced
    ? { out_enc_policy: 0, in_enc_policy: 0, allowed_enc_level: 2, prefer_rc4: true }
    : { out_enc_policy: 2, in_enc_policy: 2 };

function libtorrent(lab: Lab, options: ClientOptions): Client {
  const { save, file } = folders(lab, options);
  const { torrent, transport } = options;
  const only = (way: 'tcp' | 'utp'): object => ({
    [`enable_incoming_${way}`]: transport === way,
    [`enable_outgoing_${way}`]: transport === way,
  });
  const config = {
    listen: listenUrl([options.address, options.port]),
    seed: options.seed,
    save,
    peers: options.peers ?? [],
    nodes: options.nodes ?? [],
    ...(options.magnet === true ? { magnet: torrent.magnet } : { torrent: torrent.file }),
    settings: {
      ...encryption(options.encrypted === true),
      upload_rate_limit: options.uploadRate ?? 0,
      enable_dht: options.nodes !== undefined,
      ...only('tcp'),
      ...only('utp'),
      min_reconnect_time: 1,
      peer_connect_timeout: 4,
      // A seeder that announced itself before it knew enough nodes does so again soon.
      dht_announce_interval: 5,
    },
  };
  const argv = [python, libtorrentDriver, JSON.stringify(config)];
  return new Client(lab.start(options.host, argv, { name: `libtorrent ${options.label}` }), torrent, file);
}

function transmission(lab: Lab, options: ClientOptions): Client {
  const { home, save, file } = folders(lab, options);
  const { torrent } = options;
  const v6 = options.address.includes(':');
  const settings = {
    'dht-enabled': options.nodes !== undefined,
    'lpd-enabled': false,
    'pex-enabled': false,
    'utp-enabled': options.transport === 'utp',
    encryption: 0,
    'port-forwarding-enabled': false,
    'rpc-enabled': false,
    'message-level': 2,
    // What is not on disk yet is not counted.
    'cache-size-mb': 0,
    'rename-partial-files': false,
    ...(v6 ? { 'bind-address-ipv6': options.address } : { 'bind-address-ipv4': options.address }),
  };
  writeFileSync(join(home, 'settings.json'), JSON.stringify(settings));
  if (options.nodes !== undefined)
    writeFileSync(join(home, 'dht.bootstrap'), options.nodes.map((node) => `${node.join(' ')}\n`).join(''));
  const source = options.magnet === true ? torrent.magnet : torrent.file;
  const argv = ['transmission-cli', '-M', '-p', String(options.port), '-g', home, '-w', save, source];
  const running = lab.start(options.host, argv, {
    name: `transmission ${options.label}`,
    env: { HOME: home },
  });
  return new Client(running, torrent, file);
}

function aria2(lab: Lab, options: ClientOptions): Client {
  const { home, save, file } = folders(lab, options);
  const { torrent, nodes, port } = options;
  const v6 = options.address.includes(':');
  const argv = [
    ...['aria2c', '--no-conf', `--dir=${save}`, `--listen-port=${port}`, `--dht-listen-port=${port}`],
    // On, because aria2 asks UDP trackers from its DHT socket; without an entry point the DHT stays silent.
    '--enable-dht=true',
    `--dht-file-path=${join(home, 'dht.dat')}`,
    ...(nodes === undefined ? [] : [`--dht-entry-point=${listenUrl(nodes[0]!)}`]),
    ...['--bt-enable-lpd=false', '--enable-peer-exchange=false', '--file-allocation=none', '--disk-cache=0'],
    ...['--enable-color=false', '--follow-torrent=mem', '--allow-overwrite=true', '--seed-ratio=0.0'],
    ...[
      '--async-dns=false',
      '--check-integrity=true',
      '--bt-tracker-connect-timeout=4',
      '--summary-interval=0',
    ],
    `--disable-ipv6=${String(!v6)}`,
    options.magnet === true ? torrent.magnet : torrent.file,
  ];
  const running = lab.start(options.host, argv, { name: `aria2 ${options.label}`, env: { HOME: home } });
  return new Client(running, torrent, file);
}

const starters: Readonly<Record<ClientName, (lab: Lab, options: ClientOptions) => Client>> = {
  libtorrent,
  transmission,
  aria2,
};

/** Starts a client and waits until it listens. */
export async function startClient(lab: Lab, name: ClientName, options: ClientOptions): Promise<Client> {
  const client = starters[name](lab, options);
  const protocol = options.transport === 'utp' && name === 'libtorrent' ? 'udp' : 'tcp';
  await lab.listening(options.host, options.port, protocol, client.process);
  return client;
}

/** One libtorrent process that is a DHT node on each of the addresses (BEP 5): what a magnet link needs to be found. */
export async function startNodes(lab: Lab, endpoints: readonly Endpoint[]): Promise<Running> {
  const save = dirname(lab.path('clients', 'nodes', 'x'));
  const config = {
    listen: endpoints.map(listenUrl).join(','),
    save,
    nodes: endpoints,
    settings: { enable_dht: true, enable_incoming_tcp: false, enable_outgoing_tcp: false },
  };
  const running = lab.start('server', [python, libtorrentDriver, JSON.stringify(config)], {
    name: 'DHT nodes',
  });
  await running.outputs('ready');
  return running;
}

export async function startTracker(lab: Lab, port: number, addresses: readonly string[]): Promise<Running> {
  const argv = [
    process.execPath,
    repositoryPath('dist', 'e2e', 'tools', 'tracker.js'),
    String(port),
    ...addresses,
  ];
  const running = lab.start('server', argv, { name: 'tracker' });
  await running.outputs('ready');
  return running;
}
