/** For tests of the C parts: compiled by themselves, under sanitizers, with a program that feeds them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repositoryPath } from '../testing.js';

const flags = [
  ...['-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Werror', '-g', '-O1'],
  ...['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
];

/** The program made of these sources; null only if the compiler has no sanitizers at all. */
export function compileSanitized(
  folder: string,
  names: readonly string[],
  libraries: readonly string[],
): string | null {
  const empty = join(folder, 'empty.c');
  writeFileSync(empty, 'int main(void) { return 0; }\n');
  if (spawnSync('cc', [...flags, empty, '-o', join(folder, 'empty')]).status !== 0) return null;
  const sources = names.map((name) => repositoryPath('lib', 'native', `${name}.c`));
  const program = join(folder, 'check');
  const { status, stderr } = spawnSync('cc', [...flags, ...sources, '-o', program, ...libraries], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return program;
}
