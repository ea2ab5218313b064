/** Test support: an engine with detectors made for the test, and packets sent through it. */
import {
  More,
  No,
  yesInOpening,
  yesInPayload,
  type Confidence,
  type Detector,
} from '../../detectors/detector.js';
import { fakePacket, type FakePacket } from '../flow/testing.js';
import { EndedFlowView } from '../report/ended-flow.js';
import type { FlowReport } from '../report/report.js';
import { fromText } from '../testing.js';
import { Engine } from './engine.js';

export const word = fromText('\x13BitTorrent');

/** Recognises `word` at the start of a stream, as the handshake detector does. */
export function openingDetector(): Detector {
  return {
    ...base('opening', 'proof'),
    scope: 'opening',
    packetsMax: 64,
    inspect: (view) => {
      const length = Math.min(word.length, view.openingEnd - view.openingStart);
      for (let i = 0; i < length; i++) if (view.opening[view.openingStart + i] !== word[i]) return No;
      return length < word.length
        ? More
        : yesInOpening(view, 0, view.openingStart, view.openingStart + word.length);
    },
  };
}

export function base(name: string, confidence: Confidence): Omit<Detector, 'inspect'> {
  return {
    name,
    transport: 'tcp',
    confidence,
    reference: 'BEP 0',
    summary: 'a detector of this test',
    limits: 'knows one word',
    scope: 'packets',
    packetsMax: 8,
    firstBytes: null,
    where: 'anywhere',
    findings: [{ text: `${name} said so`, kind: 'peer', confidence }],
    nearMisses: ['almost'],
  };
}

/** Says Yes to payloads that begin with `letter`. */
export function letterDetector(
  name: string,
  confidence: Confidence,
  letter: string,
  more: Partial<Detector> = {},
): Detector {
  return {
    ...base(name, confidence),
    inspect: (view) =>
      view.bytes[view.start] === letter.charCodeAt(0)
        ? yesInPayload(view, 0, view.start, view.start + 1)
        : No,
    ...more,
  };
}

export class Bench {
  readonly reports: FlowReport[] = [];
  readonly engine: Engine;
  #frame = 0;
  constructor(detectors: Detector[], flowsMax = 64, details = false) {
    const flow = new EndedFlowView(() => 'test');
    this.engine = new Engine({
      registry: {
        detectors,
        otherProtocols: ['', 'hello'],
        recogniseOther: (view) => (view.bytes[view.start] === 0x68 ? 1 : 0),
        speaksUtp: () => false,
      },
      flowsMax,
      hashSeed: 1,
      details,
      onEnd: (engine, slot) => {
        flow.show(engine, slot);
        this.reports.push(flow.report());
      },
    });
  }
  send(fake: FakePacket, time = this.#frame): number {
    const packet = fakePacket(fake);
    packet.timeMicros = time;
    return this.engine.packet(packet, 100, ++this.#frame, 0);
  }
  end(): FlowReport[] {
    this.engine.flows.endAll();
    return this.reports;
  }
}

export const up = { from: ['10.0.0.1', 50000], to: ['10.0.0.2', 6881] } as const;
export const down = { from: ['10.0.0.2', 6881], to: ['10.0.0.1', 50000] } as const;
