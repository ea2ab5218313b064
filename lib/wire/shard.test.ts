import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { captureNames, capturesFolder } from '../../fixtures/scan-fixture.js';
import { openCaptureFile } from '../io/capture-file.js';
import { PacketBatch } from '../io/packet-source.js';
import { concat, fromHex, fromText } from '../testing.js';
import { decodePacket } from './decode.js';
import {
  linkEthernet,
  linkIpv4,
  linkIpv6,
  linkLinuxSll,
  linkLinuxSll2,
  linkNull,
  linkPpp,
  linkPppoe,
  linkRaw,
} from './link.js';
import { Fragment, Ok, OtherProtocol, Packet } from './packet.js';
import { shardOf, workerOf } from './shard.js';
import { ethernet, ipv4, ipv6, tcp, udp } from './testing.js';

const seed = 0x1234_5678;
const payload = fromText('hello');

function shard(bytes: Uint8Array, linkType: number = linkEthernet, withSeed = seed): number {
  return shardOf(bytes, 0, bytes.length, linkType, withSeed);
}

/** The same packet the other way: both addresses change places. */
function reversed(packet: Uint8Array): Uint8Array {
  const out = packet.slice();
  const [at, length] = packet[0]! >> 4 === 4 ? [12, 4] : [8, 16];
  out.copyWithin(at, at + length, at + 2 * length);
  out.set(packet.subarray(at, at + length), at + length);
  return out;
}

const four = ipv4(6, tcp(payload));
const six = ipv6(17, udp(payload));

/** Headers around an IPv4 packet, and around an IPv6 packet where their type says so. */
const wraps: readonly (readonly [string, number, (ip: Uint8Array) => Uint8Array])[] = [
  ['raw', linkRaw, (ip) => ip],
  ['Ethernet', linkEthernet, (ip) => ethernet(ip[0]! >> 4 === 4 ? 0x0800 : 0x86dd, ip)],
  ['VLAN', linkEthernet, (ip) => ethernet(0x8100, concat(fromHex('0007'), type(ip), ip))],
  ['QinQ', linkEthernet, (ip) => ethernet(0x88a8, concat(fromHex('0007 8100 0008'), type(ip), ip))],
  ['PPPoE', linkEthernet, (ip) => ethernet(0x8864, concat(fromHex('1100 0001 0000'), ppp(ip), ip))],
  ['PPPoE alone', linkPppoe, (ip) => concat(fromHex('1100 0001 0000'), ppp(ip), ip)],
  ['MPLS', linkEthernet, (ip) => ethernet(0x8847, concat(fromHex('00010040 00011140'), ip))],
  [
    'Ethernet in MPLS',
    linkEthernet,
    (ip) =>
      ethernet(
        0x8847,
        concat(fromHex('00011140 00000000'), ethernet(0x8100, concat(fromHex('0001'), type(ip), ip))),
      ),
  ],
  ['cooked', linkLinuxSll, (ip) => concat(new Uint8Array(14), type(ip), ip)],
  ['cooked, second version', linkLinuxSll2, (ip) => concat(type(ip), new Uint8Array(18), ip)],
  ['loopback', linkNull, (ip) => concat(fromHex(ip[0]! >> 4 === 4 ? '02000000' : '1e000000'), ip)],
  ['PPP', linkPpp, (ip) => concat(fromHex('ff03'), ppp(ip), ip)],
];

function type(ip: Uint8Array): Uint8Array {
  return fromHex(ip[0]! >> 4 === 4 ? '0800' : '86dd');
}

function ppp(ip: Uint8Array): Uint8Array {
  return fromHex(ip[0]! >> 4 === 4 ? '0021' : '0057');
}

describe('the pair of addresses decides', () => {
  for (const [name, linkType, wrap] of wraps) {
    test(`both directions agree: ${name}`, () => {
      for (const [ip, raw] of [
        [four, linkIpv4],
        [six, linkIpv6],
      ] as const) {
        const expected = shard(ip, raw);
        assert.notEqual(expected, 0);
        assert.equal(shard(wrap(ip), linkType), expected);
        assert.equal(shard(wrap(reversed(ip)), linkType), expected);
      }
    });
  }

  test('ports, protocol and fragments make no difference', () => {
    const expected = shard(four, linkRaw);
    assert.equal(shard(ipv4(17, udp(payload, [53, 53])), linkRaw), expected);
    assert.equal(shard(ipv4(17, payload, { offset: 1480, more: true }), linkRaw), expected);
    assert.equal(shard(ipv4(47, payload), linkRaw), expected);
  });

  test('inside a tunnel the outer addresses count', () => {
    const outer = { source: 0x0b00_0001 };
    const one = ipv4(4, four, outer);
    assert.equal(shard(one, linkRaw), shard(ipv4(4, six, outer), linkRaw));
    assert.notEqual(shard(one, linkRaw), shard(four, linkRaw));
  });

  test('every byte of both addresses counts', () => {
    for (const [ip, from, to] of [
      [four, 12, 20],
      [six, 8, 40],
    ] as const) {
      for (let at = from; at < to; at++) {
        const changed = ip.slice();
        changed[at]! ^= 0x80;
        assert.notEqual(shard(changed, linkRaw), shard(ip, linkRaw), `byte ${at}`);
      }
    }
  });

  test('another seed gives another split', () => {
    const [a, b] = [1, 2].map((withSeed) =>
      Array.from({ length: 64 }, (_, i) =>
        workerOf(shard(ipv4(6, tcp(payload), { source: i }), linkRaw, withSeed), 2),
      ),
    );
    assert.notDeepEqual(a, b);
  });

  test('what is not IP, or too short for its addresses, goes to one worker', () => {
    assert.equal(shard(ethernet(0x0806, new Uint8Array(28))), 0);
    assert.equal(shard(new Uint8Array(60)), 0);
    assert.equal(shard(four, 9999), 0);
    for (const [ip, header] of [
      [four, 20],
      [six, 40],
    ] as const) {
      const whole = wraps[1]![2](ip);
      assert.notEqual(shard(whole.subarray(0, 14 + header)), 0);
      for (let end = 0; end < 14 + header; end++) assert.equal(shardOf(whole, 0, end, linkEthernet, seed), 0);
    }
  });
});

describe('the share of each worker', () => {
  /** Packets of pairs that somebody might choose: in a row, far apart, or differing in few bits. */
  const choices: readonly (readonly [string, (i: number) => number])[] = [
    ['in a row', (i) => 0x0a000000 + i],
    ['one bit each, and their sums', (i) => Math.imul(i, 0x0101_0101)],
    ['only the upper half', (i) => i << 16],
    ['even numbers', (i) => 0xc0a80000 + 2 * i],
  ];
  const pairs = 4096;
  const packet = four.slice();
  const view = new DataView(packet.buffer);

  for (const workers of [2, 3, 7, 16]) {
    test(`${workers} workers share any choice of addresses, whatever the seed`, () => {
      for (const [name, choose] of choices) {
        for (let withSeed = 0; withSeed < 40; withSeed++) {
          const counts = new Array<number>(workers).fill(0);
          for (let i = 0; i < pairs; i++) {
            view.setInt32(12, choose(i) | 0);
            counts[workerOf(shard(packet, linkRaw, withSeed * 7919 + 1), workers)]! += 1;
          }
          const most = Math.max(...counts);
          assert.ok(most < (2 * pairs) / workers, `${name}, seed ${withSeed}: ${counts.join(' ')}`);
        }
      }
    });
  }

  test('the number of a worker is below the number of workers', () => {
    for (const workers of [1, 2, 3, 5, 128, 1024]) {
      assert.equal(workerOf(0, workers), 0);
      assert.equal(workerOf(0x7fffffff, workers), workers - 1);
    }
  });
});

describe('recorded packets', () => {
  const packet = new Packet();

  /** Addresses of a decoded packet, outermost ones, lower one first. */
  function pairOf(): string {
    const p = packet;
    const ends =
      p.depth === 0
        ? [
            [p.source0, p.source1, p.source2, p.source3].join(),
            [p.destination0, p.destination1, p.destination2, p.destination3].join(),
          ]
        : [
            [p.outerSource0, p.outerSource1, p.outerSource2, p.outerSource3].join(),
            [p.outerDestination0, p.outerDestination1, p.outerDestination2, p.outerDestination3].join(),
          ];
    return ends.sort().join(' ');
  }

  test('every packet of a pair of hosts has the same shard, in all captures', async () => {
    const shards = new Map<string, number>();
    let packets = 0;
    let directions = 0;
    for (const name of captureNames()) {
      const source = await openCaptureFile(join(capturesFolder, name));
      const batch = new PacketBatch();
      while (await source.fill()) {
        while (source.next(batch) > 0) {
          for (let i = 0; i < batch.count; i++) {
            const [start, end] = [batch.start[i]!, batch.end[i]!];
            const linkType = batch.linkType[i]!;
            const outcome = decodePacket(packet, batch.bytes, start, end, batch.wireLength[i]!, linkType);
            if (outcome !== Ok && outcome !== Fragment && outcome !== OtherProtocol) continue;
            const found = shardOf(batch.bytes, start, end, linkType, seed);
            const pair = pairOf();
            assert.notEqual(found, 0, `${name} frame ${batch.frame[i]}`);
            assert.equal(shards.get(pair) ?? found, found, `${name} frame ${batch.frame[i]}`);
            shards.set(pair, found);
            packets++;
            if (packet.source0 > packet.destination0) directions++;
          }
        }
      }
      await source.close();
    }
    assert.ok(
      packets > 1000 && directions > packets / 10 && directions < packets * 0.9,
      `${packets} ${directions}`,
    );
    assert.equal(new Set(shards.values()).size, shards.size, 'other pairs have other shards');
  });
});
