import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { bencodeDepthMax, bencodeItemsMax } from '../limits.js';
import { concat, fromText } from '../testing.js';
import {
  bencodeEnd,
  dictionaryKeys,
  dictionaryValue,
  dictionaryValueOf,
  Incomplete,
  integerMax,
  integerValue,
  isWorthReading,
  Malformed,
  NotInteger,
  readDictionary,
  stringEnd,
  stringIs,
  stringLength,
  stringStart,
} from './bencode.js';

type Value = number | Uint8Array | readonly Value[] | ReadonlyMap<string, Value>;

/** The test's own encoder: bytes of any value, keys in the order of the map. */
function encode(value: Value): Uint8Array {
  if (typeof value === 'number') return fromText(`i${value}e`);
  if (value instanceof Uint8Array) return concat(fromText(`${value.length}:`), value);
  if (value instanceof Map) {
    const parts = [...(value as ReadonlyMap<string, Value>)].map(([key, inner]) =>
      concat(encode(fromText(key)), encode(inner)),
    );
    return concat(fromText('d'), ...parts, fromText('e'));
  }
  return concat(fromText('l'), ...(value as readonly Value[]).map(encode), fromText('e'));
}

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
const values = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.integer(),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(latin1, tie('value')), { maxLength: 5 }).map((entries) => new Map(entries)),
  ),
})).value;

/** Bytes outside the range throw when read: nothing beyond `[start, end)` may be looked at. */
function guarded(bytes: Uint8Array): { view: Uint8Array; start: number; end: number } {
  const start = 7;
  const end = start + bytes.length;
  const view = new Proxy(concat(new Uint8Array(start), bytes, new Uint8Array(9)), {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) {
        assert.ok(Number(key) >= start && Number(key) < end, `read outside: ${key}`);
      }
      return Reflect.get(target, key, target) as unknown;
    },
  });
  return { view, start, end };
}

describe('bencodeEnd', () => {
  test('accepts exactly what an encoder wrote, and no strict prefix of it', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(value);
        assert.equal(bencodeEnd(bytes, 0, bytes.length), bytes.length);
        for (let cut = 0; cut < bytes.length; cut++) assert.equal(bencodeEnd(bytes, 0, cut), Incomplete);
      }),
    );
  });

  test('stops behind the value and reads nothing outside its range, whatever the bytes', () => {
    fc.assert(
      fc.property(values, fc.uint8Array({ maxLength: 8 }), fc.nat(), fc.nat(255), (value, rest, at, byte) => {
        const bytes = encode(value);
        const longer = concat(bytes, rest);
        assert.equal(bencodeEnd(longer, 0, longer.length), bytes.length);
        longer[at % longer.length] = byte;
        const { view, start, end } = guarded(longer);
        const answer = bencodeEnd(view, start, end);
        assert.ok(answer === Malformed || answer === Incomplete || (answer > start && answer <= end));
        dictionaryValue(view, start, end, fromText('key'));
        integerValue(view, start, end);
        stringLength(view, start, end);
      }),
    );
  });

  const malformed = [
    'i-0e', 'i00e', 'i01e', 'i-01e', 'ie', 'i-e', 'i 1e', 'i1.0e', '01:a', '00:', '-1:a', 'e', 'x', ':',
    'di1e1:ae', 'd1:ae', 'dl1:aei1ee', 'dd1:ai1eei1ee', '1234567890:', 'i123456789012345678901e',
  ]; // prettier-ignore
  for (const text of malformed) {
    test(`refuses ${text}`, () => {
      const bytes = fromText(text);
      assert.equal(bencodeEnd(bytes, 0, bytes.length), Malformed);
    });
  }

  test('accepts the empty containers, the empty string and zero', () => {
    for (const text of ['de', 'le', '0:', 'i0e', 'i-1e', 'd0:0:e', 'ldelee']) {
      assert.equal(bencodeEnd(fromText(text), 0, text.length), text.length, text);
    }
  });

  test('bounds nesting and items', () => {
    const nested = (depth: number) => fromText('l'.repeat(depth) + 'e'.repeat(depth));
    assert.equal(bencodeEnd(nested(bencodeDepthMax), 0, 2 * bencodeDepthMax), 2 * bencodeDepthMax);
    assert.equal(bencodeEnd(nested(bencodeDepthMax + 1), 0, 2 * bencodeDepthMax + 2), Malformed);
    const list = (items: number) => fromText(`l${'i1e'.repeat(items)}e`);
    const most = list(bencodeItemsMax - 1);
    assert.equal(bencodeEnd(most, 0, most.length), most.length);
    const tooMany = list(bencodeItemsMax);
    assert.equal(bencodeEnd(tooMany, 0, tooMany.length), Malformed);
  });
});

describe('accessors', () => {
  const bytes = fromText('d1:ai7e1:bd1:ci9ee1:cl1:xe1:d3:abce');
  const end = bytes.length;
  const at = (key: string) => dictionaryValue(bytes, 0, end, fromText(key));

  test('find the value of a key at the top only', () => {
    assert.equal(integerValue(bytes, at('a'), end), 7);
    assert.equal(bytes[at('b')], 'd'.charCodeAt(0));
    assert.equal(bytes[at('c')], 'l'.charCodeAt(0));
    assert.equal(integerValue(bytes, dictionaryValue(bytes, at('b'), end, fromText('c')), end), 9);
    assert.equal(at('e'), -1);
    assert.equal(at(''), -1);
    assert.equal(dictionaryValue(bytes, 1, end, fromText('a')), -1);
  });

  test('find by type', () => {
    const typed = (key: string, type: 'd' | 'l' | 'i' | '0') =>
      dictionaryValueOf(bytes, 0, end, fromText(key), type);
    assert.equal(typed('a', 'i'), at('a'));
    assert.equal(typed('b', 'd'), at('b'));
    assert.equal(typed('c', 'l'), at('c'));
    assert.equal(typed('d', '0'), at('d'));
    assert.equal(typed('d', 'i'), -1);
    assert.equal(typed('a', '0'), -1);
  });

  test('find what is whole before a cut', () => {
    const cut = end - 2;
    assert.equal(dictionaryValue(bytes, 0, cut, fromText('d')), at('d'));
    assert.equal(stringEnd(bytes, at('d'), cut), Incomplete);
    assert.equal(dictionaryValue(bytes, 0, at('b') + 3, fromText('c')), -1);
  });

  test('read strings', () => {
    assert.equal(stringLength(bytes, at('d'), end), 3);
    assert.equal(stringStart(bytes, at('d'), end), at('d') + 2);
    assert.ok(stringIs(bytes, at('d'), end, fromText('abc')));
    assert.ok(!stringIs(bytes, at('d'), end, fromText('abd')));
    assert.ok(!stringIs(bytes, at('d'), end, fromText('abcd')));
    assert.ok(!stringIs(bytes, at('a'), end, fromText('7')));
    assert.equal(stringStart(fromText('12'), 0, 2), Incomplete);
    assert.equal(stringStart(fromText('1x'), 0, 2), Malformed);
    assert.equal(stringStart(fromText(':'), 0, 1), Malformed);
  });

  test('hold integers within what needs no allocation', () => {
    const value = (text: string) => integerValue(fromText(text), 0, text.length);
    assert.equal(value('i-5e'), -5);
    assert.equal(value('i99999999999999999999e'), integerMax);
    assert.equal(value('i-99999999999e'), -integerMax);
    assert.equal(value('i5'), NotInteger);
    assert.equal(value('5:'), NotInteger);
  });
});

test('readDictionary finds all keys in one walk, by their type', () => {
  const keys = dictionaryKeys([
    ['a', 'i'],
    ['b', '0'],
    ['cc', '*'],
  ]);
  const values = (text: string): number[] => {
    readDictionary(fromText(text), 0, text.length, keys);
    return [...keys.values];
  };
  assert.deepEqual(values('d1:ai1e1:b1:x2:ccled'), [4, 10, 17]);
  assert.deepEqual(values('d1:a1:x1:bi1ee'), [-1, -1, -1]);
  assert.deepEqual(values('d1:xd1:ai1ee1:ai2e'), [15, -1, -1]);
  assert.equal(readDictionary(fromText('d1:ai1ee'), 0, 8, keys), 8);
  assert.equal(readDictionary(fromText('d1:ai1e'), 0, 7, keys), Incomplete);
  assert.equal(readDictionary(fromText('d1:ae'), 0, 5, keys), Malformed);
  const long = `d1:xl${'0:'.repeat(300)}e1:ai1ee`;
  assert.equal(readDictionary(fromText(long), 0, long.length, keys), Incomplete);
});

test('a stream is read again after 256 bytes, or when something ends in one of its first packets', () => {
  const stream = new Uint8Array(600);
  assert.equal(isWorthReading(stream, 0, 255, 100, 5), false);
  assert.equal(isWorthReading(stream, 0, 256, 1, 5), true);
  assert.equal(isWorthReading(stream, 0, 256, 1, 30), true);
  assert.equal(isWorthReading(stream, 10, 400, 50, 5), false);
  stream[399] = 0x65;
  assert.equal(isWorthReading(stream, 10, 400, 50, 12), true);
  assert.equal(isWorthReading(stream, 10, 400, 50, 13), false);
});
