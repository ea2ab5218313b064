/** The output formats of `swarmgate scan --format`. A run needs one of them, so only that one is loaded. */
import type { ReportFactory } from './report.js';

export type FormatName = 'table' | 'json' | 'jsonl' | 'csv' | 'eve' | 'html';

export const formats: Readonly<Record<FormatName, () => Promise<ReportFactory>>> = {
  table: async () => (await import('./table.js')).table,
  json: async () => (await import('./json.js')).json,
  jsonl: async () => (await import('./jsonl.js')).jsonl,
  csv: async () => (await import('./csv.js')).csv,
  eve: async () => (await import('./eve.js')).eve,
  html: async () => (await import('./html.js')).html,
};
