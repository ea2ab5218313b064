/**
 * The page of `top`: rates between two polls, and what is shown while nobody answers. A daemon that was restarted
 * begins to count anew, so its first page shows the rates that it gives itself.
 */
import { perSecond } from './status-builder.js';
import { renderStatus, type StatusViewOptions } from './status-view.js';
import type { StatusReport } from './status.js';
import { printable } from './escape.js';
import { wrap } from './text-table.js';

interface Poll {
  readonly status: StatusReport;
  readonly millis: number;
}

export class TopPage {
  #last: Poll | null = null;

  /** @param millis a clock that only grows */
  status(status: StatusReport, millis: number, options: StatusViewOptions): string {
    const before = this.#last;
    this.#last = { status, millis };
    return renderStatus(before === null ? status : withRates(before, { status, millis }), options);
  }

  /** Instead of a status: why there is none. */
  waiting(why: string, { width }: StatusViewOptions): string {
    this.#last = null;
    return `${wrap(`Waiting. ${printable(why, 1000)}`, Math.max(1, width))}\n`;
  }
}

function withRates(before: Poll, now: Poll): StatusReport {
  const { pid, started, packets, bytes } = before.status;
  if (pid !== now.status.pid || started !== now.status.started) return now.status;
  const seconds = (now.millis - before.millis) / 1000;
  return {
    ...now.status,
    packets_per_second: perSecond(now.status.packets - packets, seconds),
    bits_per_second: perSecond(8 * (now.status.bytes - bytes), seconds),
  };
}

const escape = '\x1b[';
/** Alternate screen, no cursor, no line wrap; and back. */
export const enterScreen = `${escape}?1049h${escape}?25l${escape}?7l`;
export const leaveScreen = `${escape}?7h${escape}?25h${escape}?1049l`;

/** A page as what draws it in place: each line over the old one, the rest of the screen empty. */
export function drawing(page: string, height: number): string {
  const lines = page.trimEnd().split('\n').slice(0, Math.max(1, height));
  return `${escape}H${lines.map((line) => `${line}${escape}K`).join('\r\n')}${escape}J`;
}
