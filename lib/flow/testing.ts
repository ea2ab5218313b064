/** Test support: packets as decode would leave them, without bytes of headers. */
import { parseAddress } from '../wire/address.js';
import { Ok, Packet, protocolTcp, protocolUdp } from '../wire/packet.js';

export interface FakePacket {
  readonly proto?: 'tcp' | 'udp';
  /** Address, a colon-free IPv4 or an IPv6 address. */
  readonly from: readonly [string, number];
  readonly to: readonly [string, number];
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledgement?: number;
  readonly payload?: Uint8Array;
  /** Payload length on the wire if the capture was cut. */
  readonly wireLength?: number;
  /** Outer addresses of a tunnel (GRE, or VXLAN with its network id). */
  readonly tunnel?: readonly [string, string, number?];
}

const none = new Uint8Array(0);

function words(address: string): [number, number, number, number] {
  const parsed = parseAddress(address);
  if (parsed === null) throw new Error(`not an address: ${address}`);
  return [parsed[0]!, parsed[1] ?? 0, parsed[2] ?? 0, parsed[3] ?? 0];
}

/** A decoded packet (outcome Ok). */
export function fakePacket(fake: FakePacket): Packet {
  const packet = new Packet();
  const payload = fake.payload ?? none;
  packet.outcome = Ok;
  packet.bytes = payload;
  packet.ipVersion = fake.from[0].includes(':') ? 6 : 4;
  packet.protocol = fake.proto === 'udp' ? protocolUdp : protocolTcp;
  [packet.source0, packet.source1, packet.source2, packet.source3] = words(fake.from[0]);
  [packet.destination0, packet.destination1, packet.destination2, packet.destination3] = words(fake.to[0]);
  packet.sourcePort = fake.from[1];
  packet.destinationPort = fake.to[1];
  packet.tcpFlags = fake.flags ?? 0x18;
  packet.sequence = (fake.sequence ?? 0) | 0;
  packet.acknowledgement = (fake.acknowledgement ?? 0) | 0;
  packet.payloadEnd = payload.length;
  packet.payloadWireLength = fake.wireLength ?? payload.length;
  if (fake.tunnel !== undefined) {
    packet.depth = 1;
    packet.tunnel = 5;
    const [from, to, networkId] = fake.tunnel;
    packet.outerVersion = from.includes(':') ? 6 : 4;
    packet.outerProtocol = networkId === undefined ? 47 : 17;
    packet.tunnelId = networkId ?? 0;
    [packet.outerSource0, packet.outerSource1, packet.outerSource2, packet.outerSource3] = words(from);
    [packet.outerDestination0, packet.outerDestination1, packet.outerDestination2, packet.outerDestination3] =
      words(to);
  }
  return packet;
}
