/**
 * Consumer of the queue benchmark: the filter's loop, inspecting everything, behind one bare NFQUEUE rule and without
 * fail-open, as npm's nfqueue and the least C program stand there. That rule sends what is decided here again, once: only
 * for loads of flows shorter than they are looked at. usage: nfqueue-inspect.js QUEUE
 */
import { queueLoop, runForever } from './nfqueue-loop.js';

await runForever(queueLoop(Number(process.argv[2]), 'accept', false));
