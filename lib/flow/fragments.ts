/**
 * Reassembly of IP datagrams (RFC 791, RFC 8200 section 4.5) as a firewall must do it: bounded in memory and time, no
 * allocation per packet, and never a datagram that two receivers could understand differently. An exact duplicate is
 * ignored; any other overlap, a contradiction about the end, or a length that cannot be discards the whole datagram
 * and blocks its later fragments until the time-out (RFC 5722, RFC 8200, applied to IPv4 as well).
 *
 * Memory of one datagram, all of it reserved at start but touched by the kernel only when used:
 *
 *     | room for headers, right-aligned ->| data, byte 0 .. 65,534 |      blocks: one state per 8 bytes of data
 *
 * Datagrams in use form a list by age; when the table is full the oldest is given up.
 */
import { invariant } from '../invariant.js';
import {
  datagramBytesMax,
  fragmentedDatagramsMax,
  fragmentTimeoutSeconds,
  tunnelDepthMax,
} from '../limits.js';
import { decodeDatagram } from '../wire/decode.js';
import { fragmentNextHeaderAt, ipv6Header, ipv6PayloadLengthAt } from '../wire/ipv6.js';
import { Fragment, type Packet } from '../wire/packet.js';

/** Unfragmentable headers kept: an IPv4 header has at most 60 bytes; longer IPv6 chains are discarded as malformed. */
const headerRoom = 256;
const slotBytes = headerRoom + datagramBytesMax + 1;
const blockBytes = 8;
const blocksPerSlot = (datagramBytesMax + 1) / blockBytes;

const blockEmpty = 0;
const blockData = 1;
/** First block of a fragment, so that an exact duplicate can be told from an overlap. */
const blockFirst = 2;

/** Words of a key: two addresses, identification, version with protocol. */
const keyWords = 10;
const none = -1;

export interface FragmentOptions {
  /** Datagrams at once; 2 at least, since a datagram can hold a fragment of another one. */
  readonly datagramsMax?: number;
  readonly timeoutSeconds?: number;
}

/** What became of the fragments offered; all counts since start. */
export class FragmentCounters {
  /** Fragments offered. */
  fragments = 0;
  /** Datagrams put together. */
  reassembled = 0;
  /** Fragments ignored as exact duplicates. */
  duplicates = 0;
  /** Datagrams discarded for an overlap. */
  overlaps = 0;
  /** Datagrams discarded for impossible or contradictory lengths. */
  malformed = 0;
  /** Datagrams discarded because the capture cut a fragment. */
  cut = 0;
  /** Fragments of datagrams that had been discarded before. */
  blocked = 0;
  /** Datagrams given up incomplete after the time-out. */
  timedOut = 0;
  /** Datagrams given up incomplete because the table was full. */
  evicted = 0;
}

export class FragmentTable {
  readonly counters = new FragmentCounters();
  readonly #datagramsMax: number;
  readonly #timeoutMicros: number;
  readonly #memory: Uint8Array;
  readonly #blocks: Uint8Array;
  readonly #keys: Int32Array;
  readonly #created: Float64Array;
  /** Wire bytes of the frames that brought the pieces. */
  readonly #frameBytes: Int32Array;
  /** Bytes of unfragmentable headers, 0 until the first fragment came. */
  readonly #headerLength: Int32Array;
  /** Data length, known from the last fragment; -1 before. */
  readonly #dataLength: Int32Array;
  /** End of the data seen so far, bytes. */
  readonly #highest: Int32Array;
  readonly #blocksHeld: Int32Array;
  /** 1 for a datagram that was discarded: it only keeps its later fragments out. */
  readonly #isBlocked: Uint8Array;
  /** Age list: towards newer, towards older. A free slot uses `newer` as link of the free list. */
  readonly #newer: Int32Array;
  readonly #older: Int32Array;
  #oldest = none;
  #newest = none;
  #free = 0;
  #inUse = 0;

  constructor(options: FragmentOptions = {}) {
    const datagrams = options.datagramsMax ?? fragmentedDatagramsMax;
    invariant(datagrams >= 2 && datagrams <= 16_384, 'fragment table holds 2 to 16,384 datagrams');
    this.#datagramsMax = datagrams;
    this.#timeoutMicros = (options.timeoutSeconds ?? fragmentTimeoutSeconds) * 1e6;
    this.#memory = new Uint8Array(datagrams * slotBytes);
    this.#blocks = new Uint8Array(datagrams * blocksPerSlot);
    this.#keys = new Int32Array(datagrams * keyWords);
    this.#created = new Float64Array(datagrams);
    this.#frameBytes = new Int32Array(datagrams);
    this.#headerLength = new Int32Array(datagrams);
    this.#dataLength = new Int32Array(datagrams);
    this.#highest = new Int32Array(datagrams);
    this.#blocksHeld = new Int32Array(datagrams);
    this.#isBlocked = new Uint8Array(datagrams);
    this.#newer = new Int32Array(datagrams);
    this.#older = new Int32Array(datagrams).fill(none);
    for (let slot = 0; slot < datagrams; slot++) this.#newer[slot] = slot + 1 < datagrams ? slot + 1 : none;
  }

  /** Datagrams held now, discarded ones that still block included. */
  get size(): number {
    return this.#inUse;
  }

  /**
   * Takes a packet whose outcome is Fragment, at `packet.timeMicros`. True when its datagram is whole: the packet then was decoded again from memory of this table, valid until the next offer, and its outcome
   * tells what it is. A fragment that only then comes to light (a tunnel packet in pieces that holds a piece) is
   * offered in turn, so the outcome after true is never Fragment unless tunnels are nested beyond limits. False when
   * more is needed or the fragment was discarded; the packet then still describes a fragment.
   */
  offer(packet: Packet): boolean {
    this.#expire(packet);
    let slot = this.#take(packet);
    if (slot === none) return false;
    for (let nested = 0; nested < tunnelDepthMax; nested++) {
      this.#decode(packet, slot);
      // Off the age list, but not free yet: a nested fragment must not be copied onto the memory it is read from.
      this.#unlink(slot);
      const inner: number = packet.outcome === Fragment ? this.#take(packet) : none;
      this.#release(slot);
      if (packet.outcome !== Fragment) return true;
      if (inner === none) return false;
      slot = inner;
    }
    this.#unlink(slot);
    this.#release(slot);
    return false;
  }

  /** Stores a fragment. The slot of its datagram if that is whole now, else -1. */
  #take(packet: Packet): number {
    this.counters.fragments++;
    let slot = this.#find(packet);
    if (slot === none) slot = this.#open(packet);
    this.#frameBytes[slot]! += packet.frameBytes;
    if (this.#isBlocked[slot] === 1) {
      this.counters.blocked++;
      return none;
    }
    const length = packet.fragmentEnd - packet.fragmentStart;
    if (length < packet.fragmentWireLength) {
      this.counters.cut++;
      this.#block(slot);
      return none;
    }
    if (!this.#lengthsAgree(packet, slot, length)) {
      this.counters.malformed++;
      this.#block(slot);
      return none;
    }
    const first = slot * blocksPerSlot + packet.fragmentOffset / blockBytes;
    const last = first + ((length + blockBytes - 1) >> 3);
    if (!this.#isEmpty(first, last)) {
      if (this.#isDuplicate(packet, slot, first, last)) this.counters.duplicates++;
      else {
        this.counters.overlaps++;
        this.#block(slot);
      }
      return none;
    }
    this.#store(packet, slot, first, last, length);
    const whole = this.#dataLength[slot]!;
    const blocksNeeded = (whole + blockBytes - 1) >> 3;
    return whole >= 0 && this.#blocksHeld[slot] === blocksNeeded ? slot : none;
  }

  /** Checks a fragment's length alone, and against what is known of the datagram's end. */
  #lengthsAgree(packet: Packet, slot: number, length: number): boolean {
    const end = packet.fragmentOffset + length;
    const header = packet.fragmentHeaderEnd - packet.ipStart;
    // IPv4 counts its header in the total length, IPv6 only the extension headers (RFC 8200 section 3).
    const counted = packet.ipVersion === 4 ? header : header - ipv6Header;
    if (length === 0 || header > headerRoom || counted + end > datagramBytesMax) return false;
    if (packet.fragmentOffset === 0 && counted + this.#highest[slot]! > datagramBytesMax) return false;
    const known = this.#dataLength[slot]!;
    // A piece with more to follow ends before the end, and nothing lies at or behind the end of the last one.
    if (packet.fragmentMore) return (length & (blockBytes - 1)) === 0 && (known < 0 || end < known);
    return known < 0 ? end > this.#highest[slot]! : end === known;
  }

  #isEmpty(first: number, last: number): boolean {
    const blocks = this.#blocks;
    for (let block = first; block < last; block++) if (blocks[block] !== blockEmpty) return false;
    return true;
  }

  /** Same place, same length, same bytes as one fragment held already. */
  #isDuplicate(packet: Packet, slot: number, first: number, last: number): boolean {
    const blocks = this.#blocks;
    if (blocks[first] !== blockFirst) return false;
    for (let block = first + 1; block < last; block++) if (blocks[block] !== blockData) return false;
    const slotEnd = (slot + 1) * blocksPerSlot;
    if (last < slotEnd && blocks[last] === blockData) return false;
    // Where the last fragment is held the ends agree by #lengthsAgree; a piece before the end never ends inside a block.
    const memory = this.#memory;
    const bytes = packet.bytes;
    let to = slot * slotBytes + headerRoom + packet.fragmentOffset;
    for (let from = packet.fragmentStart; from < packet.fragmentEnd; from++, to++) {
      if (memory[to] !== bytes[from]) return false;
    }
    return true;
  }

  #store(packet: Packet, slot: number, first: number, last: number, length: number): void {
    const data = slot * slotBytes + headerRoom;
    // A loop, because TypedArray.set would need a new view per fragment: 1,480 bytes take about 1 us.
    copy(packet.bytes, packet.fragmentStart, packet.fragmentEnd, this.#memory, data + packet.fragmentOffset);
    this.#blocks.fill(blockData, first, last);
    this.#blocks[first] = blockFirst;
    this.#blocksHeld[slot] = this.#blocksHeld[slot]! + last - first;
    const end = packet.fragmentOffset + length;
    if (end > this.#highest[slot]!) this.#highest[slot] = end;
    if (!packet.fragmentMore) this.#dataLength[slot] = end;
    if (packet.fragmentOffset === 0) this.#storeHeader(packet, slot, data);
  }

  /**
   * Keeps the headers of the first fragment before the data, as those of a packet that was never cut (only the IPv4
   * header checksum stays as it was, since nothing here reads it).
   */
  #storeHeader(packet: Packet, slot: number, data: number): void {
    const memory = this.#memory;
    const header = packet.fragmentHeaderEnd - packet.ipStart;
    const start = data - header;
    copy(packet.bytes, packet.ipStart, packet.fragmentHeaderEnd, memory, start);
    this.#headerLength[slot] = header;
    if (packet.ipVersion === 4) {
      memory[start + 6] = 0;
      memory[start + 7] = 0;
    } else {
      const nameAt = fragmentNextHeaderAt(packet.bytes, packet.ipStart, packet.fragmentHeaderEnd);
      memory[start + nameAt - packet.ipStart] = packet.fragmentProtocol;
    }
  }

  /** Writes the length of the whole into its header and decodes it. */
  #decode(packet: Packet, slot: number): void {
    const memory = this.#memory;
    const data = slot * slotBytes + headerRoom;
    const start = data - this.#headerLength[slot]!;
    const end = data + this.#dataLength[slot]!;
    const version6 = packet.ipVersion === 6;
    const length = version6 ? end - start - ipv6Header : end - start;
    const lengthAt = start + (version6 ? ipv6PayloadLengthAt : 2);
    memory[lengthAt] = length >> 8;
    memory[lengthAt + 1] = length & 0xff;
    this.counters.reassembled++;
    packet.frameBytes = this.#frameBytes[slot]!;
    decodeDatagram(packet, memory, start, end);
  }

  /** Slot of this fragment's datagram. A walk over at most 128 numbers costs less than a hash chain would save. */
  #find(packet: Packet): number {
    const keys = this.#keys;
    for (let slot = this.#newest; slot !== none; slot = this.#older[slot]!) {
      const at = slot * keyWords;
      if (keys[at] === packet.fragmentId && sameKey(keys, at, packet)) return slot;
    }
    return none;
  }

  #open(packet: Packet): number {
    if (this.#free === none) {
      if (this.#isBlocked[this.#oldest] === 0) this.counters.evicted++;
      this.#drop(this.#oldest);
    }
    const slot = this.#free;
    this.#free = this.#newer[slot]!;
    this.#inUse++;
    this.#newer[slot] = none;
    this.#older[slot] = this.#newest;
    if (this.#newest === none) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
    writeKey(this.#keys, slot * keyWords, packet);
    this.#created[slot] = packet.timeMicros;
    this.#frameBytes[slot] = 0;
    this.#headerLength[slot] = 0;
    this.#dataLength[slot] = -1;
    this.#highest[slot] = 0;
    this.#blocksHeld[slot] = 0;
    this.#isBlocked[slot] = 0;
    return slot;
  }

  #block(slot: number): void {
    this.#isBlocked[slot] = 1;
  }

  /** Gives up all datagrams, e.g. between two capture files; counters stay. */
  clear(): void {
    while (this.#oldest !== none) this.#drop(this.#oldest);
  }

  /** Gives up what is too old; a clock that jumped back by more than the time-out counts as well. */
  #expire(packet: Packet): void {
    while (this.#oldest !== none) {
      const age = packet.timeMicros - this.#created[this.#oldest]!;
      if (age <= this.#timeoutMicros && age >= -this.#timeoutMicros) return;
      if (this.#isBlocked[this.#oldest] === 0) this.counters.timedOut++;
      this.#drop(this.#oldest);
    }
  }

  #drop(slot: number): void {
    this.#unlink(slot);
    this.#release(slot);
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot]!;
    const older = this.#older[slot]!;
    if (newer === none) this.#newest = older;
    else this.#older[newer] = older;
    if (older === none) this.#oldest = newer;
    else this.#newer[older] = newer;
  }

  #release(slot: number): void {
    const first = slot * blocksPerSlot;
    this.#blocks.fill(blockEmpty, first, first + ((this.#highest[slot]! + blockBytes - 1) >> 3));
    this.#newer[slot] = this.#free;
    this.#free = slot;
    this.#inUse--;
    invariant(this.#inUse >= 0 && this.#inUse < this.#datagramsMax, 'a slot is released once');
  }
}

function copy(from: Uint8Array, start: number, end: number, to: Uint8Array, target: number): void {
  for (let i = start, j = target; i < end; i++, j++) to[j] = from[i]!;
}

/** RFC 791 tells datagrams apart by protocol as well; RFC 8200 does not. */
function kindWord(packet: Packet): number {
  return packet.ipVersion === 4 ? 0x400 | packet.fragmentProtocol : 0x600;
}

function sameKey(keys: Int32Array, at: number, packet: Packet): boolean {
  return (
    keys[at + 1] === kindWord(packet) &&
    keys[at + 2] === packet.source0 &&
    keys[at + 3] === packet.destination0 &&
    keys[at + 4] === packet.source1 &&
    keys[at + 5] === packet.destination1 &&
    keys[at + 6] === packet.source2 &&
    keys[at + 7] === packet.destination2 &&
    keys[at + 8] === packet.source3 &&
    keys[at + 9] === packet.destination3
  );
}

function writeKey(keys: Int32Array, at: number, packet: Packet): void {
  keys[at] = packet.fragmentId;
  keys[at + 1] = kindWord(packet);
  keys[at + 2] = packet.source0;
  keys[at + 3] = packet.destination0;
  keys[at + 4] = packet.source1;
  keys[at + 5] = packet.destination1;
  keys[at + 6] = packet.source2;
  keys[at + 7] = packet.destination2;
  keys[at + 8] = packet.source3;
  keys[at + 9] = packet.destination3;
}
