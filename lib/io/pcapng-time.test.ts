import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TimeScale } from './pcapng-time.js';

const most = BigInt(Number.MAX_SAFE_INTEGER);

test('property: every resolution gives the whole microseconds that BigInt gives', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 255 }),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      (tsresol, stamp) => {
        const exponent = BigInt(tsresol & 0x7f);
        const units = tsresol >= 128 ? 2n ** exponent : 10n ** exponent;
        const micros = (stamp * 1_000_000n) / units;
        const clamped = Number(micros < most ? micros : most);
        const scale = new TimeScale(tsresol);
        assert.equal(scale.micros(Number(stamp >> 32n), Number(stamp & 0xffffffffn)), clamped);
      },
    ),
    { numRuns: 5000 },
  );
});

test('an absurd offset is clamped', () => {
  assert.equal(new TimeScale(6, 9e18).micros(0, 1), Number.MAX_SAFE_INTEGER);
  assert.equal(new TimeScale(6, -9e18).micros(0, 1), -Number.MAX_SAFE_INTEGER);
});

test('the offset is whole seconds and may be negative', () => {
  assert.equal(new TimeScale(6, -2).micros(0, 5_000_007), 3_000_007);
  assert.equal(new TimeScale(0x94, 1000).micros(0, (5 << 20) | 0x80000), 1_005_500_000);
});
