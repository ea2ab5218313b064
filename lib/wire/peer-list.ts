/**
 * Addresses of peers that a message names (tracker answers, DHT values and nodes, PEX), as a detector finds them. One
 * list per view, bounded, reused: what a message names beyond it is left out.
 */
import { addressWords, readAddress } from './address-bytes.js';
import { word16, word32 } from './words.js';

/** Bytes of a peer in compact form: address and port (BEP 23, BEP 7). */
export const compactBytes = 6;
export const compact6Bytes = 18;
const mappedWord = 0xffff;

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

  /**
   * Adds the whole peers in compact form of `[from, to)`, `stride` bytes each, of which the first `skip` are not address
   * (a node id); IPv6 if what is left is 18 bytes long.
   */
  addCompact(bytes: Uint8Array, from: number, to: number, stride: number, skip: number): void {
    const isIpv6 = stride - skip === compact6Bytes;
    for (let at = from; at + stride <= to && this.count < peersPerMessageMax; at += stride) {
      if (isIpv6) this.add6(bytes, at + skip);
      else this.add4(bytes, at + skip);
    }
  }

  /** Adds the peer whose address is the text `[from, to)`; a host name is left out. */
  addText(bytes: Uint8Array, from: number, to: number, port: number): void {
    const version = readAddress(bytes, from, to);
    if (version === 0) return;
    this.add(version, addressWords[0]!, addressWords[1]!, addressWords[2]!, addressWords[3]!, port);
  }

  /**
   * Adds a peer. Left out are: one without a port, addresses that nobody connects to (unspecified, multicast), and what
   * is beyond the list. An IPv4-mapped address (RFC 4291 section 2.5.5.2) is the IPv4 address that packets to it have.
   */
  add(version: number, word0: number, word1: number, word2: number, word3: number, port: number): void {
    if (version === 6 && word0 === 0 && word1 === 0) {
      if (word2 === mappedWord) {
        this.add(4, word3, 0, 0, 0, port);
        return;
      }
      if (word2 === 0 && word3 === 0) return;
    }
    const first = word0 >>> 24;
    if (port < 1 || port > 65_535 || (version === 4 ? first === 0 || first >= 224 : first === 0xff)) return;
    const at = this.count;
    if (at === peersPerMessageMax) return;
    this.version[at] = version;
    this.words[at * 4] = word0;
    this.words[at * 4 + 1] = word1;
    this.words[at * 4 + 2] = word2;
    this.words[at * 4 + 3] = word3;
    this.port[at] = port;
    this.count = at + 1;
  }
}
