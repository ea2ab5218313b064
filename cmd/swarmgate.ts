#!/usr/bin/env node
/** The command line: one command per file, errors as one sentence with a code, documented exit statuses. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { version } from '../lib/version.js';
import { exitInternal, exitUsage, UserError } from './errors.js';
import { protectWords } from './inputs.js';
import { ReportOutput } from './output.js';
import { plainScan } from './plain-scan.js';
import { runScan, scanCommand } from './scan.js';

const epilogue = `Exit status: 0 done, 1 something could not be read or written to its end, 2 wrong arguments,
10 BitTorrent was found and --exit-code was given, 70 a defect of swarmgate itself.`;

/** Runs the command line and returns when it is done; process.exitCode is set. */
export async function main(words: readonly string[]): Promise<void> {
  try {
    const plain = plainScan(words);
    if (plain === null) await readAndRun(words);
    else process.exitCode = await runScan(plain);
  } catch (error) {
    tell(error);
  }
}

/** Has yargs read the words and run the command. What only this needs is loaded here; see plain-scan.ts. */
async function readAndRun(words: readonly string[]): Promise<void> {
  const [{ default: yargs }, { detectorsCommand }, { explainCommand }] = await Promise.all([
    import('yargs'),
    import('./detectors.js'),
    import('./explain.js'),
  ]);
  const parser = yargs(protectWords(words))
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
  const printed = ReportOutput.watching();
  await parser.parseAsync();
  await printed.close();
}

/** Says on standard error what went wrong, and sets the exit status. */
function tell(error: unknown): void {
  if (error instanceof UserError) {
    // The mark of protectWords may be in what yargs quotes.
    process.stderr.write(`swarmgate: ${error.message.replaceAll('\0', '')} [${error.code}]\n`);
    process.exitCode = error.exitCode;
    return;
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  process.stderr.write(`swarmgate: internal error: ${message.replaceAll('\n', ' ')}\n${stack ?? ''}\n`);
  process.exitCode = exitInternal;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  process.on('uncaughtException', (error) => {
    tell(error);
    process.exit();
  });
  await main(process.argv.slice(2));
}
