/** An interface watched through a ring that the kernel fills (TPACKET_V3): a thread of its own waits in `receive`. */
import { constants } from 'node:os';
import { invariant } from '../invariant.js';
import { errnoName, NativeError, ringCalls } from '../native/index.js';
import {
  openRingNatively,
  ringCounterNames,
  type RingCalls,
  type RingHandle,
  type RingRefusal,
} from '../native/ring.js';
import { linkEthernet, linkRaw } from '../wire/link.js';
import { interfaceIndex, interfaceIndexes } from './interfaces.js';
import {
  descriptorsMissing,
  interfaceDown,
  interfaceMissing,
  interfaceRemoved,
  interfaceRenamed,
  permissionMissing,
  unsupportedLink,
} from './live-errors.js';
import {
  type BlockingLiveSource,
  type LiveCounters,
  LiveSourceError,
  type LiveOptions,
} from './live-source.js';
import { PacketBatch } from './packet-source.js';

const { EBADF, ENETDOWN, ENXIO, ENODEV, EPERM, EACCES, EMFILE, ENFILE } = constants.errno;
const interfaceNameBytesMax = 15;

/** Memory that the kernel shares with us, and how long it may keep a packet to itself. */
export interface RingSizes {
  /** A power of two, 64 KiB or more, and more than `snapBytes`. */
  readonly blockBytes?: number;
  readonly blocks?: number;
  readonly retireMillis?: number;
}

/**
 * 16 MiB hold 60,000 packets of 200 bytes: a fifth of a second at 300 thousand per second, during which the reader may be
 * away. A block of 256 KiB takes four of the largest packets (64 KiB with GSO) and fills within 4 ms at that rate, so the
 * retire time only matters on links that are idle.
 */
export const ringSizes = { blockBytes: 256 * 1024, blocks: 64, retireMillis: 4 } as const;

/** Room that a packet needs in its block beside its bytes: the headers of block and frame. */
const headerRoomBytes = 512;

/** The least block of at least `blockBytes` into which a packet of `snapBytes` fits; the same memory in all. */
function fittingSizes(snapBytes: number, sizes: RingSizes): Required<RingSizes> {
  const all = { ...ringSizes, ...sizes };
  let { blockBytes, blocks } = all;
  while (blockBytes < snapBytes + headerRoomBytes) {
    blockBytes *= 2;
    blocks = Math.max(2, blocks >> 1);
  }
  return { ...all, blockBytes, blocks };
}

export class RingSource implements BlockingLiveSource {
  readonly kind = 'ring';
  readonly name: string;
  readonly index: number;
  readonly linkType: number;
  readonly batch: PacketBatch;
  readonly counters: LiveCounters & { readonly malformed: number };
  readonly #calls: RingCalls;
  readonly #handle: RingHandle;
  #captured = 0;
  #frame = 0;

  /** @throws LiveSourceError */
  constructor(options: LiveOptions, sizes: RingSizes = {}) {
    const batch = new PacketBatch(options.batchPackets);
    const counted = new Float64Array(ringCounterNames.length);
    if (Buffer.byteLength(options.interface) > interfaceNameBytesMax)
      throw interfaceMissing(options.interface);
    const { start, end, wireLength, timeMicros } = batch;
    const arrays = { start, end, wireLength, timeMicros, counters: counted };
    const opened = openChecked({ ...options, ...fittingSizes(options.snapBytes, sizes) }, arrays);
    if (!('handle' in opened)) throw refused(options, opened);
    this.#calls = ringCalls();
    this.#handle = opened.handle;
    this.name = options.interface;
    this.index = opened.index;
    this.linkType = opened.raw ? linkRaw : linkEthernet;
    this.batch = batch;
    batch.linkType.fill(this.linkType);
    batch.bytes = new Uint8Array(opened.memory);
    this.counters = this.#countersOver(counted);
  }

  receive(timeoutMillis: number): number {
    const { batch } = this;
    const count = this.#calls.ringReceive(this.#handle, timeoutMillis);
    if (count < 0) this.#failed(-count);
    batch.count = count;
    this.#captured += count;
    for (let i = 0; i < count; i++) {
      this.#frame = (this.#frame + 1) | 0;
      batch.frame[i] = this.#frame;
    }
    return count;
  }

  /** The socket goes by the number of the interface, whatever it is called: who named it is told when it is renamed. */
  checkName(): void {
    if (interfaceIndex(this.name) === this.index) return;
    for (const [name, index] of interfaceIndexes())
      if (index === this.index) throw interfaceRenamed(this.name, name);
  }

  close(): void {
    this.batch.count = 0;
    this.#calls.ringClose(this.#handle);
  }

  /** Reads the numbers in place, so that a caller may keep the object. */
  #countersOver(counted: Float64Array): RingSource['counters'] {
    const captured = (): number => this.#captured;
    return {
      get captured() {
        return captured();
      },
      get kernelDropped() {
        return counted[ringCounterNames.indexOf('dropped')]!;
      },
      get malformed() {
        return counted[ringCounterNames.indexOf('malformed')]!;
      },
    };
  }

  #failed(error: number): never {
    this.batch.count = 0;
    invariant(error !== EBADF, 'a closed source is not used');
    if (error === ENETDOWN) throw interfaceDown(this.name);
    if (error === ENXIO || error === ENODEV) throw interfaceRemoved(this.name);
    throw new LiveSourceError('capture-failed', `capturing on ${this.name} failed with ${errnoName(error)}`);
  }
}

/** The addon's own error (not built, does not load) in the terms of live sources. */
function openChecked(...what: Parameters<typeof openRingNatively>): ReturnType<typeof openRingNatively> {
  try {
    return openRingNatively(...what);
  } catch (error) {
    if (error instanceof NativeError) throw new LiveSourceError('source-missing', error.message);
    throw error;
  }
}

function refused(options: LiveOptions, { step, error, hardwareType, said }: RingRefusal): LiveSourceError {
  const name = options.interface;
  if (error === EPERM || error === EACCES) return permissionMissing(name);
  if (error === EMFILE || error === ENFILE) return descriptorsMissing(name, errnoName(error));
  switch (step) {
    case 'interface':
      return interfaceMissing(name);
    case 'down':
      return interfaceDown(name);
    case 'linkType':
      return unsupportedLink(name, `ARPHRD ${hardwareType}`);
    case 'pcapMissing':
      return new LiveSourceError(
        'source-missing',
        `the filter "${options.filter}" needs libpcap, which is not installed: install libpcap0.8 (Debian) or libpcap, or watch without a filter`,
      );
    case 'filter':
      return badFilter(options, said === '' ? `the kernel refused it with ${errnoName(error)}` : said);
    case 'memory':
      return new LiveSourceError(
        'capture-memory',
        `the kernel has no memory for the ring of ${name} (${errnoName(error)}): free some, or make the ring smaller`,
      );
    case 'bind':
      return error === ENETDOWN ? interfaceDown(name) : interfaceMissing(name);
    default:
      return new LiveSourceError(
        'source-missing',
        `this kernel gives no TPACKET_V3 ring (${step}: ${errnoName(error)}): capture with --source cap`,
      );
  }
}

function badFilter(options: LiveOptions, said: string): LiveSourceError {
  return new LiveSourceError(
    'bad-filter',
    `filter "${options.filter}" on ${options.interface}: ${said} (the language is that of pcap-filter(7))`,
  );
}
