/**
 * The detectors as the engine's dispatch runs them on the first payload of a flow: the ones that the engine asks about
 * this payload, in its order, with the view that it shows them, from one place in the code. The choice by first byte is
 * made for every packet, as there.
 */
import { More, No, Yes, type Transport, type View } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { DetectorSet } from '../lib/engine/registry.js';
import { invariant } from '../lib/invariant.js';
import type { AnalysedPayload } from './analysis-payloads.js';
import { questionsAbout } from './first-packets.js';
import type { Timed } from './stopwatch.js';
import { moved, viewCopies } from './views.js';

const sets: Readonly<Record<Transport, DetectorSet>> = {
  tcp: new DetectorSet(registry.detectors, 'tcp'),
  udp: new DetectorSet(registry.detectors, 'udp'),
};

/** Who is asked about a first payload that begins with this byte; see Inspector.inspect. */
function askedAbout(set: DetectorSet, firstByte: number): number {
  return set.all & set.atStart & set.askedAt[1]! & set.startingWith[firstByte]!;
}

function ask(set: DetectorSet, mask: number, view: View): number {
  let sum = 0;
  for (let rest = mask; rest !== 0;) {
    const bit = rest & -rest;
    rest ^= bit;
    const detector = set.detectors[31 - Math.clz32(bit)]!;
    view.near = -1;
    view.at = 0;
    view.length = 0;
    view.inOpening = false;
    view.infoHashLength = 0;
    view.clientLength = 0;
    view.peers.count = 0;
    view.listenPort = 0;
    const outcome = detector.inspect(view);
    sum += outcome + view.length;
    // As in Inspector: behind a proof only those are asked from whom others can learn.
    if (outcome === Yes && detector.findings[view.finding]!.confidence === 'proof')
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

/** What the engine shows, at different places in memory. */
function viewsOf(payload: AnalysedPayload): View[] {
  const shown = questionsAbout(payload)[0]?.view;
  invariant(shown !== undefined, 'the engine asks about every payload of the benchmark');
  return Array.from({ length: viewCopies }, () => moved(shown));
}

/** All detectors that apply. */
export function timedDispatch(payload: AnalysedPayload): Timed {
  const set = sets[payload.transport];
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

/** One detector alone. */
export function timedCheck(payload: AnalysedPayload): Timed {
  const set = sets[payload.transport];
  const views = viewsOf(payload);
  const mask = 1 << set.detectors.findIndex(({ name }) => name === payload.check);
  return {
    name: payload.name,
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) sum += ask(set, mask, views[i & (viewCopies - 1)]!);
      return sum;
    },
  };
}
