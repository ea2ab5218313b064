/**
 * An ended flow read out of the engine's tables, or out of copies of their rows. One instance serves a whole scan: it
 * points at a slot, and builds the full record only when a writer asks for it.
 */
import { kinds, type Confidence, type Kind } from '../../detectors/detector.js';
import { clientOf, gradeNear, grades, infoHashOf, type EvidenceColumns } from '../engine/evidence.js';
import type { Registry } from '../engine/registry.js';
import { speakerOf } from '../engine/witnesses.js';
import { Clear, reasons, Unknown, verdicts, type Reason, type Verdict } from '../engine/verdict.js';
import * as t from '../flow/table.js';
import { addressText, ipv4Text, ipv6Text } from '../wire/address.js';
import { protocolTcp, tunnelNames } from '../wire/packet.js';
import type { EndedFlow, EvidenceReport, FlowEssence, FlowReport, NearMissEssence } from './report.js';

/** ISO 8601 UTC with microseconds; "" outside the years 1 to 9999 that a date can show. */
export function timeText(micros: number): string {
  const millis = Math.floor(micros / 1000);
  if (Math.abs(millis) > 8.64e15) return '';
  const rest = String(Math.floor(micros) - millis * 1000).padStart(3, '0');
  return new Date(millis).toISOString().replace(/Z$/, `${rest}Z`);
}

/** The tables that an ended flow is read from: an engine's own, or copies of their rows (flow-chunk.ts). */
export interface EndedRows {
  readonly registry: Registry;
  readonly flows: Pick<t.FlowTable, 'words' | 'numbers' | 'outer' | 'ending'>;
  readonly inspector: { readonly evidence: EvidenceColumns };
}

type Changeable<T> = { -readonly [K in keyof T]: T[K] };

const dayMicros = 86_400e6;
const twoDigits = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'));

/** The same for one time after another: a date is made once for each day, the rest is digits. */
class Clock {
  #day = Number.NaN;
  #date = '';

  text(micros: number): string {
    const whole = Math.floor(micros);
    const day = Math.floor(whole / dayMicros);
    if (day !== this.#day) {
      this.#day = day;
      this.#date = timeText(day * dayMicros).replace(/T.*/, 'T');
    }
    if (this.#date === '') return '';
    // A time beyond 2^53 is not exact, and may seem to lie before its day.
    const ofDay = Math.max(0, whole - day * dayMicros);
    const seconds = Math.floor(ofDay / 1e6);
    const minutes = Math.floor(seconds / 60);
    const hour = twoDigits[Math.floor(minutes / 60)]!;
    const fraction = String(ofDay - seconds * 1e6).padStart(6, '0');
    return `${this.#date}${hour}:${twoDigits[minutes % 60]!}:${twoDigits[seconds % 60]!}.${fraction}Z`;
  }
}

export class EndedFlowView implements EndedFlow {
  /** Read once per flow: every writer asks for them, some more than once. */
  verdict: Verdict = 'unknown';
  protocol: string | null = null;
  bytes = 0;
  #rows: EndedRows | null = null;
  #slot = 0;
  #id = 0;
  readonly #fileName: (index: number) => string;
  readonly #clock = new Clock();

  constructor(fileName: (index: number) => string) {
    this.#fileName = fileName;
  }

  /** Points at the next ended flow, which gets the next id. */
  show(rows: EndedRows, slot: number): void {
    this.#rows = rows;
    this.#slot = slot;
    this.#id++;
    const other = (this.#state(t.sNoted) >>> 8) & 0xff;
    const standing = this.#state(t.sVerdict) & 0xff;
    this.protocol = other === 0 ? null : rows.registry.otherProtocols[other]!;
    this.verdict = verdicts[standing === Unknown && other !== 0 ? Clear : standing]!;
    this.bytes = this.#counter(t.bytesOf) + this.#counter(t.bytesOf + 1);
  }

  get #from(): EndedRows {
    if (this.#rows === null) throw new Error('no flow shown yet');
    return this.#rows;
  }

  #state(index: number): number {
    return this.#from.flows.words[this.#slot * t.wordStride + index]!;
  }

  #counter(index: number): number {
    return this.#from.flows.numbers[this.#slot * t.numberStride + index]!;
  }

  get kind(): Kind | null {
    return kinds[(this.#state(t.sVerdict) >>> 16) & 0xff] ?? null;
  }

  get #confidence(): Confidence {
    return grades[(this.#state(t.sVerdict) >>> 24) & 3] as Confidence;
  }

  /** `explain` followed this flow. */
  get traced(): boolean {
    return (this.#state(t.sFlags) & t.flagTraced) !== 0;
  }

  get packets(): number {
    return this.#state(t.packetsOf) + this.#state(t.packetsOf + 1);
  }

  get firstSeenMicros(): number {
    return this.#counter(t.firstSeen);
  }

  get lastSeenMicros(): number {
    return this.#counter(t.lastSeen);
  }

  get nearMissCount(): number {
    const { evidence } = this.#from.inspector;
    let count = 0;
    for (let item = this.#state(t.sEvidence); item >= 0; item = evidence.next[item]!) {
      if (evidence.grade[item] === gradeNear && !this.#isOutdated(item)) count++;
    }
    return count;
  }

  report(): FlowReport {
    const { flows } = this.#from;
    const version = this.#state(t.keyMeta) >>> 8;
    const proto = (this.#state(t.keyMeta) & 0xff) === protocolTcp ? 'tcp' : 'udp';
    const clientIsA = (this.#state(t.sFlags) & t.flagClientIsA) !== 0;
    const a = this.#address(version, t.keyA, t.keyRestA);
    const b = this.#address(version, t.keyB, t.keyRestB);
    const portA = this.#state(t.keyPorts) >>> 16;
    const portB = this.#state(t.keyPorts) & 0xffff;
    const verdict = this.verdict;
    const decided = verdict === 'bittorrent';
    const judged = decided || verdict === 'suspect';
    const { evidence, nearMisses } = this.#items();
    // What few flows have is added behind the literal: a spread inside it costs more than all its other fields.
    const report: Changeable<FlowReport> = {
      file: this.#fileName(this.#state(t.sFile)),
      flow_id: this.#id,
      proto,
      client: clientIsA ? a : b,
      client_port: clientIsA ? portA : portB,
      server: clientIsA ? b : a,
      server_port: clientIsA ? portB : portA,
      first_packet: this.#state(t.sFirstFrame),
      packets: this.packets,
      bytes: this.bytes,
      packets_to_server: this.#state(t.packetsOf),
      packets_to_client: this.#state(t.packetsOf + 1),
      bytes_to_server: this.#counter(t.bytesOf),
      bytes_to_client: this.#counter(t.bytesOf + 1),
      first_seen: this.#clock.text(this.firstSeenMicros),
      last_seen: this.#clock.text(this.lastSeenMicros),
      ended: flows.ending,
      verdict,
      reason: this.#reason(verdict),
      kind: judged ? this.kind : null,
      confidence: judged ? this.#confidence : null,
      protocol: this.protocol,
      decided_packet: decided ? this.#state(t.sDecidedPacket) : null,
      decided_frame: decided ? this.#state(t.sDecidedFrame) : null,
      payload_bytes_before_decision: decided ? this.#counter(t.payloadBeforeDecision) : null,
      evidence,
      near_misses: nearMisses,
      info_hashes: distinct(evidence, 'info_hash'),
      client_software: distinct(evidence, 'client_software'),
    };
    if ((this.#state(t.sFlags) & t.flagTunnelled) !== 0) this.#addTunnel(report);
    if (decided && this.#state(t.sDecidedFile) !== this.#state(t.sFile))
      report.decided_file = this.#fileName(this.#state(t.sDecidedFile));
    return report;
  }

  #address(version: number, first: number, rest: number): string {
    return version === 4
      ? ipv4Text(this.#state(first))
      : ipv6Text(this.#state(first), this.#state(rest), this.#state(rest + 1), this.#state(rest + 2));
  }

  #reason(verdict: Verdict): Reason {
    if (verdict === 'clear') return 'other-protocol';
    if (verdict !== 'unknown') return reasons[(this.#state(t.sVerdict) >>> 8) & 0xff]!;
    const flags = this.#state(t.sFlags);
    if ((flags & t.flagPayload) === 0) return 'no-payload';
    return (flags & t.flagDone) === 0 ? 'inspecting' : 'nothing-matched';
  }

  #addTunnel(report: Changeable<FlowReport>): void {
    const { outer } = this.#from.flows;
    const o = this.#slot * t.outerStride;
    report.tunnel = tunnelNames[(this.#state(t.sNoted) >>> 16) & 0xff]!;
    const version = outer[o]!;
    const [clientPort, serverPort] = [outer[o + 10]!, outer[o + 11]!];
    if (clientPort === 0 && serverPort === 0) return;
    const [client, server] = [addressText(version, outer, o + 2), addressText(version, outer, o + 6)];
    report.outer = [client, clientPort, server, serverPort];
  }

  essence(): FlowEssence {
    const { evidence: rows } = this.#from.inspector;
    const hashes: string[] = [];
    const software: string[] = [];
    for (let i = this.#state(t.sEvidence); i >= 0; i = rows.next[i]!) {
      if (rows.grade[i] === gradeNear) continue;
      if (rows.infoHashLength[i] !== 0) hashes.push(infoHashOf(rows, i));
      if (rows.clientLength[i] !== 0) software.push(clientOf(rows, i));
    }
    const clientIsA = (this.#state(t.sFlags) & t.flagClientIsA) !== 0;
    const version = this.#state(t.keyMeta) >>> 8;
    const a = this.#address(version, t.keyA, t.keyRestA);
    const b = this.#address(version, t.keyB, t.keyRestB);
    const judged = this.verdict === 'bittorrent' || this.verdict === 'suspect';
    return {
      client: clientIsA ? a : b,
      server: clientIsA ? b : a,
      bytes: this.bytes,
      kind: judged ? this.kind : null,
      confidence: judged ? this.#confidence : null,
      info_hashes: different(hashes),
      client_software: different(software),
    };
  }

  nearMisses(): readonly NearMissEssence[] {
    const { registry, inspector } = this.#from;
    const { evidence } = inspector;
    const found: NearMissEssence[] = [];
    for (let i = this.#state(t.sEvidence); i >= 0; i = evidence.next[i]!) {
      if (evidence.grade[i] !== gradeNear || this.#isOutdated(i)) continue;
      const { name, findings, nearMisses } = speakerOf(registry, evidence.detector[i]!);
      found.push({ detector: name, kind: findings[0]!.kind, finding: nearMisses[evidence.finding[i]!]! });
    }
    return found.reverse();
  }

  /**
   * True if a near miss says nothing any more: its detector found something new in a later packet, or anything at all where
   * that decided. Behind a hint that was left alone it says why.
   */
  #isOutdated(nearMiss: number): boolean {
    const { evidence } = this.#from.inspector;
    const decided = this.verdict === 'bittorrent';
    for (let item = this.#state(t.sEvidence); item >= 0; item = evidence.next[item]!) {
      if (item === nearMiss && !decided) return false;
      if (evidence.detector[item] === evidence.detector[nearMiss] && evidence.grade[item] !== gradeNear)
        return true;
    }
    return false;
  }

  /** All items that still count, oldest first. */
  #items(): { evidence: EvidenceReport[]; nearMisses: EvidenceReport[] } {
    const { evidence: rows } = this.#from.inspector;
    const evidence: EvidenceReport[] = [];
    const nearMisses: EvidenceReport[] = [];
    for (let i = this.#state(t.sEvidence); i >= 0; i = rows.next[i]!) {
      if (rows.grade[i] !== gradeNear) evidence.push(this.#item(i));
      else if (!this.#isOutdated(i)) nearMisses.push(this.#item(i));
    }
    return { evidence: evidence.reverse(), nearMisses: nearMisses.reverse() };
  }

  #item(i: number): EvidenceReport {
    const { registry, inspector } = this.#from;
    const { evidence } = inspector;
    const detector = speakerOf(registry, evidence.detector[i]!);
    const near = evidence.grade[i] === gradeNear;
    const finding = detector.findings[near ? 0 : evidence.finding[i]!]!;
    const infoHash = infoHashOf(evidence, i);
    const client = clientOf(evidence, i);
    const item: Changeable<EvidenceReport> = {
      detector: detector.name,
      kind: finding.kind,
      finding: near ? detector.nearMisses[evidence.finding[i]!]! : finding.text,
      confidence: near ? 'near' : finding.confidence,
      side: evidence.side[i] === 0 ? 'client' : 'server',
      packet: evidence.packet[i]!,
      frame: evidence.frame[i]!,
      time: this.#clock.text(evidence.timeMicros[i]!),
      of: evidence.inOpening[i] === 1 ? 'opening' : 'payload',
      offset: evidence.offset[i]!,
      length: evidence.length[i]!,
    };
    if (infoHash !== '') item.info_hash = infoHash;
    if (client !== '') item.client_software = client;
    const sameFile = evidence.file[i] === this.#state(t.sFile);
    return sameFile ? item : withFile(item, this.#fileName(evidence.file[i]!));
  }
}

/** With the file at its place: the order of the keys is that of the public format. */
function withFile(item: EvidenceReport, file: string): EvidenceReport {
  const { detector, kind, finding, confidence, side, packet, frame, ...rest } = item;
  return { detector, kind, finding, confidence, side, packet, frame, file, ...rest };
}

/** The different ones of texts that are given newest first, oldest first. */
function different(texts: string[]): string[] {
  return texts.length < 2 ? texts : [...new Set(texts.reverse())];
}

/** The different texts of one key, in the order of the items. */
function distinct(items: readonly EvidenceReport[], key: 'info_hash' | 'client_software'): string[] {
  const texts: string[] = [];
  for (const item of items) {
    const text = item[key];
    if (text !== undefined && !texts.includes(text)) texts.push(text);
  }
  return texts;
}
