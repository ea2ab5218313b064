/**
 * What each detector costs, nanoseconds per call, on packets that are not its protocol (every payload of its transport)
 * and on those that are (its match fixtures). All calls go through one place in the code, as in the engine, so that V8
 * cannot specialise it for one detector. The call itself and the clearing of the view are in every figure; the row of
 * the detector that does nothing shows how much that is.
 */
import { No, type Detector, type Transport, type View } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { entropy } from './entropy.js';
import { entropyPayload, payloads } from './payloads.js';
import { median, timeAll, type Timed } from './stopwatch.js';
import { hitViews, missViews, viewCopies } from './views.js';

const outcomeNames = ['no', 'more', 'yes'] as const;

export interface MissCost {
  readonly payload: string;
  readonly ns: number;
  readonly outcome: string;
}

export interface DetectorCost {
  readonly detector: string;
  readonly transport: Transport;
  readonly miss: readonly MissCost[];
  /** Null without match fixtures. */
  readonly hit: { readonly fixtures: number; readonly medianNs: number; readonly slowestNs: number } | null;
}

export interface DetectorReport {
  readonly emptyCallNs: number;
  readonly detectors: readonly DetectorCost[];
  /** All detectors of the payload's transport together, without the empty calls. */
  readonly together: readonly {
    readonly payload: string;
    readonly transport: Transport;
    readonly ns: number;
  }[];
  readonly entropyNs: number;
}

function emptyDetector(transport: Transport): Detector {
  return {
    name: '(nothing)',
    transport,
    confidence: 'hint',
    reference: '',
    summary: '',
    limits: '',
    scope: 'packets',
    packetsMax: 64,
    firstBytes: null,
    where: 'anywhere',
    findings: [],
    nearMisses: [],
    inspect: () => No,
  };
}

/** The one place from which detectors are called, with the view cleared as the engine clears it. */
function ask(detector: Detector, views: readonly View[], calls: number): number {
  let sum = 0;
  for (let i = 0; i < calls; i++) {
    const view = views[i & (viewCopies - 1)]!;
    view.near = -1;
    view.at = 0;
    view.length = 0;
    view.inOpening = false;
    view.infoHashLength = 0;
    view.clientLength = 0;
    sum += detector.inspect(view) + view.length;
  }
  return sum;
}

function timed(name: string, detector: Detector, views: readonly View[]): Timed {
  return { name, run: (calls) => ask(detector, views, calls) };
}

interface Case extends Timed {
  readonly detector: Detector;
  /** Null for a hit. */
  readonly payload: string | null;
  readonly outcome: string;
}

function casesOf(detector: Detector): Case[] {
  const misses = payloads
    .filter(({ transport }) => transport === detector.transport)
    .map((payload) => {
      const views = missViews(payload);
      const outcome = outcomeNames[detector.inspect(views[0]!)];
      return { ...timed(payload.name, detector, views), detector, payload: payload.name, outcome };
    });
  const hits = hitViews(detector).map(({ fixture, views }) => ({
    ...timed(fixture, detector, views),
    detector,
    payload: null,
    outcome: 'yes',
  }));
  return [...misses, ...hits];
}

export function benchDetectors(rounds: number): DetectorReport {
  const detectors = [...registry.detectors, emptyDetector('tcp'), emptyDetector('udp')];
  const cases = detectors.flatMap(casesOf);
  const entropyCase: Timed = {
    name: 'entropy',
    run: (calls) => {
      let sum = 0;
      for (let i = 0; i < calls; i++) sum += entropy(entropyPayload, i & 1, entropyPayload.length);
      return sum;
    },
  };
  const ns = timeAll([...cases, entropyCase], rounds);
  const costs = cases.map((each, index) => ({ ...each, ns: ns[index]! }));
  const empty = median(costs.filter(({ detector }) => detector.name === '(nothing)').map((each) => each.ns));
  const real = costs.filter(({ detector }) => detector.name !== '(nothing)');
  return {
    emptyCallNs: empty,
    detectors: registry.detectors.map((detector) => {
      const own = real.filter((each) => each.detector === detector);
      const hits = own.filter(({ payload }) => payload === null).map((each) => each.ns);
      return {
        detector: detector.name,
        transport: detector.transport,
        miss: own.flatMap(({ payload, outcome, ns: cost }) =>
          payload === null ? [] : [{ payload, ns: cost, outcome }],
        ),
        hit:
          hits.length === 0
            ? null
            : { fixtures: hits.length, medianNs: median(hits), slowestNs: Math.max(...hits) },
      };
    }),
    together: payloads.map(({ name, transport }) => ({
      payload: name,
      transport,
      ns: real
        .filter((each) => each.payload === name && each.detector.transport === transport)
        .reduce((sum, each) => sum + each.ns - empty, 0),
    })),
    entropyNs: ns[cases.length]!,
  };
}
