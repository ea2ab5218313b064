/**
 * What the first payload of a flow costs in the whole engine: decoded, its flow found (TCP, behind its SYN) or made (UDP),
 * shown to the detectors, named, judged with the memory of the swarm. SYNs and the ends of flows are not timed.
 */
import { registry } from '../detectors/index.js';
import type { Detector, View } from '../detectors/detector.js';
import { makeSwarmMemory, watchOver } from '../cmd/swarm-memory.js';
import { Engine } from '../lib/engine/engine.js';
import { concat, fromHex } from '../lib/testing.js';
import { decodePacket } from '../lib/wire/decode.js';
import { linkRaw } from '../lib/wire/link.js';
import { Ok, Packet, protocolTcp, protocolUdp } from '../lib/wire/packet.js';
import { ipv4, tcp, udp } from '../lib/wire/testing.js';
import type { AnalysedPayload } from './analysis-payloads.js';
import type { Batched } from './stopwatch.js';
import { moved, viewCopies } from './views.js';

/** Flows that begin before their ends are cleared away: a table of this size stays in the cache, as a small link's does. */
const flowsInTurn = 512;
const spacing = 1600;
const firstPort = 20_000;
const serverPort = 443;

interface Frames {
  readonly bytes: Uint8Array;
  readonly starts: readonly number[];
  readonly length: number;
}

function laidOut(frame: Uint8Array): Frames {
  const bytes = new Uint8Array(viewCopies * spacing);
  const starts = Array.from({ length: viewCopies }, (_, copy) => copy * spacing);
  for (const start of starts) bytes.set(frame, start);
  return { bytes, starts, length: frame.length };
}

const sequenceAt = 24;
const flagsAt = 33;
const portAt = 20;

/** A SYN whose stream begins where that of `tcp()` from wire/testing does. */
function synOf(): Frames {
  const frame = ipv4(protocolTcp, tcp(new Uint8Array(0), [firstPort, serverPort]));
  frame.set(concat(fromHex('11223343')), sequenceAt);
  frame[flagsAt] = 0x02;
  return laidOut(frame);
}

/** One question of the engine: who is asked, and a copy of what is shown. */
export interface Question {
  readonly detector: Detector;
  readonly view: View;
}

/** What the engine asks about the first payload of one flow, in its order. */
export function questionsAbout(payload: AnalysedPayload): Question[] {
  const questions: Question[] = [];
  const spies = registry.detectors.map((detector) => ({
    ...detector,
    inspect: (view: View) => {
      questions.push({ detector, view: moved(view) });
      return detector.inspect(view);
    },
  }));
  const packets = new FirstPackets(payload, spies);
  packets.prepare();
  packets.runOne();
  return questions;
}

export class FirstPackets implements Batched {
  readonly name: string;
  readonly size = flowsInTurn;
  readonly #tcp: boolean;
  readonly #syn = synOf();
  readonly #payload: Frames;
  readonly #packet = new Packet();
  readonly #engine: Engine;
  #micros = 1e15;

  constructor({ name, transport, bytes }: AnalysedPayload, detectors = registry.detectors) {
    this.name = name;
    this.#tcp = transport === 'tcp';
    const ports = [firstPort, serverPort] as const;
    this.#payload = laidOut(
      this.#tcp ? ipv4(protocolTcp, tcp(bytes, ports)) : ipv4(protocolUdp, udp(bytes, ports)),
    );
    this.#engine = new Engine({
      registry: { ...registry, detectors },
      flowsMax: 4 * flowsInTurn,
      hashSeed: 1,
      onEnd: () => undefined,
      swarm: watchOver(makeSwarmMemory()),
    });
  }

  /** Ends the flows of the last turn and begins new ones. */
  prepare(): void {
    this.#engine.flows.endAll();
    this.#micros += 1000;
    if (this.#tcp) this.#send(this.#syn);
  }

  run(): number {
    return this.#send(this.#payload);
  }

  /** Only the first flow's packet. */
  runOne(): number {
    return this.#send(this.#payload, 1);
  }

  /** One packet of each flow; the sum of the verdicts. */
  #send({ bytes, starts, length }: Frames, flows = flowsInTurn): number {
    const packet = this.#packet;
    packet.timeMicros = this.#micros;
    let sum = 0;
    for (let i = 0; i < flows; i++) {
      const start = starts[i & (viewCopies - 1)]!;
      const port = firstPort + i;
      bytes[start + portAt] = port >> 8;
      bytes[start + portAt + 1] = port & 0xff;
      const outcome = decodePacket(packet, bytes, start, start + length, length, linkRaw);
      if (outcome === Ok) sum += 1 + this.#engine.packet(packet, length, i + 1, 0);
    }
    return sum;
  }
}
