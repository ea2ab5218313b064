/**
 * Attacks on the memory of the swarm and on the looking at encrypted connections, and innocent traffic that once fell with
 * them: each of these was found by a review, and went the wrong way then.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fromText, SeededRandom } from '../lib/testing.js';
import {
  findNode,
  handshake,
  Inline,
  inTurn,
  nodesAnswer,
  ping,
  pong,
  random,
  Town,
  wholeMse,
  type End,
  type Said,
} from './encrypted-testing.js';

const me = '10.0.0.5';
const stranger = '93.184.216.34';
const liars = ['198.51.100.66', '192.0.2.66', '198.18.0.66'];

/** As Shadowsocks and its kin: random from the first byte, in lengths that MSE does not have. */
const tunnel = (): Said[] => inTurn([300, 500, 900, 1448, 200, 1448]);

function goesOn(town: Town, from: string, to: End, about?: string): void {
  const { verdict, reason, evidence } = town.flow(from, to);
  const said = evidence.map(({ detector, confidence }) => `${detector}: ${confidence}`);
  assert.notEqual(verdict, 'bittorrent', [about, reason, ...said].join(', '));
}

describe('lies about a server', () => {
  const approaches: readonly [string, (town: Town, from: string, server: End) => void][] = [
    [
      'datagrams',
      (town, from, server) => {
        town.udp([from, 6881], server, [['>', ping]]);
      },
    ],
    [
      'handshakes',
      (town, from, server) => {
        town.tcp([from, 40000], server, [['>', handshake]]);
      },
    ],
    [
      'handshakes from the middle',
      (town, from, server) => {
        town.tcp([from, 40000], server, [['>', handshake]], true);
      },
    ],
  ];
  for (const [name, approach] of approaches)
    test(`unanswered ${name} from several networks say nothing about it to strangers`, () => {
      for (const server of [
        ['10.0.0.50', 8388],
        ['203.0.113.7', 8388],
        ['10.0.0.50', 443],
      ] as const) {
        const town = new Town();
        for (const liar of liars) approach(town, liar, server);
        town.tcp([stranger, 50123], server, tunnel());
        goesOn(town, stranger, server, server.join(':'));
      }
    });

  test('nor are strangers cut off inline', () => {
    for (const [proto, port] of [
      ['udp', 8388],
      ['tcp', 8388],
      ['udp', 443],
    ] as const) {
      const line = new Inline();
      for (const liar of liars) {
        line.opens([liar, 6881], ['10.0.0.50', port], proto);
        line.say('>', proto === 'udp' ? ping : handshake);
      }
      line.decided.length = 0;
      line.opens([stranger, 50123], ['10.0.0.50', port]);
      for (const [side, payload] of tunnel())
        assert.equal(line.say(side, payload), 'pass', `${proto} ${port}`);
      assert.deepEqual(line.decided, []);
    }
  });

  test('pings in its name that a node answers say nothing about it', () => {
    for (const [port, count] of [
      [8388, 1],
      [8388, 2],
      [443, 1],
      [443, 2],
      [22, 1],
      [22, 2],
    ] as const) {
      const victim: End = ['203.0.113.7', port];
      const town = new Town();
      for (let i = 0; i < count; i++)
        town.udp(
          victim,
          ['10.0.0.77', 51413],
          [
            ['>', ping],
            ['<', pong],
          ],
        );
      town.tcp([me, 40001], victim, tunnel());
      goesOn(town, me, victim, `${count} for port ${port}`);
    }
  });

  test('nor do connection requests of uTP in its name, accepted or refused', () => {
    /** BEP 29: type, version 1; connection id 0x1234, sequence number 0x5678. */
    const header = (type: number, more: readonly number[]): Uint8Array =>
      Uint8Array.of(
        (type << 4) | 1,
        0,
        0x12,
        0x34,
        0x11,
        0x22,
        0x33,
        0x44,
        0,
        0,
        0,
        0,
        0,
        0x10,
        0,
        0,
        ...more,
      );
    const request = header(4, [0x56, 0x78, 0, 0]);
    for (const type of [2, 3]) {
      const victim: End = ['203.0.113.7', 8388];
      const town = new Town();
      for (const node of ['10.0.0.77', '10.0.0.78']) {
        const to: End = [node, 51413];
        town.udp(victim, to, [
          ['>', request],
          ['<', header(type, [0x33, 0x44, 0x56, 0x78])],
        ]);
        assert.equal(town.flow(victim[0], to).kind, 'utp', 'it is what it claims to be');
      }
      town.tcp([me, 40001], victim, tunnel());
      goesOn(town, me, victim, `answered by type ${type}`);
    }
  });

  test('nor do segments in its name of a connection that never was, with or without a forged SYN-ACK', () => {
    for (const port of [8388, 443])
      for (const forged of [0x18, 0x12]) {
        const victim: End = ['203.0.113.7', port];
        const town = new Town();
        for (const node of ['10.0.0.77', '10.0.7.77']) {
          const to: End = [node, 51413];
          const nothing = new Uint8Array(0);
          town.segment(victim, to, '>', -1, nothing, forged);
          town.segment(victim, to, '<', 0, nothing, 0x14);
          town.segment(victim, to, '>', 0, handshake);
          town.segment(victim, to, '<', 0, nothing, 0x14);
        }
        town.tcp([me, 40001], victim, tunnel());
        goesOn(town, me, victim, `port ${port}, flags ${forged}`);
      }
  });

  test('who answers is proven: the same pings the other way round', () => {
    const node: End = ['203.0.113.7', 8388];
    const town = new Town();
    town.udp(['10.0.7.77', 51413], node, exchange);
    town.tcp([me, 40001], node, tunnel());
    assert.equal(town.verdict(me, node), 'bittorrent');
  });

  test('what a node told one host is not believed about another, not even about one that torrents', () => {
    const victim: End = ['203.0.113.7', 8388];
    const town = new Town();
    const told = '10.0.7.77';
    town.udp(
      [told, 51413],
      ['198.51.100.66', 6881],
      [
        ['>', findNode],
        ['<', nodesAnswer([victim])],
      ],
    );
    town.udp(
      [me, 51000],
      ['192.0.2.1', 6881],
      [
        ['>', ping],
        ['<', pong],
      ],
    );
    town.tcp([me, 40001], victim, tunnel());
    const flow = town.flow(me, victim);
    assert.equal(flow.verdict, 'suspect');
    assert.deepEqual(
      flow.evidence.filter(({ detector }) => detector === 'endpoint-memory'),
      [],
    );
  });
});

describe('innocent random streams', () => {
  test('the same hello to two servers, to two ports, before and after an address is translated', () => {
    const hello = random(300);
    const rest: Said[] = [
      ['<', random(4000)],
      ['>', random(900)],
    ];
    for (const [one, two] of [
      [
        ['203.0.113.7', 9000],
        ['198.51.100.9', 9000],
      ],
      [
        ['203.0.113.7', 9000],
        ['203.0.113.7', 9001],
      ],
      [
        ['203.0.113.7', 8388],
        ['10.1.0.9', 8388],
      ],
    ] as const)
      for (const said of [rest, rest.slice(0, 1), tunnel().slice(1)]) {
        const town = new Town();
        town.tcp([me, 40001], one, [['>', hello], ...said]);
        town.tcp([me, 40001], two, [['>', hello], ...said]);
        goesOn(town, me, one, one.join(':'));
        goesOn(town, me, two, two.join(':'));
      }
  });

  test('a host that torrents keeps its tunnel, whatever lengths chance makes', () => {
    const server: End = ['203.0.113.99', 8388];
    const dice = new SeededRandom(20_261_121);
    const length = (): number => Math.round(20 * (1460 / 20) ** (dice.below(10_000) / 10_000));
    const town = new Town();
    const torrents = (i: number): void => {
      town.udp(
        [me, 51413],
        [`172.16.${i & 255}.9`, 6881],
        [
          ['>', ping],
          ['<', pong],
        ],
      );
    };
    // Not while it torrents: a client that is started later finds the tunnel known.
    for (let i = 0; i < 3; i++) town.tcp([me, 19_000 + i], server, inTurn([590, 1400, 900, 1448, 300]));
    const conversations = 2000;
    for (let i = 0; i < conversations; i++) {
      if (i % 100 === 0) torrents(i / 100);
      const lengths = Array.from({ length: 5 }, length);
      town.tcp(
        [me, 20_000 + i],
        server,
        lengths.map((bytes, turn) => [turn % 2 === 0 ? '>' : '<', dice.bytes(bytes)]),
      );
      town.now += 0.3;
    }
    town.engine.flows.endAll();
    const flows = town.reports.filter(({ server_port }) => server_port === server[1]);
    assert.equal(flows.length, conversations + 3);
    assert.deepEqual(
      flows.filter(({ verdict }) => verdict === 'bittorrent').map(({ reason }) => reason),
      [],
    );
  });

  test('what turned out to be something else stays that when its host or its server is proven later', () => {
    const server: End = ['203.0.113.7', 8388];
    for (const [name, prove] of [
      [
        'the host',
        (town: Town) => {
          town.udp([me, 51413], ['198.51.100.1', 6881], exchange);
        },
      ],
      [
        'the server',
        (town: Town) => {
          town.udp([me, 51413], server, exchange);
        },
      ],
    ] as const) {
      const town = new Town('corroborated', undefined, true);
      town.tcp([me, 40001], server, [
        ['>', random(300)],
        ['<', random(4000)],
        ['<', random(4000)],
        ['>', random(2000)],
      ]);
      town.now += 60;
      prove(town);
      town.engine.flows.endAll();
      const refuted = town.reports.find(({ client_port }) => client_port === 40001)!;
      assert.notEqual(refuted.verdict, 'bittorrent', `${name}: ${refuted.reason}`);
    }
  });
});

const exchange: readonly Said[] = [
  ['>', ping],
  ['<', pong],
  ['>', ping],
  ['<', pong],
];

describe('the shape, however its segments come', () => {
  // Side, offset in its stream, length.
  const cases: readonly [string, string][] = [
    ['in order', '>0+96 >96+204 <0+361'],
    ['the client’s first two swapped', '>96+204 >0+96 <0+361'],
    ['the server’s first two swapped', '>0+300 <96+265 <0+96'],
    ['both swapped', '>96+204 >0+96 <96+265 <0+96'],
    ['a forged byte at 50 before the first message', '>50+1 >0+300 <0+361'],
    ['a forged byte at 5000 before it', '>5000+1 >0+300 <0+361'],
    ['a forged byte at 5000 behind it', '>0+300 >5000+1 <0+361'],
    ['a forged byte at 5000 of the server', '>0+300 <5000+1 <0+361'],
    ['forged bytes of both sides', '>50+1 >200000+1 >0+300 <50+1 <200000+1 <0+361'],
  ];
  const tails: readonly [string, string][] = [
    ['with initial payload', '>300+124 <361+214 >424+600 <575+1400'],
    ['without', '>300+64 <361+130 >364+68 <491+1400 >432+300'],
  ];
  for (const [name, opening] of cases)
    for (const [form, tail] of tails)
      test(`${name}, ${form}`, () => {
        const to: End = ['203.0.113.7', 51413];
        const town = new Town('shape');
        town.tcp([me, 40001], to, []);
        for (const segment of `${opening} ${tail}`.split(' ')) {
          const [offset, length] = segment.slice(1).split('+').map(Number);
          town.segment([me, 40001], to, segment.startsWith('>') ? '>' : '<', offset!, random(length!));
        }
        const { verdict, reason } = town.flow(me, to);
        assert.deepEqual([verdict, reason], ['bittorrent', 'shape']);
      });
});

describe('a memory that is flooded', () => {
  const active = (town: Town, hosts: readonly string[]): number => {
    for (const [i, host] of hosts.entries()) {
      const to: End = [`203.0.113.${i + 1}`, 40_000 + i];
      town.tcp([host, 30_000], to, inTurn([300, 361, 124, 200]));
    }
    town.engine.flows.endAll();
    const knows = town.reports.filter(
      ({ client, evidence }) =>
        hosts.includes(client) && evidence.some(({ detector }) => detector === 'host-evidence'),
    );
    town.reports.length = 0;
    return knows.length;
  };

  test('80,000 unanswered pings from one IPv6 network do not push the local hosts out', () => {
    const town = new Town();
    const hosts = Array.from({ length: 40 }, (_, i) => `10.0.1.${i + 1}`);
    for (const host of hosts)
      for (let i = 0; i < 5; i++) town.udp([host, 51413], [`172.16.${i}.9`, 6881], exchange.slice(0, 2));
    town.engine.flows.endAll();
    for (let i = 0; i < 40_000; i++) {
      const from: End = [`2001:db8:1:1:${(i >> 12).toString(16)}:${(i & 4095).toString(16)}:1:1`, 51413];
      for (const net of ['aa', 'bb'])
        town.udp(from, [`2001:db8:${net}${i % 7}:1:0:0:0:1`, 6881], [['>', ping]]);
      if (i % 2000 !== 0) continue;
      town.engine.flows.endAll();
      town.reports.length = 0;
    }
    assert.equal(active(town, hosts), hosts.length);
  });

  test('20,000 first messages of others do not push out what is known of a tunnel’s servers', () => {
    const servers: readonly End[] = [
      ['203.0.113.7', 51413],
      ['198.51.100.20', 40123],
      ['192.0.2.99', 28555],
    ];
    const town = new Town();
    for (const [i, end] of servers.entries()) town.tcp([me, 41_001 + i], end, inTurn([590, 1400, 900, 1448]));
    const before = town.now;
    for (let i = 0; i < 20_000; i++) {
      const to: End = [`198.18.${i >> 8}.${i & 255}`, 9000];
      town.tcp([`10.0.${2 + (i >> 8)}.${i & 255}`, 1024 + i], to, [
        ['>', random(200)],
        ['<', random(200)],
      ]);
      if (i % 2000 !== 0) continue;
      town.engine.flows.endAll();
      town.reports.length = 0;
    }
    // Within what a host is remembered for.
    assert.ok(town.now - before < 120);
    for (const [i, end] of servers.entries()) town.tcp([me, 42_001 + i], end, wholeMse());
    for (const end of servers) assert.equal(town.verdict(me, end), 'suspect');
  });
});

describe('inline', () => {
  const opened = (options = {}): Inline => {
    const line = new Inline(options);
    line.opens([me, 40_000], ['203.0.113.7', 51413]);
    return line;
  };

  test('a flow with the whole shape waits for other remotes, one that was refuted then does not', () => {
    for (const refuted of [false, true]) {
      const line = opened();
      for (const [side, payload] of inTurn([300, 360, 124, 82]))
        assert.equal(line.say(side, payload), 'pass');
      // Then all lengths are words of four bytes.
      if (refuted) line.say('<', random(2));
      let sent = 0;
      while (sent < 1200 && line.say(sent % 2 === 0 ? '>' : '<', random(700)) === 'pass') sent++;
      assert.equal(line.action, refuted ? 'accept' : 'pass', `${sent} packets`);
    }
  });

  test('retransmissions without end do not hold a flow', () => {
    const own = random(300);
    const answer = random(300);
    // 64 payload packets are the budget of a suspect, 16 packets of any sort come on each.
    const bound = 64 * 16;
    for (const sides of [['>'], ['<'], ['>', '<']] as const) {
      const line = opened();
      line.say('>', own);
      line.say('<', answer);
      let sent = 4;
      let action = 'pass';
      for (; action === 'pass' && sent <= bound; sent++) {
        const side = sides[sent % sides.length]!;
        action = line.at(side, 0, side === '>' ? own : answer);
      }
      assert.equal(action, 'accept', `${sides.join()}: still held after ${sent}`);
      assert.deepEqual(line.decided, []);
    }
  });

  test('a handshake through CONNECT is blocked however small the segments', () => {
    const request = fromText(
      'CONNECT 192.0.2.4:51413 HTTP/1.1\r\nHost: 192.0.2.4:51413\r\nUser-Agent: x/1\r\n\r\n',
    );
    const connected = fromText('HTTP/1.1 200 OK\r\n\r\n');
    for (const [requestIn, handshakeIn] of [
      [1000, 1000],
      [10, 1000],
      [1000, 5],
      [1000, 1],
      [10, 10],
    ] as const) {
      const line = opened();
      const about = `request in ${requestIn}, handshake in ${handshakeIn}`;
      assert.equal(line.cut('>', request, requestIn), 'pass', about);
      assert.equal(line.say('<', connected), 'pass', about);
      assert.equal(line.cut('>', handshake, handshakeIn), 'drop', about);
      assert.deepEqual(line.decided, ['drop'], about);
    }
  });

  test('monitor mode: what was reported about an allowed torrent is what is kept', () => {
    const hash = Buffer.from(handshake.subarray(28, 48)).toString('hex');
    for (const waits of [0, 6]) {
      const line = opened({ blocks: false, allowedInfoHashes: new Set([hash]) });
      line.say('>', handshake.subarray(0, 20));
      for (let i = 0; i < waits; i++) line.at('>', 20, new Uint8Array(0), 0x10);
      line.say('>', handshake.subarray(20));
      for (let i = 0; i < 3000 && line.action === 'pass'; i++) line.say('<', random(100));
      assert.deepEqual(line.decided, [waits === 0 ? 'accept' : 'drop']);
      assert.equal(line.action, line.decided[0], `${waits} packets before the info-hash`);
    }
  });
});
