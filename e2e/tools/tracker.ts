/**
 * A small tracker: HTTP (BEP 3, 7, 23, 48) and UDP (BEP 15) on one port of each address given.
 * usage: tracker.js PORT ADDRESS...
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { bencode } from '../torrent.js';

const intervalSeconds = 30;

interface Peer {
  readonly address: string;
  readonly port: number;
  readonly left: number;
}

interface Announce extends Peer {
  readonly infoHash: string;
  readonly stopped: boolean;
}

/** Peers by info-hash (hex) and address. */
const swarms = new Map<string, Map<string, Peer>>();

function announce({ infoHash, stopped, ...peer }: Announce): Peer[] {
  const swarm = swarms.get(infoHash) ?? new Map<string, Peer>();
  swarms.set(infoHash, swarm);
  const key = `${peer.address} ${peer.port}`;
  if (stopped) swarm.delete(key);
  else swarm.set(key, peer);
  process.stdout.write(`announce ${infoHash} ${key} left ${peer.left}${stopped ? ' stopped' : ''}\n`);
  return [...swarm.entries()].filter(([other]) => other !== key).map(([, other]) => other);
}

function counts(infoHash: string): { complete: number; incomplete: number } {
  const peers = [...(swarms.get(infoHash)?.values() ?? [])];
  const complete = peers.filter(({ left }) => left === 0).length;
  return { complete, incomplete: peers.length - complete };
}

/** "::ffff:1.2.3.4" is 1.2.3.4. */
const plainAddress = (address: string): string => address.replace(/^::ffff:/, '');

function addressBytes(address: string): Buffer {
  if (!address.includes(':')) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const words = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((word) => parseInt(word, 16));
  const before = words(head);
  const after = words(tail);
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** The compact form of BEP 23 and BEP 7, of one family. */
function compact(peers: readonly Peer[], family: 4 | 6): Buffer {
  return Buffer.concat(
    peers
      .filter(({ address }) => address.includes(':') === (family === 6))
      .map(({ address, port }) =>
        Buffer.concat([addressBytes(address), Buffer.from([port >> 8, port & 0xff])]),
      ),
  );
}

/** Query values are bytes: "%ab" is one byte and not UTF-8. */
function queryOf(url: string): Map<string, Buffer> {
  const pairs = (url.split('?')[1] ?? '').split('&').map((pair): [string, Buffer] => {
    const [name = '', value = ''] = pair.split('=');
    const text = value.replace(/%([0-9a-f]{2})/gi, (_, digits: string) =>
      String.fromCharCode(parseInt(digits, 16)),
    );
    return [name, Buffer.from(text, 'latin1')];
  });
  return new Map(pairs);
}

function answerHttp(request: IncomingMessage, response: ServerResponse): void {
  const query = queryOf(request.url ?? '');
  const infoHash = query.get('info_hash')?.toString('hex') ?? '';
  const number = (name: string): number => Number(query.get(name)?.toString() ?? '0');
  response.setHeader('Content-Type', 'text/plain').setHeader('Connection', 'close');
  if (request.url?.startsWith('/scrape') === true) {
    // By hand, because the key is an info-hash and not text.
    const file = bencode({ ...counts(infoHash), downloaded: 0 });
    response.end(
      Buffer.concat([Buffer.from('d5:filesd20:'), Buffer.from(infoHash, 'hex'), file, Buffer.from('ee')]),
    );
    return;
  }
  const peers = announce({
    infoHash,
    address: plainAddress(request.socket.remoteAddress ?? ''),
    port: number('port'),
    left: number('left'),
    stopped: query.get('event')?.toString() === 'stopped',
  });
  const lists = { peers: compact(peers, 4), peers6: compact(peers, 6) };
  response.end(bencode({ interval: intervalSeconds, ...counts(infoHash), ...lists }));
}

const actionConnect = 0;
const actionAnnounce = 1;
const actionScrape = 2;
const actionError = 3;
const eventStopped = 3;

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

/** BEP 15. The answer to one datagram. */
function answerUdp(message: Buffer, from: RemoteInfo): Buffer | null {
  if (message.length < 16) return null;
  const action = message.readUInt32BE(8);
  const transaction = message.readUInt32BE(12);
  if (action === actionConnect) return Buffer.concat([words(actionConnect, transaction), randomBytes(8)]);
  if (action === actionScrape && message.length >= 36) {
    const { complete, incomplete } = counts(message.subarray(16, 36).toString('hex'));
    return words(actionScrape, transaction, complete, 0, incomplete);
  }
  if (action !== actionAnnounce || message.length < 98) return words(actionError, transaction);
  const infoHash = message.subarray(16, 36).toString('hex');
  const peers = announce({
    infoHash,
    address: plainAddress(from.address),
    port: message.readUInt16BE(96),
    left: Number(message.readBigUInt64BE(64)),
    stopped: message.readUInt32BE(80) === eventStopped,
  });
  const { complete, incomplete } = counts(infoHash);
  const head = words(actionAnnounce, transaction, intervalSeconds, incomplete, complete);
  return Buffer.concat([head, compact(peers, from.family === 'IPv6' ? 6 : 4)]);
}

function bound(socket: Socket, port: number, address: string): Promise<void> {
  return new Promise((resolve) => {
    socket.bind(port, address, resolve);
  });
}

/** Every address has its own socket: an answer must come from the address that was asked. */
async function serve(port: number, address: string): Promise<void> {
  const socket = createSocket({
    type: address.includes(':') ? 'udp6' : 'udp4',
    ipv6Only: address.includes(':'),
  });
  socket.on('message', (message, from) => {
    const answer = answerUdp(message, from);
    if (answer !== null) socket.send(answer, from.port, from.address);
  });
  await bound(socket, port, address);
  await new Promise<void>((resolve) => {
    createServer(answerHttp).listen(port, address, resolve);
  });
}

const [port = '6969', ...addresses] = process.argv.slice(2);
await Promise.all(addresses.map((address) => serve(Number(port), address)));
process.stdout.write('ready\n');
