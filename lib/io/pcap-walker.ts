/**
 * Classic pcap: file header and records (draft-ietf-opsawg-pcap, sections 4 and 5), with the variants that libpcap and
 * Wireshark know by magic number. Promise: every byte of a record is data, none of them throws.
 *
 * Not supported, because they carry the standard magic number and can only be guessed: ss990417 and Nokia (longer
 * record headers), AIX (ifType link types), and ss990915 under the modified magic number.
 */
import { recordBytesMax } from '../limits.js';
import type { PacketBatch } from './packet-source.js';
import type { ReadWindow, RecordWalker } from './record-walker.js';

/** Bytes of the file header; the IXIA variants add the length of all records. */
export const pcapHeaderBytes = 24;
const ixiaHeaderBytes = 28;
const recordHeaderBytes = 16;
/** Alexey Kuznetsov's patch of libpcap (1999) adds interface index, protocol and packet type. */
const modifiedRecordHeaderBytes = 24;

export const pcapMagicMicros = 0xa1b2c3d4;
export const pcapMagicNanos = 0xa1b23c4d;
export const pcapMagicModified = 0xa1b2cd34;
/** IXIA lcap, stamped by hardware in nanoseconds, by software in microseconds, as Wireshark 4.4 reads them. */
export const pcapMagicIxiaHardware = 0x1c0001ac;
export const pcapMagicIxiaSoftware = 0x1c0001ab;

/** What the first four bytes say: byte order and variant. */
export interface PcapVariant {
  readonly littleEndian: boolean;
  readonly nanos: boolean;
  readonly fileHeaderBytes: number;
  readonly recordHeaderBytes: number;
}

/** The variant of a pcap file by the four bytes at `at`, or null when they are no pcap magic number. */
export function pcapVariant(view: DataView, at: number): PcapVariant | null {
  for (const littleEndian of [true, false]) {
    const magic = view.getUint32(at, littleEndian);
    const ixia = magic === pcapMagicIxiaHardware || magic === pcapMagicIxiaSoftware;
    const modified = magic === pcapMagicModified;
    const nanos = magic === pcapMagicNanos || magic === pcapMagicIxiaHardware;
    if (magic === pcapMagicMicros || nanos || modified || ixia) {
      return {
        littleEndian,
        nanos,
        fileHeaderBytes: ixia ? ixiaHeaderBytes : pcapHeaderBytes,
        recordHeaderBytes: modified ? modifiedRecordHeaderBytes : recordHeaderBytes,
      };
    }
  }
  return null;
}

/** The version of the file header at `at`, when it is one that nobody can read (libpcap: below 2.0, or above 2). */
export function unsupportedPcapVersion(view: DataView, at: number, variant: PcapVariant): string | null {
  const major = view.getUint16(at + 4, variant.littleEndian);
  const minor = view.getUint16(at + 6, variant.littleEndian);
  return major === 2 || major === dgUxMajor ? null : `${major}.${minor}`;
}

/** DG/UX's tcpdump writes version 543.0. */
const dgUxMajor = 543;

/** Walks the records behind a pcap file header. */
export class PcapWalker implements RecordWalker {
  frames = 0;
  problem: string | null = null;
  readonly omitted = null;
  readonly #littleEndian: boolean;
  readonly #nanos: boolean;
  readonly #headerBytes: number;
  readonly #linkType: number;
  /** Up to version 2.3 the two lengths may stand the other way round; the captured one is the smaller. */
  readonly #lengthsUnordered: boolean;

  /** @param at where the file header stands in `view`; it is complete. */
  constructor(view: DataView, at: number, variant: PcapVariant) {
    this.#littleEndian = variant.littleEndian;
    this.#nanos = variant.nanos;
    this.#headerBytes = variant.recordHeaderBytes;
    // The upper 16 bits hold the length of a frame check sequence and flags; decoders ignore trailing bytes.
    this.#linkType = view.getUint32(at + 20, variant.littleEndian) & 0xffff;
    const major = view.getUint16(at + 4, variant.littleEndian);
    this.#lengthsUnordered = major === dgUxMajor || view.getUint16(at + 6, variant.littleEndian) <= 3;
  }

  walk(window: ReadWindow, batch: PacketBatch): void {
    const { view, end } = window;
    const { start: starts, end: ends, wireLength, linkType, timeMicros, frame, capacity } = batch;
    const little = this.#littleEndian;
    const nanos = this.#nanos;
    const headerBytes = this.#headerBytes;
    const link = this.#linkType;
    let at = window.at;
    let frames = this.frames;
    let count = 0;
    while (count < capacity && end - at >= headerBytes) {
      let captured = view.getUint32(at + 8, little);
      let wire = view.getUint32(at + 12, little);
      if (this.#lengthsUnordered && wire < captured) {
        const swapped = captured;
        captured = wire;
        wire = swapped;
      }
      if (captured > recordBytesMax) {
        this.problem = `the record claims ${captured} captured bytes, more than the ${recordBytesMax} of any capture program`;
        break;
      }
      const data = at + headerBytes;
      if (captured > end - data) break;
      const fraction = view.getUint32(at + 4, little);
      starts[count] = data;
      ends[count] = data + captured;
      wireLength[count] = wire < captured ? captured : wire > 0x7fffffff ? 0x7fffffff : wire;
      linkType[count] = link;
      timeMicros[count] =
        view.getUint32(at, little) * 1_000_000 + (nanos ? Math.floor(fraction / 1000) : fraction);
      frame[count] = ++frames;
      count++;
      at = data + captured;
    }
    window.at = at;
    this.frames = frames;
    batch.bytes = window.bytes;
    batch.count = count;
  }
}
