/**
 * The typed face of the addon's capture ring (AF_PACKET, TPACKET_V3). The kernel writes packets into memory that it shares
 * with us; `receive` fills arrays with where they are. Nothing on the packet's way allocates or throws. Several rings may
 * be open, in any threads; each belongs to the thread that opened it.
 */
import { constants } from 'node:os';
import { nativeProblem, ringCalls } from './index.js';

export interface RingOptions {
  readonly interface: string;
  /** pcap-filter(7); '' needs no libpcap. */
  readonly filter: string;
  readonly batchPackets: number;
  /** Bytes kept of each packet, 64 to 262,144. */
  readonly snapBytes: number;
  /** Memory that the kernel fills at a time, a power of two from 64 KiB to 16 MiB; a packet must fit into it. */
  readonly blockBytes: number;
  /** 2 to 16,384, 1 GiB in all at the most. */
  readonly blocks: number;
  /** A block that is not full is handed over after so long. */
  readonly retireMillis: number;
  readonly promiscuous: boolean;
}

/** The caller's memory, kept alive and written to by the addon until `ringClose`; not to be transferred meanwhile. */
export interface RingArrays {
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly wireLength: Int32Array;
  readonly timeMicros: Float64Array;
  /** One element for each name of `ringCounterNames`. */
  readonly counters: Float64Array;
}

/** What the addon counts; the order is that of `enum ring_counter` in ring.h. */
export const ringCounterNames = ['dropped', 'malformed'] as const;

declare const handleMark: unique symbol;
/** An open ring, to the addon. */
export interface RingHandle {
  readonly [handleMark]: true;
}

/** What an opening was doing when it failed; the order is that of `enum ring_step` in ring.h. */
export const ringSteps = [
  'none',
  'socket',
  'interface',
  'down',
  'linkType',
  'pcapMissing',
  'filter',
  'version',
  'setup',
  'memory',
  'bind',
] as const;
export type RingStep = (typeof ringSteps)[number];

interface OpenResult {
  error: number;
  step: number;
  index: number;
  hardwareType: number;
  raw: number;
  said: string;
  memory: ArrayBuffer | null;
}

/** The part of the addon that concerns rings. */
export interface RingCalls {
  /** 0, or a negative errno. */
  ringProbe(): number;
  /** '' if libpcap compiles it for Ethernet, libpcap's words if not, or a negative errno. */
  filterCheck(expression: string): string | number;
  ringOpen(options: RingOptions, arrays: RingArrays, result: OpenResult): RingHandle | undefined;
  /** Packets in the arrays, 0 after a time-out, or a negative errno. Packets are valid until the next call. */
  ringReceive(handle: RingHandle, timeoutMillis: number): number;
  /** Idempotent. Afterwards the ring's memory has the length 0, in every view of it. */
  ringClose(handle: RingHandle): void;
}

export interface OpenedRing {
  readonly handle: RingHandle;
  /** What the arrays' offsets point into. */
  readonly memory: ArrayBuffer;
  readonly index: number;
  /** Packets begin with the IP header; otherwise with an Ethernet header. */
  readonly raw: boolean;
}

/** Why a ring did not open. */
export interface RingRefusal {
  readonly step: RingStep;
  /** Positive errno. */
  readonly error: number;
  /** ARPHRD_ value, once the interface was found. */
  readonly hardwareType: number;
  /** libpcap's words about a filter. */
  readonly said: string;
}

/** Opens a ring, or says why not. @throws NativeError: native-missing */
export function openRingNatively(options: RingOptions, arrays: RingArrays): OpenedRing | RingRefusal {
  const result: OpenResult = {
    ...{ error: 0, step: 0, index: 0, hardwareType: 0 },
    ...{ raw: 0, said: '', memory: null },
  };
  const handle = ringCalls().ringOpen(options, arrays, result);
  const { step, error, hardwareType, said, memory } = result;
  if (handle === undefined || memory === null)
    return { step: ringSteps[step] ?? 'none', error, hardwareType, said };
  return { handle, memory, index: result.index, raw: result.raw !== 0 };
}

/** Null if rings can be had here, else the sentence that says what to do. Permission is told by opening one. */
export function ringSupportProblem(): string | null {
  const problem = nativeProblem();
  if (problem !== null) return problem;
  const error = -ringCalls().ringProbe();
  const { EPERM, EACCES } = constants.errno;
  if (error === 0 || error === EPERM || error === EACCES) return null;
  return 'this kernel has no packet sockets with TPACKET_V3: load them with `modprobe af_packet`, use Linux 3.2 or newer with CONFIG_PACKET, or capture with --source cap';
}

/**
 * Why libpcap does not take the expression, or null if it does, or if that cannot be told here: without addon or libpcap,
 * and of directions ("inbound"), which it only knows for an open capture.
 */
export function filterProblem(expression: string): string | null {
  if (nativeProblem() !== null) return null;
  const said = ringCalls().filterCheck(expression);
  return typeof said === 'number' || said === '' || said.startsWith('inbound/outbound not') ? null : said;
}
