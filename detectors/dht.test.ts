import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromText } from '../lib/testing.js';
import { No, View, Yes } from './detector.js';
import { dht } from './dht.js';

const id = 'abcdefghij0123456789';
const target = 'mnopqrstuvwxyz123456';

function inspect(text: string | Uint8Array, wireLength?: number) {
  const view = new View();
  view.bytes = typeof text === 'string' ? fromText(text) : text;
  view.end = view.bytes.length;
  view.wireLength = wireLength ?? view.bytes.length;
  const outcome = dht.inspect(view);
  const finding = outcome === Yes ? dht.findings[view.finding]! : null;
  const near = outcome === No && view.near >= 0 ? dht.nearMisses[view.near]! : null;
  return { outcome, finding, near, view };
}

const query = (name: string, more = '') => `d1:ad2:id20:${id}${more}e1:q${name.length}:${name}1:t2:aa1:y1:qe`;
const response = (more: string) => `d1:rd2:id20:${id}${more}e1:t2:aa1:y1:re`;

describe('queries', () => {
  const known: readonly (readonly [string, string])[] = [
    ['ping', ''],
    ['find_node', `6:target20:${target}`],
    ['get_peers', `9:info_hash20:${target}`],
    ['announce_peer', `9:info_hash20:${target}4:porti6881e5:token4:abcd`],
    ['announce_peer', `12:implied_porti1e9:info_hash20:${target}5:token4:abcd`],
    ['get', `6:target20:${target}`],
    ['put', '5:token4:abcd1:v5:hello'],
    ['sample_infohashes', `6:target20:${target}`],
  ];
  for (const [name, more] of known) {
    test(`${name} is proof`, () => {
      assert.equal(inspect(query(name, more)).finding?.confidence, 'proof');
    });
  }

  test('an unknown name, or a known one without its argument, is strong', () => {
    for (const text of [
      query('vote'),
      query('find_node'),
      query('get_peers', '9:info_hash4:abcd'),
      query('put'),
    ]) {
      assert.equal(inspect(text).finding?.confidence, 'strong', text);
    }
  });

  test('the info-hash and the version are noted', () => {
    const { view } = inspect(
      `d1:ad2:id20:${id}9:info_hash20:${target}e1:q9:get_peers1:t2:aa1:v4:LT\x01\x021:y1:qe`,
    );
    assert.equal(Buffer.from(view.infoHash.subarray(0, 20)).toString('latin1'), target);
    assert.equal(client(view), 'LT 1.2');
  });

  test('a node id has 20 bytes', () => {
    assert.equal(inspect(`d1:ad2:id19:${id.slice(1)}e1:q4:ping1:t2:aa1:y1:qe`).outcome, No);
    assert.equal(inspect('d1:ad1:x1:ye1:q4:ping1:t2:aa1:y1:qe').outcome, No);
  });
});

describe('responses and errors', () => {
  test('sizes decide between proof and strong', () => {
    const nodes = (length: number) => `5:nodes${length}:${'n'.repeat(length)}`;
    assert.equal(inspect(response('')).finding?.confidence, 'proof');
    assert.equal(inspect(response(nodes(52))).finding?.confidence, 'proof');
    assert.equal(inspect(response(nodes(51))).finding?.confidence, 'strong');
    assert.equal(inspect(response('6:valuesl6:abcdef18:abcdefghijklmnopqre')).finding?.confidence, 'proof');
    assert.equal(inspect(response('6:valuesl5:abcdee')).finding?.confidence, 'strong');
    assert.equal(inspect(response('6:values6:abcdef')).finding?.confidence, 'strong');
  });

  test('an error is a list of a code and a sentence', () => {
    const error = (list: string) => inspect(`d1:e${list}1:t2:aa1:y1:ee`);
    assert.equal(error('li203e14:Protocol Errore').finding?.confidence, 'proof');
    assert.equal(error('li7e2:noe').finding?.confidence, 'strong');
    for (const list of ['le', 'li203ee', 'l2:no2:noe', 'li203e2:noi1ee', '2:no']) {
      assert.equal(error(list).outcome, No, list);
    }
  });
});

describe('the frame', () => {
  test('the dictionary fills the datagram', () => {
    assert.equal(inspect(`${query('ping')}${'\0'.repeat(17)}`).outcome, No);
    assert.match(inspect(`${query('ping')}${'\0'.repeat(17)}`).near!, /not exactly one/);
    for (let cut = 0; cut < query('ping').length; cut++) {
      assert.equal(inspect(query('ping').slice(0, cut)).outcome, No, `${cut}`);
    }
  });

  test('up to 16 bytes behind a message, and odd transactions, make it strong', () => {
    for (const text of [
      `${query('ping')}\0`,
      `${response('')}${'\0'.repeat(16)}`,
      query('ping').replace('2:aa', 'i12e'),
      query('ping').replace('2:aa', `33:${'x'.repeat(33)}`),
    ]) {
      assert.equal(inspect(text).finding?.confidence, 'strong', text);
    }
    assert.equal(inspect(`${query('vote')}\0`).outcome, No);
    assert.equal(inspect(query('vote').replace('2:aa', 'i12e')).outcome, No);
    assert.equal(inspect(query('ping').replace('2:aa', `65:${'x'.repeat(65)}`)).outcome, No);
  });

  test('other bencode is a near miss', () => {
    assert.match(inspect('d7:command4:pinge').near!, /without the keys/);
    assert.match(inspect(`d1:q4:ping1:y1:qe`).near!, /without the keys/);
  });

  test('a datagram cut by the capture is believed once its node id begins', () => {
    const text = query('get_peers', `9:info_hash20:${target}`);
    for (let cut = 0; cut < text.length; cut++) {
      const { outcome } = inspect(text.slice(0, cut), text.length);
      assert.equal(outcome, cut >= 'd1:ad2:id20:'.length ? Yes : No, `${cut}`);
    }
    assert.equal(inspect(response('').slice(0, 30), 80).outcome, Yes);
    assert.equal(inspect('d1:ad2:id21:abcdefghij', 80).outcome, No);
    assert.equal(inspect('d4:infod6:lengthi5', 80).outcome, No);
  });

  test('reads only its range', () => {
    const inner = fromText(query('ping'));
    const view = new View();
    view.bytes = concat(fromText('xxx'), inner, fromText('yyy'));
    view.start = 3;
    view.end = 3 + inner.length;
    view.wireLength = inner.length;
    assert.equal(dht.inspect(view), Yes);
    assert.equal(view.at, 0);
    assert.equal(view.length, inner.length);
  });
});

const client = (view: View): string => Buffer.from(view.client.subarray(0, view.clientLength)).toString();

test('a version is shown as letters and numbers, or as it stands', () => {
  const named = (v: string) =>
    client(inspect(`d1:ad2:id20:${id}e1:q4:ping1:t2:aa1:v${v.length}:${v}1:y1:qe`).view);
  assert.equal(named('LT\x02\x08'), 'LT 2.0.8');
  assert.equal(named('LT\x01\x29'), 'LT 1.2.9');
  assert.equal(named('LT\x02\x0e'), 'LT 2.0.14');
  assert.equal(named('LT\x01\x01'), 'LT 1.1');
  assert.equal(named('LT\x00\xff'), 'LT 0.255');
  assert.equal(named('A2\x00\x03'), 'A2 0.3');
  assert.equal(named('UT\xb3\x1c'), 'UT 45852');
  assert.equal(named('UT12'), 'UT 12594');
  assert.equal(named('MO12'), 'MO12');
  assert.equal(named('node'), 'node');
  assert.equal(named('x'), 'x');
});

test('the target of a lookup for nodes is no info-hash', () => {
  const lookup = (target: string, bs = '') =>
    inspect(`d1:ad${bs}2:id20:${id}9:info_hash20:${target}e1:q9:get_peers1:t2:aa1:y1:qe`).view.infoHashLength;
  assert.equal(lookup(target), 20);
  assert.equal(lookup(target, '2:bsi1e'), 0);
  assert.equal(lookup(id.slice(0, 4) + target.slice(4)), 0);
  assert.equal(lookup(id.slice(0, 3) + '\xff' + target.slice(4)), 20);
});

test('a cut behind the key of the node id is believed, one before it is not', () => {
  const text = `d2:ip18:${'\x20\x01'.repeat(9)}1:rd2:id20:${id}e1:t2:aa1:y1:re`;
  const whole = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const outcomeAt = (length: number) => {
    const view = new View();
    view.bytes = whole.slice(0, length);
    view.end = length;
    view.wireLength = whole.length;
    return dht.inspect(view);
  };
  const key = text.indexOf('2:id20:');
  for (let length = key + 4; length < whole.length; length++)
    assert.equal(outcomeAt(length), Yes, `${length}`);
  for (let length = 0; length < key + 4; length++) assert.equal(outcomeAt(length), No, `${length}`);
});
