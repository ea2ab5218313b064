/** What the scan says of a capture file, for tests that hold the live loops beside it. */
import type { FlowReport } from '../lib/report/report.js';
import { Scanner } from './scanner.js';

/** A flow by its ends and kind. */
export const endsAndKind = (flow: FlowReport): string =>
  `${flow.proto} ${flow.client}:${flow.client_port} ${flow.server}:${flow.server_port} ${flow.kind}`;

/** Of encrypted flows a scan finds more: it asks the memory once more when a flow ends. */
export const isPlain = (flow: string): boolean => !flow.endsWith(' encrypted');

/** The BitTorrent flows of a file, sorted. */
export async function scanned(path: string): Promise<string[]> {
  const found: string[] = [];
  const scanner = new Scanner({
    continuous: false,
    onFlow: (flow) => {
      if (flow.verdict === 'bittorrent') found.push(endsAndKind(flow.report()));
    },
  });
  await scanner.run([{ path, fromFolder: false }]);
  return found.sort();
}
