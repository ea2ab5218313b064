/** The command line as yargs reads it, one command per file. The usual scan does without; see plain-scan.ts. */
import yargs from 'yargs';
import { version } from '../lib/version.js';
import { checkCommand } from './check.js';
import { detectorsCommand } from './detectors.js';
import { doctorCommand } from './doctor.js';
import { exitUsage, UserError } from './errors.js';
import { explainCommand } from './explain.js';
import { firewallCommand } from './firewall.js';
import { protectWords } from './inputs.js';
import { monitorCommand } from './monitor.js';
import { numaCommand } from './numa.js';
import { ReportOutput } from './output.js';
import { runCommand } from './run.js';
import { scanCommand } from './scan.js';
import { statusCommand } from './status.js';
import { topCommand } from './top.js';

const epilogue = `Exit status: 0 done, 1 something could not be read or written to its end, 2 wrong arguments,
10 BitTorrent was found and --exit-code was given, 69 the kernel or another program stands in the way,
70 a defect of swarmgate itself, 77 not permitted (needs root or CAP_NET_ADMIN), 78 the configuration is wrong.`;

const missingWord =
  'a file or another word is missing behind the command; an unknown option takes the word after it for its value';

/** Has yargs read the words and run the command. @throws UserError */
export async function readAndRun(words: readonly string[]): Promise<void> {
  const parser = yargs(protectWords(words))
    .scriptName('swarmgate')
    .usage('$0 <command>\n\nRecognises BitTorrent in network traffic and explains every verdict.')
    .command(runCommand)
    .command(monitorCommand)
    .command(scanCommand)
    .command(explainCommand)
    .command(statusCommand)
    .command(topCommand)
    .command(detectorsCommand)
    .command(firewallCommand)
    .command(checkCommand)
    .command(doctorCommand)
    .command(numaCommand)
    .demandCommand(1, 'a command is needed, e.g. swarmgate scan capture.pcap')
    .strict()
    .help()
    .alias('h', 'help')
    .version(version)
    .epilogue(epilogue)
    .wrap(process.stdout.isTTY ? Math.min(110, process.stdout.columns) : 100)
    .exitProcess(false)
    .check((argv) => {
      refuseValues(words, argv);
      return true;
    })
    .fail((message: string | null, error: Error | undefined) => {
      const why = message?.startsWith('Not enough non-option') === true ? missingWord : (message ?? '');
      throw error ?? new UserError('usage', `${why}; see swarmgate --help`, exitUsage);
    });
  const printed = ReportOutput.watching();
  try {
    await parser.parseAsync();
  } catch (error) {
    // yargs has an error of its own for an option without its value.
    if (!(error instanceof Error) || error.name !== 'YError') throw error;
    throw new UserError('usage', `${error.message}; see swarmgate --help`, exitUsage);
  }
  await printed.close();
}

/** yargs takes every value of a switch but "true" for false: `--exit-code=yes` would ask for the contrary. */
function refuseValues(words: readonly string[], argv: Readonly<Record<string, unknown>>): void {
  for (const word of words) {
    if (word === '--') return;
    const [, name, value] = /^--([^=]+)=(.*)$/s.exec(word) ?? [];
    if (name === undefined || typeof argv[name] !== 'boolean' || value === 'true' || value === 'false')
      continue;
    throw new UserError('bad-argument', `--${name} takes no value; leave out "=${value!}"`, exitUsage);
  }
}
