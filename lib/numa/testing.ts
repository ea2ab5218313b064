/** For tests: a /sys tree from a text of fixtures/numa. */
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { repositoryPath } from '../testing.js';

/** "cpu{0-2,8}/x" is three paths and one more. */
function spread(path: string): string[] {
  const match = /^([^{]*)\{([\d,-]+)\}(.*)$/.exec(path);
  if (match === null) return [path];
  const [, before, list, after] = match;
  const numbers = list!.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
  });
  return numbers.flatMap((number) => spread(`${before!}${number}${after!}`));
}

/** Makes the tree in a new folder. Lines: "path = content", "path -> path in the tree", "# ...". */
export function makeTree(text: string): string {
  const root = mkdtempSync(join(tmpdir(), 'swarmgate-sys-'));
  const links: [string, string][] = [];
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    const match = /^(\S+) (=|->) ?(.*)$/.exec(line);
    if (match === null) throw new Error(`no line of a tree: ${line}`);
    const [, path, kind, value] = match;
    if (kind === '->') links.push([join(root, path!), join(root, value!)]);
    else
      for (const each of spread(path!)) {
        mkdirSync(dirname(join(root, each)), { recursive: true });
        writeFileSync(join(root, each), `${value!}\n`);
      }
  }
  for (const [path, target] of links) {
    mkdirSync(dirname(path), { recursive: true });
    symlinkSync(relative(dirname(path), target), path);
  }
  return root;
}

export const machines = ['ryzen-8-cores', 'i9-13900k', 'epyc-2-nodes', 'graviton2'] as const;

export function fixtureText(name: string): string {
  return readFileSync(repositoryPath('fixtures', 'numa', `${name}.txt`), 'utf8');
}
