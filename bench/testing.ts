/** Test support: results of benchmarks made by hand. */
import { resultFormat, type Figure, type PartName, type Result } from './result.js';

export function resultOf(commit: string, figures: Partial<Record<PartName, readonly Figure[]>>): Result {
  return {
    format: resultFormat,
    machine: {
      ...{ cpu: 'a processor', cores: 2, memoryBytes: 2 ** 34, kernel: 'Linux 6.1', node: 'v20.1.0' },
      ...{ v8: '11.3', date: '2026-11-21', commit, loadBefore: 0.5, loadAfter: 1.25 },
    },
    peers: { tcpdump: 'tcpdump version 4.99.3', go: 'not installed' },
    options: { repeat: '3' },
    parts: Object.entries(figures).map(([part, all]) => ({
      ...{ part: part as PartName, seconds: 2.4, problem: null, tables: [], figures: all, targets: [] },
    })),
  };
}
