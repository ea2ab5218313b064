import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../lib/testing.js';
import { More, No, View, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { httpTracker } from './http-tracker.js';

const hash = '%9F%1C%04%E2%A7%D8%5B%33%66%C0%FE%17%88%4B%AA%2D%71%30%5C%EE';
const flow = { fromStart: true, clientPort: 50000, serverPort: 80 };
const ask = (...texts: string[]): ReturnType<typeof runDetector> =>
  runDetector(httpTracker, {
    ...flow,
    steps: texts.map((text) => ({ fromClient: true, payload: fromText(text) })),
  });

test('BEP 3: the parameters may come in any order, on any path', () => {
  const run = ask(`GET /x?port=1&peer_id=-TR3000-abcdefghijkl&info_hash=${hash} HTTP/1.0\r\n\r\n`);
  assert.equal(run.finding, 'HTTP tracker announce');
  assert.equal(run.infoHash, '9f1c04e2a7d85b3366c0fe17884baa2d71305cee');
  assert.equal(run.client, '-TR3000-');
});

test('counters stand in for a peer-id of another length', () => {
  const run = ask(`GET /x?info_hash=${hash}&peer_id=odd&uploaded=0&downloaded=0&left=-1 HTTP/1.0\r\n\r\n`);
  assert.equal(run.finding, 'HTTP tracker announce');
});

test('an info-hash of 19 or 21 bytes is a near miss', () => {
  for (const value of [hash.slice(3), `${hash}a`]) {
    const run = ask(`GET /x?info_hash=${value}&peer_id=-TR3000-abcdefghijkl&port=1 HTTP/1.0\r\n\r\n`);
    assert.equal(run.outcome, No);
    assert.equal(run.near, 'info_hash parameter that is not 20 bytes');
  }
});

test('BEP 48: scrape only where the last path segment says so', () => {
  assert.equal(ask(`GET /a/scrape.php?info_hash=${hash} HTTP/1.0\r\n\r\n`).finding, 'HTTP tracker scrape');
  assert.equal(ask(`GET /scrape/a?info_hash=${hash} HTTP/1.0\r\n\r\n`).outcome, No);
});

test('every cut of an announce is More or Yes, never No', () => {
  const text = `GET /announce?info_hash=${hash}&peer_id=-TR3000-abcdefghijkl&port=51413 HTTP/1.1\r\n\r\n`;
  for (let length = 1; length < text.length; length++)
    assert.notEqual(ask(text.slice(0, length)).outcome, No, String(length));
  for (let length = 1; length < text.length; length++)
    assert.equal(ask(text.slice(0, length), text.slice(length)).outcome, Yes, String(length));
});

test('waits for no other request', () => {
  assert.equal(ask('GET /index.html HTTP/1.1\r\nHost: x').outcome, No);
  assert.equal(ask('GET /a?b=c HTTP/1.1\r\nHost: x').outcome, No);
  assert.equal(ask('GET /a?b=').outcome, More);
});

/** A capture with a snap length shows the beginning of a packet that was longer on the wire. */
function askCut(text: string): number {
  const view = new View();
  view.bytes = fromText(text);
  view.end = view.bytes.length;
  view.wireLength = 400;
  view.opening = view.bytes;
  view.openingEnd = view.end;
  return httpTracker.inspect(view);
}

test('a request cut by the capture is believed by its path and binary escapes', () => {
  assert.equal(askCut('GET /announce?info_hash=%9F%1C%04%E2%A7'), Yes);
  assert.equal(askCut('GET /scrape?info_hash=%9F%1C%04'), Yes);
  assert.equal(askCut('GET /announce?info_hash=0123456789'), No);
  assert.equal(askCut('GET /announce?key=1&info_hash=%20%41%42%43'), No, 'escapes of characters');
  assert.equal(askCut('GET /page?info_hash=%9F%1C%04%E2%A7'), No);
});

test('a cut request that begins with an info-hash that is not hexadecimal is an announce, however little of it is left', () => {
  for (const value of ['%', 'g', '0a%88', 'aG', '%3Azu']) {
    assert.equal(askCut(`GET /announce?info_hash=${value}`), Yes, value);
    assert.equal(askCut(`GET /0123/announce.php?info_hash=${value}`), Yes, value);
    assert.equal(askCut(`GET /scrape?info_hash=${value}`), Yes, value);
    assert.equal(askCut(`GET /announce?page=1&info_hash=${value}`), No, value);
    assert.equal(askCut(`GET /list?info_hash=${value}`), No, value);
  }
  for (const value of ['', '9', '9f86d081884c7d65'])
    assert.equal(askCut(`GET /announce?info_hash=${value}`), No, value);
});

test('one binary escape as the first byte of a cut hash is strong', () => {
  const strong = httpTracker.findings.findIndex(({ confidence }) => confidence === 'strong');
  const finding = (text: string): number => {
    const view = new View();
    view.bytes = view.opening = fromText(text);
    view.end = view.openingEnd = view.bytes.length;
    view.wireLength = 400;
    return httpTracker.inspect(view) === Yes ? view.finding : -1;
  };
  assert.equal(finding('GET /announce?key=1&info_hash=%9Fzu'), strong);
  assert.equal(finding('GET /announce?key=1&info_hash=z%9Fu'), -1);
  assert.equal(finding('GET /announce?key=1&info_hash=%3Azu'), -1);
});
