/**
 * One thread's share of a scan of many files: it takes one file after the other, scans each in a world of its own as a
 * single thread would, and hands over copies of the flows that ended.
 */
import type { Engine } from '../lib/engine/engine.js';
import type { Registry } from '../lib/engine/registry.js';
import { invariant } from '../lib/invariant.js';
import { FlowChunk } from '../lib/report/flow-chunk.js';
import { RunBytes } from '../lib/report/progress.js';
import type { FromScanWorker, ScanBoard, ScanWorkerSettings } from './scan-messages.js';
import { Scanner } from './scanner.js';

/** A chunk of so many flows costs 130 KB and some microseconds; items are some more than recorded torrents have. */
const chunkFlows = 512;
const chunkItems = 1024;

export interface ShareHooks {
  send(message: FromScanWorker): void;
  /** Shows a flow where it lies, if its turn has come and nothing of its file waits; false: a copy is to be sent. */
  readonly showNow?: (file: number, engine: Engine, slot: number) => boolean;
  /** Waited for between blocks, and between some thousand flows. */
  readonly room?: () => Promise<void> | undefined;
  /** Waited for before another file is taken. */
  readonly mayTake?: () => Promise<void>;
  readonly stopped?: () => boolean;
}

/** Scans files until there are no more. */
export async function scanShare(
  settings: ScanWorkerSettings,
  board: ScanBoard,
  registry: Registry,
  hooks: ShareHooks,
): Promise<void> {
  const { worker, inputs } = settings;
  const chunk = new FlowChunk(registry, chunkFlows, chunkItems);
  const bytes = new RunBytes([]);
  const stopped = hooks.stopped ?? (() => false);
  let file = board.take(worker);
  let packetsBefore = 0;
  const flush = (): void => {
    if (chunk.size > 0) hooks.send({ kind: 'flows', file, packed: chunk.pack() });
  };
  const scanner = new Scanner({
    continuous: false,
    flowsMax: settings.flowsMax,
    encrypted: settings.encrypted,
    registry,
    onRow: (engine, slot) => {
      if (stopped() || (chunk.size === 0 && hooks.showNow?.(file, engine, slot) === true)) return;
      if (chunk.add(engine, slot)) return;
      flush();
      invariant(chunk.add(engine, slot), 'an empty chunk has room for one flow');
    },
    onInputDone: ({ sizeBytes }) => {
      bytes.next(sizeBytes ?? null);
    },
    onBlock: (source, packets) => {
      board.note(worker, bytes.at(source.bytesRead), packetsBefore + packets);
      return hooks.room?.();
    },
    onEnded: async () => hooks.room?.(),
    stopped,
  });
  while (file < inputs.length && !stopped()) {
    await scanner.run([inputs[file]!]);
    flush();
    const part = scanner.takePart();
    packetsBefore += part.packets;
    board.note(worker, bytes.at(0), packetsBefore);
    hooks.send({ kind: 'done', file, part });
    await hooks.mayTake?.();
    file = board.take(worker);
  }
}
