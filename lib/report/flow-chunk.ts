/**
 * Copies of ended flows in one block of memory, so that a thread can hand them to another: the flow's row, its outer
 * addresses, why it ended, and its items of evidence. What is copied is what `EndedFlowView` reads, and the same view
 * reads the copies, so a report cannot tell which thread a flow comes from.
 *
 *     | rows, 192 B each | times of items | outer addresses | words of items | endings | bytes of items |
 */
import { factBytes, type EvidenceColumns } from '../engine/evidence.js';
import type { Registry } from '../engine/registry.js';
import {
  flagTunnelled,
  numberStride,
  outerStride,
  sEvidence,
  sFlags,
  wordStride,
  type Ending,
} from '../flow/table.js';
import type { EndedRows } from './ended-flow.js';

const endings = ['closed', 'idle', 'evicted', 'end-of-input'] as const satisfies readonly Ending[];

const itemColumns32 = ['packet', 'frame', 'file', 'offset', 'length', 'next'] as const;
const itemColumns8 = [
  'detector',
  'finding',
  'grade',
  'side',
  'inOpening',
  'infoHashLength',
  'clientLength',
] as const;

const flowBytes = wordStride * 4 + outerStride * 4 + 1;
const itemBytes = 8 + itemColumns32.length * 4 + itemColumns8.length + factBytes;

type Items = {
  -readonly [Name in keyof EvidenceColumns]: EvidenceColumns[Name];
};

/** A chunk on its way to another thread. */
export interface PackedFlows {
  readonly flows: number;
  readonly items: number;
  readonly memory: ArrayBuffer;
}

export class FlowChunk implements EndedRows {
  readonly registry: Registry;
  readonly flows: { words: Int32Array; numbers: Float64Array; outer: Int32Array; ending: Ending };
  readonly inspector: { readonly evidence: Items };
  readonly #memory: ArrayBuffer;
  readonly #endings: Uint8Array;
  readonly #flowsMax: number;
  readonly #itemsMax: number;
  #flows = 0;
  #items = 0;

  /** An empty chunk with room for so many flows and items of evidence. */
  constructor(
    registry: Registry,
    flowsMax: number,
    itemsMax: number,
    memory = new ArrayBuffer(flowsMax * flowBytes + itemsMax * itemBytes),
  ) {
    this.registry = registry;
    this.#flowsMax = flowsMax;
    this.#itemsMax = itemsMax;
    this.#memory = memory;
    let at = 0;
    const taken = (bytes: number): number => (at += bytes) - bytes;
    const rowsAt = taken(flowsMax * wordStride * 4);
    const timeMicros = new Float64Array(memory, taken(itemsMax * 8), itemsMax);
    const outer = new Int32Array(memory, taken(flowsMax * outerStride * 4), flowsMax * outerStride);
    const words = (): Int32Array => new Int32Array(memory, taken(itemsMax * 4), itemsMax);
    const [packet, frame, file] = [words(), words(), words()];
    const [offset, length, next] = [words(), words(), words()];
    this.#endings = new Uint8Array(memory, taken(flowsMax), flowsMax);
    const bytes = (each = 1): Uint8Array => new Uint8Array(memory, taken(itemsMax * each), itemsMax * each);
    const [detector, finding, grade, side, inOpening] = [bytes(), bytes(), bytes(), bytes(), bytes()];
    const [infoHashLength, clientLength, facts] = [bytes(), bytes(), bytes(factBytes)];
    this.flows = {
      words: new Int32Array(memory, rowsAt, flowsMax * wordStride),
      numbers: new Float64Array(memory, rowsAt, flowsMax * numberStride),
      outer,
      ending: 'end-of-input',
    };
    this.inspector = {
      evidence: {
        ...{ timeMicros, packet, frame, file, offset, length, next },
        ...{ detector, finding, grade, side, inOpening, infoHashLength, clientLength, facts },
      },
    };
  }

  /** The chunk that `pack` gave. */
  static unpack(registry: Registry, { flows, items, memory }: PackedFlows): FlowChunk {
    const chunk = new FlowChunk(registry, flows, items, memory);
    chunk.#flows = flows;
    chunk.#items = items;
    return chunk;
  }

  get size(): number {
    return this.#flows;
  }

  /** Copies an ended flow; false, and nothing is done, if there is no room for it. */
  add(from: EndedRows, slot: number): boolean {
    const { evidence } = from.inspector;
    const { words } = from.flows;
    const s = slot * wordStride;
    const head = words[s + sEvidence]!;
    let items = 0;
    for (let item = head; item >= 0; item = evidence.next[item]!) items++;
    if (this.#flows === this.#flowsMax || this.#items + items > this.#itemsMax) return false;
    const flow = this.#flows++;
    const k = flow * wordStride;
    const to = this.flows.words;
    for (let i = 0; i < wordStride; i++) to[k + i] = words[s + i]!;
    to[k + sEvidence] = items === 0 ? -1 : this.#items;
    this.#endings[flow] = endings.indexOf(from.flows.ending);
    if ((words[s + sFlags]! & flagTunnelled) !== 0) this.#copyOuter(from, slot, flow);
    for (let item = head; item >= 0; item = evidence.next[item]!) this.#copyItem(evidence, item);
    return true;
  }

  #copyOuter(from: EndedRows, slot: number, flow: number): void {
    for (let i = 0; i < outerStride; i++)
      this.flows.outer[flow * outerStride + i] = from.flows.outer[slot * outerStride + i]!;
  }

  /** Items of a flow lie one behind the other, the newest first. */
  #copyItem(from: EvidenceColumns, item: number): void {
    const to = this.inspector.evidence;
    const index = this.#items++;
    to.timeMicros[index] = from.timeMicros[item]!;
    // Written out: access by name costs some twenty nanoseconds for each column.
    to.packet[index] = from.packet[item]!;
    to.frame[index] = from.frame[item]!;
    to.file[index] = from.file[item]!;
    to.offset[index] = from.offset[item]!;
    to.length[index] = from.length[item]!;
    to.detector[index] = from.detector[item]!;
    to.finding[index] = from.finding[item]!;
    to.grade[index] = from.grade[item]!;
    to.side[index] = from.side[item]!;
    to.inOpening[index] = from.inOpening[item]!;
    to.infoHashLength[index] = from.infoHashLength[item]!;
    to.clientLength[index] = from.clientLength[item]!;
    to.next[index] = from.next[item]! < 0 ? -1 : index + 1;
    for (let i = 0; i < factBytes; i++) to.facts[index * factBytes + i] = from.facts[item * factBytes + i]!;
  }

  /** Points `flows.ending` at this flow; to be called before it is shown. */
  turnTo(flow: number): void {
    this.flows.ending = endings[this.#endings[flow]!]!;
  }

  /** What is in it, in memory of just that size; the chunk is empty afterwards. */
  pack(): PackedFlows {
    const packed = new FlowChunk(this.registry, this.#flows, this.#items);
    const { words, outer } = this.flows;
    packed.flows.words.set(words.subarray(0, packed.flows.words.length));
    packed.flows.outer.set(outer.subarray(0, packed.flows.outer.length));
    packed.#endings.set(this.#endings.subarray(0, this.#flows));
    const [from, to] = [this.inspector.evidence, packed.inspector.evidence];
    to.timeMicros.set(from.timeMicros.subarray(0, this.#items));
    for (const name of itemColumns32) to[name].set(from[name].subarray(0, this.#items));
    for (const name of itemColumns8) to[name].set(from[name].subarray(0, this.#items));
    to.facts.set(from.facts.subarray(0, this.#items * factBytes));
    const flows = this.#flows;
    const items = this.#items;
    this.#flows = 0;
    this.#items = 0;
    return { flows, items, memory: packed.#memory };
  }
}
