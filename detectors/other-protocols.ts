/**
 * Names flows of other well-known protocols by their first payload, so that a report can say what a flow is. Not a
 * detector: it ends no inspection. Structure decides; a port only settles what structure leaves open. When in doubt it
 * answers 0: an unnamed flow is better than a wrongly named one.
 */
import type { View } from './detector.js';
import {
  isDhtRpc,
  isDtls,
  isGtp,
  isIsakmp,
  isMulticastDns,
  isNtp,
  isQuicLong,
  isRtp,
  isSnmp,
  isStun,
  isSyslog,
  isWireguard,
} from '../lib/wire/datagram-shapes.js';
import {
  isBanner,
  isDns,
  isHandshake,
  isLdap,
  isMqttConnect,
  isMysqlGreeting,
  isSmb2,
  isSocks4,
  isSocks5,
  isTpkt,
} from '../lib/wire/stream-shapes.js';
import { ascii, startsWith } from '../lib/wire/text.js';
import { word16, word32 } from '../lib/wire/words.js';

/** Index 0 is "none". */
export const otherProtocols: readonly string[] = [
  '',
  'tls',
  'http',
  'ssh',
  'dns',
  'mdns',
  'llmnr',
  'netbios',
  'quic',
  'stun',
  'dtls',
  'rtp',
  'ntp',
  'ssdp',
  'dhcp',
  'dhcpv6',
  'snmp',
  'tftp',
  'sip',
  'rtsp',
  'smtp',
  'ftp',
  'pop3',
  'imap',
  'rdp',
  'smb',
  'ldap',
  'mqtt',
  'amqp',
  'mysql',
  'postgresql',
  'redis',
  'memcached',
  'irc',
  'telnet',
  'vnc',
  'openvpn',
  'wireguard',
  'radius',
  'syslog',
  'bgp',
  'kerberos',
  'gtp',
  'l2tp',
  'isakmp',
  'coap',
  'xmpp',
  'socks',
  'modbus',
  'hyperswarm',
];

const id = (name: string): number => {
  const index = otherProtocols.indexOf(name);
  if (index < 1) throw new Error(`unknown protocol name ${name}`);
  return index;
};
const tls = id('tls');
const http = id('http');
const ssh = id('ssh');
const dns = id('dns');
const mdns = id('mdns');
const llmnr = id('llmnr');
const netbios = id('netbios');
const quic = id('quic');
const stun = id('stun');
const dtls = id('dtls');
const rtp = id('rtp');
const ntp = id('ntp');
const ssdp = id('ssdp');
const dhcp = id('dhcp');
const dhcpv6 = id('dhcpv6');
const snmp = id('snmp');
const tftp = id('tftp');
const sip = id('sip');
const rtsp = id('rtsp');
const smtp = id('smtp');
const ftp = id('ftp');
const pop3 = id('pop3');
const imap = id('imap');
const rdp = id('rdp');
const smb = id('smb');
const ldap = id('ldap');
const mqtt = id('mqtt');
const amqp = id('amqp');
const mysql = id('mysql');
const postgresql = id('postgresql');
const redis = id('redis');
const memcached = id('memcached');
const irc = id('irc');
const telnet = id('telnet');
const vnc = id('vnc');
const openvpn = id('openvpn');
const wireguard = id('wireguard');
const radius = id('radius');
const syslog = id('syslog');
const bgp = id('bgp');
const kerberos = id('kerberos');
const gtp = id('gtp');
const l2tp = id('l2tp');
const isakmp = id('isakmp');
const coap = id('coap');
const xmpp = id('xmpp');
const socks = id('socks');
const modbus = id('modbus');
const hyperswarm = id('hyperswarm');

/** A protocol that announces itself by its first characters. */
interface Opening {
  readonly text: Uint8Array;
  readonly protocol: number;
}
const opens = (protocol: number, ...texts: string[]): Opening[] =>
  texts.map((text) => ({ text: ascii(text), protocol }));

/** Texts that begin a TCP stream, of either side. A request method is HTTP only with a target that can be one. */
const tcpTexts: readonly Opening[] = [
  ...opens(http, 'GET /', 'GET http', 'POST /', 'POST http', 'HEAD /', 'HEAD http', 'PUT /', 'DELETE /'),
  ...opens(http, 'OPTIONS /', 'PATCH /', 'CONNECT ', 'PROPFIND /', 'HTTP/1.', 'PRI * HTTP/2'),
  ...opens(ssh, 'SSH-2.', 'SSH-1.'),
  ...opens(rtsp, 'RTSP/1.', 'DESCRIBE rtsp', 'OPTIONS rtsp', 'SETUP rtsp', 'ANNOUNCE rtsp', 'PLAY rtsp'),
  ...opens(sip, 'INVITE sip', 'REGISTER sip', 'OPTIONS sip', 'SIP/2.0 ', 'SUBSCRIBE sip', 'NOTIFY sip'),
  ...opens(sip, 'MESSAGE sip', 'ACK sip', 'BYE sip', 'CANCEL sip', 'PUBLISH sip'),
  ...opens(smtp, 'EHLO ', 'HELO ', 'ehlo ', 'helo '),
  ...opens(pop3, '+OK '),
  ...opens(imap, '* OK ', '* PREAUTH '),
  ...opens(vnc, 'RFB 003.', 'RFB 004.'),
  ...opens(amqp, 'AMQP\0'),
  ...opens(irc, 'NICK ', 'USER ', 'CAP LS', ':irc.'),
  ...opens(redis, '*1\r\n$', '*2\r\n$', '*3\r\n$', '*4\r\n$', '+PONG\r\n', '-NOAUTH '),
  ...opens(memcached, 'VERSION ', 'STAT pid '),
  ...opens(xmpp, '<stream:stream', "<?xml version='1.0'?><stream", '<?xml version="1.0"?><stream'),
];
/** Texts that fill the beginning of a datagram. */
const udpTexts: readonly Opening[] = [
  ...opens(ssdp, 'M-SEARCH * HTTP/1.1', 'NOTIFY * HTTP/1.1', 'HTTP/1.1 200 OK\r\n'),
  ...opens(sip, 'INVITE sip', 'REGISTER sip', 'OPTIONS sip', 'SIP/2.0 ', 'SUBSCRIBE sip', 'NOTIFY sip'),
  ...opens(sip, 'MESSAGE sip', 'ACK sip', 'BYE sip', 'CANCEL sip', 'PUBLISH sip'),
];

/** Texts by their first byte, so that a payload is compared with a handful at most. */
const byFirstByte = (texts: readonly Opening[]): readonly (readonly Opening[])[] =>
  Array.from({ length: 256 }, (_, byte) => texts.filter(({ text }) => text[0] === byte));
const tcpTable = byFirstByte(tcpTexts);
const udpTable = byFirstByte(udpTexts);

function usesPort(view: View, port: number): boolean {
  return view.sourcePort === port || view.destinationPort === port;
}

/** The protocol whose text begins the payload, or 0. */
function textProtocol(
  table: readonly (readonly Opening[])[],
  bytes: Uint8Array,
  at: number,
  end: number,
): number {
  const candidates = table[bytes[at]!]!;
  for (let i = 0; i < candidates.length; i++)
    if (startsWith(bytes, at, end, candidates[i]!.text)) return candidates[i]!.protocol;
  return 0;
}

/**
 * Names the protocol whose message begins this payload: an index into `otherProtocols`, 0 when none is recognised.
 * Meant for the first payloads of each side.
 */
export function recogniseOther(view: View, transport: 'tcp' | 'udp'): number {
  if (view.end - view.start < 2) return 0;
  return transport === 'tcp' ? recogniseTcp(view) : recogniseUdp(view);
}

/** Hyperswarm 2 has its messages and the connections of libutp, which many BitTorrent clients use, on one socket. */
export function speaksUtp(other: number): boolean {
  return other === hyperswarm;
}

function recogniseTcp(view: View): number {
  const { bytes, start, end } = view;
  const text = textProtocol(tcpTable, bytes, start, end);
  if (text !== 0) return text;
  const length = end - start;
  const first = bytes[start]!;
  if (length < 6) return first === 0x05 && isSocks5(bytes, start, end) ? socks : 0;
  switch (first) {
    case 0x16:
      // Handshake record, SSL 3.0 to TLS 1.3 (RFC 8446 section 5.1), and a hello or a certificate in it.
      return bytes[start + 1] === 3 && bytes[start + 2]! <= 4 && isHandshake(bytes[start + 5]!) ? tls : 0;
    case 0x14:
    case 0x15:
      return bytes[start + 1] === 3 && bytes[start + 2]! <= 4 && word16(bytes, start + 3) <= 2 ? tls : 0;
    case 0x17:
      return bytes[start + 1] === 3 && bytes[start + 2] === 3 && word16(bytes, start + 3) <= 16_640 ? tls : 0;
    case 0x03:
      return isTpkt(bytes, start, end, view.wireLength) ? rdp : 0;
    case 0x05:
      return isSocks5(bytes, start, end) ? socks : 0;
    case 0x04:
      return isSocks4(bytes, start, end) ? socks : 0;
    case 0x10:
      return isMqttConnect(bytes, start, end) ? mqtt : 0;
    case 0x30:
      return isLdap(bytes, start, end) ? ldap : 0;
    case 0x32:
      return isBanner(bytes, start, end) ? bannerProtocol(view) : 0;
    case 0xff:
      return recogniseMarkers(bytes, start, end);
    case 0x00:
      return recogniseZero(view);
    default:
      return recogniseLengths(view);
  }
}

/** The greeting says which of the two it is, else the port does; FTP when neither does. */
function bannerProtocol(view: View): number {
  const { bytes, start, end } = view;
  const to = Math.min(end - 3, start + 128);
  for (let i = start + 4; i < to; i++)
    if (
      (bytes[i]! | 0x20) === 0x73 &&
      bytes[i + 1] === 0x4d &&
      bytes[i + 2] === 0x54 &&
      bytes[i + 3] === 0x50
    )
      return smtp;
  return usesPort(view, 25) || usesPort(view, 587) ? smtp : ftp;
}

/** BGP's marker of 16 ones (RFC 4271 section 4.1), SMB's 0xff SMB without NetBIOS, or a telnet option (RFC 854). */
function recogniseMarkers(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start + 1] === 0xff) {
    if (end - start < 19) return 0;
    for (let i = 2; i < 16; i++) if (bytes[start + i] !== 0xff) return 0;
    return word16(bytes, start + 16) <= 4096 && bytes[start + 18]! <= 5 ? bgp : 0;
  }
  const command = bytes[start + 1]!;
  if (command < 0xfa || command > 0xfe) return 0;
  // A negotiation is three bytes, so the fourth begins the next one.
  return command === 0xfa || bytes[start + 3] === 0xff ? telnet : 0;
}

/** Payloads that begin with zero: lengths of SMB over NetBIOS, PostgreSQL, DNS, Kerberos, Modbus, netbios sessions. */
function recogniseZero(view: View): number {
  const { bytes, start, end, wireLength } = view;
  const length = end - start;
  const size = word32(bytes, start);
  if (length >= 8 && (word32(bytes, start + 4) === (0xff534d42 | 0) || isSmb2(bytes, start))) return smb;
  if (size === wireLength && length >= 8) {
    const version = word32(bytes, start + 4);
    // Start-up of protocol 3, TLS request, cancel request.
    if (version === 0x00030000 || version === 80_877_103 || version === 80_877_102) return postgresql;
  }
  if (
    length >= 8 &&
    size === wireLength - 4 &&
    (bytes[start + 4] === 0x6a || bytes[start + 4] === 0x6c) &&
    usesPort(view, 88)
  )
    return kerberos;
  if (
    length >= 8 &&
    usesPort(view, 502) &&
    word16(bytes, start + 2) === 0 &&
    word16(bytes, start + 4) === wireLength - 6
  )
    return modbus;
  return recogniseLengths(view);
}

/** Protocols that begin with a length: DNS over TCP, MySQL's greeting, OpenVPN over TCP, NetBIOS session requests. */
function recogniseLengths(view: View): number {
  const { bytes, start, end, wireLength } = view;
  const length = end - start;
  if (length < 14) return 0;
  const size = word16(bytes, start);
  if (size === wireLength - 2) {
    if (isDns(bytes, start + 2, end)) return dns;
    // Hard reset of a client or server (P_CONTROL_HARD_RESET_*_V2): opcode, session id, no acknowledgement yet.
    if ((bytes[start + 2] === 0x38 || bytes[start + 2] === 0x40) && length <= 100) return openvpn;
  }
  if (bytes[start] === 0x81 && bytes[start + 1] === 0 && word16(bytes, start + 2) === 68 && wireLength === 72)
    return netbios;
  if (bytes[start + 4] === 0x0a && bytes[start + 3] === 0 && isMysqlGreeting(bytes, start, wireLength))
    return mysql;
  return 0;
}

function recogniseUdp(view: View): number {
  const { bytes, start, end } = view;
  const text = textProtocol(udpTable, bytes, start, end);
  if (text !== 0) return text;
  if (end - start < 8) return 0;
  const named = recogniseByPort(view);
  if (named !== 0) return named;
  const first = bytes[start]!;
  if (first >= 0xc0 && isQuicLong(bytes, start, end)) return quic;
  if (first >= 0x14 && first <= 0x17 && isDtls(bytes, start, end)) return dtls;
  if (first <= 0x01 && isStun(bytes, start, end, view.wireLength, usesPort(view, 3478))) return stun;
  if (first >= 1 && first <= 4 && isWireguard(bytes, start, end, view.wireLength)) return wireguard;
  if (isDns(bytes, start, end)) return dns;
  if (first === 0x3c) return isSyslog(bytes, start, end) ? syslog : 0;
  if (first === 0x30) return isSnmp(bytes, start, end, view.wireLength) ? snmp : 0;
  if (first === 0x80 || first === 0x90)
    return isRtp(bytes, start, end, view.wireLength, view.sourcePort, view.destinationPort) ? rtp : 0;
  if (first === 0x38 || first === 0x40) return isOpenvpn(view) ? openvpn : 0;
  if (first === 0x58) return isDhtRpc(bytes, start, end, view.wireLength) ? hyperswarm : 0;
  return 0;
}

/** Protocols whose structure is plain but short: the port that IANA gave them must be there as well. */
function recogniseByPort(view: View): number {
  const low = Math.min(view.sourcePort, view.destinationPort);
  const high = Math.max(view.sourcePort, view.destinationPort);
  const port = isKnownPort(low) ? low : high;
  const { bytes, start, end } = view;
  const length = end - start;
  switch (port) {
    case 53:
      return isDns(bytes, start, end) ? dns : 0;
    case 67:
    case 68:
      return length >= 240 && word32(bytes, start + 236) === 0x63825363 ? dhcp : 0;
    case 69:
      return bytes[start] === 0 && (bytes[start + 1] === 1 || bytes[start + 1] === 2) && bytes[end - 1] === 0
        ? tftp
        : 0;
    case 88:
      return bytes[start]! >= 0x6a && bytes[start]! <= 0x7e ? kerberos : 0;
    case 123:
      return isNtp(bytes, start, view.wireLength) ? ntp : 0;
    case 137:
    case 138:
      return length >= 12 ? netbios : 0;
    case 500:
    case 4500:
      return isIsakmp(bytes, start, end, view.wireLength, port === 4500 ? 4 : 0) ? isakmp : 0;
    case 546:
    case 547:
      return bytes[start]! >= 1 && bytes[start]! <= 13 && length >= 8 && bytes[start + 4] === 0 ? dhcpv6 : 0;
    case 1701:
      return (bytes[start]! & 0xc8) === 0xc8 && (bytes[start + 1]! & 0x0f) === 2 ? l2tp : 0;
    case 1812:
    case 1813:
    case 1645:
    case 1646:
      return length >= 20 && word16(bytes, start + 2) === view.wireLength ? radius : 0;
    case 2123:
    case 2152:
      return isGtp(bytes, start, view.wireLength) ? gtp : 0;
    case 5353:
      return isMulticastDns(bytes, start, length) ? mdns : 0;
    case 5355:
      return isDns(bytes, start, end) ? llmnr : 0;
    case 5683:
      return (bytes[start]! & 0xc0) === 0x40 && (bytes[start]! & 0x0f) <= 8 ? coap : 0;
    default:
      return 0;
  }
}

/** Ports that recogniseByPort knows, as a table. */
const knownPorts = new Uint8Array(65_536);
for (const port of [53, 67, 68, 69, 88, 123, 137, 138, 500, 546, 547, 1645, 1646, 1701, 1812, 1813])
  knownPorts[port] = 1;
for (const port of [2123, 2152, 4500, 5353, 5355, 5683]) knownPorts[port] = 1;

function isKnownPort(port: number): boolean {
  return knownPorts[port] === 1;
}

/** OpenVPN hard reset of a client or server: opcode, a session id, then no acknowledgement; short with or without HMAC. */
function isOpenvpn(view: View): boolean {
  const { bytes, start, wireLength } = view;
  if (wireLength === 14) return word32(bytes, start + 9) === 0;
  return (wireLength === 42 || wireLength === 54 || wireLength === 86) && usesPort(view, 1194);
}
