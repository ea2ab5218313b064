/** The parts of the benchmarks: what each needs, and how it is run. Each runs in a process of its own (part.ts). */
import type { Context, Note } from './context.js';
import { queueProblem } from './nfqueue-run.js';
import { measureAnalysis } from './part-analysis.js';
import { measureBatch } from './part-batch.js';
import { measureDetectors } from './part-detectors.js';
import { measureDecode, measureEngine, measureFlow } from './part-engine.js';
import { monitorProblem } from './monitor.js';
import { measureMonitor } from './part-monitor.js';
import { measureInline } from './part-inline.js';
import { measureReader, measureScan } from './part-programs.js';
import { measurePool } from './part-pool.js';
import { measureRing } from './part-ring.js';
import { measureSplit } from './part-split.js';
import type { Outcome, PartName } from './result.js';

export interface Part {
  readonly needs: readonly ('mix' | 'smallMix' | 'largeMix')[];
  /** Why it cannot run here, or null. */
  problem(): string | null;
  readonly measure: (context: Context, note: Note) => Promise<Outcome> | Outcome;
}

const always = (): null => null;

export const parts: Readonly<Record<PartName, Part>> = {
  detectors: { needs: [], problem: always, measure: measureDetectors },
  analysis: { needs: [], problem: always, measure: measureAnalysis },
  decode: { needs: ['mix'], problem: always, measure: measureDecode },
  flow: { needs: ['mix'], problem: always, measure: measureFlow },
  engine: { needs: ['mix'], problem: always, measure: measureEngine },
  scan: { needs: ['mix', 'smallMix', 'largeMix'], problem: always, measure: measureScan },
  reader: { needs: ['mix'], problem: always, measure: measureReader },
  batch: { needs: ['mix'], problem: always, measure: measureBatch },
  ring: { needs: [], problem: always, measure: measureRing },
  split: { needs: ['mix'], problem: always, measure: measureSplit },
  pool: { needs: [], problem: always, measure: measurePool },
  inline: { needs: [], problem: queueProblem, measure: measureInline },
  monitor: { needs: [], problem: monitorProblem, measure: measureMonitor },
};
