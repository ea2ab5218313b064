/**
 * A configuration file as a flat list of given values, each with its line. Refused before anything is believed: files
 * that are too large, no UTF-8, anchors and aliases (which can make a small file huge), tags, several documents.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node, Pair, YAMLMap } from 'yaml';
import type { ConfigProblem } from './config.js';
import { nearest } from './nearest.js';
import { sections, settingAt } from './schema.js';
import type { Given } from './values.js';

export const fileBytesMax = 1024 * 1024;
const problemsMax = 100;
const syntaxErrorsMax = 3;
/** /dev/null, for those who want no configuration file (linux: Documentation/admin-guide/devices.txt). */
const nullDevice = (1 << 8) | 3;
const tooDeep = 'nested too deeply; this is no configuration';

export interface FileValues {
  readonly values: ReadonlyMap<string, Given>;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file; check the path',
  EACCES: 'permission denied; make it readable for the user that swarmgate runs as',
  EISDIR: 'this is a folder; name the file in it',
  ELOOP: 'its links lead in a circle; name the file itself',
};

/** Reads and takes apart a file. @returns null if it does not exist and `mayBeAbsent` */
export function readConfigFile(file: string, mayBeAbsent: boolean): FileValues | null {
  const reader = new FileReader(file);
  try {
    const text = reader.text();
    if (text !== null) reader.take(text);
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && mayBeAbsent) return null;
    if (code === '') throw error;
    reader.problem(null, '', reasons[code] ?? `it cannot be read (${message})`);
  }
  return reader;
}

/** The same for a text that is at hand, for tests and editors. */
export function readConfigText(text: string, name: string): FileValues {
  const reader = new FileReader(name);
  reader.take(text);
  return reader;
}

class FileReader implements FileValues {
  readonly values = new Map<string, Given>();
  readonly problems: ConfigProblem[] = [];
  readonly warnings: ConfigProblem[] = [];
  readonly #file: string;
  readonly #lines = new LineCounter();
  /** The line of each key's first appearance, by path. */
  readonly #seen = new Map<string, number | null>();

  constructor(file: string) {
    this.#file = file;
  }

  problem(line: number | null, path: string, message: string): void {
    this.problems.push({ source: this.#file, line, path, message });
  }

  /** The file's text, or null after a problem. */
  text(): string | null {
    // Non-blocking, so that a named pipe does not hold up the start.
    const descriptor = openSync(this.#file, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const found = fstatSync(descriptor);
      if (found.isDirectory()) this.problem(null, '', reasons['EISDIR']!);
      else if (!found.isFile() && found.rdev !== nullDevice)
        // A pipe is empty the second time, and an empty configuration watches only.
        this.problem(null, '', 'no regular file; it is read again at each reload, so save it as one');
      else if (found.size > fileBytesMax)
        this.problem(null, '', `larger than ${fileBytesMax / 1024} KiB; this is no configuration`);
      else return this.#decode(descriptor, found);
      return null;
    } finally {
      closeSync(descriptor);
    }
  }

  #decode(descriptor: number, found: Stats): string | null {
    const bytes = Buffer.alloc(fileBytesMax + 1);
    let length = 0;
    for (;;) {
      const count = readSync(descriptor, bytes, length, bytes.length - length, null);
      length += count;
      if (count === 0 || length === bytes.length) break;
    }
    this.#warnOfOwner(found);
    try {
      if (length <= fileBytesMax)
        return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length));
      this.problem(null, '', `larger than ${fileBytesMax / 1024} KiB; this is no configuration`);
    } catch {
      this.problem(null, '', 'not UTF-8 text; save it as UTF-8');
    }
    return null;
  }

  /** Who can write the file decides what the kernel's rules are. */
  #warnOfOwner({ mode, uid }: Stats): void {
    if (process.getuid?.() !== 0) return;
    const warn = (message: string): void => {
      this.warnings.push({ source: this.#file, line: null, path: '', message });
    };
    if ((mode & 0o022) !== 0)
      warn(`others than its owner may write this file; run: chmod go-w ${this.#file}`);
    if (uid !== 0) warn(`the file belongs to user ${uid}, not root; run: chown root ${this.#file}`);
  }

  take(text: string): void {
    const document = this.#parse(text);
    if (document === null) return;
    // What follows the first errors is mostly their consequence.
    for (const { code, message, pos } of document.errors.slice(0, syntaxErrorsMax)) {
      const text =
        code === 'MULTIPLE_DOCS'
          ? 'a second document begins here ("---"); a configuration is one'
          : message.startsWith('Maximum call stack')
            ? tooDeep
            : `YAML: ${message.split('\n')[0]!}`;
      this.problem(this.#line(pos[0]), '', text);
    }
    // Behind an error of syntax nothing is where it seems.
    if (document.errors.length > 0) return;
    if (this.#refuseUnsafe(document)) return;
    const { contents } = document;
    if (isMap(contents)) this.#section(contents as YAMLMap<Node, Node | null>, '');
    else if (contents !== null && !(isScalar(contents) && contents.value === null))
      this.problem(this.#lineOf(contents), '', 'expected settings, one per line, like mode: monitor');
  }

  #parse(text: string): Document | null {
    try {
      return parseDocument(text, {
        lineCounter: this.#lines,
        prettyErrors: false,
        schema: 'core',
        logLevel: 'error',
        // Looked for below: the parser compares each key with all others, which takes minutes for a file of keys.
        uniqueKeys: false,
      });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.problem(null, '', tooDeep);
      return null;
    }
  }

  #refuseUnsafe(document: Document): boolean {
    const before = this.problems.length;
    visit(document, {
      Alias: (_, node) => {
        this.problem(this.#lineOf(node), '', 'aliases (*name) are not taken; write the value again');
      },
      Node: (_, node) => {
        if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:'))
          this.problem(this.#lineOf(node), '', `the tag ${node.tag} is not taken; leave it out`);
      },
    });
    return this.problems.length > before;
  }

  #line(offset: number): number {
    return Math.max(this.#lines.linePos(offset).line, 1);
  }

  #lineOf(node: Node | null | undefined): number | null {
    const start = node?.range?.[0];
    return start === undefined ? null : this.#line(start);
  }

  #section(map: YAMLMap<Node, Node | null>, prefix: string): void {
    for (const pair of map.items) this.#pair(pair, prefix);
  }

  #pair({ key, value }: Pair<Node, Node | null>, prefix: string): void {
    // Nobody reads more, and guesses at what was meant take time.
    if (this.problems.length >= problemsMax) return;
    const line = this.#lineOf(key);
    if (!isScalar(key)) {
      this.problem(line, prefix, 'a key is one word');
      return;
    }
    const path = `${prefix}${key.source ?? String(key.value)}`;
    const first = this.#seen.get(path);
    this.#seen.set(path, first ?? line);
    if (first !== undefined)
      this.problem(line, path, `this key stands here again, first in line ${first ?? 1}; remove one of them`);
    else if (sections.has(path)) this.#subsection(path, line, value);
    else if (settingAt.has(path)) this.#value(path, line, value);
    else this.problem(line, path, unknownKey(path, prefix));
  }

  #subsection(path: string, line: number | null, value: Node | null): void {
    if (isMap(value)) this.#section(value as YAMLMap<Node, Node | null>, `${path}.`);
    // A section whose lines are all commented out is empty, not wrong.
    else if (value !== null && !(isScalar(value) && value.value === null))
      this.problem(line, path, 'is a section: its settings belong on the lines below it, indented');
  }

  #value(path: string, line: number | null, value: Node | null): void {
    const given = this.#given(value, line);
    if (given === null)
      this.problem(this.#lineOf(value) ?? line, path, 'is one value or a list, not a section');
    else this.values.set(path, given);
  }

  #given(node: Node | null, line: number | null): Given | null {
    if (node === null) return { value: null, text: '', line };
    const at = this.#lineOf(node) ?? line;
    if (isScalar(node)) {
      const { value, source } = node;
      const text = source ?? '';
      if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
        return { value, text, line: at };
      return value === null ? { value, text, line: at } : null;
    }
    if (!isSeq(node) || isAlias(node)) return null;
    const parts = (node.items as Node[]).map((item) => this.#given(item, at));
    return parts.includes(null) ? null : { value: parts as Given[], text: '', line: at };
  }
}

/** Says what was probably meant: a neighbour, or a setting of that name elsewhere. */
function unknownKey(path: string, prefix: string): string {
  const known = [...sections.keys(), ...settingAt.keys()];
  const name = path.slice(prefix.length);
  const siblings = known
    .filter((candidate) => candidate.startsWith(prefix))
    .map((candidate) => candidate.slice(prefix.length))
    .filter((candidate) => !candidate.includes('.'));
  const last = (candidate: string): string => candidate.slice(candidate.lastIndexOf('.') + 1);
  const elsewhere = nearest(last(name), known.map(last), 1);
  const guess =
    nearest(name, siblings) ??
    (elsewhere === null ? null : known.find((entry) => last(entry) === elsewhere)!);
  if (guess !== null) return `unknown key; did you mean ${guess}?`;
  return `unknown key; known here: ${siblings.join(', ')}`;
}
