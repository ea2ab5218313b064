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
const program = join(dist, 'program');
/** What is started by its name: the program, its threads, and the process that cap runs in. */
const entries = ['cmd/swarmgate', 'cmd/worker', 'cmd/scan-worker', 'cmd/capture-thread', 'lib/io/cap-child'];

/** Bundles; returns the names of the files that belong there. */
async function bundle() {
  const { rolldown } = await import('rolldown');
  const made = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [entry.split('/').at(-1), join(dist, `${entry}.js`)])),
    platform: 'node',
    // Packages stay where npm put them.
    external: (id) => !id.startsWith('.') && !id.startsWith('/'),
    optimization: { inlineConst: { mode: 'all', pass: 3 } },
  });
  const { output } = await made.write({
    dir: program,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'part-[name].js',
  });
  return output.map(({ fileName }) => fileName);
}

function pointAtModules() {
  const name = 'swarmgate.js';
  rmSync(join(program, name), { force: true });
  symlinkSync(join('..', 'cmd', name), join(program, name));
  return [name];
}

if (!existsSync(join(dist, 'cmd', 'swarmgate.js'))) {
  process.stderr.write('bundle: nothing is compiled; run make build\n');
  process.exit(1);
}
mkdirSync(program, { recursive: true });
let files;
try {
  files = await bundle();
} catch (error) {
  const reason = String(error instanceof Error ? error.message : error).split('\n')[0];
  process.stderr.write(`bundle: rolldown does not run here (${reason}); the program runs from its modules, slower\n`);
  files = pointAtModules();
}
for (const name of readdirSync(program)) if (!files.includes(name)) rmSync(join(program, name), { recursive: true });
