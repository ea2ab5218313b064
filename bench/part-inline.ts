/** Part `inline`: what the inline filter costs, as `make bench-queue` measures it. */
import { queueOutcome } from './nfqueue-report.js';
import { benchQueue } from './nfqueue-run.js';
import type { Context } from './context.js';
import type { Outcome } from './result.js';

export async function measureInline({ quick, repeat }: Context): Promise<Outcome> {
  // Two rounds say what three do, and this is half of the whole run; `make bench-queue` takes as many as it is told.
  const plan = { repeat: quick ? 1 : Math.min(repeat, 2), seconds: quick ? 1 : 2, only: null };
  return queueOutcome(await benchQueue(plan));
}
