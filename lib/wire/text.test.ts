import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText, SeededRandom } from '../testing.js';
import {
  ascii,
  decimal,
  find,
  hexDecode,
  hexDigit,
  indexOfByte,
  isBeginningOf,
  isCounter,
  needle,
  percentDecode,
  startsWith,
  startsWithIgnoringCase,
  writeDecimal,
} from './text.js';

test('compares beginnings, with and without case', () => {
  const bytes = fromText('xGET /');
  assert.ok(startsWith(bytes, 1, bytes.length, ascii('GET ')));
  assert.ok(!startsWith(bytes, 1, 4, ascii('GET ')), 'the range ends first');
  assert.ok(startsWithIgnoringCase(fromText('Range:'), 0, 6, ascii('range:')));
  assert.ok(!startsWithIgnoringCase(fromText('Rang'), 0, 4, ascii('range:')));
  assert.ok(isBeginningOf(fromText('GE'), 0, 2, ascii('GET ')));
  assert.ok(!isBeginningOf(fromText('GET '), 0, 4, ascii('GET ')), 'not a proper beginning');
});

test('finds a text as a plain search does', () => {
  const random = new SeededRandom(7);
  for (const text of ['\nuser-agent:', '\r\n\r\n', 'aab', 'x']) {
    const what = needle(text);
    for (let round = 0; round < 2000; round++) {
      let haystack = Array.from({ length: random.below(60) }, () => 'abAx\r\n:-'[random.below(8)]).join('');
      if (random.below(2) === 0) {
        const at = random.below(haystack.length + 1);
        haystack = haystack.slice(0, at) + text.toUpperCase() + haystack.slice(at);
      }
      const start = random.below(4);
      const bytes = fromText(haystack);
      const expected = haystack.toLowerCase().indexOf(text, start);
      assert.equal(find(bytes, start, bytes.length, what), expected, JSON.stringify([haystack, text, start]));
    }
  }
  assert.equal(find(fromText('xx--boundary'), 0, 11, needle('boundary')), -1, 'the range ends first');
});

test('reads numbers and digits', () => {
  assert.equal(decimal(fromText('51413'), 0, 5), 51413);
  assert.equal(decimal(fromText('51a13'), 0, 5), -1);
  assert.equal(decimal(fromText(''), 0, 0), -1);
  assert.equal(decimal(fromText('1234567890'), 0, 10), -1, 'more than nine digits');
  assert.ok(isCounter(fromText('18446744073709551615'), 0, 20));
  assert.ok(!isCounter(fromText('-1'), 0, 2));
  assert.deepEqual([0x30, 0x66, 0x46, 0x67, 0x2f].map(hexDigit), [0, 15, 15, -1, -1]);
  assert.equal(indexOfByte(fromText('abc'), 0, 3, 0x63), 2);
  assert.equal(indexOfByte(fromText('abc'), 0, 2, 0x63), 2, 'end when it is not there');
});

test('undoes percent-encoding', () => {
  const into = new Uint8Array(8);
  const decode = (text: string): string => {
    const length = percentDecode(fromText(text), 0, text.length, into);
    return length < 0 ? 'no' : Buffer.from(into.subarray(0, length)).toString('latin1');
  };
  assert.equal(decode('a%2fb%FFc'), 'a/b\xffc');
  assert.equal(decode('%4'), 'no');
  assert.equal(decode('%zz'), 'no');
  assert.equal(decode('123456789'), 'no', 'longer than the target');
  assert.equal(decode('%31%32%33%34%35%36%37%38'), '12345678');
});

test('whole numbers are written in decimal', () => {
  for (const value of [0, 1, 9, 10, 99, 100, 999, 1000, 45852, 65535]) {
    const into = new Uint8Array(8);
    const end = writeDecimal(into, 1, value);
    assert.equal(Buffer.from(into.subarray(1, end)).toString(), `${value}`);
  }
});

test('hexadecimal digits of either case are decoded, others refuse the whole', () => {
  const into = new Uint8Array(4);
  assert.equal(hexDecode(fromText('x00fFa5'), 1, 7, into), true);
  assert.deepEqual([...into], [0x00, 0xff, 0xa5, 0]);
  for (const text of ['0g', 'g0', '00-1'])
    assert.equal(hexDecode(fromText(text), 0, text.length, into), false, text);
});
