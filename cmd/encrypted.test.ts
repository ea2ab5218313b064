/**
 * Encrypted connections and the memory of the swarm: what decides, and what an attacker tries in vain. The names of the
 * attacks are those of ARCHITECTURE.md.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concat, fromHex, fromText } from '../lib/testing.js';
import {
  announcePeer,
  azureusPing,
  findNode,
  handshake,
  inTurn,
  learnsOf,
  nodesAnswer,
  ping,
  pong,
  random,
  Town,
  wholeMse,
  type End,
  type Said,
} from './encrypted-testing.js';
import { exemptBy } from './swarm-memory.js';
import { AllowList } from '../lib/config/allow.js';
import { SwarmWatch } from '../lib/engine/swarm-watch.js';
import { UnknownEndpoint, type Endpoints, type Hosts } from '../lib/flow/swarm.js';

const me = '10.0.0.5';
const peer: End = ['203.0.113.7', 51413];
const other: End = ['198.51.100.20', 40123];
const third: End = ['192.0.2.99', 28555];
/** From, to, and whether it is met in its middle: none of them is a connection of `me` with `peer` seen from its start. */
const notTheSame: readonly [string, End, boolean][] = [
  [me, ['203.0.113.99', 51413], false],
  [me, ['203.0.113.7', 51414], false],
  ['10.0.0.77', peer, false],
  [me, peer, true],
];

const own = (port: number): End => [me, port];
const tlsHello = concat(
  Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3),
  random(32),
  Uint8Array.of(32),
  random(32),
  Uint8Array.of(0, 2, 0x13, 1, 1, 0),
  random(400),
);

describe('encrypted connections', () => {
  test('the shape alone makes a suspect; in the mode shape it decides, before any block; off looks away', () => {
    for (const [mode, verdict] of [
      ['corroborated', 'suspect'],
      ['shape', 'bittorrent'],
      ['off', 'unknown'],
    ] as const) {
      const town = new Town(mode);
      town.tcp(own(40001), peer, wholeMse());
      const flow = town.flow(me, peer);
      assert.equal(flow.verdict, verdict, mode);
      if (mode !== 'shape') continue;
      assert.equal(flow.kind, 'encrypted');
      assert.equal(flow.reason, 'shape');
      assert.ok(flow.payload_bytes_before_decision! < 4096, 'less than one block passed');
    }
  });

  test('with a host that was just proven, the shape decides; a quarter of an hour later it does not', () => {
    for (const [pause, verdict] of [
      [60, 'bittorrent'],
      [1200, 'suspect'],
    ] as const) {
      const town = new Town();
      town.tcp(own(40000), other, [['>', handshake]]);
      town.now += pause;
      town.tcp(own(40001), peer, wholeMse());
      assert.equal(town.verdict(me, peer), verdict, `after ${pause} s`);
    }
  });

  test('a peer that the tracker named to this host falls at its first packet with payload', () => {
    const town = new Town();
    learnsOf(town, me, [peer, other]);
    town.tcp(own(40001), peer, wholeMse());
    const flow = town.flow(me, peer);
    assert.equal(flow.verdict, 'bittorrent');
    assert.equal(flow.payload_bytes_before_decision, 0);
    assert.deepEqual(
      flow.evidence.map(({ detector }) => detector),
      ['mse', 'endpoint-memory', 'host-evidence'],
    );
  });

  test('so does one that a DHT answer named, and one over IPv6 is another', () => {
    const town = new Town();
    town.udp(own(51413), other, [
      ['>', findNode],
      ['<', nodesAnswer([peer, third])],
    ]);
    town.tcp(own(40001), third, wholeMse());
    assert.equal(town.flow(me, third).payload_bytes_before_decision, 0);
  });

  test('so does one that said on which port it listens, once it was answered', () => {
    const announced = [announcePeer(peer[1]), azureusPing(peer)];
    for (const said of [undefined, ...announced]) {
      const town = new Town();
      town.udp([peer[0], 6889], own(6881), [
        ['>', ping],
        ['<', pong],
        ['>', said ?? findNode],
      ]);
      town.tcp(own(40001), peer, inTurn([300, 500, 900, 1448]));
      assert.equal(town.verdict(me, peer), said === undefined ? 'suspect' : 'bittorrent');
    }
  });

  test('a peer that refused to speak plainly and is dialled again with encryption falls at once', () => {
    const town = new Town();
    town.tcp(own(40000), peer, [['>', handshake]]);
    town.tcp(own(40001), peer, wholeMse());
    assert.equal(town.flow(me, peer).payload_bytes_before_decision, 0);
    assert.equal(town.verdict(me, peer), 'bittorrent');
  });

  test('strangers who dial the port of a proven DHT node fall at once', () => {
    const town = new Town();
    town.udp(own(51413), other, [
      ['>', ping],
      ['<', pong],
    ]);
    town.udp(third, own(51413), [
      ['>', ping],
      ['<', pong],
    ]);
    town.tcp([peer[0], 39000], own(51413), wholeMse());
    assert.equal(town.flow(peer[0], own(51413)).verdict, 'bittorrent');
    assert.equal(town.flow(peer[0], own(51413)).payload_bytes_before_decision, 0);
  });

  test('the same shape towards a third remote within two minutes decides, towards two it does not', () => {
    const town = new Town();
    town.tcp(own(40001), peer, wholeMse());
    town.tcp(own(40002), other, wholeMse());
    town.tcp(own(40003), third, wholeMse());
    assert.equal(town.verdict(me, third), 'bittorrent');
    const flow = town.flow(me, third);
    assert.ok(flow.payload_bytes_before_decision! < 4096);
    assert.equal(town.verdict(me, other), 'suspect');
    const slow = new Town();
    for (const [i, end] of [peer, other, third].entries()) {
      slow.tcp(own(40001 + i), end, wholeMse());
      slow.now += 100;
    }
    assert.equal(slow.verdict(me, third), 'suspect', 'spread over more than two minutes');
  });

  test('the third remote also decides about the first two, while they are looked at', () => {
    const town = new Town();
    const flows = [peer, other, third].map((end, i) => town.open(own(40001 + i), end));
    for (const said of wholeMse()) for (const say of flows) say(said);
    for (const end of [peer, other, third]) {
      assert.equal(town.verdict(me, end), 'bittorrent', end[0]);
      assert.ok(town.flow(me, end).payload_bytes_before_decision! < 4096);
    }
  });

  test('remotes to which the host speaks otherwise as well are no peers: a tunnel with three servers', () => {
    const town = new Town();
    const servers = [peer, other, third];
    for (const [i, end] of servers.entries())
      town.tcp(own(41001 + i), end, inTurn([590, 1400, 900, 1448, 300, 1448]));
    for (const [i, end] of servers.entries()) town.tcp(own(42001 + i), end, wholeMse());
    for (const end of servers) assert.equal(town.verdict(me, end), 'suspect');
  });

  test('shape: who was cut off once and tries again falls at once', () => {
    const town = new Town('shape');
    town.tcp(own(40001), peer, wholeMse());
    town.tcp(own(40002), peer, inTurn([300, 400, 61, 141]));
    assert.equal(town.flow(me, peer).reason, 'strong-and-hint');
    assert.equal(town.flow(me, peer).payload_bytes_before_decision, 0);
    town.now += 300;
    town.tcp(own(40003), peer, inTurn([300, 400, 61, 141]));
    assert.equal(town.verdict(me, peer), 'suspect');
  });

  test('shape: so does who tries again through a proxy, towards the same network and port behind it', () => {
    const proxy: End = ['198.51.100.9', 1080];
    const socks = (last: number, port: number): Said[] => [
      ['>', fromHex('050100')],
      ['<', fromHex('0500')],
      ['>', concat(fromHex('05010001 cb0071'), Uint8Array.of(last, port >> 8, port & 0xff))],
      ['<', fromHex('05000001 00000000 0000')],
    ];
    for (const [last, port, verdict] of [
      [7, 51413, 'bittorrent'],
      // Of the one behind a proxy only the network and the port are kept.
      [8, 51413, 'bittorrent'],
      [7, 51414, 'suspect'],
    ] as const) {
      const town = new Town('shape');
      town.tcp(own(40001), proxy, [...socks(7, 51413), ...wholeMse()]);
      assert.equal(town.verdict(me, proxy), 'bittorrent');
      town.tcp(own(40002), proxy, [...socks(last, port), ...inTurn([300, 400, 61, 141])]);
      assert.equal(town.verdict(me, proxy), verdict, `${last} ${port}`);
    }
  });

  test('shape: but not its neighbours, other ports, other hosts, or what is met in its middle', () => {
    for (const [from, to, middle] of notTheSame) {
      const town = new Town('shape');
      town.tcp(own(40001), peer, wholeMse());
      town.tcp([from, 41001], to, inTurn(middle ? [1448, 1448, 1448, 1448] : [300, 400, 61, 141]), middle);
      assert.notEqual(town.verdict(from, to), 'bittorrent', `${from} to ${to.join(':')}`);
    }
  });

  describe('a client that was cut off and tries the same server and port again', () => {
    const servers = [peer, other, third];
    /** Lengths as in MTProto, which one exchange of MSE in 128 has. */
    const inWords = (): Said[] => inTurn([568, 344, 108, 132, 68, 293]);
    /** All at once, so that the third cuts off the first two as well. */
    const cutOff = (ends: readonly End[] = servers): Town => {
      const town = new Town();
      const flows = ends.map((end, i) => ({ say: town.open(own(40001 + i), end), said: wholeMse() }));
      for (let turn = 0; turn < wholeMse().length; turn++)
        for (const { say, said } of flows) say(said[turn]!);
      return town;
    };

    test('falls at once, however long its messages are, for two minutes', () => {
      for (const [count, pause, verdict] of [
        [2, 0, 'suspect'],
        [3, 0, 'bittorrent'],
        [3, 100, 'bittorrent'],
        [3, 130, 'suspect'],
      ] as const) {
        const town = cutOff(servers.slice(0, count));
        town.now += pause;
        town.tcp(own(41001), peer, inWords());
        const flow = town.flow(me, peer);
        assert.equal(flow.verdict, verdict, `${count} servers, after ${pause} s`);
        if (verdict === 'bittorrent') assert.equal(flow.payload_bytes_before_decision, 0);
      }
    });

    test('but not its neighbours, other ports, other hosts, or what is met in its middle', () => {
      for (const [from, to, middle] of notTheSame) {
        const town = cutOff();
        const said = middle ? inTurn([1448, 1448, 1448, 1448, 1448, 1448]) : inWords();
        town.tcp([from, 41001], to, said, middle);
        assert.equal(town.verdict(from, to), 'suspect', `${from} to ${to.join(':')}`);
      }
    });

    test('a stream of another shape towards one server frees that one, and no other', () => {
      const town = cutOff();
      town.tcp(own(41001), peer, inTurn([1800, 500, 900]));
      town.tcp(own(41002), peer, inWords());
      town.tcp(own(41003), other, inWords());
      assert.equal(town.verdict(me, peer), 'suspect');
      assert.equal(town.verdict(me, other), 'bittorrent');
    });

    test('strangers who dial a host in this shape do not have its own connections cut off', () => {
      const later = inTurn([300, 1400, 900, 1448]);
      for (const dialled of [false, true]) {
        const town = new Town();
        const toHandshake = [301, 361, 64, 130, 68];
        for (const stranger of ['203.0.113.200', '198.51.100.77', '192.0.2.5'])
          town.tcp([stranger, 40000], own(8388), inTurn(toHandshake));
        if (dialled) town.tcp(own(40001), peer, wholeMse());
        for (const end of [peer, ['203.0.113.200', 40000]] as const) {
          town.tcp(own(40002), end, later);
          assert.equal(town.verdict(me, end), 'suspect', `${end.join(':')}, ${String(dialled)}`);
        }
      }
    });

    test('nor does who forges its address, while the server does not answer', () => {
      const town = new Town();
      for (const [i, end] of servers.entries()) town.forge(own(40001 + i), end);
      assert.equal(town.flow(me, third).reason, 'two-strong', 'the forged flow itself');
      town.tcp(own(41001), third, inTurn([300, 1400, 900, 1448]));
      assert.equal(town.verdict(me, third), 'suspect');
    });
  });

  test('a public key that was used towards another remote supports the shape', () => {
    const key = random(96);
    const from = (pad: number): Said[] => [['>', concat(key, random(pad))], ...wholeMse().slice(1)];
    const town = new Town();
    town.tcp(own(40001), peer, from(20));
    town.tcp(own(40002), other, from(300));
    assert.equal(town.verdict(me, other), 'bittorrent');
  });

  test('seen from the middle only, random bytes are believed with a port that was proven', () => {
    const said = inTurn([1448, 900, 1448, 1448, 1448, 800]);
    const town = new Town();
    town.tcp(own(40001), peer, said, true);
    assert.notEqual(town.verdict(me, peer), 'bittorrent');
    const knows = new Town();
    for (const port of [6881, 6882])
      knows.udp(own(port), peer, [
        ['>', ping],
        ['<', pong],
      ]);
    knows.udp(['172.16.3.3', 6881], peer, [
      ['>', ping],
      ['<', pong],
    ]);
    knows.tcp(own(40001), peer, said, true);
    assert.equal(knows.verdict(me, peer), 'bittorrent');
  });

  test('a scan asks again at the end: what was learned later decides too', () => {
    for (const reconsiders of [false, true]) {
      const town = new Town('corroborated', undefined, reconsiders);
      town.tcp(own(40001), peer, [['>', random(300)]]);
      learnsOf(town, me, [peer]);
      assert.equal(town.verdict(me, peer), reconsiders ? 'bittorrent' : 'suspect');
    }
  });

  test('workers share what they learn', () => {
    const one = new Town();
    const two = new Town('corroborated', one.memory);
    learnsOf(one, me, [peer]);
    two.tcp(own(40001), peer, wholeMse());
    assert.equal(two.flow(me, peer).payload_bytes_before_decision, 0);
  });
});

describe('poisoning', () => {
  const attacks: readonly [string, (town: Town) => void][] = [
    [
      'answers to nothing that was asked',
      (town) => {
        for (const liar of ['198.51.100.66', '203.0.113.66', '192.0.2.66'])
          town.udp([liar, 6881], own(6881), [['>', nodesAnswer([peer])]]);
      },
    ],
    [
      'one liar, believed by another host',
      (town) => {
        learnsOf(town, '10.0.0.77', [peer]);
      },
    ],
    [
      'a datagram with the address of the victim as its sender',
      (town) => {
        town.udp(peer, ['10.0.0.77', 6881], [['>', ping]]);
      },
    ],
    [
      'datagrams with the address of the victim that say on which port it listens',
      (town) => {
        town.udp([peer[0], 6881], ['10.0.0.77', 6881], [['>', azureusPing(peer)]]);
        town.udp([peer[0], 6882], ['10.0.0.77', 6881], [['>', announcePeer(peer[1])]]);
      },
    ],
    [
      'a datagram to a port of the victim that is not answered',
      (town) => {
        town.udp(['198.51.100.66', 6881], peer, [['>', ping]]);
      },
    ],
    [
      'a peer handshake to a server that is none',
      (town) => {
        town.tcp(['198.51.100.66', 40000], peer, [['>', handshake]]);
      },
    ],
  ];
  for (const [name, attack] of attacks)
    test(`${name}: random streams to that end go on`, () => {
      const town = new Town();
      attack(town);
      town.tcp(own(40001), peer, inTurn([300, 500, 900, 1448, 200, 1448]));
      assert.notEqual(town.verdict(me, peer), 'bittorrent');
    });

  test('named by many: what proves itself to be something else goes on', () => {
    const town = new Town();
    for (const liar of ['198.51.100.66', '203.0.113.66', '192.0.2.66'])
      learnsOf(town, me, [peer, other, third], [liar, 6969]);
    const conversations: readonly [End, readonly Said[]][] = [
      [
        peer,
        [
          ['>', tlsHello],
          ['<', random(1400)],
          ['>', random(300)],
        ],
      ],
      [
        other,
        [
          ['<', fromText('SSH-2.0-OpenSSH_9.2\r\n')],
          ['>', fromText('SSH-2.0-x\r\n')],
          ['>', random(400)],
          ['<', random(400)],
        ],
      ],
      [
        third,
        [
          ['>', fromText('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n')],
          ['<', random(900)],
        ],
      ],
    ];
    for (const [i, [end, said]] of conversations.entries()) {
      town.tcp(own(45000 + i), end, said);
      assert.notEqual(town.verdict(me, end), 'bittorrent', end[0]);
    }
    town.udp(own(50000), peer, [
      ['>', random(200)],
      ['<', random(300)],
      ['>', random(200)],
    ]);
    assert.notEqual(town.verdict(me, peer), 'bittorrent', 'a game over UDP');
  });

  test('a service on a well-known port needs more than one source', () => {
    const town = new Town();
    const shadowsocks: End = ['203.0.113.50', 443];
    learnsOf(town, me, [shadowsocks]);
    town.tcp(own(40001), shadowsocks, inTurn([300, 1400, 900, 1448]));
    assert.notEqual(town.verdict(me, shadowsocks), 'bittorrent');
  });

  test('nothing is learned about what the operator allows', () => {
    const asked: string[] = [];
    const endpoints: Endpoints = {
      name: (_version, word0) => asked.push(String(word0)) > 0,
      prove: (_version, word0) => asked.push(String(word0)),
      grade: () => UnknownEndpoint,
      speakerOf: () => 1,
    };
    const hosts: Hosts = {
      note: () => undefined,
      grade: () => 0,
      shape: () => 1,
      unlike: () => undefined,
      dial: () => 0,
      cut: () => undefined,
      wasCut: () => false,
      begin: () => undefined,
      beganSo: () => false,
      isUnlike: () => false,
      key: () => false,
    };
    const watch = new SwarmWatch(endpoints, hosts);
    watch.isExempt = exemptBy(
      new AllowList({ networks: ['203.0.113.0/24'], ports: [], interfaces: [], macs: [], infoHashes: [] }),
    );
    const town = new Town();
    learnsOf(town, me, [peer]);
    const { flows } = town.engine;
    const view = {
      peers: { count: 1, version: [4], words: [0xcb007107 | 0, 0, 0, 0], port: [51413] },
      listenPort: 0,
    };
    watch.learn(flows, 0, 1, view as never, 4, town.now);
    assert.deepEqual(asked, []);
  });

  test('a verdict that rests on the memory teaches nothing', () => {
    const town = new Town();
    learnsOf(town, me, [peer]);
    town.tcp(own(40001), peer, wholeMse());
    // Another host that dials the same end has neither its own proofs nor a second witness about the end.
    town.tcp(['10.0.0.77', 40001], peer, inTurn([300, 1400, 900, 1448]));
    assert.equal(town.verdict(me, peer), 'bittorrent');
    assert.notEqual(town.verdict('10.0.0.77', peer), 'bittorrent');
  });
});
