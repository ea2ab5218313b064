/** On which processors the threads of the filter run. */
import type { Config } from '../lib/config/config.js';
import { getAffinity, NativeError, setAffinity } from '../lib/native/index.js';

/** The settings in words, for an error. */
function refused(setting: string, error: unknown): unknown {
  if (!(error instanceof NativeError)) return error;
  return new NativeError(error.code, `${setting}: ${error.message}`);
}

/**
 * Confines the calling (main) thread as `affinity.control` says, and gives the processors for the data threads; null:
 * as they come. Threads that are started later inherit the mask of this one, libuv's pool and the workers too, so the
 * workers must then be told theirs, also when it is "any". V8's helper threads started with the process and keep its mask.
 * @throws NativeError 'affinity-refused'
 */
export function confineControl({ affinity }: Pick<Config, 'affinity'>): readonly number[] | null {
  if (affinity.control === null) return affinity.data;
  try {
    const data = affinity.data ?? getAffinity();
    setAffinity(affinity.control);
    return data;
  } catch (error) {
    throw refused('affinity.control', error);
  }
}

/**
 * Confines the calling worker. To the whole list, not to one processor each: there are two workers per core, and which of
 * them has the busy pairs of addresses is chance; the kernel moves them to where there is time. (Four workers on two cores
 * of a machine with other load, 2026-11-21, four rounds: 47 to 66 thousand packets per second by the list, 47 to 92 one by
 * one. That decides nothing; measure again on an idle one before this is changed.)
 * @throws NativeError 'affinity-refused'
 */
export function confineData(processors: readonly number[] | null): void {
  if (processors === null) return;
  try {
    setAffinity(processors);
  } catch (error) {
    throw refused('affinity.data', error);
  }
}
