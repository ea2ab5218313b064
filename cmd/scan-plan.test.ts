import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Input } from './inputs.js';
import { readWorkers, thisMachine, workersFor, type Workers } from './scan-plan.js';

const gib = 2 ** 30;
const big = { cores: 8, memoryBytes: 64 * gib };
const plain = { continuous: false, flowsMax: 524_288 };

function files(count: number, sizeBytes: number): Input[] {
  return Array.from({ length: count }, (_, i) => ({ path: `${i}.pcap`, fromFolder: true, sizeBytes }));
}

test('--workers: auto or 1 to 64, anything else is refused', () => {
  for (const [text, expected] of [
    ['auto', 'auto'],
    ['1', 1],
    ['08', 8],
    ['64', 64],
  ] as const satisfies readonly (readonly [string, Workers])[])
    assert.equal(readWorkers(text), expected);
  for (const text of ['', '0', '65', '-1', '1.5', '1e1', 'two', ' 2', '2x', '9999'])
    assert.throws(() => readWorkers(text), { code: 'bad-argument', message: /--workers: auto, or/ }, text);
});

test('auto: no more than cores, files, or than there is work for', () => {
  assert.equal(workersFor('auto', files(100, gib), plain, big), 8);
  assert.equal(workersFor('auto', files(3, 2 * gib), plain, big), 3);
  assert.equal(workersFor('auto', files(200, 1e5), plain, big), 1);
  assert.equal(workersFor('auto', files(20_000, 1e4), plain, big), 3);
  assert.equal(workersFor('auto', [], plain, big), 1);
});

test('auto: one large file keeps one thread busy, whatever its size', () => {
  assert.equal(workersFor('auto', files(1, 100 * gib), plain, big), 1);
  assert.equal(workersFor('auto', [...files(1, 100 * gib), ...files(50, 1e6)], plain, big), 1);
  assert.equal(workersFor('auto', [...files(1, 100 * gib), ...files(6, gib)], plain, big), 4);
});

test('auto: fewer threads where memory is short or tables are large', () => {
  const many = files(100, gib);
  assert.equal(workersFor('auto', many, plain, { cores: 8, memoryBytes: 2 * gib }), 1);
  assert.equal(workersFor('auto', many, plain, { cores: 8, memoryBytes: 4 * gib }), 3);
  assert.equal(workersFor('auto', many, { continuous: false, flowsMax: 4_194_304 }, big), 8);
  assert.equal(
    workersFor('auto', many, { continuous: false, flowsMax: 4_194_304 }, { ...big, memoryBytes: 16 * gib }),
    3,
  );
});

test('a number is taken as it is, but for the files there are', () => {
  assert.equal(workersFor(8, files(3, 10), plain, { cores: 1, memoryBytes: 1 }), 3);
  assert.equal(workersFor(2, files(100, 10), plain, big), 2);
  assert.equal(workersFor(2, [], plain, big), 1);
});

test('one world and what is no regular file are left to one thread', () => {
  assert.equal(workersFor(8, files(100, gib), { ...plain, continuous: true }, big), 1);
  for (const choice of ['auto', 8] as const)
    assert.equal(workersFor(choice, [...files(100, gib), { path: '-', fromFolder: false }], plain, big), 1);
});

test('this machine has a core and some memory', () => {
  const { cores, memoryBytes } = thisMachine();
  assert.ok(cores >= 1 && memoryBytes > 2 ** 26, `${cores} ${memoryBytes}`);
});
