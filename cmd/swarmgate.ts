#!/usr/bin/env node
/** The command line: one command per file, errors as one sentence with a code, documented exit statuses. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { version } from '../lib/version.js';
import { detectorsCommand } from './detectors.js';
import { exitUsage, UserError } from './errors.js';
import { explainCommand } from './explain.js';
import { protectDash } from './inputs.js';
import { scanCommand } from './scan.js';

const epilogue = `Exit status: 0 done, 1 something could not be read or written to its end, 2 wrong arguments,
10 BitTorrent was found and --exit-code was given.`;

/** Runs the command line and returns when it is done; process.exitCode is set. */
export async function main(words: readonly string[]): Promise<void> {
  const parser = yargs(protectDash(words))
    .scriptName('swarmgate')
    .usage('$0 <command>\n\nRecognises BitTorrent in network traffic and explains every verdict.')
    .command(scanCommand)
    .command(explainCommand)
    .command(detectorsCommand)
    .demandCommand(1, 'a command is needed, e.g. swarmgate scan capture.pcap')
    .strict()
    .help()
    .alias('h', 'help')
    .version(version)
    .epilogue(epilogue)
    .wrap(process.stdout.isTTY ? Math.min(110, process.stdout.columns) : 100)
    .exitProcess(false)
    .fail((message, error: Error | undefined) => {
      throw error ?? new UserError('usage', `${message}; see swarmgate --help`, exitUsage);
    });
  try {
    await parser.parseAsync();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    process.stderr.write(`swarmgate: ${error.message} [${error.code}]\n`);
    process.exitCode = error.exitCode;
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await main(hideBin(process.argv));
}
