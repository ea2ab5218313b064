/**
 * A worker rehearses before it opens its queue: some thousand made-up packets through a loop of its own, so that V8 has
 * compiled the packet's way when the first real packet comes. Without it an idle router's packets run through the
 * interpreter for minutes (measured 2026-11-21, short runs: a round trip of 72 instead of 115 microseconds).
 */
import { QueueBatch, type PacketQueue } from '../lib/io/packet-queue.js';
import { linkRaw } from '../lib/wire/link.js';
import { countersLength } from '../lib/engine/counters.js';
import { FilterLoop, type FilterLoopOptions } from './filter-loop.js';

const turns = 4000;
/** A slow machine rehearses less: the start must not wait for long. */
const longestMillis = 400;
const flowsMax = 256;
const headerBytes = 20;
const sizes = [0, 0, 0, 517, 300, 60, 1200, 68];

const text = (words: string): Uint8Array => Uint8Array.from(words, (letter) => letter.charCodeAt(0));

/** What ordinary and other flows begin with; the rest is filled up with bytes of no meaning. */
const beginnings: readonly Uint8Array[] = [
  Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0),
  text('GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n'),
  text('HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>'),
  text('SSH-2.0-OpenSSH_9.2\r\n'),
  Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7),
  text('\x13BitTorrent protocol'),
  text('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe'),
  Uint8Array.of(0x41, 0, 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0),
];

/** Gives the same packets out with other ports each time: flows that begin, go on and are let go. */
class RehearsalQueue implements PacketQueue {
  readonly batch: QueueBatch;
  readonly counters = { overruns: 0, stale: 0, malformed: 0, verdictMessages: 0 };
  readonly #ports: number[] = [];
  #turn = 0;

  constructor() {
    const packets = beginnings.flatMap((beginning, index) => [
      tcpPacket(index, 2, sizes[0]!, beginning),
      tcpPacket(index, 16, sizes[index]!, beginning),
      udpPacket(index, Math.max(sizes[index]!, 20), beginning),
    ]);
    const bytes = packets.reduce((sum, packet) => sum + packet.length, 0);
    this.batch = new QueueBatch(packets.length, bytes);
    this.batch.linkType.fill(linkRaw);
    let at = 0;
    for (const [i, packet] of packets.entries()) {
      this.batch.bytes.set(packet, at);
      this.batch.start[i] = at;
      this.batch.end[i] = at + packet.length;
      this.batch.wireLength[i] = packet.length;
      this.#ports.push(at + headerBytes);
      at += packet.length;
    }
  }

  receive(): number {
    const turn = ++this.#turn;
    for (let i = 0; i < this.#ports.length; i++) {
      // Each flow lasts sixteen turns.
      this.batch.bytes[this.#ports[i]!] = 0x80 | ((turn >> 4) & 0x7f);
      this.batch.timeMicros[i] = 1.7e15 + turn * 10_000;
      this.batch.frame[i] = turn;
    }
    this.batch.count = this.#ports.length;
    return this.batch.count;
  }

  settle(): void {
    this.batch.count = 0;
  }

  close(): void {
    this.batch.count = 0;
  }
}

function ipv4(protocol: number, index: number, length: number): Uint8Array {
  const packet = new Uint8Array(headerBytes + length);
  packet.set([0x45, 0, packet.length >> 8, packet.length & 0xff, 0, 0, 0, 0, 64, protocol, 0, 0]);
  packet.set([192, 0, 2, index + 1, 198, 51, 100, index + 1], 12);
  // Source port 0x80.., destination port above 1024.
  packet.set([0x80, index, 0x20, index], headerBytes);
  return packet;
}

function fill(packet: Uint8Array, at: number, beginning: Uint8Array): Uint8Array {
  for (let i = at; i < packet.length; i++) packet[i] = beginning[i - at] ?? (i * 37) & 0xff;
  return packet;
}

function tcpPacket(index: number, flags: number, length: number, beginning: Uint8Array): Uint8Array {
  const packet = ipv4(6, index, 20 + length);
  packet[headerBytes + 7] = flags === 2 ? 0 : 1;
  packet[headerBytes + 12] = 0x50;
  packet[headerBytes + 13] = flags;
  return fill(packet, headerBytes + 20, beginning);
}

function udpPacket(index: number, length: number, beginning: Uint8Array): Uint8Array {
  const packet = ipv4(17, index, 8 + length);
  packet[headerBytes + 4] = (8 + length) >> 8;
  packet[headerBytes + 5] = (8 + length) & 0xff;
  return fill(packet, headerBytes + 8, beginning);
}

/** Runs the packet's way until it is compiled. Nothing of it is counted, reported or kept. */
export function rehearse(
  options: Pick<FilterLoopOptions, 'registry' | 'markMask' | 'pass' | 'passive' | 'action' | 'allow'>,
): number {
  const loop = new FilterLoop({
    ...options,
    queue: new RehearsalQueue(),
    flowsMax,
    hashSeed: 1,
    enforce: false,
    counts: new Float64Array(countersLength),
    sourceName: '',
    onDecision: () => true,
  });
  const until = performance.now() + longestMillis;
  let packets = 0;
  for (let turn = 0; turn < turns && performance.now() < until; turn++) packets += loop.turn();
  return packets;
}
