import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecisionList, decisionsMax, flowEndsOf, isBetweenEnds, type FlowEnds } from './decision-list.js';
import { fakeDecision } from './status-testing.js';
import { fakeReport } from './testing.js';

const ends: FlowEnds = {
  proto: null,
  a: '192.168.1.10',
  a_port: 51413,
  b: '198.51.100.7',
  b_port: 6881,
};

test('the ring keeps the last ones, newest first', () => {
  const list = new DecisionList();
  assert.deepEqual(list.newest(), []);
  for (let worker = 0; worker < 1000; worker++) list.add(fakeDecision({ worker }));
  assert.equal(list.size, decisionsMax);
  assert.equal(list.newest().length, decisionsMax);
  assert.deepEqual(
    list.newest(3).map(({ worker }) => worker),
    [999, 998, 997],
  );
  assert.equal(list.newest().at(-1)?.worker, 1000 - decisionsMax);
});

test('a flow is found by its ends in either order; the newest of equal ones', () => {
  const list = new DecisionList(4);
  list.add(fakeDecision({ worker: 1 }));
  list.add(fakeDecision({ worker: 2 }));
  list.add(fakeDecision({ flow: fakeReport({ client_port: 1 }) }));
  assert.equal(list.find(ends)?.worker, 2);
  const swapped = { ...ends, a: ends.b, a_port: ends.b_port, b: ends.a, b_port: ends.a_port };
  assert.equal(list.find(swapped)?.worker, 2);
  assert.equal(list.find({ ...ends, proto: 'udp' }), null);
  assert.equal(list.find({ ...ends, a_port: 2 }), null);
  assert.ok(!isBetweenEnds(fakeReport(), { ...ends, a_port: 6881, b_port: 51413 }));
});

test('the ends of a request are checked', () => {
  assert.deepEqual(flowEndsOf({ ...ends, more: 1 }), ends);
  for (const bad of [
    {},
    { proto: 'sctp' },
    { a: 1 },
    { a: 'x'.repeat(10) },
    { a: '1'.repeat(100) },
    { a_port: 65_536 },
    { a_port: -1 },
    { b_port: 1.5 },
    { b_port: '80' },
  ])
    if (Object.keys(bad).length > 0) assert.equal(flowEndsOf({ ...ends, ...bad }), null, JSON.stringify(bad));
  assert.equal(flowEndsOf({}), null);
});
