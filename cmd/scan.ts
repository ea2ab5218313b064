/** `swarmgate scan`: capture files in, explained verdicts on every flow out. */
import type { Argv, CommandModule } from 'yargs';
import { formats, type FormatName } from '../lib/report/index.js';
import { flowsMaxDefault, flowsMaxHighest, flowsMaxLowest } from '../lib/limits.js';
import { Log, logLevels, type LogLevel } from '../lib/report/log.js';
import { Progress } from '../lib/report/progress.js';
import { version } from '../lib/version.js';
import { exitFound, exitIncomplete, exitOk, UserError } from './errors.js';
import { listInputs, refuseRepeated, unprotectDash } from './inputs.js';
import { ReportOutput } from './output.js';
import { Scanner } from './scanner.js';

interface ScanArguments {
  files: string[];
  format: FormatName;
  output: string | undefined;
  continuous: boolean;
  exitCode: boolean;
  flowsMax: number;
  progress: boolean;
  logLevel: LogLevel;
}

function build(yargs: Argv): Argv<ScanArguments> {
  // yargs types options by the names given here; at run time the camel-case names of ScanArguments exist as well.
  return yargs
    .positional('files', {
      describe: 'capture files (pcap, pcapng, either in gzip), folders of them, or - for standard input',
      type: 'string',
      array: true,
      demandOption: true,
      coerce: (files: string[]) => files.map(unprotectDash),
    })
    .option('format', {
      alias: 'f',
      describe: 'what to print',
      choices: Object.keys(formats) as FormatName[],
      default: 'table',
    })
    .option('output', {
      alias: 'o',
      describe: 'write the report to this file',
      type: 'string',
      requiresArg: true,
    })
    .option('continuous', {
      describe: 'the files are one recording cut in pieces: flows go on from file to file',
      type: 'boolean',
      default: false,
    })
    .option('exit-code', {
      describe: 'exit with 10 if BitTorrent was found',
      type: 'boolean',
      default: false,
    })
    .option('flows-max', {
      describe: `flows watched at once, ${flowsMaxLowest} to ${flowsMaxHighest}; about 250 bytes each`,
      type: 'number',
      default: flowsMaxDefault,
      requiresArg: true,
    })
    .option('progress', {
      describe: 'progress line on a terminal (--no-progress: none)',
      type: 'boolean',
      default: true,
    })
    .option('log-level', {
      choices: logLevels,
      default: 'warn',
      describe: 'how much to log to stderr',
    })
    .check((options) => {
      refuseRepeated(options, ['format', 'output', 'flows-max', 'log-level']);
      const flowsMax = options['flows-max'];
      if (Number.isInteger(flowsMax) && flowsMax >= flowsMaxLowest && flowsMax <= flowsMaxHighest)
        return true;
      throw new UserError(
        'bad-argument',
        `--flows-max: a whole number from ${flowsMaxLowest} to ${flowsMaxHighest}`,
      );
    })
    .example('$0 scan capture.pcap', 'is there BitTorrent in it, whose, and how sure')
    .example('tcpdump -w - | $0 scan -', 'the same for what tcpdump writes')
    .example(
      '$0 scan --format html -o report.html captures/',
      'one page about a folder of captures',
    ) as unknown as Argv<ScanArguments>;
}

async function run(options: ScanArguments): Promise<number> {
  const log = new Log(options.logLevel);
  const inputs = listInputs(options.files);
  if (inputs.length === 0) throw new UserError('no-input', 'no files in the given folders', exitIncomplete);
  const output =
    options.output === undefined ? ReportOutput.standard() : await ReportOutput.file(options.output);
  const toTerminal = options.output === undefined && process.stdout.isTTY;
  const writer = formats[options.format](output, {
    colour: toTerminal && (process.env['NO_COLOR'] ?? '') === '',
    columns: toTerminal ? process.stdout.columns : 100,
    version,
  });
  const progress = new Progress(process.stderr, {
    enabled: options.progress && process.stderr.isTTY,
    columns: process.stderr.columns,
  });
  const scanner = new Scanner({
    continuous: options.continuous,
    flowsMax: options.flowsMax,
    onFlow: (flow) => {
      writer.flow(flow);
    },
    onWarning: ({ message, code }) => {
      progress.finish();
      log.warn(message, code);
    },
    onBlock: (source, packets) => {
      progress.update(source.bytesRead, source.bytesTotal, packets, source.name);
      return output.drain();
    },
    onEnded: () => output.drain(),
    stopped: () => output.readerGone,
  });
  try {
    await scanner.run(inputs);
    progress.finish();
    const summary = scanner.summary();
    log.info(
      `${summary.packets} packets of ${summary.files} files in ${summary.elapsedSeconds.toFixed(2)} s`,
    );
    writer.end(summary);
    await output.close();
    if (options.exitCode && summary.flowsByVerdict.bittorrent > 0) return exitFound;
    return scanner.incomplete > 0 ? exitIncomplete : exitOk;
  } catch (error) {
    progress.finish();
    output.abandon();
    throw error;
  }
}

export const scanCommand: CommandModule<object, ScanArguments> = {
  command: 'scan <files..>',
  describe: 'tell which flows of capture files are BitTorrent, of which kind, how sure, and why',
  builder: build,
  handler: async (options) => {
    process.exitCode = await run(options);
  },
};
