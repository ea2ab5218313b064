/**
 * The engine: finds the flow of a decoded packet, counts it, has its payload inspected while the flow is undecided, and
 * answers with the standing verdict. The same for a capture file, a mirror port and the inline filter; time comes from
 * the packet, so a replay decides as the wire did. No allocation, exception or log per packet.
 */
import {
  bytesOf,
  counterStride,
  flagBaseClient,
  flagClientIsA,
  flagDone,
  flagFinClient,
  flagPayload,
  flagReset,
  flagSynClient,
  flagTraced,
  FlowTable,
  lastSeen,
  packetsOf,
  payloadBytes,
  sBase,
  sFlags,
  stateStride,
  sVerdict,
} from '../flow/table.js';
import { protocolTcp, tcpAck, tcpFin, tcpRst, tcpSyn, type Packet } from '../wire/packet.js';
import { Inspector, type Tracer } from './inspect.js';
import type { Registry } from './registry.js';
import type { VerdictCode } from './verdict.js';

export interface EngineOptions {
  readonly registry: Registry;
  /** Flows at once; see limits. */
  readonly flowsMax: number;
  /** Secret of the flow table's hash. */
  readonly hashSeed: number;
  /** Called for each flow that ends, while everything about it can still be read. */
  readonly onEnd: (engine: Engine, slot: number) => void;
  readonly tracer?: Tracer;
}

export class Engine {
  readonly registry: Registry;
  readonly flows: FlowTable;
  readonly inspector: Inspector;
  readonly #tracer: Tracer | null;

  constructor(options: EngineOptions) {
    this.registry = options.registry;
    this.#tracer = options.tracer ?? null;
    this.flows = new FlowTable({
      flowsMax: options.flowsMax,
      hashSeed: options.hashSeed,
      onEnd: (slot) => {
        options.onEnd(this, slot);
        this.inspector.forget(slot);
      },
    });
    this.inspector = new Inspector(options.registry, this.flows, this.#tracer);
  }

  /**
   * Takes one packet whose decode outcome was Ok, with its time set, and returns the standing verdict of its flow.
   * @param wireBytes length of the frame on the wire
   * @param frame number in its file, from 1
   * @param file index of the file, for reports
   */
  packet(packet: Packet, wireBytes: number, frame: number, file: number): VerdictCode {
    const flows = this.flows;
    let slot = flows.find(packet);
    if (slot >= 0 && packet.protocol === protocolTcp && this.#isNewConnection(packet, slot)) {
      flows.end(slot, 'closed');
      slot = flows.find(packet);
    }
    if (slot < 0) slot = this.#newFlow(packet, frame, file);
    const s = slot * stateStride;
    const c = slot * counterStride;
    const state = flows.state;
    const counters = flows.counters;
    const side = flows.fromA === ((state[s + sFlags]! & flagClientIsA) !== 0) ? 0 : 1;
    counters[c + lastSeen] = packet.timeMicros;
    counters[c + bytesOf + side]! += wireBytes;
    counters[c + packetsOf + side]! += 1;
    if (packet.protocol === protocolTcp) this.#followTcp(packet, s, side);
    const payload = packet.payloadWireLength;
    if (payload > 0) {
      if ((state[s + sFlags]! & flagDone) === 0 && packet.payloadEnd > packet.payloadStart) {
        const sighting = this.inspector.sighting;
        sighting.side = side;
        sighting.frame = frame;
        sighting.timeMicros = packet.timeMicros;
        sighting.packet = (counters[c + packetsOf]! + counters[c + packetsOf + 1]!) | 0;
        this.inspector.inspect(packet, slot, side);
      }
      state[s + sFlags]! |= flagPayload;
      counters[c + payloadBytes]! += payload;
    }
    return (state[s + sVerdict]! & 0xff) as VerdictCode;
  }

  #newFlow(packet: Packet, frame: number, file: number): number {
    const slot = this.flows.insert(packet, frame, file);
    this.inspector.begin(slot, packet.protocol);
    if (this.#tracer?.wants(packet, frame) === true)
      this.flows.state[slot * stateStride + sFlags]! |= flagTraced;
    return slot;
  }

  /** A SYN with another sequence number than the flow's own begins a new connection on a reused five-tuple. */
  #isNewConnection(packet: Packet, slot: number): boolean {
    if ((packet.tcpFlags & (tcpSyn | tcpAck)) !== tcpSyn) return false;
    const s = slot * stateStride;
    const state = this.flows.state;
    const flags = state[s + sFlags]!;
    const side = this.flows.fromA === ((flags & flagClientIsA) !== 0) ? 0 : 1;
    const baseKnown = (flags & (flagBaseClient << side)) !== 0;
    const same = baseKnown && ((packet.sequence + 1) | 0) === state[s + sBase + side];
    return !same && (baseKnown || (flags & (flagPayload | flagReset)) !== 0);
  }

  /** Notes SYN, FIN and RST, and where the stream of this side begins. */
  #followTcp(packet: Packet, s: number, side: number): void {
    const state = this.flows.state;
    const tcpFlags = packet.tcpFlags;
    if ((tcpFlags & (tcpSyn | tcpFin | tcpRst)) !== 0) {
      if ((tcpFlags & tcpSyn) !== 0 && (state[s + sFlags]! & (flagBaseClient << side)) === 0) {
        state[s + sFlags]! |= (flagSynClient | flagBaseClient) << side;
        state[s + sBase + side] = (packet.sequence + 1) | 0;
      }
      if ((tcpFlags & tcpFin) !== 0) state[s + sFlags]! |= flagFinClient << side;
      if ((tcpFlags & tcpRst) !== 0) state[s + sFlags]! |= flagReset;
    }
    if (packet.payloadWireLength > 0 && (state[s + sFlags]! & (flagBaseClient << side)) === 0) {
      state[s + sFlags]! |= flagBaseClient << side;
      state[s + sBase + side] = packet.sequence;
    }
  }
}
