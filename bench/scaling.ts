/**
 * From one worker to two, and what that would mean for more. Two points do not make a curve: what goes beyond the cores of
 * this machine is an extrapolation and is called so wherever it is printed.
 */
import type { Table } from './result.js';

/** Amdahl: of the work, the share that a second worker does not take over; 0 if it takes all, 1 if it takes nothing. */
export function serialShare(one: number, two: number): number {
  return Math.min(1, Math.max(0, 2 / (two / one) - 1));
}

/** Throughput of `workers` by Amdahl's law from what one and two reach. */
export function extrapolated(one: number, two: number, workers: number): number {
  const serial = serialShare(one, two);
  return one / (serial + (1 - serial) / workers);
}

/** Share of a second worker that arrives: 1 is twice the throughput. */
export function efficiency(one: number, two: number): number {
  return two / (2 * one);
}

export interface Scaled {
  readonly what: string;
  readonly unit: string;
  readonly one: number;
  readonly two: number;
}

const larger = [8, 64] as const;

/** One worker, two workers, how well the second one is used, and the extrapolation; `notes` say what else ran. */
export function scalingTable(rows: readonly Scaled[], notes: readonly string[]): Table {
  const figure = (value: number): string => value.toPrecision(3).replace(/e\+\d+$/, '');
  const whole = (value: number): string => (value >= 1000 ? value.toFixed(0) : figure(value));
  return {
    title: 'From one worker to two',
    head: [
      '',
      'unit',
      '1 worker',
      '2 workers',
      'times',
      'efficiency',
      ...larger.map((cores) => `${cores} cores, EXTRAPOLATED`),
    ],
    rows: rows.map(({ what, unit, one, two }) => [
      what,
      unit,
      whole(one),
      whole(two),
      (two / one).toFixed(2),
      `${(100 * efficiency(one, two)).toFixed(0)} %`,
      ...larger.map((cores) => whole(extrapolated(one, two, cores))),
    ]),
    notes: [
      'Efficiency is (2 workers) / (2 x 1 worker).',
      'The last columns are extrapolations and no measurement: T(n) = T(1) / (s + (1 - s) / n) with s = 2 / (T(2) / T(1)) - 1, at least 0 and at most 1, one worker per core (Amdahl). What else ran on the two cores is in s.',
      ...notes,
    ],
  };
}
