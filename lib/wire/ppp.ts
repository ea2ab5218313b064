/** PPP frames (RFC 1661, 1662): with or without address and control field, protocol field of one or two bytes. */
import { type Cursor, type Step, stepIpv4, stepIpv6, tooShort } from './cursor.js';
import { decodeMpls } from './mpls.js';
import { NotIp, type Packet } from './packet.js';

const allStations = 0xff;
const unnumbered = 0x03;

const pppIpv4 = 0x0021;
const pppIpv6 = 0x0057;
const pppMpls = 0x0281;
const pppMplsUpstream = 0x0283;

/** Reads the PPP header at the cursor. Compressed or encrypted payload (RFC 3078 and others) is NotIp. */
export function decodePpp(packet: Packet, bytes: Uint8Array, cursor: Cursor): Step {
  let at = cursor.at;
  if (cursor.end - at >= 2 && bytes[at] === allStations && bytes[at + 1] === unnumbered) at += 2;
  if (at >= cursor.end) return tooShort(packet, cursor);
  let protocol = bytes[at]!;
  at += 1;
  // An odd first byte is a whole protocol number that was compressed to one byte (RFC 1661 section 6.5).
  if ((protocol & 1) === 0) {
    if (at >= cursor.end) return tooShort(packet, cursor);
    protocol = (protocol << 8) | bytes[at]!;
    at += 1;
  }
  cursor.at = at;
  if (protocol === pppIpv4) return stepIpv4;
  if (protocol === pppIpv6) return stepIpv6;
  if (protocol === pppMpls || protocol === pppMplsUpstream) return decodeMpls(packet, bytes, cursor);
  return NotIp;
}
