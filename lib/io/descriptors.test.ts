/** Live sources in a process that has no descriptor left: an error with a code, and not one that misleads. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { capProblem, ringProblem } from './open-live.js';

const options = { interface: 'lo', filter: '', snapBytes: 128, promiscuous: false, batchPackets: 4 };

/** Opens files until there are no more, then a source; prints the error. */
function program(open: string): string {
  return `
    import { closeSync, openSync } from 'node:fs';
    import { openCap, openRing } from ${JSON.stringify(new URL('open-live.js', import.meta.url).href)};
    const options = ${JSON.stringify(options)};
    // What is loaded when it is first asked for needs a descriptor as well.
    await import('node:child_process');
    ${open === 'openCap' ? '' : 'try { openRing({ ...options, interface: "nowhere" }); } catch {}'}
    const files = [];
    try { for (;;) files.push(openSync('/dev/null')); } catch {}
    ${open === 'openCap' ? 'files.splice(-4).forEach(closeSync);' : ''}
    let told;
    try { (await ${open}(options)).close(); told = 'opened'; } catch (error) {
      told = error.name + ' ' + error.code + ': ' + error.message;
    }
    files.forEach(closeSync);
    console.log(told);`;
}

function told(open: string): string {
  const node = [process.execPath, '--input-type=module', '-e', program(open)];
  const argv = ['-c', 'ulimit -n 64 && exec "$@"', 'bash', ...node];
  const { stdout, stderr } = spawnSync('bash', argv, { encoding: 'utf8', timeout: 60_000 });
  return stdout + stderr;
}

function loopbackProblem(): string | false {
  try {
    const flags = Number.parseInt(readFileSync('/sys/class/net/lo/flags', 'utf8'), 16);
    return (flags & 1) === 0 && 'the loopback interface is down';
  } catch {
    return 'no loopback interface in /sys';
  }
}

test('ring: no descriptor left', { skip: ringProblem() ?? false }, () => {
  assert.match(told('openRing'), /^LiveSourceError capture-failed: .*EMFILE.*/);
});

test('cap: no descriptor left', { skip: capProblem() ?? loopbackProblem() }, () => {
  assert.match(told('openCap'), /^LiveSourceError capture-failed: .*EMFILE/);
});
