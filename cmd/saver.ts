/**
 * Brings the packets of detected flows from the workers' rings to the files. Rings and files are bounded: while the disk
 * is behind or in trouble, packets wait in the rings, and what finds them full is counted by the workers.
 */
import { CaptureFolder } from '../lib/io/capture-folder.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { RingReader, type SlabRingMemory } from '../lib/io/slab-ring.js';
import type { Log } from '../lib/report/log.js';
import type { SavedReport } from '../lib/report/status.js';
import { exitPermission, exitUnavailable, UserError } from './errors.js';

const drainMillis = 50;
/** How long the last packets may take to reach the files. */
const lastRounds = 20;

/** One worker's ring, and the packets taken from it that are in no file yet. */
class Inlet {
  readonly reader: RingReader;
  readonly batch = new PacketBatch();
  next = 0;

  constructor(memory: SlabRingMemory) {
    this.reader = new RingReader(memory);
  }

  /** Whether there is a packet at `next`. */
  hasPacket(): boolean {
    if (this.next < this.batch.count) return true;
    this.reader.release();
    this.next = 0;
    return this.reader.take(this.batch) > 0;
  }

  get time(): number {
    return this.batch.timeMicros[this.next]!;
  }
}

export interface SaverOptions {
  readonly directory: string;
  readonly instance: string;
  readonly fileBytes: number;
  readonly files: number;
}

export class Saver {
  readonly #folder: CaptureFolder;
  readonly #directory: string;
  readonly #inlets: readonly Inlet[];
  #timer: NodeJS.Timeout | null = null;

  private constructor(options: SaverOptions, rings: readonly SlabRingMemory[], log: Log) {
    const { directory, instance, fileBytes, files } = options;
    this.#directory = directory;
    this.#inlets = rings.map((ring) => new Inlet(ring));
    this.#folder = new CaptureFolder({
      directory,
      name: instance,
      fileBytes,
      files,
      onRoom: () => {
        this.#drain();
      },
      onTrouble: (message) => {
        log.warn(
          `packets of detected flows cannot be saved (${message}); tried again each second`,
          'save-failed',
        );
      },
      onHealed: () => {
        log.warn('packets of detected flows can be saved again', 'save-failed');
      },
    });
  }

  /** @throws UserError when nothing can be written there */
  static async open(options: SaverOptions, rings: readonly SlabRingMemory[], log: Log): Promise<Saver> {
    const saver = new Saver(options, rings, log);
    const problem = await saver.#folder.check();
    if (problem === null) return saver;
    const denied = /^(EACCES|EPERM)/.test(problem);
    throw new UserError(
      denied ? 'save-permission' : 'save-directory',
      `--save-detected ${options.directory}: no file can be made there (${problem}); name a directory that is there and writable`,
      denied ? exitPermission : exitUnavailable,
    );
  }

  start(): void {
    this.#timer = setInterval(() => {
      this.#drain();
    }, drainMillis);
  }

  /** The workers are gone: saves what they left. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    for (let round = 0; round < lastRounds && this.#drain(); round++)
      await new Promise((resolve) => setTimeout(resolve, drainMillis));
    await this.#folder.close();
  }

  report(notSaved: number): SavedReport {
    const { packets, bytes, dropped, begun, removed, problem } = this.#folder;
    return {
      directory: this.#directory,
      packets,
      bytes,
      dropped: dropped + notSaved,
      files: begun,
      removed,
      problem,
    };
  }

  /** Takes packets in the order of their times until there are none or the files are behind; true for the latter. */
  #drain(): boolean {
    for (let oldest = this.#oldest(); oldest !== null; oldest = this.#oldest()) {
      if (!this.#folder.add(oldest.batch, oldest.next)) {
        this.#folder.flush();
        return true;
      }
      oldest.next++;
    }
    this.#folder.flush();
    return false;
  }

  #oldest(): Inlet | null {
    let oldest: Inlet | null = null;
    for (const inlet of this.#inlets)
      if (inlet.hasPacket() && (oldest === null || inlet.time < oldest.time)) oldest = inlet;
    return oldest;
  }
}
