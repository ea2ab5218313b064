/** Times small functions: many calls per sample, all cases taking turns, the median of the samples. */

export interface Timed {
  readonly name: string;
  /** Does the work `calls` times and returns something that depends on every call. */
  run(calls: number): number;
}

const sampleMillis = 1.5;
/** V8 compiles a function again when a later case surprises it: until that has come to rest nothing is timed. */
const warmUpRounds = 25;

let consumed = 0;

/** What the timed functions returned, added up: as long as somebody can ask for it, V8 has to compute it. */
export function consumedSum(): number {
  return consumed;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The sample than which a quarter are faster: on a busy machine more than half of all samples may be disturbed. */
export function lowerQuartile(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 4)] ?? Number.NaN;
}

/** Nanoseconds per call of each case, in their order; `middle` makes one figure of the samples of each. */
export function timeAll(cases: readonly Timed[], rounds: number, middle = median): number[] {
  const calls = cases.map(() => 256);
  for (let round = 0; round < warmUpRounds; round++) {
    for (const [i, timed] of cases.entries()) calls[i] = calibrated(timed, calls[i]!);
  }
  const samples = cases.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, timed] of cases.entries()) samples[i]!.push(sample(timed, calls[i]!));
  }
  return samples.map((all) => middle(all));
}

/** Doubles the calls of a sample until it lasts long enough for the clock not to matter. */
function calibrated(timed: Timed, from: number): number {
  let calls = from;
  while (sample(timed, calls) * calls < sampleMillis * 1e6) calls *= 2;
  return calls;
}

function sample(timed: Timed, calls: number): number {
  const begin = performance.now();
  consumed += timed.run(calls);
  return ((performance.now() - begin) * 1e6) / calls;
}

/** Work that needs something made ready before each batch, which is not timed. */
export interface Batched {
  readonly name: string;
  /** Pieces of work in a batch. */
  readonly size: number;
  prepare(): void;
  /** Does one batch and returns something that depends on every piece. */
  run(): number;
}

/** Nanoseconds per piece of each case, in their order. */
export function timeBatches(cases: readonly Batched[], rounds: number, middle = median): number[] {
  const samples = cases.map((): number[] => []);
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const [i, batched] of cases.entries()) {
      const ns = batchSample(batched);
      if (round >= 0) samples[i]!.push(ns);
    }
  }
  return samples.map((all) => middle(all));
}

function batchSample(batched: Batched): number {
  let millis = 0;
  let pieces = 0;
  while (millis < sampleMillis) {
    batched.prepare();
    const begin = performance.now();
    consumed += batched.run();
    millis += performance.now() - begin;
    pieces += batched.size;
  }
  return (millis * 1e6) / pieces;
}
