/**
 * Makes the configuration: defaults, then the file, then the environment, then the flags; later wins. Every value of every
 * layer is checked, also one that a later layer overrides, and all problems are reported at once.
 */
import type { Kind } from '../../detectors/detector.js';
import { availableCores, thisMachine, workersFor } from '../numa/workers.js';
import { commandLine, ConfigError, type Config, type ConfigProblem } from './config.js';
import { findContradictions } from './contradictions.js';
import { readNames } from './names.js';
import { nearest } from './nearest.js';
import { environmentName, settings, type Setting } from './schema.js';
import { quoted, ValueError, type Given } from './values.js';
import { readConfigFile, type FileValues } from './yaml-file.js';

export const defaultFile = '/etc/swarmgate/config.yaml';

/** Values by path, as `flagsFrom` finds them on the command line. */
export type Flags = ReadonlyMap<string, string | boolean | readonly string[]>;

export interface LoadOptions {
  /** The file named by the user; null: SWARMGATE_CONFIG, else the default file if it is there. */
  readonly file: string | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags: Flags;
}

/** Where the value in force comes from. */
export interface Origin {
  /** File, "environment" or "command line". */
  readonly source: string;
  readonly line: number | null;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What works and is probably not meant. */
  readonly warnings: readonly ConfigProblem[];
  /** The file that was read, if any. */
  readonly file: string | null;
  /** By path; what is not here is at its default. */
  readonly origins: ReadonlyMap<string, Origin>;
}

/** @throws ConfigError with all problems */
export function loadConfig(options: LoadOptions): Config {
  return readConfig(options).config;
}

/** The same with warnings and origins. @throws ConfigError */
export function readConfig(options: LoadOptions): LoadedConfig {
  const fromEnvironment = options.env['SWARMGATE_CONFIG'] ?? '';
  const named = options.file ?? (fromEnvironment === '' ? null : fromEnvironment);
  const file = named ?? defaultFile;
  return combine(readConfigFile(file, named === null), file, options);
}

/** The same for a file that was read already. @throws ConfigError */
export function combine(
  fromFile: FileValues | null,
  file: string,
  { env, flags }: Pick<LoadOptions, 'env' | 'flags'>,
): LoadedConfig {
  const layers = new Layers();
  if (fromFile !== null) layers.file(file, fromFile);
  layers.environment(env);
  layers.commandLine(flags);
  const config = assemble(layers.values);
  const contradictions = findContradictions(config, (path) => layers.origins.get(path) ?? null);
  const { block, files } = config.names;
  const lists = readNames(block, files);
  const problems = [...layers.problems, ...contradictions.problems, ...lists.problems];
  if (problems.length > 0) throw new ConfigError(problems);
  return {
    config: { ...config, names: { ...config.names, listed: lists.names } },
    warnings: [...layers.warnings, ...contradictions.warnings],
    file: fromFile === null ? null : file,
    origins: layers.origins,
  };
}

/**
 * Worker threads that a configuration means: `auto` is 2 x the cores (4 x on Arm) that the data threads may use, which are
 * those of the node where the instance is bound to one, at most 256. SMT siblings are one core, the small cores of a
 * hybrid processor do not count (lib/numa/workers.ts says why).
 * @param cores those that count; by default what this process may use
 */
export function workerCount(
  { workers, affinity }: Pick<Config, 'workers'> & Partial<Pick<Config, 'affinity'>>,
  cores = availableCores(affinity?.data ?? null),
): number {
  return workers === 'auto' ? workersFor(cores, thisMachine().topology.isArm) : workers;
}

class Layers {
  readonly values = new Map<string, unknown>(settings.map((entry) => [entry.path, entry.default]));
  readonly origins = new Map<string, Origin>();
  readonly problems: ConfigProblem[] = [];
  readonly warnings: ConfigProblem[] = [];

  file(source: string, { values, problems, warnings }: FileValues): void {
    this.problems.push(...problems);
    this.warnings.push(...warnings);
    for (const setting of settings) {
      const given = values.get(setting.path);
      if (given !== undefined) this.#take(setting, given, source, '');
    }
    this.problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  }

  /** An empty variable counts as one that is not set: service files cannot unset what another file set. */
  environment(env: LoadOptions['env']): void {
    for (const setting of settings) {
      const name = environmentName(setting.path);
      const text = env[name] ?? '';
      if (text !== '') this.#take(setting, givenByText(text, setting), 'environment', `${name}: `);
    }
    this.#warnOfMisspelt(env);
  }

  /** Other programs and the tests have variables of this prefix too, so only what is nearly one of ours is named. */
  #warnOfMisspelt(env: LoadOptions['env']): void {
    const known = ['SWARMGATE_CONFIG', ...settings.map(({ path }) => environmentName(path))];
    for (const name of Object.keys(env)) {
      if (!name.startsWith('SWARMGATE_') || known.includes(name)) continue;
      const meant = nearest(name, known, 2);
      if (meant === null) continue;
      const message = `unknown variable; did you mean ${meant}?`;
      this.warnings.push({ source: 'environment', line: null, path: name, message });
    }
  }

  commandLine(flags: Flags): void {
    for (const setting of settings) {
      const value = flags.get(setting.path);
      if (value !== undefined) this.#flag(setting, value);
    }
  }

  #flag(setting: Setting, value: string | boolean | readonly string[]): void {
    const name = `--${setting.flag ?? setting.path}: `;
    const words = typeof value === 'object' ? value : [value];
    if (words.length > 1 && !setting.list) {
      this.#problem(commandLine, null, setting.path, `${name}given more than once`);
      return;
    }
    // A variable of a script that is not set. Alone it empties the list that the file has.
    if (words.length > 1 && words.some((word) => String(word).trim() === '')) {
      this.#problem(commandLine, null, setting.path, `${name}one of the values is empty`);
      return;
    }
    const text = words.map(String).join(',');
    this.#take(setting, givenByText(text, setting), commandLine, name);
  }

  #problem(source: string, line: number | null, path: string, message: string): void {
    this.problems.push({ source, line, path, message });
  }

  #take(setting: Setting, given: Given, source: string, name: string): void {
    const before = this.problems.length;
    const value = setting.list
      ? this.#elements(setting, given, source, name)
      : this.#read(setting, given, setting.path, source, name);
    if (this.problems.length > before) return;
    this.values.set(setting.path, value);
    this.origins.set(setting.path, { source, line: given.line });
  }

  #elements(setting: Setting, given: Given, source: string, name: string): unknown[] {
    // A list with nothing under it, like a section with nothing under it, is empty.
    if (given.value === null) return [];
    if (!Array.isArray(given.value)) {
      const message = `${name}${quoted(given)} is no list; write [${given.text}]`;
      this.#problem(source, given.line, setting.path, message);
      return [];
    }
    const elements = given.value as readonly Given[];
    const values = elements.map((element, index) =>
      this.#read(setting, element, `${setting.path}[${index}]`, source, name),
    );
    return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()];
  }

  #read({ type, list }: Setting, given: Given, path: string, source: string, name: string): unknown {
    try {
      if (!Array.isArray(given.value)) return type.read(given);
      throw new ValueError(`is a list; expected ${list ? 'single values in it' : type.expects}`);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      this.#problem(source, given.line, path, name + error.message);
      return null;
    }
  }
}

/** A value of the environment or a flag: what YAML would make of a plain word; lists have commas. */
function givenByText(text: string, { list }: Setting): Given {
  if (!list) return { value: plainValue(text.trim()), text: text.trim(), line: null };
  const words = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
  const value = words.map((word) => ({ value: plainValue(word), text: word, line: null }));
  return { value, text, line: null };
}

function plainValue(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  return /^(-?\d{1,15}|0x[0-9a-fA-F]{1,12})$/.test(text) ? Number(text) : text;
}

/** "queue.copy_bytes" is config.queue.copyBytes. */
const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());

/** Sections that Config holds in another form than one property per setting. */
const gathered = ['action.kinds.', 'detectors.'];

/** The value of a setting in a Config. */
export function valueIn(config: Config, path: string): unknown {
  const name = path.slice(path.lastIndexOf('.') + 1);
  if (path.startsWith('action.kinds.')) return config.action.kinds[name as Kind] ?? null;
  if (path.startsWith('detectors.')) return !config.detectorsOff.includes(name);
  return path
    .split('.')
    .map(camel)
    .reduce((value: unknown, key) => (value as Record<string, unknown>)[key], config);
}

function assemble(values: ReadonlyMap<string, unknown>): Config {
  const under = (prefix: string): [string, unknown][] =>
    [...values]
      .filter(([path]) => path.startsWith(prefix))
      .map(([path, value]) => [path.slice(prefix.length), value]);
  const tree: Record<string, unknown> = {};
  for (const [path, value] of values) {
    if (gathered.some((prefix) => path.startsWith(prefix))) continue;
    const keys = path.split('.').map(camel);
    let place = tree;
    for (const key of keys.slice(0, -1)) place = (place[key] ??= {}) as Record<string, unknown>;
    place[keys.at(-1)!] = value;
  }
  const config = tree as unknown as Config;
  const kinds = Object.fromEntries(under('action.kinds.').filter(([, value]) => value !== null));
  const socket = config.control.socket as string | null;
  return {
    ...config,
    action: { default: config.action.default, kinds: kinds },
    detectorsOff: under('detectors.').flatMap(([name, on]) => (on === false ? [name] : [])),
    names: { ...config.names, listed: [] },
    control: { socket: socket ?? `/run/swarmgate/${config.instance}.sock` },
  };
}
