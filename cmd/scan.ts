/** `swarmgate scan`: capture files in, explained verdicts on every flow out. */
import { fstatSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { Argv, CommandModule } from 'yargs';
import { registryWith } from '../detectors/index.js';
import { formats, type FormatName } from '../lib/report/index.js';
import { flowsMaxHighest, flowsMaxLowest } from '../lib/limits.js';
import { CaptureFileError, openCaptureFile } from '../lib/io/capture-file.js';
import { encryptedModes } from '../lib/engine/policy.js';
import type { EndedFlow, ReportWriter, WarningReport } from '../lib/report/report.js';
import { countText, plural } from '../lib/report/format.js';
import { Log, logLevels } from '../lib/report/log.js';
import { Progress, RunBytes } from '../lib/report/progress.js';
import { version } from '../lib/version.js';
import { exitFound, exitIncomplete, exitOk, UserError } from './errors.js';
import { listInputs, refuseRepeated, unprotectWord, type Input } from './inputs.js';
import { listedIn, nameFlags, nameWords } from './name-flags.js';
import { inputAt, onInterrupt, ReportOutput } from './output.js';
import { scanDefaults, type ScanArguments } from './plain-scan.js';
import { readWorkers, workersFor, workersMax } from './scan-plan.js';
import type { ScanPool } from './scan-pool.js';
import { Scanner } from './scanner.js';

function build(yargs: Argv): Argv<ScanArguments> {
  // yargs types options by the names given here; at run time the camel-case names of ScanArguments exist as well.
  return yargs
    .positional('files', {
      describe: 'capture files (pcap, pcapng, either in gzip), folders of them, or - for standard input',
      type: 'string',
      array: true,
      demandOption: true,
      coerce: (files: string[]) => files.map(unprotectWord),
    })
    .option('format', {
      alias: 'f',
      describe: 'what to print',
      choices: Object.keys(formats) as FormatName[],
      default: scanDefaults.format,
    })
    .option('output', {
      alias: 'o',
      describe: 'write the report to this file (-: standard output)',
      type: 'string',
      requiresArg: true,
      coerce: (path: string | string[]) => (typeof path === 'string' ? unprotectWord(path) : path),
    })
    .option('continuous', {
      describe: 'the files are one recording cut in pieces: flows go on from file to file',
      type: 'boolean',
      default: scanDefaults.continuous,
    })
    .option('encrypted', {
      choices: encryptedModes,
      default: scanDefaults.encrypted,
      describe: 'encrypted peer connections: leave alone, ask for other evidence, or go by shape alone',
    })
    .option('exit-code', {
      describe: 'exit with 10 if BitTorrent was found',
      type: 'boolean',
      default: scanDefaults.exitCode,
    })
    .option('flows-max', {
      describe: `flows watched at once, ${flowsMaxLowest} to ${flowsMaxHighest}; about 280 bytes each`,
      type: 'number',
      default: scanDefaults.flowsMax,
      requiresArg: true,
    })
    .option('workers', {
      alias: 'j',
      describe: `threads that scan files side by side, 1 to ${workersMax}, or auto: as many as cores, where that is faster`,
      type: 'string',
      default: scanDefaults.workers,
      requiresArg: true,
    })
    .options(nameFlags)
    .option('progress', {
      describe: 'progress line on a terminal (--no-progress: none)',
      type: 'boolean',
      default: scanDefaults.progress,
    })
    .option('log-level', {
      choices: logLevels,
      default: scanDefaults.logLevel,
      describe: 'how much to log to stderr',
    })
    .check((options) => {
      refuseRepeated(options, ['format', 'output', 'encrypted', 'flows-max', 'log-level', 'workers']);
      readWorkers(options.workers);
      if (options.output === '') throw new UserError('bad-argument', '--output: the name is empty');
      const flowsMax = options['flows-max'];
      if (Number.isInteger(flowsMax) && flowsMax >= flowsMaxLowest && flowsMax <= flowsMaxHighest)
        return true;
      throw new UserError(
        'bad-argument',
        `--flows-max: a whole number from ${flowsMaxLowest} to ${flowsMaxHighest}`,
      );
    })
    .example('$0 scan capture.pcap', 'is there BitTorrent in it, whose, and how sure')
    .example('tcpdump -w - | $0 scan -', 'the same for what tcpdump writes, until Ctrl-C')
    .example('$0 scan --workers 8 -f jsonl captures/', 'eight files at a time; the report is the same')
    .example(
      '$0 scan --format html -o report.html captures/',
      'one page about a folder of captures',
    ) as unknown as Argv<ScanArguments>;
}

/** Formats that print while the scan goes on: on a terminal they and the progress line would overwrite each other. */
const streamingFormats: ReadonlySet<FormatName> = new Set(['json', 'jsonl', 'csv', 'eve']);

/** Whether a progress line is shown: on a terminal, and only where no report runs across it. */
export function showsProgress(
  options: { readonly progress: boolean; readonly format: FormatName },
  reportOnTerminal: boolean,
  stderrIsTerminal: boolean,
): boolean {
  return options.progress && stderrIsTerminal && !(reportOnTerminal && streamingFormats.has(options.format));
}

function refuseOverwriting(path: string): never {
  throw new UserError(
    'output-is-input',
    `${path}: this is one of the captures to be read; choose another -o`,
  );
}

/** What there is to read: without the last report, if that lies in one of the folders and is to be written again. */
async function inputsFor(options: ScanArguments, toFile: string | null): Promise<Input[]> {
  const inputs = listInputs(options.files);
  if (inputs.length === 0) throw new UserError('no-input', 'no files in the given folders', exitIncomplete);
  if (toFile === null) return inputs;
  const same = inputAt(toFile, inputs);
  if (same === null) return inputs;
  if (!same.fromFolder || (await isCapture(same.path))) refuseOverwriting(toFile);
  return inputs.filter((input) => input !== same);
}

async function isCapture(path: string): Promise<boolean> {
  try {
    await (await openCaptureFile(path)).close();
    return true;
  } catch (error) {
    return !(error instanceof CaptureFileError && error.code === 'not-a-capture');
  }
}

const inputEndMillis = 1000;

/**
 * A scan is over after seconds, of which compiling takes one: V8 may inline half as much into a function as it would
 * (920 bytes of bytecode). The scan of 1.8 GB takes 7 % less processor time; once compiled it is within 3 % of what it was
 * (AMD EPYC, Node 20.20, November 2026). The threads of the scan have it too. The flag is as old as Node 10; a V8 that
 * dropped it would only say so.
 */
const inlinedLess = '--max-inlined-bytecode-size-cumulative=500';

/** Scans as the options say; returns the exit status. */
export async function runScan(options: ScanArguments): Promise<number> {
  setFlagsFromString(inlinedLess);
  const log = new Log(options.logLevel);
  const toFile = options.output === undefined || options.output === '-' ? null : options.output;
  const inputs = await inputsFor(options, toFile);
  const output = toFile === null ? ReportOutput.standard(options.exitCode) : await ReportOutput.file(toFile);
  const toTerminal = toFile === null && process.stdout.isTTY;
  const progress = new Progress(process.stderr, {
    enabled: showsProgress(options, toTerminal, process.stderr.isTTY),
    columns: process.stderr.columns,
  });
  const standardInput = new StandardInput();
  const undo = onInterrupt(
    () => {
      progress.finish();
      output.abandon();
    },
    inputs.length === 1 && inputs[0]!.path === '-' && isPipe()
      ? (): void => {
          standardInput.endSoon(log);
        }
      : null,
  );
  try {
    const status = await scan(options, inputs, { log, output, progress, toTerminal });
    return status === exitOk && standardInput.wasCut ? exitIncomplete : status;
  } catch (error) {
    progress.finish();
    output.abandon();
    throw error;
  } finally {
    undo();
  }
}

function isPipe(): boolean {
  const found = fstatSync(0);
  return found.isFIFO() || found.isSocket();
}

/**
 * Ctrl-C in `tcpdump -w - | swarmgate scan -` is meant for tcpdump, and whoever presses it wants the report: what tcpdump
 * still writes is read to its end. A writer that does not end is not waited for.
 */
class StandardInput {
  wasCut = false;

  endSoon(log: Log): void {
    setTimeout(() => {
      // The report may still wait for whoever reads it.
      if (process.stdin.readableEnded || process.stdin.destroyed) return;
      this.wasCut = true;
      log.warn('interrupted: the report is about what had come until now', 'interrupted');
      process.stdin.destroy();
    }, inputEndMillis).unref();
  }
}

interface Surroundings {
  readonly log: Log;
  readonly output: ReportOutput;
  readonly progress: Progress;
  readonly toTerminal: boolean;
}

/** What scans the inputs into a report: this thread, or workers where there is enough for them. */
async function scannerFor(
  options: ScanArguments,
  inputs: readonly Input[],
  writer: ReportWriter,
  { log, output, progress }: Surroundings,
): Promise<Scanner | ScanPool> {
  const names = await nameWords(options);
  const bytes = new RunBytes(inputs.map(({ sizeBytes }) => sizeBytes ?? null));
  const shared = {
    flowsMax: options.flowsMax,
    encrypted: options.encrypted,
    registry: registryWith(listedIn(names)),
    onFlow: (flow: EndedFlow) => {
      writer.flow(flow);
    },
    onWarning: ({ message, code }: WarningReport) => {
      progress.finish();
      log.warn(message, code);
    },
    onEnded: () => output.drain(),
    stopped: () => output.readerGone,
  };
  const workers = workersFor(readWorkers(options.workers), inputs, options);
  log.debug(`${plural(workers, 'thread')} for ${plural(inputs.length, 'file')}`);
  if (workers > 1) {
    const { ScanPool } = await import('./scan-pool.js');
    const onProgress = (read: number, packets: number, file: string): void => {
      progress.update(read, bytes.total, packets, file);
    };
    return new ScanPool({ ...shared, workers, names, onProgress });
  }
  return new Scanner({
    ...shared,
    continuous: options.continuous,
    onInputDone: ({ sizeBytes }) => {
      bytes.next(sizeBytes ?? null);
    },
    onBlock: (source, packets) => {
      progress.update(bytes.at(source.bytesRead), bytes.total, packets, source.name);
      return output.drain();
    },
  });
}

async function scan(options: ScanArguments, inputs: readonly Input[], around: Surroundings): Promise<number> {
  const { log, output, progress, toTerminal } = around;
  const newWriter = await formats[options.format]();
  const writer = newWriter(output, {
    colour: toTerminal && (process.env['NO_COLOR'] ?? '') === '',
    columns: toTerminal ? process.stdout.columns : 100,
    version,
  });
  const scanner = await scannerFor(options, inputs, writer, around);
  await scanner.run(inputs);
  progress.finish();
  const summary = scanner.summary();
  if (summary.files === 0 && !output.readerGone) throw noCapture(summary.filesPassedOver);
  log.info(`${summary.packets} packets of ${summary.files} files in ${summary.elapsedSeconds.toFixed(2)} s`);
  writer.end(summary);
  await output.close();
  if (options.exitCode && summary.flowsByVerdict.bittorrent > 0) return exitFound;
  return scanner.incomplete > 0 ? exitIncomplete : exitOk;
}

function noCapture(passedOver: number): UserError {
  const files = passedOver === 1 ? '1 file is' : `${countText(passedOver)} files are`;
  return new UserError(
    'no-capture',
    `the given folders hold no capture (${files} something else); give pcap, pcapng, or gzip of either`,
    exitIncomplete,
  );
}

export const scanCommand: CommandModule<object, ScanArguments> = {
  command: 'scan <files..>',
  describe: 'tell which flows of capture files are BitTorrent, of which kind, how sure, and why',
  builder: build,
  handler: async (options) => {
    process.exitCode = await runScan(options);
  },
};
