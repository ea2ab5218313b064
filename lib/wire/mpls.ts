/** MPLS label stack (RFC 3032) over IP or over an Ethernet pseudowire with or without control word (RFC 4448). */
import { tagsMax } from '../limits.js';
import { type Cursor, type Step, stepEthernet, stepIpv4, stepIpv6, tooShort } from './cursor.js';
import { NotIp, type Packet, TooDeep } from './packet.js';

const labelEntry = 4;
const controlWord = 4;
const ethernetHeader = 14;
const ethernetTypeAt = 12;

/**
 * Steps over the labels. The stack does not say what it carries: the first nibble tells IPv4 from IPv6 (RFC 4928), and
 * anything else is taken for Ethernet only if an EtherType that leads to IP stands where it would stand.
 */
export function decodeMpls(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  let at = cursor.at;
  for (let labels = 0, bottom = false; !bottom; labels++) {
    if (labels >= tagsMax) return TooDeep;
    if (cursor.end - at < labelEntry) return tooShort(packet, cursor);
    bottom = (bytes[at + 2]! & 1) !== 0;
    at += labelEntry;
  }
  cursor.at = at;
  if (at >= cursor.end) return tooShort(packet, cursor);
  const nibble = bytes[at]! >> 4;
  if (nibble === 4) return stepIpv4;
  if (nibble === 6) return stepIpv6;
  if (nibble === 0 && looksLikeEthernet(bytes, at + controlWord, cursor.end)) {
    cursor.at = at + controlWord;
    return stepEthernet;
  }
  return looksLikeEthernet(bytes, at, cursor.end) ? stepEthernet : NotIp;
}

function looksLikeEthernet(bytes: Uint8Array, at: number, end: number): boolean {
  if (end - at < ethernetHeader) return false;
  const type = (bytes[at + ethernetTypeAt]! << 8) | bytes[at + ethernetTypeAt + 1]!;
  return type === 0x0800 || type === 0x86dd || type === 0x8100 || type === 0x88a8 || type === 0x8864;
}
