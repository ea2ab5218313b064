import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../testing.js';
import { addressWords, readAddress } from './address-bytes.js';
import { addressText, parseAddress } from './address.js';

/** The address as it is read between bytes that would go on with it, or null. */
function read(text: string): string | null {
  const bytes = fromText(`1:${text}:1`);
  const version = readAddress(bytes, 2, bytes.length - 2);
  return version === 0 ? null : addressText(version, addressWords, 0);
}

test('dotted decimal', () => {
  for (const text of ['1.2.3.4', '255.255.255.255', '0.0.0.0', '203.0.113.7']) assert.equal(read(text), text);
  for (const text of [
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1..3.4',
    '.1.2.3',
    '1.2.3.',
    '1.2.3.0004',
    '1.2.3.a',
  ])
    assert.equal(read(text), null, text);
});

test('IPv6, as the reader of texts has it', () => {
  for (const text of [
    '::',
    '::1',
    '1::',
    '2001:db8::1',
    '2001:DB8:0:0:1:2:3:4',
    '::ffff:192.0.2.1',
    '1:2:3:4:5:6:7::',
  ]) {
    const words = Int32Array.from(parseAddress(text)!);
    assert.equal(read(text), addressText(6, words, 0), text);
  }
  for (const text of [
    ':',
    ':1',
    '1:',
    '1:2',
    ':::',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    'g::1',
    '::1.2.3',
    '1:2:3:4:5:6:7:1.2.3.4',
  ])
    assert.equal(read(text), null, text);
});

test('host names are none', () => {
  for (const text of ['', 'a', 'localhost', 'example.org', 'face.b00c', 'x'.repeat(300)])
    assert.equal(read(text), null, text);
});
