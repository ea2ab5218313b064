#!/usr/bin/env node
/** The program: runs the command line; errors are one sentence with a code, exit statuses are documented. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../lib/config/config.js';
import { printableLines } from '../lib/report/escape.js';
import { exitConfig, exitInternal, exitUnavailable, exitUsage, UserError } from './errors.js';
import { plainScan } from './plain-scan.js';
import { runScan } from './scan.js';

/** Runs the command line and returns when it is done; process.exitCode is set. */
export async function main(words: readonly string[]): Promise<void> {
  try {
    const plain = plainScan(words);
    // Everything that only yargs and the other commands need is loaded when they are needed.
    if (plain === null) await (await import('./command-line.js')).readAndRun(words);
    else process.exitCode = await runScan(plain);
  } catch (error) {
    tell(error);
  }
}

/** Says on standard error what went wrong, and sets the exit status. */
function tell(error: unknown): void {
  if (error instanceof UserError) {
    // The mark of protectWords may be in what yargs quotes.
    say(`swarmgate: ${error.message.replaceAll('\0', '')} [${error.code}]`);
    process.exitCode = error.exitCode;
    return;
  }
  if (error instanceof ConfigError) {
    for (const line of error.message.split('\n')) say(`swarmgate: ${line}`);
    process.exitCode = error.isUsage ? exitUsage : exitConfig;
    return;
  }
  const { code } = (error ?? {}) as { code?: unknown };
  if (code === 'EMFILE' || code === 'ENFILE') {
    say(
      `swarmgate: no file descriptor is left (${code}): raise the limit (ulimit -n, LimitNOFILE=) [descriptors]`,
    );
    process.exitCode = exitUnavailable;
    return;
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  say(`swarmgate: internal error: ${message.replaceAll('\n', ' ')}\n${stack ?? ''}`);
  process.exitCode = exitInternal;
}

/** Paths and words that an error quotes are another's to choose: none of them may steer a terminal. */
function say(text: string): void {
  process.stderr.write(`${printableLines(text)}\n`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // A standard error that takes nothing (a full disk, a pipe whose reader is gone) must not cost the report.
  process.stderr.on('error', () => undefined);
  process.on('uncaughtException', (error) => {
    tell(error);
    process.exit();
  });
  await main(process.argv.slice(2));
}
