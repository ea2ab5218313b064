import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markdownTable, renderResult } from './markdown.js';
import { leftOut, target } from './result.js';
import { resultOf } from './testing.js';

test('a table is padded, its figures are to the right, and no cell can break it', () => {
  assert.equal(
    markdownTable(
      ['', 'ns'],
      [
        ['a | b', '1'],
        ['c\nd', '23456'],
      ],
    ),
    ['|        |    ns |', '| ------ | ----: |', '| a \\| b |     1 |', '| c d    | 23456 |'].join('\n'),
  );
});

test('a row that is too short has empty cells', () => {
  assert.equal(
    markdownTable(['', 'wall', 'CPU'], [['a', 'failed']]).split('\n')[2],
    '| a    | failed |      |',
  );
});

test('a result names machine, versions, targets, what was left out and why, and each table', () => {
  const base = resultOf('abc1234', { decode: [] });
  const text = renderResult({
    ...base,
    parts: [
      {
        ...base.parts[0]!,
        tables: [{ title: 'Per packet', head: ['', 'ns'], rows: [['decode', '15']], notes: ['Of a mix.'] }],
        targets: [
          target('decode', 15, ['<', 20], ' ns', 0),
          target('lookups', 99, ['<=', 20], ' ns', 0),
          target('more', NaN, ['>=', 20], ' ns', 0),
        ],
      },
      leftOut('inline', 'needs root'),
    ],
  });
  assert.equal(
    text,
    `# Swarmgate benchmark, 2026-11-21, commit abc1234

| machine                       | is                           |
| ----------------------------- | ---------------------------- |
| processor                     | a processor, 2 cores, 16 GiB |
| kernel                        | Linux 6.1                    |
| Node                          | v20.1.0, V8 11.3             |
| load average before and after | 0.50 and 1.25                |
| tcpdump                       | tcpdump version 4.99.3       |
| go                            | not installed                |
| option repeat                 | 3                            |

## Left out

- inline: needs root

## Targets

| target          |   wanted |      reached |  met |
| --------------- | -------: | -----------: | ---: |
| decode: decode  |  < 20 ns |        15 ns |  yes |
| decode: lookups | <= 20 ns |        99 ns |   NO |
| decode: more    | >= 20 ns | not measured |    - |

## Decoding

Part \`decode\`, 2 s.

### Per packet

|        |   ns |
| ------ | ---: |
| decode |   15 |

- Of a mix.
`,
  );
});
