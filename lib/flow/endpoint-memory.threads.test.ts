/**
 * Workers on one memory at the same time, far too small for what they tell it, so that they cross in every row: no reader
 * ever sees an endpoint or a host that nobody told of, or told another network of, nor a grade above what was told.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { EndpointMemory } from './endpoint-memory.js';
import { HostEvidence } from './host-evidence.js';
import {
  ActiveHost,
  ActivePort,
  NamedEndpoint,
  QuietHost,
  TrustedEndpoint,
  UnknownEndpoint,
} from './swarm.js';

const workers = 3;
const runMillis = 1000;
const roundsMin = 20_000;
const capacity = 8;
const universe = 32;
const start = 1_790_000_400;

interface Shared {
  readonly endpoints: SharedArrayBuffer;
  readonly hosts: SharedArrayBuffer;
  readonly number: number;
  readonly beginMillis: number;
}

interface Seen {
  operations: number;
  /** Endpoints, and hosts, seen at each grade. */
  grades: [number, number, number];
  hostGrades: [number, number, number];
  /** Grades above what was told. */
  wrong: number;
}

/** Endpoint i: 0 nobody tells of it, 1 one network names it, 2 two name it, 3 it is proven, which few are. */
const toldOf = (i: number): number => ((i & 3) < 3 || (i & 15) === 3 ? i & 3 : 0);
/** By what was told. On the service port one network says nothing, and all proofs here are of one partner. */
const port = 6881;
const highest = [UnknownEndpoint, NamedEndpoint, NamedEndpoint, TrustedEndpoint] as const;
const servicePort = 3074;
const highestService = [UnknownEndpoint, UnknownEndpoint, NamedEndpoint, NamedEndpoint] as const;
/** Networks that are told of endpoint i, and of no other: many, because each may be told only so much. */
const listenersEach = 16;
const listenerOf = (i: number, which: number): number => 1 + i * listenersEach + (which % listenersEach);

class Hammer {
  readonly seen: Seen = { operations: 0, grades: [0, 0, 0], hostGrades: [0, 0, 0], wrong: 0 };
  readonly #endpoints: EndpointMemory;
  readonly #hosts: HostEvidence;
  readonly #beginMillis: number;
  #random: number;

  constructor({ endpoints, hosts, number, beginMillis }: Shared) {
    this.#beginMillis = beginMillis;
    this.#endpoints = new EndpointMemory(endpoints, 31);
    this.#hosts = new HostEvidence(hosts, 31);
    this.#random = number + 1;
  }

  step(): void {
    const i = this.#next() % universe;
    const address = 0x2e000000 + i * 77;
    this.seen.operations++;
    // Whatever was told is forgotten within 8 ms and a quota window is over after 2, so that rows always change hands.
    const now = start + (Date.now() - this.#beginMillis) * 500;
    const told = toldOf(i);
    const at = (this.#next() & 1) === 0 ? port : servicePort;
    if (told === 3) {
      this.#endpoints.prove(4, address, 0, 0, 0, at, 5, now);
      this.#hosts.note(4, address, 0, 0, 0, at, 1, 5, now);
    } else if (told > 0) {
      const speaker = 1000 + i * 2 + (told === 2 ? this.#next() & 1 : 0);
      this.#endpoints.name(4, address, 0, 0, 0, at, speaker, listenerOf(i, this.#next()), now);
    }
    for (let looks = 0; looks < 2; looks++) this.#look(this.#next() % universe, now);
  }

  #look(i: number, now: number): void {
    const address = 0x2e000000 + i * 77;
    const told = toldOf(i);
    const at = (this.#next() & 1) === 0 ? port : servicePort;
    const isTold = (this.#next() & 3) !== 0;
    const asker = listenerOf(isTold ? i : (i + 1) % universe, this.#next());
    const grade = this.#endpoints.grade(4, address, 0, 0, 0, at, asker, now);
    this.seen.grades[grade]++;
    const host = this.#hosts.grade(4, address, 0, 0, 0, at, now);
    this.seen.hostGrades[host]++;
    const most = isTold || told === 3 ? told : 0;
    if (grade > (at === port ? highest : highestService)[most]!) this.seen.wrong++;
    if (host > (told !== 3 ? QuietHost : at === port ? ActivePort : ActiveHost)) this.seen.wrong++;
  }

  /** xorshift32: the same for each run of a worker. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 1;
  }
}

function run(shared: Shared): Seen {
  const hammer = new Hammer(shared);
  const end = performance.now() + runMillis;
  while (performance.now() < end || hammer.seen.operations < roundsMin)
    for (let i = 0; i < 1000; i++) hammer.step();
  return hammer.seen;
}

if (isMainThread) {
  test('attack: whatever way threads cross, nothing is invented and no grade is raised', async (t) => {
    const endpoints = new SharedArrayBuffer(EndpointMemory.byteLength(capacity));
    const hosts = new SharedArrayBuffer(HostEvidence.byteLength(capacity));
    const beginMillis = Date.now();
    const all = await Promise.all(
      Array.from({ length: workers }, (_, number) => {
        const worker = new Worker(new URL(import.meta.url), {
          workerData: { endpoints, hosts, number, beginMillis },
        });
        return new Promise<Seen>((resolve, reject) => {
          worker.once('message', resolve);
          worker.once('error', reject);
        });
      }),
    );
    const memory = new EndpointMemory(endpoints, 31);
    for (const seen of all) assert.equal(seen.wrong, 0);
    for (const grade of [0, 1, 2] as const) {
      assert.ok(
        all.some((seen) => seen.grades[grade] > 0),
        `endpoints of grade ${grade} seen`,
      );
    }
    assert.ok(
      all.some((seen) => seen.hostGrades[ActivePort] > 0),
      'active hosts seen',
    );
    const operations = all.reduce((sum, seen) => sum + seen.operations, 0);
    t.diagnostic(`${operations} rounds, ${memory.learned} learned, ${memory.evicted} evicted`);
    assert.ok(memory.evicted > 1000);
  });
} else {
  parentPort!.postMessage(run(workerData as Shared));
}
