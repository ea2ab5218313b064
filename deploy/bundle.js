#!/usr/bin/env node
/**
 * Puts the compiled modules of the program together in dist/program: one file per entry point, and shared ones. Constants
 * of other modules (offsets of rows, flags, limits) become numbers in the code: V8 would load and check each of them at
 * each use. A scan needs an eighth less processor time that way (ARCHITECTURE.md). The modules in dist/ stay, for tests
 * and benchmarks. Where rolldown does not run, dist/program only points at them; everything works, slower.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist');
/** What is started by its name: the program, its threads, and the process that cap runs in. */
const program = {
  folder: join(dist, 'program'),
  entries: ['cmd/swarmgate', 'cmd/worker', 'cmd/scan-worker', 'cmd/capture-thread', 'lib/io/cap-child'],
};
/** The benchmarks of functions, so that they time what is shipped. */
const benchmarks = { folder: join(dist, 'bench', 'program'), entries: ['bench/timed-part'] };

/** Bundles; returns the names of the files that belong there. */
async function bundle({ folder, entries }) {
  const { rolldown } = await import('rolldown');
  const made = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [entry.split('/').at(-1), join(dist, `${entry}.js`)])),
    platform: 'node',
    // Packages stay where npm put them.
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    optimization: { inlineConst: { mode: 'all', pass: 3 } },
  });
  const { output } = await made.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'part-[name].js',
  });
  return output.map(({ fileName }) => fileName);
}

function pointAtModules() {
  const name = 'swarmgate.js';
  rmSync(join(program.folder, name), { force: true });
  symlinkSync(join('..', 'cmd', name), join(program.folder, name));
  return [name];
}

function keepOnly(folder, files) {
  for (const name of readdirSync(folder))
    if (!files.includes(name)) rmSync(join(folder, name), { recursive: true });
}

if (!existsSync(join(dist, 'cmd', 'swarmgate.js'))) {
  process.stderr.write('bundle: nothing is compiled; run make build\n');
  process.exit(1);
}
for (const { folder } of [program, benchmarks]) mkdirSync(folder, { recursive: true });
try {
  keepOnly(program.folder, await bundle(program));
  keepOnly(benchmarks.folder, await bundle(benchmarks));
} catch (error) {
  const reason = String(error instanceof Error ? error.message : error).split('\n')[0];
  process.stderr.write(
    `bundle: rolldown does not run here (${reason}); the program runs from its modules, slower\n`,
  );
  keepOnly(program.folder, pointAtModules());
  keepOnly(benchmarks.folder, []);
}
