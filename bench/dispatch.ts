/**
 * The detectors as the engine's dispatch runs them on the first payload of a flow: the ones that the engine asks about
 * this payload, in its order, with the view that it shows them, from one place in the code. The choice by first byte is
 * made for every packet, as there.
 */
import { More, No, Yes, type Detector, type Transport, type View } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { DetectorSet } from '../lib/engine/registry.js';
import { invariant } from '../lib/invariant.js';
import { Packet } from '../lib/wire/packet.js';
import type { AnalysedPayload } from './analysis-payloads.js';
import { questionsAbout } from './first-packets.js';
import type { Timed } from './stopwatch.js';
import { missViews, moved, placed, viewCopies } from './views.js';

const sets: Readonly<Record<Transport, DetectorSet>> = {
  tcp: new DetectorSet(registry.detectors, 'tcp'),
  udp: new DetectorSet(registry.detectors, 'udp'),
};

/** Bit by bit, which findings of each detector are proof. */
const proofsOf: Readonly<Record<Transport, Int32Array>> = {
  tcp: proofBits(sets.tcp),
  udp: proofBits(sets.udp),
};

function proofBits({ detectors }: DetectorSet): Int32Array {
  return Int32Array.from(detectors, ({ findings }) =>
    findings.reduce((bits, { confidence }, i) => (confidence === 'proof' ? bits | (1 << i) : bits), 0),
  );
}

/** Who is asked about a first payload that begins with this byte; see Inspector.inspect. */
function askedAbout(set: DetectorSet, firstByte: number): number {
  return set.all & set.atStart & set.askedAt[1]! & set.startingWith[firstByte]!;
}

function ask(set: DetectorSet, mask: number, view: View): number {
  const { inspects } = set;
  const proofs = set === sets.tcp ? proofsOf.tcp : proofsOf.udp;
  let sum = 0;
  for (let rest = mask; rest !== 0;) {
    const bit = rest & -rest;
    rest ^= bit;
    const index = 31 - Math.clz32(bit);
    view.near = -1;
    view.at = 0;
    view.length = 0;
    view.inOpening = false;
    view.infoHashLength = 0;
    view.clientLength = 0;
    view.peers.count = 0;
    view.listenPort = 0;
    const inspect = inspects[index]!;
    const outcome = inspect(view);
    sum += outcome + view.length;
    // As in Inspector: behind a proof only those are asked from whom others can learn.
    if (rest !== 0 && outcome === Yes && ((proofs[index]! >> view.finding) & 1) !== 0)
      rest &= set.teaches & ~set.shapes;
  }
  return sum;
}

const words = { [No]: '', [More]: ' (more)', [Yes]: ' (yes)' } as const;

/** The detectors that the engine asks about a payload, each with its answer unless that is No. */
export function answersTo(payload: AnalysedPayload): string[] {
  return questionsAbout(payload).map(
    ({ detector, view }) => `${detector.name}${words[detector.inspect(moved(view))]}`,
  );
}

/** What the engine shows, at different places of one block, as packets lie in what was read. */
function viewsOf(payload: AnalysedPayload): View[] {
  const shown = questionsAbout(payload)[0]?.view;
  // Of a datagram that passes no check of a header nothing is shown to anybody.
  return shown === undefined ? missViews({ ...payload, fromStart: true }) : placed(shown);
}

/** All detectors that apply; of a datagram first their checks of the header. */
export function timedDispatch(payload: AnalysedPayload): Timed {
  return payload.transport === 'tcp' ? timedSegment(payload) : timedDatagram(payload);
}

function timedSegment(payload: AnalysedPayload): Timed {
  const set = sets.tcp;
  const views = viewsOf(payload);
  return {
    name: payload.name,
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) {
        const view = views[i & (viewCopies - 1)]!;
        sum += ask(set, askedAbout(set, view.bytes[view.start]!), view);
      }
      return sum;
    },
  };
}

function timedDatagram(payload: AnalysedPayload): Timed {
  const set = sets.udp;
  const views = viewsOf(payload);
  const packets = views.map(({ bytes, start, end, wireLength }) =>
    Object.assign(new Packet(), {
      bytes,
      payloadStart: start,
      payloadEnd: end,
      payloadWireLength: wireLength,
    }),
  );
  return {
    name: payload.name,
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) {
        const view = views[i & (viewCopies - 1)]!;
        const pending = set.all & set.atStart & set.askedAt[1]!;
        sum += ask(set, pending & set.likely(packets[i & (viewCopies - 1)]!, pending), view);
      }
      return sum;
    },
  };
}

/** One detector's check of the header alone, as the engine makes it before it shows anything. */
export function timedHeader(payload: AnalysedPayload): Timed {
  const check = checkedBy(payload).header;
  invariant(check !== undefined, `${payload.check} checks headers`);
  const views = viewsOf(payload);
  return {
    name: payload.name,
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) {
        const { bytes, start, end, wireLength } = views[i & (viewCopies - 1)]!;
        if (check(bytes, start, end, wireLength)) sum++;
      }
      return sum;
    },
  };
}

/** The same detector on the whole message. */
export function timedMessage(payload: AnalysedPayload): Timed {
  const set = sets[payload.transport];
  const views = viewsOf(payload);
  const mask = 1 << set.detectors.indexOf(checkedBy(payload));
  return {
    name: payload.name,
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) sum += ask(set, mask, views[i & (viewCopies - 1)]!);
      return sum;
    },
  };
}

function checkedBy({ check, transport }: AnalysedPayload): Detector {
  const found = sets[transport].detectors.find(({ name }) => name === check);
  invariant(found !== undefined, `${check} is a detector`);
  return found;
}
