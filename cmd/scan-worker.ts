/** Entry of a worker thread of a scan of many files. */
import { parentPort, workerData } from 'node:worker_threads';
import { registryWith } from '../detectors/index.js';
import { listedIn } from './name-flags.js';
import { ScanBoard, unitsOf, type ScanWorkerSettings } from './scan-messages.js';
import { scanShare } from './scan-share.js';

const settings = workerData as ScanWorkerSettings;
const { worker, workers, waitingMax } = settings;
const board = new ScanBoard(workers, settings.board);
let sent = 0;

await scanShare(settings, board, registryWith(listedIn(settings.names)), {
  send: (message) => {
    // Before it is sent: what waits for the main thread never exceeds the limit by more than one message.
    board.wait(worker, sent, ScanBoard.units(waitingMax));
    sent = (sent + unitsOf(message)) | 0;
    parentPort?.postMessage(message, message.kind === 'flows' ? [message.packed.memory] : []);
  },
});
