import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNearlyFull } from '../report/tracking.js';
import { readTracking, TrackingWatch } from './tracking.js';

test('count and limit are read; without connection tracking, or without a limit, there is nothing to say', () => {
  const files = new Map([
    ['/proc/sys/net/netfilter/nf_conntrack_count', '812\n'],
    ['/proc/sys/net/netfilter/nf_conntrack_max', '65536\n'],
  ]);
  const read = (path: string): string | null => files.get(path) ?? null;
  assert.deepEqual(readTracking(read), { entries: 812, entries_max: 65_536 });
  files.set('/proc/sys/net/netfilter/nf_conntrack_max', '0\n');
  assert.equal(readTracking(read), null);
  assert.equal(
    readTracking(() => null),
    null,
  );
});

test('a filling table is told once, and again after it has emptied', () => {
  const watch = new TrackingWatch();
  const look = (entries: number): boolean => watch.look({ entries, entries_max: 1000 });
  assert.deepEqual([500, 901, 950, 800, 920, 699, 899, 901].map(look), [
    ...[false, true, false, false, false],
    ...[false, false, true],
  ]);
  assert.equal(watch.look(null), false);
  assert.equal(isNearlyFull({ entries: 900, entries_max: 1000 }), false);
});
