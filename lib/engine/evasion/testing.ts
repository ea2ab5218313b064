/**
 * Test support: an evader's connection as real frames, sent at the same time through an offline engine (as
 * cmd/scanner.ts does) and through an inline one with its policy (as cmd/filter-loop.ts does).
 */
import assert from 'node:assert/strict';
import { registry } from '../../../detectors/index.js';
import { FragmentTable } from '../../flow/fragments.js';
import { concat, fromHex, fromText } from '../../testing.js';
import { decodePacket } from '../../wire/decode.js';
import { linkEthernet } from '../../wire/link.js';
import { Fragment, Ok, Packet } from '../../wire/packet.js';
import { ethernet, words16, words32 } from '../../wire/testing.js';
import { Accept, ActionPolicy, Pass, Reject, type ActionCode } from '../action.js';
import { Engine } from '../engine.js';
import { BitTorrent } from '../verdict.js';

/** A handshake as libtorrent sends it. */
export const handshake = concat(
  fromText('\x13BitTorrent protocol'),
  fromHex('0000000000100005 c9e15763f722f23e98a29decdfae341b98d53056'),
  fromText('-LT20A0-AbCdEfGhIjKl'),
);

/** Bytes that are no protocol, as many as asked for. */
export const garbage = (length: number, seed = 7): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => 0x80 | ((i * 37 + seed * 11) & 0x7f));

export interface Segment {
  /** Position in the stream of its side: 0 is the byte behind the SYN. */
  readonly at?: number;
  readonly flags?: number;
  readonly ttl?: number;
  readonly badTcpChecksum?: boolean;
  readonly badIpChecksum?: boolean;
  /** Words of TCP options, filled with no-operations. */
  readonly options?: number;
  readonly urgent?: number;
  readonly ports?: readonly [number, number];
}

export const tcpOnly = {
  syn: 0x02,
  synAck: 0x12,
  ack: 0x10,
  push: 0x18,
  rst: 0x04,
  fin: 0x11,
  urgent: 0x38,
} as const;

const firstSequence = [0x7fffff00, 0xfffffff0] as const;
const addresses = [0x0a000001, 0xc0000201] as const;
export const usualPorts = [50_000, 6881] as const;

function sum(bytes: Uint8Array, seed = 0): number {
  let total = seed;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}

/** A TCP segment of the client (side 0) or the server, with the checksum that belongs to the IPv4 addresses. */
export function tcpSegment(side: 0 | 1, payload: Uint8Array, segment: Segment = {}): Uint8Array {
  const options = segment.options ?? 0;
  const flags = segment.flags ?? tcpOnly.push;
  const syn = (flags & tcpOnly.syn) !== 0 ? 0 : 1;
  const [client, server] = segment.ports ?? usualPorts;
  const head = concat(
    side === 0 ? words16(client, server) : words16(server, client),
    words32((firstSequence[side] + syn + (segment.at ?? 0)) | 0, (firstSequence[1 - side]! + 1) | 0),
    words16(((5 + options) << 12) | flags, 64_240, 0, segment.urgent ?? 0),
    new Uint8Array(options * 4).fill(1),
  );
  const whole = concat(head, payload);
  const pseudo = concat(words32(...addresses), words16(6, whole.length));
  const checksum = sum(concat(pseudo, whole)) ^ (segment.badTcpChecksum === true ? 0x5555 : 0);
  whole.set(words16(checksum), 16);
  return whole;
}

/** An IPv4 packet between the two ends, its header checksum filled in. */
export function ip4(side: 0 | 1, protocol: number, payload: Uint8Array, segment: Segment = {}): Uint8Array {
  const header = concat(
    words16(0x4500, 20 + payload.length, 1, 0x4000, ((segment.ttl ?? 64) << 8) | protocol, 0),
    words32(addresses[side], addresses[1 - side]!),
  );
  header.set(words16(sum(header) ^ (segment.badIpChecksum === true ? 0x5555 : 0)), 10);
  return concat(header, payload);
}

class Path {
  readonly engine: Engine;
  readonly #packet = new Packet();
  readonly #fragments = new FragmentTable();

  constructor() {
    this.engine = new Engine({ registry, flowsMax: 64, hashSeed: 1, onEnd: () => undefined });
  }

  /** The verdict, or -1 if the frame was no packet of a flow. */
  take(frame: Uint8Array, number: number): number {
    const packet = this.#packet;
    packet.timeMicros = number * 1000;
    packet.frameBytes = frame.length;
    let outcome = decodePacket(packet, frame, 0, frame.length, frame.length, linkEthernet);
    if (outcome === Fragment && this.#fragments.offer(packet)) outcome = packet.outcome;
    return outcome === Ok ? this.engine.packet(packet, frame.length, number, 0) : -1;
  }
}

export class Wire {
  readonly offline = new Path();
  readonly inline = new Path();
  /** Frames sent. */
  frames = 0;
  /** Number of the frame with which each engine decided, 0 before. */
  offlineAt = 0;
  inlineAt = 0;
  /** Number of the frame with which the inline engine let a flow go. */
  letGoAt = 0;
  readonly #policy: ActionPolicy;

  constructor() {
    const options = {
      default: 'reject',
      kinds: {},
      inspectedPackets: 32,
      inspectedPacketsClear: 8,
      blocks: true,
      allowedInfoHashes: new Set<string>(),
    } as const;
    this.#policy = new ActionPolicy(this.inline.engine, options, () => undefined);
  }

  /** Sends a whole Ethernet frame. */
  frame(frame: Uint8Array): void {
    const number = ++this.frames;
    if (this.offline.take(frame, number) === BitTorrent && this.offlineAt === 0) this.offlineAt = number;
    const verdict = this.inline.take(frame, number);
    if (verdict < 0) return;
    const action: ActionCode = this.#policy.judge(this.inline.engine.slot, verdict as 0);
    if (action === Reject && this.inlineAt === 0) this.inlineAt = number;
    if (action === Accept && this.letGoAt === 0) this.letGoAt = number;
    assert.ok(action !== Pass || verdict !== BitTorrent);
  }

  /** A segment of the client. */
  up(payload: Uint8Array | string, segment: Segment | number = {}): this {
    return this.#send(0, payload, segment);
  }

  /** A segment of the server. */
  down(payload: Uint8Array | string, segment: Segment | number = {}): this {
    return this.#send(1, payload, segment);
  }

  #send(side: 0 | 1, payload: Uint8Array | string, given: Segment | number): this {
    const segment = typeof given === 'number' ? { at: given } : given;
    const bytes = typeof payload === 'string' ? fromText(payload) : payload;
    this.frame(ethernet(0x0800, ip4(side, 6, tcpSegment(side, bytes, segment), segment)));
    return this;
  }

  /** SYN, SYN with ACK, ACK: frames 1 to 3. */
  open(segment: Segment = {}): this {
    this.up('', { ...segment, flags: tcpOnly.syn });
    this.down('', { ...segment, flags: tcpOnly.synAck });
    return this.up('', { ...segment, flags: tcpOnly.ack });
  }

  /** Sends `[from, to)` of `bytes` at its place in the client's stream. */
  part(bytes: Uint8Array, from: number, to: number, segment: Segment = {}): this {
    return this.up(bytes.subarray(from, to), { ...segment, at: (segment.at ?? 0) + from });
  }

  /** Asserts that both engines have decided, with frame `number` if given, and that nothing was let go before. */
  found(number = this.frames): void {
    assert.deepEqual(
      { offline: this.offlineAt, inline: this.inlineAt, letGo: this.letGoAt },
      { offline: number, inline: number, letGo: 0 },
    );
  }

  /** Asserts that both engines have decided, whenever. */
  foundSomewhere(): void {
    assert.ok(this.offlineAt > 0 && this.inlineAt === this.offlineAt && this.letGoAt === 0, this.toString());
  }

  missed(): void {
    assert.deepEqual([this.offlineAt, this.inlineAt], [0, 0]);
  }

  toString(): string {
    return `frame ${this.frames}: offline ${this.offlineAt}, inline ${this.inlineAt}, let go ${this.letGoAt}`;
  }
}

/** A connection that is open. */
export const connection = (segment: Segment = {}): Wire => new Wire().open(segment);
