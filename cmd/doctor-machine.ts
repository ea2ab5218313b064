/** What the doctor looks at: files of the kernel and tools of the system, behind an interface that tests can stand in for. */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, readFileSync } from 'node:fs';
import { InstanceLock } from '../lib/control/instance-lock.js';
import { NfqueueQueue } from '../lib/io/nfqueue.js';

/** One thing that was looked at. The same shape as the findings of lib/firewall. */
export interface Finding {
  /** Stable: "kernel-queue". */
  readonly code: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly message: string;
  /** The command that mends it, or null if none does. */
  readonly mend: string | null;
}

export const fine = (code: string, message: string): Finding => ({ code, level: 'ok', message, mend: null });
export const warning = (code: string, message: string, mend: string | null): Finding => ({
  code,
  level: 'warning',
  message,
  mend,
});
export const failure = (code: string, message: string, mend: string | null): Finding => ({
  code,
  level: 'error',
  message,
  mend,
});

export interface Machine {
  readonly nodeVersion: string;
  readonly processors: number;
  /** A file's text; null if it is not there or not readable. */
  read(path: string): string | null;
  exists(path: string): boolean;
  writable(path: string): boolean;
  /** The process that runs under this name, or null. */
  holder(instance: string): number | null;
  /** Names in a folder; none if it is not there. */
  list(path: string): string[];
  /** Opens a queue for a moment: the kernel then loads its part of NFQUEUE, as it does at the start. */
  wakeQueue(): void;
  /** What a tool prints; null if it is not there or fails. */
  run(tool: string, args: readonly string[]): Promise<string | null>;
}

const unlikelyQueue = 65_535;

/** A tool that hangs must not hang the doctor. */
const toolTimeoutMillis = 5000;

/** Tools of the administrator are often not in the path of others. */
const toolPath = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;

export class ThisMachine implements Machine {
  readonly nodeVersion = process.versions.node;

  constructor(readonly processors: number) {}

  holder(instance: string): number | null {
    try {
      return InstanceLock.holder(instance);
    } catch {
      return null;
    }
  }

  read(path: string): string | null {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      return null;
    }
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  writable(path: string): boolean {
    try {
      accessSync(path, constants.W_OK);
      return true;
    } catch {
      return false;
    }
  }

  list(path: string): string[] {
    try {
      return readdirSync(path);
    } catch {
      return [];
    }
  }

  wakeQueue(): void {
    try {
      new NfqueueQueue({ queue: unlikelyQueue }).close();
    } catch {
      // Without the addon, or the right to: other findings say so.
    }
  }

  run(tool: string, args: readonly string[]): Promise<string | null> {
    return new Promise((resolve) => {
      const options = { timeout: toolTimeoutMillis, env: { PATH: toolPath, LC_ALL: 'C' } };
      execFile(tool, args, options, (error, stdout) => {
        resolve(error === null ? stdout : null);
      });
    });
  }
}
