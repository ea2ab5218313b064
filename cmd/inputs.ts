/** What the user named on the command line, as a list of capture files: folders are walked, in a stable order. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from './errors.js';

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
