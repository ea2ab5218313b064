import assert from 'node:assert/strict';
import { fuzz } from '../fuzzing.js';
import { concat, fromText } from '../testing.js';
import {
  bencodeEnd,
  dictionaryValue,
  Incomplete,
  integerValue,
  Malformed,
  stringEnd,
  stringStart,
} from './bencode.js';

const seeds = [
  fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe'),
  fromText('d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee'),
  fromText('d8:announce22:http://tracker.example4:infod6:lengthi1048576e4:name1:a12:piece lengthi16384eee'),
  fromText('lllllllleeeeeeee'),
  fromText('i-12345e'),
];
const key = fromText('info');

/** Padding that would change the answer if anything outside the range were read. */
function within(bytes: Uint8Array, filler: number): number[] {
  const padded = concat(new Uint8Array(3).fill(filler), bytes, new Uint8Array(3).fill(filler));
  const end = 3 + bytes.length;
  return [
    bencodeEnd(padded, 3, end),
    dictionaryValue(padded, 3, end, key),
    integerValue(padded, 3, end),
    stringEnd(padded, 3, end),
    stringStart(padded, 3, end),
  ];
}

fuzz('bencode', seeds, (bytes) => {
  const answers = within(bytes, 0x65);
  assert.deepEqual(within(bytes, 0x39), answers, 'a byte outside the range was read');
  const whole = answers[0]!;
  assert.ok(whole === Malformed || whole === Incomplete || (whole > 3 && whole <= 3 + bytes.length));
  if (whole > 0) assert.equal(bencodeEnd(bytes, 0, whole - 3 - 1), Incomplete);
});
