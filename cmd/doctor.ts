/** `swarmgate doctor`: can the inline filter run here, what is in its way, and which command mends it. */
import { availableParallelism } from 'node:os';
import type { Argv, CommandModule } from 'yargs';
import { ConfigError, type ConfigProblem } from '../lib/config/config.js';
import { configFlags } from '../lib/config/flags.js';
import { combine, type LoadedConfig } from '../lib/config/load.js';
import { configFrom, problemText } from './check.js';
import { checkMachine } from './doctor-checks.js';
import { failure, fine, ThisMachine, warning, type Finding } from './doctor-machine.js';
import { outsideChecks } from './doctor-outside.js';
import { exitIncomplete, exitOk } from './errors.js';

interface DoctorArguments {
  json: boolean;
}

interface Looked {
  readonly loaded: LoadedConfig;
  readonly findings: readonly Finding[];
}

/** The configuration; where it is wrong, the defaults stand in, so that the machine is looked at all the same. */
function lookAtConfig(argv: Readonly<Record<string, unknown>>): Looked {
  try {
    const loaded = configFrom(argv);
    const warned = loaded.warnings.map((problem) => warning('configuration', problemText(problem), null));
    return { loaded, findings: [fine('configuration', loaded.file ?? 'no configuration file'), ...warned] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const loaded = combine(null, '', { env: {}, flags: new Map() });
    return { loaded, findings: error.problems.map(wrongConfig) };
  }
}

function wrongConfig(problem: ConfigProblem): Finding {
  const place = problem.line === null ? null : `"\${EDITOR:-vi}" +${problem.line} ${problem.source}`;
  return failure('configuration', problemText(problem), place);
}

async function examine(argv: Readonly<Record<string, unknown>>): Promise<Finding[]> {
  const { loaded, findings } = lookAtConfig(argv);
  const machine = await checkMachine(new ThisMachine(availableParallelism()), loaded.config);
  const outside: Finding[] = [];
  for (const check of outsideChecks) outside.push(...(await check(loaded.config)));
  return [...findings, ...machine, ...outside];
}

const labels = { ok: 'ok  ', warning: 'warn', error: 'FAIL' } as const;

/** One line per finding, the mending command below it, and the sum at the end. */
export function doctorText(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ level, message, mend }) => [
    `${labels[level]}  ${message}`,
    ...(mend === null || level === 'ok' ? [] : [`      mend: ${mend}`]),
  ]);
  const errors = findings.filter(({ level }) => level === 'error').length;
  const warnings = findings.filter(({ level }) => level === 'warning').length;
  const noted = warnings === 0 ? '' : ` (${warnings} ${warnings === 1 ? 'warning' : 'warnings'})`;
  const sum =
    errors === 0
      ? `swarmgate can run here${noted}`
      : `swarmgate cannot run here: ${errors} ${errors === 1 ? 'problem' : 'problems'}${noted}`;
  return `${[...lines, '', sum].join('\n')}\n`;
}

export const doctorCommand: CommandModule<object, DoctorArguments> = {
  command: 'doctor',
  describe: 'look for what is in the way of the inline filter, and how to mend it',
  builder: (yargs) =>
    yargs
      .option('config', configFlags['config']!)
      .option('json', { type: 'boolean', default: false, describe: 'as JSON' })
      .epilogue('Nothing is changed. Exit status 1 if swarmgate cannot run.'),
  handler: async (argv) => {
    const findings = await examine(argv);
    const runs = findings.every(({ level }) => level !== 'error');
    const json = (): string => `${JSON.stringify({ can_run: runs, findings }, null, 2)}\n`;
    process.stdout.write(argv.json ? json() : doctorText(findings));
    process.exitCode = runs ? exitOk : exitIncomplete;
  },
};
