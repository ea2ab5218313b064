/**
 * An interface watched through npm's `cap` (libpcap), where there is no ring. `cap` runs in a process of its own
 * (cap-child.ts says why); its packets arrive through a pipe, in batches. It tells neither drops nor the length of what
 * exceeds 65,535 bytes.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { linkEthernet, linkLinuxSll, linkRadiotap, linkRaw } from '../wire/link.js';
import type { CapPlan } from './cap-capture.js';
import type { CapWord } from './cap-child.js';
import { RecordReader } from './cap-records.js';
import { interfaceIndex } from './interfaces.js';
import {
  descriptorsMissing,
  interfaceDown,
  interfaceGone,
  interfaceMissing,
  permissionMissing,
  unsupportedLink,
} from './live-errors.js';
import { type EventLiveSource, type LiveCounters, LiveSourceError, type LiveOptions } from './live-source.js';
import type { PacketBatch } from './packet-source.js';

/**
 * libpcap's buffer in the kernel. As `cap` sets it up, each packet takes 64 KiB of it however small it is (immediate mode
 * and interfaces that hand over large packets): 1,024 packets, 98 % captured at 100 thousand per second on a busy machine
 * where 16 MiB captured 75 %.
 */
const bufferBytes = 64 * 1024 * 1024;
/** The child's words on standard error are kept to this length: libpcap writes one line per opening. */
const wordsBytesMax = 2000;
/** Node starts within 0.1 s; a machine that swaps may take long. */
const startTimeoutMillis = 20_000;

/** `cap`'s names of what it calls link types. */
const linkTypes: ReadonlyMap<string, number> = new Map([
  ['ETHERNET', linkEthernet],
  ['RAW', linkRaw],
  ['LINKTYPE_LINUX_SLL', linkLinuxSll],
  ['IEEE802_11_RADIO', linkRadiotap],
]);

const howToInstall =
  'install libpcap-dev, g++, make and python3, then run deploy/npm-ci in the folder of Swarmgate';

/** Null if the package is there and built, else the sentence that says what to do. */
export function capPackageProblem(): string | null {
  try {
    const main = createRequire(import.meta.url).resolve('cap');
    const built = join(dirname(main), '..', 'build', 'Release', 'cap.node');
    return existsSync(built) ? null : `the npm package cap is not built: ${howToInstall}`;
  } catch {
    return `the npm package cap is not installed: ${howToInstall}`;
  }
}

function attribute(name: string, what: string): string {
  try {
    return readFileSync(`/sys/class/net/${name}/${what}`, 'utf8').trim();
  } catch {
    return '';
  }
}

/** IFF_UP, linux/if.h. */
function isUp(name: string): boolean {
  return (Number.parseInt(attribute(name, 'flags'), 16) & 1) !== 0;
}

function addressOf(name: string): number[] {
  return attribute(name, 'address')
    .split(':')
    .map((digits) => Number.parseInt(digits, 16));
}

interface Opened {
  readonly index: number;
  readonly linkType: number;
}

export class CapSource implements EventLiveSource {
  readonly kind = 'cap';
  readonly name: string;
  readonly index: number;
  readonly linkType: number;
  readonly batch: PacketBatch;
  readonly counters: LiveCounters = { captured: 0, kernelDropped: -1 };
  signs = 0;
  readonly #child: ChildProcess;
  readonly #packets: Readable;
  readonly #words: () => string;
  readonly #reader: RecordReader;
  #closed = false;

  /** Use openCapSource. */
  constructor(options: LiveOptions, { index, linkType }: Opened, child: ChildProcess, words: () => string) {
    this.name = options.interface;
    this.index = index;
    this.linkType = linkType;
    this.#reader = new RecordReader(options.batchPackets, linkType);
    this.batch = this.#reader.batch;
    this.#child = child;
    this.#packets = packetsOf(child);
    this.#words = words;
    child.on('message', () => this.signs++);
  }

  start(onBatch: () => void, onEnd: (error: LiveSourceError) => void): void {
    const deliver = (): boolean => {
      this.counters.captured += this.batch.count;
      onBatch();
      return !this.#closed;
    };
    const end = (error: () => LiveSourceError): void => {
      if (this.#closed) return;
      this.close();
      onEnd(error());
    };
    this.#packets.on('data', (chunk: Buffer) => {
      this.signs++;
      if (this.#closed || this.#reader.read(chunk, deliver)) return;
      end(() => this.#ended('it sent something else than packets'));
    });
    // When the pipe is closed its last packets were read: that is later than the end of the process.
    const onPipeClosed = (): void => {
      end(() => this.#goneOrEnded());
    };
    this.#packets.on('close', onPipeClosed);
    if (this.#packets.closed) onPipeClosed();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.batch.count = 0;
    stop(this.#child);
  }

  #goneOrEnded(): LiveSourceError {
    const there = interfaceIndex(this.name) === this.index && isUp(this.name);
    return there ? this.#ended(this.#words()) : interfaceGone(this.name, this.index);
  }

  #ended(said: string): LiveSourceError {
    return new LiveSourceError(
      'capture-failed',
      `the process that ran cap on ${this.name} ended (${said}): watch the interface anew, or with --source ring`,
    );
  }
}

function packetsOf(child: ChildProcess): Readable {
  return child.stdio[3] as Readable;
}

/** Ends the process whatever it is doing; its pipe first, so that it cannot wait for us to read. */
function stop(child: ChildProcess): void {
  packetsOf(child).destroy();
  child.kill('SIGKILL');
  if (child.connected) child.disconnect();
}

/** @throws LiveSourceError when the process cannot be started */
async function startChild(plan: CapPlan): Promise<{ child: ChildProcess; words: () => string }> {
  const program = fileURLToPath(new URL('cap-child.js', import.meta.url));
  const child = fork(program, [JSON.stringify(plan)], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [],
    // Ctrl-Z on our terminal is answered by us, and is not to halt the capture.
    detached: true,
  });
  // Where descriptors ran out there are no pipes to look at.
  if (child.pid === undefined) throw await notStarted(child, plan.interface);
  let text = '';
  child.stderr!.setEncoding('utf8').on('data', (part: string) => {
    text = (text + part).slice(-wordsBytesMax);
  });
  // What fails here fails with the process, and its end is what counts.
  for (const part of [child, packetsOf(child), child.stderr!]) part.on('error', () => undefined);
  return { child, words: () => text.trim().split('\n').at(-1) ?? '' };
}

async function notStarted(child: ChildProcess, name: string): Promise<LiveSourceError> {
  const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
  if (error.code === 'EMFILE' || error.code === 'ENFILE') return descriptorsMissing(name, error.code);
  return new LiveSourceError(
    'capture-failed',
    `the process that runs cap on ${name} did not start (${error.message}): see that the limits of processes and memory leave room, or watch with --source ring`,
  );
}

/** The child's one word, or what became of it instead. */
async function firstWord(child: ChildProcess, words: () => string): Promise<CapWord> {
  const ended = once(child, 'exit').then((): CapWord => ({ refused: 'open', said: words() }));
  const said = once(child, 'message').then(([word]) => word as CapWord);
  const late = AbortSignal.timeout(startTimeoutMillis);
  const tooLate = once(late, 'abort').then((): CapWord => ({ refused: 'open', said: 'no answer' }));
  try {
    return await Promise.race([said, ended, tooLate]);
  } catch (error) {
    // What came through the channel was no word.
    return { refused: 'open', said: String(error) };
  }
}

/** @throws LiveSourceError */
export async function openCapSource(options: LiveOptions): Promise<CapSource> {
  const problem = capPackageProblem();
  if (problem !== null) throw new LiveSourceError('source-missing', problem);
  const name = options.interface;
  const index = interfaceIndex(name);
  if (index === null) throw interfaceMissing(name);
  if (!isUp(name)) throw interfaceDown(name);
  const address = addressOf(name);
  const ethernet = address.length === 6 && address.some((byte) => byte !== 0);
  const { filter, snapBytes, promiscuous } = options;
  const onlyAddress = promiscuous || !ethernet ? null : address;
  const plan: CapPlan = { interface: name, filter, snapBytes, onlyAddress, bufferBytes };
  const { child, words } = await startChild(plan);
  const word = await firstWord(child, words);
  const linkType = 'link' in word ? linkTypes.get(word.link) : undefined;
  if (linkType !== undefined) return new CapSource(options, { index, linkType }, child, words);
  stop(child);
  throw 'link' in word ? unsupportedLink(name, word.link) : refused(options, word.refused, word.said);
}

function refused(options: LiveOptions, what: 'load' | 'filter' | 'open', said: string): LiveSourceError {
  const name = options.interface;
  if (what === 'load') {
    return new LiveSourceError(
      'source-missing',
      `the npm package cap does not load (${said}): ${howToInstall}`,
    );
  }
  if (what === 'filter') {
    return new LiveSourceError(
      'bad-filter',
      `filter "${options.filter}" on ${name}: ${said} (the language is that of pcap-filter(7))`,
    );
  }
  if (/permi(t|ss)/i.test(said)) return permissionMissing(name);
  return new LiveSourceError('capture-failed', `libpcap does not capture on ${name}: ${said}`);
}
