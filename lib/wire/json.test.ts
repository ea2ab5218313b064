import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../testing.js';
import {
  isJsonNumber,
  jsonIs,
  jsonLatin1,
  jsonMember,
  jsonStringEnd,
  jsonValueEnd,
  memberNames,
  readMembers,
} from './json.js';
import { ascii } from './text.js';

const member = (json: string, name: string): string | null => {
  const bytes = fromText(json);
  const at = jsonMember(bytes, 0, bytes.length, ascii(`"${name}"`));
  if (at < 0) return null;
  const end = jsonValueEnd(bytes, at, bytes.length);
  return json.slice(at, end < 0 ? undefined : end);
};

test('finds members of the object, not of its values', () => {
  const json = ' {"x":{"b":1},"t":"\\"b\\":2","l":[{"b":3},4],"b" : 5 }'.trim();
  assert.equal(member(json, 'b'), '5 ');
  assert.equal(member(json, 'l'), '[{"b":3},4]');
  assert.equal(member(json, 'c'), null);
  assert.equal(member('[{"b":1}]', 'b'), null);
  assert.equal(member('{"a":"cut', 'a'), '"cut');
  assert.equal(member('{"a":"cut', 'b'), null);
  assert.equal(member('{"a" 1}', 'a'), null);
});

test('agrees with JSON.parse on whole objects', () => {
  const object = { a: [1, { b: '}' }], 'k"': 'v', n: -3, o: { p: { q: null } }, z: true };
  const json = JSON.stringify(object);
  for (const [name, value] of Object.entries(object)) {
    const bytes = fromText(json);
    const at = jsonMember(bytes, 0, bytes.length, ascii(JSON.stringify(name)));
    assert.deepEqual(JSON.parse(json.slice(at, jsonValueEnd(bytes, at, bytes.length))), value);
  }
});

test('decodes Latin-1 strings from UTF-8 and escapes', () => {
  const into = new Uint8Array(20);
  const decode = (json: Uint8Array): string => {
    const length = jsonLatin1(json, 0, json.length, into);
    return length < 0 ? 'no' : Buffer.from(into.subarray(0, length)).toString('latin1');
  };
  assert.equal(decode(Uint8Array.from(Buffer.from('"ÿ\\u00e9\\n\\"a"', 'utf8'))), '\xff\xe9\n"a');
  assert.equal(decode(Uint8Array.from(Buffer.from('"€"', 'utf8'))), 'no');
  assert.equal(decode(fromText('"\\u0100"')), 'no');
  assert.equal(decode(fromText('"abc')), 'no', 'cut');
  assert.equal(decode(fromText('"\\x"')), 'no');
  assert.equal(decode(fromText(`"${'a'.repeat(21)}"`)), 'no');
});

test('reads strings and numbers by their bytes', () => {
  const bytes = fromText('"announce",-5');
  assert.ok(jsonIs(bytes, 0, bytes.length, ascii('"announce"')));
  assert.ok(!jsonIs(bytes, 0, 5, ascii('"announce"')));
  assert.equal(jsonStringEnd(bytes, 0, bytes.length), 10);
  assert.ok(isJsonNumber(bytes, 11, bytes.length));
  assert.ok(!isJsonNumber(bytes, 0, bytes.length) && !isJsonNumber(bytes, -1, bytes.length));
});

test('readMembers finds all members in one walk', () => {
  const names = memberNames(['a', 'bc']);
  const text = '{"x":{"a":1},"bc":[1],"a":2,"a":3';
  readMembers(fromText(text), 0, text.length, names);
  assert.deepEqual([...names.values], [text.indexOf('2,'), text.indexOf('[1]')]);
});
