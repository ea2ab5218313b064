/** Reads a /sys tree, this machine's or a recorded one. What is not there or cannot be read is null or empty. */
import { existsSync, readFileSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { parseCpuList } from './cpu-list.js';

export class SysTree {
  constructor(readonly root: string) {}

  /** Without white space at the ends. Attributes of a device that is down answer with an error. */
  text(path: string): string | null {
    const place = `${this.root}/${path}`;
    try {
      // A pipe or a device, which no tree of the kernel's has here, would keep us waiting or never end.
      return statSync(place).isFile() ? readFileSync(place, 'utf8').trim() : null;
    } catch {
      return null;
    }
  }

  /** A whole number, also a negative one. */
  number(path: string): number | null {
    const text = this.text(path);
    return text !== null && /^-?\d{1,9}$/.test(text) ? Number(text) : null;
  }

  cpuList(path: string): number[] | null {
    const text = this.text(path);
    return text === null ? null : parseCpuList(text);
  }

  names(path: string): string[] {
    try {
      return readdirSync(`${this.root}/${path}`).sort();
    } catch {
      return [];
    }
  }

  /** The last name of what a link leads to. */
  target(path: string): string | null {
    try {
      return basename(realpathSync(`${this.root}/${path}`));
    } catch {
      return null;
    }
  }

  has(path: string): boolean {
    return existsSync(`${this.root}/${path}`);
  }
}

/** Numbers of the names "node0", "node1" ... in rising order. */
export function numbered(names: readonly string[], prefix: string): number[] {
  return names
    .filter((name) => name.startsWith(prefix) && /^\d{1,4}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => a - b);
}
