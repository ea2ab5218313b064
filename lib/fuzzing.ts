/**
 * Mutation fuzzing for parsers, as a node:test case: seeds are mutated for a bounded time, and whatever throws is
 * shown with the input that did it. SWARMGATE_FUZZ_SECONDS sets the time per target (default 1), SWARMGATE_FUZZ_SEED
 * repeats a run.
 */
import { test } from 'node:test';
import { SeededRandom } from './testing.js';

const interesting = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x13, 0x41, 0x64, 0x65, 0x69, 0x6c];

/** Seconds that one fuzz target may run. */
export function fuzzSeconds(): number {
  const seconds = Number(process.env['SWARMGATE_FUZZ_SECONDS'] ?? '1');
  return Number.isFinite(seconds) && seconds > 0 ? seconds : 1;
}

/** One mutation of `seed`: flips, interesting values, cuts, repeats and splices. Never longer than 64 KiB. */
export function mutate(random: SeededRandom, seed: Uint8Array, other: Uint8Array): Uint8Array {
  let out: Uint8Array = seed.slice();
  for (let rounds = 1 + random.below(4); rounds > 0; rounds--) {
    const at = out.length === 0 ? 0 : random.below(out.length);
    switch (random.below(7)) {
      case 0:
        if (out.length > 0) out[at] = out[at]! ^ (1 << random.below(8));
        break;
      case 1:
        if (out.length > 0) out[at] = interesting[random.below(interesting.length)]!;
        break;
      case 2:
        if (out.length > 0) out[at] = random.below(256);
        break;
      case 3:
        out = out.slice(0, at);
        break;
      case 4:
        out = splice(out, at, out.slice(at, at + random.below(64)));
        break;
      case 5:
        out = splice(out, at, random.bytes(random.below(16)));
        break;
      default:
        out = splice(out.slice(0, at), at, other.slice(other.length === 0 ? 0 : random.below(other.length)));
    }
  }
  return out.length > 65_536 ? out.slice(0, 65_536) : out;
}

function splice(bytes: Uint8Array, at: number, piece: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length + piece.length);
  out.set(bytes.subarray(0, at));
  out.set(piece, at);
  out.set(bytes.subarray(at), at + piece.length);
  return out;
}

/** Calls `target` with mutations of `seeds` until `count` inputs were tried or the time is over; returns how many. */
export function runFuzz(
  seeds: readonly Uint8Array[],
  seed: number,
  target: (bytes: Uint8Array) => void,
  count = Number.MAX_SAFE_INTEGER,
  seconds = fuzzSeconds(),
): number {
  const random = new SeededRandom(seed);
  const until = performance.now() + seconds * 1000;
  let tried = 0;
  while (tried < count && ((tried & 63) !== 0 || performance.now() < until)) {
    const input = mutate(random, seeds[random.below(seeds.length)]!, seeds[random.below(seeds.length)]!);
    try {
      target(input);
    } catch (error) {
      const hex = Buffer.from(input).toString('hex');
      throw new Error(`fuzz input ${tried} of seed ${seed} (SWARMGATE_FUZZ_SEED=${seed}): ${hex}`, {
        cause: error,
      });
    }
    tried++;
  }
  return tried;
}

/** Registers a fuzz target as a test. */
export function fuzz(name: string, seeds: readonly Uint8Array[], target: (bytes: Uint8Array) => void): void {
  test(`fuzz: ${name}`, (t) => {
    const seed = Number(process.env['SWARMGATE_FUZZ_SEED'] ?? Date.now() % 1_000_000_007);
    const tried = runFuzz(seeds, seed, target);
    t.diagnostic(`${tried} inputs, seed ${seed}`);
  });
}
