/** For tests that run the program as its users do. */
import { spawnSync, type SpawnSyncOptions, type SpawnSyncReturns } from 'node:child_process';
import { program } from '../lib/testing.js';

/** `swarmgate WORDS`, to its end. */
export function swarmgate(
  words: readonly string[],
  options: SpawnSyncOptions = {},
): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [program, ...words], {
    timeout: 60_000,
    maxBuffer: 1 << 28,
    ...options,
    encoding: 'utf8',
  });
}
