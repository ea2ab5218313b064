import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, fromText, SeededRandom } from '../lib/testing.js';
import { View } from './detector.js';
import { otherProtocols, recogniseOther } from './other-protocols.js';

function name(transport: 'tcp' | 'udp', bytes: Uint8Array, source = 50_001, destination = 50_003): string {
  const view = new View();
  view.bytes = bytes;
  view.end = bytes.length;
  view.wireLength = bytes.length;
  view.sourcePort = source;
  view.destinationPort = destination;
  return otherProtocols[recogniseOther(view, transport)]!;
}

const query = '0100000100000000000003777777076578616d706c650000010001';

test('names TCP protocols by their first payload', () => {
  for (const [expected, bytes, port] of [
    ['tls', fromHex('16 03 01 00 05 01 00 00 01 03')],
    ['http', fromText('GET / HTTP/1.1\r\n')],
    ['http', fromText('HTTP/1.1 200 OK\r\n')],
    ['ssh', fromText('SSH-2.0-OpenSSH_9.2\r\n')],
    ['dns', fromHex(`001d 1a2b ${query}`)],
    ['smtp', fromText('220 mail.example ESMTP Postfix\r\n')],
    ['ftp', fromText('220 (vsFTPd 3.0.3)\r\n')],
    ['pop3', fromText('+OK ready\r\n')],
    ['imap', fromText('* OK IMAP4rev1 ready\r\n')],
    ['vnc', fromText('RFB 003.008\n')],
    ['rdp', fromHex('03 00 00 13 0e e0 00 00 00 00 00 01 00 08 00 03 00 00 00')],
    ['smb', fromHex('00 00 00 10 fe 53 4d 42 40 00 00 00 00 00 00 00')],
    ['ldap', fromHex('30 0c 02 01 01 60 07 02 01 03 04 00 80 00')],
    ['mqtt', fromHex('10 10 00 04 4d 51 54 54 04 02 00 3c 00 04 61 62 63 64')],
    ['postgresql', fromHex('00 00 00 08 04 d2 16 2f')],
    ['redis', fromText('*1\r\n$4\r\nPING\r\n')],
    ['bgp', fromHex(`${'ff'.repeat(16)} 0013 04`)],
    ['telnet', fromHex('ff fd 18 ff fd 20')],
    ['socks', fromHex('05 01 00')],
    ['modbus', fromHex('0001 0000 0006 01 03 0000 0001'), 502],
  ] as const)
    assert.equal(name('tcp', bytes, 50_000, port ?? 50_001), expected, expected);
});

test('names UDP protocols by their datagram', () => {
  for (const [expected, bytes, port] of [
    ['dns', fromHex(`1a2b ${query}`), 53],
    ['mdns', fromHex(`0000 0000 ${query.slice(4)}`), 5353],
    ['stun', fromHex('0001 0000 2112a442 a1b2c3d4e5f60718293a4b5c')],
    ['quic', fromHex(`c3 00000001 08 ${'ab'.repeat(8)} 00 ${'11'.repeat(20)}`)],
    ['dtls', fromHex('16 fefd 0000 000000000000 0004 01000000')],
    ['ntp', fromHex(`23 ${'00'.repeat(47)}`), 123],
    ['ssdp', fromText('M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n')],
    ['wireguard', fromHex(`01000000 ${'a7'.repeat(144)}`)],
    ['sip', fromText('OPTIONS sip:a@example SIP/2.0\r\n')],
    ['snmp', fromHex('30 0c 02 01 01 04 03 70 75 62 a0 02 02 00')],
    ['radius', fromHex(`01 05 0014 ${'3c'.repeat(16)}`), 1812],
    ['hyperswarm', fromHex(`5801 0801 10efaf02 5206 5018630a1ae1 3a0a 5f686f6c6570756e6368`)],
  ] as const)
    assert.equal(name('udp', bytes, 50_001, port ?? 50_003), expected, expected);
});

test('names no BitTorrent message', () => {
  assert.equal(name('tcp', fromText('\x13BitTorrent protocol' + '\0'.repeat(48))), '');
  assert.equal(name('udp', fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe')), '');
  assert.equal(name('udp', fromHex('0000041727101980 00000000 facb0e99')), '');
  assert.equal(name('udp', fromHex('41 00 1234 00000001 00000000 00100000 0001 0000')), '');
});

test('a message of dht-rpc is one to its last byte', () => {
  const message = fromHex('5801 0803 10efaf02 5206 503b630ac288 2a03 010203');
  assert.equal(name('udp', message), 'hyperswarm');
  for (let length = 0; length < message.length; length++)
    assert.equal(name('udp', message.subarray(0, length)), length === 16 ? 'hyperswarm' : '', `${length}`);
  for (const wrong of [
    '5801 0803 10efaf02 5206 503b630ac288 2a03 010203 00',
    '5801 0804 10efaf02 5206 503b630ac288 2a03 010203',
    '5802 0803 10efaf02 5206 503b630ac288 2a03 010203',
    '5801 0803 10efaf02 5206 503b630ac288 5203 010203',
    '5801 0803 10efaf02 5206 503b630ac288 5a03 010203',
    '5801 0803 10efaf02 5206 503b630ac288 2803 010203',
    '5801 0803 10ffffffffffffff',
    '5801 0803 10efaf02 2affffff 01',
    '5801 0803 10efaf02 2aff',
  ])
    assert.equal(name('udp', fromHex(wrong)), '', wrong);
  const view = new View();
  view.bytes = fromHex('5801 0803 10efaf02 2a8001 0102');
  view.end = view.bytes.length;
  view.wireLength = view.end + 126;
  assert.equal(otherProtocols[recogniseOther(view, 'udp')], 'hyperswarm', 'cut by the capture');
  view.wireLength = view.end + 125;
  assert.equal(otherProtocols[recogniseOther(view, 'udp')], '', 'longer than the datagram was');
  view.bytes = message;
  view.wireLength = message.length;
  for (view.end = 9; view.end < message.length; view.end++)
    assert.equal(otherProtocols[recogniseOther(view, 'udp')], 'hyperswarm', `cut behind ${view.end} bytes`);
});

test('reads only its range, and seldom names random bytes', () => {
  const random = new SeededRandom(3);
  let named = 0;
  for (let round = 0; round < 40_000; round++) {
    const bytes = random.bytes(random.below(120));
    if (name('tcp', bytes) !== '') named++;
    if (name('udp', bytes) !== '') named++;
  }
  assert.ok(named < 200, `${named} of 80,000 random payloads were named`);
});

test('RTP has a source, even ports and counters; others have its first bytes', () => {
  const voice = (head: string): string => name('udp', fromHex(`${head} ${'d5'.repeat(160)}`), 16_384, 20_000);
  assert.equal(voice('8008 1f2e 0001a2b0 5e6f7081'), 'rtp');
  assert.equal(voice('8000 0000 0001a2b0 5e6f7081'), 'rtp');
  assert.notEqual(voice('8008 1f2e 0001a2b0 00000000'), 'rtp', 'without a source');
  assert.notEqual(voice('8000 0000 00000000 000000a0'), 'rtp', 'SRT: both counters at zero');
  assert.notEqual(voice('8000 0043 686f636f6c617465'), 'rtp', 'words');
});
