/** Writes and removes the files of a plan below a root. A file that somebody edited is never lost. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { exitUnavailable, exitPermission, UserError } from './errors.js';
import {
  configurationFolder,
  configurationPath,
  dropInPath,
  isMade,
  isUntouched,
  namesIn,
  tableFile,
  type PlannedFile,
} from './numa-files.js';

export interface Written {
  readonly path: string;
  readonly what: 'written' | 'unchanged' | 'removed' | 'kept';
  /** Where the edited file went; null: there was none. */
  readonly backup: string | null;
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw failed(path, error);
  }
}

function failed(path: string, error: unknown): UserError {
  const { code, message } = error as NodeJS.ErrnoException;
  const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
  return new UserError(
    'numa-files',
    `${path}: ${message}${denied ? '; run it as root' : ''}`,
    denied ? exitPermission : exitUnavailable,
  );
}

/** Paths of files that somebody edited, or that others made. */
function edited(root: string, paths: readonly string[]): string[] {
  return paths.filter((path) => {
    const text = textOf(join(root, path));
    return text !== null && !isUntouched(text);
  });
}

/** What an earlier installation made for instances that the plan no longer has. */
function stale(root: string, files: readonly PlannedFile[]): string[] {
  const wanted = new Set(files.map(({ path }) => path));
  return madeBefore(root).filter((path) => !wanted.has(path) && existsSync(join(root, path)));
}

/** By the table, and by what is there: an edited file stays when the table goes. */
function madeBefore(root: string): string[] {
  const listed = namesIn(textOf(join(root, tableFile)) ?? '');
  const found = namesOfFiles(root).filter((name) =>
    isMade(textOf(join(root, configurationPath(name))) ?? ''),
  );
  const names = [...new Set([...listed, ...found])];
  return [...names.flatMap((name) => [configurationPath(name), dropInPath(name)]), tableFile];
}

function namesOfFiles(root: string): string[] {
  try {
    return readdirSync(join(root, configurationFolder))
      .flatMap((file) => /^(node\d{1,4})\.yaml$/.exec(file)?.[1] ?? [])
      .sort();
  } catch {
    return [];
  }
}

/**
 * Writes all files, and removes those of instances that are no longer planned.
 * @throws UserError 'numa-edited' before anything is written, unless `force`; 'numa-files' when the system refuses
 */
export function install(root: string, files: readonly PlannedFile[], force: boolean): Written[] {
  const gone = stale(root, files);
  const different = files.filter(({ path, text }) => textOf(join(root, path)) !== text);
  const kept = edited(
    root,
    different.map(({ path }) => path),
  );
  if (kept.length > 0 && !force) {
    throw new UserError(
      'numa-edited',
      `${kept.join(', ')}: edited, or made by somebody else; --force replaces ${kept.length === 1 ? 'it' : 'them'} and keeps a copy (.bak)`,
      exitUnavailable,
    );
  }
  prepare(root, different);
  return [
    ...files.map((file) => (different.includes(file) ? putInPlace(root, file) : unchanged(file))),
    ...removeAll(root, gone, force),
  ];
}

const besideOf = (place: string): string => `${place}.new`;

function unchanged({ path }: PlannedFile): Written {
  return { path, what: 'unchanged', backup: null };
}

/** Writes all files beside their final names; where one is refused, nothing of them stays. */
function prepare(root: string, files: readonly PlannedFile[]): void {
  const undo: (() => void)[] = [];
  for (const { path, text } of files) {
    const place = join(root, path);
    try {
      const folder = mkdirSync(dirname(place), { recursive: true, mode: 0o755 });
      if (folder !== undefined)
        undo.push(() => {
          rmSync(folder, { recursive: true });
        });
      // What an earlier run left, or a link: it is replaced, never written through.
      rmSync(besideOf(place), { force: true });
      writeFileSync(besideOf(place), text, { mode: 0o644, flag: 'wx' });
      undo.push(() => {
        rmSync(besideOf(place));
      });
    } catch (error) {
      for (const step of undo.reverse()) step();
      throw failed(place, error);
    }
  }
}

function putInPlace(root: string, { path }: PlannedFile): Written {
  const place = join(root, path);
  const before = textOf(place);
  try {
    const backup = before !== null && !isUntouched(before) ? putAside(root, path) : null;
    renameSync(besideOf(place), place);
    return { path, what: 'written', backup };
  } catch (error) {
    throw failed(place, error);
  }
}

/** The first free name: an older copy is never written over. */
function putAside(root: string, path: string): string {
  let backup = `${path}.bak`;
  for (let number = 1; existsSync(join(root, backup)); number++) backup = `${path}.bak${number}`;
  renameSync(join(root, path), join(root, backup));
  return backup;
}

/** Removes what an installation made; what somebody edited stays, unless `force`, and then as a copy. */
export function remove(root: string, force: boolean): Written[] {
  const paths = madeBefore(root).filter((path) => existsSync(join(root, path)));
  return removeAll(root, paths, force);
}

function removeAll(root: string, paths: readonly string[], force: boolean): Written[] {
  const kept = new Set(edited(root, paths));
  return paths.map((path) => {
    const place = join(root, path);
    try {
      if (kept.has(path)) {
        return force
          ? { path, what: 'removed', backup: putAside(root, path) }
          : { path, what: 'kept', backup: null };
      }
      rmSync(place);
      if (path.endsWith('.service.d/numa.conf')) removeIfEmpty(dirname(place));
      return { path, what: 'removed', backup: null };
    } catch (error) {
      throw failed(place, error);
    }
  });
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Drop-ins of the administrator are in it.
  }
}
