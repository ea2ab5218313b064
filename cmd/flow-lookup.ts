/** A flow named by its two ends, as a packet that the flow table can look for. */
import { parseAddress } from '../lib/wire/address.js';
import { Ok, Packet, protocolTcp, protocolUdp } from '../lib/wire/packet.js';
import type { FlowEnds } from '../lib/report/decision-list.js';

/** A packet from end a to end b; null if these are not two addresses of one family. */
export function packetBetween(ends: FlowEnds, proto = ends.proto ?? 'tcp'): Packet | null {
  const source = parseAddress(ends.a);
  const destination = parseAddress(ends.b);
  if (source === null || destination?.length !== source.length) return null;
  const packet = new Packet();
  packet.outcome = Ok;
  packet.ipVersion = source.length === 1 ? 4 : 6;
  packet.protocol = proto === 'tcp' ? protocolTcp : protocolUdp;
  packet.source0 = source[0]!;
  packet.source1 = source[1] ?? 0;
  packet.source2 = source[2] ?? 0;
  packet.source3 = source[3] ?? 0;
  packet.destination0 = destination[0]!;
  packet.destination1 = destination[1] ?? 0;
  packet.destination2 = destination[2] ?? 0;
  packet.destination3 = destination[3] ?? 0;
  packet.sourcePort = ends.a_port;
  packet.destinationPort = ends.b_port;
  return packet;
}
