/** Runs one part of the benchmarks; see part-main.ts. usage: part.js NAME CONTEXT OUTPUT */
import { runPart } from './part-main.js';
import { parts } from './parts.js';

await runPart((name) => parts[name].measure);
