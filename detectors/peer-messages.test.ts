import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromText, SeededRandom } from '../lib/testing.js';
import { More, No, View, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { peerMessages } from './peer-messages.js';

function message(id: number, ...words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(5 + 4 * words.length);
  const data = new DataView(bytes.buffer);
  data.setUint32(0, 1 + 4 * words.length);
  data.setUint8(4, id);
  words.forEach((word, index) => {
    data.setUint32(5 + 4 * index, word);
  });
  return bytes;
}

function block(piece: number, begin: number, length: number): Uint8Array {
  const bytes = concat(message(7, piece, begin), new Uint8Array(length).fill(0x5a));
  new DataView(bytes.buffer).setUint32(0, 9 + length);
  return bytes;
}

const keepAlive = new Uint8Array(4);
const have = (piece: number) => message(4, piece);
const request = (piece: number, begin: number, length = 16384) => message(6, piece, begin, length);

type Sent = readonly ['>' | '<', Uint8Array];

function run(...packets: readonly Sent[]) {
  return runAt(2, false, ...packets);
}

function runAt(serverPort: number, fromStart: boolean, ...packets: readonly Sent[]) {
  const steps = packets.map(([side, payload]) => ({ fromClient: side === '>', payload }));
  const answer = runDetector(peerMessages, { steps, fromStart, clientPort: 1, serverPort });
  const grade = peerMessages.findings.find(({ text }) => text === answer.finding)?.confidence ?? null;
  return { ...answer, grade };
}

describe('one packet', () => {
  test('requests and blocks of 16 KiB are proof', () => {
    assert.equal(run(['>', request(270, 0x1c000)]).grade, 'proof');
    assert.equal(run(['>', concat(request(1, 0), request(1, 16384))]).grade, 'proof');
    assert.equal(run(['<', block(7, 16384, 16384).slice(0, 1448)]).grade, 'proof');
  });

  test('a chain fills its packet from the first byte', () => {
    assert.equal(run(['>', concat(Uint8Array.of(0), request(1, 0))]).outcome, No);
    assert.equal(run(['>', concat(request(1, 0), fromText('x'))]).outcome, No);
    assert.equal(run(['>', concat(request(1, 0), keepAlive)]).outcome, Yes);
    assert.equal(run(['>', concat(request(1, 0), request(1, 16384).slice(0, 9))]).outcome, Yes);
  });

  test('light messages alone are not believed', () => {
    assert.equal(run(['>', keepAlive]).outcome, No);
    assert.equal(run(['>', have(7)]).outcome, More);
    assert.equal(run(['>', concat(have(7), have(7), have(7), have(7), have(7))]).outcome, More);
    assert.equal(run(['>', concat(message(0), message(1), message(0), message(1))]).outcome, More);
  });

  test('several different light messages are strong, however many of them', () => {
    assert.equal(run(['>', concat(have(3), have(9), have(4), have(2))]).grade, 'strong');
    const many = [3, 9, 4, 2, 77, 12, 13, 5, 800, 41, 600, 7, 66, 1234].map(have);
    assert.equal(run(['>', concat(...many)]).grade, 'strong');
    assert.equal(run(['>', concat(...many, message(0), message(1), message(2), keepAlive)]).grade, 'strong');
  });

  test('with odd requests they are proof', () => {
    const odd = concat(request(7, 32768, 5000), request(8, 16384, 300));
    assert.equal(run(['>', odd]).grade, 'strong');
    assert.equal(run(['>', concat(odd, have(3), have(9), have(4), have(2))]).grade, 'proof');
  });

  test('updates of Windows have these messages behind a beginning of their own, of either side', () => {
    const hello = concat(fromText('\x0eSwarm protocol'), new Uint8Array(60));
    const asked = concat(request(3, 0, 16384), request(3, 16384, 16384));
    assert.equal(run(['>', hello], ['>', asked]).outcome, More);
    assert.equal(run(['>', hello.slice(0, 1)], ['>', hello.slice(1)], ['>', asked]).outcome, More);
    assert.equal(run(['<', hello], ['>', asked]).outcome, More);
    assert.equal(run(['>', hello.slice(1)], ['>', asked]).grade, 'proof');
  });

  test('at the port of those updates a flow met in its middle needs what only BitTorrent has', () => {
    const asked = concat(request(3, 0, 16384), request(3, 16384, 16384));
    const met = runAt(7680, false, ['>', asked], ['<', block(3, 0, 16384).slice(0, 1448)]);
    assert.equal(met.outcome, More);
    assert.match(met.near ?? '', /Delivery Optimization/);
    const odd = runAt(7680, false, ['>', request(3, 5, 100)], ['<', block(3, 5, 100)]);
    assert.notEqual(odd.outcome, Yes);
    assert.equal(runAt(7681, false, ['>', asked]).grade, 'proof');
    assert.equal(runAt(7680, true, ['>', asked]).grade, 'proof');
    const extended = fromText('\0\0\0\x1a\x14\0d1:md11:ut_metadatai2eee');
    assert.equal(runAt(7680, false, ['>', asked], ['>', extended]).grade, 'proof');
  });

  test('many blocks that the end of a file cuts are no proof, nor three numbers with a 0 or a 1 among them', () => {
    const chunks = [1, 2, 3, 4, 5, 6].map((n) => block(n, n << 20, 2));
    assert.equal(run(['>', concat(...chunks)]).grade, 'strong');
    const orders = [11, 12, 13, 14, 15].map((n) => request(n, 0, 100 + n));
    assert.equal(run(['>', concat(...orders)]).outcome, No);
    const counts = [11, 12, 13, 14, 15].map((n) => request(n, 3 * n, 1));
    assert.equal(run(['>', concat(...counts)]).outcome, No);
    const blocks = [11, 12, 13, 14].map((n) => request(n, n << 15, 1 << 15));
    assert.equal(run(['>', concat(...blocks)]).grade, 'proof');
  });

  test('counters, states and commands of other protocols say nothing', () => {
    const numbers = Array.from({ length: 40 }, (_, i) => i);
    const random = new SeededRandom(8);
    for (const packets of [
      numbers.map((i) => have(1000 + i)),
      numbers.map((i) => have(5000 - 7 * i)),
      numbers.map(() => have(random.below(2))),
      numbers.map(() => have(700 + random.below(2))),
      numbers.map(() => message(random.below(4))),
      numbers.map(() => message([0, 1, 2, 3, 14, 15][random.below(6)]!)),
      numbers.map((i) => message(13, 1000 * i * i)),
    ]) {
      assert.notEqual(run(...packets.map((packet) => ['>', packet] as const)).outcome, Yes);
      assert.notEqual(run(['>', concat(...packets)]).outcome, Yes);
    }
  });

  test('five keep-alives are zeros, not a chain', () => {
    assert.equal(run(['>', concat(...Array<Uint8Array>(5).fill(keepAlive), request(1, 0))]).outcome, No);
  });
});

describe('two packets', () => {
  test('light messages add up over packets of one side', () => {
    assert.equal(run(['>', have(3)], ['>', have(9)], ['>', have(4)]).outcome, More);
    assert.equal(run(['>', have(3)], ['>', have(9)], ['>', have(4)], ['>', have(2)]).grade, 'strong');
  });

  test('a message that only continues says nothing twice', () => {
    const odd = block(3, 16384, 900);
    assert.equal(run(['>', odd.slice(0, 400)], ['>', odd.slice(400)]).outcome, No);
  });

  test('a block that answers the request of the other side is proof', () => {
    const odd = block(99, 32768, 5000).slice(0, 1448);
    assert.equal(run(['<', odd]).outcome, More);
    assert.equal(run(['>', request(99, 32768, 5000)], ['<', odd]).grade, 'proof');
    assert.equal(run(['>', request(98, 32768, 5000)], ['<', odd]).outcome, More);
    assert.equal(run(['>', request(99, 32768, 5001)], ['<', odd]).outcome, More);
  });
});

test('reads only its ranges', () => {
  const inner = request(1, 16384);
  for (let length = 0; length <= inner.length; length++) {
    const view = new View();
    view.bytes = concat(fromText('\0\0\0'), inner, fromText('\0\0\0\0'));
    view.start = 3;
    view.end = 3 + length;
    view.wireLength = length;
    view.fromStart = false;
    assert.equal(peerMessages.inspect(view) === Yes, length === inner.length, `${length}`);
  }
});

test('random bytes behind a plausible length and id are not believed', () => {
  const random = new SeededRandom(6);
  for (let round = 0; round < 100_000; round++) {
    const payload = random.bytes(5 + random.below(80));
    payload[0] = payload[1] = payload[2] = 0;
    payload[3] = random.below(2) === 0 ? payload.length - 4 : random.below(64);
    payload[4] = random.below(24);
    const hex = Buffer.from(payload).toString('hex');
    assert.notEqual(run(['>', payload]).outcome, Yes, hex);
  }
});

describe('a stream whose beginning was something else', () => {
  const keyExchange = new SeededRandom(7).bytes(131);
  const runLate = (...payloads: readonly Uint8Array[]) => {
    const steps = [keyExchange, ...payloads].map((payload) => ({ fromClient: true, payload }));
    const answer = runDetector(peerMessages, { steps, fromStart: true, clientPort: 1, serverPort: 2 });
    return peerMessages.findings.find(({ text }) => text === answer.finding)?.confidence ?? null;
  };
  const cutBlock = block(7, 16384, 16384).slice(0, 1448);

  test('whole messages are proof as elsewhere', () => {
    assert.equal(runLate(request(1, 16384)), 'proof');
    assert.equal(runLate(block(7, 16384, 16384)), 'proof');
    assert.equal(runLate(concat(request(1, 16384), cutBlock)), 'proof');
  });

  test('a block that goes on behind the segment is only strong, as the copy of a recording may have it', () => {
    assert.equal(runLate(cutBlock), 'strong');
    assert.equal(runLate(concat(have(1), cutBlock)), 'strong');
    assert.equal(run(['<', cutBlock]).grade, 'proof');
  });
});
