/**
 * The typed face of the addon in C: NFQUEUE in batches, thread affinity, and a word to systemd. Loads in the main thread
 * and in workers. Nothing on the packet's way allocates or throws: `receive` and `settle` take a handle and return a
 * small integer. Everything else throws NativeError with a stable code and a sentence that says what to do.
 */
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { RingCalls } from './ring.js';

export type NativeErrorCode =
  | 'native-missing'
  | 'queue-busy'
  | 'queue-permission'
  | 'queue-unsupported'
  | 'queue-failed'
  | 'affinity-refused'
  | 'thread-name-refused'
  | 'signal-refused'
  | 'notify-failed'
  | 'connections-failed';

/** The world refused: kernel, permissions, installation. */
export class NativeError extends Error {
  override readonly name = 'NativeError';
  constructor(
    readonly code: NativeErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Room in a slot beside the packet's bytes, for the netlink header and attributes (queue.h). */
export const attributeRoomBytes = 512;
export const batchPacketsHighest = 256;
/** Bytes of a packet that the kernel can be asked to copy. The highest is NFQNL_MAX_COPY_RANGE. */
export const copyBytesLowest = 128;
export const copyBytesHighest = 65_531;

export interface QueueOptions {
  /** Queue number, 0 to 65535. */
  readonly queue: number;
  readonly batchPackets: number;
  /** Bytes of one slot of `bytes`, as `slotBytesFor` gives them. */
  readonly slotBytes: number;
  readonly copyBytes: number;
  /** Packets that the kernel holds at once. */
  readonly lengthMax: number;
  readonly receiveBufferBytes: number;
  /** Packets that find the queue full pass. */
  readonly failOpen: boolean;
  /** Large packets arrive whole, not cut into segments. */
  readonly gso: boolean;
  /** Longest wait of `receive`; 0 does not wait. */
  readonly timeoutMillis: number;
}

/**
 * The caller's memory, registered once. The addon keeps these arrays alive and writes to their memory until `close`; their
 * buffers must not be transferred to another thread meanwhile.
 */
export interface QueueArrays {
  readonly bytes: Uint8Array;
  readonly start: Int32Array;
  readonly end: Int32Array;
  readonly wireLength: Int32Array;
  readonly timeMicros: Float64Array;
  readonly id: Uint32Array;
  readonly hook: Uint8Array;
  readonly mark: Uint32Array;
  readonly inInterface: Uint32Array;
  readonly outInterface: Uint32Array;
  readonly flags: Uint8Array;
  readonly mac: Uint8Array;
  readonly verdict: Uint8Array;
  readonly verdictMark: Uint32Array;
  readonly handOver: Uint8Array;
  readonly handOverMark: Uint32Array;
  /** One element: microseconds from the end of `receive` to the end of `settle`. */
  readonly workMicros: Float64Array;
  /** One element for each name of `counterNames`, in that order. */
  readonly counters: Float64Array;
}

/** What the addon counts; the order is that of `enum counter` in queue.h. */
export const counterNames = [
  'overruns',
  'stale',
  'malformed',
  'verdictMessages',
  'sendRetries',
  'sendFailures',
  'reordered',
  'shortenings',
] as const;

/** What the kernel granted. */
export interface QueueInfo {
  readonly failOpen: boolean;
  readonly gso: boolean;
  readonly receiveBufferBytes: number;
  /** Netlink port, the queue's owner in /proc/net/netfilter/nfnetlink_queue. */
  readonly portId: number;
}

declare const handleMark: unique symbol;
/** An open queue, to the addon. */
export interface QueueHandle {
  readonly [handleMark]: true;
}

interface OpenResult {
  error: number;
  step: number;
  failOpen: number;
  gso: number;
  receiveBufferBytes: number;
  portId: number;
}

/** The part of the addon that concerns tracked connections. */
export interface ConnectionCalls {
  /** How many connections had any of the bits, or a negative errno. */
  clearMarks(mask: number, millis: number): Promise<number>;
  stopClearing(): void;
}

interface Addon extends RingCalls, ConnectionCalls {
  open(options: QueueOptions, arrays: QueueArrays, result: OpenResult): QueueHandle | undefined;
  /** Packets received, 0 after a time-out, or a negative errno. */
  receive(handle: QueueHandle): number;
  /** Verdict messages sent, or a negative errno. */
  settle(handle: QueueHandle): number;
  close(handle: QueueHandle): void;
  setCopyRange(handle: QueueHandle, copyBytes: number): number;
  readonly readClock: (to: Float64Array) => void;
  threadId(): number;
  setAffinity(processors: Uint32Array): number;
  getAffinity(): number[] | number;
  setThreadName(name: string): number;
  ignoreTerminalStops(): number;
  notify(path: string, text: string): number;
}

/** The calls that the packet's way makes directly. */
export type QueueCalls = Pick<Addon, 'receive' | 'settle' | 'close'>;

/** In dist/native, seen from dist/program, from dist/lib/native, and from the sources themselves. */
const places = [
  '../native/swarmgate.node',
  '../../native/swarmgate.node',
  '../../dist/native/swarmgate.node',
].map((place) => fileURLToPath(new URL(place, import.meta.url)));

let loaded: Addon | null = null;

function addon(): Addon {
  if (loaded !== null) return loaded;
  const path = places.find((place) => existsSync(place));
  if (path === undefined) {
    throw new NativeError(
      'native-missing',
      `the NFQUEUE addon is not built (dist/native/swarmgate.node): install gcc, libnetfilter-queue-dev and libmnl-dev and run deploy/build-native (or \`make build\` as root)`,
    );
  }
  try {
    loaded = createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    throw new NativeError(
      'native-missing',
      `the NFQUEUE addon does not load (${String(error)}): install libnetfilter-queue1 and libmnl0, or build it on this machine with deploy/build-native --force`,
    );
  }
  return loaded;
}

/** Null if the addon is there and loads, else the sentence that says what to do. */
export function nativeProblem(): string | null {
  try {
    addon();
    return null;
  } catch (error) {
    if (error instanceof NativeError) return error.message;
    throw error;
  }
}

export function queueCalls(): QueueCalls {
  return addon();
}

/**
 * What writes the monotonic clock's microseconds to the first element of an array: a clock without garbage.
 * @throws NativeError: native-missing
 */
export function workClock(): (to: Float64Array) => void {
  const { readClock } = addon();
  return readClock;
}

/** What ring.ts is the face of. @throws NativeError: native-missing */
export function ringCalls(): RingCalls {
  return addon();
}

export function connectionCalls(): ConnectionCalls {
  return addon();
}

/** Bytes of one slot for packets of which `copyBytes` are copied; whole cache lines. */
export function slotBytesFor(copyBytes: number): number {
  return (copyBytes + attributeRoomBytes + 63) & ~63;
}

const { errno } = constants;
const steps = ['', 'opening a netlink socket', 'setting up the netlink socket', 'binding the queue'];
const stepSocket = 1;
const stepConfigure = 3;

export function errnoName(error: number): string {
  return Object.entries(errno).find(([, number]) => number === error)?.[0] ?? `errno ${error}`;
}

/**
 * Binds a queue and registers the arrays.
 * @throws NativeError
 */
export function openQueue(
  options: QueueOptions,
  arrays: QueueArrays,
): { handle: QueueHandle; info: QueueInfo } {
  const result: OpenResult = { error: 0, step: 0, failOpen: 0, gso: 0, receiveBufferBytes: 0, portId: 0 };
  const handle = addon().open(options, arrays, result);
  if (handle === undefined) throw openError(options.queue, result);
  const { receiveBufferBytes, portId } = result;
  return {
    handle,
    info: { failOpen: result.failOpen !== 0, gso: result.gso !== 0, receiveBufferBytes, portId },
  };
}

function openError(queue: number, { error, step }: OpenResult): NativeError {
  const what = `queue ${queue}: ${steps[step] ?? 'opening'} failed with ${errnoName(error)}`;
  if (step === stepConfigure && (error === errno.EPERM || error === errno.EBUSY)) {
    // The kernel says EPERM both to a process without the right and about a queue that another process has bound.
    const portId = mayAdministerNetwork() ? queueOwnerPort(queue) : null;
    if (portId !== null) {
      const owner = processOfPort(portId);
      return new NativeError(
        'queue-busy',
        `queue ${queue} is in use by ${owner}: stop it, or choose another queue number`,
      );
    }
  }
  if (error === errno.EPERM || error === errno.EACCES) {
    return new NativeError(
      'queue-permission',
      `${what}: run as root, or with CAP_NET_ADMIN in this network namespace (AmbientCapabilities=CAP_NET_ADMIN in a systemd unit)`,
    );
  }
  const noFamily = step === stepSocket && (error === errno.EPROTONOSUPPORT || error === errno.EAFNOSUPPORT);
  if (noFamily || (step === stepConfigure && (error === errno.EINVAL || error === errno.EOPNOTSUPP))) {
    return new NativeError(
      'queue-unsupported',
      `${what}: this kernel has no NFQUEUE; load it with \`modprobe nfnetlink_queue\`, or use a kernel with CONFIG_NETFILTER_NETLINK_QUEUE`,
    );
  }
  return new NativeError('queue-failed', what);
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Whether this process has CAP_NET_ADMIN (bit 12 of its effective capabilities). */
function mayAdministerNetwork(): boolean {
  const line = linesOf('/proc/self/status').find((text) => text.startsWith('CapEff:'));
  return line === undefined || (Number.parseInt(line.slice(-4), 16) & (1 << 12)) !== 0;
}

/**
 * Netlink port that has bound a queue of this network namespace, or null. The first fields are queue number and port.
 */
export function queueOwnerPort(queue: number): number | null {
  for (const line of linesOf('/proc/net/netfilter/nfnetlink_queue')) {
    const [number, portId] = line.trim().split(/\s+/).map(Number);
    if (number === queue && portId !== undefined) return portId;
  }
  return null;
}

/** "process 123 (command)" for a netlink port of this network namespace; another process may have gone meanwhile. */
function processOfPort(portId: number): string {
  const netfilterProtocol = '12';
  // Columns: sk, Eth (protocol), Pid (port), Groups, Rmem, Wmem, Dump, Locks, Drops, Inode.
  const row = linesOf('/proc/net/netlink')
    .map((line) => line.trim().split(/\s+/))
    .find((fields) => fields[1] === netfilterProtocol && fields[2] === String(portId));
  const inode = row?.[9];
  const pid = inode === undefined ? null : processOfSocket(inode);
  if (pid === null) return `another process (netlink port ${portId}, not visible from here)`;
  const command = linesOf(`/proc/${pid}/cmdline`)[0]?.split('\0').filter(Boolean).join(' ') ?? '';
  return `process ${pid} (${command.slice(0, 200)})`;
}

function processOfSocket(inode: string): string | null {
  const wanted = `socket:[${inode}]`;
  const numbers = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return numbers.find((pid) => descriptorsOf(pid).includes(wanted)) ?? null;
}

/** What the descriptors of a process point to; nothing for a process that is not ours to look at, or has ended. */
function descriptorsOf(pid: string): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).map((name) => linkOf(`${folder}/${name}`));
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

/** Bytes of each packet to copy from now on; at most what the slots were made for. */
export function setCopyRange(handle: QueueHandle, copyBytes: number): void {
  const error = -addon().setCopyRange(handle, copyBytes);
  if (error === 0) return;
  throw new NativeError(
    'queue-failed',
    `copying ${copyBytes} bytes per packet was refused with ${errnoName(error)}: it must be ${copyBytesLowest} or more, and at most what the queue was opened for`,
  );
}

/** The error that a negative result of `receive` or `settle` stands for. */
export function queueError(queue: number, doing: string, result: number): NativeError {
  return new NativeError('queue-failed', `queue ${queue}: ${doing} failed with ${errnoName(-result)}`);
}

/** Kernel id of the calling thread, as in `ps -L` and /proc/PID/task. */
export function threadId(): number {
  return addon().threadId();
}

/** Confines the calling thread to these processors. */
export function setAffinity(processors: readonly number[]): void {
  const error = -addon().setAffinity(Uint32Array.from(processors));
  if (error === 0) return;
  throw new NativeError(
    'affinity-refused',
    `processors ${processors.join(',')} refused with ${errnoName(error)}: name at least one that this process may use (taskset -p ${process.pid})`,
  );
}

/** Processors that the calling thread may run on. */
export function getAffinity(): number[] {
  const processors = addon().getAffinity();
  if (typeof processors !== 'number') return processors;
  throw new NativeError(
    'affinity-refused',
    `asking for the processors failed with ${errnoName(-processors)}`,
  );
}

/**
 * From here on a terminal does not stop this process for writing to it from the background (SIGTTOU, SIGTTIN are ignored).
 * A handler would not do: the kernel begins such a write again after it, for ever. Programs started later are as usual.
 */
export function ignoreTerminalStops(): void {
  const error = -addon().ignoreTerminalStops();
  if (error !== 0) throw new NativeError('signal-refused', `SIGTTOU: ${errnoName(error)}`);
}

/** Name of the calling thread in `ps -L` and `top -H`; the kernel keeps the first 15 bytes. */
export function setThreadName(name: string): void {
  const error = -addon().setThreadName(name);
  if (error !== 0) throw new NativeError('thread-name-refused', `${name}: ${errnoName(error)}`);
}

/**
 * Tells systemd something (sd_notify: `READY=1`, `WATCHDOG=1`, `STATUS=...`). False when nobody asked for it.
 * @throws NativeError if $NOTIFY_SOCKET is set and cannot be written to
 */
export function notify(text: string): boolean {
  const path = process.env['NOTIFY_SOCKET'];
  if (path === undefined || path === '') return false;
  const error = -addon().notify(path, text);
  if (error === 0) return true;
  throw new NativeError(
    'notify-failed',
    `NOTIFY_SOCKET ${path} could not be written to: ${errnoName(error)}`,
  );
}
