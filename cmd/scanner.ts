/**
 * The scan: sources, decode, fragments and engine put together. One scanner serves one run over any number of files;
 * between files the tables are emptied, unless the files are one recording cut in pieces.
 */
import { randomInt } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { registry } from '../detectors/index.js';
import { Engine } from '../lib/engine/engine.js';
import type { Tracer } from '../lib/engine/inspect.js';
import type { EncryptedMode } from '../lib/engine/policy.js';
import type { Registry } from '../lib/engine/registry.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import { CaptureFileError, openCaptureFile } from '../lib/io/capture-file.js';
import { PacketBatch, type PacketSource } from '../lib/io/packet-source.js';
import { flowsMaxDefault } from '../lib/limits.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import type { LimitsReached, ScanSummary, WarningReport } from '../lib/report/report.js';
import { decodePacket } from '../lib/wire/decode.js';
import { Fragment, Ok, Packet, UnsupportedLink } from '../lib/wire/packet.js';
import type { Input } from './inputs.js';
import { difference, noLimits, ScanTally, type ScanPart } from './scan-tally.js';
import { forgetSwarm, makeSwarmMemory, watchOver } from './swarm-memory.js';

const endedAtOnce = 4096;
/** 16 MiB of a plain file, some ten milliseconds. */
const blocksPerTurn = 32;
const linkTypes = 1 << 16;

export interface ScanOptions {
  readonly continuous: boolean;
  readonly flowsMax?: number;
  readonly batchPackets?: number;
  readonly registry?: Registry;
  /** What is done about encrypted connections; 'corroborated' when left out. */
  readonly encrypted?: EncryptedMode;
  readonly tracer?: Tracer;
  readonly onFlow?: (flow: EndedFlowView) => void;
  /** Takes ended flows where they lie in the tables, instead of onFlow; whoever shows them counts them. */
  readonly onRow?: (engine: Engine, slot: number) => void;
  /** Called after each packet of a flow, for `explain`; leave it out on the fast path. */
  readonly onPacket?: (engine: Engine, packet: Packet, frame: number) => void;
  readonly onWarning?: (warning: WarningReport) => void;
  /** Called when an input is done with, also if it could not be read. */
  readonly onInputDone?: (input: Input) => void;
  /** Called after each block; the scan goes on when it resolves. */
  readonly onBlock?: (source: PacketSource, packets: number) => Promise<void> | undefined;
  /** Called after some thousand flows ended at the end of a file. */
  readonly onEnded?: () => Promise<void>;
  /** Asked between blocks; true ends the scan early. */
  readonly stopped?: () => boolean;
}

export class Scanner {
  readonly engine: Engine;
  readonly fragments = new FragmentTable();

  readonly #options: ScanOptions;
  readonly #memory = makeSwarmMemory();
  readonly #swarm = watchOver(this.#memory);
  readonly #packet = new Packet();
  readonly #batch: PacketBatch;
  readonly #flow: EndedFlowView;
  readonly #names: string[] = [];
  #tally = new ScanTally();
  /** What of the limits is in parts that were taken. */
  #limitsTaken = noLimits;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#batch = new PacketBatch(options.batchPackets);
    this.#flow = new EndedFlowView((index) => this.#names[index]!);
    this.engine = new Engine({
      registry: options.registry ?? registry,
      flowsMax: options.flowsMax ?? flowsMaxDefault,
      hashSeed: randomInt(0x7fffffff),
      details: true,
      swarm: this.#swarm,
      encrypted: options.encrypted ?? 'corroborated',
      reconsiders: true,
      onEnd: (engine, slot) => {
        this.#ended(engine, slot);
      },
      ...(options.tracer === undefined ? {} : { tracer: options.tracer }),
    });
  }

  /** Files of which nothing or not everything could be read. */
  get incomplete(): number {
    return this.#tally.incomplete;
  }

  /** Scans all inputs and ends all flows. */
  async run(inputs: readonly Input[]): Promise<void> {
    for (const input of inputs) {
      if (this.#options.stopped?.() === true) break;
      await this.#scanInput(input);
      this.#options.onInputDone?.(input);
      if (!this.#options.continuous) await this.#endAll();
    }
    await this.#endAll();
  }

  /** Scans one open source; flows stay in the table until `endAll`. */
  async scanSource(source: PacketSource): Promise<void> {
    const file = this.#names.push(source.name) - 1;
    this.#tally.files++;
    for (let blocks = 1; await source.fill(); blocks++) {
      // A plain file never waits; signals and a reader that went away are only heard when the event loop has its turn.
      if (blocks % blocksPerTurn === 0) await nextTurn();
      for (let count = source.next(this.#batch); count > 0; count = source.next(this.#batch))
        this.#process(file);
      await this.#options.onBlock?.(source, this.#tally.packets);
      if (this.#options.stopped?.() === true) break;
    }
    for (const { code, message } of source.warnings) this.#warn(source.name, code, message);
    if (source.warnings.length > 0) this.#tally.incomplete++;
  }

  async #scanInput(input: Input): Promise<void> {
    if (input.problem !== undefined) {
      this.#tally.incomplete++;
      this.#warn(input.path, 'unreadable', input.problem);
      return;
    }
    let source: PacketSource;
    try {
      source = await openCaptureFile(input.path);
    } catch (error) {
      if (!(error instanceof CaptureFileError)) throw error;
      if (input.fromFolder && error.code === 'not-a-capture') {
        this.#tally.passedOver++;
        return;
      }
      this.#tally.files++;
      this.#tally.failed++;
      this.#tally.incomplete++;
      this.#warn(input.path, error.code, error.message);
      return;
    }
    try {
      await this.scanSource(source);
    } finally {
      await source.close();
    }
  }

  /** Ends all flows, a few thousand at a time, so that a slow reader of the report holds them back. */
  async #endAll(): Promise<void> {
    while (!this.engine.flows.endAll(endedAtOnce)) await this.#options.onEnded?.();
    this.fragments.clear();
    if (this.#swarm.hasLearned) forgetSwarm(this.#memory);
    this.#swarm.hasLearned = false;
    await this.#options.onEnded?.();
  }

  /** The data plane: one batch through decode, flow and inspection. */
  #process(file: number): void {
    const batch = this.#batch;
    const packet = this.#packet;
    const engine = this.engine;
    const { bytes, count } = batch;
    const { onPacket } = this.#options;
    const tally = this.#tally;
    const { outcomes } = tally;
    tally.packets += count;
    // Sums are kept in locals: a field that holds a double is a store to memory for every packet.
    let total = 0;
    let { firstSeen, lastSeen } = tally;
    for (let i = 0; i < count; i++) {
      const wireLength = batch.wireLength[i]!;
      const time = batch.timeMicros[i]!;
      total += wireLength;
      if (time < firstSeen) firstSeen = time;
      if (time > lastSeen) lastSeen = time;
      packet.timeMicros = time;
      packet.frameBytes = wireLength;
      let outcome = decodePacket(
        packet,
        bytes,
        batch.start[i]!,
        batch.end[i]!,
        wireLength,
        batch.linkType[i]!,
      );
      if (outcome === Fragment && this.fragments.offer(packet)) outcome = packet.outcome;
      outcomes[outcome]! += 1;
      if (outcome === Ok) {
        engine.packet(packet, packet.frameBytes, batch.frame[i]!, file);
        if (onPacket !== undefined) onPacket(engine, packet, batch.frame[i]!);
      } else if (outcome === UnsupportedLink) tally.link(batch.linkType[i]! & (linkTypes - 1), 1);
    }
    tally.bytes += total;
    tally.firstSeen = firstSeen;
    tally.lastSeen = lastSeen;
    engine.flows.age(packet);
  }

  #ended(engine: Engine, slot: number): void {
    if (this.#options.onRow !== undefined) {
      this.#options.onRow(engine, slot);
      return;
    }
    this.#flow.show(engine, slot);
    this.#tally.flow(this.#flow);
    this.#options.onFlow?.(this.#flow);
  }

  #warn(file: string, code: string, message: string): void {
    const warning = { file, code, message };
    this.#tally.warn(warning);
    this.#options.onWarning?.(warning);
  }

  /** What was scanned, for the end of a report. */
  summary(): ScanSummary {
    return this.#tally.summary(this.#limits());
  }

  /** What was counted since the last part was taken. */
  takePart(): ScanPart {
    const limits = this.#limits();
    const part = this.#tally.part(difference(limits, this.#limitsTaken));
    this.#limitsTaken = limits;
    this.#tally = new ScanTally();
    return part;
  }

  #limits(): LimitsReached {
    return {
      flowsEvicted: this.engine.flows.evicted,
      openingsTakenOver: this.engine.inspector.openings.takenOver,
      evidenceDropped: this.engine.inspector.evidence.dropped,
      datagramsEvicted: this.fragments.counters.evicted,
    };
  }
}
