import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromText } from '../lib/testing.js';
import { No, Yes } from './detector.js';
import { runDetector } from './harness.js';
import { webSeed } from './web-seed.js';

const ask = (...texts: string[]): ReturnType<typeof runDetector> =>
  runDetector(webSeed, {
    fromStart: true,
    clientPort: 50000,
    serverPort: 80,
    steps: texts.map((text) => ({ fromClient: true, payload: fromText(text) })),
  });
const request = (agent: string, target = '/a.iso'): string =>
  `GET ${target} HTTP/1.1\r\nHost: x\r\nUser-Agent: ${agent}\r\nRange: bytes=0-1\r\n\r\n`;

test('believes programs that do nothing but BitTorrent', () => {
  for (const agent of [
    'Transmission/4.0.5 (abc)',
    'µTorrent/2210',
    '\xc2\xb5Torrent/3.5',
    'BitTorrent/7.10.5(46248)',
    'Azureus 4.3.0.6;Windows;Java',
    'rtorrent/0.9.8/0.13.8',
    'Tixati/2.89',
    'qBittorrent v3.3.16',
    'KTorrent/5.1.2',
  ])
    assert.equal(ask(request(agent)).finding, 'byte range fetched by a BitTorrent client', agent);
});

test('does not believe a name in the middle, or the name of another program', () => {
  for (const agent of [
    'Mozilla/5.0 BitTorrent/7.10',
    'my-libtorrent/1',
    'Delugent/1',
    'BitTorrent Sync/2',
    '',
  ])
    assert.equal(ask(request(agent)).outcome, No, agent);
  assert.equal(
    ask(request('Mozilla/5.0 BitTorrent/7.10')).near,
    'User-Agent that mentions BitTorrent but is not a BitTorrent client',
  );
});

test('leaves tracker requests and metainfo files to their detectors', () => {
  assert.equal(ask(request('Transmission/3.00', '/announce?info_hash=x&port=1')).outcome, No);
  assert.equal(ask(request('Transmission/3.00', '/a.torrent')).outcome, No);
});

test('BEP 17: a piece number and an info-hash of 20 bytes', () => {
  const hash = '%9F%1C%04%E2%A7%D8%5B%33%66%C0%FE%17%88%4B%AA%2D%71%30%5C%EE';
  assert.equal(ask(request('x', `/s?piece=3&info_hash=${hash}`)).finding, 'piece fetched from an HTTP seed');
  assert.equal(ask(request('x', `/s?piece=x&info_hash=${hash}`)).outcome, No);
  assert.equal(ask(request('x', `/s?piece=3&info_hash=${hash}a`)).outcome, No);
});

test('the head may be split at every byte', () => {
  const text = request('libtorrent/2.0.8.0');
  for (let cut = 4 + 1; cut < text.length; cut++)
    assert.equal(ask(text.slice(0, cut), text.slice(cut)).outcome, Yes, String(cut));
});

test('a range without an end is strong, an update by Sparkle is nothing', () => {
  const open = request('Transmission/3.00', '/blocklist.gz').replace('bytes=0-1', 'bytes=0-');
  assert.equal(ask(open).finding, 'request of a BitTorrent client to a web server');
  const update = ask(request('Transmission/14714 Sparkle/1.26.0', '/Transmission-3.00.dmg'));
  assert.equal(update.outcome, No);
  assert.equal(update.near, 'program update of a BitTorrent client');
});

test('names with a version in other forms', () => {
  for (const agent of ['Halite v 0.4', 'uTorrent Mac/1870', 'rqbit/8.0', 'BTSP/3602', 'Go-Torrent/1.0'])
    assert.equal(ask(request(agent)).outcome, Yes, agent);
  for (const agent of ['Halite v', 'Halite various', 'anacrolix/1', 'Rain/1.12'])
    assert.equal(ask(request(agent)).outcome, No, agent);
});

test("BitComet's long-term seeds have names of 40 characters", () => {
  const name = 'a'.repeat(40);
  const outcome = (target: string): number => ask(request('x', target)).outcome;
  assert.equal(outcome(`/data?fid=${name}&size=1`), Yes);
  assert.equal(outcome(`/data?fid=${name}b&size=1`), No);
  assert.equal(outcome(`/data?fid=${name}&size=x`), No);
});
