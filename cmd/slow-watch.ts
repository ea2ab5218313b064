/** Looks around once a minute, for what changes seldom and costs something to look at. */

export const slowWatchMillis = 60_000;
/** Who wiped rules may still be writing his own: looks after these pauses, each counted from the one before. */
const soonMillis: readonly number[] = [2000, 15_000];
/** Pause between two looks, in multiples of what the last one took: others may have a hundred thousand rules. */
const lookShare = 100;

export class SlowWatch {
  #timer: NodeJS.Timeout | undefined;
  /** Pauses before the next looks, where these are not to be the usual. */
  #soon: number[] = [];
  #stopped = false;
  #looking: Promise<void> = Promise.resolve();

  /** @param look never rejects */
  constructor(private readonly look: () => Promise<void>) {}

  start(millis = slowWatchMillis): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const began = performance.now();
      this.#looking = this.look().then(() => {
        this.start(this.#soon.shift() ?? Math.max(slowWatchMillis, lookShare * (performance.now() - began)));
      });
    }, millis);
    this.#timer.unref();
  }

  /** Something has changed: the next looks need not wait for their minute, nor for one that is under way. */
  soon(): void {
    this.#soon = [...soonMillis];
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.start(this.#soon.shift());
  }

  /** No look begins after this. Resolves when one that is under way has ended; who is in a hurry need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }
}
