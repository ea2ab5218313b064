import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openingBytes } from '../limits.js';
import { fromText, SeededRandom } from '../testing.js';
import { OpeningPool } from './openings.js';

function content(pool: OpeningPool, opening: number): Uint8Array {
  const start = pool.start(opening);
  return pool.bytes.slice(start, start + pool.length[opening]!);
}

test('segments out of order become readable when the gap is filled', () => {
  const pool = new OpeningPool(2);
  const opening = pool.take(1, 0);
  const text = fromText('abcdefghij');
  assert.equal(pool.put(opening, 4, text, 4, 10), 0);
  assert.equal(pool.put(opening, 0, text, 0, 2), 2);
  assert.equal(pool.put(opening, 2, text, 2, 4), 10);
  assert.deepEqual(content(pool, opening), text);
  assert.equal(pool.conflicts, 0);
});

test('what arrived first stays, and a different copy is counted', () => {
  const pool = new OpeningPool(1);
  const opening = pool.take(1, 0);
  pool.put(opening, 0, fromText('GET /'), 0, 5);
  pool.put(opening, 0, fromText('POST /x'), 0, 7);
  assert.deepEqual(content(pool, opening), fromText('GET /x'.padEnd(7, 'x').slice(0, 5) + '/x'));
  assert.equal(pool.conflicts, 5);
});

test('bytes before the opening and beyond its end are not kept', () => {
  const pool = new OpeningPool(1);
  const opening = pool.take(1, 0);
  assert.equal(pool.put(opening, -3, fromText('abcdef'), 0, 6), 3);
  assert.deepEqual(content(pool, opening), fromText('def'));
  assert.equal(pool.put(opening, openingBytes - 2, fromText('abcdef'), 0, 6), 3);
  assert.equal(pool.put(opening, openingBytes + 5, fromText('abcdef'), 0, 6), 3);
  assert.equal(pool.put(opening, -100, fromText('abcdef'), 0, 6), 3);
});

test('when full the opening taken longest ago is named, then taken over', () => {
  const pool = new OpeningPool(3);
  const openings = [pool.take(10, 0), pool.take(11, 1), pool.take(12, 0)];
  assert.equal(pool.used, 3);
  const victim = pool.next();
  assert.equal(pool.owner[victim], 10);
  assert.equal(pool.take(13, 1), victim);
  assert.equal(pool.owner[victim], 13);
  assert.equal(pool.side[victim], 1);
  assert.equal(pool.length[victim], 0);
  assert.equal(pool.takenOver, 1);
  pool.release(openings[1]!);
  assert.equal(pool.next(), -1);
  assert.equal(pool.take(14, 0), openings[1]);
});

test('the oldest is named whatever was given back and taken again in between', () => {
  const pool = new OpeningPool(2);
  const first = pool.take(1, 0);
  pool.take(2, 0);
  pool.release(first);
  pool.take(3, 0);
  assert.equal(pool.owner[pool.next()], 2);
});

test('a taken-over opening shows nothing of its former owner', () => {
  const pool = new OpeningPool(1);
  const first = pool.take(1, 0);
  pool.put(first, 0, fromText('secret'), 0, 6);
  const second = pool.take(2, 0);
  assert.equal(pool.put(second, 2, fromText('x'), 0, 1), 0);
  assert.equal(pool.put(second, 0, fromText('ab'), 0, 2), 3);
  assert.deepEqual(content(pool, second), fromText('abx'));
});

test('property: any cut, order and repetition of segments gives the stream back', () => {
  const segments = fc.array(fc.tuple(fc.integer({ min: 0, max: 299 }), fc.integer({ min: 1, max: 80 })), {
    minLength: 1,
    maxLength: 40,
  });
  const pool = new OpeningPool(1);
  fc.assert(
    fc.property(segments, fc.integer(), (list, seed) => {
      const stream = new SeededRandom(seed).bytes(300);
      const seen = new Uint8Array(300);
      const opening = pool.take(1, 0);
      for (const [from, length] of list) {
        const to = Math.min(300, from + length);
        pool.put(opening, from, stream, from, to);
        seen.fill(1, from, to);
      }
      const gap = seen.indexOf(0);
      assert.deepEqual(content(pool, opening), stream.slice(0, gap < 0 ? 300 : gap));
      pool.release(opening);
    }),
  );
  assert.equal(pool.conflicts, 0);
});

test('one datagram is kept, cut to the opening, with its wire length', () => {
  const pool = new OpeningPool(1);
  const opening = pool.take(1, 0);
  pool.keepDatagram(opening, fromText('first one'), 0, 9, 9);
  pool.keepDatagram(opening, fromText('xx2nd'), 2, 5, 1400);
  assert.deepEqual(content(pool, opening), fromText('2nd'));
  assert.equal(pool.wireLength[opening], 1400);
  pool.keepDatagram(opening, new Uint8Array(openingBytes + 10), 0, openingBytes + 10, openingBytes + 10);
  assert.equal(pool.length[opening], openingBytes);
});

test('dropping the front moves what is kept, also beyond a gap', () => {
  const pool = new OpeningPool(2);
  pool.take(1, 0);
  const opening = pool.take(1, 1);
  pool.put(opening, 0, fromText('proxyinn'), 0, 8);
  pool.put(opening, 9, fromText('r!'), 0, 2);
  assert.equal(pool.dropFront(opening, 5), true);
  assert.deepEqual(content(pool, opening), fromText('inn'));
  pool.put(opening, 3, fromText('e'), 0, 1);
  assert.deepEqual(content(pool, opening), fromText('inner!'));
  assert.equal(pool.conflicts, 0);
  pool.put(opening, openingBytes - 1, fromText('z'), 0, 1);
  assert.equal(pool.dropFront(opening, 7), true);
  assert.equal(pool.length[opening], 0);
  assert.equal(pool.dropFront(opening, openingBytes + 9), false);
});
