/** Counts garbage collections, for tests of code that must cause none. */
import { constants, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** An observer hears of a collection this much later at the most. */
const reportMillis = 50;

/** Collections of young or old objects in this thread while `work` runs. */
export async function collectionsDuring(work: () => void): Promise<number> {
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { kind } = (entry as unknown as { detail: { kind: number } }).detail;
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR || kind === constants.NODE_PERFORMANCE_GC_MAJOR)
        collections++;
    }
  });
  observer.observe({ entryTypes: ['gc'] });
  await sleep(reportMillis);
  collections = 0;
  work();
  await sleep(reportMillis);
  observer.disconnect();
  return collections;
}
