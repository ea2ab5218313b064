/** Made-up packets of everyday traffic and of BitTorrent, for the rehearsal of a worker. */

const text = (words: string): Uint8Array => Uint8Array.from(words, (letter) => letter.charCodeAt(0));

const udp = 17;
const tcp = 6;
const tcpSyn = 2;
const tcpAck = 16;
const tcpSynAck = tcpSyn | tcpAck;
const tcpFinAck = 1 | tcpAck;

/** What one side says: what it begins with, and how long it is; the rest are bytes of no meaning. */
interface Words {
  readonly begin: Uint8Array;
  readonly length: number;
}

const nothing = new Uint8Array(0);

const says = (begin: Uint8Array, length = begin.length): Words => ({ begin, length });

const tcpTalks: readonly (readonly [client: Words, server: Words])[] = [
  [says(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0), 517), says(Uint8Array.of(0x16, 3, 3, 0, 122, 2, 0), 400)],
  [
    says(text('GET /index.html HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Mozilla/5.0\r\n\r\n')),
    says(text('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>'), 480),
  ],
  [says(text('SSH-2.0-OpenSSH_9.2\r\n')), says(text('SSH-2.0-OpenSSH_9.2\r\n'))],
  [says(Uint8Array.of(0x91, 0x5c, 0x77, 0xe3), 300), says(Uint8Array.of(0xd3, 0x09, 0xaf), 128)],
  [says(text('\x13BitTorrent protocol'), 68), says(text('\x13BitTorrent protocol'), 68)],
];

const udpTalks: readonly (readonly [client: Words, server: Words])[] = [
  [
    says(text('\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01')),
    says(text('\x12\x34\x81\x80\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x01\0\x01')),
  ],
  [says(Uint8Array.of(0xc3, 0, 0, 0, 1, 8, 1, 2, 3), 500), says(Uint8Array.of(0x43, 9, 8, 7), 300)],
  [
    says(text('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe')),
    says(text('d1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re')),
  ],
  [
    says(Uint8Array.of(0x41, 0, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0)),
    says(Uint8Array.of(0x21, 0, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0x10, 0, 0, 7, 7, 0, 1)),
  ],
  [
    says(Uint8Array.of(0x80, 0x60, 0x12, 0x34, 0, 0, 1), 172),
    says(Uint8Array.of(0x80, 0x60, 9, 9, 0, 0, 2), 172),
  ],
  [says(Uint8Array.of(0x91, 0x5c, 0x77, 0xe3), 20), says(Uint8Array.of(0x91, 0x5c, 0x77, 0xe3), 20)],
];

/** Lengths of datagrams and segments of which every packet begins with other bytes. */
const wildLengths = [8, 12, 20, 44, 96, 104, 300, 1200];

export interface RehearsalPacket {
  readonly bytes: Uint8Array;
  /** Place of the client's port. */
  readonly clientPortAt: number;
  /** Place of the payload if it is to begin with other bytes each time, else -1. */
  readonly wildAt: number;
}

function ipHeader(
  version: 4 | 6,
  protocol: number,
  ends: readonly [number, number],
  length: number,
): number[] {
  const half = (number: number): number[] => [number >> 8, number & 0xff];
  if (version === 4) {
    const [from, to] = ends.map((end) => [192, 0, 2, end]) as [number[], number[]];
    return [0x45, 0, ...half(20 + length), 0, 0, 0, 0, 64, protocol, 0, 0, ...from, ...to];
  }
  const address = (end: number): number[] => [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end];
  return [0x60, 0, 0, 0, ...half(length), protocol, 64, ...ends.flatMap(address)];
}

/** One packet of talk number `index`, which has addresses and ports of its own. */
function packetOf(
  ...[version, protocol, index, fromServer, flags, words]: readonly [
    4 | 6,
    number,
    number,
    boolean,
    number,
    Words | number,
  ]
): RehearsalPacket {
  const wild = typeof words === 'number';
  const { begin, length } = wild ? says(nothing, words) : words;
  const client = [0x80, 2 * index];
  const server = [0x20, 2 * index + 1];
  const ports = fromServer ? [...server, ...client] : [...client, ...server];
  const size = (protocol === tcp ? 20 : 8) + length;
  const transport =
    protocol === tcp
      ? [
          0,
          0,
          0,
          (flags & tcpSyn) === 0 ? 1 : 0,
          0,
          0,
          0,
          flags === tcpSyn ? 0 : 1,
          0x50,
          flags,
          0xff,
          0xff,
          0,
          0,
          0,
          0,
        ]
      : [size >> 8, size & 0xff, 0, 0];
  const ends: [number, number] = [2 * index + 1, 2 * index + 2];
  if (fromServer) ends.reverse();
  const ip = ipHeader(version, protocol, ends, size);
  const head = [...ip, ...ports, ...transport];
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  for (let i = 0; i < length; i++) bytes[head.length + i] = begin[i] ?? (i * 167 + index * 31) & 0xff;
  return { bytes, clientPortAt: ip.length + (fromServer ? 2 : 0), wildAt: wild ? head.length : -1 };
}

/** Each talk's packets in their order, over IPv4 and one over IPv6, and wild ones. */
export function rehearsalPackets(): RehearsalPacket[] {
  const packets: RehearsalPacket[] = [];
  for (const [index, [client, server]] of [...tcpTalks, tcpTalks[0]!].entries()) {
    const version = index < tcpTalks.length ? 4 : 6;
    const add = (fromServer: boolean, flags: number, words: Words): unknown =>
      packets.push(packetOf(version, tcp, index, fromServer, flags, words));
    add(false, tcpSyn, says(nothing));
    add(true, tcpSynAck, says(nothing));
    add(false, tcpAck, client);
    add(true, tcpAck, server);
    add(false, tcpFinAck, says(nothing));
  }
  const first = tcpTalks.length + 1;
  for (const [index, [client, server]] of [...udpTalks, udpTalks[0]!].entries()) {
    const version = index < udpTalks.length ? 4 : 6;
    packets.push(packetOf(version, udp, first + index, false, 0, client));
    packets.push(packetOf(version, udp, first + index, true, 0, server));
  }
  for (const [i, length] of wildLengths.entries()) {
    const index = first + udpTalks.length + 1 + i;
    packets.push(packetOf(4, udp, index, false, 0, length), packetOf(4, udp, index, true, 0, length));
    packets.push(
      packetOf(4, tcp, index, false, tcpAck, length),
      packetOf(4, tcp, index, true, tcpAck, length),
    );
  }
  // Words that nobody answers.
  const last = first + udpTalks.length + 1 + wildLengths.length;
  for (const [i, fromServer] of [false, true].entries()) {
    packets.push(packetOf(4, udp, last + i, fromServer, 0, wildLengths[0]!));
    packets.push(packetOf(4, tcp, last + i, fromServer, tcpAck, wildLengths[0]!));
  }
  return packets;
}
