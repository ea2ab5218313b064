import assert from 'node:assert/strict';
import { fuzz } from '../fuzzing.js';
import { concat } from '../testing.js';
import { Again, Negotiation, Through } from './negotiation.js';
import { address4, bytesOf, follow, negotiations, type Followed } from './proxy-testing.js';
import { socksDatagramHeader } from './socks.js';

const stream = (name: string, side: number): Uint8Array =>
  concat(...negotiations[name]!.filter(([from]) => from === side).map(([, bytes]) => bytes));
const names = Object.keys(negotiations);

function check(client: Uint8Array, server: Uint8Array): void {
  const { outcome, result }: Followed = follow(client, server);
  const again = follow(client, server, false, 0x35);
  assert.deepEqual([again.outcome, again.result], [outcome, result], 'a byte outside the range was read');
  assert.ok(result instanceof Negotiation && outcome >= 0 && outcome <= Through);
  if (outcome !== Through && outcome !== Again) return;
  assert.ok(result.clientAt > 0 && result.clientAt <= client.length);
  assert.ok(result.serverAt > 0 && (outcome === Again || result.serverAt <= server.length));
  assert.ok(result.nameStart <= result.nameEnd && result.nameEnd <= result.clientAt);
}

fuzz(
  'negotiation, client',
  names.map((name) => stream(name, 0)),
  (bytes) => {
    for (const name of names) check(bytes, stream(name, 1));
  },
);

fuzz(
  'negotiation, server',
  names.map((name) => stream(name, 1)),
  (bytes) => {
    for (const name of names) check(stream(name, 0), bytes);
  },
);

fuzz('relayed datagram', [concat(bytesOf(0, 0, 0), address4, bytesOf(1, 2, 3))], (bytes) => {
  const padded = (filler: number): number => {
    const around = new Uint8Array(3).fill(filler);
    return socksDatagramHeader(concat(around, bytes, around), 3, 3 + bytes.length);
  };
  const header = padded(0);
  assert.equal(padded(0x61), header, 'a byte outside the range was read');
  // A name of one byte is the shortest address.
  assert.ok(header === 0 || (header >= 8 && header < bytes.length));
});
