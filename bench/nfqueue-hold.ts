/** Consumer of the queue benchmark: the filter's loop, holding every flow. usage: nfqueue-hold.js QUEUE */
import { registry } from '../detectors/index.js';
import { FilterLoop } from '../cmd/filter-loop.js';
import { counterAt, countersLength } from '../lib/engine/counters.js';
import { chooseFirewall } from '../lib/firewall/choose.js';
import { markMaskDefault } from '../lib/firewall/marks.js';
import { NfqueueQueue } from '../lib/io/nfqueue.js';
import { holdFlows } from './hold.js';

/** Turns between two looks at the signals. */
const turns = 64;

const counts = new Float64Array(countersLength);
const loop = new FilterLoop({
  queue: new NfqueueQueue({ queue: Number(process.argv[2]), lengthMax: 4096 }),
  registry,
  markMask: markMaskDefault,
  pass: (await chooseFirewall('auto')).pass,
  flowsMax: 65_536,
  hashSeed: 1,
  action: {
    default: 'reject',
    kinds: {},
    inspectedPackets: 32,
    inspectedPacketsClear: 8,
    blocks: true,
    allowedInfoHashes: new Set(),
  },
  allow: { matches: () => false, matchesInterface: () => false, matchesMac: () => false },
  enforce: true,
  counts,
  sourceName: '',
  onDecision: () => true,
});
holdFlows(loop);

process.on('SIGUSR2', () => {
  process.stdout.write(`${counts[counterAt('packets')]!}\n`);
});
for (;;) {
  for (let i = 0; i < turns && loop.turn() > 0; i++);
  await new Promise(setImmediate);
}
