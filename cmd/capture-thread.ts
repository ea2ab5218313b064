/** A capture thread: one interface, read through the kernel's ring. Started and supervised by the monitor. */
import { parentPort, workerData } from 'node:worker_threads';
import { openRing } from '../lib/io/open-live.js';
import { threadId } from '../lib/native/index.js';
import { confineData } from './affinity.js';
import { CaptureLoop } from './capture-loop.js';
import type { CaptureSettings, FromCapture, StartMessage } from './filter-settings.js';

if (parentPort === null) throw new Error('capture-thread.js is started by swarmgate monitor');
const port = parentPort;
const settings = workerData as CaptureSettings;

function tell(message: FromCapture | StartMessage): void {
  port.postMessage(message);
}

/** Whether it stands; what stands in the way is told with its code. */
function begins(loop: CaptureLoop): boolean {
  try {
    confineData(settings.processors);
    loop.begin();
    return true;
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    tell({ kind: 'failed', code: code ?? 'capture-failed', message });
    return false;
  }
}

const loop = new CaptureLoop({ settings, open: () => openRing(settings.live, settings.sizes), tell });
if (begins(loop)) {
  tell({ kind: 'ready', threadId: threadId() });
  try {
    loop.run();
  } finally {
    loop.close();
  }
}
