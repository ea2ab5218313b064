/** Consumer of the queue benchmark: the npm package `nfqueue` in bench/peers. usage: nfqueue-peer.js QUEUE */
import { createRequire } from 'node:module';
import { repositoryPath } from '../lib/testing.js';

interface Peer {
  readonly NF_ACCEPT: number;
  createQueueHandler(
    queue: number,
    bytes: number,
    each: (packet: { setVerdict(verdict: number): void }) => void,
  ): unknown;
}

const peer = createRequire(repositoryPath('bench', 'peers', 'package.json'))('nfqueue') as Peer;
peer.createQueueHandler(Number(process.argv[2]), 65_535, (packet) => {
  packet.setVerdict(peer.NF_ACCEPT);
});
