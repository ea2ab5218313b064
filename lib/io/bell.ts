/**
 * A bell that wakes one sleeping thread: a futex word in shared memory. Many threads may ring, one listens. Ringing for
 * a thread that is awake costs one atomic load (10 ns; Atomics.notify would cost 30 even when nobody waits).
 *
 * No wake-up is lost. The listener writes "asleep" first and looks for work afterwards; a ringer writes its work first
 * and reads the word afterwards. All four are sequentially consistent, so they stand in one order: either the listener's
 * look comes after the work was written, and it finds it, or the ringer's read comes after "asleep" was written, and it
 * rings. A ring between the look and the wait changes the word, and Atomics.wait returns at once because of that.
 */
const awake = 0;
const asleep = 1;

/** Shared memory of one bell, to be handed to threads. */
export type BellMemory = SharedArrayBuffer;

export function makeBell(): BellMemory {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

export class Bell {
  readonly #word: Int32Array;

  constructor(memory: BellMemory) {
    this.#word = new Int32Array(memory);
  }

  /** Wakes the listener if it sleeps. What it is to find must have been published before. */
  ring(): void {
    const word = this.#word;
    if (Atomics.load(word, 0) !== asleep) return;
    // Of several ringers one makes the system call.
    if (Atomics.compareExchange(word, 0, asleep, awake) === asleep) Atomics.notify(word, 0, 1);
  }

  /**
   * Sleeps until it rings, or not at all when `hasWork` says so; may also wake up without a reason. False when the time
   * was over.
   */
  wait(hasWork: () => boolean, timeoutMillis: number): boolean {
    const word = this.#word;
    Atomics.store(word, 0, asleep);
    const isOver = !hasWork() && Atomics.wait(word, 0, asleep, timeoutMillis) === 'timed-out';
    Atomics.store(word, 0, awake);
    return !isOver;
  }
}
