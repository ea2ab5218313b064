import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../testing.js';
import { DnsQuestion, NoQuestion, OpenQuestion, WholeQuestion } from './dns-name.js';

const question = new DnsQuestion();

const labels = (name: string): string =>
  name === ''
    ? '00'
    : `${name
        .split('.')
        .map((label) => Buffer.from([label.length, ...Buffer.from(label, 'latin1')]).toString('hex'))
        .join('')}00`;

const query = (name: string, header = '3a51 0120 0001 0000 0000 0001', tail = '0001 0001'): Uint8Array =>
  fromHex(header + labels(name) + tail);

const read = (bytes: Uint8Array): [number, string] => {
  const outcome = question.read(bytes, 0, bytes.length);
  return [outcome, Buffer.from(question.text.subarray(0, question.length)).toString('latin1')];
};

test('the name of a query, in lower case', () => {
  const bytes = query('Tracker.EXAMPLE.org');
  assert.deepEqual(read(bytes), [WholeQuestion, 'tracker.example.org']);
  assert.deepEqual([question.nameStart, question.nameEnd], [12, 33]);
});

test('the name of an answer, and of one that says that there is none', () => {
  assert.deepEqual(read(query('a.b', '3a51 8180 0001 0005 0000 0001')), [WholeQuestion, 'a.b']);
  assert.deepEqual(read(query('a.b', '3a51 8183 0001 0000 0001 0000')), [WholeQuestion, 'a.b']);
});

test('every cut waits', () => {
  const whole = query('tracker.example.org');
  for (let end = 0; end < whole.length; end++)
    assert.equal(question.read(whole.slice().fill(0xff, end), 0, end), OpenQuestion, String(end));
});

test('the longest name, and one that is longer', () => {
  const longest = [...new Array<string>(3).fill('a'.repeat(63)), 'a'.repeat(61)].join('.');
  assert.deepEqual(read(query(longest)), [WholeQuestion, longest]);
  assert.equal(read(query(`${longest}a`))[0], NoQuestion);
  assert.equal(read(query(`${longest}.a`))[0], NoQuestion);
});

test('what is no question for a name', () => {
  const cases: Record<string, Uint8Array> = {
    'the root': query(''),
    'a space in a label': query('a b.org'),
    'a pointer': fromHex('3a51 0120 0001 0000 0000 0000 c00c 0001 0001'),
    'a pointer behind a label': fromHex('3a51 0120 0001 0000 0000 0000 0161 c00c 0001 0001'),
    'a label of an extended type': fromHex('3a51 0120 0001 0000 0000 0000 4161 00 0001 0001'),
    'two questions': query('a.b', '3a51 0120 0002 0000 0000 0000'),
    'no question': query('a.b', '3a51 0120 0000 0000 0000 0000'),
    'a notification': query('a.b', '3a51 2000 0001 0000 0000 0000'),
    'the reserved bit': query('a.b', '3a51 0140 0001 0000 0000 0000'),
    'a query with answers': query('a.b', '3a51 0120 0001 0001 0000 0000'),
    'a query with a status': query('a.b', '3a51 0123 0001 0000 0000 0000'),
    'type 0': query('a.b', undefined, '0000 0001'),
    'class CHAOS': query('a.b', undefined, '0001 0003'),
  };
  for (const [what, bytes] of Object.entries(cases)) assert.equal(read(bytes)[0], NoQuestion, what);
});
