/**
 * Writes captures of every format that the reader knows, for tests, fixtures and benchmarks. Layouts are those of
 * draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng; nothing is checked, so that tests can write nonsense too.
 */
import type { MemoryPacket } from './memory-source.js';
import {
  pcapMagicIxiaHardware,
  pcapMagicIxiaSoftware,
  pcapMagicMicros,
  pcapMagicModified,
  pcapMagicNanos,
} from './pcap-walker.js';
import {
  blockEnhancedPacket,
  blockInterface,
  blockObsoletePacket,
  blockSection,
  blockSimplePacket,
  byteOrderMagic,
} from './pcapng-walker.js';
import { tsresolMicros } from './pcapng-time.js';

export type PcapVariantName = 'micros' | 'nanos' | 'modified' | 'ixia' | 'ixia-hardware';

export interface PcapOptions {
  /** Byte order; little if left out. */
  readonly bigEndian?: boolean;
  /** `micros` if left out. */
  readonly variant?: PcapVariantName;
  /** LINKTYPE_ value with its upper bits; Ethernet (1) if left out. A classic file has one for all packets. */
  readonly linkType?: number;
  /** Bytes; 262,144 if left out. */
  readonly snapLength?: number;
}

const pcapMagics: Readonly<Record<PcapVariantName, number>> = {
  micros: pcapMagicMicros,
  nanos: pcapMagicNanos,
  modified: pcapMagicModified,
  ixia: pcapMagicIxiaSoftware,
  'ixia-hardware': pcapMagicIxiaHardware,
};

/** File header of a classic capture. The record length field of IXIA files stays 0. */
export function pcapHeader(options: PcapOptions = {}): Uint8Array {
  const little = options.bigEndian !== true;
  const variant = options.variant ?? 'micros';
  const out = new Uint8Array(variant.startsWith('ixia') ? 28 : 24);
  const view = new DataView(out.buffer);
  view.setUint32(0, pcapMagics[variant], little);
  view.setUint16(4, 2, little);
  view.setUint16(6, 4, little);
  view.setUint32(16, options.snapLength ?? 262_144, little);
  view.setUint32(20, options.linkType ?? 1, little);
  return out;
}

/** One record of a classic capture. */
export function pcapRecord(packet: MemoryPacket, options: PcapOptions = {}): Uint8Array {
  const little = options.bigEndian !== true;
  const headerBytes = options.variant === 'modified' ? 24 : 16;
  const out = new Uint8Array(headerBytes + packet.bytes.length);
  const view = new DataView(out.buffer);
  const micros = packet.timeMicros % 1_000_000;
  view.setUint32(0, Math.floor(packet.timeMicros / 1_000_000), little);
  const nanos = options.variant === 'nanos' || options.variant === 'ixia-hardware';
  view.setUint32(4, nanos ? micros * 1000 : micros, little);
  view.setUint32(8, packet.bytes.length, little);
  view.setUint32(12, packet.wireLength ?? packet.bytes.length, little);
  out.set(packet.bytes, headerBytes);
  return out;
}

/** A whole classic capture. */
export function pcapFile(packets: readonly MemoryPacket[], options: PcapOptions = {}): Uint8Array {
  return joined([pcapHeader(options), ...packets.map((packet) => pcapRecord(packet, options))]);
}

export type PcapngBlockName = 'enhanced' | 'simple' | 'obsolete';

export interface PcapngOptions {
  /** Byte order; little if left out. */
  readonly bigEndian?: boolean;
  /** Kind of packet block; `enhanced` if left out. Simple blocks lose the time and all link types but the first. */
  readonly block?: PcapngBlockName;
  /** if_tsresol byte; no option is written if left out (microseconds). */
  readonly tsresol?: number;
  /** if_tsoffset, whole seconds; no option is written if left out. */
  readonly tsoffsetSeconds?: number;
  /** Bytes; 0, which means no limit, if left out. */
  readonly snapLength?: number;
}

/** One pcapng block around `body`, which is padded to 32 bits. */
export function pcapngBlock(type: number, body: Uint8Array, options: PcapngOptions = {}): Uint8Array {
  const little = options.bigEndian !== true;
  const total = 12 + Math.ceil(body.length / 4) * 4;
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  view.setUint32(0, type, little);
  view.setUint32(4, total, little);
  out.set(body, 8);
  view.setUint32(total - 4, total, little);
  return out;
}

/** Section header of version 1.0 and unknown section length. */
export function pcapngSection(options: PcapngOptions = {}): Uint8Array {
  const little = options.bigEndian !== true;
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setUint32(0, byteOrderMagic, little);
  view.setUint16(4, 1, little);
  view.setBigInt64(8, -1n, little);
  return pcapngBlock(blockSection, body, options);
}

/** Interface description with the time options that were asked for. */
export function pcapngInterface(linkType: number, options: PcapngOptions = {}): Uint8Array {
  const little = options.bigEndian !== true;
  const { tsresol, tsoffsetSeconds } = options;
  const body = new Uint8Array(
    8 + (tsresol === undefined ? 0 : 8) + (tsoffsetSeconds === undefined ? 0 : 12) + 4,
  );
  const view = new DataView(body.buffer);
  view.setUint16(0, linkType, little);
  view.setUint32(4, options.snapLength ?? 0, little);
  let at = 8;
  if (tsresol !== undefined) {
    view.setUint16(at, 9, little);
    view.setUint16(at + 2, 1, little);
    view.setUint8(at + 4, tsresol);
    at += 8;
  }
  if (tsoffsetSeconds !== undefined) {
    view.setUint16(at, 14, little);
    view.setUint16(at + 2, 8, little);
    view.setBigInt64(at + 4, BigInt(tsoffsetSeconds), little);
  }
  return pcapngBlock(blockInterface, body, options);
}

/** Packet block of the kind that was asked for, on the interface with this index. */
export function pcapngPacket(packet: MemoryPacket, index: number, options: PcapngOptions = {}): Uint8Array {
  const little = options.bigEndian !== true;
  const wire = packet.wireLength ?? packet.bytes.length;
  if (options.block === 'simple') {
    const body = new Uint8Array(4 + packet.bytes.length);
    new DataView(body.buffer).setUint32(0, wire, little);
    body.set(packet.bytes, 4);
    return pcapngBlock(blockSimplePacket, body, options);
  }
  const body = new Uint8Array(20 + packet.bytes.length);
  const view = new DataView(body.buffer);
  const stamp = timeUnits(packet.timeMicros, options);
  if (options.block === 'obsolete') view.setUint16(0, index, little);
  else view.setUint32(0, index, little);
  view.setUint32(4, Number(stamp >> 32n), little);
  view.setUint32(8, Number(stamp & 0xffffffffn), little);
  view.setUint32(12, packet.bytes.length, little);
  view.setUint32(16, wire, little);
  body.set(packet.bytes, 20);
  return pcapngBlock(options.block === 'obsolete' ? blockObsoletePacket : blockEnhancedPacket, body, options);
}

/** A whole pcapng section: header, one interface per link type in order of appearance, packets. */
export function pcapngFile(packets: readonly MemoryPacket[], options: PcapngOptions = {}): Uint8Array {
  const linkTypes = [...new Set(packets.map((packet) => packet.linkType ?? 1))];
  if (linkTypes.length === 0) linkTypes.push(1);
  return joined([
    pcapngSection(options),
    ...linkTypes.map((linkType) => pcapngInterface(linkType, options)),
    ...packets.map((packet) => pcapngPacket(packet, linkTypes.indexOf(packet.linkType ?? 1), options)),
  ]);
}

/** The stamp in units of if_tsresol; rounded up, so that reading it (rounded down) gives the same microsecond. */
function timeUnits(timeMicros: number, options: PcapngOptions): bigint {
  const tsresol = options.tsresol ?? tsresolMicros;
  const exponent = BigInt(tsresol & 0x7f);
  const unitsPerSecond = (tsresol & 0x80) !== 0 ? 2n ** exponent : 10n ** exponent;
  const micros = BigInt(timeMicros) - BigInt(options.tsoffsetSeconds ?? 0) * 1_000_000n;
  return BigInt.asUintN(64, (micros * unitsPerSecond + 999_999n) / 1_000_000n);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
