/** The memory of the swarm as the commands make and share it: one for all workers of a filter, one for a scan. */
import { randomInt } from 'node:crypto';
import type { AllowList } from '../lib/config/allow.js';
import { SwarmWatch, type IsExempt } from '../lib/engine/swarm-watch.js';
import { EndpointMemory } from '../lib/flow/endpoint-memory.js';
import { HostEvidence } from '../lib/flow/host-evidence.js';

/** Plain data that every worker thread is given. */
export interface SwarmMemory {
  readonly endpoints: SharedArrayBuffer;
  readonly hosts: SharedArrayBuffer;
  /** Secret of the hashes, so that nobody can aim at one place of a table. */
  readonly seed: number;
}

export function makeSwarmMemory(): SwarmMemory {
  return {
    endpoints: new SharedArrayBuffer(EndpointMemory.byteLength()),
    hosts: new SharedArrayBuffer(HostEvidence.byteLength()),
    seed: randomInt(0x7fffffff),
  };
}

/** One view of the memory; each worker has its own. */
export function watchOver({ endpoints, hosts, seed }: SwarmMemory): SwarmWatch {
  return new SwarmWatch(new EndpointMemory(endpoints, seed), new HostEvidence(hosts, seed));
}

/** Forgets everything. No worker may be using it. */
export function forgetSwarm({ endpoints, hosts }: SwarmMemory): void {
  new Int32Array(endpoints).fill(0);
  new Int32Array(hosts).fill(0);
}

/** Nothing is learned about addresses and ports that the operator allows. */
export function exemptBy(allow: AllowList): IsExempt {
  return (version, word0, word1, word2, word3, port) =>
    allow.matchesEndpoint(version, word0, word1, word2, word3, port);
}
