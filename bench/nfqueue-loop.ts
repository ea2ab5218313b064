/** The filter's loop by itself, without the program around it, as a consumer of the queue benchmark. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { registry } from '../detectors/index.js';
import type { FilterLoopOptions } from '../cmd/filter-loop-options.js';
import { FilterLoop } from '../cmd/filter-loop.js';
import { rehearse } from '../cmd/rehearsal.js';
import { exemptBy, makeSwarmMemory, watchOver } from '../cmd/swarm-memory.js';
import { AllowList } from '../lib/config/allow.js';
import { counterAt, countersLength } from '../lib/engine/counters.js';
import { markMaskDefault } from '../lib/firewall/marks.js';
import { NfqueueQueue } from '../lib/io/nfqueue.js';

/** Turns between two looks at the signals. */
const turns = 64;
/** The default of `limits.flows`, which several workers share. */
const flowsMax = 262_144;

const counts = new Float64Array(countersLength);

/** The loop of a worker, with its rehearsal and its memory of the swarm; nothing is reported. */
export function queueLoop(queue: number, pass: FilterLoopOptions['pass'], failOpen: boolean): FilterLoop {
  const allow = AllowList.empty();
  const common: Pick<FilterLoopOptions, 'registry' | 'markMask' | 'pass' | 'action' | 'encrypted'> = {
    ...{ registry, markMask: markMaskDefault, pass, encrypted: 'corroborated' },
    action: {
      ...{ default: 'reject', kinds: {}, inspectedPackets: 32, inspectedPacketsClear: 8 },
      ...{ blocks: true, allowedInfoHashes: new Set() },
    },
  };
  rehearse({ ...common, allow });
  const swarm = watchOver(makeSwarmMemory());
  swarm.isExempt = exemptBy(allow);
  return new FilterLoop({
    ...common,
    ...{
      queue: new NfqueueQueue({ queue, lengthMax: 4096, failOpen }),
      flowsMax,
      hashSeed: 1,
      allow,
    },
    ...{ enforce: true, counts, sourceName: '', swarm },
    onDecision: () => true,
    onDoubt: () => true,
  });
}

/** Runs until the process is ended; SIGUSR2 prints how many packets there were. */
export async function runForever(loop: FilterLoop): Promise<never> {
  process.on('SIGUSR2', () => {
    process.stdout.write(`${counts[counterAt('packets')]!}\n`);
  });
  for (;;) {
    for (let i = 0; i < turns && loop.turn() > 0; i++);
    await nextTurn();
  }
}
