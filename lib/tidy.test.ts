/** The style as a test: who imports whom, file length, leftovers. It reads the source, not the build. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from './testing.js';

const root = repositoryRoot();
const folders = ['cmd', 'lib', 'detectors', 'bench', 'fixtures', 'e2e'];

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const files = folders.flatMap(sources);

/** Imports of our own files, as paths from the root, and of other modules by name. */
function importsOf(file: string): { own: string[]; modules: string[] } {
  const text = readFileSync(join(root, file), 'utf8');
  const names = [...text.matchAll(/^(?:import|export)\b(?:[^;'"=]*?\bfrom)?\s*['"]([^'"]+)['"]/gm)].map(
    (match) => match[1]!,
  );
  const own = names.filter((name) => name.startsWith('.'));
  return {
    own: own.map((name) => normalize(join(dirname(file), name)).replace(/\.js$/, '.ts')),
    modules: names.filter((name) => !name.startsWith('.')),
  };
}

const shared = ['lib/limits.ts', 'lib/invariant.ts'];

/** What the files below a path may import of ours: prefixes. The first rule that fits a file counts. */
const rules: readonly { from: string; may: readonly string[]; modules: boolean }[] = [
  { from: 'lib/limits.ts', may: ['lib/invariant.ts'], modules: false },
  { from: 'lib/invariant.ts', may: [], modules: false },
  { from: 'lib/wire/', may: ['lib/wire/', ...shared], modules: false },
  { from: 'lib/native/', may: ['lib/native/'], modules: true },
  { from: 'lib/flow/', may: ['lib/flow/', 'lib/wire/', ...shared], modules: false },
  { from: 'detectors/index.ts', may: ['detectors/'], modules: false },
  { from: 'detectors/harness.ts', may: ['detectors/detector.ts'], modules: false },
  { from: 'detectors/', may: ['detectors/detector.ts', 'lib/wire/'], modules: false },
  {
    from: 'lib/engine/',
    may: ['lib/engine/', 'lib/flow/', 'lib/wire/', 'detectors/detector.ts', ...shared],
    modules: false,
  },
  {
    from: 'lib/io/',
    may: ['lib/io/', 'lib/wire/', 'lib/native/', 'lib/engine/verdict.ts', ...shared],
    modules: true,
  },
  {
    from: 'lib/report/',
    may: [
      'lib/report/',
      'lib/engine/',
      'lib/flow/',
      'lib/wire/',
      'detectors/detector.ts',
      'lib/version.ts',
      ...shared,
    ],
    modules: true,
  },
  {
    from: 'lib/firewall/',
    may: ['lib/firewall/', 'lib/engine/', 'lib/flow/', 'lib/wire/', ...shared],
    modules: true,
  },
  {
    from: 'lib/config/',
    may: [
      'lib/config/',
      'lib/engine/',
      'lib/flow/',
      'lib/wire/',
      'detectors/',
      'lib/firewall/marks.ts',
      'lib/numa/',
      ...shared,
    ],
    modules: true,
  },
  { from: 'lib/control/', may: ['lib/control/', 'lib/report/', ...shared], modules: true },
  { from: 'lib/numa/', may: ['lib/numa/', ...shared], modules: true },
  { from: 'lib/', may: ['lib/'], modules: true },
  { from: 'cmd/', may: ['cmd/', 'lib/', 'detectors/'], modules: true },
  { from: 'bench/', may: ['bench/', 'cmd/', 'lib/', 'detectors/'], modules: true },
  { from: 'e2e/', may: ['e2e/', 'cmd/', 'lib/', 'detectors/'], modules: true },
  { from: 'fixtures/', may: ['fixtures/', 'cmd/', 'lib/', 'detectors/'], modules: true },
];

const isTest = (file: string): boolean => file.endsWith('.test.ts') || file.endsWith('/testing.ts');

test('imports go only where DESIGN allows', () => {
  assert.ok(files.length > 40, `only ${files.length} source files found`);
  const wrong: string[] = [];
  for (const file of files.filter((name) => !isTest(name))) {
    const rule = rules.find(({ from }) => file.startsWith(from));
    assert.ok(rule, `no import rule for ${file}`);
    const { own, modules } = importsOf(file);
    for (const name of own) {
      if (!rule.may.some((prefix) => name.startsWith(prefix))) wrong.push(`${file} imports ${name}`);
    }
    if (!rule.modules) for (const name of modules) wrong.push(`${file} imports module ${name}`);
  }
  assert.deepEqual(wrong, []);
});

test('detectors do not import each other', () => {
  const wrong = files
    .filter((file) => file.startsWith('detectors/') && !isTest(file) && file !== 'detectors/index.ts')
    .flatMap((file) => importsOf(file).own.map((name) => ({ file, name })))
    .filter(({ name }) => name.startsWith('detectors/') && name !== 'detectors/detector.ts');
  assert.deepEqual(wrong, []);
});

test('no leftovers, and no path of a developer machine', () => {
  const leftover = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX\\b', '/wo' + 'rk/[a-z.]'].join('|'));
  const wrong = files.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .flatMap((line, index) => (leftover.test(line) ? [`${file}:${index + 1}: ${line.trim()}`] : [])),
  );
  assert.deepEqual(wrong, []);
});

test('no file is longer than 500 lines', () => {
  const long = files.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 500);
  assert.deepEqual(long, []);
});

test('production dependencies are the ones that ARCHITECTURE.md names', () => {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const architecture = readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8');
  for (const name of Object.keys(dependencies)) assert.match(architecture, new RegExp(`\\b${name}\\b`), name);
});
