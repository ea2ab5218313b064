/** Helpers shared by tests and benchmarks: where the repository is, hex text to bytes, a seeded random source. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds package.json, whether the caller runs from source or from dist/. */
export function repositoryRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('no package.json above this file');
    folder = parent;
  }
  return folder;
}

/** A path inside the repository. */
export function repositoryPath(...parts: string[]): string {
  return join(repositoryRoot(), ...parts);
}

/** The program as it is installed, in one piece; `make build` makes it. */
export const program = repositoryPath('dist', 'program', 'swarmgate.js');

/** The labelled corpus beside the checkout, or null on a machine that has none. */
export function corpusFolder(): string | null {
  const folder = join(repositoryRoot(), '..', 'shared', 'corpus');
  return existsSync(join(folder, 'labels.json')) ? folder : null;
}

/** Hex digits to bytes; white space is ignored and `#` starts a comment to the end of the line. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/#[^\n]*/g, '').replace(/\s+/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-fA-F]/.test(digits)) throw new Error('not hex digits in pairs');
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Latin-1 text to bytes: one byte per character. */
export function fromText(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A repeatable random source (xorshift32): the same seed gives the same bytes on every machine. */
export class SeededRandom {
  #state: number;
  constructor(seed: number) {
    this.#state = seed | 0 || 0x9e3779b9;
  }
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % limit;
  }
  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) out[i] = this.below(256);
    return out;
  }
}

/** What `systemd-analyze verify` says about our unit, and its exit status; a machine's other units are its own affair. */
export function verifyUnit(path: string): [said: string[], status: number | null] {
  const run = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
  return [run.stderr.split('\n').filter((line) => line.includes('swarmgate')), run.status];
}
