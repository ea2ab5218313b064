/** What `swarmgate check` does. Apart from the command, which is loaded with every start and must not load YAML. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { commandLine, ConfigError, wantsNames, type ConfigProblem } from '../lib/config/config.js';
import { fileFrom, flagsFrom } from '../lib/config/flags.js';
import { readConfig, valueIn, type LoadedConfig } from '../lib/config/load.js';
import { effectiveFile, valueText } from '../lib/config/render.js';
import { settingAt } from '../lib/config/schema.js';
import { filterProblem } from '../lib/native/ring.js';
import { printableLines } from '../lib/report/escape.js';
import { exitConfig, exitUsage, UserError } from './errors.js';

/** The configuration that the command line asks for. @throws ConfigError, UserError */
export function configFrom(argv: Readonly<Record<string, unknown>>): LoadedConfig {
  let file: string | null;
  try {
    file = fileFrom(argv);
  } catch (error) {
    throw error instanceof RangeError ? new UserError('bad-argument', error.message) : error;
  }
  return readConfig({ file, env: process.env, flags: flagsFrom(argv) });
}

/** "config.yaml:3: queue.first: what is wrong" */
export function problemText({ source, line, path, message }: ConfigProblem): string {
  const place = line === null ? source : `${source}:${line}`;
  return printableLines(path === '' ? `${place}: ${message}` : `${place}: ${path}: ${message}`);
}

/** The settings that differ from their defaults, one a line, with where each was set. */
function changedText({ config, origins }: LoadedConfig): string[] {
  return [...origins].flatMap(([path, { source, line }]) => {
    const setting = settingAt.get(path)!;
    const text = valueText(setting, valueIn(config, path));
    const place = line === null ? source : `${source}:${line}`;
    return text === valueText(setting, setting.default) ? [] : [`  ${path}: ${text}  (${place})`];
  });
}

function report(loaded: LoadedConfig): string {
  const changed = changedText(loaded);
  const said = changed.length === 0 ? ['  every setting is at its default'] : changed;
  const { config } = loaded;
  const lists = wantsNames(config) ? [`  names: ${config.names.listed.length} on the lists`] : [];
  return [`ok: ${loaded.file ?? 'no configuration file'}`, ...said, ...lists].join('\n');
}

function problemAt({ origins }: LoadedConfig, path: string, message: string): ConfigProblem {
  const { source, line } = origins.get(path) ?? { source: commandLine, line: null };
  return { source, line, path, message };
}

/** What libpcap says of the filter: only a slip of syntax is wrong on every machine. @throws ConfigError */
function filterWarnings(loaded: LoadedConfig): ConfigProblem[] {
  const { filter } = loaded.config.capture;
  const said = filter === '' ? null : filterProblem(filter);
  if (said === null) return [];
  const problem = problemAt(loaded, 'capture.filter', `${said} (the language is that of pcap-filter(7))`);
  if (said.includes('syntax error')) throw new ConfigError([problem]);
  return [problem];
}

/** The file may be meant for another machine. */
function folderWarnings(loaded: LoadedConfig): ConfigProblem[] {
  const { file } = loaded.config.eve;
  if (file === null || file === '-' || existsSync(dirname(file))) return [];
  return [problemAt(loaded, 'eve.file', `there is no folder ${dirname(file)} on this machine`)];
}

export function check(argv: Readonly<Record<string, unknown>>, print: boolean): void {
  try {
    const loaded = configFrom(argv);
    const warnings = [...loaded.warnings, ...filterWarnings(loaded), ...folderWarnings(loaded)];
    for (const warning of warnings) process.stderr.write(`warning: ${problemText(warning)}\n`);
    process.stdout.write(print ? effectiveFile(loaded.config) : `${report(loaded)}\n`);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const problem of error.problems) process.stderr.write(`${problemText(problem)}\n`);
    process.exitCode = error.isUsage ? exitUsage : exitConfig;
  }
}
