/** The memory beside a model that keeps everything. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hearsaySeconds, provenSeconds } from '../limits.js';
import { memoryOf, publicAddress, start, v6, type Address } from './endpoint-memory-testing.js';
import { NamedEndpoint, TrustedEndpoint, UnknownEndpoint } from './swarm.js';

/** The same promises as a map that keeps everything, all times too: a clock that was set back may come to one again. */
class Model {
  readonly #speakers = new Map<string, Map<number, number[]>>();
  readonly #partners = new Map<string, Map<number, number[]>>();
  name(endpoint: number, speaker: number, listener: number, seconds: number): void {
    this.#put(this.#speakers, `${endpoint} ${listener}`, speaker, seconds);
  }
  prove(endpoint: number, partner: number, seconds: number): void {
    this.#put(this.#partners, String(endpoint), partner, seconds);
  }
  grade(endpoint: number, asker: number, seconds: number): number {
    const live = (all: Map<number, number[]> | undefined, max: number): number =>
      [...(all?.values() ?? [])].filter((times) => times.some((t) => Math.abs(seconds - t) <= max)).length;
    const speakers = live(this.#speakers.get(`${endpoint} ${asker}`), hearsaySeconds);
    const partners = live(this.#partners.get(String(endpoint)), provenSeconds);
    const more = portOf(endpoint) === 3074 ? 1 : 0;
    if (partners > more) return TrustedEndpoint;
    return speakers > more ? NamedEndpoint : UnknownEndpoint;
  }
  #put(map: Map<string, Map<number, number[]>>, key: string, who: number, seconds: number): void {
    const inner = map.get(key) ?? new Map<number, number[]>();
    map.set(key, inner.set(who, [...(inner.get(who) ?? []), seconds]));
  }
}

const someAddresses: Address[] = Array.from({ length: 50 }, (_, i) =>
  i % 2 === 0 ? publicAddress(i * 37) : v6(0x20010db8, i, i % 7, i % 11),
);
/** Endpoints of the properties: 50 addresses with two ports each, told to or asked by three networks. */
const addressOf = (endpoint: number): Address => someAddresses[endpoint >> 1]!;
const portOf = (endpoint: number): number => ((endpoint & 1) === 0 ? 6881 : 3074);
const networks = [0, 1, 2];

/** Many of few endpoints, so that several speak of one before it is forgotten. */
const anEndpoint = fc.oneof(fc.nat(5), fc.nat(99));
const operations = fc.array(
  fc.record({
    what: fc.constantFrom('name', 'name', 'prove', 'grade'),
    endpoint: anEndpoint,
    who: fc.nat(5),
    listener: fc.constantFrom(...networks),
    step: fc.oneof(fc.nat(30), fc.nat(30), fc.nat(2000)),
  }),
  { maxLength: 300, size: 'max' },
);

test('property: agrees with a map that keeps everything, while the table is far from full', () => {
  const seen = [0, 0, 0];
  fc.assert(
    fc.property(operations, (all) => {
      const memory = memoryOf(4096);
      const model = new Model();
      let now = start;
      const check = (endpoint: number, asker: number): void => {
        const grade = memory.grade(...addressOf(endpoint), portOf(endpoint), asker, now);
        assert.equal(grade, model.grade(endpoint, asker, now), `${endpoint} for ${asker}`);
        seen[grade]!++;
      };
      for (const { what, endpoint, who, listener, step } of all) {
        now += step;
        if (what === 'name') {
          memory.name(...addressOf(endpoint), portOf(endpoint), 1000 + who, listener, now);
          model.name(endpoint, who, listener, now);
        } else if (what === 'prove') {
          memory.prove(...addressOf(endpoint), portOf(endpoint), 2000 + who, now);
          model.prove(endpoint, who, now);
        }
        for (const asker of networks) check(endpoint, asker);
      }
      for (let i = 0; i < 100; i++) for (const asker of networks) check(i, asker);
    }),
    { numRuns: 150 },
  );
  assert.ok(Math.min(...seen) > 1000, `grades seen: ${seen.join(' ')}`);
});

test('property: in a table far too small, and with a clock that jumps, no grade is above the model and none invented', () => {
  const jumping = fc.array(
    fc.record({
      isProof: fc.boolean(),
      endpoint: anEndpoint,
      who: fc.nat(5),
      listener: fc.constantFrom(...networks),
      step: fc.oneof(fc.integer({ min: -300, max: 300 }), fc.integer({ min: -5000, max: 5000 })),
    }),
    { maxLength: 300, size: 'max' },
  );
  const seen = [0, 0, 0];
  fc.assert(
    fc.property(jumping, (all) => {
      const memory = memoryOf(16);
      const model = new Model();
      const told = new Set<string>();
      let now = start;
      for (const { isProof, endpoint, who, listener, step } of all) {
        now += step;
        if (isProof) {
          memory.prove(...addressOf(endpoint), portOf(endpoint), 2000 + who, now);
          model.prove(endpoint, who, now);
          for (const asker of networks) told.add(`${endpoint} ${asker}`);
        } else {
          memory.name(...addressOf(endpoint), portOf(endpoint), 1000 + who, listener, now);
          model.name(endpoint, who, listener, now);
          told.add(`${endpoint} ${listener}`);
        }
        for (const i of [0, 1, 2, 3, 4, 5, 6, 21, 36, 51, 66, 81, 96, endpoint]) {
          for (const asker of networks) {
            const grade = memory.grade(...addressOf(i), portOf(i), asker, now);
            assert.ok(grade <= model.grade(i, asker, now));
            if (!told.has(`${i} ${asker}`)) assert.equal(grade, UnknownEndpoint);
            seen[grade]!++;
          }
        }
      }
    }),
    { numRuns: 150 },
  );
  assert.ok(Math.min(...seen) > 1000, `grades seen: ${seen.join(' ')}`);
});

test('a full table never takes a stranger for somebody it knows', () => {
  const memory = memoryOf(4096);
  for (let i = 0; i < 50_000; i++) memory.prove(...publicAddress(i), 6881, 1, start);
  assert.ok(memory.used(start) > 4000);
  for (let i = 0; i < 500_000; i++) {
    const address = publicAddress(1_000_000 + i);
    if (memory.grade(...address, 6881, 1, start) !== UnknownEndpoint) assert.fail(`stranger ${i} is known`);
  }
});
