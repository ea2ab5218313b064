/** What a configuration means for the kernel's rules and for each worker. */
import { randomInt } from 'node:crypto';
import type { Config } from '../lib/config/config.js';
import { workerCount } from '../lib/config/load.js';
import type { Firewall, RuleSet } from '../lib/firewall/firewall.js';
import { MarkField } from '../lib/firewall/marks.js';
import { flowsMaxLowest } from '../lib/limits.js';
import { makeSwarmMemory } from './swarm-memory.js';
import type { WorkerPlan } from './worker-pool.js';

export function ruleSetOf(config: Config): RuleSet {
  return {
    instance: config.instance,
    queueFirst: config.queue.first,
    queueCount: workerCount(config),
    mark: new MarkField(config.markMask),
    forwarded: config.traffic.forwarded,
    local: config.traffic.local,
    interfaces: config.traffic.interfaces,
    enforce: config.mode === 'enforce',
  };
}

/** One plan per worker: its own queue, its share of the flows, its own secret. */
export function plansOf(config: Config, pass: Firewall['pass']): WorkerPlan[] {
  const count = workerCount(config);
  const swarm = makeSwarmMemory();
  return Array.from({ length: count }, (_, worker) => ({
    worker,
    queue: {
      number: config.queue.first + worker,
      batchPackets: config.batch,
      copyBytes: config.queue.copyBytes,
      lengthMax: config.queue.length,
      receiveBufferBytes: config.queue.receiveBufferBytes,
    },
    markMask: config.markMask,
    pass,
    flowsMax: Math.max(flowsMaxLowest, Math.ceil(config.limits.flows / count)),
    hashSeed: randomInt(0x7fffffff),
    policy: config,
    swarm,
  }));
}
