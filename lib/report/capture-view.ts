/** What a monitor watches, in plain words: for the status page. */
import { bytesText, countText, plural } from './format.js';
import { printable } from './escape.js';
import type { PlainVerdict } from './status-view.js';
import type { CaptureReport, InterfaceReport } from './status.js';
import { textTable } from './text-table.js';

const named = ({ interface: name, source }: InterfaceReport): string => `${printable(name)} (${source})`;

/** What an administrator wants to know first. */
export function watchingVerdict({ interfaces }: CaptureReport, since: string): PlainVerdict {
  const watched = interfaces.filter(({ state }) => state === 'watching');
  const others = interfaces.filter(({ state }) => state !== 'watching');
  const missing = others.map(({ interface: name, state }) => `${printable(name)} (${state})`).join(', ');
  if (watched.length === 0)
    return { colour: '1;31', text: `NOT WORKING: no interface is watched now, ${missing}.` };
  const text = `Watching ${watched.map(named).join(', ')} ${since}: BitTorrent is reported, nothing is blocked.`;
  return others.length === 0
    ? { colour: '1;32', text }
    : { colour: '1;33', text: `${text} NOT WATCHED now: ${missing}.` };
}

/** The table of interfaces, and sentences about what is lost or wrong. */
export function captureView(
  { interfaces, ring_bytes, saved }: CaptureReport,
  width: number,
  dim: (text: string) => string,
): { lines: string[]; warnings: string[] } {
  const table = textTable(
    [
      { title: 'Interface' },
      { title: 'Source' },
      { title: 'State' },
      { title: 'Captured', right: true },
      { title: 'Dropped', right: true },
      { title: 'Skipped', right: true },
      { title: 'Restarts', right: true },
    ],
    interfaces.map((each) => [
      printable(each.interface),
      each.source,
      each.state,
      countText(each.captured),
      each.kernel_dropped === null ? '-' : countText(each.kernel_dropped),
      countText(each.skipped),
      countText(each.restarts),
    ]),
    width,
    dim,
  );
  const lines = table.flatMap((row) => row.split('\n'));
  if (saved !== null) {
    lines.push(
      `  saved      ${plural(saved.packets, 'packet')} in ${plural(saved.files, 'file')} ` +
        `(${bytesText(saved.bytes)}) below ${printable(saved.directory)}`,
    );
  }
  return { lines, warnings: warningsOf({ interfaces, ring_bytes, saved }) };
}

function warningsOf({ interfaces, ring_bytes, saved }: CaptureReport): string[] {
  const sum = (value: (each: InterfaceReport) => number): number =>
    interfaces.reduce((total, each) => total + value(each), 0);
  const dropped = sum((each) => each.kernel_dropped ?? 0);
  const skipped = sum((each) => each.skipped);
  const warnings = interfaces.flatMap(({ interface: name, problem }) =>
    problem === null ? [] : [`${printable(name)}: ${printable(problem)}`],
  );
  if (dropped > 0)
    warnings.push(`${plural(dropped, 'packet')} were dropped by the kernel: the capture was behind.`);
  if (skipped > 0) {
    warnings.push(
      `${plural(skipped, 'packet')} were skipped: the workers were behind, and the rings (${bytesText(ring_bytes)}) were full.`,
    );
  }
  if (saved !== null && saved.dropped > 0)
    warnings.push(`${plural(saved.dropped, 'packet')} of detected flows are in no file.`);
  if (saved !== null && saved.problem !== null) warnings.push(`Saving fails: ${printable(saved.problem)}`);
  return warnings;
}
