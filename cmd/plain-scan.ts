/**
 * The usual way to call a scan, understood without yargs: `scan FILE...`, with `--format NAME` and `-o FILE` where they
 * are wanted. Loading yargs and rendering its help text takes 70 ms, which is a tenth of the scan of 500 MB. Whatever is
 * not of this form (other options, `--`, a lone dash, a typing error) is left to yargs, and a test holds both to the same
 * answers.
 */
import { flowsMaxDefault } from '../lib/limits.js';
import { formats, type FormatName } from '../lib/report/index.js';
import type { EncryptedMode } from '../lib/engine/policy.js';
import type { LogLevel } from '../lib/report/log.js';
import { noNames, type NameArguments } from './name-flags.js';

export interface ScanArguments extends NameArguments {
  files: string[];
  format: FormatName;
  output: string | undefined;
  continuous: boolean;
  exitCode: boolean;
  flowsMax: number;
  progress: boolean;
  logLevel: LogLevel;
  encrypted: EncryptedMode;
  /** As `readWorkers` understands it. */
  workers: string;
}

/** What is not named on the command line. */
export const scanDefaults = {
  format: 'table',
  continuous: false,
  exitCode: false,
  flowsMax: flowsMaxDefault,
  progress: true,
  logLevel: 'warn',
  encrypted: 'corroborated',
  workers: 'auto',
  ...noNames,
} as const satisfies Partial<ScanArguments>;

/** The options of a scan of the usual form, or null: then yargs has to read the words. */
export function plainScan(words: readonly string[]): ScanArguments | null {
  if (words[0] !== 'scan') return null;
  const files: string[] = [];
  let format: FormatName | undefined;
  let output: string | undefined;
  for (let i = 1; i < words.length; i++) {
    const word = words[i]!;
    if (isPlain(word)) {
      files.push(word);
      continue;
    }
    const value = words[++i];
    if (value === undefined || !isPlain(value)) return null;
    if ((word === '--format' || word === '-f') && format === undefined && Object.hasOwn(formats, value))
      format = value as FormatName;
    else if ((word === '--output' || word === '-o') && output === undefined) output = value;
    else return null;
  }
  if (files.length === 0) return null;
  return { ...scanDefaults, files, format: format ?? scanDefaults.format, output };
}

/** A word that is no option, and that yargs takes as it stands: it strips quotation marks, and `help` asks for help. */
function isPlain(word: string): boolean {
  return word !== 'help' && /^[\w./][^'"\0]*$/.test(word);
}
