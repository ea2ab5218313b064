/**
 * Ethernet II and IEEE 802.3 with LLC/SNAP (RFC 1042), and what an EtherType leads to: IP, stacked VLAN tags (802.1Q,
 * 802.1ad), MPLS, PPPoE sessions.
 */
import { tagsMax } from '../limits.js';
import { type Cursor, type Step, stepIpv4, stepIpv6, stepPpp, tooShort } from './cursor.js';
import { decodeMpls } from './mpls.js';
import { Malformed, NotIp, type Packet, TooDeep } from './packet.js';

export const ethernetHeader = 14;
export const ethernetTypeAt = 12;
/** Tag after the EtherType that announces it: its own control information and the next EtherType. */
const vlanTag = 4;
const bridgePortTag = 8;
const virtualInterfaceTag = 6;
const pppoeHeader = 6;

export const etherIpv4 = 0x0800;
export const etherIpv6 = 0x86dd;
const etherVlan = 0x8100;
const etherServiceVlan = 0x88a8;
/** QinQ before 802.1ad had a number. */
const etherOldServiceVlan = 0x9100;
/** IEEE 802.1BR E-tag, between a switch and its port extenders. */
const etherBridgePort = 0x893f;
/** Cisco VN-Tag, its predecessor. */
const etherVirtualInterface = 0x8926;
const etherMpls = 0x8847;
const etherMplsUpstream = 0x8848;
const etherPppoeSession = 0x8864;
const etherPpp = 0x880b;
/** Smaller values are a length (IEEE 802.3 clause 3.2.6). */
export const etherTypeMin = 0x0600;

const sapIp = 0x06;
const sapSnap = 0xaa;
const unnumbered = 0x03;

/** Reads the MAC header at the cursor. */
export function decodeEthernet(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < ethernetHeader) return tooShort(packet, cursor);
  cursor.at = at + ethernetHeader;
  const type = (bytes[at + ethernetTypeAt]! << 8) | bytes[at + ethernetTypeAt + 1]!;
  if (type === etherIpv4) return stepIpv4;
  if (type === etherIpv6) return stepIpv6;
  return decodeEtherType(packet, bytes, cursor, type);
}

/** Goes on by EtherType, or by length if it is one; the cursor stands behind the type field. */
export function decodeEtherType(packet: Packet, bytes: Uint8Array, cursor: Cursor, etherType: number): Step {
  let type = etherType;
  for (let tags = 0; tagLength(type) !== 0; tags++) {
    if (tags >= tagsMax) return TooDeep;
    const next = cursor.at + tagLength(type);
    if (next > cursor.end) return tooShort(packet, cursor);
    type = (bytes[next - 2]! << 8) | bytes[next - 1]!;
    cursor.at = next;
  }
  switch (type) {
    case etherIpv4:
      return stepIpv4;
    case etherIpv6:
      return stepIpv6;
    case etherMpls:
    case etherMplsUpstream:
      return decodeMpls(packet, bytes, cursor);
    case etherPppoeSession:
      return decodePppoe(packet, bytes, cursor);
    case etherPpp:
      return stepPpp;
    default:
      return type < etherTypeMin ? decodeLlc(packet, bytes, cursor) : NotIp;
  }
}

/** Bytes of the tag behind an EtherType that announces one, else 0. */
function tagLength(type: number): number {
  switch (type) {
    case etherVlan:
    case etherServiceVlan:
    case etherOldServiceVlan:
      return vlanTag;
    case etherBridgePort:
      return bridgePortTag;
    case etherVirtualInterface:
      return virtualInterfaceTag;
    default:
      return 0;
  }
}

/** Logical link control: SNAP names an EtherType, the IP service access point means IPv4, anything else is not IP. */
export function decodeLlc(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < 3) return tooShort(packet, cursor);
  const service = bytes[at]!;
  if (bytes[at + 1] !== service || bytes[at + 2] !== unnumbered) return NotIp;
  if (service === sapIp) {
    cursor.at = at + 3;
    return stepIpv4;
  }
  if (service !== sapSnap) return NotIp;
  if (cursor.end - at < 8) return tooShort(packet, cursor);
  // Organisation 0 is RFC 1042, 00-00-f8 the bridge tunnel encapsulation of 802.1H; others have numbers of their own.
  const organisation = (bytes[at + 3]! << 16) | (bytes[at + 4]! << 8) | bytes[at + 5]!;
  if (organisation !== 0 && organisation !== 0xf8) return NotIp;
  const type = (bytes[at + 6]! << 8) | bytes[at + 7]!;
  if (type < etherTypeMin) return NotIp;
  cursor.at = at + 8;
  return decodeEtherType(packet, bytes, cursor, type);
}

/** PPPoE session (RFC 2516 section 4): version and type 1, code 0, length of the PPP frame. */
export function decodePppoe(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  const at = cursor.at;
  if (cursor.end - at < pppoeHeader) return tooShort(packet, cursor);
  if (bytes[at] !== 0x11) return Malformed;
  if (bytes[at + 1] !== 0) return NotIp;
  cursor.at = at + pppoeHeader;
  // The length is not enforced: the IP header has its own, and offload leaves this one unfilled.
  return stepPpp;
}
