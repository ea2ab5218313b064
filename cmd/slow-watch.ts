/** Looks around once a minute, for what changes seldom and costs something to look at. */

export const slowWatchMillis = 60_000;
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
      const began = performance.now();
      this.#looking = this.look().then(() => {
        this.start(Math.max(slowWatchMillis, lookShare * (performance.now() - began)));
      });
    }, millis);
    this.#timer.unref();
  }

  /** No look begins after this. Resolves when one that is under way has ended; who is in a hurry need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }
}
