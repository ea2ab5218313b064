/** What `swarmgate doctor` does. Apart from the command, which is loaded with every start and must not load YAML. */
import { ConfigError, type ConfigProblem } from '../lib/config/config.js';
import { combine, type LoadedConfig } from '../lib/config/load.js';
import { configFrom, problemText } from './check-report.js';
import { availableCores } from '../lib/numa/workers.js';
import { checkMachine } from './doctor-checks.js';
import { failure, fine, ThisMachine, warning, type Finding } from './doctor-machine.js';
import { outsideChecks } from './doctor-outside.js';

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

export async function examine(argv: Readonly<Record<string, unknown>>): Promise<Finding[]> {
  const { loaded, findings } = lookAtConfig(argv);
  const machine = await checkMachine(
    new ThisMachine(availableCores(loaded.config.affinity.data)),
    loaded.config,
  );
  const outside: Finding[] = [];
  for (const check of outsideChecks) outside.push(...(await check(loaded.config)));
  return withoutRepeats([...findings, ...machine, ...outside]);
}

/** Two parts of the program may complain of the same thing: what has the same mend is said once, by the graver one. */
export function withoutRepeats(findings: readonly Finding[]): Finding[] {
  return findings.filter((finding, index) => {
    const { mend, level } = finding;
    if (mend === null || level === 'ok') return true;
    const same = findings.filter((other) => other.mend === mend && other.level !== 'ok');
    const graver = same.find((other) => other.level === 'error') ?? same[0]!;
    return findings.indexOf(graver) === index;
  });
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
