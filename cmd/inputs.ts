/** What the user named on the command line, as a list of capture files: folders are walked, in a stable order. */
import { readdirSync, statSync, type Dirent, type Stats } from 'node:fs';
import { join } from 'node:path';
import { exitIncomplete, UserError } from './errors.js';

/**
 * Marks a word on its way through yargs, which would take a lone dash for an option without a name, and drop what
 * follows `--`. No word of a command line can hold the byte 0, so the mark cannot be mistaken.
 */
const mark = '\0';

/** The command line with each lone `-`, and each word after `--` that looks like an option, made safe for yargs. */
export function protectWords(words: readonly string[]): string[] {
  const end = words.indexOf('--');
  const before = end < 0 ? words : words.slice(0, end);
  const after = end < 0 ? [] : words.slice(end + 1);
  return [
    ...before.map((word) => (word === '-' ? mark + word : word)),
    ...after.map((word) => (word.startsWith('-') ? mark + word : word)),
  ];
}

/** Gives a protected word back; other words are left as they are. */
export function unprotectWord(word: string): string {
  return word.startsWith(mark) ? word.slice(mark.length) : word;
}

/** Refuses an option with one value that was given several times. @throws UserError 'bad-argument' */
export function refuseRepeated(options: Readonly<Record<string, unknown>>, names: readonly string[]): void {
  for (const name of names) {
    if (Array.isArray(options[name]))
      throw new UserError('bad-argument', `--${name} was given more than once`);
  }
}

export interface Input {
  readonly path: string;
  /** Found in a folder: if it is no capture it is passed over, not refused. */
  readonly fromFolder: boolean;
  /** Bytes of a regular file; absent if not known (standard input, a pipe). */
  readonly sizeBytes?: number;
  /** A file or folder below a named one that cannot be read: what to say of it, and there is nothing to open. */
  readonly problem?: string;
}

/** @throws UserError 'no-such-file' or 'unreadable' for a named path that does not exist or cannot be looked at. */
export function listInputs(paths: readonly string[]): Input[] {
  return paths.flatMap((path) => {
    if (path === '-') return [{ path, fromFolder: false }];
    const found = look(path);
    if (!found.isDirectory()) return [fileInput(path, found, false)];
    try {
      return walk(path, entriesOf(path));
    } catch (error) {
      throw unreadable(path, error);
    }
  });
}

/**
 * The one capture file of a command that reads its file twice.
 * @throws UserError also for a pipe or a device, which can be read only once and might never end.
 */
export function regularInput(path: string): Input {
  const found = path === '-' ? null : look(path);
  if (found?.isFile() === true) return fileInput(path, found, false);
  throw new UserError(
    'bad-argument',
    `${path === '-' ? 'standard input' : path}: the file is read twice, so it must be a regular file, ` +
      'not a pipe, a device or a folder; save the capture to a file first',
  );
}

function look(path: string): Stats {
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw unreadable(path, error);
  }
  if (found !== undefined) return found;
  const why = isLossy(path) ? notUtf8 : 'no such file or folder; check the path';
  throw new UserError('no-such-file', `${path}: ${why}`, exitIncomplete);
}

const notUtf8 = 'its name is not UTF-8, so that it cannot be opened; rename it';

/** Node gives such a name with U+FFFD in place of what is not UTF-8, and finds no file by that. */
function isLossy(path: string): boolean {
  return path.includes('\ufffd');
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied; make it readable for this user',
  ELOOP: 'its links lead in a circle; name the file itself',
  ENAMETOOLONG: 'the name is too long',
};

function reasonOf(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return reasons[code] ?? `it cannot be read (${message})`;
}

function unreadable(path: string, error: unknown): UserError {
  return new UserError('unreadable', `${path}: ${reasonOf(error)}`, exitIncomplete);
}

function fileInput(path: string, found: Stats, fromFolder: boolean): Input {
  return found.isFile() ? { path, fromFolder, sizeBytes: found.size } : { path, fromFolder };
}

function entriesOf(folder: string): Dirent[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Regular files below a folder, sorted by name. Links to files are followed, links to folders never: no loop traps it. */
function walk(folder: string, entries: readonly Dirent[]): Input[] {
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walkBelow(path);
    if (!entry.isFile() && !entry.isSymbolicLink()) return [];
    try {
      const found = statSync(path, { throwIfNoEntry: false });
      if (found === undefined && isLossy(path)) return [problem(path, notUtf8)];
      return found?.isFile() === true ? [fileInput(path, found, true)] : [];
    } catch (error) {
      // A link to itself leads nowhere, like one to a file that is gone.
      return (error as NodeJS.ErrnoException).code === 'ELOOP' ? [] : [problem(path, reasonOf(error))];
    }
  });
}

function walkBelow(folder: string): Input[] {
  let entries: Dirent[];
  try {
    entries = entriesOf(folder);
  } catch (error) {
    return [problem(folder, isLossy(folder) ? notUtf8 : reasonOf(error))];
  }
  return walk(folder, entries);
}

function problem(path: string, why: string): Input {
  return { path, fromFolder: true, sizeBytes: 0, problem: `${path}: ${why}` };
}
