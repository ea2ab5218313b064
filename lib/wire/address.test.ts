import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { ipv4Text, ipv6Text, parseAddress } from './address.js';

test('IPv6 text is the canonical form of RFC 5952', () => {
  const cases: [number[], string][] = [
    [[0x20010db8, 0, 0, 1], '2001:db8::1'],
    [[0, 0, 0, 0], '::'],
    [[0, 0, 0, 1], '::1'],
    [[0x20010db8, 0x00000001, 0x00010001, 0x00010001], '2001:db8:0:1:1:1:1:1'],
    [[0x20010000, 0, 0x00010000, 1], '2001::1:0:0:1'],
    [[0x20010db8, 0, 0x00010000, 0x00000001], '2001:db8::1:0:0:1'],
    [[0xfe800000, 0, 0, 0], 'fe80::'],
    [[0, 0, 0xffff, 0x0a000001], '::ffff:10.0.0.1'],
  ];
  for (const [words, text] of cases) {
    assert.equal(ipv6Text(words[0]!, words[1]!, words[2]!, words[3]!), text);
    assert.deepEqual(
      parseAddress(text)?.map((word) => word >>> 0),
      words,
    );
  }
});

test('property: text and words are inverse, and Node agrees that it is an address', () => {
  const word = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 0xffff, 0x10000));
  fc.assert(
    fc.property(word, word, word, word, (a, b, c, d) => {
      const six = ipv6Text(a | 0, b | 0, c | 0, d | 0);
      assert.equal(isIP(six), 6);
      assert.deepEqual(
        parseAddress(six)?.map((x) => x | 0),
        [a | 0, b | 0, c | 0, d | 0],
      );
      assert.equal(isIP(ipv4Text(a | 0)), 4);
      assert.deepEqual(
        parseAddress(ipv4Text(a | 0))?.map((x) => x | 0),
        [a | 0],
      );
    }),
  );
});

test('what is no address is refused', () => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.256',
    '1.2.3.4.5',
    '010.0.0.1',
    '1.2.3.04',
    '::ffff:1.2.3.08',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    'g::1',
    '12345::',
    '1.2.3.4::',
    '::1.2.3',
  ]) {
    assert.equal(parseAddress(text), null, text);
  }
});
