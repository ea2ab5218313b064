/**
 * The file of a control socket. A socket is bound inside a private folder (0700) beside its place, gets its mode, and
 * is then linked into place: at no moment can anybody else connect, an existing file is never replaced unseen, and
 * two daemons that start at once cannot both win.
 */
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  unlinkSync,
  type Stats,
} from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { checkSocketPath, ControlError } from './protocol.js';

const probeMillis = 2000;
/** Times that a file which appears in between is looked at again. */
const triesMax = 3;

export interface SocketFile {
  readonly path: string;
  /** Removes the socket if it is still the one that was put there. */
  remove(): void;
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

function cannot(path: string, error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  const { message } = error as Error;
  return ['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error))
    ? new ControlError('control-permission', `${path}: cannot be made (${message}); run as root`)
    : new ControlError('control-socket', `${path}: cannot be made (${message}); choose another path`);
}

/**
 * Binds `server` and puts its socket at `path`.
 * @throws ControlError 'control-path', 'control-busy', 'control-not-a-socket', 'control-permission', 'control-socket'
 */
export async function listenAt(server: Server, path: string): Promise<SocketFile> {
  checkSocketPath(path);
  let folder: string | null = null;
  try {
    makeFolder(dirname(path));
    // By hand: join() takes a dot away, and the folder would lie beside that of the socket, where a service may not write.
    folder = mkdtempSync(`${dirname(path)}/.`);
    const made = join(folder, 's');
    checkSocketPath(made);
    await bound(server, made);
    chmodSync(made, 0o600);
    await putInPlace(made, path, folder);
    const { ino, dev } = lstatSync(path);
    return {
      path,
      remove: () => {
        removeIf(path, (found) => found.ino === ino && found.dev === dev);
      },
    };
  } catch (error) {
    server.close();
    throw cannot(path, error);
  } finally {
    if (folder !== null) rmSync(folder, { recursive: true, force: true });
  }
}

/** One level only: Node 20's recursive mkdir never ends where the kernel refuses with ENOENT, as in /proc. */
function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o755 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function bound(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function putInPlace(made: string, path: string, folder: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      linkSync(made, path);
      return;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST' || tries >= triesMax) throw error;
      await clearStale(path, folder);
    }
  }
}

/** Takes a socket away that nobody listens on. */
async function clearStale(path: string, folder: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new ControlError(
      'control-not-a-socket',
      `${path}: is there already and is not a socket; move it away or choose another path`,
    );
  }
  if (await answers(path)) {
    throw new ControlError(
      'control-busy',
      `${path}: another swarmgate answers there; stop it first, or give this one another instance name`,
    );
  }
  const away = join(folder, 'stale');
  renameSync(path, away);
  const { ino, dev } = lstatSync(away);
  if (ino === found.ino && dev === found.dev) {
    unlinkSync(away);
    return;
  }
  // Somebody put another socket there between the look and the move: it goes back.
  linkSync(away, path);
  throw new ControlError('control-busy', `${path}: another swarmgate is starting there; stop one of them`);
}

/** True unless it is certain that nobody listens. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(probeMillis, () => {
      done(true);
    });
    socket.once('connect', () => {
      done(true);
    });
    socket.once('error', (error) => {
      done(!['ECONNREFUSED', 'ENOENT'].includes(codeOf(error)));
    });
  });
}

function removeIf(path: string, mine: (found: Stats) => boolean): void {
  try {
    if (mine(lstatSync(path))) unlinkSync(path);
  } catch {
    // Gone already, or its folder is: either way there is nothing of ours to remove.
  }
}
