import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../testing.js';
import {
  bodyData,
  headEnd,
  headerValue,
  isClosedRange,
  isGet,
  isResponse,
  lastSegment,
  lineEnd,
  mayBecomeHttp,
  NoBodyYet,
  parameterEnd,
  parameterValue,
  queryStart,
  isRequestLineWorthReading,
  isRequestWorthReading,
  requestHeadWasOpen,
  requestLineWasOpen,
  responseBody,
  statusCode,
} from './http.js';
import { ascii, needle } from './text.js';

const text = (bytes: Uint8Array, from: number, to: number): string =>
  Buffer.from(bytes.subarray(from, to)).toString('latin1');

test('knows requests and responses by their first bytes', () => {
  const get = fromText('GET /a HTTP/1.1\r\n');
  assert.ok(isGet(get, 0, get.length) && !isGet(get, 0, 3) && !isGet(get, 1, get.length));
  const response = fromText('HTTP/1.1 206 Partial Content\r\n');
  assert.ok(isResponse(response, 0, response.length) && !isResponse(get, 0, get.length));
  assert.equal(statusCode(response, 0, response.length), 206);
  assert.ok(mayBecomeHttp(fromText('GE'), 0, 2) && mayBecomeHttp(fromText('HTT'), 0, 3));
  assert.ok(!mayBecomeHttp(fromText('GX'), 0, 2) && !mayBecomeHttp(fromText(''), 0, 0));
});

test('finds the end of the head, with CR LF and with LF alone', () => {
  for (const [head, body] of [
    ['HTTP/1.1 200 OK\r\nA: b\r\n\r\n', 'body'],
    ['HTTP/1.0 200 OK\nA: b\n\n', 'body'],
  ] as const) {
    const bytes = fromText(head + body);
    assert.equal(headEnd(bytes, 0, bytes.length), head.length);
    assert.equal(headEnd(bytes, 0, head.length - 1), -1);
  }
});

test('finds header fields at the start of a line only', () => {
  const name = needle('\nrange:');
  const bytes = fromText('GET / HTTP/1.1\r\nX: range:1\r\nRaNgE: \tbytes=0-1\r\n\r\n');
  const at = headerValue(bytes, 0, bytes.length, name);
  assert.equal(text(bytes, at, lineEnd(bytes, at, bytes.length)), 'bytes=0-1');
  assert.equal(headerValue(bytes, 0, 30, name), -1);
});

test('takes parameters of the target, never those inside a value', () => {
  const bytes = fromText('GET /a/b?x=1&key=v?key=w&z HTTP/1.1\r\n&key2=no');
  const query = queryStart(bytes, 4, bytes.length);
  assert.equal(text(bytes, query, query + 3), 'x=1');
  const at = parameterValue(bytes, query, bytes.length, ascii('key='));
  assert.equal(text(bytes, at, parameterEnd(bytes, at, bytes.length)), 'v?key=w');
  assert.equal(parameterValue(bytes, query, bytes.length, ascii('key2=')), -1);
  assert.equal(text(bytes, lastSegment(bytes, 4, query - 1), query - 1), 'b');
  const bare = fromText('GET /a HTTP/1.1\r\nReferer: ?x');
  assert.equal(queryStart(bare, 4, bare.length), -1);
  assert.equal(queryStart(bare, 4, 6), 6, 'the range ends first');
});

test('finds the body, behind the head and behind a chunk size', () => {
  const plain = fromText('HTTP/1.1 200 OK\r\n\r\nd8:');
  assert.equal(responseBody(plain, 0, plain.length), 19);
  assert.equal(responseBody(plain, 0, 19), NoBodyYet);
  const chunked = fromText('HTTP/1.1 200 OK\r\n\r\n5e;x=y\r\nd8:');
  assert.equal(responseBody(chunked, 0, chunked.length), 27);
  const body = fromText('d8:interval');
  assert.equal(bodyData(body, 0, body.length), 0, 'hexadecimal digits without a line end are the body');
});

test('says whether a request had been open before the last bytes', () => {
  const bytes = fromText('GET /abc HTTP/1.1\r\nHost: x\r\n\r\n');
  assert.ok(requestLineWasOpen(bytes, 0, bytes.length, bytes.length - 6));
  assert.ok(!requestLineWasOpen(bytes, 0, bytes.length, 4));
  assert.ok(!requestLineWasOpen(bytes, 0, bytes.length, bytes.length), 'nothing was there before');
  assert.ok(requestHeadWasOpen(bytes, 0, bytes.length, 4));
  assert.ok(!requestHeadWasOpen(fromText('HTTP/1.1 200'), 0, 12, 4));
});

test('a request that comes in tiny segments is read again every 256 bytes, and where its head or a line ends', () => {
  const read = (text: string, newBytes: number, packet: number): boolean =>
    isRequestWorthReading(fromText(text), 0, text.length, newBytes, packet);
  const head = `GET /${'a'.repeat(280)} HTTP/1.1\r\nHost: h\r\n`;
  assert.ok(read(head, 1, 4));
  assert.ok(!read(head, 1, 5));
  assert.ok(read(head, head.length - 255, 9));
  assert.ok(read(`${head}\r\n`, 1, 9));
  assert.ok(read(`${head}\r\nGET`, 4, 9));
  assert.ok(!read(`${head}\r\nGET`, 3, 9));
  assert.ok(!read(`${head}\n`, 1, 9), 'no empty line behind lines with CR LF');
  const bare = head.replaceAll('\r', '');
  assert.ok(!read(bare, 1, 9));
  assert.ok(read(`${bare}\n`, 1, 9));
  const line = (text: string, newBytes: number, packet: number): boolean =>
    isRequestLineWorthReading(fromText(text), 0, text.length, newBytes, packet);
  assert.ok(line(head, 1, 9));
  assert.ok(!line(head.slice(0, -2), 1, 9));
  assert.ok(line(head.slice(0, -2), 1, 4));
});

test('a closed range names both ends', () => {
  const closed = (text: string): boolean => isClosedRange(fromText(text), 0, text.length);
  assert.equal(closed('bytes=0-1\r'), true);
  assert.equal(closed('Bytes=16384-32767,1-2'), true);
  for (const text of ['bytes=0-', 'bytes=0-\r', 'bytes=-5', 'bytes=', 'items=0-1'])
    assert.equal(closed(text), false, text);
});

test('the empty line is found wherever it lies', () => {
  for (let length = 0; length < 12; length++) {
    const head = `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(length)}\r\n\r\n`;
    const bytes = fromText(`${head}body`);
    assert.equal(headEnd(bytes, 0, bytes.length), head.length);
    assert.equal(headEnd(bytes, 0, head.length), head.length);
    assert.equal(headEnd(bytes, 0, head.length - 1), -1);
  }
});
