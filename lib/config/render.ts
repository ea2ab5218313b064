/** The configuration as text: the example file, the values in force, and a JSON Schema for editors. */
import type { Config } from './config.js';
import { valueIn } from './load.js';
import { environmentName, sections, settings, type Setting } from './schema.js';

const head = `# yaml-language-server: $schema=./config.schema.json
# Configuration of Swarmgate. What is commented out stands at its default: remove the # to change it.
#
# Flags win over environment variables, those over this file. Check it with: swarmgate check
# Take it over while running with: systemctl reload swarmgate
# Sizes are in bytes, or with one of the units KiB, MiB, GiB.
`;

/** One value, or a list of them, as one line of YAML. */
export function valueText({ type, list }: Setting, value: unknown): string {
  if (!list) return type.text(value);
  return `[${(value as readonly unknown[]).map((element) => type.text(element)).join(', ')}]`;
}

const indented = (path: string): string => '  '.repeat(path.split('.').length - 1);
const lastName = (path: string): string => path.slice(path.lastIndexOf('.') + 1);

/** The lines of all settings, each section's name before its first setting. */
function lines(
  setting: (entry: Setting) => string[],
  section: (path: string) => string[],
  entries: readonly Setting[] = settings,
): string {
  const seen = new Set<string>();
  const out: string[] = [];
  for (const entry of entries) {
    const parts = entry.path.split('.');
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('.');
      if (!seen.has(path)) out.push(...section(path));
      seen.add(path);
    }
    out.push(...setting(entry));
  }
  return `${out.join('\n')}\n`;
}

function wrapped(text: string, indent: string): string[] {
  const out = [''];
  for (const word of text.split(' ')) {
    const line = out.at(-1)!;
    if (line !== '' && indent.length + line.length + word.length > 100) out.push(word);
    else out[out.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return out.map((line) => `${indent}# ${line}`);
}

/** Many settings of one family: one line each is enough. */
const brief = (path: string): boolean => path.startsWith('action.kinds.') || path.startsWith('detectors.');

function exampleSetting(entry: Setting): string[] {
  const { path, type, list, doc } = entry;
  const indent = indented(path);
  const line = `${indent}#${lastName(path)}: ${valueText(entry, entry.default)}`;
  if (brief(path)) return path.startsWith('detectors.') ? [...wrapped(doc, indent), line] : [line];
  const ways = [environmentName(path), ...(entry.flag === null ? [] : [`--${entry.flag}`])].join(', ');
  const restart = entry.restart === null ? '' : ' A change needs a restart.';
  const about = `${list ? 'A list of' : 'Value'}: ${type.expects}`;
  return [...wrapped(`${doc}${restart}`, indent), ...wrapped(`${about} (${ways})`, indent), line, ''];
}

/** deploy/config.example.yaml */
export function exampleFile(): string {
  const body = lines(exampleSetting, (path) => [
    ...(indented(path) === '' ? [''] : []),
    ...wrapped(sections.get(path)!, indented(path)),
    `${indented(path)}${lastName(path)}:`,
  ]);
  return `${head}\n${body}`.replace(/\n{3,}/g, '\n\n').trimEnd() + '\n';
}

/** All values in force, as a file that means the same. */
export function effectiveFile(config: Config): string {
  return fileOf(config, settings);
}

/** The same with only those values that are not at their default. */
export function differingFile(config: Config): string {
  const isDefault = (entry: Setting): boolean =>
    valueText(entry, valueIn(config, entry.path)) === valueText(entry, entry.default);
  return fileOf(
    config,
    settings.filter((entry) => !isDefault(entry)),
  );
}

function fileOf(config: Config, entries: readonly Setting[]): string {
  return lines(
    (entry) => [
      `${indented(entry.path)}${lastName(entry.path)}: ${valueText(entry, valueIn(config, entry.path))}`,
    ],
    (path) => [`${indented(path)}${lastName(path)}:`],
    entries,
  );
}

interface SchemaNode {
  type: readonly string[];
  description?: string;
  additionalProperties: false;
  properties: Record<string, unknown>;
}

const object = (description?: string): SchemaNode => ({
  type: ['object', 'null'],
  ...(description === undefined ? {} : { description }),
  additionalProperties: false,
  properties: {},
});

/** deploy/config.schema.json: completion and hints in editors. `swarmgate check` is the judge. */
export function jsonSchema(): string {
  const root = object();
  for (const entry of settings) {
    const parts = entry.path.split('.');
    let node = root;
    for (let depth = 1; depth < parts.length; depth++) {
      const path = parts.slice(0, depth).join('.');
      node = (node.properties[parts[depth - 1]!] ??= object(sections.get(path))) as SchemaNode;
    }
    const schema = entry.list ? { type: ['array', 'null'], items: entry.type.schema } : entry.type.schema;
    node.properties[parts.at(-1)!] = { ...schema, description: entry.doc };
  }
  const title = 'Configuration of Swarmgate';
  return `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', title, ...root }, null, 2)}\n`;
}
