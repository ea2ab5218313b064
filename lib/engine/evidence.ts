/**
 * Evidence: what detectors said about a flow, kept so that every verdict can be explained afterwards. Items are rows
 * of typed arrays in one bounded pool, linked per flow from the newest to the oldest. When full: the item is only
 * counted, and the verdict that it led to stands. Near misses, which anybody can cause at will, use half the pool at the
 * most, so that they never crowd out what decides.
 */
import { evidenceMax } from '../limits.js';
import type { View } from '../../detectors/detector.js';

/** Weight of an item. 'near' is a near miss: it explains a pass and never counts towards a verdict. */
export const grades = ['near', 'hint', 'strong', 'proof'] as const;
export type GradeName = (typeof grades)[number];
export const gradeNear = 0;
export const gradeHint = 1;
export const gradeStrong = 2;
export const gradeProof = 3;

/** Bytes of an item's info-hash and client name together, and where the name begins in them. */
export const factBytes = 64;
const clientAt = 32;

/** Where an item was found. */
export interface Sighting {
  /** 0 client, 1 server. */
  side: number;
  /** Number of the packet within its flow, from 1. */
  packet: number;
  /** Frame number within its file. */
  frame: number;
  /** Index of that file. */
  file: number;
  timeMicros: number;
}

/** The columns of the pool, as reports read them. */
export type EvidenceColumns = Pick<
  EvidenceStore,
  | 'detector'
  | 'finding'
  | 'grade'
  | 'side'
  | 'inOpening'
  | 'packet'
  | 'frame'
  | 'file'
  | 'timeMicros'
  | 'offset'
  | 'length'
  | 'next'
  | 'infoHashLength'
  | 'clientLength'
  | 'facts'
>;

export class EvidenceStore {
  readonly detector: Uint8Array;
  /** Index into the detector's findings, or nearMisses for gradeNear. */
  readonly finding: Uint8Array;
  readonly grade: Uint8Array;
  readonly side: Uint8Array;
  readonly inOpening: Uint8Array;
  readonly packet: Int32Array;
  readonly frame: Int32Array;
  readonly file: Int32Array;
  readonly timeMicros: Float64Array;
  readonly offset: Int32Array;
  readonly length: Int32Array;
  /** Older item of the same flow, or -1. */
  readonly next: Int32Array;
  readonly infoHashLength: Uint8Array;
  readonly clientLength: Uint8Array;
  readonly facts: Uint8Array;
  /** Items that found no room. */
  dropped = 0;

  #nearMisses = 0;
  #free = -1;
  #highWater = 0;
  readonly #capacity: number;

  constructor(capacity: number = evidenceMax) {
    this.#capacity = capacity;
    this.detector = new Uint8Array(capacity);
    this.finding = new Uint8Array(capacity);
    this.grade = new Uint8Array(capacity);
    this.side = new Uint8Array(capacity);
    this.inOpening = new Uint8Array(capacity);
    this.packet = new Int32Array(capacity);
    this.frame = new Int32Array(capacity);
    this.file = new Int32Array(capacity);
    this.timeMicros = new Float64Array(capacity);
    this.offset = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.next = new Int32Array(capacity);
    this.infoHashLength = new Uint8Array(capacity);
    this.clientLength = new Uint8Array(capacity);
    this.facts = new Uint8Array(capacity * factBytes);
  }

  /** Adds an item before `head` and returns the new head; -1 if there is no room. */
  add(head: number, detector: number, finding: number, grade: number, where: Sighting, view: View): number {
    const item = grade === gradeNear && this.#nearMisses >= this.#capacity >> 1 ? -1 : this.#take();
    if (item < 0) {
      this.dropped++;
      return -1;
    }
    if (grade === gradeNear) this.#nearMisses++;
    this.detector[item] = detector;
    this.finding[item] = finding;
    this.grade[item] = grade;
    this.side[item] = where.side;
    this.packet[item] = where.packet;
    this.frame[item] = where.frame;
    this.file[item] = where.file;
    this.timeMicros[item] = where.timeMicros;
    this.inOpening[item] = view.inOpening ? 1 : 0;
    this.offset[item] = view.at;
    this.length[item] = view.length;
    this.infoHashLength[item] = view.infoHashLength;
    this.clientLength[item] = view.clientLength;
    const facts = item * factBytes;
    for (let i = 0; i < view.infoHashLength; i++) this.facts[facts + i] = view.infoHash[i]!;
    for (let i = 0; i < view.clientLength; i++) this.facts[facts + clientAt + i] = view.client[i]!;
    this.next[item] = head;
    return item;
  }

  /** Gives a flow's items back. */
  release(head: number): void {
    let item = head;
    while (item >= 0) {
      const older = this.next[item]!;
      if (this.grade[item] === gradeNear) this.#nearMisses--;
      this.next[item] = this.#free;
      this.#free = item;
      item = older;
    }
  }

  /** True if the flow already has this sentence of this detector, with this grade, about this side. */
  has(head: number, detector: number, finding: number, grade: number, side: number): boolean {
    for (let item = head; item >= 0; item = this.next[item]!) {
      const same = this.detector[item] === detector && this.finding[item] === finding;
      if (same && this.grade[item] === grade && this.side[item] === side) return true;
    }
    return false;
  }

  /** Info-hash as hex digits, or '' if the item has none. Not for the data plane. */
  infoHash(item: number): string {
    return infoHashOf(this, item);
  }

  #take(): number {
    if (this.#free >= 0) {
      const item = this.#free;
      this.#free = this.next[item]!;
      return item;
    }
    return this.#highWater < this.#capacity ? this.#highWater++ : -1;
  }
}

/** Info-hash as hex digits, or '' if the item has none. Reports only. */
export function infoHashOf({ facts, infoHashLength }: EvidenceColumns, item: number): string {
  const length = infoHashLength[item]!;
  if (length === 0) return '';
  return Buffer.from(facts.buffer, facts.byteOffset + item * factBytes, length).toString('hex');
}

/** Client software as it named itself, unprintable bytes shown as '.'; '' if the item has none. Reports only. */
export function clientOf({ facts, clientLength }: EvidenceColumns, item: number): string {
  const length = clientLength[item]!;
  if (length === 0) return '';
  const at = facts.byteOffset + item * factBytes + clientAt;
  const text = Buffer.from(facts.buffer, at, length).toString('latin1');
  return text.replace(/[^\x20-\x7e]/g, '.');
}
