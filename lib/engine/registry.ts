/**
 * The detectors as the engine uses them: split by transport, one bit each, with the masks that say who is asked when.
 * The registry is passed in by cmd/; the engine knows only the interface.
 */
import type {
  Confidence,
  Detector,
  HeaderCheck,
  Outcome,
  Transport,
  View,
} from '../../detectors/detector.js';
import { invariant } from '../invariant.js';
import { inspectedPacketsMax } from '../limits.js';
import type { Packet } from '../wire/packet.js';
import { gradeHint, gradeProof, gradeStrong } from './evidence.js';

export interface Registry {
  readonly detectors: readonly Detector[];
  /** Names of other protocols; index 0 is "none recognised". */
  readonly otherProtocols: readonly string[];
  recogniseOther(view: View, transport: Transport): number;
  /** True for one of `otherProtocols` whose programs have uTP connections of their own between the same ports. */
  speaksUtp(other: number): boolean;
}

/** Detectors of one transport. Bit i of every mask stands for `detectors[i]`. */
export class DetectorSet {
  readonly detectors: readonly Detector[];
  /** Those after whose Yes the openings are kept, and those asked after the verdict. */
  readonly follows: number;
  readonly teaches: number;
  /** Those that know names of the operator's list; they are also asked about what is said to a proxy. */
  readonly names: number;
  /** Those that go by the shape of encrypted connections. */
  readonly shapes: number;
  /** What is called, by the same index. */
  readonly inspects: readonly ((view: View) => Outcome)[];
  /** Those with a check of the header, and the checks; null for the others. */
  readonly headed: number;
  readonly headers: readonly (HeaderCheck | null)[];
  /** Index in the whole registry, for evidence. */
  readonly ids: readonly number[];
  readonly all: number;
  /** Those that read the opening; the rest look at packets. */
  readonly opening: number;
  /** Those asked when the start of the flow was seen, and when it was not. */
  readonly atStart: number;
  readonly inMiddle: number;
  /** Those asked besides while the first bytes of a stream are missing. What goes by shape waits until they are there. */
  readonly behindGap: number;
  /** Who can say anything but No to a payload that begins with this byte while nothing is kept. */
  readonly startingWith: Int32Array;
  /** Who is still asked about the n-th payload packet of a side; index 0 to inspectedPacketsMax + 1. */
  readonly askedAt: Int32Array;

  constructor(registry: readonly Detector[], transport: Transport) {
    const ids = registry.flatMap((detector, id) => (detector.transport === transport ? [id] : []));
    this.ids = ids;
    this.detectors = ids.map((id) => registry[id]!);
    invariant(this.detectors.length <= 31, 'a transport has at most 31 detectors, one bit each');
    this.all = this.#mask(() => true);
    this.opening = this.#mask((detector) => detector.scope === 'opening');
    this.names = this.#mask(({ findings }) => findings.some(({ kind }) => kind === 'listed-name'));
    this.shapes = this.#mask(({ findings }) => findings.some(({ kind }) => kind === 'encrypted'));
    this.follows = this.#mask((detector) => detector.follows === true);
    // eslint-disable-next-line @typescript-eslint/unbound-method -- a detector is a pure function, without a `this`
    this.inspects = this.detectors.map(({ inspect }) => inspect);
    this.headers = this.detectors.map(({ header }) => header ?? null);
    this.headed = this.#mask(({ header }) => header !== undefined);
    this.teaches = this.#mask((detector) => detector.teaches === true);
    this.atStart = this.#mask((detector) => detector.where !== 'middle');
    this.inMiddle = this.#mask((detector) => detector.where !== 'start');
    this.behindGap = this.inMiddle & ~this.atStart & ~this.opening & ~this.shapes;
    this.startingWith = Int32Array.from({ length: 256 }, (_, byte) =>
      this.#mask(({ firstBytes }) => firstBytes === null || firstBytes.includes(byte)),
    );
    this.askedAt = Int32Array.from({ length: inspectedPacketsMax + 2 }, (_, n) =>
      this.#mask((detector) => n <= detector.packetsMax),
    );
  }

  /** Who of `pending` can say anything but No to this payload while nothing is kept, by its first byte and its header. */
  likely(packet: Packet, pending: number): number {
    let likely = this.startingWith[packet.bytes[packet.payloadStart]!]!;
    for (let rest = likely & pending & this.headed; rest !== 0;) {
      const bit = rest & -rest;
      rest ^= bit;
      const check = this.headers[31 - Math.clz32(bit)]!;
      if (!check(packet.bytes, packet.payloadStart, packet.payloadEnd, packet.payloadWireLength))
        likely ^= bit;
    }
    return likely;
  }

  #mask(wanted: (detector: Detector) => boolean): number {
    return this.detectors.reduce((mask, detector, bit) => (wanted(detector) ? mask | (1 << bit) : mask), 0);
  }
}

export function gradeOf(confidence: Confidence): number {
  return confidence === 'proof' ? gradeProof : confidence === 'strong' ? gradeStrong : gradeHint;
}
