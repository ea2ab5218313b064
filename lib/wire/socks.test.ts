import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromText, SeededRandom } from '../testing.js';
import { NotProxy, Refused, Through, Wait } from './negotiation.js';
import {
  address4,
  address6,
  addressName,
  bytesOf,
  credentials,
  follow,
  greeting5,
  greeting5Auth,
  reply4,
  reply5,
  request4,
  request5,
} from './proxy-testing.js';
import { socksDatagramHeader } from './socks.js';

const empty = new Uint8Array(0);

describe('SOCKS 5', () => {
  const client = concat(greeting5, request5(address4));
  const accepts = bytesOf(5, 0);

  test('refusals', () => {
    assert.equal(follow(greeting5, bytesOf(5, 0xff)).outcome, Refused);
    assert.equal(follow(client, concat(accepts, bytesOf(5, 5))).outcome, Refused);
    assert.equal(follow(concat(greeting5Auth, credentials), bytesOf(5, 2, 1, 1)).outcome, Refused);
  });

  test('GSSAPI cannot be followed', () => {
    assert.equal(follow(bytesOf(5, 2, 0, 1), bytesOf(5, 1)).outcome, Refused);
  });

  test('a choice that was not offered, or the other branch than the chosen one, is something else', () => {
    assert.equal(follow(greeting5, bytesOf(5, 2)).outcome, NotProxy);
    assert.equal(follow(concat(greeting5Auth, request5(address4)), bytesOf(5, 2)).outcome, NotProxy);
    assert.equal(follow(concat(greeting5Auth, credentials), bytesOf(5, 0)).outcome, NotProxy);
    assert.equal(follow(concat(bytesOf(5, 1, 2), request5(address4)), empty).outcome, NotProxy);
  });

  test('a password’s answer may repeat the version of SOCKS', () => {
    const whole = concat(greeting5Auth, credentials, request5(address4));
    assert.equal(follow(whole, concat(bytesOf(5, 2, 5, 0), reply5())).outcome, Through);
    assert.equal(follow(whole, concat(bytesOf(5, 2, 7, 0), reply5())).outcome, NotProxy);
  });

  test('BIND has two replies, and its address is not a destination', () => {
    const bind = concat(greeting5, request5(address4, 2));
    assert.equal(follow(bind, concat(accepts, reply5())).outcome, Wait);
    const { outcome, result } = follow(bind, concat(accepts, reply5(), reply5(0, address6)));
    assert.deepEqual([outcome, result.version], [Through, 0]);
    assert.equal(follow(bind, concat(accepts, reply5(), reply5(1))).outcome, Refused);
  });

  test('UDP ASSOCIATE needs no address', () => {
    const associate = concat(greeting5, request5(bytesOf(1, 0, 0, 0, 0, 0, 0), 3));
    const { outcome, result } = follow(associate, concat(accepts, reply5()));
    assert.deepEqual([outcome, result.version], [Through, 0]);
    const connect = concat(greeting5, request5(bytesOf(1, 0, 0, 0, 0, 0, 0)));
    assert.equal(follow(connect, accepts).outcome, NotProxy);
  });

  test('fields that cannot be', () => {
    for (const bytes of [
      [5, 0],
      [5, 17],
      [5, 1, 0x20],
      [5, 1, 0, 4],
      [5, 1, 0, 5, 4],
      [5, 1, 0, 5, 1, 1],
      [5, 1, 0, 5, 1, 0, 2],
      [5, 1, 0, 5, 1, 0, 3, 0],
      [5, 1, 0, 5, 1, 0, 3, 2, 0x61, 0x20],
      [5, 1, 2, 1, 0],
    ])
      assert.equal(follow(bytesOf(...bytes), empty).outcome, NotProxy, bytes.join(' '));
    assert.equal(follow(greeting5, bytesOf(4)).outcome, NotProxy);
  });
});

describe('SOCKS 4', () => {
  test('refusals, and answers that are none', () => {
    for (const code of [0x5b, 0x5c, 0x5d]) assert.equal(follow(request4(), reply4(code)).outcome, Refused);
    assert.equal(follow(request4(), reply4(0x5e)).outcome, NotProxy);
    assert.equal(follow(request4(), bytesOf(5)).outcome, NotProxy);
  });

  test('BIND has two replies', () => {
    assert.equal(follow(request4(2), reply4()).outcome, Wait);
    assert.equal(follow(request4(2), concat(reply4(), reply4())).outcome, Through);
    assert.equal(follow(request4(2), concat(reply4(), reply4(0x5b))).outcome, Refused);
  });

  test('fields that cannot be', () => {
    for (const bytes of [
      [4, 3],
      [4, 1, 0, 0, 1, 2, 3, 4],
      [4, 1, 0, 80, 0, 0, 0, 0],
      [4, 1, 0, 80, 239, 0, 0, 1],
      [4, 1, 0, 80, 1, 2, 3, 4, 0x80],
      [4, 1, 0, 80, 0, 0, 0, 1, 0, 0],
    ])
      assert.equal(follow(bytesOf(...bytes), empty).outcome, NotProxy, bytes.join(' '));
    const long = concat(bytesOf(4, 1, 0, 80, 1, 2, 3, 4), fromText('x'.repeat(300)));
    assert.equal(follow(long, empty).outcome, NotProxy);
  });
});

describe('relayed datagrams', () => {
  const header = (address: Uint8Array, ...more: number[]): number => {
    const bytes = concat(bytesOf(9, 0, 0, 0), address, bytesOf(...more), bytesOf(9));
    return socksDatagramHeader(bytes, 1, bytes.length - 1);
  };

  test('each kind of address', () => {
    assert.equal(header(address4, 1), 10);
    assert.equal(header(address6, 1), 22);
    assert.equal(header(addressName, 1), 22);
    assert.equal(header(bytesOf(4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4, 0, 80), 1), 22);
  });

  test('no data, no port, no possible address, fragments', () => {
    for (const address of [address4, address6, addressName]) assert.equal(header(address), 0);
    assert.equal(header(bytesOf(1, 1, 2, 3, 4, 0, 0), 1), 0);
    assert.equal(header(bytesOf(1, 0, 2, 3, 4, 0, 80), 1), 0);
    assert.equal(header(bytesOf(1, 224, 2, 3, 4, 0, 80), 1), 0);
    assert.equal(header(bytesOf(4, ...new Array<number>(16).fill(0), 0, 80), 1), 0);
    assert.equal(header(bytesOf(3, 2, 0x61, 0, 0, 80), 1, 1, 1), 0);
    assert.equal(header(bytesOf(2, 1, 2, 3, 4, 0, 80), 1), 0);
    const fragment = concat(bytesOf(0, 0, 1), address4, bytesOf(1));
    assert.equal(socksDatagramHeader(fragment, 0, fragment.length), 0);
  });

  test('a UDP tracker’s announce answer is none', () => {
    const answer = concat(bytesOf(0, 0, 0, 1, 0x7a, 1, 2, 3, 0, 0, 7, 8), new Uint8Array(20));
    assert.equal(socksDatagramHeader(answer, 0, answer.length), 0);
  });

  test('random datagrams have none', () => {
    const random = new SeededRandom(5);
    for (let i = 0; i < 20_000; i++) assert.equal(socksDatagramHeader(random.bytes(40), 0, 40), 0);
  });
});
