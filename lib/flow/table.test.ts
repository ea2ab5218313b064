import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SeededRandom } from '../testing.js';
import { protocolUdp, type Packet } from '../wire/packet.js';
import { fakePacket } from './testing.js';
import * as t from './table.js';

const ended: number[] = [];

function table(flowsMax = 64, options: Partial<t.FlowTableOptions> = {}): t.FlowTable {
  ended.length = 0;
  return new t.FlowTable({ flowsMax, hashSeed: 7, onEnd: (slot) => ended.push(slot), ...options });
}

function insert(flows: t.FlowTable, packet: Packet, timeMicros: number): number {
  packet.timeMicros = timeMicros;
  return flows.insert(packet, 1, 0);
}

function age(flows: t.FlowTable, timeMicros: number): void {
  const packet = fakePacket({ from: ['10.0.0.9', 9], to: ['10.0.0.8', 8] });
  packet.timeMicros = timeMicros;
  flows.age(packet);
}

function answered(flows: t.FlowTable, slot: number, client: number, server: number): void {
  flows.words[slot * t.wordStride + t.packetsOf] = client;
  flows.words[slot * t.wordStride + t.packetsOf + 1] = server;
}

const flags = (flows: t.FlowTable, slot: number): number => flows.words[slot * t.wordStride + t.sFlags]!;

test('both directions find one flow, and the client is who sent the SYN', () => {
  const flows = table();
  const answer = fakePacket({ from: ['10.0.0.2', 6881], to: ['10.0.0.1', 50000], flags: 0x12 });
  assert.equal(flows.find(answer), -1);
  const slot = insert(flows, answer, 1e6);
  assert.equal(flows.find(answer), slot);
  const fromServer = flows.fromA;
  assert.equal(
    fromServer,
    (flags(flows, slot) & t.flagClientIsA) === 0,
    'a SYN with ACK comes from the server',
  );
  const syn = fakePacket({ from: ['10.0.0.1', 50000], to: ['10.0.0.2', 6881], flags: 0x02 });
  assert.equal(flows.find(syn), slot);
  assert.equal(flows.fromA, !fromServer);
  assert.equal(flows.size, 1);
});

test('without a SYN a well-known port on one side is the server', () => {
  const flows = table();
  const packet = fakePacket({ proto: 'udp', from: ['9.9.9.9', 53], to: ['10.0.0.1', 40000] });
  flows.find(packet);
  const slot = insert(flows, packet, 0);
  flows.find(packet);
  assert.equal(flows.fromA, (flags(flows, slot) & t.flagClientIsA) === 0);
});

test('protocol, version, ports, every address word and the tunnel tell flows apart', () => {
  const flows = table();
  const variants = [
    fakePacket({ from: ['10.0.0.1', 1], to: ['10.0.0.2', 2] }),
    fakePacket({ proto: 'udp', from: ['10.0.0.1', 1], to: ['10.0.0.2', 2] }),
    fakePacket({ from: ['10.0.0.1', 2], to: ['10.0.0.2', 1] }),
    fakePacket({ from: ['10.0.0.1', 1], to: ['10.0.0.2', 2], tunnel: ['1.1.1.1', '2.2.2.2'] }),
    fakePacket({ from: ['10.0.0.1', 1], to: ['10.0.0.2', 2], tunnel: ['1.1.1.1', '2.2.2.3'] }),
    fakePacket({ from: ['2001:db8::1', 1], to: ['2001:db8::2', 2] }),
    fakePacket({ from: ['2001:db8::1', 1], to: ['2001:db8:0:1::2', 2] }),
    fakePacket({ from: ['2001:db8::1', 1], to: ['2001:db8::1:0:2', 2] }),
    fakePacket({ from: ['2001:db8::1', 1], to: ['2001:db9::2', 2] }),
  ];
  for (const packet of variants) {
    assert.equal(flows.find(packet), -1);
    insert(flows, packet, 0);
  }
  assert.equal(new Set(variants.map((packet) => flows.find(packet))).size, variants.length);
});

test('a tunnel seen in the other direction is the same tunnel', () => {
  const flows = table();
  const there = fakePacket({ from: ['10.0.0.1', 1], to: ['10.0.0.2', 2], tunnel: ['1.1.1.1', '2.2.2.2'] });
  flows.find(there);
  const slot = insert(flows, there, 0);
  assert.equal(
    flows.find(fakePacket({ from: ['10.0.0.2', 2], to: ['10.0.0.1', 1], tunnel: ['2.2.2.2', '1.1.1.1'] })),
    slot,
  );
});

test('tunnels differ by every word of their addresses and by their network id', () => {
  const flows = table(256);
  const tunnels: [string, string, number?][] = [
    ['2001:db8::1', '2001:db8::2'],
    ['2001:db8:0:1::1', '2001:db8::2'],
    ['2001:db8::1:0:1', '2001:db8::2'],
    ['2001:db8::2:0:0', '2001:db8::3'],
    ['2001:db8::1', '2001:db8::2', 1],
    ['2001:db8::1', '2001:db8::2', 2],
    ['1.1.1.1', '2.2.2.2', 1],
    ['1.1.1.2', '2.2.2.1', 1],
  ];
  for (const tunnel of tunnels) {
    const packet = fakePacket({ from: ['10.0.0.1', 1], to: ['10.0.0.2', 2], tunnel });
    assert.equal(flows.find(packet), -1, tunnel.join(' '));
    insert(flows, packet, 0);
  }
});

test('the directions of a tunnel may name two networks, and equal addresses of two networks stay apart', () => {
  const flows = table(64);
  const a = ['10.0.0.1', 1] as const;
  const b = ['10.0.0.2', 2] as const;
  const up = (network: number) => fakePacket({ from: a, to: b, tunnel: ['1.1.1.1', '2.2.2.2', network] });
  const down = (network: number) => fakePacket({ from: b, to: a, tunnel: ['2.2.2.2', '1.1.1.1', network] });
  const begin = (flows: t.FlowTable, packet: Packet): number => {
    assert.equal(flows.find(packet), -1);
    return insert(flows, packet, 0);
  };
  const first = begin(flows, up(7));
  const second = begin(flows, up(8));
  assert.equal(flows.find(down(8)), second);
  assert.equal(flows.find(down(7)), first);
  assert.equal(flows.find(down(9)), -1, 'both directions have theirs');
  assert.equal(flows.find(up(7)), first);

  const other = table(64);
  const flow = begin(other, up(7));
  assert.equal(other.find(down(9)), flow);
  assert.equal(other.find(down(9)), flow);
  assert.equal(other.find(down(7)), flow, 'its own number, after a stray packet');
  assert.equal(other.find(down(9)), -1);
  assert.equal(other.find(down(7)), flow);
  const plain = table(64);
  const without = begin(plain, up(0));
  assert.equal(plain.find(down(9)), -1);
  assert.equal(plain.find(down(0)), without);
});

test('flows that differ in their tunnels alone are eight at the most, whatever a sender puts there', () => {
  const from = ['10.0.0.1', 1] as const;
  const to = ['10.0.0.2', 2] as const;
  const tunnels: readonly ((i: number) => [string, string, number?])[] = [
    (i) => ['1.1.1.1', '2.2.2.2', i],
    // The words of an IPv6 address may cancel each other.
    (i) => [`2001:db8::${i.toString(16)}:0:${i.toString(16)}`, '2001:db8::2'],
  ];
  for (const tunnelOf of tunnels) {
    const flows = table(4096);
    for (let i = 1; i <= 2000; i++) {
      const packet = fakePacket({ from, to, tunnel: tunnelOf(i) });
      assert.equal(flows.find(packet), -1, `flow ${i} is nobody else's`);
      const slot = insert(flows, packet, 0);
      assert.equal(flows.find(packet), slot);
      assert.ok(flows.size <= 8 && flows.longestChain() <= 8, `${flows.size} flows`);
      for (let back = 0; back < Math.min(i, 8); back++)
        assert.ok(
          flows.find(fakePacket({ from, to, tunnel: tunnelOf(i - back) })) >= 0,
          'the newest eight are there',
        );
    }
    assert.equal(flows.size, 8);
  }
});

test('a sender cannot aim its flows at one chain, whatever the seed', () => {
  for (const hashSeed of [1, 77, 0x12345678]) {
    const flows = new t.FlowTable({ flowsMax: 4096, hashSeed, onEnd: () => undefined });
    for (let i = 0; i < 2000; i++) {
      // Equal sum and difference of the addresses; what an order-free hash would put into one chain.
      const packet = fakePacket({ proto: 'udp', from: ['2001:db8::1', 1000], to: ['2001:db8::2', 2000] });
      packet.source3 = (0x10000 + i) | 0;
      packet.destination3 = (0x7000000 - i) | 0;
      if (flows.find(packet) < 0) insert(flows, packet, 0);
    }
    assert.ok(flows.longestChain() < 16, `${flows.longestChain()} with seed ${hashSeed}`);
  }
});

test('no two addresses share a chain whatever the seed', () => {
  // Words whose difference in the highest bit, behind murmur3's public scrambling, passes any last multiplication and is
  // cancelled by the next word.
  const inverse = (x: number): number => [1, 2, 3, 4, 5].reduce((y) => Math.imul(y, 2 - Math.imul(x, y)), x);
  const unscrambled = (k: number): number => {
    const rotated = Math.imul(k, inverse(0x1b873593));
    return Math.imul((rotated >>> 15) | (rotated << 17), inverse(0xcc9e2d51));
  };
  let together = 0;
  for (let hashSeed = 1; hashSeed <= 64; hashSeed++) {
    const flows = new t.FlowTable({
      flowsMax: 4096,
      hashSeed: hashSeed * 33_554_393,
      onEnd: () => undefined,
    });
    for (const [first, second] of [
      [0x1234567, 0x7654321],
      [0x1234567 ^ (1 << 18), 0x7654321 ^ 0x80008000],
    ] as const) {
      const packet = fakePacket({ proto: 'udp', from: ['2001:db8::1', 1000], to: ['2001:db8::2', 2000] });
      packet.source0 = 0x20010000;
      packet.source1 = unscrambled(first);
      packet.source2 = unscrambled(second);
      if (flows.find(packet) < 0) insert(flows, packet, 0);
    }
    if (flows.longestChain() > 1) together++;
  }
  assert.ok(together <= 4, `${together} of 64 seeds`);
});

test('when full, an unanswered flow goes before an answered one', () => {
  const flows = table(64);
  for (let i = 0; i < 64; i++) {
    const packet = fakePacket({ proto: 'udp', from: ['10.0.0.1', 1000 + i], to: ['10.0.0.2', 9] });
    flows.find(packet);
    const slot = insert(flows, packet, i);
    flows.words[slot * t.wordStride + t.packetsOf] = 1;
    flows.words[slot * t.wordStride + t.packetsOf + 1] = i % 4 === 3 ? 0 : 1;
  }
  for (let i = 0; i < 8; i++) {
    const packet = fakePacket({ proto: 'udp', from: ['10.0.0.3', 2000 + i], to: ['10.0.0.2', 9] });
    flows.find(packet);
    insert(flows, packet, 100);
  }
  assert.equal(flows.size, 64);
  assert.equal(flows.evicted, 8);
  const ports = ended.slice(0, 8).map((slot) => slot % 4);
  assert.deepEqual([...new Set(ports)], [3], 'only unanswered ones were ended');
});

test('idle flows end by packet time, closed connections sooner, and a clock running backwards ends nothing', () => {
  const flows = table(64, { idleTcpSeconds: 600, idleUdpSeconds: 180 });
  const udp = fakePacket({ proto: 'udp', from: ['10.0.0.1', 1], to: ['10.0.0.2', 2] });
  const tcp = fakePacket({ from: ['10.0.0.1', 1], to: ['10.0.0.2', 2] });
  const closed = fakePacket({ from: ['10.0.0.1', 3], to: ['10.0.0.2', 2] });
  for (const packet of [udp, tcp, closed]) {
    flows.find(packet);
    answered(flows, insert(flows, packet, 1000e6), 1, 1);
  }
  flows.words[flows.find(closed) * t.wordStride + t.sFlags]! |= t.flagReset;
  age(flows, 0);
  assert.equal(flows.size, 3);
  age(flows, 1021e6);
  assert.equal(flows.find(closed), -1);
  age(flows, 1181e6);
  assert.equal(flows.find(udp), -1);
  assert.notEqual(flows.find(tcp), -1);
  age(flows, 1601e6);
  assert.equal(flows.size, 0);
});

test('a flow of few packets that nobody answers ends sooner', () => {
  const flows = table(64, { idleTcpSeconds: 600, idleUdpSeconds: 180 });
  const kinds = [
    [1, 0, true],
    [8, 0, true],
    [0, 3, true],
    [9, 0, false],
    [1, 1, false],
  ] as const;
  const packets = kinds.flatMap(([client, server, soon], i) =>
    (['udp', 'tcp'] as const).map((proto) => {
      const packet = fakePacket({ proto, from: ['10.0.0.1', 100 + i], to: ['10.0.0.2', 2] });
      flows.find(packet);
      answered(flows, insert(flows, packet, 1000e6), client, server);
      return { packet, soon };
    }),
  );
  age(flows, 1030e6);
  assert.equal(flows.size, packets.length);
  age(flows, 1030.1e6);
  for (const { packet, soon } of packets)
    assert.equal(flows.find(packet) === -1, soon && packet.protocol === protocolUdp);
  age(flows, 1060.1e6);
  for (const { packet, soon } of packets) assert.equal(flows.find(packet) === -1, soon);
});

test('of TCP only a flow without payload: what acknowledges payload is not seen by the inline filter', () => {
  const flows = table(64, { idleTcpSeconds: 600, idleUdpSeconds: 180 });
  const packets = (['udp', 'tcp'] as const).map((proto) => {
    const packet = fakePacket({ proto, from: ['10.0.0.1', 1], to: ['10.0.0.2', 2] });
    flows.find(packet);
    const slot = insert(flows, packet, 1000e6);
    answered(flows, slot, 1, 0);
    flows.words[slot * t.wordStride + t.sFlags]! |= t.flagPayload;
    return packet;
  });
  age(flows, 1500e6);
  assert.deepEqual(
    packets.map((packet) => flows.find(packet) === -1),
    [true, false],
  );
});

test('endAll goes on where it stopped and leaves a table like new', () => {
  const flows = table();
  for (let i = 0; i < 10; i++) {
    const packet = fakePacket({ from: ['10.0.0.1', 100 + i], to: ['10.0.0.2', 2] });
    flows.find(packet);
    insert(flows, packet, 0);
  }
  assert.equal(flows.endAll(4), false);
  assert.equal(flows.endAll(4), false);
  assert.equal(flows.endAll(4), true);
  assert.deepEqual(ended, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(flows.size, 0);
  const packet = fakePacket({ from: ['10.0.0.1', 100], to: ['10.0.0.2', 2] });
  assert.equal(flows.find(packet), -1);
  assert.equal(insert(flows, packet, 0), 0);
});

test('a table that is full to its last place finds every flow, whatever ended before', () => {
  const random = new SeededRandom(5);
  const flows = table(64);
  const open = new Map<number, Packet>();
  for (let i = 0; i < 4000; i++) {
    const known = [...open.entries()];
    if (known.length === 64 || (known.length > 0 && random.below(3) === 0)) {
      const [slot] = known[random.below(known.length)]!;
      flows.end(slot, 'closed');
      open.delete(slot);
    } else {
      const packet = fakePacket({ from: ['10.0.0.1', 1 + random.below(60_000)], to: ['10.0.0.2', 2] });
      if (flows.find(packet) < 0) open.set(insert(flows, packet, 0), packet);
    }
    for (const [slot, packet] of open) assert.equal(flows.find(packet), slot);
  }
});

test('property: behaves like a map of five-tuples, whatever the order of insertions and endings', () => {
  const step = fc.record({
    host: fc.integer({ min: 1, max: 6 }),
    port: fc.integer({ min: 1, max: 8 }),
    udp: fc.boolean(),
    six: fc.boolean(),
    swap: fc.boolean(),
    remove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const flows = table(4096);
      const model = new Map<string, number>();
      for (const { host, port, udp, six, swap, remove } of steps) {
        const a: [string, number] = [six ? `2001:db8::${host}` : `10.0.0.${host}`, port];
        const b: [string, number] = [six ? '2001:db8::ff' : '10.0.0.255', 2];
        const packet = fakePacket({ proto: udp ? 'udp' : 'tcp', from: swap ? b : a, to: swap ? a : b });
        const key = `${host} ${port} ${udp} ${six}`;
        const slot = flows.find(packet);
        assert.equal(slot, model.get(key) ?? -1);
        if (slot < 0) model.set(key, insert(flows, packet, 0));
        else if (remove) {
          flows.end(slot, 'closed');
          model.delete(key);
        }
      }
      assert.equal(flows.size, model.size);
    }),
    { numRuns: 100 },
  );
});
