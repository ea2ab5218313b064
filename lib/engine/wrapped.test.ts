/** Flows through proxies, with all detectors: what is inside is found wherever the segments are cut. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parseFixture } from '../../detectors/harness.js';
import { registry } from '../../detectors/index.js';
import { fakePacket, type FakePacket } from '../flow/testing.js';
import { EndedFlowView } from '../report/ended-flow.js';
import type { FlowReport } from '../report/report.js';
import { concat, fromHex, fromText, repositoryPath, SeededRandom } from '../testing.js';
import {
  address4,
  bytesOf,
  connected,
  connectRequest,
  greeting5,
  negotiations,
  refused407,
  reply5,
  request5,
} from '../wire/proxy-testing.js';
import { Engine } from './engine.js';

const up = { from: ['10.0.0.1', 50000], to: ['10.0.0.2', 1080] } as const;
const down = { from: ['10.0.0.2', 1080], to: ['10.0.0.1', 50000] } as const;
type Message = readonly [0 | 1, Uint8Array];

const hash = '7a46496831daedf564869497a1dcb417686885a5';
const handshake = concat(
  fromText('\x13BitTorrent protocol'),
  fromHex('0000000000100005' + hash),
  fromText('-TR4060-abcdefghijkl'),
);
const escaped = hash.replace(/../g, '%$&');
const announceQuery = `info_hash=${escaped}&peer_id=-TR4060-abcdefghijkl&port=51413&uploaded=0&downloaded=0&left=9`;
const announce = fromText(`GET /announce?${announceQuery} HTTP/1.1\r\nHost: t.example\r\n\r\n`);
const socks = negotiations['socks 5']!;

class Line {
  readonly reports: FlowReport[] = [];
  readonly engine: Engine;
  #frame = 0;
  readonly #next = [1001, 5001];

  constructor(details = false) {
    const flow = new EndedFlowView(() => 'test');
    this.engine = new Engine({
      registry,
      flowsMax: 64,
      hashSeed: 1,
      details,
      onEnd: (engine, slot) => {
        flow.show(engine, slot);
        this.reports.push(flow.report());
      },
    });
  }

  send(fake: FakePacket): number {
    const packet = fakePacket(fake);
    packet.timeMicros = ++this.#frame;
    return this.engine.packet(packet, 100, this.#frame, 0);
  }

  open(): this {
    this.send({ ...up, flags: 2, sequence: 1000 });
    this.send({ ...down, flags: 0x12, sequence: 5000 });
    return this;
  }

  /** Sends the bytes of a side at their place in the stream, counted from its first byte. */
  at(side: 0 | 1, offset: number, payload: Uint8Array): number {
    return this.send({ ...(side === 0 ? up : down), sequence: (side === 0 ? 1001 : 5001) + offset, payload });
  }

  /** Sends messages in order; answers the verdict after the last. */
  talk(messages: readonly Message[]): number {
    let verdict = 0;
    for (const [side, payload] of messages) {
      verdict = this.send({ ...(side === 0 ? up : down), sequence: this.#next[side]!, payload });
      this.#next[side]! += payload.length;
    }
    return verdict;
  }

  end(): FlowReport {
    this.engine.flows.endAll();
    assert.equal(this.engine.inspector.openings.used, 0);
    return this.reports[0]!;
  }
}

const talk = (...messages: readonly Message[]): FlowReport => {
  const line = new Line().open();
  line.talk(messages);
  return line.end();
};

const isPeer = (report: FlowReport, about: string): void => {
  assert.deepEqual([report.verdict, report.kind], ['bittorrent', 'peer'], about);
};

describe('a peer handshake inside', () => {
  test('every kind of negotiation, the handshake from either side', () => {
    for (const [name, messages] of Object.entries(negotiations)) {
      const report = talk(...messages, [0, handshake]);
      isPeer(report, name);
      assert.equal(report.decided_packet, messages.length + 3);
      assert.deepEqual(report.info_hashes, [hash]);
      assert.equal(report.evidence[0]!.side, 'client');
      assert.equal(talk(...messages, [1, handshake]).evidence[0]!.side, 'server', name);
    }
  });

  test('each message cut in two at every place', () => {
    for (const [name, messages] of Object.entries(negotiations)) {
      const whole: readonly Message[] = [...messages, [0, handshake]];
      for (const [index, [side, bytes]] of whole.entries())
        for (let cut = 1; cut < bytes.length; cut++) {
          const pieces: Message[] = [
            [side, bytes.subarray(0, cut)],
            [side, bytes.subarray(cut)],
          ];
          const about = `${name}, message ${index} at ${cut}`;
          isPeer(talk(...whole.slice(0, index), ...pieces, ...whole.slice(index + 1)), about);
        }
    }
  });

  test('byte by byte', () => {
    for (const name of ['socks 4', 'socks 5']) {
      const whole: readonly Message[] = [...negotiations[name]!, [0, handshake]];
      isPeer(
        talk(...whole.flatMap(([side, bytes]) => [...bytes].map((b): Message => [side, bytesOf(b)]))),
        name,
      );
    }
  });

  test('data right behind the request, in the same segment or before the reply', () => {
    for (const [name, messages] of Object.entries(negotiations)) {
      const ask = messages.at(-2)![1];
      const reply = messages.at(-1)!;
      const before = messages.slice(0, -2);
      isPeer(talk(...before, [0, concat(ask, handshake)], reply), `${name}: same segment`);
      isPeer(talk(...before, [0, ask], [0, handshake], reply), `${name}: before the reply`);
      isPeer(talk(...before, [0, ask], [1, concat(reply[1], handshake)]), `${name}: behind the reply`);
    }
  });

  test('greeting, request and data in one segment', () => {
    const all = concat(greeting5, request5(address4), handshake);
    isPeer(talk([0, all], [1, bytesOf(5, 0)], [1, reply5()]), 'answers apart');
    isPeer(talk([0, all], [1, concat(bytesOf(5, 0), reply5())]), 'answers at once');
  });

  test('segments out of order, and twice', () => {
    const client = concat(greeting5, request5(address4), handshake);
    const places = [0, 1, 3, 8, 13, 20, client.length];
    const pieces = places
      .slice(0, -1)
      .map((from, i) => [from, client.subarray(from, places[i + 1])] as const);
    const random = new SeededRandom(3);
    for (let round = 0; round < 50; round++) {
      const order = [...pieces, ...pieces.slice(0, round % 4)].sort(() => random.below(3) - 1);
      const line = new Line().open();
      for (const [offset, bytes] of order) line.at(0, offset, bytes);
      line.at(1, 2, reply5());
      line.at(1, 0, bytesOf(5, 0));
      isPeer(line.end(), order.map(([offset]) => offset).join(' '));
    }
  });

  test('a gap inside is filled later', () => {
    const line = new Line().open();
    line.talk(socks.slice(0, -1));
    const inner = greeting5.length + request5(address4).length;
    line.at(0, inner + 10, handshake.subarray(10));
    line.talk(socks.slice(-1));
    line.at(0, inner, handshake.subarray(0, 10));
    isPeer(line.end(), 'gap');
  });

  test('only the client’s direction captured', () => {
    for (const [name, messages] of Object.entries(negotiations)) {
      const line = new Line();
      line.send({ ...up, flags: 2, sequence: 1000 });
      line.talk([...messages.filter(([side]) => side === 0), [0, handshake]]);
      isPeer(line.end(), name);
    }
  });

  test('a proxy inside a proxy, and no deeper', () => {
    const connect = negotiations['connect']!;
    isPeer(talk(...socks, ...connect, [0, handshake]), 'two');
    isPeer(talk(...connect, ...connect, [0, handshake]), 'two of a kind');
    isPeer(
      talk(
        [0, concat(...[...socks, ...connect].filter(([side]) => side === 0).map(([, b]) => b), handshake)],
        [1, concat(...[...socks, ...connect].filter(([side]) => side === 1).map(([, b]) => b))],
      ),
      'two at once',
    );
    assert.notEqual(talk(...socks, ...connect, ...socks, [0, handshake]).kind, 'mse');
  });

  test('a refusal with a long page whose rest comes later', () => {
    const page = refused407('x'.repeat(9000));
    const request = connectRequest('peer.example:6881');
    const pages = [0, 1400, 2800, 4200, 5600, 7000, 8400].map((from): Message => [
      1,
      page.subarray(from, from + 1400),
    ]);
    isPeer(talk([0, request], ...pages, [0, request], [1, connected], [0, handshake]), 'page');
    const again: Message[] = [[0, request], ...pages];
    isPeer(
      talk(...again, ...again, ...again, ...again, [0, request], [1, connected], [0, handshake]),
      'four',
    );
    assert.equal(
      talk(...again, ...again, ...again, ...again, ...again, [0, request], [1, connected], [0, handshake])
        .verdict,
      'clear',
    );
  });

  test('an opening that was taken over ends the following, and nothing else', () => {
    const line = new Line().open();
    const pool = line.engine.inspector.openings;
    line.talk(socks.slice(0, 1));
    while (pool.next() < 0) pool.take(63, 0);
    const words = line.engine.flows.words;
    assert.ok(words.length > 0);
    line.talk([...socks.slice(1), [0, handshake]]);
    line.engine.flows.endAll();
    assert.equal(line.reports.length, 1);
  });
});

describe('other BitTorrent through a proxy', () => {
  test('an announce through CONNECT and through SOCKS', () => {
    for (const messages of Object.values(negotiations))
      assert.equal(talk(...messages, [0, announce]).kind, 'http-tracker');
  });

  test('requests with an absolute target, to a plain proxy', () => {
    const get = (target: string, fields = ''): FlowReport =>
      talk([0, fromText(`GET ${target} HTTP/1.1\r\nHost: t.example\r\n${fields}\r\n`)]);
    assert.equal(get(`http://t.example:6969/announce?${announceQuery}`).kind, 'http-tracker');
    assert.equal(get(`http://t.example/scrape?info_hash=${escaped}`).kind, 'http-tracker');
    const agent = 'User-Agent: Transmission/4.0.6\r\n';
    assert.equal(get('http://t.example/a.iso', `${agent}Range: bytes=0-16383\r\n`).kind, 'web-seed');
    assert.equal(get(`http://t.example/seed?info_hash=${escaped}&piece=3`).kind, 'web-seed');
  });

  test('a plain request after a refused CONNECT on the same connection', () => {
    const absolute = fromText(`GET http://t.example/announce?${announceQuery} HTTP/1.1\r\n\r\n`);
    assert.equal(
      talk([0, connectRequest('peer.example:6881')], [1, refused407('no')], [0, absolute]).kind,
      'http-tracker',
    );
  });
});

describe('not BitTorrent', () => {
  const hello = concat(fromHex('16030100c8010000c40303'), new SeededRandom(1).bytes(194));

  test('TLS, web pages and noise inside a proxy', () => {
    const page = fromText('GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n');
    const noise = new SeededRandom(2).bytes(400);
    for (const messages of Object.values(negotiations))
      for (const inner of [hello, page, noise]) {
        const report = talk(...messages, [0, inner], [1, inner.subarray(5)]);
        assert.notEqual(report.verdict, 'bittorrent');
      }
  });

  test('the flow keeps the name of its proxy', () => {
    assert.equal(talk(...socks, [0, hello]).protocol, 'socks');
    assert.equal(talk([0, bytesOf(5, 1, 0)], [1, bytesOf(5, 0xff)]).protocol, 'socks');
  });

  test('after a refusal nothing is asked', () => {
    const refused: Message[] = [...socks.slice(0, -1), [1, reply5(5)]];
    assert.notEqual(talk(...refused, [0, handshake]).verdict, 'bittorrent');
  });

  test('what only begins like a proxy is shown to the detectors from its first byte', () => {
    const line = new Line().open();
    line.talk([
      [0, fromText('CON')],
      [0, fromText('TENT of something else')],
      [1, handshake],
    ]);
    isPeer(line.end(), 'server');
  });

  test('a negotiation that never ends is given up', () => {
    const line = new Line().open();
    line.talk([[0, fromText('CONNECT peer.example:80 HTTP/1.1\r\n')]]);
    for (let i = 0; i < 200; i++) line.talk([[0, fromText(`X-${i}: y\r\n`)]]);
    const before = line.engine.inspector.detectorCalls;
    line.talk([[0, fromText('x'.repeat(1000))]]);
    assert.ok(line.engine.inspector.detectorCalls - before < 20);
    assert.notEqual(line.end().verdict, 'bittorrent');
    for (let i = 0; i < 8; i++) line.talk([[0, fromText('x'.repeat(1400))]]);
  });

  test('without the client’s SYN nothing is followed', () => {
    const line = new Line();
    line.talk(socks);
    assert.equal(line.engine.inspector.openings.used, 0);
  });

  test('garbage behind every cut of every negotiation', () => {
    const random = new SeededRandom(11);
    for (const messages of Object.values(negotiations))
      for (let round = 0; round < 200; round++) {
        const line = new Line().open();
        for (const [side, bytes] of messages) {
          const cut = bytes.slice();
          if (random.below(3) === 0) cut[random.below(cut.length)] = random.below(256);
          line.talk([[side, random.below(4) === 0 ? concat(cut, random.bytes(random.below(40))) : cut]]);
        }
        for (let i = 0; i < 8; i++)
          line.talk([[random.below(2) as 0 | 1, random.bytes(1 + random.below(1400))]]);
        assert.notEqual(line.end().verdict, 'bittorrent');
      }
  });
});

describe('inside UDP ASSOCIATE', () => {
  const header = concat(bytesOf(0, 0, 0), address4);
  const relay = (...datagrams: readonly Message[]): FlowReport => {
    const line = new Line();
    for (const [side, bytes] of datagrams)
      line.send({ proto: 'udp', ...(side === 0 ? up : down), payload: concat(header, bytes) });
    return line.end();
  };
  const query = fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe');
  const connectTracker = fromHex('00000417271019800000000012345678');

  test('DHT and UDP tracker', () => {
    assert.equal(relay([0, query]).kind, 'dht');
    assert.equal(
      relay([0, connectTracker], [1, fromHex('00000000123456780102030405060708')]).kind,
      'udp-tracker',
    );
  });

  test('what is not wrapped is found as before, and other datagrams stay what they are', () => {
    const line = new Line();
    line.send({ proto: 'udp', ...up, payload: query });
    assert.equal(line.end().kind, 'dht');
    const random = new SeededRandom(9);
    for (let i = 0; i < 500; i++)
      assert.notEqual(relay([0, random.bytes(1 + random.below(200))]).verdict, 'bittorrent');
    // DNS through the relay.
    const dns = concat(
      fromHex('1234010000010000000000000377777707'),
      fromText('example\x03com\0'),
      fromHex('00010001'),
    );
    assert.notEqual(relay([0, dns]).verdict, 'bittorrent');
  });
});

describe('every fixture of every detector is judged inside as it is outside', () => {
  const folder = repositoryPath('fixtures', 'detectors');
  const header = concat(bytesOf(0, 0, 0), address4);
  // A proxy has a name where what is inside has another or none, so these two verdicts are one here.
  const judged = ({ verdict, kind, info_hashes, evidence }: FlowReport): unknown => ({
    verdict: verdict === 'clear' ? 'unknown' : verdict,
    kind,
    info_hashes,
    evidence: evidence.map((item) => [item.detector, item.finding, item.side]),
  });

  for (const { name, transport } of registry.detectors)
    test(name, () => {
      for (const group of ['match', 'near', 'short'])
        for (const file of readdirSync(join(folder, name, group))) {
          const fixture = parseFixture(readFileSync(join(folder, name, group, file), 'utf8'));
          if (!fixture.fromStart) continue;
          const steps = fixture.steps.map(({ fromClient, payload }): Message => [
            fromClient ? 0 : 1,
            payload,
          ]);
          if (transport === 'udp') {
            const [bare, relayed] = [new Line(), new Line()];
            for (const [side, payload] of steps) {
              bare.send({ proto: 'udp', ...(side === 0 ? up : down), payload });
              relayed.send({ proto: 'udp', ...(side === 0 ? up : down), payload: concat(header, payload) });
            }
            assert.deepEqual(judged(relayed.end()), judged(bare.end()), file);
          } else
            for (const [proxy, messages] of Object.entries(negotiations))
              assert.deepEqual(
                judged(talk(...messages, ...steps)),
                judged(talk(...steps)),
                `${file}, ${proxy}`,
              );
        }
    });
});

test('a request to a proxy whose two segments came in the wrong order leads to a stream seen from its start', () => {
  const request = connectRequest('peer.example:6881');
  const line = new Line().open();
  line.at(0, 20, request.subarray(20));
  line.at(0, 0, request.subarray(0, 20));
  line.at(1, 0, connected);
  // Had the gap stayed open, this block alone would be proof, as in the middle of a stream.
  line.at(0, request.length, fromText('x'.repeat(40)));
  line.at(0, request.length + 40, concat(fromHex('00004009 07 00000003 00008000'), new Uint8Array(500)));
  assert.equal(line.end().verdict, 'suspect');
});
