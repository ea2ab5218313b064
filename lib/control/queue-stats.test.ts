import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseQueueStats, readQueueStats } from './queue-stats.js';

// As "%5u %6u %5u %1u %5u %5u %5u %8u %2d\n" of the kernel writes them.
const text = `  100   4711     3 2   512    17     5     1234  1
  101 4294967295     0 2 65531     0     0        0  1
`;

test('the lines of the kernel', () => {
  const queues = parseQueueStats(text);
  assert.deepEqual(queues.get(100), {
    portId: 4711,
    waiting: 3,
    copyMode: 2,
    copyRange: 512,
    queueDropped: 17,
    userDropped: 5,
    lastId: 1234,
  });
  assert.equal(queues.get(101)?.portId, 4_294_967_295);
  assert.equal(queues.size, 2);
});

test('what is not understood is left out', () => {
  assert.equal(parseQueueStats('').size, 0);
  assert.equal(parseQueueStats('queue portid\n1 2 3\n1 2 3 4 5 6 7 -8 1\n').size, 0);
  assert.equal(parseQueueStats('1 2 3 2 5 6 7 8 1 99 100\n').size, 1);
  fc.assert(
    fc.property(fc.string(), (anything) => {
      parseQueueStats(anything);
    }),
  );
});

test('no such file is an empty answer', () => {
  assert.equal(readQueueStats('/nonexistent/nfnetlink_queue').size, 0);
});
