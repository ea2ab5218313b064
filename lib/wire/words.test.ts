import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../testing.js';
import { dataOf, word16, word32 } from './words.js';

test('reads big-endian words at an offset', () => {
  const bytes = fromHex('00 ff 01 02 03');
  assert.equal(word16(bytes, 1), 0xff01);
  assert.equal(word32(bytes, 1), 0xff010203 | 0);
});

test('a DataView is made once per array, of just its bytes, however many arrays take turns', () => {
  const memory = Uint8Array.from({ length: 32 }, (_, i) => i).buffer;
  const arrays = [0, 3, 7, 11].map((offset) => new Uint8Array(memory, offset, 8));
  const views = arrays.map((array) => dataOf(array));
  for (let round = 0; round < 3; round++)
    for (const [i, array] of arrays.entries()) {
      const data = dataOf(array);
      assert.equal(data, views[i]);
      assert.deepEqual(
        [data.byteLength, data.getUint8(0), data.getInt32(4)],
        [8, array[0], word32(array, 4)],
      );
    }
});

test('a DataView of shared memory, of no bytes, and of another array over the same memory', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(16), 4);
  shared[0] = 0xfe;
  assert.equal(dataOf(shared).getUint8(0), 0xfe);
  assert.equal(dataOf(new Uint8Array(0)).byteLength, 0);
  // A slab that is opened again is another array; what the old one was known for must not be read.
  const again = new Uint8Array(shared.buffer, 0, 8);
  assert.deepEqual([dataOf(again).byteOffset, dataOf(shared).byteOffset], [0, 4]);
});
