/**
 * The engine: finds the flow of a decoded packet, counts it, has its payload inspected while the flow is undecided, and
 * answers with the standing verdict. The same for a capture file, a mirror port and the inline filter; time comes from
 * the packet, so a replay decides as the wire did. No allocation, exception or log per packet.
 */
import {
  bytesOf,
  numberStride,
  flagBaseClient,
  flagClientIsA,
  flagDone,
  flagFinClient,
  flagPayload,
  flagRenumbered,
  flagReset,
  flagSynClient,
  flagTraced,
  FlowTable,
  lastSeen,
  packetsOf,
  payloadBytes,
  sBase,
  sFlags,
  wordStride,
  sVerdict,
} from '../flow/table.js';
import { protocolTcp, tcpAck, tcpFin, tcpRst, tcpSyn, type Packet } from '../wire/packet.js';
import { Inspector, type Tracer } from './inspect.js';
import type { Registry } from './registry.js';
import type { EncryptedMode } from './policy.js';
import type { SwarmWatch } from './swarm-watch.js';
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
  /**
   * After the verdict, go on asking for an info-hash and the client's name while the detectors' budget lasts. For reports;
   * an inline filter has nothing to gain from it.
   */
  readonly details?: boolean;
  /** Memory of the swarm; without it every flow stands for itself. */
  readonly swarm?: SwarmWatch;
  /** What is done about encrypted connections; 'corroborated' when left out. */
  readonly encrypted?: EncryptedMode;
  /** Ask the memory once more about a flow that ends undecided. For reports: inline that comes too late. */
  readonly reconsiders?: boolean;
}

export class Engine {
  readonly registry: Registry;
  readonly flows: FlowTable;
  readonly inspector: Inspector;
  /** Row of the flow that the last packet belonged to. */
  slot = -1;
  readonly #tracer: Tracer | null;

  constructor(options: EngineOptions) {
    this.registry = options.registry;
    this.#tracer = options.tracer ?? null;
    this.flows = new FlowTable({
      flowsMax: options.flowsMax,
      hashSeed: options.hashSeed,
      onEnd: (slot) => {
        if (options.reconsiders === true)
          this.inspector.reconsider(slot, this.flows.numbers[slot * numberStride + lastSeen]!);
        options.onEnd(this, slot);
        this.inspector.forget(slot);
      },
    });
    this.inspector = new Inspector(
      options.registry,
      this.flows,
      this.#tracer,
      options.details ?? false,
      options.swarm ?? null,
      options.encrypted ?? 'corroborated',
    );
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
    if (slot >= 0) {
      // The sweep of `age` meets a flow sooner or later; that must not decide whether it is still the same flow.
      const idle = flows.isIdle(slot, packet);
      if (idle || (packet.protocol === protocolTcp && this.#isNewConnection(packet, slot))) {
        if (!idle) this.inspector.beginnings.keep(slot);
        flows.end(slot, idle ? 'idle' : 'closed');
        slot = -1;
      }
    }
    if (slot < 0) slot = this.#newFlow(packet, frame, file);
    this.slot = slot;
    const s = slot * wordStride;
    const n = slot * numberStride;
    const words = flows.words;
    const numbers = flows.numbers;
    const side = flows.fromA === ((words[s + sFlags]! & flagClientIsA) !== 0) ? 0 : 1;
    numbers[n + lastSeen] = packet.timeMicros;
    numbers[n + bytesOf + side]! += wireBytes;
    words[s + packetsOf + side]! += 1;
    if (packet.protocol === protocolTcp) this.#followTcp(packet, s, side);
    // A flow about which nothing is asked any more costs no second cache line.
    if (packet.payloadWireLength > 0 && (words[s + sFlags]! & flagDone) === 0) {
      if (packet.payloadEnd > packet.payloadStart) {
        const sighting = this.inspector.sighting;
        sighting.side = side;
        sighting.frame = frame;
        sighting.file = file;
        sighting.timeMicros = packet.timeMicros;
        sighting.packet = (words[s + packetsOf]! + words[s + packetsOf + 1]!) | 0;
        this.inspector.inspect(packet, slot, side);
        if (packet.protocol === protocolTcp) this.inspector.followBeginning(packet, slot, side);
      }
      words[s + sFlags]! |= flagPayload;
      numbers[n + payloadBytes]! += packet.payloadWireLength;
    }
    return (words[s + sVerdict]! & 0xff) as VerdictCode;
  }

  #newFlow(packet: Packet, frame: number, file: number): number {
    const slot = this.flows.insert(packet, frame, file);
    this.inspector.begin(slot, packet.protocol);
    if (packet.protocol === protocolTcp && this.inspector.beginnings.begin(slot))
      this.flows.words[slot * wordStride + sFlags]! |= flagRenumbered;
    if (this.#tracer?.wants(packet, frame) === true)
      this.flows.words[slot * wordStride + sFlags]! |= flagTraced;
    return slot;
  }

  /** A SYN with another sequence number than the flow's own begins a new connection on a reused five-tuple. */
  #isNewConnection(packet: Packet, slot: number): boolean {
    if ((packet.tcpFlags & tcpSyn) === 0) return false;
    const s = slot * wordStride;
    const words = this.flows.words;
    const flags = words[s + sFlags]!;
    const side = this.flows.fromA === ((flags & flagClientIsA) !== 0) ? 0 : 1;
    const baseKnown = (flags & (flagBaseClient << side)) !== 0;
    const same = baseKnown && ((packet.sequence + 1) | 0) === words[s + sBase + side];
    if ((packet.tcpFlags & tcpAck) !== 0) {
      // Only the server's direction may be captured: its next SYN with ACK after a close is another connection.
      return baseKnown && !same && (flags & ((flagFinClient << side) | flagReset)) !== 0;
    }
    // A flow of which no SYN was seen is what was left of an older connection. (Simultaneous open: the other side's SYN was.)
    const anySyn = (flags & (flagSynClient | (flagSynClient << 1))) !== 0;
    return !same && (baseKnown || !anySyn || (flags & (flagPayload | flagReset)) !== 0);
  }

  /** Notes SYN, FIN and RST, and where the stream of this side begins. */
  #followTcp(packet: Packet, s: number, side: number): void {
    const words = this.flows.words;
    const tcpFlags = packet.tcpFlags;
    if ((tcpFlags & (tcpSyn | tcpFin | tcpRst)) !== 0) {
      if ((tcpFlags & tcpSyn) !== 0 && (words[s + sFlags]! & (flagBaseClient << side)) === 0) {
        words[s + sFlags]! |= (flagSynClient | flagBaseClient) << side;
        words[s + sBase + side] = (packet.sequence + 1) | 0;
        // Where only the server's direction is seen, its answer says where the client's stream begins.
        if ((tcpFlags & tcpAck) !== 0 && (words[s + sFlags]! & (flagBaseClient << (1 - side))) === 0) {
          words[s + sFlags]! |= flagBaseClient << (1 - side);
          words[s + sBase + 1 - side] = packet.acknowledgement;
        }
      }
      if ((tcpFlags & tcpSyn) !== 0) {
        const first = (packet.sequence + 1) | 0;
        this.inspector.beginnings.syn(s / wordStride, this.flows.fromA ? 0 : 1, first);
        if (words[s + sBase + side] !== first) words[s + sFlags]! |= flagRenumbered;
      }
      if ((tcpFlags & tcpFin) !== 0) words[s + sFlags]! |= flagFinClient << side;
      if ((tcpFlags & tcpRst) !== 0) words[s + sFlags]! |= flagReset;
    }
    if (packet.payloadWireLength > 0 && (words[s + sFlags]! & (flagBaseClient << side)) === 0) {
      words[s + sFlags]! |= flagBaseClient << side;
      words[s + sBase + side] = packet.sequence;
    }
  }
}
