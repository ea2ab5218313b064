import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromHex, fromText } from '../testing.js';
import { PeerList, peersPerMessageMax } from './peer-list.js';
import { peerTexts } from './testing.js';

const peer = fromHex('cb007107 1ae1');
const peer6 = fromHex('20010db8 00000000 00000000 00000001 c8d5');

function compact(bytes: Uint8Array, stride: number, skip = 0): string[] {
  const list = new PeerList();
  list.addCompact(bytes, 0, bytes.length, stride, skip);
  return peerTexts(list);
}

describe('compact form', () => {
  test('IPv4 and IPv6', () => {
    assert.deepEqual(compact(concat(peer, fromHex('c6120004 ffff')), 6), [
      '203.0.113.7:6881',
      '198.18.0.4:65535',
    ]);
    assert.deepEqual(compact(concat(peer6, peer6), 18), ['[2001:db8::1]:51413', '[2001:db8::1]:51413']);
  });

  test('behind node ids', () => {
    const id = new Uint8Array(20).fill(9);
    assert.deepEqual(compact(concat(id, peer, id, peer), 26, 20), ['203.0.113.7:6881', '203.0.113.7:6881']);
    assert.deepEqual(compact(concat(id, peer6), 38, 20), ['[2001:db8::1]:51413']);
  });

  test('what is cut is left out', () => {
    assert.deepEqual(compact(concat(peer, peer.slice(0, 5)), 6), ['203.0.113.7:6881']);
    assert.deepEqual(compact(peer6.slice(0, 17), 18), []);
    assert.deepEqual(compact(new Uint8Array(0), 6), []);
  });
});

test('peers that nobody can connect to are left out', () => {
  for (const hex of ['cb007107 0000', '00000000 1ae1', '00010203 1ae1', 'e0000001 1ae1', 'ffffffff 1ae1'])
    assert.deepEqual(compact(fromHex(hex), 6), [], hex);
  const zeros = '0000000000000000000000000000';
  for (const hex of [
    `${zeros}0000 1ae1`,
    'ff02000000000000 0000000000000001 1ae1',
    '20010db8000000000000000000000001 0000',
  ])
    assert.deepEqual(compact(fromHex(hex), 18), [], hex);
  const list = new PeerList();
  for (const port of [0, -1, 65_536, 0x3fffffff]) list.add(4, 0x01020304, 0, 0, 0, port);
  assert.equal(list.count, 0);
});

test('a mapped address is the IPv4 address', () => {
  assert.deepEqual(compact(fromHex('00000000000000000000ffffcb007107 1ae1'), 18), ['203.0.113.7:6881']);
  assert.deepEqual(compact(fromHex('00000000000000000000ffff00000000 1ae1'), 18), []);
});

test('addresses as text; a host name is left out', () => {
  const list = new PeerList();
  for (const text of ['203.0.113.7', '2001:db8::1', '::ffff:203.0.113.8', 'peer.example', ''])
    list.addText(fromText(text), 0, text.length, 6881);
  assert.deepEqual(peerTexts(list), ['203.0.113.7:6881', '[2001:db8::1]:6881', '203.0.113.8:6881']);
});

test('the list has an end', () => {
  const list = new PeerList();
  const many = concat(...Array.from({ length: 2 * peersPerMessageMax }, () => peer));
  list.addCompact(many, 0, many.length, 6, 0);
  list.add6(peer6, 0);
  assert.equal(list.count, peersPerMessageMax);
  assert.ok(peerTexts(list).every((text) => text === '203.0.113.7:6881'));
});
