/** Looks around once a minute, for what changes seldom and costs something to look at. */

export const slowWatchMillis = 60_000;
/** Who wiped rules may still be writing his own. */
const soonMillis = 2000;
/** Pause between two looks, in multiples of what the last one took: others may have a hundred thousand rules. */
const lookShare = 100;

export class SlowWatch {
  #timer: NodeJS.Timeout | undefined;
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
        this.start(Math.max(slowWatchMillis, lookShare * (performance.now() - began)));
      });
    }, millis);
    this.#timer.unref();
  }

  /** Something has changed: the next look need not wait for its minute. */
  soon(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.start(soonMillis);
  }

  /** No look begins after this. Resolves when one that is under way has ended; who is in a hurry need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }
}
