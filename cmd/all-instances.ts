/** Every instance that answers in a folder of control sockets, and those that do not. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ask } from '../lib/control/client.js';
import { ControlError } from '../lib/control/protocol.js';
import { renderSum } from '../lib/report/status-sum.js';
import { renderStatus } from '../lib/report/status-view.js';
import type { StatusReport } from '../lib/report/status.js';
import { exitIncomplete, exitPermission, UserError } from './errors.js';

export const socketFolder = '/run/swarmgate';

/** A socket that nobody answers at: its instance was killed, or hangs. */
export interface SilentSocket {
  readonly socket: string;
  readonly code: string;
  readonly message: string;
}

export interface AllInstances {
  /** By name. */
  readonly statuses: readonly StatusReport[];
  readonly silent: readonly SilentSocket[];
}

/** @throws UserError 'control-permission' when the folder may not be read, 'not-running' when nobody answers */
export async function askAll(folder: string, full: boolean): Promise<AllInstances> {
  const sockets = socketsIn(folder);
  const answers = await Promise.all(sockets.map((socket) => askOne(socket, full)));
  const statuses = answers.flatMap((answer) => ('socket' in answer ? [] : answer));
  const silent = answers.flatMap((answer) => ('socket' in answer ? answer : []));
  if (statuses.length === 0) throw nobody(folder, silent);
  return {
    statuses: statuses.sort((a, b) => a.instance.localeCompare(b.instance, 'en', { numeric: true })),
    silent,
  };
}

function socketsIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isSocket() && entry.name.endsWith('.sock'))
      .map(({ name }) => join(folder, name));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw new UserError(
      'control-permission',
      `${folder}: cannot be read; try again with sudo`,
      exitPermission,
    );
  }
}

async function askOne(socket: string, full: boolean): Promise<StatusReport | SilentSocket> {
  try {
    const answer = await ask(socket, 'status', { all: full });
    if (isStatus(answer)) return answer;
    const message = `${socket}: the answer is no status that this version knows; is its instance of another version?`;
    return { socket, code: 'control-protocol', message };
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return { socket, code: error.code, message: error.message };
  }
}

/** Whether pages can be made of it: the instance may be of another version, and whoever answers no instance at all. */
function isStatus(answer: unknown): answer is StatusReport {
  const status = answer as StatusReport;
  const page = { width: 80, colour: false };
  try {
    renderStatus(status, { ...page, all: true });
    renderSum([status], page);
    return typeof status.instance === 'string' && !('socket' in status);
  } catch {
    return false;
  }
}

function nobody(folder: string, silent: readonly SilentSocket[]): UserError {
  const refused = silent.find(({ code }) => code === 'control-permission');
  if (refused !== undefined) return new UserError(refused.code, refused.message, exitPermission);
  const stale =
    silent.length === 0 ? '' : ` (${silent.map(({ socket }) => socket).join(', ')}: nobody there)`;
  return new UserError(
    'not-running',
    `no instance answers in ${folder}${stale}; start one with "systemctl start swarmgate" or "swarmgate run"`,
    exitIncomplete,
  );
}
