import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvCell, escapeHtml, jsonText, printable } from './escape.js';
import { hostileTexts } from './testing.js';

test('printable leaves ordinary text alone, also beyond ASCII', () => {
  for (const text of ['-TR4050-', 'µTorrent 3.5', 'файл.pcap', '日本語', 'a b'])
    assert.equal(printable(text), text);
});

test('printable shows what would act on a terminal or reorder a line', () => {
  assert.equal(printable('\x1b[31m\x07'), '\\x1b[31m\\x07');
  assert.equal(printable('a\u202eb\u200b'), 'a\\u{202e}b\\u{200b}');
  assert.equal(printable('\x9b\x7f\u2028\ud800'), '\\x9b\\x7f\\u{2028}\\u{d800}');
  assert.equal(printable('\u{e0041}'), '\\u{e0041}');
  for (const text of hostileTexts) assert.doesNotMatch(printable(text), /[\p{Cc}\p{Cf}]/u);
});

test('printable bounds the length', () => {
  assert.equal(printable('x'.repeat(1000)).length, 200);
  assert.equal(printable('abcdef', 4), 'abc…');
});

test('escapeHtml leaves no character that ends a text or an attribute', () => {
  assert.equal(escapeHtml(`<a b="c" d='e'>&\``), '&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;&#96;');
});

test('csvCell quotes, doubles quotes and disarms formulas', () => {
  assert.equal(csvCell('plain'), 'plain');
  assert.equal(csvCell('a,"b"'), '"a,""b"""');
  for (const start of ['=', '+', '-', '@', '\t']) assert.match(csvCell(`${start}1`), /^'/);
  assert.equal(csvCell(-5), '-5');
  assert.equal(csvCell(null), '');
  assert.equal(csvCell(undefined), '');
});

test('jsonText parses back to the same value', () => {
  for (const text of hostileTexts) assert.equal(JSON.parse(jsonText(text)), text);
  assert.equal(jsonText('\x9b\u202e'), '"\\u009b\\u202e"');
});
