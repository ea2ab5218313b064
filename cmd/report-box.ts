/**
 * Reports of one worker on their way to the control plane, never more than a fixed number: who floods the worker with
 * flows worth a report makes it count those that find no room, and nothing else.
 */
import { controlReports, type DecisionMessage } from './filter-settings.js';

export class ReportBox {
  readonly #control: Int32Array;
  #reports: DecisionMessage[] = [];

  /** @param control the worker's control memory; the control plane counts down there what it has heard */
  constructor(control: Int32Array) {
    this.#control = control;
  }

  /** Takes a report unless `most` or more are on their way; false if so, and then it is not made. */
  take(make: () => DecisionMessage, most: number): boolean {
    if (Atomics.load(this.#control, controlReports) >= most) return false;
    Atomics.add(this.#control, controlReports, 1);
    this.#reports.push(make());
    return true;
  }

  /** What was taken since the last time; null if nothing was. */
  empty(): readonly DecisionMessage[] | null {
    if (this.#reports.length === 0) return null;
    const taken = this.#reports;
    this.#reports = [];
    return taken;
  }
}
