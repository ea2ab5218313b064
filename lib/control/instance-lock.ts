/**
 * One running filter per instance name and network namespace: two would undo each other's rules. A file in the run
 * folder names the process that holds the name; one that died without removing it is found out by its start time.
 */
import {
  linkSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ControlError } from './protocol.js';

const attempts = 3;

/** "/run/swarmgate/default.4026531840.pid": the number is the network namespace's. */
export function lockPath(instance: string, folder = '/run/swarmgate'): string {
  const namespace = /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0';
  return `${folder}/${instance}.${namespace}.pid`;
}

/** Start time of a process in clock ticks since boot (proc(5), stat field 22), or null if there is none. */
function startTime(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command in field 2 may hold spaces and brackets; what follows its last bracket does not.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

/** What a file holds, or null if it cannot be read. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** The process that a lock file names, or null if that has ended or the file is no lock. */
function holder(text: string): number | null {
  const match = /^(\d{1,10}) (\d{1,20})\n$/.exec(text);
  if (match === null) return null;
  const pid = Number(match[1]);
  return startTime(pid) === match[2] ? pid : null;
}

export class InstanceLock {
  readonly #path: string;
  readonly #text: string;
  #held = true;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  /** The process that runs under this name here, or null. */
  static holder(instance: string, path = lockPath(instance)): number | null {
    const found = textOf(path);
    return found === null ? null : holder(found);
  }

  /** @throws ControlError 'instance-busy' naming the other process, 'control-permission', 'instance-lock' */
  static take(instance: string, path = lockPath(instance)): InstanceLock {
    const text = `${process.pid} ${startTime(process.pid) ?? '0'}\n`;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const problem = create(path, text);
      if (problem === null) return new InstanceLock(path, text);
      if (problem !== 'EEXIST') throw lockError(path, problem);
      const found = textOf(path);
      const pid = found === null ? null : holder(found);
      if (pid !== null) {
        throw new ControlError(
          'instance-busy',
          `instance ${instance} runs already as process ${pid}; stop it, or give this one another name, queue and mark (--instance, --queue, --mark-mask)`,
        );
      }
      if (found !== null) removeStale(path, found);
    }
    throw lockError(path, 'EEXIST');
  }

  /** Gives the name back, if it is still ours. Idempotent. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    try {
      if (readFileSync(this.#path, 'utf8') === this.#text) unlinkSync(this.#path);
    } catch {
      // Somebody cleaned up: nothing is left to do.
    }
  }
}

/** Null when the file was made, else the system's error code. */
function create(path: string, text: string): string | null {
  try {
    mkdirSync(dirname(path), { recursive: false, mode: 0o755 });
  } catch {
    // It is there, or writing says what is wrong.
  }
  const draft = `${path}.${process.pid}`;
  try {
    // Linked into place whole: an empty file would look stale to another start.
    writeFileSync(draft, text, { mode: 0o644 });
    linkSync(draft, path);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    removeIfThere(draft);
  }
}

/** Takes a stale file away; one that another start put there in the meantime is put back. */
function removeStale(path: string, text: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
    if (textOf(aside) !== text) linkSync(aside, path);
  } catch {
    // Another start was quicker; the next attempt sees whose it is.
  }
  removeIfThere(aside);
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // It is not there.
  }
}

function lockError(path: string, code: string): ControlError {
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
    ? new ControlError('control-permission', `${path} cannot be written (${code}): run swarmgate as root`)
    : new ControlError('instance-lock', `${path} cannot be made (${code})`);
}

const turnMillis = 50;
const turnMillisMax = 60_000;
/** Longer than any start writes its rules. */
const turnStaleMillis = 600_000;

/**
 * Waits until no other process of this network namespace writes its rules, and keeps others waiting until it is released.
 * @param stopWanted asked while it waits; true ends the waiting
 * @throws ControlError 'stop-wanted'; 'start-busy' after a minute; 'control-permission', 'instance-lock'
 */
export async function takeTurn(
  stopWanted: () => boolean = () => false,
  path = lockPath('.start'),
): Promise<InstanceLock> {
  const began = performance.now();
  for (;;) {
    try {
      return InstanceLock.take('.start', path);
    } catch (error) {
      // 'instance-lock': several starts took a stale file away at once.
      const code = error instanceof ControlError ? error.code : '';
      const isOver = performance.now() - began > turnMillisMax;
      const raced = code === 'instance-lock' && (error as Error).message.includes('EEXIST');
      if (code !== 'instance-busy' && !raced) throw error;
      if (isOver) throw turnError(path);
    }
    if (stopWanted()) throw new ControlError('stop-wanted', 'stopped before its rules were written');
    removeForgotten(path);
    await setTimeout(turnMillis);
  }
}

function turnError(path: string): ControlError {
  const pid = holder(textOf(path) ?? '');
  const who = pid === null ? 'another start' : `process ${pid}`;
  return new ControlError(
    'start-busy',
    `${who} has been writing its rules for a minute; try again when it is through`,
  );
}

/** A file that nobody will remove: its process lives, but released it in the moment in which another looked at it. */
function removeForgotten(path: string): void {
  try {
    const text = readFileSync(path, 'utf8');
    if (Date.now() - statSync(path).mtimeMs > turnStaleMillis) removeStale(path, text);
  } catch {
    // It is gone.
  }
}
