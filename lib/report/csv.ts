/** RFC 4180: a header, then one row per flow. Lists are joined, because a cell holds one value. */
import { csvCell } from './escape.js';
import { endpointText } from './format.js';
import type { EvidenceReport, FlowReport, ReportFactory } from './report.js';

type Cell = string | number | null | undefined;

const columns: readonly (readonly [name: string, cell: (flow: FlowReport) => Cell])[] = [
  ['file', (f) => f.file],
  ['flow_id', (f) => f.flow_id],
  ['proto', (f) => f.proto],
  ['client', (f) => f.client],
  ['client_port', (f) => f.client_port],
  ['server', (f) => f.server],
  ['server_port', (f) => f.server_port],
  [
    'outer',
    (f) => f.outer && `${endpointText(f.outer[0], f.outer[1])} ${endpointText(f.outer[2], f.outer[3])}`,
  ],
  ['tunnel', (f) => f.tunnel],
  ['first_packet', (f) => f.first_packet],
  ['packets', (f) => f.packets],
  ['bytes', (f) => f.bytes],
  ['packets_to_server', (f) => f.packets_to_server],
  ['packets_to_client', (f) => f.packets_to_client],
  ['bytes_to_server', (f) => f.bytes_to_server],
  ['bytes_to_client', (f) => f.bytes_to_client],
  ['first_seen', (f) => f.first_seen],
  ['last_seen', (f) => f.last_seen],
  ['verdict', (f) => f.verdict],
  ['reason', (f) => f.reason],
  ['kind', (f) => f.kind],
  ['confidence', (f) => f.confidence],
  ['protocol', (f) => f.protocol],
  ['decided_packet', (f) => f.decided_packet],
  ['decided_frame', (f) => f.decided_frame],
  ['payload_bytes_before_decision', (f) => f.payload_bytes_before_decision],
  ['evidence', (f) => f.evidence.map(evidenceText).join(' | ')],
  ['near_misses', (f) => f.near_misses.map(evidenceText).join(' | ')],
  ['info_hashes', (f) => f.info_hashes.join(' ')],
  ['client_software', (f) => f.client_software.join(' | ')],
];

function evidenceText(item: EvidenceReport): string {
  return `${item.detector} (${item.confidence}) frame ${item.frame}: ${item.finding}`;
}

export const csv: ReportFactory = (output) => {
  output.write(`${columns.map(([name]) => name).join(',')}\r\n`);
  return {
    flow(flow) {
      const record = flow.report();
      output.write(`${columns.map(([, cell]) => csvCell(cell(record))).join(',')}\r\n`);
    },
    end() {
      // Nothing is held back: every flow was written when it ended.
    },
  };
};
