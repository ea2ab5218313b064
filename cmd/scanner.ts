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
import { BitTorrent, Clear, codeOf, Suspect, Unknown, verdicts } from '../lib/engine/verdict.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import { CaptureFileError, openCaptureFile } from '../lib/io/capture-file.js';
import { linkTypeName } from '../lib/io/link-types.js';
import { PacketBatch, type PacketSource } from '../lib/io/packet-source.js';
import { flowsMaxDefault } from '../lib/limits.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import type { ScanSummary, WarningReport } from '../lib/report/report.js';
import { version } from '../lib/version.js';
import { decodePacket } from '../lib/wire/decode.js';
import { decodeOutcomes, Fragment, NotIp, Ok, Packet, UnsupportedLink } from '../lib/wire/packet.js';
import type { Input } from './inputs.js';
import { forgetSwarm, makeSwarmMemory, watchOver } from './swarm-memory.js';

const endedAtOnce = 4096;
const warningsMax = 1000;
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
  readonly onFlow: (flow: EndedFlowView) => void;
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
  /** Files of which nothing or not everything could be read. */
  incomplete = 0;
  packets = 0;

  readonly #options: ScanOptions;
  readonly #memory = makeSwarmMemory();
  readonly #swarm = watchOver(this.#memory);
  readonly #packet = new Packet();
  readonly #batch: PacketBatch;
  readonly #flow: EndedFlowView;
  readonly #names: string[] = [];
  readonly #outcomes = new Float64Array(decodeOutcomes.length);
  /** Flows by the code of their verdict. */
  readonly #verdicts = new Float64Array(verdicts.length);
  readonly #unsupported = new Map<number, number>();
  readonly #warnings: WarningReport[] = [];
  readonly #warningCounts = new Map<string, number>();
  readonly #started = performance.now();
  #bytes = 0;
  #files = 0;
  #failed = 0;
  #passedOver = 0;
  #warningsLeftOut = 0;
  #flows = 0;
  #firstSeen = Number.POSITIVE_INFINITY;
  #lastSeen = Number.NEGATIVE_INFINITY;

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
    this.#files++;
    for (let blocks = 1; await source.fill(); blocks++) {
      // A plain file never waits; signals and a reader that went away are only heard when the event loop has its turn.
      if (blocks % blocksPerTurn === 0) await nextTurn();
      for (let count = source.next(this.#batch); count > 0; count = source.next(this.#batch))
        this.#process(file);
      await this.#options.onBlock?.(source, this.packets);
      if (this.#options.stopped?.() === true) break;
    }
    for (const { code, message } of source.warnings) this.#warn(source.name, code, message);
    if (source.warnings.length > 0) this.incomplete++;
  }

  async #scanInput(input: Input): Promise<void> {
    if (input.problem !== undefined) {
      this.incomplete++;
      this.#warn(input.path, 'unreadable', input.problem);
      return;
    }
    let source: PacketSource;
    try {
      source = await openCaptureFile(input.path);
    } catch (error) {
      if (!(error instanceof CaptureFileError)) throw error;
      if (input.fromFolder && error.code === 'not-a-capture') {
        this.#passedOver++;
        return;
      }
      this.#files++;
      this.#failed++;
      this.incomplete++;
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
    this.packets += count;
    // Sums are kept in locals: a field that holds a double is a store to memory for every packet.
    let total = 0;
    let firstSeen = this.#firstSeen;
    let lastSeen = this.#lastSeen;
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
      this.#outcomes[outcome]! += 1;
      if (outcome === Ok) {
        engine.packet(packet, packet.frameBytes, batch.frame[i]!, file);
        if (onPacket !== undefined) onPacket(engine, packet, batch.frame[i]!);
      } else if (outcome === UnsupportedLink) this.#countLink(batch.linkType[i]!);
    }
    this.#bytes += total;
    this.#firstSeen = firstSeen;
    this.#lastSeen = lastSeen;
    engine.flows.age(packet);
  }

  #countLink(linkType: number): void {
    const key = linkType & (linkTypes - 1);
    this.#unsupported.set(key, (this.#unsupported.get(key) ?? 0) + 1);
  }

  #ended(engine: Engine, slot: number): void {
    this.#flow.show(engine, slot);
    this.#flows++;
    this.#verdicts[codeOf(this.#flow.verdict)]! += 1;
    this.#options.onFlow(this.#flow);
  }

  #warn(file: string, code: string, message: string): void {
    const warning = { file, code, message };
    this.#warningCounts.set(code, (this.#warningCounts.get(code) ?? 0) + 1);
    if (this.#warnings.length < warningsMax) this.#warnings.push(warning);
    else this.#warningsLeftOut++;
    this.#options.onWarning?.(warning);
  }

  /** What was scanned, for the end of a report. */
  summary(): ScanSummary {
    const frames: Record<string, number> = {};
    for (const [index, name] of decodeOutcomes.entries()) {
      if (this.#outcomes[index]! > 0 || index === Ok || index === NotIp)
        frames[name] = this.#outcomes[index]!;
    }
    return {
      version,
      files: this.#files,
      filesFailed: this.#failed,
      filesPassedOver: this.#passedOver,
      packets: this.packets,
      bytes: this.#bytes,
      flows: this.#flows,
      flowsByVerdict: {
        bittorrent: this.#verdicts[BitTorrent]!,
        suspect: this.#verdicts[Suspect]!,
        clear: this.#verdicts[Clear]!,
        unknown: this.#verdicts[Unknown]!,
      },
      frames,
      unsupportedLinks: [...this.#unsupported].map(([linkType, packets]) => ({
        linkType,
        name: linkTypeName(linkType),
        packets,
      })),
      warnings: this.#warnings,
      warningCounts: Object.fromEntries(this.#warningCounts),
      warningsLeftOut: this.#warningsLeftOut,
      limits: {
        flowsEvicted: this.engine.flows.evicted,
        openingsTakenOver: this.engine.inspector.openings.takenOver,
        evidenceDropped: this.engine.inspector.evidence.dropped,
        datagramsEvicted: this.fragments.counters.evicted,
      },
      firstSeenMicros: Number.isFinite(this.#firstSeen) ? this.#firstSeen : null,
      lastSeenMicros: Number.isFinite(this.#lastSeen) ? this.#lastSeen : null,
      elapsedSeconds: (performance.now() - this.#started) / 1000,
    };
  }
}
