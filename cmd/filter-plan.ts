/** What a configuration means for the kernel's rules and for each worker. */
import { randomInt } from 'node:crypto';
import { wantsNames, type Config } from '../lib/config/config.js';
import { workerCount } from '../lib/config/load.js';
import type { Firewall, RuleSet } from '../lib/firewall/firewall.js';
import { MarkField } from '../lib/firewall/marks.js';
import { countedSizes } from '../lib/io/nfqueue.js';
import { flowsMaxLowest } from '../lib/limits.js';
import { makeSwarmMemory, type SwarmMemory } from './swarm-memory.js';
import type { QueuePlan } from './filter-settings.js';

export function ruleSetOf(config: Config): RuleSet {
  return {
    instance: config.instance,
    queueFirst: config.queue.first,
    queueCount: workerCount(config),
    mark: new MarkField(config.markMask),
    forwarded: config.traffic.forwarded,
    local: config.traffic.local,
    interfaces: config.traffic.interfaces,
    pairs: config.traffic.pairs,
    leave: config.traffic.leaveInterfaces,
    enforce: config.mode === 'enforce',
  };
}

/**
 * Bytes of a packet that are copied at least while there is a list of names. A hello with post-quantum keys has 1.8 KiB
 * and its extensions in any order, and the kernel may hand over its segments as one packet.
 */
const helloBytes = 2560;

/** One plan per worker: its own queue, its share of the flows, its own secret. */
export function plansOf(
  config: Config,
  pass: Firewall['pass'],
  swarm: SwarmMemory = makeSwarmMemory(),
  processors: readonly number[] | null = config.affinity.data,
): QueuePlan[] {
  const count = workerCount(config);
  return Array.from({ length: count }, (_, worker) => ({
    worker,
    queue: {
      number: config.queue.first + worker,
      copyBytes: wantsNames(config) ? Math.max(config.queue.copyBytes, helloBytes) : config.queue.copyBytes,
      lengthMax: config.queue.length,
      ...countedSizes(config.queue.length, {
        batchPackets: config.batch,
        receiveBufferBytes: config.queue.receiveBufferBytes,
      }),
    },
    rings: null,
    processors,
    markMask: config.markMask,
    pass,
    flowsMax: Math.max(flowsMaxLowest, Math.ceil(config.limits.flows / count)),
    hashSeed: randomInt(0x7fffffff),
    policy: config,
    swarm,
  }));
}
