/**
 * Runs a part that times functions in its own process; see part-main.ts. deploy/bundle.js puts it together as it does the
 * program, so that what is timed is the code as it is shipped. usage: timed-part.js NAME CONTEXT OUTPUT
 */
import { measureAnalysis } from './part-analysis.js';
import { measureDetectors } from './part-detectors.js';
import { measureDecode, measureEngine, measureFlow } from './part-engine.js';
import { runPart, type Measure } from './part-main.js';
import type { PartName } from './result.js';

const measures: Partial<Record<PartName, Measure>> = {
  detectors: measureDetectors,
  analysis: measureAnalysis,
  decode: measureDecode,
  flow: measureFlow,
  engine: measureEngine,
};
await runPart((name) => measures[name]);
