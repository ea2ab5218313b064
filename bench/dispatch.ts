/**
 * The detectors as the engine's dispatch runs them on the first payload of a flow whose beginning was seen: those that are
 * asked at a start and may say anything but No to this first byte, in their order, from one place in the code.
 */
import { More, No, type Detector, type Transport, type View } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { DetectorSet } from '../lib/engine/registry.js';
import type { AnalysedPayload } from './analysis-payloads.js';
import type { Timed } from './stopwatch.js';
import { missViews, viewCopies } from './views.js';

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
    sum += detector.inspect(view) + view.length;
  }
  return sum;
}

/** Names of the detectors that are asked about a payload, with what they answer. */
export function answersTo(payload: AnalysedPayload): { detector: string; outcome: string }[] {
  const set = sets[payload.transport];
  const mask = askedAbout(set, payload.bytes[0]!);
  const asked = set.detectors.filter((_, index) => (mask & (1 << index)) !== 0);
  return asked.map((detector) => ({ detector: detector.name, outcome: outcomeOf(detector, payload) }));
}

function outcomeOf(detector: Detector, payload: AnalysedPayload): string {
  const outcome = detector.inspect(viewsOf(payload)[0]!);
  return outcome === No ? 'no' : outcome === More ? 'more' : 'yes';
}

function viewsOf(payload: AnalysedPayload): View[] {
  return missViews({ ...payload, fromStart: true });
}

/** All detectors that apply, the choice by first byte included. */
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
