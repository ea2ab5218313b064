/**
 * True for an address that a peer beyond a router can have. False for what nobody should be led to believe in:
 *
 * - IPv4: 0.0.0.0/8 (unspecified, "this network"), 127.0.0.0/8, 169.254.0.0/16 (link-local), multicast and everything
 *   above it (224.0.0.0/4, 240.0.0.0/4 with the broadcast address);
 * - IPv6: ::/64 (unspecified, loopback, IPv4-mapped and -compatible, none of which travels), fe80::/10 (link-local: the
 *   same address is another host on each link, and no router forwards it), multicast ff00::/8.
 *
 * Private addresses are believed: peers of one campus have them.
 */
export function isPeerAddress(version: number, word0: number, word1: number): boolean {
  if (version === 4) {
    const first = word0 >>> 24;
    return first !== 0 && first !== 127 && first < 224 && word0 >>> 16 !== 0xa9fe;
  }
  if (version !== 6) return false;
  return (word0 | word1) !== 0 && word0 >>> 24 !== 0xff && word0 >>> 22 !== 0xfe80 >> 6;
}
