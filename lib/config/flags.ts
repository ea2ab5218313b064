/** The flags of commands that need a configuration, made from the table of settings, and back to values by path. */
import type { Options } from 'yargs';
import type { Flags } from './load.js';
import { environmentName, settings, type Command, type Setting } from './schema.js';

const groupOf = (path: string): string => {
  if (path.startsWith('capture.')) return 'Capture:';
  if (path.startsWith('queue.') || path === 'workers' || path === 'batch') return 'Workers:';
  if (/^(traffic|allow|names)\./.test(path)) return 'Which traffic:';
  if (path.startsWith('eve.') || path.startsWith('metrics.') || path.startsWith('log.')) return 'Output:';
  return 'Settings:';
};

const expectsLengthMax = 50;

function optionOf({ path, type, list, default: value, doc, letter }: Setting): Options {
  const group = groupOf(path);
  const alias = letter === null ? {} : { alias: letter };
  // The default is told, not given to yargs: a flag that was not used must not override the file.
  const told = doc.replace(/\.$/, '');
  if (typeof value === 'boolean')
    return { type: 'boolean', group, ...alias, describe: `${told} (default: ${type.text(value)})` };
  const standard = list ? 'may be repeated' : value === '' ? 'default: none' : `default: ${type.text(value)}`;
  // The example file has the long descriptions; a help text is read at one go.
  const expects = type.expects.length > expectsLengthMax ? '' : `: ${type.expects}`;
  return { type: 'string', requiresArg: true, group, ...alias, describe: `${told}${expects} (${standard})` };
}

/** The settings with a flag that mean something to a command. */
const flaggedFor = (command: Command): (Setting & { flag: string })[] =>
  settings.filter(
    (entry): entry is Setting & { flag: string } =>
      entry.flag !== null && (entry.command ?? command) === command,
  );

/** For `yargs.options`. No flag has a default: what was not given is not there. */
export function configFlags(command: Command = 'run'): Record<string, Options> {
  return {
    config: {
      type: 'string',
      requiresArg: true,
      group: 'Settings:',
      describe: 'Configuration file (default: /etc/swarmgate/config.yaml if it is there)',
    },
    ...Object.fromEntries(flaggedFor(command).map((entry) => [entry.flag, optionOf(entry)])),
  };
}

/** The mark that the command line puts before a lone dash on its way through yargs. */
const withoutMark = (word: string): string => (word.startsWith('\0') ? word.slice(1) : word);

/** The values of the flags that were given, by path. */
export function flagsFrom(argv: Readonly<Record<string, unknown>>, command: Command = 'run'): Flags {
  const flags = new Map<string, string | boolean | readonly string[]>();
  for (const { flag, path } of flaggedFor(command)) {
    const value = argv[flag];
    if (typeof value === 'boolean') flags.set(path, value);
    else if (typeof value === 'string') flags.set(path, withoutMark(value));
    else if (Array.isArray(value)) flags.set(path, value.map(String).map(withoutMark));
  }
  return flags;
}

/** The file named by --config, or null. @throws RangeError if it was given more than once */
export function fileFrom(argv: Readonly<Record<string, unknown>>): string | null {
  const { config } = argv;
  if (Array.isArray(config)) throw new RangeError('--config was given more than once');
  return typeof config === 'string' ? withoutMark(config) : null;
}

/** For the help's epilogue. */
export const environmentHelp = `Every setting can also be given as an environment variable, such as ${environmentName('queue.first')};
flags win over the environment, the environment over the file.`;
