import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareResults, differences, renderComparison, unmatched } from './compare-results.js';
import { less, medianOf, more, parseResult } from './result.js';
import { resultOf } from './testing.js';

const first = resultOf('aaa1111', {
  decode: [less('decode', 30, 'ns')],
  ring: [more('2 consumers', 3_000_000, '/s'), less('delay', 50, 'µs'), less('old', 1, 'ns')],
  inline: [more('seen', NaN, '/s')],
});
const second = resultOf('bbb2222', {
  decode: [less('decode', 20, 'ns')],
  ring: [more('2 consumers', 1_500_000, '/s'), less('delay', 50, 'ms'), less('new', 1, 'ns')],
  inline: [more('seen', 5, '/s')],
});

test('above one is better, whether little or much is wanted', () => {
  assert.deepEqual(
    compareResults(first, second).map(({ part, name, times }) => [part, name, times]),
    [
      ['decode', 'decode', 1.5],
      ['ring', '2 consumers', 0.5],
    ],
  );
  assert.ok(compareResults(first, first).every(({ times }) => times === 1));
});

test('a figure of zero is no ratio, unless both are zero', () => {
  const times = (a: number, b: number): number[] =>
    compareResults(
      resultOf('a', { decode: [less('decode', a, 'ns')] }),
      resultOf('b', { decode: [less('decode', b, 'ns')] }),
    ).map((each) => each.times);
  assert.deepEqual(times(0, 0), [1]);
  assert.deepEqual(times(0, 5), []);
  assert.deepEqual(times(5, 0), []);
});

test('what only one of them has is named', () => {
  assert.deepEqual(unmatched(first, second), ['ring: old']);
  assert.deepEqual(unmatched(second, first), ['ring: new']);
});

test('another machine or other options are said', () => {
  assert.deepEqual(differences(first, second), []);
  const other = { ...second, options: { quick: 'yes' }, machine: { ...second.machine, cores: 8 } };
  assert.deepEqual(differences(first, other), [
    'number of cores differs: 2 and 8.',
    'option repeat differs: 3 and default.',
    'option quick differs: default and yes.',
  ]);
});

test('the comparison as text', () => {
  assert.equal(
    renderComparison(first, second),
    `# aaa1111 beside bbb2222

The last column says how many times as good the second is: above 1 is better, for nanoseconds as for packets per second.

| machine                       | is                           |
| ----------------------------- | ---------------------------- |
| processor                     | a processor, 2 cores, 16 GiB |
| kernel                        | Linux 6.1                    |
| Node                          | v20.1.0, V8 11.3             |
| load average before and after | 0.50 and 1.25                |
| tcpdump                       | tcpdump version 4.99.3       |
| go                            | not installed                |
| option repeat                 | 3                            |

| part   | figures | median times | worst | best |
| ------ | ------: | -----------: | ----: | ---: |
| decode |       1 |         1.50 |  1.50 | 1.50 |
| ring   |       1 |         0.50 |  0.50 | 0.50 |

| figure            | unit | aaa1111 | bbb2222 | times |
| ----------------- | ---: | ------: | ------: | ----: |
| decode: decode    |   ns |      30 |      20 |  1.50 |
| ring: 2 consumers |   /s | 3000000 | 1500000 |  0.50 |

- only in aaa1111: ring: old
- only in bbb2222: ring: new
`,
  );
});

test('several turns of a revision count as their median, figure by figure', () => {
  const turn = (value: number): typeof first =>
    resultOf('aaa1111', { decode: [less('decode', value, 'ns')] });
  assert.deepEqual(medianOf([turn(10), turn(90), turn(20)]).parts[0]!.figures, [less('decode', 20, 'ns')]);
});

test('a turn in which a part failed takes nothing from the others', () => {
  const failed = { ...first, parts: first.parts.map((part) => ({ ...part, figures: [] })) };
  assert.deepEqual(medianOf([failed, first]).parts[0]!.figures, first.parts[0]!.figures);
});

test('what is no result of this format is refused with a reason', () => {
  assert.deepEqual(parseResult(JSON.stringify(second), 'b.json').machine, second.machine);
  assert.throws(() => parseResult('# Swarmgate', 'b.md'), /b\.md is not JSON/);
  assert.throws(() => parseResult('{"machine":{}}', 'old.json'), /old\.json is a result of format 1/);
  assert.throws(() => parseResult('null', 'n.json'), /format 1/);
});
