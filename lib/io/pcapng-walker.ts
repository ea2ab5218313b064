/**
 * pcapng blocks (draft-ietf-opsawg-pcapng): sections of either byte order, interfaces, and the three kinds of packet
 * block. Everything else is stepped over without being held in memory. Promise: no byte of a block throws, and a file
 * of any shape keeps memory bounded.
 */
import { recordBytesMax } from '../limits.js';
import type { PacketBatch } from './packet-source.js';
import { TimeScale, tsresolMicros } from './pcapng-time.js';
import { blockBytesMax, type ReadWindow, type RecordWalker } from './record-walker.js';

export const blockSection = 0x0a0d0d0a;
export const blockInterface = 1;
export const blockObsoletePacket = 2;
export const blockSimplePacket = 3;
export const blockEnhancedPacket = 6;
export const byteOrderMagic = 0x1a2b3c4d;

/**
 * Blocks that hold no packet but that Wireshark shows as a frame (seen with 4.0.17): systemd journal, custom blocks,
 * Sysdig events. They are counted, so that our frame numbers are those of Wireshark.
 */
const framesWithoutPacket: ReadonlySet<number> = new Set([9, 0x0bad, 0x40000bad, 0x204, 0x216, 0x221]);

/** Type, both lengths. */
const blockBytesMin = 12;
const sectionBytesMin = 28;
const interfaceBytesMin = 20;
/** Fields of an Enhanced (or obsolete) Packet Block before and after its data. */
const packetFieldsBytes = 28;
const simpleFieldsBytes = 12;
const trailerBytes = 4;

const optionEnd = 0;
const optionTsresol = 9;
const optionTsoffset = 14;

/** Interfaces of one section. No machine has as many; the bound keeps a hostile file from growing memory. */
const interfacesMax = 65_536;

interface Interface {
  readonly linkType: number;
  /** Bytes kept of each packet; 0 in the file means no limit. */
  readonly snapLength: number;
  readonly time: TimeScale;
}

/** True when the section header at `at` says least significant byte first, null when it is no section header. */
export function sectionByteOrder(view: DataView, at: number): boolean | null {
  if (view.getUint32(at + 8, true) === byteOrderMagic) return true;
  return view.getUint32(at + 8, false) === byteOrderMagic ? false : null;
}

/** The version of the section header at `at` when it is none of 1.0 and 1.2 (the draft: read 1.2 as 1.0). */
export function unsupportedSectionVersion(view: DataView, at: number, little: boolean): string | null {
  const major = view.getUint16(at + 12, little);
  const minor = view.getUint16(at + 14, little);
  return major === 1 && (minor === 0 || minor === 2) ? null : `${major}.${minor}`;
}

/** Walks the blocks of a pcapng file, from its first section header on. */
export class PcapngWalker implements RecordWalker {
  frames = 0;
  problem: string | null = null;
  omitted: string | null = null;
  #little = true;
  /** False inside a section whose version is unknown: its blocks are stepped over, as the draft asks. */
  #readable = true;
  #interfaces: Interface[] = [];
  /** Simple Packet Blocks have no time; they take that of the packet before them. */
  #lastMicros = 0;

  walk(window: ReadWindow, batch: PacketBatch): void {
    batch.bytes = window.bytes;
    batch.count = 0;
    const { view } = window;
    while (batch.count < batch.capacity && window.end - window.at >= blockBytesMin) {
      const at = window.at;
      const type = view.getUint32(at, this.#little);
      if (type === blockEnhancedPacket && this.#readable) {
        if (!this.#packet(window, batch, type)) return;
      } else if (!this.#other(window, batch, type)) return;
    }
  }

  /** One block that is not an Enhanced Packet Block. False when it is incomplete or malformed. */
  #other(window: ReadWindow, batch: PacketBatch, type: number): boolean {
    if (type === blockSection) return this.#section(window);
    if (this.#readable) {
      if (type === blockSimplePacket || type === blockObsoletePacket)
        return this.#packet(window, batch, type);
      if (type === blockInterface) return this.#interface(window);
    }
    const total = window.view.getUint32(window.at + 4, this.#little);
    if (total < blockBytesMin) return this.#fail(`the block claims ${total} bytes, fewer than any block has`);
    if (this.#readable && framesWithoutPacket.has(type)) this.frames++;
    return this.#skip(window, total);
  }

  #packet(window: ReadWindow, batch: PacketBatch, type: number): boolean {
    const { view, at } = window;
    const little = this.#little;
    const fields = type === blockSimplePacket ? simpleFieldsBytes : packetFieldsBytes;
    const total = view.getUint32(at + 4, little);
    if (total < fields + trailerBytes || total > blockBytesMax) return this.#failLength(total);
    const size = (total + 3) & ~3;
    if (window.end - at < size) return false;
    if (!this.#trailerMatches(view, at + size, total)) return false;
    let index = 0;
    if (type === blockEnhancedPacket) index = view.getUint32(at + 8, little);
    else if (type === blockObsoletePacket) index = view.getUint16(at + 8, little);
    const source = this.#interfaces[index];
    if (source === undefined) return this.#failInterface(index);

    let captured: number;
    let wire: number;
    if (type === blockSimplePacket) {
      wire = view.getUint32(at + 8, little);
      captured = wire < source.snapLength ? wire : source.snapLength;
    } else {
      captured = view.getUint32(at + 20, little);
      wire = view.getUint32(at + 24, little);
      this.#lastMicros = source.time.micros(view.getUint32(at + 12, little), view.getUint32(at + 16, little));
    }
    if (captured > total - fields - trailerBytes || captured > recordBytesMax) {
      return this.#failCaptured(captured, total);
    }
    const slot = batch.count++;
    batch.start[slot] = at + fields;
    batch.end[slot] = at + fields + captured;
    batch.wireLength[slot] = wire < captured ? captured : wire > 0x7fffffff ? 0x7fffffff : wire;
    batch.linkType[slot] = source.linkType;
    batch.timeMicros[slot] = this.#lastMicros;
    batch.frame[slot] = ++this.frames;
    window.at = at + size;
    return true;
  }

  #section(window: ReadWindow): boolean {
    const { view, at } = window;
    if (window.end - at < sectionBytesMin) return false;
    const little = sectionByteOrder(view, at);
    if (little === null) return this.#fail('the section header has no byte-order magic');
    const total = view.getUint32(at + 4, little);
    if (total < sectionBytesMin)
      return this.#fail(`the section header claims ${total} bytes, fewer than it needs`);
    const unsupported = unsupportedSectionVersion(view, at, little);
    this.#little = little;
    this.#readable = unsupported === null;
    this.#interfaces = [];
    if (unsupported !== null) {
      this.omitted ??= `the section at byte ${window.offset} has the unknown pcapng version ${unsupported} and was left out`;
    }
    return this.#skip(window, total);
  }

  #interface(window: ReadWindow): boolean {
    const { view, at } = window;
    const total = view.getUint32(at + 4, this.#little);
    if (total < interfaceBytesMin || total > blockBytesMax) return this.#failLength(total);
    const size = (total + 3) & ~3;
    if (window.end - at < size) return false;
    if (!this.#trailerMatches(view, at + size, total)) return false;
    if (this.#interfaces.length === interfacesMax) {
      return this.#fail(`the section has more than ${interfacesMax} interfaces`);
    }
    const snapLength = view.getUint32(at + 12, this.#little);
    this.#interfaces.push({
      linkType: view.getUint16(at + 8, this.#little),
      snapLength: snapLength === 0 ? 0xffffffff : snapLength,
      time: this.#timeScale(view, at + 16, at + size - trailerBytes),
    });
    window.at = at + size;
    return true;
  }

  /** Options of an interface that change its time stamps. An option that overruns its block ends the list. */
  #timeScale(view: DataView, start: number, end: number): TimeScale {
    const little = this.#little;
    let tsresol = tsresolMicros;
    let offsetSeconds = 0;
    let at = start;
    while (end - at >= 4) {
      const code = view.getUint16(at, little);
      const length = view.getUint16(at + 2, little);
      const value = at + 4;
      if (code === optionEnd || length > end - value) break;
      if (code === optionTsresol && length === 1) tsresol = view.getUint8(value);
      else if (code === optionTsoffset && length === 8) {
        offsetSeconds = Number(view.getBigInt64(value, little));
      }
      at = value + ((length + 3) & ~3);
    }
    return new TimeScale(tsresol, offsetSeconds);
  }

  /** Steps over a block of any length; what is not in memory yet is dropped as it comes. */
  #skip(window: ReadWindow, total: number): boolean {
    window.drop(total % 4 === 0 ? total : total + 4 - (total % 4));
    return true;
  }

  /** Both lengths must agree, as Wireshark and libpcap demand: the cheapest sign that the file is not what it seems. */
  #trailerMatches(view: DataView, end: number, total: number): boolean {
    const trailer = view.getUint32(end - trailerBytes, this.#little);
    return (
      trailer === total || this.#fail(`the block says ${total} bytes at its start and ${trailer} at its end`)
    );
  }

  #failLength(total: number): false {
    return this.#fail(`the block claims ${total} bytes, which no block of its type may have`);
  }

  #failCaptured(captured: number, total: number): false {
    return this.#fail(`the packet claims ${captured} captured bytes in a block of ${total}`);
  }

  #failInterface(index: number): false {
    return this.#fail(`the packet names interface ${index}, and the section has ${this.#interfaces.length}`);
  }

  #fail(problem: string): false {
    this.problem = problem;
    return false;
  }
}
