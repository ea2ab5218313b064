/** Live sources by name: the ring where the kernel and the addon have it, else `cap`, else what stands in the way. */
import { ringSupportProblem } from '../native/ring.js';
import { capPackageProblem, openCapSource } from './cap-source.js';
import type { BlockingLiveSource, EventLiveSource, LiveOptions } from './live-source.js';
import { RingSource, type RingSizes } from './ring-source.js';

/** To be called in the thread that receives. @throws LiveSourceError */
export function openRing(options: LiveOptions, sizes: RingSizes = {}): BlockingLiveSource {
  return new RingSource(options, sizes);
}

/** Rejects with LiveSourceError. */
export function openCap(options: LiveOptions): Promise<EventLiveSource> {
  return openCapSource(options);
}

/** Null if rings can be had on this machine, else the sentence that says what to do. */
export function ringProblem(): string | null {
  return ringSupportProblem();
}

/** Null if `cap` is installed and built, else the sentence that says what to do. */
export function capProblem(): string | null {
  return capPackageProblem();
}
