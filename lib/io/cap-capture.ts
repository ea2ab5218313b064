/** What becomes of each packet that `cap` hands over, in the process that runs it (cap-child.ts). */
import { capBytesMax, RecordWriter } from './cap-records.js';

export interface CapPlan {
  readonly interface: string;
  readonly filter: string;
  readonly snapBytes: number;
  /** The interface's own address when packets for others are not wanted, else null: `cap` is always promiscuous. */
  readonly onlyAddress: readonly number[] | null;
  /** libpcap's buffer in the kernel. */
  readonly bufferBytes: number;
}

/** What the capture needs of its process. */
export interface CapHost {
  send(bytes: Uint8Array): void;
  /** Microseconds since 1970. */
  now(): number;
  /** Called now and then, also while no packet is wanted: a turn that does not end sees no event. */
  look(): void;
}

/** Sent without waiting for the end of the event loop's turn, which under load does not come: what one read takes. */
const sendBytes = 64 * 1024;
/** In such a turn the packets that come by, wanted or not, are the only clock. */
const lookPackets = 256;
/** Longer than this no packet waits for others: it is also how far a time stamp can be off. */
const heldMicrosMax = 10_000;

/** Microseconds since 1970 that never go back and follow the wall clock when that has jumped ahead (a late NTP). */
export class Clock {
  #origin = performance.timeOrigin;

  now(): number {
    const wall = Date.now();
    const steady = performance.now();
    if (wall - this.#origin - steady > 2000) this.#origin = wall - steady;
    return Math.round((this.#origin + steady) * 1000);
  }
}

/** Whether a frame is from or for this station or for a group: what an interface hands up without promiscuity. */
function concerns(frame: Uint8Array, address: readonly number[]): boolean {
  if ((frame[0]! & 1) !== 0) return true;
  let to = true;
  let from = true;
  for (let i = 0; i < 6; i++) {
    to &&= frame[i] === address[i];
    from &&= frame[6 + i] === address[i];
  }
  return to || from;
}

export class CapCapture {
  readonly #plan: CapPlan;
  readonly #writer = new RecordWriter();
  readonly #host: CapHost;
  readonly #frame: Uint8Array;
  /** `cap` keeps the bare address of this buffer: it must live as long as the process, and not in Node's pool. */
  readonly buffer: Buffer;
  #time = 0;
  #armed = false;
  #unseen = 0;

  constructor(plan: CapPlan, host: CapHost) {
    this.#plan = plan;
    this.#host = host;
    this.buffer = Buffer.from(this.#writer.memory, 0, capBytesMax + 1);
    this.#frame = new Uint8Array(this.#writer.memory, 0, capBytesMax + 1);
  }

  /** One packet is at the beginning of the buffer. */
  onPacket(bytes: number): void {
    if (++this.#unseen >= lookPackets) this.#look();
    const { onlyAddress, snapBytes } = this.#plan;
    if (onlyAddress !== null && !concerns(this.#frame, onlyAddress)) return;
    const captured = Math.min(bytes, snapBytes);
    if (!this.#writer.fits(captured)) this.#flush();
    // One reading of the clock for a batch: `cap` tells no time, and hands over what has waited for us in one go.
    if (this.#writer.count === 0) this.#time = this.#host.now();
    this.#writer.add(captured, bytes, this.#time);
    if (this.#writer.bytes >= sendBytes) this.#flush();
    else this.#arm();
  }

  #look(): void {
    this.#unseen = 0;
    this.#host.look();
    if (this.#writer.count > 0 && this.#host.now() - this.#time > heldMicrosMax) this.#flush();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#onTurn);
  }

  readonly #onTurn = (): void => {
    this.#armed = false;
    if (this.#writer.count > 0) this.#flush();
  };

  #flush(): void {
    this.#host.send(this.#writer.take());
  }
}
