import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean, distance, nearest } from './nearest.js';

test('distance counts changes of one letter', () => {
  assert.equal(distance('mode', 'mode'), 0);
  assert.equal(distance('mod', 'mode'), 1);
  assert.equal(distance('frist', 'first'), 1);
  assert.equal(distance('', 'abc'), 3);
});

test('a guess is made only when it is near', () => {
  assert.equal(nearest('copy-bytes', ['copy_bytes', 'batch']), 'copy_bytes');
  assert.equal(nearest('zebra', ['mode', 'batch']), null);
  assert.equal(nearest('a'.repeat(1000), ['a']), null);
  assert.equal(didYouMean('enfroce', ['monitor', 'enforce']), '; did you mean enforce?');
});
