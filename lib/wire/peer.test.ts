import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromText } from '../testing.js';
import {
  chain,
  messageWeight,
  NotMessage,
  peerIdNameLength,
  weighChain,
  weightBlock,
  weightDictionary,
  weightExtensionHandshake,
  weightKnownExtension,
  weightNone,
  weightSmall,
  weightUsualBlock,
} from './peer.js';

function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const data = new DataView(bytes.buffer);
  values.forEach((value, index) => {
    data.setUint32(4 * index, value);
  });
  return bytes;
}

function message(id: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = concat(Uint8Array.of(id), ...parts);
  return concat(words(body.length), body);
}

const weight = (bytes: Uint8Array, cut = 0) => messageWeight(bytes, 0, bytes.length - cut);
const extended = (id: number, text: string) => message(20, Uint8Array.of(id), fromText(text));

describe('weights of messages', () => {
  test('simple messages have no body', () => {
    for (const id of [0, 1, 2, 3, 14, 15]) {
      assert.equal(weight(message(id)), weightSmall);
      assert.equal(weight(message(id, Uint8Array.of(0))), NotMessage);
    }
    for (const id of [10, 11, 12, 18, 19, 24, 70, 255]) assert.equal(weight(message(id)), NotMessage);
  });

  test('have, suggest and allowed-fast name a piece', () => {
    for (const id of [4, 13, 17]) {
      assert.equal(weight(message(id, words(77))), id === 13 ? weightNone : weightSmall);
      if (id !== 13) assert.equal(weight(message(id, words(0x200000))), NotMessage);
      assert.equal(weight(message(id, Uint8Array.of(0, 0, 7))), NotMessage);
      assert.equal(weight(message(id, words(77)), 1), weightNone);
    }
  });

  test('requests and blocks have an offset that fits their length', () => {
    for (const id of [6, 8, 16]) {
      assert.equal(weight(message(id, words(5, 32768, 16384))), weightUsualBlock);
      assert.equal(weight(message(id, words(5, 32768, 100))), weightBlock);
      assert.equal(weight(message(id, words(5, 3072, 1000))), weightBlock);
      assert.equal(weight(message(id, words(5, 98304, 32768))), weightBlock);
      assert.equal(weight(message(id, words(5, 3000, 1000))), NotMessage);
      assert.equal(weight(message(id, words(5, 77, 1))), NotMessage);
      assert.equal(weight(message(id, words(5, 4096, 5000))), NotMessage);
      assert.equal(weight(message(id, words(5, 0, 16384))), weightUsualBlock);
      assert.equal(weight(message(id, words(5, 0, 100))), weightNone);
      assert.equal(weight(message(id, words(5, 0, 0))), NotMessage);
      assert.equal(weight(message(id, words(5, 0, 131073))), NotMessage);
      assert.equal(weight(message(id, words(0x200000, 0, 16384))), NotMessage);
    }
    const block = message(7, words(5, 16384), new Uint8Array(16384));
    assert.equal(weight(block), weightUsualBlock);
    assert.equal(weight(block, 16000), weightUsualBlock);
    assert.equal(weight(message(7, words(5, 16384))), NotMessage);
    assert.equal(weight(message(7, words(5, 16384), new Uint8Array(9))), weightBlock);
  });

  test('bitfield and port', () => {
    assert.equal(weight(message(5, Uint8Array.of(255))), weightNone);
    assert.equal(weight(message(5)), NotMessage);
    assert.equal(weight(message(9, Uint8Array.of(26, 225))), weightSmall);
    assert.equal(weight(message(9, Uint8Array.of(0, 0))), NotMessage);
    assert.equal(weight(message(9, Uint8Array.of(26))), NotMessage);
  });

  test('hash messages (BEP 52)', () => {
    const root = new Uint8Array(32).fill(9);
    assert.equal(weight(message(21, root, words(0, 512, 512, 7))), weightUsualBlock);
    assert.equal(weight(message(23, root, words(0, 512, 512, 7))), weightUsualBlock);
    assert.equal(weight(message(22, root, words(0, 0, 2, 0), root, root)), weightUsualBlock);
    assert.equal(weight(message(22, root, words(0, 0, 2, 0), root.slice(1))), NotMessage);
    assert.equal(weight(message(21, root, words(0, 5, 512, 7))), NotMessage);
    assert.equal(weight(message(21, root, words(0, 0, 500, 7))), NotMessage);
    assert.equal(weight(message(21, root, words(99, 0, 512, 7))), NotMessage);
  });

  test('extended messages are bencode', () => {
    assert.equal(weight(extended(0, 'd1:md6:ut_pexi1eee')), weightExtensionHandshake);
    assert.equal(weight(extended(0, 'd1:pi6881ee')), weightDictionary);
    assert.equal(weight(extended(0, 'd1:md6:ut_pexi1eeex')), NotMessage);
    assert.equal(weight(extended(0, 'hello')), NotMessage);
    assert.equal(weight(extended(0, 'd1:md6:ut_pexi1eee'), 3), weightExtensionHandshake);
    assert.equal(weight(extended(0, 'd1:md6:ut_pexi1eee'), 14), weightSmall);
    assert.equal(weight(extended(2, 'd8:msg_typei0e5:piecei0ee')), weightKnownExtension);
    assert.equal(weight(extended(2, 'd8:msg_typei1e5:piecei0e10:total_sizei9eedata')), weightKnownExtension);
    assert.equal(weight(extended(2, 'd8:msg_typei0e5:piecei0eedata')), NotMessage);
    assert.equal(weight(extended(1, 'd5:added6:abcdefe')), weightKnownExtension);
    assert.equal(weight(extended(1, 'd5:added5:abcdee')), weightDictionary);
    assert.equal(weight(extended(1, 'd6:added618:abcdefghijklmnopqre')), weightKnownExtension);
    assert.equal(weight(extended(1, 'd5:addedl20:udp://tracker.test:1ee')), weightKnownExtension);
    assert.equal(weight(extended(1, 'd8:dropped60:e')), weightKnownExtension);
    assert.equal(weight(extended(6, 'd8:msg_typei1e8:commentslee')), weightKnownExtension);
    assert.equal(weight(extended(6, 'd8:msg_typei1e8:commentslee'), 4), weightSmall);
    assert.equal(weight(extended(6, 'd8:msg_typei1e8:commentslee\0')), NotMessage);
    assert.equal(weight(extended(6, 'd8:msg_typei1e4:body5:helloe')), weightDictionary);
    assert.equal(weight(extended(0, 'd1:pi6881e4:reqqi255ee')), weightExtensionHandshake);
    assert.equal(weight(extended(0, 'd1:pi6881e4:reqqi255e'), 1), weightSmall);
    assert.equal(weight(extended(0, 'd1:pi80e1:v3:1.0e')), weightDictionary);
    assert.equal(weight(extended(3, 'd1:pi6881e4:reqqi255ee')), weightDictionary);
    assert.equal(weight(extended(7, '\0\0\0\x05')), weightNone);
    assert.equal(weight(extended(3, '\x01')), weightSmall);
    for (const [id, value] of [
      [3, '\x02'],
      [16, '\0'],
    ] as const)
      assert.equal(weight(extended(id, value)), weightNone);
    assert.equal(weight(extended(0, '\0')), NotMessage);
    assert.equal(weight(extended(7, 'x'.repeat(25))), NotMessage);
  });
});

test('light messages weigh little together, and nothing where a counter or two states explain them', () => {
  const have = (piece: number) => message(4, words(piece));
  const weightOf = (...messages: readonly Uint8Array[]) => {
    const bytes = Uint8Array.from(messages.flatMap((bytes) => [...bytes]));
    return weighChain(bytes, 0, bytes.length) ? chain.weight : NotMessage;
  };
  assert.equal(weightOf(...[7, 91, 12].map(have)), 3);
  assert.equal(weightOf(...[7, 91, 12, 400, 33, 76].map(have)), 4);
  assert.equal(weightOf(...[5, 6, 7, 8, 9, 10].map(have)), 2);
  assert.equal(weightOf(...[70, 90, 70, 90, 90, 70].map(have)), 2);
  assert.equal(weightOf(...[0, 1, 1, 0, 0, 1].map(have)), 0);
  assert.equal(weightOf(...[0, 1, 2, 3].map((id) => message(id))), 2);
  const uploadOnly = message(20, Uint8Array.of(3, 0));
  assert.equal(weightOf(message(9, Uint8Array.of(26, 225)), uploadOnly, uploadOnly, message(2)), 3);
  assert.equal(weightOf(...Array.from({ length: 9 }, () => uploadOnly)), 1);
});

test('lengths of eight bytes are not keep-alives in front of messages', () => {
  const alive = new Uint8Array(4);
  const request = message(6, words(7, 0, 16_384));
  const have = message(4, words(9));
  const isChain = (...parts: readonly Uint8Array[]) => {
    const bytes = Uint8Array.from(parts.flatMap((bytes) => [...bytes]));
    return weighChain(bytes, 0, bytes.length);
  };
  assert.equal(isChain(alive, request), false);
  assert.equal(isChain(alive, request, alive, have), false);
  assert.equal(isChain(have, alive, request, alive, have), true);
  assert.equal(isChain(alive, extended(1, 'd5:added6:abcdefe')), true, 'known by its content');
  assert.equal(isChain(alive, request, have), true);
  assert.equal(isChain(request, alive, have), true);
  assert.equal(isChain(alive, alive, request), true);
  assert.equal(isChain(request, alive), true);
});

test('a chain is weighed to the end of its range, and the names of peer ids are read', () => {
  const bytes = Uint8Array.from([0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 5, 4, 0, 0]);
  assert.equal(weighChain(bytes, 0, bytes.length), true);
  assert.equal(chain.weight, weightSmall);
  assert.equal(chain.messages, 3);
  assert.equal(chain.end, bytes.length + 2);
  assert.equal(weighChain(bytes, 1, bytes.length), false);
  const id = (text: string) =>
    peerIdNameLength(
      Uint8Array.from(text, (c) => c.charCodeAt(0)),
      0,
    );
  assert.equal(id('-TR4060-abcdefghijkl'), 8);
  assert.equal(id('M7-2-0-\x80abcdefghijkl'), 7);
  assert.equal(id('\x80TR4060-abcdefghijkl'), 0);
});
