import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '../lib/testing.js';
import { azureusDht } from './azureus-dht.js';
import { No, View, Yes } from './detector.js';

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** A find-node request of BiglyBT 3.2, version 54, main network, own address 203.0.113.7:6971. */
const request = hex(
  '9eee79ad979dc767 00000404 afbbd6e5 36 00 00000000 36 04cb007107 1b3b 3af6c099 000001a200219c95 00ff 14',
);
const requestBytes = 42;
const answer = hex('00000405 afbbd6e5 9eee79ad979dc767 36 00 00000000 d585e1d4 00ff0005');
const answerBytes = 26;

function view(payload: Uint8Array, length = payload.length): View {
  const shown = new View();
  // The rest of the array is another packet's.
  shown.bytes = Uint8Array.from([...payload.subarray(0, length), ...payload, ...payload]);
  shown.end = length;
  shown.wireLength = length;
  return shown;
}

function changed(payload: Uint8Array, at: number, value: number): View {
  const copy = payload.slice();
  copy[at] = value;
  return view(copy);
}

test('a request names the port of its sender', () => {
  const shown = view(request);
  assert.equal(azureusDht.inspect(shown), Yes);
  assert.equal(shown.listenPort, 6971);
  assert.equal(shown.length, requestBytes);
});

test('reads only inside its range', () => {
  for (let length = 0; length < request.length; length++) {
    assert.equal(azureusDht.inspect(view(request, length)) === Yes, length >= requestBytes, `${length}`);
  }
  for (let length = 0; length < answer.length; length++) {
    assert.equal(azureusDht.inspect(view(answer, length)) === Yes, length >= answerBytes, `${length}`);
  }
});

test('every fixed field of a request is looked at', () => {
  // Connection id, action, version, vendor, network, own version, length of the address, time.
  const fixed = [0, 8, 9, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 34, 35, 36];
  for (const at of fixed) assert.equal(azureusDht.inspect(changed(request, at, 0x7e)), No, `byte ${at}`);
});

test('what is drawn at random may be anything', () => {
  const random = new SeededRandom(0xa2);
  for (const at of [
    1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 24, 25, 26, 27, 30, 31, 32, 33, 37, 38, 39, 40, 41,
  ]) {
    assert.equal(azureusDht.inspect(changed(request, at, random.below(256))), Yes, `byte ${at}`);
  }
});

test('requests and answers have actions of their own', () => {
  const asks = [1024, 1026, 1028, 1030, 1034, 1035, 1036, 1038];
  for (let action = 1016; action < 1048; action++) {
    const [asking, answering] = [request.slice(), answer.slice()];
    new DataView(asking.buffer).setUint32(8, action);
    new DataView(answering.buffer).setUint32(0, action);
    const exists = action >= 1024 && action < 1040;
    assert.equal(azureusDht.inspect(view(asking)) === Yes, asks.includes(action), `request ${action}`);
    assert.equal(
      azureusDht.inspect(view(answering)) === Yes,
      exists && !asks.includes(action),
      `answer ${action}`,
    );
  }
});
