/** Lists and masks of processors, there and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cpuListText, cpuMaskText, parseCpuList, processorHighest } from './cpu-list.js';

test('lists as the kernel writes them', () => {
  assert.deepEqual(parseCpuList('0-3,8-11\n'), [0, 1, 2, 3, 8, 9, 10, 11]);
  assert.deepEqual(parseCpuList('5'), [5]);
  assert.deepEqual(parseCpuList('\n'), [], 'a node without processors');
  assert.deepEqual(parseCpuList('3,1,2-3'), [1, 2, 3]);
});

test('anything else is no list', () => {
  for (const wrong of [
    'a',
    '1-',
    '-1',
    '3-1',
    '1,,2',
    ',',
    '0x3',
    '1 2',
    '0-8192',
    '99999',
    '0-15:2/4',
    '1-2-3',
  ])
    assert.equal(parseCpuList(wrong), null, wrong);
});

test('masks have groups of 32 bits', () => {
  assert.equal(cpuMaskText([]), '0');
  assert.equal(cpuMaskText([0, 1, 31]), '80000003');
  assert.equal(cpuMaskText([32]), '1,00000000');
  assert.equal(cpuMaskText([0, 63, 64]), '1,80000000,00000001');
});

test('property: any set survives writing and reading, and its mask has its bits', () => {
  const set = fc.uniqueArray(fc.integer({ min: 0, max: processorHighest }), { maxLength: 40 });
  fc.assert(
    fc.property(set, (processors) => {
      const sorted = [...processors].sort((a, b) => a - b);
      assert.deepEqual(parseCpuList(cpuListText(processors)), sorted);
      const mask = BigInt(`0x${cpuMaskText(processors).replaceAll(',', '')}`);
      assert.equal(
        mask,
        processors.reduce((sum, id) => sum | (1n << BigInt(id)), 0n),
      );
    }),
  );
});

test('property: no text makes it throw, and what it takes it can write', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9,-]{0,12}$/)), (text) => {
      const list = parseCpuList(text);
      if (list !== null) assert.deepEqual(parseCpuList(cpuListText(list)), list);
    }),
  );
});
