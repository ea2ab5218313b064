/**
 * A worker rehearses before it opens its queue: a hundred thousand made-up packets through loops of its own, so that V8
 * has compiled the packet's way when the first real packet comes. Without it an idle router's packets run through the
 * interpreter for minutes.
 *
 * V8 compiles for the objects that it has seen, and throws the code away when it meets others. So everything here is of
 * the sort that a worker has (a memory of the swarm, an allow-list, the addon's counters), and what differs from one
 * worker to another (the queue) differs here too: two loops take turns. `rehearsal.test.ts` holds it to that.
 */
import type { AllowList } from '../lib/config/allow.js';
import { countersLength } from '../lib/engine/counters.js';
import { SwarmWatch } from '../lib/engine/swarm-watch.js';
import { EndpointMemory } from '../lib/flow/endpoint-memory.js';
import { HostEvidence } from '../lib/flow/host-evidence.js';
import { NfqueueCounters } from '../lib/io/nfqueue.js';
import {
  handOverAsked,
  handOverDone,
  QueueBatch,
  type PacketQueue,
  type QueueCounters,
} from '../lib/io/packet-queue.js';
import { counterNames } from '../lib/native/index.js';
import { linkRaw } from '../lib/wire/link.js';
import type { FilterLoopOptions } from './filter-loop-options.js';
import { FilterLoop } from './filter-loop.js';
import { rehearsalPackets } from './rehearsal-packets.js';
import { exemptBy } from './swarm-memory.js';

/**
 * Turns of each round, which has two loops of its own that share them. An object changes its form while it is used (numbers become
 * fractions), and code that was compiled for its owner ends when the next owner is made: the first rounds are there to
 * change what will change.
 */
const rounds = [150, 350, 1500];
/**
 * A slow machine rehearses less: the start must not wait for long. All workers rehearse at once, by default two on each
 * core (four on Arm): a quarter of a second alone, one second in four threads on two cores.
 */
const longestMillis = 2500;
const flowsMax = 128;
const rowsMax = 64;
/**
 * The loops of all rehearsals of this thread. V8's code knows the forms of the objects that it was compiled for only as
 * long as there are such objects: when these are collected, it goes with them.
 */
const kept: FilterLoop[] = [];
/** Turns that a flow lasts: longer than it is looked at. */
const flowTurns = 40;
const idleTurns = 50;
const turnMicros = 10_000;
/** The first turns of each round of `silentTurns` have few packets, as on a quiet path: others each time. */
const smallTurns = 4;
const smallTurnStep = 7;
const smallTurnStride = 5;
/** Now and then flows are silent for longer than a flow is believed without a look at its age, or unanswered (table.ts). */
const silentTurns = 16;
const silentMicros = 25e6;
const longerMicros = 45e6;
/** Longer than all that takes: an idle queue has the clock's time. */
const beginsBeforeMicros = 7.5e9;
const wildBytes = 8;

/** Gives the same packets out with other ports each time: flows that begin, go on and are let go. */
class RehearsalQueue implements PacketQueue {
  readonly batch: QueueBatch;
  /** The addon's, or those of the other queues, which count in the object itself. */
  readonly counters: QueueCounters;
  readonly #plain = { overruns: 0, stale: 0, malformed: 0, verdictMessages: 0 };
  /** Where the client's port is, which tells one flow from the next. */
  readonly #ports: readonly number[];
  /** Where payloads begin that begin differently each time. */
  readonly #wild: readonly number[];
  /** Where packets begin, and how long they are. */
  readonly #starts: readonly number[];
  readonly #lengths: readonly number[];
  readonly #beganMicros = Date.now() * 1000 - beginsBeforeMicros;
  #turn = 0;
  #random = 1;

  constructor(addon: boolean) {
    this.counters = addon ? new NfqueueCounters(new Float64Array(counterNames.length)) : this.#plain;
    const packets = rehearsalPackets();
    const bytes = packets.reduce((sum, packet) => sum + packet.bytes.length, 0);
    const batch = new QueueBatch(packets.length, bytes);
    batch.linkType.fill(linkRaw);
    const wild: number[] = [];
    let at = 0;
    this.#lengths = packets.map((packet) => packet.bytes.length);
    this.#starts = packets.map((packet) => {
      const start = at;
      batch.bytes.set(packet.bytes, start);
      if (packet.wildAt >= 0) wild.push(start + packet.wildAt);
      at += packet.bytes.length;
      return start;
    });
    this.#ports = packets.map((packet, i) => this.#starts[i]! + packet.clientPortAt);
    this.#wild = wild;
    this.batch = batch;
  }

  /** Nothing once in a while, as on an idle queue. */
  receive(): number {
    const { batch } = this;
    const turn = ++this.#turn;
    if (turn % idleTurns === 0) return (batch.count = 0);
    const silences = Math.floor(turn / silentTurns);
    const silentSince = silences * silentMicros + (silences >> 1) * longerMicros;
    const timeMicros = this.#beganMicros + turn * turnMicros + silentSince;
    const all = this.#ports.length;
    const isSmall = turn % silentTurns < smallTurns;
    for (let i = 0; i < all; i++) {
      // In a small turn there are few flows, others each time.
      const k = isSmall ? (turn * smallTurnStep + i * smallTurnStride) % all : i;
      batch.bytes[this.#ports[i]!] = 0x80 | (Math.floor(turn / flowTurns) & 0x7f);
      batch.start[i] = this.#starts[k]!;
      batch.end[i] = this.#starts[k]! + this.#lengths[k]!;
      batch.wireLength[i] = this.#lengths[k]!;
      batch.timeMicros[i] = timeMicros;
      batch.frame[i] = turn;
      batch.handOver[i] = 0;
    }
    for (const at of this.#wild) this.#fillWild(at);
    batch.count = isSmall ? 1 + (turn % smallTurns) : all;
    return batch.count;
  }

  /** Zeros, small numbers and anything: what headers begin with. */
  #fillWild(at: number): void {
    const { bytes } = this.batch;
    const sort = this.#next() & 3;
    for (let i = 0; i < wildBytes; i++)
      bytes[at + i] = sort === 0 ? 0 : this.#next() & (sort === 1 ? 7 : 0xff);
  }

  /** Xorshift (Marsaglia 2003): the same on every run. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (this.#random = x);
  }

  settle(): void {
    // Most can be handed over, as on a quiet path; some must wait.
    const { handOver, count } = this.batch;
    const outcome = (this.#turn & 3) === 3 ? handOverAsked : handOverDone;
    for (let i = 0; i < count; i++) if (handOver[i] !== 0) handOver[i] = outcome;
    this.#plain.verdictMessages += this.batch.count;
    this.#plain.malformed += 1;
    this.batch.workMicros[0] = (this.#turn & 15) * 1.7;
    this.batch.count = 0;
  }

  close(): void {
    this.batch.count = 0;
  }
}

function ownSwarm(allow: AllowList): SwarmWatch {
  const memory = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes);
  const swarm = new SwarmWatch(
    new EndpointMemory(memory(EndpointMemory.byteLength(rowsMax)), 1),
    new HostEvidence(memory(HostEvidence.byteLength(rowsMax)), 1),
  );
  swarm.isExempt = exemptBy(allow);
  return swarm;
}

export type RehearsalOptions = Pick<
  FilterLoopOptions,
  'registry' | 'markMask' | 'pass' | 'passive' | 'action' | 'encrypted'
> & { readonly allow: AllowList };

/**
 * Runs the packet's way until it is compiled, or for `millisMax`. Nothing of it is counted or reported; its loops stay (a
 * few megabytes). Returns the number of packets judged.
 */
export function rehearse(options: RehearsalOptions, millisMax = longestMillis): number {
  const loopOn = (addon: boolean): FilterLoop =>
    new FilterLoop({
      ...options,
      queue: new RehearsalQueue(addon),
      flowsMax,
      datagramsMax: 2,
      hashSeed: 1,
      enforce: false,
      swarm: ownSwarm(options.allow),
      counts: new Float64Array(new SharedArrayBuffer(countersLength * Float64Array.BYTES_PER_ELEMENT)),
      sourceName: '',
      onDecision: () => true,
      onDoubt: () => true,
    });
  const until = performance.now() + millisMax;
  let packets = 0;
  for (const turns of rounds) {
    if (performance.now() >= until) break;
    const loops = [loopOn(true), loopOn(false)];
    kept.push(...loops);
    for (let turn = 0; turn < turns && performance.now() < until; turn++) packets += loops[turn & 1]!.turn();
  }
  return packets;
}
