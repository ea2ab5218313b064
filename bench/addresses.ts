/**
 * Gives a copy of a recording addresses of its own, so that many copies of one file are many flows. The same mask is
 * laid over source and destination of every frame of a copy: an exclusive or is its own inverse and maps different
 * addresses to different addresses, so both directions of a flow stay together and two hosts stay two. The kind of an
 * address (private, link-local, multicast, broadcast) is kept. Addresses inside payloads and all checksums stay as they
 * were recorded; none of the programs compared here verifies them by default.
 */

const etherHeader = 14;
const etherVlan = 0x8100;
const etherServiceVlan = 0x88a8;
const etherOldServiceVlan = 0x9100;
const etherMpls = 0x8847;
const etherPppoeSession = 0x8864;
const etherIpv4 = 0x0800;
const etherIpv6 = 0x86dd;
const pppIpv4 = 0x0021;
const pppIpv6 = 0x0057;
const ipv4Header = 20;
const ipv6Header = 40;

/** Offset of the outermost IP header in the Ethernet frame `[start, end)`, relative to `start`; -1 if there is none. */
export function ipOffset(bytes: Uint8Array, start: number, end: number): number {
  let at = start + etherHeader;
  if (at > end) return -1;
  let type = (bytes[at - 2]! << 8) | bytes[at - 1]!;
  while ((type === etherVlan || type === etherServiceVlan || type === etherOldServiceVlan) && at + 4 <= end) {
    type = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    at += 4;
  }
  if (type === etherPppoeSession && at + 8 <= end) {
    const protocol = (bytes[at + 6]! << 8) | bytes[at + 7]!;
    type = protocol === pppIpv4 ? etherIpv4 : protocol === pppIpv6 ? etherIpv6 : 0;
    at += 8;
  } else if (type === etherMpls) {
    let bottom = false;
    for (; !bottom && at + 4 <= end; at += 4) bottom = (bytes[at + 2]! & 1) === 1;
    type = at < end && bottom ? (bytes[at]! >> 4 === 6 ? etherIpv6 : etherIpv4) : 0;
  }
  const version = type === etherIpv4 ? 4 : type === etherIpv6 ? 6 : 0;
  if (version === 0 || at + (version === 4 ? ipv4Header : ipv6Header) > end) return -1;
  return bytes[at]! >> 4 === version ? at - start : -1;
}

/** Lays `mask` (24 bits) over both addresses of the IP header at `at`. Doing it twice restores the frame. */
export function maskAddresses(bytes: Uint8Array, at: number, mask: number): void {
  if (bytes[at]! >> 4 === 4) {
    maskIpv4(bytes, at + 12, mask);
    maskIpv4(bytes, at + 16, mask);
  } else {
    maskIpv6(bytes, at + 8, mask);
    maskIpv6(bytes, at + 24, mask);
  }
}

function maskIpv4(bytes: Uint8Array, at: number, mask: number): void {
  const first = bytes[at]!;
  // "This network", multicast, reserved and broadcast mean the same in every copy.
  if (first === 0 || first >= 224) return;
  // 172.16/12, 192.168/16 and 169.254/16 keep two bytes; which rule holds depends on a byte that never changes.
  if (first !== 172 && first !== 192 && first !== 169) bytes[at + 1]! ^= mask >>> 16;
  bytes[at + 2]! ^= (mask >>> 8) & 0xff;
  bytes[at + 3]! ^= mask & 0xff;
}

function maskIpv6(bytes: Uint8Array, at: number, mask: number): void {
  if (bytes[at] === 0xff) return;
  bytes[at + 13]! ^= mask >>> 16;
  bytes[at + 14]! ^= (mask >>> 8) & 0xff;
  bytes[at + 15]! ^= mask & 0xff;
}
