import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromText, SeededRandom } from '../testing.js';
import { addressText } from './address.js';
import { Again, NotProxy, proxyHttp, Refused, Through, Wait } from './negotiation.js';
import { bytesOf, connected, connectRequest, follow, negotiations, refused407 } from './proxy-testing.js';
import { mayBeProxy } from './proxy.js';

const empty = new Uint8Array(0);
const plain = connectRequest('203.0.113.7:6881');

function streams(name: string): [Uint8Array, Uint8Array] {
  const side = (wanted: number): Uint8Array =>
    concat(...negotiations[name]!.filter(([from]) => from === wanted).map(([, bytes]) => bytes));
  return [side(0), side(1)];
}

const single = Object.keys(negotiations).filter((name) => !name.includes('refused'));

test('a whole negotiation ends where the inner streams begin', () => {
  for (const name of single) {
    const [client, server] = streams(name);
    for (const [more, answer] of [
      [empty, empty],
      [fromText('\x13Bit'), empty],
      [fromText('\x13Bit'), fromText('\x13Bit')],
    ] as const) {
      const { outcome, result } = follow(concat(client, more), concat(server, answer));
      assert.deepEqual(
        [outcome, result.clientAt, result.serverAt],
        [Through, client.length, server.length],
        name,
      );
    }
  }
});

test('every cut of either stream waits', () => {
  for (const name of single) {
    const [client, server] = streams(name);
    for (let c = 0; c <= client.length; c++)
      for (let s = 0; s <= server.length; s++) {
        if (c === client.length && s === server.length) continue;
        assert.equal(follow(client.subarray(0, c), server.subarray(0, s)).outcome, Wait, `${name} ${c} ${s}`);
      }
  }
});

test('destinations: addresses as words, names as their place', () => {
  const to = (target: string): string => {
    const client = connectRequest(target);
    const { outcome, result } = follow(client, connected);
    if (outcome !== Through) return 'none';
    const name = Buffer.from(client.subarray(result.nameStart, result.nameEnd)).toString('latin1');
    return `${result.version === 0 ? name : addressText(result.version, result.words, 0)} ${result.port}`;
  };
  assert.equal(to('203.0.113.7:6881'), '203.0.113.7 6881');
  assert.equal(to('[2001:db8::1:9]:443'), '2001:db8::1:9 443');
  assert.equal(to('[1:2:3:4:5:6:7:8]:443'), '1:2:3:4:5:6:7:8 443');
  assert.equal(to('[::1]:443'), '::1 443');
  assert.equal(to('[fe80::]:443'), 'fe80:: 443');
  assert.equal(to('tracker.example:80'), 'tracker.example 80');
  assert.equal(to('203.0.113.300:80'), '203.0.113.300 80');
  assert.equal(to('1.2.3.4.5:80'), '1.2.3.4.5 80');
  assert.equal(to('[1::2::3]:80'), '[1::2::3] 80');
  for (const target of [
    'peer',
    'peer:',
    ':80',
    'peer:0',
    'peer:70000',
    'peer:8o',
    '/path',
    'http://peer:80/',
  ])
    assert.equal(to(target), 'none', target);
  for (const [name, text] of [
    ['socks 4', '203.0.113.7 6881'],
    ['socks 5 to IPv6', '2001:db8::9 6881'],
  ] as const) {
    const { result } = follow(...streams(name));
    assert.equal(`${addressText(result.version, result.words, 0)} ${result.port}`, text);
  }
  const [client, server] = streams('socks 4a');
  const { result } = follow(client, server);
  assert.deepEqual(client.subarray(result.nameStart, result.nameEnd), fromText('peer.example'));
});

describe('HTTP CONNECT', () => {
  test('a refusal with a body of known length leads to the next request, even before the body is here', () => {
    for (const here of [0, 5, 11]) {
      const answer = refused407('hello world').subarray(0, refused407('').length + 1 + here);
      const { outcome, result } = follow(plain, answer);
      assert.deepEqual(
        [outcome, result.kind, result.clientAt, result.serverAt],
        [Again, proxyHttp, plain.length, refused407('').length + 1 + 11],
      );
    }
  });

  test('a refusal in chunks is waited for to its end', () => {
    const answer = fromText(
      'HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n',
    );
    for (let length = 13; length < answer.length; length++)
      assert.equal(follow(plain, answer.subarray(0, length)).outcome, Wait);
    const { outcome, result } = follow(plain, concat(answer, connected));
    assert.deepEqual([outcome, result.serverAt], [Again, answer.length]);
  });

  test('a refusal of unknown or senseless length is final', () => {
    for (const fields of ['', 'Content-Length: 1048577\r\n', 'Content-Length: many\r\n'])
      assert.equal(follow(plain, fromText(`HTTP/1.0 403 Forbidden\r\n${fields}\r\n`)).outcome, Refused);
  });

  test('answers before the final one are stepped over', () => {
    const early = fromText('HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(follow(plain, concat(early, connected)).result.serverAt, early.length + connected.length);
    assert.equal(follow(plain, concat(early, early, early, early, early)).outcome, NotProxy);
  });

  test('other answers and other requests are no negotiation', () => {
    assert.equal(follow(plain, fromText('SSH-2.0-x')).outcome, NotProxy);
    assert.equal(follow(plain, fromText('HTTP/1.1 999 No\r\n\r\n')).outcome, NotProxy);
    for (const text of ['CONNECTED', 'CONTENT', 'CONNECT peer:80 SIP', 'CONNECT peer:80\r\n', 'CONNECT a/b'])
      assert.equal(follow(fromText(text), empty).outcome, NotProxy, text);
  });

  test('a head that does not end is given up', () => {
    assert.equal(follow(connectRequest('peer:80', `X: ${'x'.repeat(4000)}\r\n`), empty).outcome, NotProxy);
    assert.equal(follow(fromText(`CONNECT ${'x'.repeat(300)}`), empty).outcome, NotProxy);
  });
});

test('with only the client captured, what follows the request is inside', () => {
  for (const name of single) {
    const [client] = streams(name);
    assert.equal(follow(client, empty, true).outcome, Wait);
    const { outcome, result } = follow(concat(client, fromText('\x13')), empty, true);
    assert.deepEqual([outcome, result.clientAt, result.serverAt], [Through, client.length, 0], name);
    assert.equal(follow(concat(client, fromText('\x13')), empty).outcome, Wait);
  }
});

test('random streams that begin with the right byte are let go at once', () => {
  const random = new SeededRandom(7);
  let kept = 0;
  for (let i = 0; i < 20_000; i++) {
    const stream = random.bytes(96);
    stream[0] = [4, 5, 0x43][i % 3]!;
    if (follow(stream, empty).outcome !== NotProxy) kept++;
  }
  assert.equal(kept, 0);
  assert.deepEqual(
    Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => mayBeProxy(byte)),
    [4, 5, 0x43],
  );
  assert.equal(follow(bytesOf(0x13), empty).outcome, NotProxy);
});
