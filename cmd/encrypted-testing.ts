/** Test support: whole conversations through an engine with all detectors and a memory of the swarm. */
import { randomBytes } from 'node:crypto';
import { registry } from '../detectors/index.js';
import { Engine } from '../lib/engine/engine.js';
import type { EncryptedMode } from '../lib/engine/policy.js';
import { fakePacket } from '../lib/flow/testing.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import type { FlowReport } from '../lib/report/report.js';
import { concat, fromText } from '../lib/testing.js';
import { makeSwarmMemory, watchOver, type SwarmMemory } from './swarm-memory.js';

export type End = readonly [string, number];

/** `>` from the opener, `<` from the other side. */
export type Said = readonly ['>' | '<', Uint8Array];

export const random = (length: number): Uint8Array => Uint8Array.from(randomBytes(length));

/** A handshake of BEP 3 of a torrent that nobody has. */
export const handshake = concat(
  fromText('\x13BitTorrent protocol'),
  new Uint8Array(8),
  random(20),
  fromText('-TR3000-'),
  random(12),
);

/** The lengths of an exchange of MSE, as a client with and without initial payload has them. */
export const mseLengths = [301, 361, 64, 130, 68] as const;

/** A conversation of random messages of these lengths, in turn. */
export const inTurn = (lengths: readonly number[]): Said[] =>
  lengths.map((length, i) => [i % 2 === 0 ? '>' : '<', random(length)]);

/** Mebibyte for mebibyte: what a peer sends once it talks. */
export const wholeMse = (): Said[] => [...inTurn(mseLengths), ['<', random(1448)], ['<', random(1448)]];

const syn = 2;
const synAck = 0x12;
const pshAck = 0x18;
const second = 1e6;

export class Town {
  readonly memory: SwarmMemory;
  readonly engine: Engine;
  readonly reports: FlowReport[] = [];
  /** Seconds since 1970. */
  now = 1_800_000_000;
  #frame = 0;

  constructor(encrypted: EncryptedMode = 'corroborated', memory = makeSwarmMemory(), reconsiders = false) {
    this.memory = memory;
    const flow = new EndedFlowView(() => 'test');
    this.engine = new Engine({
      registry,
      flowsMax: 4096,
      hashSeed: 1,
      details: true,
      swarm: watchOver(memory),
      encrypted,
      reconsiders,
      onEnd: (engine, slot) => {
        flow.show(engine, slot);
        this.reports.push(flow.report());
      },
    });
  }

  #send(fake: Parameters<typeof fakePacket>[0]): void {
    const packet = fakePacket(fake);
    packet.timeMicros = this.now * second;
    this.now += 0.001;
    this.engine.packet(packet, 60 + packet.payloadWireLength, ++this.#frame, 0);
  }

  /** A connection from its SYN on (`middle`: from its middle on); the flow stays open. */
  tcp(from: End, to: End, said: readonly Said[], middle = false): void {
    const next = { '>': 1000, '<': 2000 };
    if (!middle) {
      this.#send({ from, to, flags: syn, sequence: next['>'] - 1 });
      this.#send({ from: to, to: from, flags: synAck, sequence: next['<'] - 1 });
    }
    for (const [side, payload] of said) {
      const ends = side === '>' ? { from, to } : { from: to, to: from };
      this.#send({ ...ends, flags: pshAck, sequence: next[side], payload });
      next[side] += payload.length;
    }
  }

  /** A connection of which the messages are said one by one. */
  open(from: End, to: End): (said: Said) => void {
    this.tcp(from, to, []);
    const next = { '>': 1000, '<': 2000 };
    return ([side, payload]) => {
      const ends = side === '>' ? { from, to } : { from: to, to: from };
      this.#send({ ...ends, flags: pshAck, sequence: next[side], payload });
      next[side] += payload.length;
    };
  }

  udp(from: End, to: End, said: readonly Said[]): void {
    for (const [side, payload] of said) {
      const ends = side === '>' ? { from, to } : { from: to, to: from };
      this.#send({ proto: 'udp', ...ends, payload });
    }
  }

  /** What the last flow from this address to that end became. Ends all flows. */
  flow(from: string, to: End): FlowReport {
    this.engine.flows.endAll();
    const found = this.reports.filter(
      ({ client, server, server_port }) => client === from && server === to[0] && server_port === to[1],
    );
    if (found.length === 0) throw new Error(`no flow from ${from} to ${to.join(':')}`);
    return found.at(-1)!;
  }

  verdict(from: string, to: End): string {
    return this.flow(from, to).verdict;
  }
}
