import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../lib/testing.js';
import { More, No, View, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { httpTrackerAnswer } from './http-tracker-answer.js';

const ask = (...texts: string[]): ReturnType<typeof runDetector> =>
  runDetector(httpTrackerAnswer, {
    fromStart: true,
    clientPort: 50000,
    serverPort: 80,
    steps: texts.map((text) => ({ fromClient: false, payload: fromText(text) })),
  });
const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n';
const body = 'd8:completei1e10:incompletei0e8:intervali1800e5:peers6:abcdefe';

test('the head may come alone, the body in pieces', () => {
  assert.equal(ask(head).outcome, More);
  for (let cut = 1; cut < head.length + body.length; cut++) {
    const whole = head + body;
    assert.equal(ask(whole.slice(0, cut), whole.slice(cut)).outcome, Yes, String(cut));
  }
});

test('BEP 23: peers are multiples of 6', () => {
  assert.equal(ask(`${head}d8:intervali1e5:peers0:e`).finding, 'HTTP tracker answer with peers');
  assert.equal(ask(`${head}d8:intervali1e5:peers5:abcdee`).outcome, No);
});

test('BEP 7: peers6 are multiples of 18', () => {
  assert.equal(ask(`${head}d8:intervali1e6:peers618:abcdefghijklmnopqre`).outcome, Yes);
  assert.equal(ask(`${head}d8:intervali1e6:peers66:abcdefe`).outcome, No);
});

test('BEP 3: a list of peers holds dictionaries with ip and port', () => {
  assert.equal(ask(`${head}d8:intervali1e5:peersle1:xi1ee`).outcome, Yes);
  assert.equal(ask(`${head}d8:intervali1e5:peersl3:abcee`).outcome, No);
});

test('a failure reason is a sentence', () => {
  assert.equal(ask(`${head}d14:failure reason7:unknowne`).finding, 'HTTP tracker failure answer');
  assert.equal(ask(`${head}d14:failure reasoni1ee`).outcome, No);
  assert.equal(ask(`${head}d14:failure reason2:\x00\x01e`).outcome, No);
});

test('other bodies are let go at once', () => {
  assert.equal(ask(`${head}<html>`).outcome, No);
  assert.equal(ask(`${head}d1:ai1ee`).outcome, No);
  assert.equal(ask('data').outcome, No);
});

test('a cut body is believed once it has begun with the numbers of a swarm', () => {
  const outcome = (text: string, wireLength: number) => {
    const view = new View();
    view.bytes = fromText(text);
    view.end = view.bytes.length;
    view.wireLength = wireLength;
    view.fromClient = false;
    return httpTrackerAnswer.inspect(view);
  };
  const counts = 'd8:completei12e10:incompletei1';
  assert.equal(outcome(counts, 86), Yes);
  assert.equal(outcome(counts, counts.length), More, 'not cut: the rest is waited for');
  assert.equal(outcome('d8:completei12e10:incompletei', 86), No);
  assert.equal(outcome('d8:completei12e9:incompletei1', 86), No);
  assert.equal(outcome('d5:filesd20:abcdefghijkl', 86), Yes);
  assert.equal(outcome('d5:filesd20:abcdefghijklmnopqrstd8:c', 86), Yes);
  assert.equal(outcome('d5:filesd20:abcdefghijklmnopqrst3:ab', 86), No);
  assert.equal(outcome('d5:filesd19:abcdefghijkl', 86), No);
});
