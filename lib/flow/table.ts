/**
 * The flow table: every flow that is being watched, in one block of memory, so that a packet finds its flow in tens of
 * nanoseconds and nothing is ever allocated after construction.
 *
 *     heads[hash] ──> slot ──> slot ──> -1          one chain per bucket
 *
 *     a link    2 x int32   | whole hash | next slot of the chain |
 *     a row     192 bytes    | see row.ts |
 *     outer     14 x int32   | see outer.ts, written only for tunnelled flows |
 *
 * A packet of a decided IPv4 flow touches one line: with many flows the memory's latency is most of the cost. That is also
 * why the chains go through links, which are small enough for a cache: rows of other flows are not read. A and B are the
 * two endpoints in a fixed order (address words, then port), so both directions find the same slot; the flag ClientIsA
 * says which of them opened the flow.
 *
 * When full: of `sampleSlots` slots under a moving hand the least valuable is ended: first a flow that was never
 * answered, then the one idle for longest. A flood of single packets therefore pushes out other single packets.
 */
import { invariant } from '../invariant.js';
import {
  flowsMaxHighest,
  flowsMaxLowest,
  idleClosedSeconds,
  idleTcpSeconds,
  idleUdpSeconds,
  idleUnansweredTcpSeconds,
  idleUnansweredUdpSeconds,
  unansweredPacketsMax,
} from '../limits.js';
import { protocolTcp, tcpAck, tcpSyn, type Packet } from '../wire/packet.js';
import { outerStride, sameTunnel, tunnelKey, writeOuter } from './outer.js';
import {
  firstSeen,
  flagAction,
  flagClientIsA,
  flagFinClient,
  flagFinServer,
  flagOffloaded,
  flagPayload,
  flagReported,
  flagReset,
  flagTunnelled,
  flagUsed,
  keyA,
  keyB,
  keyMeta,
  keyPorts,
  keyRestA,
  keyRestB,
  keyTunnel,
  lastSeen,
  numberStride,
  packetsOf,
  sEvidence,
  sFile,
  sFirstFrame,
  sFlags,
  sNoted,
  sOpening,
  sVerdict,
  wordStride,
} from './row.js';

export * from './row.js';
export { outerStride } from './outer.js';

/** Why a flow ended; valid while onEnd runs. */
export type Ending = 'closed' | 'idle' | 'evicted' | 'end-of-input';

const rowsAt = 48;
/** Words of a link: hash, and next slot of the same chain or -1. */
const linkStride = 2;
/**
 * Flows that differ in nothing but their tunnels; one more ends the oldest. Outer addresses and networks are the sender's
 * to choose, and thousands of equal keys would make a chain of thousands.
 */
const alikeMax = 8;
const sampleSlots = 16;
const sweepSlots = 32;

export interface FlowTableOptions {
  /** Flows at once, limits.flowsMaxLowest to limits.flowsMaxHighest. */
  readonly flowsMax: number;
  /** Secret of the hash, so that nobody can aim at one chain. */
  readonly hashSeed: number;
  readonly idleTcpSeconds?: number;
  readonly idleUdpSeconds?: number;
  /** Called for each flow that ends, while its slot is still whole. */
  readonly onEnd: (slot: number) => void;
}

export class FlowTable {
  readonly capacity: number;
  /** All rows, as words and as doubles of the same memory. */
  readonly words: Int32Array;
  readonly numbers: Float64Array;
  readonly outer: Int32Array;
  /** Set by `find`: the packet came from endpoint A. */
  fromA = false;
  /** Why the flow that onEnd is told about ended. */
  ending: Ending = 'end-of-input';
  /** Flows in the table now. */
  size = 0;
  /** Flows ended early because the table was full. */
  evicted = 0;

  readonly #heads: Int32Array;
  readonly #links: Int32Array;
  readonly #mask: number;
  readonly #seed: number;
  readonly #multiplier: number;
  readonly #secret: number;
  readonly #onEnd: (slot: number) => void;
  readonly #idleTcp: number;
  readonly #idleUdp: number;
  readonly #free: Int32Array;
  #freeCount = 0;
  #highWater = 0;
  #hand = 0;
  #endCursor = 0;
  #hash = 0;
  /** The flow that makes room for the one that `find` did not find, because too many are alike; else -1. */
  #crowded = -1;

  /** @throws InvariantError if flowsMax is outside its limits. */
  constructor(options: FlowTableOptions) {
    const { flowsMax } = options;
    invariant(
      flowsMax >= flowsMaxLowest && flowsMax <= flowsMaxHighest,
      `flowsMax out of range: ${flowsMax}`,
    );
    this.capacity = flowsMax;
    // Twice as many as flows: a chain is seldom longer than one link.
    const buckets = 2 << (32 - Math.clz32(flowsMax - 1));
    this.#mask = buckets - 1;
    this.#heads = new Int32Array(buckets).fill(-1);
    this.#links = new Int32Array(flowsMax * linkStride);
    // Large blocks of glibc begin 16 bytes into a page; 48 further a row begins where a cache line does.
    const memory = new ArrayBuffer(rowsAt + flowsMax * wordStride * 4);
    this.words = new Int32Array(memory, rowsAt, flowsMax * wordStride);
    this.numbers = new Float64Array(memory, rowsAt, flowsMax * numberStride);
    this.outer = new Int32Array(flowsMax * outerStride);
    this.#free = new Int32Array(flowsMax);
    this.#seed = options.hashSeed | 0;
    this.#multiplier = Math.imul(options.hashSeed ^ (options.hashSeed >>> 15), 0x2c1b3c6d) | 1;
    this.#secret = Math.imul(options.hashSeed + 0x3c6ef372, 0x85ebca6b) | 1;
    this.#onEnd = options.onEnd;
    this.#idleTcp = (options.idleTcpSeconds ?? idleTcpSeconds) * 1e6;
    this.#idleUdp = (options.idleUdpSeconds ?? idleUdpSeconds) * 1e6;
  }

  /** The slot of the packet's flow, or -1. Sets `fromA`; `insert` may follow only for this packet. */
  find(packet: Packet): number {
    const forward = this.#isForward(packet);
    this.fromA = forward;
    const meta = packet.protocol | (packet.ipVersion << 8);
    const ports = forward
      ? (packet.sourcePort << 16) | packet.destinationPort
      : (packet.destinationPort << 16) | packet.sourcePort;
    const tunnel = packet.depth === 0 ? 0 : tunnelKey(packet);
    const hash = this.#hashOf(packet, meta, ports, tunnel, forward);
    this.#hash = hash;
    this.#crowded = -1;
    const words = this.words;
    const links = this.#links;
    let anyNetwork = false;
    for (;;) {
      let alike = 0;
      let oldest = -1;
      let slot = this.#heads[hash & this.#mask]!;
      while (slot >= 0) {
        const k = slot * wordStride;
        const link = slot * linkStride;
        if (
          links[link] === hash &&
          words[k + keyPorts] === ports &&
          words[k + keyMeta] === meta &&
          words[k + keyTunnel] === tunnel &&
          this.#sameAddresses(packet, k, forward)
        ) {
          if (tunnel === 0 || sameTunnel(this.outer, slot, packet, anyNetwork)) return slot;
          alike++;
          oldest = slot;
        }
        slot = links[link + 1]!;
      }
      // The other direction of a tunnel may name another network: asked only when nobody has this one.
      if (tunnel === 0 || packet.tunnelId === 0 || anyNetwork) {
        if (alike >= alikeMax) this.#crowded = oldest;
        return -1;
      }
      anyNetwork = true;
    }
  }

  /** Makes a flow of the packet that `find` did not find; ends another one when the table is full. */
  insert(packet: Packet, frame: number, file: number): number {
    if (this.#crowded >= 0) {
      this.evicted++;
      this.end(this.#crowded, 'evicted');
    } else if (this.size === this.capacity) this.#evict(packet);
    const slot = this.#freeCount > 0 ? this.#free[--this.#freeCount]! : this.#highWater++;
    this.size++;
    const words = this.words;
    const k = slot * wordStride;
    // An explicit loop over the doubles: TypedArray.fill is a call into the runtime, dearer than these 24 stores.
    const n = slot * numberStride;
    for (let i = 0; i < numberStride; i++) this.numbers[n + i] = 0;
    this.#writeKey(packet, k);
    this.#link(slot);
    this.numbers[n + firstSeen] = packet.timeMicros;
    this.numbers[n + lastSeen] = packet.timeMicros;
    const clientIsA = sourceIsClient(packet) === this.fromA;
    words[k + sFlags] = flagUsed | (clientIsA ? flagClientIsA : 0) | (packet.depth > 0 ? flagTunnelled : 0);
    words[k + sVerdict] = 255 << 16;
    words[k + sOpening] = -1;
    words[k + sOpening + 1] = -1;
    words[k + sEvidence] = -1;
    words[k + sNoted] = packet.tunnel << 16;
    words[k + sFirstFrame] = frame;
    words[k + sFile] = file;
    if (packet.depth > 0) writeOuter(this.outer, slot, packet, clientIsA === this.fromA);
    return slot;
  }

  /** Ends a flow: hands it to onEnd and frees its slot. */
  end(slot: number, why: Ending): void {
    this.ending = why;
    this.#onEnd(slot);
    this.#unlink(slot);
    this.words[slot * wordStride + sFlags] = 0;
    this.#free[this.#freeCount++] = slot;
    this.size--;
  }

  /** Flows in the longest chain: a hash that can be aimed at shows here. Walks everything; for tests and diagnosis. */
  longestChain(): number {
    let longest = 0;
    for (const head of this.#heads) {
      let length = 0;
      for (let slot = head; slot >= 0; slot = this.#links[slot * linkStride + 1]!) length++;
      longest = Math.max(longest, length);
    }
    return longest;
  }

  /** Looks at a few slots under the moving hand and ends what was idle too long at the packet's time. About once per batch. */
  age(packet: Packet): void {
    const count = Math.min(sweepSlots, this.#highWater);
    for (let i = 0; i < count; i++) {
      const slot = this.#advance();
      if ((this.words[slot * wordStride + sFlags]! & flagUsed) !== 0 && this.isIdle(slot, packet)) {
        this.end(slot, this.#isClosed(slot) ? 'closed' : 'idle');
      }
    }
  }

  /** True if the flow has been silent for longer than its kind may be. A clock that runs backwards ends nothing. */
  isIdle(slot: number, packet: Packet): boolean {
    const silence = packet.timeMicros - this.numbers[slot * numberStride + lastSeen]!;
    // Most flows that are asked about are not even that old: their other words need not be read.
    if (silence <= idleClosedSeconds * 1e6) return false;
    const s = slot * wordStride;
    if ((this.words[s + sFlags]! & flagOffloaded) !== 0 || this.#isClosed(slot)) return true;
    const tcp = (this.words[s + keyMeta]! & 0xff) === protocolTcp;
    if (this.#isUnanswered(s, tcp))
      return silence > (tcp ? idleUnansweredTcpSeconds : idleUnansweredUdpSeconds) * 1e6;
    return silence > (tcp ? this.#idleTcp : this.#idleUdp);
  }

  /**
   * Few packets of one side, about which nothing is known. Where only one direction is captured nothing is answered, but
   * what goes on there soon has more packets; and what was decided, or nearly, must not be so anew with each packet. Of TCP
   * only flows without payload: the inline filter does not see what acknowledges it.
   */
  #isUnanswered(s: number, tcp: boolean): boolean {
    const { words } = this;
    if (tcp && (words[s + sFlags]! & flagPayload) !== 0) return false;
    const client = words[s + packetsOf]!;
    const server = words[s + packetsOf + 1]!;
    if ((client !== 0 && server !== 0) || client + server > unansweredPacketsMax) return false;
    return (words[s + sFlags]! & (flagAction | flagReported)) === 0 && words[s + sEvidence]! < 0;
  }

  /**
   * Ends up to `limit` flows, in the order of their slots, which is that of their first packets unless slots were
   * reused. True when the table is empty and ready for another world; call again otherwise, with nothing in between.
   */
  endAll(limit = 0x7fffffff): boolean {
    const used = this.#highWater;
    // Many chains at once are cleared as a whole; following each to its slot would touch memory at random.
    const inBulk = used > this.#heads.length >> 4;
    let left = limit;
    for (; this.#endCursor < used; this.#endCursor++) {
      const slot = this.#endCursor;
      const flags = slot * wordStride + sFlags;
      if ((this.words[flags]! & flagUsed) === 0) continue;
      if (left-- === 0) return false;
      this.ending = this.#isClosed(slot) ? 'closed' : 'end-of-input';
      this.#onEnd(slot);
      if (!inBulk) this.#unlink(slot);
      this.words[flags] = 0;
      this.size--;
    }
    if (inBulk) this.#heads.fill(-1);
    this.#endCursor = 0;
    this.#highWater = 0;
    this.#freeCount = 0;
    this.#hand = 0;
    return true;
  }

  /** FIN from both sides, or RST from one. */
  #isClosed(slot: number): boolean {
    const flags = this.words[slot * wordStride + sFlags]!;
    const bothFin = flagFinClient | flagFinServer;
    return (flags & flagReset) !== 0 || (flags & bothFin) === bothFin;
  }

  #advance(): number {
    const slot = this.#hand;
    this.#hand = slot + 1 >= this.#highWater ? 0 : slot + 1;
    return slot;
  }

  #evict(packet: Packet): void {
    let worst = -1;
    let worstScore = -1;
    for (let i = 0; i < sampleSlots; i++) {
      const slot = this.#advance();
      const k = slot * wordStride;
      const answered = this.words[k + packetsOf] !== 0 && this.words[k + packetsOf + 1] !== 0;
      const idle = Math.max(0, packet.timeMicros - this.numbers[slot * numberStride + lastSeen]!);
      const score = idle + (answered ? 0 : 1e12);
      if (score > worstScore) {
        worstScore = score;
        worst = slot;
      }
    }
    this.evicted++;
    this.end(worst, 'evicted');
  }

  #link(slot: number): void {
    const bucket = this.#hash & this.#mask;
    this.#links[slot * linkStride] = this.#hash;
    this.#links[slot * linkStride + 1] = this.#heads[bucket]!;
    this.#heads[bucket] = slot;
  }

  #unlink(slot: number): void {
    const links = this.#links;
    const bucket = links[slot * linkStride]! & this.#mask;
    const next = links[slot * linkStride + 1]!;
    let at = this.#heads[bucket]!;
    if (at === slot) {
      this.#heads[bucket] = next;
      return;
    }
    while (links[at * linkStride + 1] !== slot) at = links[at * linkStride + 1]!;
    links[at * linkStride + 1] = next;
  }

  /** True if the source is endpoint A: the lower address, then the lower port. */
  #isForward(packet: Packet): boolean {
    if (packet.source0 !== packet.destination0) return packet.source0 < packet.destination0;
    if (packet.source1 !== packet.destination1) return packet.source1 < packet.destination1;
    if (packet.source2 !== packet.destination2) return packet.source2 < packet.destination2;
    if (packet.source3 !== packet.destination3) return packet.source3 < packet.destination3;
    return packet.sourcePort <= packet.destinationPort;
  }

  #sameAddresses(packet: Packet, k: number, forward: boolean): boolean {
    const words = this.words;
    return (
      words[k + (forward ? keyA : keyB)] === packet.source0 &&
      words[k + (forward ? keyB : keyA)] === packet.destination0 &&
      (packet.ipVersion === 4 ||
        this.#sameRest(packet, k + (forward ? keyRestA : keyRestB), k + (forward ? keyRestB : keyRestA)))
    );
  }

  #sameRest(packet: Packet, source: number, destination: number): boolean {
    const words = this.words;
    return (
      words[source] === packet.source1 &&
      words[source + 1] === packet.source2 &&
      words[source + 2] === packet.source3 &&
      words[destination] === packet.destination1 &&
      words[destination + 1] === packet.destination2 &&
      words[destination + 2] === packet.destination3
    );
  }

  /** Every word on its own, in the order A, B: sums or differences of the two would let a sender aim at one chain. */
  #hashOf(packet: Packet, meta: number, ports: number, tunnel: number, forward: boolean): number {
    const m = this.#multiplier;
    const secret = this.#secret;
    let h = mix(this.#seed ^ ports, meta ^ tunnel, m, secret);
    h = mix(h, forward ? packet.source0 : packet.destination0, m, secret);
    h = mix(h, forward ? packet.destination0 : packet.source0, m, secret);
    if (packet.ipVersion !== 4) {
      h = mix(h, forward ? packet.source1 : packet.destination1, m, secret);
      h = mix(h, forward ? packet.source2 : packet.destination2, m, secret);
      h = mix(h, forward ? packet.source3 : packet.destination3, m, secret);
      h = mix(h, forward ? packet.destination1 : packet.source1, m, secret);
      h = mix(h, forward ? packet.destination2 : packet.source2, m, secret);
      h = mix(h, forward ? packet.destination3 : packet.source3, m, secret);
    }
    return h ^ (h >>> 15);
  }

  #writeKey(packet: Packet, k: number): void {
    const words = this.words;
    const forward = this.fromA;
    words[k + keyMeta] = packet.protocol | (packet.ipVersion << 8);
    words[k + keyPorts] = forward
      ? (packet.sourcePort << 16) | packet.destinationPort
      : (packet.destinationPort << 16) | packet.sourcePort;
    words[k + (forward ? keyA : keyB)] = packet.source0;
    words[k + (forward ? keyB : keyA)] = packet.destination0;
    const source = k + (forward ? keyRestA : keyRestB);
    const destination = k + (forward ? keyRestB : keyRestA);
    words[source] = packet.source1;
    words[source + 1] = packet.source2;
    words[source + 2] = packet.source3;
    words[destination] = packet.destination1;
    words[destination + 1] = packet.destination2;
    words[destination + 2] = packet.destination3;
    words[k + keyTunnel] = packet.depth === 0 ? 0 : tunnelKey(packet);
  }
}

/**
 * A round in the manner of murmur3, but each word is first scrambled with secret odd multipliers, before and behind the
 * rotation. A difference in its highest bit passes the first unchanged; the rotation takes it to where the second spreads
 * it. With public constants, two words can be chosen whose differences cancel whatever the seed and the last multiplier,
 * and all of a sender's flows would share one chain.
 */
function mix(h: number, value: number, multiplier: number, secret: number): number {
  let k = Math.imul(value, secret);
  k = (k << 15) | (k >>> 17);
  h ^= Math.imul(k, multiplier ^ (secret << 1));
  h = (h << 13) | (h >>> 19);
  h = (Math.imul(h, multiplier) + 0x6546b64) | 0;
  return h ^ (h >>> 16);
}

/**
 * Who opened the flow, told from its first seen packet: a SYN comes from the client, a SYN with ACK from the server;
 * otherwise a well-known port on one side only is the server's, and else the first sender is the client.
 */
function sourceIsClient(packet: Packet): boolean {
  if (packet.protocol === protocolTcp && (packet.tcpFlags & tcpSyn) !== 0)
    return (packet.tcpFlags & tcpAck) === 0;
  const wellKnownSource = packet.sourcePort < 1024;
  const wellKnownDestination = packet.destinationPort < 1024;
  return wellKnownSource === wellKnownDestination || wellKnownDestination;
}
