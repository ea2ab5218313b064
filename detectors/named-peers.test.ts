/** Which peers, and which port of their own, the messages of every source name: `view.peers` and `view.listenPort`. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { concat, fromHex, fromText, repositoryPath } from '../lib/testing.js';
import { peerTexts } from '../lib/wire/testing.js';
import { More, View, Yes, type Detector } from './detector.js';
import { dht } from './dht.js';
import { parseFixture } from './harness.js';
import { httpTracker } from './http-tracker.js';
import { httpTrackerAnswer } from './http-tracker-answer.js';
import { lsd } from './lsd.js';
import { peerHandshake } from './peer-handshake.js';
import { peerMessages } from './peer-messages.js';
import { udpTracker } from './udp-tracker.js';
import { utp } from './utp.js';

interface Shown {
  /** Bytes of the message on the wire, if the capture cut it. */
  readonly wireLength?: number;
  /** What the other side's kept datagram is. */
  readonly other?: Uint8Array;
  /** What this side's kept datagram is. */
  readonly opening?: Uint8Array;
  readonly ipVersion?: number;
  /** Nothing was seen of the other side. */
  readonly oneWay?: boolean;
}

/** What `detector` says of one message: its outcome, the peers, and the port. */
function named(detector: Detector, message: string | Uint8Array, shown: Shown = {}) {
  const view = new View();
  view.bytes = typeof message === 'string' ? fromText(message) : message;
  view.end = view.bytes.length;
  view.wireLength = shown.wireLength ?? view.end;
  view.sourcePort = 40_000;
  view.ipVersion = shown.ipVersion ?? 4;
  view.opening = shown.opening ?? (detector.transport === 'tcp' ? view.bytes : new Uint8Array(0));
  view.openingEnd = view.openingWireLength = view.opening.length;
  view.other = shown.other ?? new Uint8Array(0);
  view.otherEnd = view.otherWireLength = view.other.length;
  view.oneWay = shown.oneWay === true;
  const outcome = detector.inspect(view);
  return { outcome, peers: peerTexts(view.peers), port: view.listenPort };
}

/** The peers of a message that must be believed. */
function peersOf(detector: Detector, message: string | Uint8Array, shown: Shown = {}): string[] {
  const { outcome, peers } = named(detector, message, shown);
  assert.equal(outcome, Yes);
  return peers;
}

function portOf(detector: Detector, message: string | Uint8Array, shown: Shown = {}): number {
  const { outcome, port } = named(detector, message, shown);
  assert.equal(outcome, Yes);
  return port;
}

const fixture = (name: string): Uint8Array[] =>
  parseFixture(readFileSync(repositoryPath('fixtures', 'detectors', `${name}.hex`), 'utf8')).steps.map(
    ({ payload }) => payload,
  );

const peer4 = '\xcb\x00\x71\x07\x1a\xe1';
const peer6 = '\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\xc8\xd5';
const peer4Text = '203.0.113.7:6881';
const peer6Text = '[2001:db8::1]:51413';
const noPort = '\xcb\x00\x71\x07\0\0';
const string = (text: string) => `${text.length}:${text}`;

describe('DHT', () => {
  const id = 'abcdefghij0123456789';
  const response = (more: string) => `d1:rd2:id20:${id}${more}e1:t2:aa1:y1:re`;
  const announce = (more: string) =>
    `d1:ad2:id20:${id}${more}5:token4:abcde1:q13:announce_peer1:t2:aa1:y1:qe`;
  const hash = '9:info_hash20:mnopqrstuvwxyz123456';

  test('values: the example of BEP 5, IPv6 of BEP 32, both mixed', () => {
    const [example] = fixture('dht/match/bep5-get-peers-values');
    assert.deepEqual(peersOf(dht, example!), ['97.120.106.101:11893', '105.100.104.116:28269']);
    assert.deepEqual(peersOf(dht, response(`6:valuesl${string(peer4)}${string(peer6)}${string(noPort)}e`)), [
      peer4Text,
      peer6Text,
    ]);
    assert.deepEqual(peersOf(dht, response('6:valuesle')), []);
  });

  test('nodes and nodes6', () => {
    const [nodes] = fixture('dht/match/libtorrent-find-node-response');
    const expected = Array.from({ length: 8 }, (_, i) => `198.18.0.${i}:${6881 + i}`);
    assert.deepEqual(peersOf(dht, nodes!), expected);
    const [six] = fixture('dht/match/bep32-nodes6');
    assert.deepEqual(peersOf(dht, six!), [
      '[2001:db8::1]:6882',
      '[2001:db8::2]:6883',
      '[2001:db8::]:6881',
      '[2001:db8::1]:6882',
      '[2001:db8::2]:6883',
      '[2001:db8::3]:6884',
    ]);
    const [samples] = fixture('dht/match/bep51-samples');
    assert.deepEqual(peersOf(dht, samples!), ['198.18.0.2:6883']);
  });

  test('sizes that fit nothing name nobody', () => {
    assert.deepEqual(peersOf(dht, response(`5:nodes${string(`${id}${peer4}x`)}`)), []);
    assert.deepEqual(peersOf(dht, response(`5:nodesi7e`)), []);
  });

  test('a response that the capture cut names what is whole', () => {
    const whole = fromText(response(`5:nodes${string(`${id}${peer4}`.repeat(8))}`));
    const first = whole.indexOf(0x3a, 40) + 1;
    for (let cut = first; cut < whole.length; cut++) {
      const count = Math.min(8, Math.floor((cut - first) / 26));
      const peers = peersOf(dht, whole.slice(0, cut), { wireLength: whole.length });
      assert.equal(peers.length, count, String(cut));
    }
    const values = fromText(response(`6:valuesl${string(peer4)}${string(peer4)}e`));
    assert.deepEqual(peersOf(dht, values.slice(0, -20), { wireLength: values.length }), [peer4Text]);
  });

  test('hundreds of values fill the list and no more', () => {
    const values = response(`6:valuesl${string(peer4).repeat(400)}e`);
    assert.equal(peersOf(dht, values, { wireLength: values.length + 1 }).length, 256);
    const nodes = `5:nodes${string(`${id}${peer4}`.repeat(400))}`;
    assert.equal(peersOf(dht, response(nodes)).length, 256);
  });

  test('an announcement names its port, or means its own socket', () => {
    const [example] = fixture('dht/match/bep5-announce-peer');
    assert.equal(portOf(dht, example!), 40_000);
    assert.equal(portOf(dht, announce(`12:implied_porti0e${hash}4:porti6881e`)), 6881);
    assert.equal(portOf(dht, announce(`${hash}4:porti51413e`)), 51_413);
    for (const port of ['0', '-1', '65536', '99999999999'])
      assert.equal(portOf(dht, announce(`${hash}4:porti${port}e`)), 0, port);
    assert.equal(portOf(dht, response('4:porti6881e')), 0);
  });
});

describe('HTTP tracker', () => {
  const hash = '%9F%1C%04%E2%A7%D8%5B%33%66%C0%FE%17%88%4B%AA%2D%71%30%5C%EE';
  const announce = (more: string) =>
    `GET /announce?info_hash=${hash}&peer_id=-TR3000-abcdefghijkl&uploaded=0&downloaded=0&left=0${more}`;

  test('an announce says where its client listens', () => {
    const [request] = fixture('http-tracker/match/transmission');
    assert.equal(portOf(httpTracker, request!), 51_413);
    assert.equal(portOf(httpTracker, announce('&port=6881&ip=1.2.3.4 HTTP/1.1\r\n\r\n')), 6881);
    assert.equal(portOf(httpTracker, announce(' HTTP/1.1\r\n\r\n')), 0);
    for (const port of ['0', '65536', '-1', 'x', ''])
      assert.equal(portOf(httpTracker, announce(`&port=${port} HTTP/1.1\r\n\r\n`)), 0, port);
    assert.deepEqual(peersOf(httpTracker, announce('&port=6881&ip=1.2.3.4 HTTP/1.1\r\n\r\n')), []);
  });

  test('a number that may go on is none yet', () => {
    assert.equal(portOf(httpTracker, announce('&port=51')), 0);
    assert.equal(portOf(httpTracker, announce('&port=51&')), 51);
  });

  const head = 'HTTP/1.0 200 OK\r\n\r\n';
  const answer = (more: string) => `${head}d8:intervali1800e${more}e`;

  test('compact answers', () => {
    const [compact] = fixture('http-tracker-answer/match/compact');
    assert.deepEqual(peersOf(httpTrackerAnswer, compact!), ['192.0.2.5:51413', '198.51.100.9:6881']);
    const [six] = fixture('http-tracker-answer/match/ipv6');
    assert.deepEqual(peersOf(httpTrackerAnswer, six!), ['[2001:db8::5]:51413']);
    const both = `5:peers${string(peer4 + noPort)}6:peers6${string(peer6)}`;
    assert.deepEqual(peersOf(httpTrackerAnswer, answer(both)), [peer4Text, peer6Text]);
    assert.deepEqual(peersOf(httpTrackerAnswer, answer('5:peers0:')), []);
  });

  test('answers with dictionaries; host names are left out', () => {
    const [dictionaries] = fixture('http-tracker-answer/match/dictionaries');
    assert.deepEqual(peersOf(httpTrackerAnswer, dictionaries!), ['192.0.2.5:51413']);
    const one = (ip: string, port: string) => `d2:ip${string(ip)}7:peer id20:${'x'.repeat(20)}4:port${port}e`;
    const list = [
      one('203.0.113.7', 'i6881e'),
      one('peer.example', 'i6881e'),
      one('2001:db8::1', 'i51413e'),
      one('203.0.113.7', 'i0e'),
      one('203.0.113.7', 'i70000e'),
      'd2:ip7:1.2.3.4e',
      one('::ffff:203.0.113.8', 'i1e'),
    ].join('');
    assert.deepEqual(peersOf(httpTrackerAnswer, answer(`5:peersl${list}e`)), [
      peer4Text,
      peer6Text,
      '203.0.113.8:1',
    ]);
  });

  test('answers that are cut name the whole peers that are there', () => {
    const whole = answer(`5:peers${string(peer4.repeat(9))}`);
    const first = whole.indexOf('54:') + 3;
    for (let cut = first; cut < whole.length; cut++) {
      const peers = peersOf(httpTrackerAnswer, whole.slice(0, cut), { wireLength: whole.length });
      assert.equal(peers.length, Math.min(9, Math.floor((cut - first) / 6)), String(cut));
    }
    const one = `d2:ip11:203.0.113.74:porti6881ee`;
    const list = answer(`5:peersl${one.repeat(3)}e`);
    const cut = list.indexOf(one) + 2 * one.length + 9;
    assert.deepEqual(peersOf(httpTrackerAnswer, list.slice(0, cut), { wireLength: list.length }), [
      peer4Text,
      peer4Text,
    ]);
  });

  test('an answer of a thousand fills the list and no more', () => {
    assert.equal(peersOf(httpTrackerAnswer, answer(`5:peers${string(peer4.repeat(1000))}`)).length, 256);
    const one = 'd2:ip11:203.0.113.74:porti6881ee';
    assert.equal(peersOf(httpTrackerAnswer, answer(`5:peersl${one.repeat(1000)}e`)).length, 256);
  });

  test('failures and scrapes name nobody', () => {
    assert.deepEqual(peersOf(httpTrackerAnswer, `${head}d14:failure reason7:unknowne`), []);
  });
});

describe('UDP tracker', () => {
  const [request, answer] = fixture('udp-tracker/match/answered-announce');
  const head = answer!.slice(0, 20);
  const six = concat(head, fromText(peer6), fromText(peer6));

  test('an announce request says where its client listens; its answer does not', () => {
    const [announce] = fixture('udp-tracker/match/announce');
    assert.equal(portOf(udpTracker, announce!), 51_413);
    assert.equal(portOf(udpTracker, announce!.slice(0, 60), { wireLength: 98 }), 0);
    assert.equal(portOf(udpTracker, answer!, { other: request! }), 0);
    assert.equal(named(udpTracker, request!).outcome, More);
  });

  test('an answer has entries of 6 bytes over IPv4, of 18 over IPv6', () => {
    assert.deepEqual(peersOf(udpTracker, answer!, { other: request! }), [
      '192.0.2.5:51413',
      '198.51.100.9:6881',
    ]);
    assert.deepEqual(peersOf(udpTracker, six, { other: request!, ipVersion: 6 }), [peer6Text, peer6Text]);
    // Twelve bytes over IPv6 are no peers of IPv6.
    assert.deepEqual(peersOf(udpTracker, answer!, { other: request!, ipVersion: 6 }), []);
    assert.deepEqual(peersOf(udpTracker, head, { other: request! }), []);
  });

  test('an answer seen without its request', () => {
    const [connect, announce] = fixture('udp-tracker/match/one-way-answers');
    assert.deepEqual(peersOf(udpTracker, announce!, { opening: connect!, oneWay: true }), [
      '192.0.2.5:51413',
      '198.51.100.9:6881',
    ]);
  });

  test('a cut answer names what is whole, a long one what fits', () => {
    const cut = answer!.slice(0, -1);
    assert.deepEqual(peersOf(udpTracker, cut, { other: request!, wireLength: answer!.length }), [
      '192.0.2.5:51413',
    ]);
    const long = concat(head, ...Array.from({ length: 300 }, () => fromText(peer4)));
    assert.equal(peersOf(udpTracker, long, { other: request! }).length, 256);
  });

  test('an error names nobody', () => {
    const error = concat(fromHex('00000003'), head.slice(4, 8), fromText('no such torrent'));
    assert.deepEqual(peersOf(udpTracker, error, { other: request! }), []);
  });
});

describe('local service discovery', () => {
  const hash = '7a46496831daedf564869497a1dcb417686885a5';
  const search = (port: string) =>
    `BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n${port}Infohash: ${hash}\r\n\r\n\r\n`;

  test('the port header', () => {
    const [six] = fixture('lsd/match/ipv6');
    assert.equal(portOf(lsd, six!), 6881);
    assert.equal(portOf(lsd, search('Port: 51413\r\n')), 51_413);
    assert.equal(portOf(lsd, search('port:65535\r\n')), 65_535);
    for (const port of ['65536', '99999999999']) assert.equal(portOf(lsd, search(`Port: ${port}\r\n`)), 0);
  });

  test('a number that the capture may have cut is none', () => {
    const whole = search('Port: 51413\r\n');
    const cut = whole.indexOf('51413') + 3;
    assert.equal(portOf(lsd, whole.slice(0, cut), { wireLength: whole.length }), 0);
    assert.equal(portOf(lsd, whole.slice(0, cut + 4), { wireLength: whole.length }), 51_413);
  });
});

describe('peer protocol', () => {
  const extended = (id: number, dictionary: string): Uint8Array => {
    const length = dictionary.length + 2;
    return concat(Uint8Array.of(0, 0, length >> 8, length & 0xff, 20, id), fromText(dictionary));
  };
  const exchange = (added: string, added6 = '') =>
    extended(
      1,
      `d5:added${string(added)}7:added.f${string('\x10'.repeat(added.length / 6))}6:added6${string(added6)}e`,
    );
  const hello = (port: string) => extended(0, `d1:md6:ut_pexi1ee1:p${port}1:v5:abcdee`);
  const unchoke = Uint8Array.of(0, 0, 0, 1, 1);
  const handshake = concat(
    fromText('\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05'),
    new Uint8Array(40).fill(0x61),
  );

  test('peer exchange: added and added6', () => {
    const [pex] = fixture('peer-messages/match/ut-pex');
    assert.deepEqual(peersOf(peerMessages, pex!), ['203.0.113.7:6881', '198.18.0.4:6882']);
    assert.deepEqual(peersOf(peerMessages, exchange(peer4 + noPort, peer6)), [peer4Text, peer6Text]);
    assert.deepEqual(peersOf(peerMessages, exchange('')), []);
    assert.equal(peersOf(peerMessages, exchange(peer4.repeat(400))).length, 256);
  });

  test('dropped peers are not named', () => {
    assert.deepEqual(peersOf(peerMessages, extended(1, `d5:added0:7:dropped${string(peer4)}e`)), []);
  });

  test('the extension handshake says where its sender listens', () => {
    const [libtorrent] = fixture('peer-messages/match/extension-handshake-libtorrent');
    assert.equal(portOf(peerMessages, libtorrent!), 6881);
    for (const port of ['i0e', 'i-5e', 'i65536e', 'i99999999999e', '4:6881'])
      assert.equal(portOf(peerMessages, hello(port)), 0, port);
  });

  test('several messages in one packet', () => {
    const chain = concat(unchoke, hello('i6881e'), exchange(peer4), unchoke);
    assert.deepEqual(named(peerMessages, chain), { outcome: Yes, peers: [peer4Text], port: 6881 });
    // One that goes on in the next packet says nothing yet.
    const cut = concat(hello('i6881e'), exchange(peer4 + peer4).slice(0, -20));
    assert.deepEqual(named(peerMessages, cut), { outcome: Yes, peers: [], port: 6881 });
  });

  test('behind the handshake', () => {
    const [behind] = fixture('peer-handshake/match/messages-behind');
    assert.equal(portOf(peerHandshake, behind!), 6881);
    assert.equal(portOf(peerHandshake, handshake), 0);
    const both = concat(handshake, hello('i6881e'), exchange(peer4));
    assert.deepEqual(named(peerHandshake, both), { outcome: Yes, peers: [peer4Text], port: 6881 });
    for (let cut = 20; cut < both.length; cut++)
      assert.equal(named(peerHandshake, both.slice(0, cut)).peers.length, 0, String(cut));
    assert.equal(portOf(peerHandshake, concat(handshake, fromText('random bytes behind it'))), 0);
  });

  test('inside uTP', () => {
    const header = fromHex('01 00 1a2b 5a12c3d4 77665544 00100000 3c4d 9abc');
    assert.deepEqual(named(utp, concat(header, exchange(peer4, peer6))), {
      outcome: Yes,
      peers: [peer4Text, peer6Text],
      port: 0,
    });
    assert.equal(portOf(utp, concat(header, handshake, hello('i6881e'))), 6881);
    assert.equal(portOf(utp, concat(header, hello('i6881e'))), 6881);
  });
});
