/**
 * Whole analysis of a packet, beside the Go blocker's analyzer on the same bytes: our detectors as the engine's dispatch
 * runs them, the same packet in the whole engine, and three header checks alone. Both sides take turns within one run,
 * and the ratios are medians over the turns, so that a slow moment of the machine hits both. Of each turn the lower quartile of its
 * samples counts, on both sides. Without Go or its source the
 * published figures stand there, marked as such.
 */
import { analysedPayloads, type Check } from './analysis-payloads.js';
import { answersTo, timedDispatch, timedHeader, timedMessage } from './dispatch.js';
import { FirstPackets } from './first-packets.js';
import { buildGoBlocker, type GoTime } from './go-blocker.js';
import { lowerQuartile, median, timeAll, timeBatches } from './stopwatch.js';

export interface AnalysisRow {
  readonly payload: string;
  readonly check: Check;
  /** The detectors that are asked, each with its answer. */
  readonly answers: string;
  /** The detectors that apply, or the one check of a header. */
  readonly detectorsNs: number;
  /** The packet in the whole engine; null for a header check. */
  readonly engineNs: number | null;
  /** The whole message judged by the detector whose header check this is; else null. */
  readonly messageNs: number | null;
  /** The Go blocker in this run; null if it could not run. */
  readonly goNs: number | null;
  readonly goAnswer: string | null;
  readonly publishedNs: number;
  /** Ours as a share of Go's: the median over the turns, or of the published figure. */
  readonly detectorsRatio: number;
  readonly engineRatio: number | null;
}

export interface AnalysisReport {
  readonly turns: number;
  /** Version of Go, or null. */
  readonly go: string | null;
  /** Why Go's figures are published ones, or null. */
  readonly goAbsent: string | null;
  readonly rows: readonly AnalysisRow[];
}

interface Turn {
  readonly go: ReadonlyMap<string, GoTime> | null;
  readonly detectorsNs: readonly number[];
  /** Of the payloads of whole analyses only, in their order. */
  readonly engineNs: readonly number[];
  /** Of the others. */
  readonly messageNs: readonly number[];
}

const wholes = analysedPayloads.filter(({ check }) => check === 'analysis');
const headers = analysedPayloads.filter(({ check }) => check !== 'analysis');

/** `turns` turns of both sides, each of `samples` samples per payload. */
export function benchAnalysis(turns: number, samples: number): AnalysisReport {
  const go = buildGoBlocker(analysedPayloads);
  const cases = analysedPayloads.map((payload) =>
    payload.check === 'analysis' ? timedDispatch(payload) : timedHeader(payload),
  );
  const messages = headers.map((payload) => timedMessage(payload));
  const packets = wholes.map((payload) => new FirstPackets(payload));
  try {
    const done = Array.from({ length: turns }, (): Turn => ({
      go: typeof go === 'string' ? null : go.time(samples),
      detectorsNs: timeAll(cases, samples, lowerQuartile),
      engineNs: timeBatches(packets, samples, lowerQuartile),
      messageNs: timeAll(messages, samples, lowerQuartile),
    }));
    return {
      turns,
      go: typeof go === 'string' ? null : go.version,
      goAbsent: typeof go === 'string' ? go : null,
      rows: analysedPayloads.map((_, index) => rowOf(index, done)),
    };
  } finally {
    if (typeof go !== 'string') go.remove();
  }
}

function rowOf(index: number, turns: readonly Turn[]): AnalysisRow {
  const payload = analysedPayloads[index]!;
  const { name, check, published } = payload;
  const whole = wholes.indexOf(payload);
  const header = headers.indexOf(payload);
  const go = turns.flatMap((turn) => turn.go?.get(name) ?? []);
  const beside = (turn: Turn): number => turn.go?.get(name)?.ns ?? published;
  return {
    payload: name,
    check,
    answers: check === 'analysis' ? answersTo(payload).join(', ') : check,
    detectorsNs: median(turns.map((turn) => turn.detectorsNs[index]!)),
    engineNs: whole < 0 ? null : median(turns.map((turn) => turn.engineNs[whole]!)),
    messageNs: header < 0 ? null : median(turns.map((turn) => turn.messageNs[header]!)),
    goNs: go.length === 0 ? null : median(go.map(({ ns }) => ns)),
    goAnswer: go.length === 0 ? null : go[0]!.blocks ? 'blocks' : 'passes',
    publishedNs: published,
    detectorsRatio: median(turns.map((turn) => turn.detectorsNs[index]! / beside(turn))),
    engineRatio: whole < 0 ? null : median(turns.map((turn) => turn.engineNs[whole]! / beside(turn))),
  };
}
