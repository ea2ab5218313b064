/** Torrents that the tests make: random content, so that no block looks like another, and metainfo of BEP 3. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { Lab } from './lab.js';

export const blockBytes = 16 * 1024;
const pieceBytes = 32 * 1024;

export type Bencoded =
  number | string | Uint8Array | readonly Bencoded[] | { readonly [key: string]: Bencoded };

export function bencode(value: Bencoded): Buffer {
  if (typeof value === 'number') return Buffer.from(`i${value}e`);
  if (typeof value === 'string') return bencode(Buffer.from(value));
  if (value instanceof Uint8Array) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  if (isList(value)) return Buffer.concat([Buffer.from('l'), ...value.map(bencode), Buffer.from('e')]);
  const parts = Object.keys(value)
    .sort()
    .flatMap((key) => [bencode(key), bencode(value[key]!)]);
  return Buffer.concat([Buffer.from('d'), ...parts, Buffer.from('e')]);
}

const isList = (value: Bencoded): value is readonly Bencoded[] => Array.isArray(value);

export interface Torrent {
  readonly name: string;
  readonly data: Buffer;
  /** Path of the metainfo file. */
  readonly file: string;
  /** 40 hex digits. */
  readonly infoHash: string;
  readonly magnet: string;
  readonly blocks: number;
}

export function makeTorrent(
  lab: Lab,
  name: string,
  bytes: number,
  trackers: readonly string[] = [],
): Torrent {
  const data = randomBytes(bytes);
  const hashes: Buffer[] = [];
  for (let at = 0; at < bytes; at += pieceBytes)
    hashes.push(
      createHash('sha1')
        .update(data.subarray(at, at + pieceBytes))
        .digest(),
    );
  const info = { length: bytes, name, 'piece length': pieceBytes, pieces: Buffer.concat(hashes) };
  const infoHash = createHash('sha1').update(bencode(info)).digest('hex');
  const announce = trackers.length === 0 ? {} : { announce: trackers[0]!, 'announce-list': [trackers] };
  return {
    name,
    data,
    file: lab.write(`torrents/${name}.torrent`, bencode({ ...announce, info })),
    infoHash,
    magnet: `magnet:?xt=urn:btih:${infoHash}&dn=${name}`,
    blocks: Math.ceil(bytes / blockBytes),
  };
}

/** How many 16 KiB blocks of the torrent's content stand at their place in `file`. */
export function blocksOnDisk(torrent: Torrent, file: string): number {
  if (!existsSync(file)) return 0;
  const found = readFileSync(file);
  let count = 0;
  for (let at = 0; at < torrent.data.length; at += blockBytes) {
    const original = torrent.data.subarray(at, at + blockBytes);
    if (original.equals(found.subarray(at, at + original.length))) count++;
  }
  return count;
}
