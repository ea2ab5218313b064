import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  checkSocketPath,
  ControlError,
  errorReply,
  LineSplitter,
  parseReply,
  parseRequest,
  resultReply,
} from './protocol.js';

const withCode = (code: string) => (error: unknown) => error instanceof ControlError && error.code === code;

test('a request names its verb, the rest are its arguments', () => {
  assert.deepEqual(parseRequest('{"verb":"status","a":1}'), { verb: 'status', args: { a: 1 } });
  for (const bad of ['', 'x', '[]', 'null', '{}', '{"verb":1}', '{"verb":"a b"}', '{"verb":""}', '"status"'])
    assert.throws(() => parseRequest(bad), withCode('bad-request'), bad);
});

test('arguments cannot reach the prototype', () => {
  const { args } = parseRequest('{"verb":"status","__proto__":{"polluted":true}}');
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.equal(Object.getPrototypeOf(args), Object.prototype);
});

test('any text is a request or an error with a code', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        assert.equal(typeof parseRequest(text).verb, 'string');
      } catch (error) {
        assert.ok(withCode('bad-request')(error));
      }
      try {
        parseReply(text);
      } catch (error) {
        assert.ok(withCode('control-protocol')(error));
      }
    }),
  );
  assert.throws(() => parseRequest('['.repeat(60_000)), withCode('bad-request'));
});

test('what is answered arrives as it was, on one line', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const line = resultReply(value);
      assert.equal(line.indexOf('\n'), line.length - 1);
      assert.deepEqual(parseReply(line), { ok: true, result: JSON.parse(JSON.stringify(value)) as unknown });
    }),
  );
  const reply = parseReply(errorReply('code', 'a\nb'));
  assert.deepEqual(reply, { ok: false, code: 'code', message: 'a\nb' });
  assert.deepEqual(parseReply(resultReply(undefined)), { ok: true, result: null });
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  assert.equal(parseReply(resultReply(circle)).ok, false);
  assert.equal(parseReply(resultReply(1n)).ok, false);
});

test('lines come out the same however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.nat(20), { minLength: 1 }), (lines, cuts) => {
      const wanted = lines.map((line) => line.replaceAll('\n', ' '));
      const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join(''));
      const splitter = new LineSplitter(10_000);
      const found: string[] = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const length = 1 + cuts[i % cuts.length]!;
        found.push(...splitter.push(bytes.subarray(at, at + length))!);
        at += length;
      }
      assert.deepEqual(
        found,
        wanted.map((line) => Buffer.from(line).toString()),
      );
      assert.equal(splitter.pending, false);
    }),
  );
});

test('a line that is too long is refused, ended or not', () => {
  assert.deepEqual(new LineSplitter(3).push(Buffer.from('abc\nabc\n')), ['abc', 'abc']);
  assert.equal(new LineSplitter(3).push(Buffer.from('abcd')), null);
  assert.equal(new LineSplitter(3).push(Buffer.from('a\nabcd\n')), null);
});

test('the length of a path is checked in bytes', () => {
  checkSocketPath(`/${'a'.repeat(106)}`);
  for (const bad of ['', 'a\0b', `/${'a'.repeat(107)}`, `/${'ä'.repeat(60)}`])
    assert.throws(() => {
      checkSocketPath(bad);
    }, withCode('control-path'));
});
