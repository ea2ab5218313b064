/**
 * Beginnings: how much of a known first message each side of a TCP flow has sent, byte position by byte position. A
 * receiver may take any of two copies of a byte (overlaps with different content), and may never see some of them (short
 * time to live, wrong checksum, a segment outside its window), so no order of segments and no choice between copies is
 * the right one. But whatever it takes, a message that begins with twenty fixed bytes has had each of them at its place
 * in some segment: that is what is noted, one bit per position. All twenty by chance is 2^-160 per flow.
 *
 *     position        0  1  2  3 ... 19
 *     a segment          B  i  t              bits 1 to 3 are set
 *     another one     ?  ?  ?  T              bit 3 stays as it is: a wrong copy never unsets
 *
 * Positions count from the SYN. A forged SYN in the middle of a connection moves them, so the numbering before it is
 * kept as the second one of its end; a segment that fits neither begins a second numbering of its own if it carries more
 * of the message than the one held. Ends are the flow table's A and B, because a forged SYN may also swap the roles.
 *
 * Bounded by two numberings per end and 32 bytes per flow; nothing is copied.
 */
import type { Detector } from '../../detectors/detector.js';
import { invariant } from '../invariant.js';
import { flagRenumbered, flagSynClient, sBase, sFlags } from '../flow/row.js';
import { beginningBytes, farBytes, openingBytes } from '../limits.js';
import { tcpSyn, type Packet } from '../wire/packet.js';

/** Words per flow; all are pairs, A's and then B's. */
const stride = 8;
/** Sequence number of position 0, and the same of the second numbering. */
const wBase = 0;
const wSecond = 2;
/** Positions seen, one bit each, and above them what is known of the end. */
const wSeen = 4;
const wSecondSeen = 6;

const all = (1 << beginningBytes) - 1;
const knownBase = 1 << 24;
const knownSyn = 1 << 25;
const knownSecond = 1 << 26;

/** Positions that make a beginning likely: four of twenty by chance are one flow in some million. */
const partlyMin = 4;

/**
 * False for a segment behind its stream's beginning, as nearly all are: told from the flow's row, which is at hand, and
 * not from this table, which would be read from memory for each of them. `s` is the row in words.
 */
export function mayBegin(words: Int32Array, s: number, side: number, packet: Packet): boolean {
  const syn = flagSynClient << side;
  if ((words[s + sFlags]! & (syn | flagRenumbered)) !== syn) return true;
  const sequence = (packet.tcpFlags & tcpSyn) !== 0 ? packet.sequence + 1 : packet.sequence;
  const offset = (sequence - words[s + sBase + side]!) | 0;
  if (offset >= beginningBytes && offset < farBytes) return false;
  // Such a segment may begin a second numbering.
  if (offset < 0 || offset >= farBytes) words[s + sFlags]! |= flagRenumbered;
  return true;
}

export class Beginnings {
  /** Index in the registry of the detector whose message is followed, or -1. */
  readonly id: number;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  /** State of the flow that a SYN ended, until the next flow begins. */
  readonly #kept = new Int32Array(stride);
  #keeps = false;

  constructor(detectors: readonly Detector[], flowsMax: number) {
    this.id = detectors.findIndex(({ beginning }) => beginning !== undefined);
    const bytes = detectors[this.id]?.beginning?.bytes ?? new Uint8Array(0);
    invariant(bytes.length === 0 || bytes.length === beginningBytes, 'a beginning has one bit per position');
    this.#bytes = bytes;
    this.#words = new Int32Array(this.id < 0 ? 0 : flowsMax * stride);
  }

  /** A TCP flow begins in `slot`; it goes on with what `keep` kept. True if that was anything. */
  begin(slot: number): boolean {
    const words = this.#words;
    const w = slot * stride;
    if (w >= words.length) return false;
    const goesOn = this.#keeps;
    for (let i = 0; i < stride; i++) words[w + i] = goesOn ? this.#kept[i]! : 0;
    this.#keeps = false;
    return goesOn;
  }

  /** The TCP flow in `slot` ends with a SYN, maybe a forged one: of each end the numbering that got further is kept. */
  keep(slot: number): void {
    const words = this.#words;
    const w = slot * stride;
    if (w >= words.length) return;
    this.#keeps = true;
    this.#kept.fill(0);
    for (let end = w; end < w + 2; end++) {
      const own = words[end + wSeen]!;
      if ((own & (knownBase | knownSecond)) === 0) continue;
      const second = words[end + wSecondSeen]!;
      const takesSecond = (own & knownSecond) !== 0 && count(second) > count(own & all);
      this.#kept[wSecond + end - w] = words[end + (takesSecond ? wSecond : wBase)]!;
      this.#kept[wSecondSeen + end - w] = takesSecond ? second : own & all;
      this.#kept[wSeen + end - w] = knownSecond;
    }
  }

  /** A SYN of `side`: its stream begins at `sequence`. One with another number than the first is the second numbering. */
  syn(slot: number, side: number, sequence: number): void {
    const words = this.#words;
    const end = slot * stride + side;
    if (end >= words.length) return;
    if ((words[end + wSeen]! & knownSyn) === 0) {
      words[end + wBase] = sequence;
      words[end + wSeen]! |= knownSyn | knownBase;
    } else if (words[end + wBase] !== sequence && words[end + wSecondSeen] === 0) {
      words[end + wSecond] = sequence;
      words[end + wSeen]! |= knownSecond;
    }
  }

  /** True if either end of a TCP flow has sent some of the message, at its place. */
  isPartly(slot: number): boolean {
    const words = this.#words;
    const w = slot * stride;
    if (w >= words.length) return false;
    for (let i = w + wSeen; i < w + stride; i++) if (count(words[i]! & all) >= partlyMin) return true;
    return false;
  }

  /**
   * Payload of `side` whose first byte has number `sequence`; true when every position of the message has been seen.
   * @param mayBeFar whether a segment that fits no numbering may begin one
   */
  follow(packet: Packet, slot: number, side: number, sequence: number, mayBeFar: boolean): boolean {
    const words = this.#words;
    const end = slot * stride + side;
    if (end >= words.length) return false;
    const known = words[end + wSeen]!;
    if ((known & knownBase) === 0) {
      words[end + wBase] = sequence;
      words[end + wSeen]! |= knownBase;
    }
    const length = packet.payloadEnd - packet.payloadStart;
    const offset = (sequence - words[end + wBase]!) | 0;
    const hasSecond = (known & knownSecond) !== 0;
    if (offset >= beginningBytes && offset < farBytes && !hasSecond) return false;
    if (this.#note(packet, end + wSeen, offset)) return true;
    if (hasSecond) {
      const other = (sequence - words[end + wSecond]!) | 0;
      if (this.#note(packet, end + wSecondSeen, other)) return true;
      if (other < beginningBytes && other > -length) return false;
    }
    const fromStart = (known & knownSyn) !== 0;
    const earlier = offset <= -length && (fromStart || offset > -openingBytes);
    const far = offset >= farBytes && fromStart;
    return mayBeFar && (earlier || far) && this.#beginSecond(packet, end, sequence);
  }

  /** Notes the positions at which this payload, `offset` behind position 0, has the message's byte. */
  #note(packet: Packet, at: number, offset: number): boolean {
    const found = this.#match(packet, offset);
    if (found === 0) return false;
    this.#words[at]! |= found;
    return (this.#words[at]! & all) === all;
  }

  #match(packet: Packet, offset: number): number {
    const message = this.#bytes;
    const bytes = packet.bytes;
    const from = Math.max(0, offset);
    const to = Math.min(beginningBytes, offset + packet.payloadEnd - packet.payloadStart);
    const start = packet.payloadStart - offset;
    let found = 0;
    for (let i = from; i < to; i++) if (bytes[start + i] === message[i]) found |= 1 << i;
    return found;
  }

  /** A numbering that begins with this segment, if more of the message fits it than the one it replaces. */
  #beginSecond(packet: Packet, end: number, sequence: number): boolean {
    const words = this.#words;
    const found = this.#match(packet, 0);
    if ((found & 1) === 0 || count(found) <= count(words[end + wSecondSeen]!)) return false;
    words[end + wSecond] = sequence;
    words[end + wSecondSeen] = found;
    words[end + wSeen]! |= knownSecond;
    return found === all;
  }
}

function count(bits: number): number {
  let ones = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) ones++;
  return ones;
}
