/** What the user named on the command line, as a list of capture files: folders are walked, in a stable order. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from './errors.js';

/** How `-` travels through yargs, which would take a lone dash for an option without a name. */
const dash = '\0-';

/** The command line with each lone `-` made safe for yargs. */
export function protectDash(words: readonly string[]): string[] {
  return words.map((word) => (word === '-' ? dash : word));
}

/** Gives a protected `-` back; other words are left as they are. */
export function unprotectDash(word: string): string {
  return word === dash ? '-' : word;
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
}

/** @throws UserError 'no-such-file' for a path that does not exist or cannot be looked at. */
export function listInputs(paths: readonly string[]): Input[] {
  return paths.flatMap((path) => {
    if (path === '-') return [{ path, fromFolder: false }];
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) {
      throw new UserError('no-such-file', `${path}: no such file or folder; check the path`, 1);
    }
    return found.isDirectory() ? walk(path) : [{ path, fromFolder: false }];
  });
}

/** Regular files below a folder, sorted by name; links are not followed, so a loop cannot trap the walk. */
function walk(folder: string): Input[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return entries.flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() ? [{ path, fromFolder: true }] : [];
  });
}
