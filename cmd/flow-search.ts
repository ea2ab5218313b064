/** Asks all workers for a flow and waits for the first that has it: only one of them does, and nobody else knows which. */
import type { FlowEnds, flowEndsOf } from '../lib/report/decision-list.js';
import type { FlowReport } from '../lib/report/report.js';
import type { ToWorker } from './filter-settings.js';

const findMillis = 2000;

export interface FoundFlow {
  readonly flow: FlowReport;
  readonly worker: number;
}

interface Search {
  left: number;
  resolve(found: FoundFlow | null): void;
}

/** Unique over all workers, and a whole number that JSON can carry. */
export function flowId(worker: number, id: number): number {
  return worker * 2 ** 40 + id;
}

export class FlowSearch {
  readonly #searches = new Map<number, Search>();
  #next = 1;

  /** @param tellAll returns how many workers were asked */
  find(
    ends: NonNullable<ReturnType<typeof flowEndsOf>>,
    tellAll: (message: ToWorker) => number,
  ): Promise<FoundFlow | null> {
    const id = this.#next++;
    return new Promise((resolve) => {
      const done = (found: FoundFlow | null): void => {
        clearTimeout(limit);
        this.#searches.delete(id);
        resolve(found);
      };
      const limit = setTimeout(() => {
        done(null);
      }, findMillis);
      const search: Search = { left: 0, resolve: done };
      this.#searches.set(id, search);
      const protos = ends.proto === null ? (['tcp', 'udp'] as const) : ([ends.proto] as const);
      for (const proto of protos)
        search.left += tellAll({ kind: 'find', id, ends: { ...ends, proto } satisfies FlowEnds });
      if (search.left === 0) done(null);
    });
  }

  /** A worker's answer. */
  heard(id: number, flow: FlowReport | null, worker: number): void {
    const search = this.#searches.get(id);
    if (search === undefined) return;
    search.left--;
    if (flow !== null) search.resolve({ flow: { ...flow, flow_id: flowId(worker, flow.flow_id) }, worker });
    else if (search.left === 0) search.resolve(null);
  }
}
