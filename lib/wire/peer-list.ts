/**
 * Addresses of peers that a message names (tracker answers, DHT values and nodes, PEX), as a detector finds them. One
 * list per view, bounded, reused: what a message names beyond it is left out.
 */
import { word16, word32 } from './words.js';

/** Peers of one message. Trackers send 50 to 200, PEX up to 100, a DHT node 8 nodes and some dozens of values. */
export const peersPerMessageMax = 256;

export class PeerList {
  count = 0;
  /** 4 or 6. */
  readonly version = new Uint8Array(peersPerMessageMax);
  /** Four words each, big-endian; IPv4 has the first and zeros. */
  readonly words = new Int32Array(peersPerMessageMax * 4);
  readonly port = new Uint16Array(peersPerMessageMax);

  /** Adds the peer in compact form at `at` (BEP 23): 4 bytes of address, 2 of port; the caller has checked the 6 bytes. */
  add4(bytes: Uint8Array, at: number): void {
    this.add(4, word32(bytes, at), 0, 0, 0, word16(bytes, at + 4));
  }

  /** Adds the peer in compact form at `at` (BEP 7): 16 bytes of address, 2 of port; the caller has checked the 18 bytes. */
  add6(bytes: Uint8Array, at: number): void {
    this.add(
      6,
      word32(bytes, at),
      word32(bytes, at + 4),
      word32(bytes, at + 8),
      word32(bytes, at + 12),
      word16(bytes, at + 16),
    );
  }

  /** Adds a peer; one without a port, or beyond the list, is left out. */
  add(version: number, word0: number, word1: number, word2: number, word3: number, port: number): void {
    const at = this.count;
    if (at === peersPerMessageMax || port === 0) return;
    this.version[at] = version;
    this.words[at * 4] = word0;
    this.words[at * 4 + 1] = word1;
    this.words[at * 4 + 2] = word2;
    this.words[at * 4 + 3] = word3;
    this.port[at] = port;
    this.count = at + 1;
  }
}
