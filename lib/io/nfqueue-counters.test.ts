import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InvariantError } from '../invariant.js';
import { counterNames } from '../native/index.js';
import { NfqueueCounters } from './nfqueue.js';

test('each counter reads its own number, in place', () => {
  const values = Float64Array.from(counterNames, (_, i) => 10 + i);
  const counters = new NfqueueCounters(values);
  for (const [i, name] of counterNames.entries()) assert.equal(counters[name], 10 + i, name);
  values[counterNames.indexOf('stale')] = 77;
  assert.equal(counters.stale, 77);
});

test('numbers for other names are refused', () => {
  assert.throws(() => new NfqueueCounters(new Float64Array(counterNames.length - 1)), InvariantError);
});
