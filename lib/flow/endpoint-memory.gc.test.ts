/** The shared memories allocate nothing: a process of its own asks and tells millions of times and sees no collection. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { PerformanceObserver } from 'node:perf_hooks';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EndpointMemory } from './endpoint-memory.js';
import { HostEvidence } from './host-evidence.js';

const childVariable = 'SWARMGATE_GC_CHILD';
const rounds = 1_000_000;
const start = 1_790_000_400;

function ask(endpoints: EndpointMemory, hosts: HostEvidence, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const version = (i & 1) === 0 ? 4 : 6;
    const word0 = (0xb0000000 + Math.imul(i, 2654435)) | 0;
    const rest = version === 4 ? 0 : i;
    const port = 1024 + (i & 0x7fff);
    const now = start + (i >> 8);
    const speaker = endpoints.speakerOf(version, word0, rest);
    endpoints.name(version, word0, rest, rest, rest, port, speaker, i >> 4, now);
    if ((i & 7) === 0) endpoints.prove(version, word0, rest, rest, rest, port, speaker, now);
    sum += endpoints.grade(version, word0, rest, rest, rest, port, i >> 4, now);
    sum += endpoints.grade(version, word0, rest, rest, rest, port + 1, i >> 4, now);
    hosts.note(version, word0, rest, rest, rest, port, i & 15, speaker, now);
    sum += hosts.grade(version, word0, rest, rest, rest, port, now);
    sum += hosts.shape(version, word0, rest, rest, rest, speaker, now);
    if ((i & 7) === 1) hosts.unlike(version, word0, rest, rest, rest, speaker, now);
    if (hosts.isUnlike(version, word0, rest, rest, rest, speaker, now)) sum++;
    if (hosts.key(version, word0, rest, rest, rest, i | 0, speaker, speaker, now)) sum++;
  }
  return sum;
}

async function child(): Promise<void> {
  const endpoints = new EndpointMemory(new SharedArrayBuffer(EndpointMemory.byteLength(4096)), 5);
  const hosts = new HostEvidence(new SharedArrayBuffer(HostEvidence.byteLength(1024)), 5);
  const collections: number[] = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) collections.push(entry.startTime);
  }).observe({ entryTypes: ['gc'] });
  ask(endpoints, hosts, 400_000);
  globalThis.gc?.();
  await sleep(50);
  const begin = performance.now();
  const sum = ask(endpoints, hosts, rounds);
  const end = performance.now();
  await sleep(50);
  const during = collections.filter((time) => time >= begin && time <= end).length;
  const forced = collections.some((time) => time < begin);
  process.stdout.write(JSON.stringify({ during, forced, sum, evicted: endpoints.evicted + hosts.evicted }));
}

if (process.env[childVariable] === undefined) {
  test('asking and telling the shared memories a million times causes no garbage collection', () => {
    const run = spawnSync(
      process.execPath,
      [...process.execArgv, '--expose-gc', '--max-semi-space-size=1', fileURLToPath(import.meta.url)],
      { encoding: 'utf8', env: { ...process.env, [childVariable]: '1', NODE_TEST_CONTEXT: undefined } },
    );
    assert.equal(run.status, 0, run.stderr);
    const result = JSON.parse(run.stdout) as Record<'during' | 'sum' | 'evicted', number> & {
      forced: boolean;
    };
    assert.ok(result.sum > rounds && result.evicted > 0);
    assert.ok(result.forced, 'the collection forced before the run was observed, so others would be as well');
    assert.equal(result.during, 0);
  });
} else {
  await child();
}
