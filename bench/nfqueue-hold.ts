/** Consumer of the queue benchmark: the filter's loop, holding every flow. usage: nfqueue-hold.js QUEUE */
import { chooseFirewall } from '../lib/firewall/choose.js';
import { holdFlows } from './hold.js';
import { queueLoop, runForever } from './nfqueue-loop.js';

const loop = queueLoop(Number(process.argv[2]), (await chooseFirewall('auto')).pass, true);
holdFlows(loop);
await runForever(loop);
