/** The output formats of `swarmgate scan --format`. */
import { csv } from './csv.js';
import { eve } from './eve.js';
import { html } from './html.js';
import { json } from './json.js';
import { jsonl } from './jsonl.js';
import type { ReportFactory } from './report.js';
import { table } from './table.js';

export type FormatName = 'table' | 'json' | 'jsonl' | 'csv' | 'eve' | 'html';

export const formats: Readonly<Record<FormatName, ReportFactory>> = { table, json, jsonl, csv, eve, html };
