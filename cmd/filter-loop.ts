/**
 * The inline filter's data plane, run to completion: receive a batch, decode, find the flow, inspect, decide, settle.
 * One loop per worker and queue. No allocation, exception or log per packet; a decided flow costs one report.
 */
import { Accept, ActionPolicy, Drop, Pass, Reject, actions, type ActionCode } from '../lib/engine/action.js';
import * as counters from '../lib/engine/counters.js';
import { Engine } from '../lib/engine/engine.js';
import { BitTorrent, Clear, Suspect, Unknown, type VerdictCode } from '../lib/engine/verdict.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import {
  flagAction,
  flagClientIsA,
  flagOffloaded,
  flagReported,
  flagReportedAccepts,
  lastSeen,
  numberStride,
  packetsOf,
  payloadBeforeDecision,
  sEvidence,
  sFlags,
  sNoted,
  sVerdict,
  wordStride,
} from '../lib/flow/table.js';
import {
  markAccept,
  MarkField,
  markDrop,
  markPass,
  markReject,
  markUndecided,
  type MarkValue,
} from '../lib/firewall/marks.js';
import {
  macStride,
  nfAccept,
  nfDrop,
  nfRepeat,
  packetGso,
  packetTruncated,
  type QueueBatch,
  type QueueCounters,
} from '../lib/io/packet-queue.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import type { FlowReport } from '../lib/report/report.js';
import { decodePacket } from '../lib/wire/decode.js';
import { Fragment, Ok, Packet, protocolUdp } from '../lib/wire/packet.js';
import { hasTunnelPort } from '../lib/wire/tunnels.js';
import type { AllowCheck, FilterLoopOptions } from './filter-loop-options.js';
import { HandOver } from './hand-over.js';

const at = counters.counterAt;
const atPackets = at('packets');
const atBytes = at('bytes');
const atBatches = at('batches');
const atActions = [at('passed'), at('accepted'), at('dropped'), at('rejected')] as const;
const atFlowsBegun = at('flowsBegun');
const atFlowsEnded = at('flowsEnded');
const atFlowsNow = at('flowsNow');
const atFlowsEvicted = at('flowsEvicted');
const atFlowsAllowed = at('flowsAllowed');
const atOpenings = at('openingsTakenOver');
const atEvidence = at('evidenceDropped');
const atGso = at('gsoPackets');
const atTruncated = at('truncatedPackets');
const atTunnelled = at('tunnelledPackets');
const atRepeatsLost = at('repeatsLost');
const atOverruns = at('overruns');
const atStale = at('staleVerdicts');
const atMalformed = at('malformedMessages');
const atVerdicts = at('verdictMessages');
const atReportsLeftOut = at('reportsLeftOut');
const atBeforeVerdict = at('payloadBeforeVerdict');
const atFirstPacket = at('flowsFirstPacket');
const atDoubtful = at('flowsDoubtful');
const atDoubtsLeftOut = at('doubtsLeftOut');
const atBusy = at('busySeconds');
const atHeartbeat = at('heartbeat');

/** A clock that went back by more was set back; by less, and flows age so much later. Rings may come that much late. */
const clockBackMicros = 60e6;
/** Sweeps of the flow table in a turn without packets, so that an idle filter forgets its flows within a minute. */
const idleSweeps = 16;

const markOf: readonly MarkValue[] = [markPass, markAccept, markDrop, markReject];

export class FilterLoop {
  readonly engine: Engine;
  readonly policy: ActionPolicy;
  allow: AllowCheck;
  /** The rules are gone: whatever is still held passes. */
  draining = false;
  /** False: nothing is dropped here. Only flows inside tunnels are; all others are left to the kernel's rules. */
  enforce: boolean;

  readonly #options: FilterLoopOptions;
  readonly #batch: QueueBatch;
  readonly #queueCounters: QueueCounters;
  // Bound, so that one call serves every sort of queue: what was compiled with one serves another too (rehearsal.ts).
  readonly #receive: () => number;
  readonly #settle: () => void;
  readonly #counts: Float64Array;
  readonly #field: MarkField;
  readonly #repeats: boolean;
  readonly #passive: boolean;
  readonly #packet = new Packet();
  readonly #fragments: FragmentTable;
  readonly #view: EndedFlowView;
  /** Position in the batch of the packet being judged. */
  #position = 0;
  readonly #handOver: HandOver;
  /** Time of the last batch. */
  #newestMicros = 0;

  constructor(options: FilterLoopOptions) {
    this.#options = options;
    const { datagramsMax } = options;
    this.#fragments = new FragmentTable(datagramsMax === undefined ? {} : { datagramsMax });
    const { queue } = options;
    this.#batch = queue.batch;
    this.#queueCounters = queue.counters;
    this.#receive = queue.receive.bind(queue);
    this.#settle = queue.settle.bind(queue);
    this.#counts = options.counts;
    this.#field = new MarkField(options.markMask);
    this.#repeats = options.pass === 'repeat';
    this.#passive = options.passive === true;
    this.allow = options.allow;
    this.enforce = options.enforce;
    this.#view = new EndedFlowView(() => options.sourceName);
    this.engine = new Engine({
      registry: options.registry,
      flowsMax: options.flowsMax,
      hashSeed: options.hashSeed,
      ...(options.swarm === undefined ? {} : { swarm: options.swarm }),
      ...(options.encrypted === undefined ? {} : { encrypted: options.encrypted }),
      onEnd: (_engine, slot) => {
        this.#ended(slot);
      },
    });
    this.policy = new ActionPolicy(this.engine, options.action, (slot, action) => {
      this.#decided(slot, action);
    });
    this.#handOver = new HandOver(this.engine.flows, queue.batch.handOver, {
      answer: (i, action) => {
        this.#answer(i, action, false);
      },
      ask: (i, action) => {
        const mark = this.#batch.mark[i]!;
        this.#letPass(i, mark);
        this.#batch.handOverMark[i] = this.#field.write(mark, markOf[action]!);
      },
      count: (action) => {
        this.#counts[atActions[action === Accept ? Accept : Pass]]! += 1;
      },
    });
  }

  /** One turn: waits for a batch and settles it. Returns its number of packets, 0 after a time-out. */
  turn(): number {
    const count = this.#receive();
    this.#counts[atHeartbeat]! += 1;
    if (count === 0) {
      this.#idle();
      return 0;
    }
    this.#followClock();
    for (let i = 0; i < count; i++) {
      this.#position = i;
      this.#take(i);
    }
    this.#handOver.ask(count);
    this.#settle();
    this.#handOver.finish();
    this.engine.flows.age(this.#packet);
    this.#count(count);
    return count;
  }

  /** Flows of a clock that was ahead would not age until it is there again. */
  #followClock(): void {
    const now = this.#batch.timeMicros[0]!;
    if (now < this.#newestMicros - clockBackMicros) this.forget();
    this.#newestMicros = now;
  }

  /** Ends all flows: each begins anew with its next packet. */
  forget(): void {
    this.engine.flows.endAll();
  }

  /** The record of the flow that `packet`'s addresses and ports name, or null. */
  find(packet: Packet): FlowReport | null {
    const slot = this.engine.flows.find(packet);
    return slot < 0 ? null : this.#reportOf(slot);
  }

  /** Its id is the number of its first packet: the same however often it is looked at, and unique in this worker. */
  #reportOf(slot: number, hasEnded = false): FlowReport {
    this.#view.show(this.engine, slot);
    const { ended, ...report } = this.#view.report();
    return { ...report, ...(hasEnded ? { ended: ended! } : {}), flow_id: report.first_packet };
  }

  /** One packet: what it is, what is done with it. */
  #take(i: number): void {
    const batch = this.#batch;
    const packet = this.#packet;
    const counts = this.#counts;
    const wireLength = batch.wireLength[i]!;
    counts[atBytes]! += wireLength;
    const flags = batch.flags[i]!;
    if ((flags & (packetGso | packetTruncated)) !== 0) {
      if ((flags & packetGso) !== 0) counts[atGso]! += 1;
      if ((flags & packetTruncated) !== 0) counts[atTruncated]! += 1;
    }
    packet.timeMicros = batch.timeMicros[i]!;
    packet.frameBytes = wireLength;
    if (this.draining || this.#field.read(batch.mark[i]!) !== markUndecided) {
      this.#release(i);
      return;
    }
    let outcome = decodePacket(
      packet,
      batch.bytes,
      batch.start[i]!,
      batch.end[i]!,
      wireLength,
      batch.linkType[i]!,
    );
    if (outcome === Fragment && this.#fragments.offer(packet)) outcome = packet.outcome;
    counts[counters.outcomesAt + outcome]! += 1;
    if (outcome !== Ok) {
      this.#answer(i, Pass, false);
      return;
    }
    const verdict = this.engine.packet(packet, packet.frameBytes, batch.frame[i]!, 0);
    const slot = this.engine.slot;
    if (packet.depth > 0) counts[atTunnelled]! += 1;
    const tunnelled = mayTunnel(packet);
    const action = this.#judge(i, slot, verdict, tunnelled);
    if (this.#passive) this.#watch(i, slot, action);
    else if (action === Pass || tunnelled) this.#answer(i, action, tunnelled);
    else if (
      this.#goesOn(action) &&
      (this.engine.flows.words[slot * wordStride + sFlags]! & flagOffloaded) === 0
    )
      this.#handOver.note(i, slot, action);
    else if (this.#handOver.isForgotten(slot)) this.#answerFinally(i, action);
    else this.#answer(i, action, false);
  }

  /** What would be blocked goes on like everything else, and so does the flow: it is only counted. */
  #watch(i: number, slot: number, action: ActionCode): void {
    this.#counts[atActions[action === Accept ? Accept : Pass]]! += 1;
    // What the operator accepts may be BitTorrent too, but nobody keeps it, whether it is reported or not.
    const flags = this.engine.flows.words[slot * wordStride + sFlags]!;
    const kept = (flags & (flagReported | flagReportedAccepts)) === flagReported;
    if (kept) this.#options.onDetected?.(this.#batch, i);
  }

  #answerFinally(i: number, action: ActionCode): void {
    const batch = this.#batch;
    const blocks = action === Drop || action === Reject;
    const drops = blocks && this.enforce;
    // A blocked connection that never got beyond its first packet is none to the kernel: no fault of the rules.
    if (!blocks) this.#counts[atRepeatsLost]! += 1;
    this.#counts[atActions[blocks && !drops ? Pass : action]]! += 1;
    batch.verdict[i] = drops ? nfDrop : nfAccept;
    batch.verdictMark[i] = batch.mark[i]!;
  }

  #judge(i: number, slot: number, verdict: VerdictCode, tunnelled: boolean): ActionCode {
    const standing = this.policy.standing(slot);
    if (standing !== Pass) return standing;
    const { words } = this.engine.flows;
    const s = slot * wordStride;
    const packets = words[s + packetsOf]! + words[s + packetsOf + 1]!;
    const begins = packets === 1;
    if (begins) this.#counts[atFlowsBegun]! += 1;
    let action: ActionCode;
    let allowed = false;
    if (this.#isFirstOfItsSide(s) && this.#isAllowed(i)) {
      this.#counts[atFlowsAllowed]! += 1;
      action = this.policy.allow(slot);
      allowed = true;
    } else action = this.policy.judge(slot, verdict);
    if (action === Pass) return Pass;
    this.#countVerdict(s);
    if (!allowed && this.#isDoubtful(slot, s)) {
      const batch = this.#batch;
      this.#doubt(slot, batch.timeMicros[i]!, batch.inInterface[i]!, batch.outInterface[i]!, false);
    }
    // Of a tunnel the kernel sees one connection with many flows: there every packet is judged here. A flow that is
    // only watched keeps its usual time: its packets still come, and forgotten early it would be decided twice.
    // A flow that goes on is handed over where that does not reorder it.
    if (!tunnelled && !this.#passive && !this.#goesOn(action)) words[s + sFlags]! |= flagOffloaded;
    return action;
  }

  /** A flow that is decided so goes on; in monitor mode all do. */
  #goesOn(action: ActionCode): boolean {
    return action === Accept || !this.enforce;
  }

  /** Both sides are looked at: an allowed sender's hardware address is not on what the other side sends first. */
  #isFirstOfItsSide(s: number): boolean {
    const { fromA, words } = this.engine.flows;
    const side = fromA === ((words[s + sFlags]! & flagClientIsA) !== 0) ? 0 : 1;
    return words[s + packetsOf + side] === 1;
  }

  #isAllowed(i: number): boolean {
    const batch = this.#batch;
    const { allow } = this;
    return (
      allow.matches(this.#packet) ||
      allow.matchesInterface(batch.inInterface[i]!) ||
      allow.matchesInterface(batch.outInterface[i]!) ||
      allow.matchesMac(batch.mac, i * macStride)
    );
  }

  /** Writes and counts the verdict of a packet. */
  #answer(i: number, action: ActionCode, tunnelled: boolean): void {
    const batch = this.#batch;
    // Monitor: the flow is marked so that a later change to enforce finds it, but this packet goes on.
    const blocks = action === Drop || action === Reject;
    this.#counts[atActions[blocks && !this.enforce ? Pass : action]]! += 1;
    const mark = batch.mark[i]!;
    const kept = tunnelled && action !== Pass;
    if (kept && this.enforce && blocks) {
      batch.verdict[i] = nfDrop;
      batch.verdictMark[i] = mark;
    } else if (action === Pass || kept) this.#letPass(i, mark);
    else {
      batch.verdict[i] = nfRepeat;
      batch.verdictMark[i] = this.#field.write(mark, markOf[action]!);
    }
  }

  #letPass(i: number, mark: number): void {
    const batch = this.#batch;
    batch.verdict[i] = this.#repeats ? nfRepeat : nfAccept;
    batch.verdictMark[i] = this.#repeats ? this.#field.write(mark, markPass) : mark;
  }

  /**
   * A packet that is let go without a look: the filter is stopping, or it came back with our mark still set. That means
   * that the rules no longer do their part; repeating once more would send it round for ever.
   */
  #release(i: number): void {
    const batch = this.#batch;
    const mark = batch.mark[i]!;
    if (!this.draining) this.#counts[atRepeatsLost]! += 1;
    this.#counts[atActions[Pass]]! += 1;
    batch.verdict[i] = nfAccept;
    batch.verdictMark[i] = this.#field.write(mark, markUndecided);
  }

  #decided(slot: number, action: ActionCode): void {
    const counts = this.#counts;
    const { words } = this.engine.flows;
    const standing = words[slot * wordStride + sVerdict]!;
    const kind = (standing >>> 16) & 0xff;
    counts[counters.kindsAt + kind]! += 1;
    counts[counters.verdictsAt + BitTorrent]! += 1;
    counts[counters.reasonsAt + ((standing >>> 8) & 0xff)]! += 1;
    const passed = this.engine.flows.numbers[slot * numberStride + payloadBeforeDecision]!;
    counts[atBeforeVerdict]! += passed;
    if (passed === 0) counts[atFirstPacket]! += 1;
    const name = actions[action];
    if (name === 'pass') return;
    const i = this.#position;
    const batch = this.#batch;
    const taken = this.#options.onDecision(() => ({
      action: name,
      timeMicros: batch.timeMicros[i]!,
      inInterface: batch.inInterface[i]!,
      outInterface: batch.outInterface[i]!,
      flow: this.#reportOf(slot),
    }));
    if (!taken) counts[atReportsLeftOut]! += 1;
  }

  /** True for a flow that is let go with something in its evidence; asked once per flow. */
  #isDoubtful(slot: number, s: number): boolean {
    const { words } = this.engine.flows;
    if (words[s + sEvidence]! < 0) return false;
    const verdict = words[s + sVerdict]! & 0xff;
    if (verdict === BitTorrent || verdict === Suspect) return verdict === Suspect;
    this.#view.show(this.engine, slot);
    return this.#view.nearMissCount > 0;
  }

  #doubt(
    slot: number,
    timeMicros: number,
    inInterface: number,
    outInterface: number,
    hasEnded: boolean,
  ): void {
    const counts = this.#counts;
    counts[atDoubtful]! += 1;
    const { onDoubt } = this.#options;
    if (onDoubt === undefined) return;
    const taken = onDoubt(() => ({
      action: 'pass',
      timeMicros,
      inInterface,
      outInterface,
      flow: this.#reportOf(slot, hasEnded),
    }));
    if (!taken) counts[atDoubtsLeftOut]! += 1;
  }

  /** Counts what a flow is, once: BitTorrent when it is reported, others when they are let go or end. */
  #countVerdict(s: number): void {
    const { words } = this.engine.flows;
    if ((words[s + sFlags]! & flagReported) !== 0) return;
    const standing = words[s + sVerdict]!;
    const verdict = standing & 0xff;
    const named = (words[s + sNoted]! & 0xff00) !== 0;
    this.#counts[counters.verdictsAt + (verdict === Unknown && named ? Clear : verdict)]! += 1;
    if (verdict === BitTorrent) this.#counts[counters.reasonsAt + ((standing >>> 8) & 0xff)]! += 1;
  }

  #ended(slot: number): void {
    const s = slot * wordStride;
    const { flows } = this.engine;
    this.#counts[atFlowsEnded]! += 1;
    if ((flows.words[s + sFlags]! & flagAction) !== 0) return;
    this.#countVerdict(s);
    // A flow that is only forgotten begins anew, and ends another time.
    if (flows.ending === 'end-of-input' || !this.#isDoubtful(slot, s)) return;
    this.#doubt(slot, flows.numbers[slot * numberStride + lastSeen]!, 0, 0, true);
  }

  /** Nothing came: flows age by the clock, which is the time of the packets here. */
  #idle(): void {
    this.#packet.timeMicros = Date.now() * 1000;
    for (let i = 0; i < idleSweeps; i++) this.engine.flows.age(this.#packet);
    this.#publish();
  }

  #count(count: number): void {
    const counts = this.#counts;
    const micros = this.#batch.workMicros[0]!;
    counts[atPackets]! += count;
    counts[atBatches]! += 1;
    counts[atBusy]! += micros / 1e6;
    counts[counters.latencyAt + counters.latencyBucket(micros)]! += 1;
    this.#publish();
  }

  /** Standing values, which other parts count by themselves. */
  #publish(): void {
    const counts = this.#counts;
    const { engine } = this;
    const queue = this.#queueCounters;
    counts[atFlowsNow] = engine.flows.size;
    counts[atFlowsEvicted] = engine.flows.evicted;
    counts[atOpenings] = engine.inspector.openings.takenOver;
    counts[atEvidence] = engine.inspector.evidence.dropped;
    counts[atOverruns] = queue.overruns;
    counts[atStale] = queue.stale;
    counts[atMalformed] = queue.malformed;
    counts[atVerdicts] = queue.verdictMessages;
  }
}

/** True if the connection that the kernel sees may carry others, so that a mark on it would speak for all of them. */
function mayTunnel(packet: Packet): boolean {
  if (packet.depth > 0) return true;
  return packet.protocol === protocolUdp && (packet.heldOther || hasTunnelPort(packet));
}
