/**
 * Entry of a worker thread of a scan of many files. It takes one file after the other, scans each in a world of its own
 * as a single thread would, and sends copies of the flows that ended; the main thread makes the report of them.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { registryWith } from '../detectors/index.js';
import { invariant } from '../lib/invariant.js';
import { FlowChunk } from '../lib/report/flow-chunk.js';
import { RunBytes } from '../lib/report/progress.js';
import { listedIn } from './name-flags.js';
import { ScanBoard, unitsOf, type FromScanWorker, type ScanWorkerSettings } from './scan-messages.js';
import { Scanner } from './scanner.js';

/** A chunk of so many flows costs 130 KB and some microseconds; items are some more than recorded torrents have. */
const chunkFlows = 512;
const chunkItems = 1024;

async function scanAll(
  settings: ScanWorkerSettings,
  board: ScanBoard,
  send: (message: FromScanWorker) => void,
): Promise<void> {
  const { worker, inputs } = settings;
  const registry = registryWith(listedIn(settings.names));
  const chunk = new FlowChunk(registry, chunkFlows, chunkItems);
  const bytes = new RunBytes([]);
  let file = board.take(worker);
  let packetsBefore = 0;
  const flush = (): void => {
    if (chunk.size > 0) send({ kind: 'flows', file, packed: chunk.pack() });
  };
  const scanner = new Scanner({
    continuous: false,
    flowsMax: settings.flowsMax,
    encrypted: settings.encrypted,
    registry,
    onRow: (engine, slot) => {
      if (chunk.add(engine, slot)) return;
      flush();
      invariant(chunk.add(engine, slot), 'an empty chunk has room for one flow');
    },
    onInputDone: ({ sizeBytes }) => {
      bytes.next(sizeBytes ?? null);
    },
    onBlock: (source, packets) => {
      board.note(worker, bytes.at(source.bytesRead), packetsBefore + packets);
      return undefined;
    },
  });
  for (; file < inputs.length; file = board.take(worker)) {
    await scanner.run([inputs[file]!]);
    flush();
    const part = scanner.takePart();
    packetsBefore += part.packets;
    board.note(worker, bytes.at(0), packetsBefore);
    send({ kind: 'done', file, part });
  }
}

const settings = workerData as ScanWorkerSettings;
const board = new ScanBoard(settings.workers, settings.board);
let sent = 0;

await scanAll(settings, board, (message) => {
  const units = unitsOf(message);
  // Before it is sent: then what waits for the main thread never exceeds the limit by more than one message.
  board.wait(settings.worker, sent, ScanBoard.units(settings.waitingMax));
  sent = (sent + units) | 0;
  parentPort?.postMessage(message, message.kind === 'flows' ? [message.packed.memory] : []);
});
