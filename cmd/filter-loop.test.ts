import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { collectionsDuring } from '../lib/collections-testing.js';
import { registry } from '../detectors/index.js';
import { captureNames } from '../fixtures/scan-fixture.js';
import {
  counterAt,
  countersLength,
  kindsAt,
  latencyAt,
  latencyBucket,
  verdictsAt,
  type CounterName,
} from '../lib/engine/counters.js';
import { verdicts } from '../lib/engine/verdict.js';
import { kinds } from '../detectors/detector.js';
import { MarkField, markAccept, markDrop, markPass, markReject } from '../lib/firewall/marks.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { MemoryQueue, type QueuedPacket } from '../lib/io/memory-queue.js';
import { nfAccept, nfDrop, nfRepeat, QueueBatch, type PacketQueue } from '../lib/io/packet-queue.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import type { FlowReport } from '../lib/report/report.js';
import { concat, fromHex, fromText, repositoryPath } from '../lib/testing.js';
import { decodePacket } from '../lib/wire/decode.js';
import { Ok, Packet } from '../lib/wire/packet.js';
import { clientAddress, ipv4, ipv6, tcp, udp } from '../lib/wire/testing.js';
import { makeSwarmMemory, watchOver } from './swarm-memory.js';
import type { FilterLoopOptions } from './filter-loop-options.js';
import { FilterLoop } from './filter-loop.js';
import type { DecisionMessage } from './filter-settings.js';
import { Scanner } from './scanner.js';

const field = new MarkField(0x7000_0000);
const foreign = 0x8000_00ff;
const nobody = { matches: () => false, matchesInterface: () => false, matchesMac: () => false };
const handshake = concat(fromText('\x13BitTorrent protocol'), new Uint8Array(48));
const torrent = ipv4(6, tcp(handshake));
const ping = fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe');

class Trial {
  readonly counts = new Float64Array(countersLength);
  readonly decisions: DecisionMessage[] = [];
  readonly loop: FilterLoop;
  takes = true;

  constructor(
    readonly queue: MemoryQueue,
    options: Partial<FilterLoopOptions> = {},
  ) {
    this.loop = new FilterLoop({
      queue,
      registry,
      markMask: field.mask,
      pass: 'repeat',
      flowsMax: 65_536,
      hashSeed: 7,
      action: {
        default: 'reject',
        kinds: { dht: 'drop' },
        inspectedPackets: 32,
        inspectedPacketsClear: 8,
        blocks: true,
        allowedInfoHashes: new Set(),
      },
      allow: nobody,
      enforce: true,
      counts: this.counts,
      sourceName: 'queue:1',
      onDecision: (make) => {
        if (this.takes) this.decisions.push(make());
        return this.takes;
      },
      swarm: watchOver(makeSwarmMemory()),
      ...options,
    });
  }

  count(name: CounterName): number {
    return this.counts[counterAt(name)]!;
  }

  /** Verdict and value of the mark's field for each packet. */
  run(...packets: readonly QueuedPacket[]): (readonly [number, number])[] {
    const before = this.queue.settled.length;
    this.queue.feed(...packets);
    while (this.loop.turn() > 0);
    return this.queue.settled.slice(before).map(({ verdict, mark }) => [verdict, field.read(mark)] as const);
  }
}

describe('one packet', () => {
  test('an undecided flow passes by repeat with the pass mark; foreign bits stay', () => {
    const trial = new Trial(new MemoryQueue());
    assert.deepEqual(trial.run({ bytes: ipv4(6, tcp(fromText('hello'))), mark: foreign }), [
      [nfRepeat, markPass],
    ]);
    assert.equal(trial.queue.settled[0]!.mark, field.write(foreign, markPass));
    assert.equal(trial.count('passed'), 1);
  });

  test('a backend whose chains stand alone gets a plain accept with the mark untouched', () => {
    const trial = new Trial(new MemoryQueue(), { pass: 'accept' });
    trial.run({ bytes: ipv4(6, tcp(fromText('hello'))), mark: foreign });
    assert.equal(trial.queue.settled[0]!.verdict, nfAccept);
    assert.equal(trial.queue.settled[0]!.mark, foreign);
  });

  test('BitTorrent is marked by its kind, reported once, and stays decided', () => {
    const trial = new Trial(new MemoryQueue());
    const packet = { bytes: torrent, mark: foreign, inInterface: 3, outInterface: 4 };
    assert.deepEqual(trial.run(packet, packet), [
      [nfRepeat, markReject],
      [nfRepeat, markReject],
    ]);
    assert.deepEqual(trial.run({ bytes: ipv4(17, udp(ping)) }), [[nfRepeat, markDrop]]);
    assert.deepEqual(
      trial.decisions.map(({ action, inInterface, outInterface, flow }) => [
        action,
        inInterface,
        outInterface,
        flow.kind,
        flow.file,
      ]),
      [
        ['reject', 3, 4, 'peer', 'queue:1'],
        ['drop', 0, 0, 'dht', 'queue:1'],
      ],
    );
    assert.equal(trial.counts[kindsAt + kinds.indexOf('peer')], 1);
    assert.equal(trial.counts[verdictsAt + verdicts.indexOf('bittorrent')], 2);
    assert.equal(trial.count('rejected'), 2);
    assert.equal(trial.count('dropped'), 1);
  });

  test('a report that nobody takes is counted, and the flow is decided all the same', () => {
    const trial = new Trial(new MemoryQueue());
    trial.takes = false;
    assert.deepEqual(trial.run({ bytes: torrent }), [[nfRepeat, markReject]]);
    assert.equal(trial.count('reportsLeftOut'), 1);
  });

  test('inside a tunnel the connection is never marked: it carries other flows too', () => {
    const gre = concat(Uint8Array.of(0, 0, 8, 0), torrent);
    const other = concat(Uint8Array.of(0, 0, 8, 0), ipv4(6, tcp(fromText('hello'), [5000, 5001])));
    const trial = new Trial(new MemoryQueue());
    assert.deepEqual(
      trial.run({ bytes: ipv4(47, gre) }, { bytes: ipv4(47, gre) }, { bytes: ipv4(47, other) }),
      [
        [nfDrop, 0],
        [nfDrop, 0],
        [nfRepeat, markPass],
      ],
    );
    const monitor = new Trial(new MemoryQueue(), { enforce: false });
    assert.deepEqual(monitor.run({ bytes: ipv4(47, gre) }), [[nfRepeat, markPass]]);
    assert.equal(monitor.decisions.length, 1);
  });

  const frame4 = (type: number, content: Uint8Array): Uint8Array =>
    concat(new Uint8Array(12).fill(2), Uint8Array.of(type >> 8, type & 0xff), content);
  const geneve = fromHex('00006558 00002a00');
  const capwap = (flags: string): Uint8Array => fromHex(`001002${flags} 00000000`);
  const teredo = (next: number, content: Uint8Array): Uint8Array =>
    ipv6(next, content, { source: [0x20010000, 1, 2, 3] });
  for (const [name, ports, other, inside] of [
    [
      'ARP in Geneve',
      [4000, 6081],
      concat(geneve, frame4(0x0806, new Uint8Array(28))),
      concat(geneve, frame4(0x0800, torrent)),
    ],
    [
      'keep-alives of CAPWAP',
      [4000, 5247],
      concat(capwap('08'), new Uint8Array(20)),
      concat(capwap('00'), frame4(0x0800, torrent)),
    ],
    ['answers to the source port of VXLAN', [4789, 4000], new Uint8Array(40), null],
    ['ICMPv6 in Teredo at any port', [4000, 5000], teredo(58, new Uint8Array(40)), teredo(6, tcp(handshake))],
  ] as const)
    test(`nor is it for what else travels there: ${name}`, () => {
      const trial = new Trial(new MemoryQueue());
      const packet = { bytes: ipv4(17, udp(other, ports)) };
      const verdicts = trial.run(...Array.from({ length: 1000 }, () => packet));
      assert.ok(verdicts.every(([verdict, mark]) => verdict === nfRepeat && mark === markPass));
      if (inside === null) return;
      assert.deepEqual(trial.run({ bytes: ipv4(17, udp(inside, ports)) }), [[nfDrop, 0]]);
    });

  test('there a verdict stands as long as that of any flow, also where nobody answers', () => {
    const trial = new Trial(new MemoryQueue({ batchPackets: 1 }));
    const gre = ipv4(47, concat(Uint8Array.of(0, 0, 8, 0), ipv4(17, udp(ping))));
    const packets = [0, 31e6, 62e6].map((after) => ({ bytes: gre, timeMicros: 1.7e15 + after }));
    trial.queue.feed(...packets);
    while (trial.queue.waiting > 0) trial.loop.turn();
    assert.equal(trial.decisions.length, 1);
    assert.equal(trial.count('flowsBegun'), 1);
  });

  test('what is no TCP or UDP, or malformed, passes', () => {
    const trial = new Trial(new MemoryQueue());
    const cut = torrent.subarray(0, 23);
    assert.deepEqual(
      trial.run({ bytes: ipv4(1, new Uint8Array(8)) }, { bytes: cut }, { bytes: new Uint8Array(1) }),
      [
        [nfRepeat, markPass],
        [nfRepeat, markPass],
        [nfRepeat, markPass],
      ],
    );
  });

  test('a packet that comes back with our mark is let go: repeating it again would never end', () => {
    const trial = new Trial(new MemoryQueue());
    trial.run({ bytes: torrent, mark: field.write(foreign, markReject) });
    assert.equal(trial.queue.settled[0]!.verdict, nfAccept);
    assert.equal(trial.queue.settled[0]!.mark, foreign);
    assert.equal(trial.count('repeatsLost'), 1);
  });

  test('while draining everything passes without a look', () => {
    const trial = new Trial(new MemoryQueue());
    trial.loop.draining = true;
    assert.deepEqual(trial.run({ bytes: torrent }), [[nfAccept, 0]]);
    assert.equal(trial.decisions.length, 0);
  });

  test('a flow on the allow-list is let go at its first packet', () => {
    const asked: string[] = [];
    const allow = {
      ...nobody,
      matchesInterface: (index: number) => index === 9,
      matchesMac: (bytes: Uint8Array, at: number) => {
        asked.push(Buffer.from(bytes.subarray(at, at + 6)).toString('hex'));
        return false;
      },
    };
    const trial = new Trial(new MemoryQueue(), { allow });
    const mac = Uint8Array.of(1, 2, 3, 4, 5, 6);
    assert.deepEqual(trial.run({ bytes: torrent, inInterface: 9, mac }), [[nfRepeat, markAccept]]);
    assert.equal(trial.count('flowsAllowed'), 1);
    const second = ipv4(6, tcp(fromText('x'), [1, 2]));
    trial.run({ bytes: second, mac }, { bytes: second, mac });
    assert.deepEqual(asked, ['010203040506']);
  });

  test("an allowed sender's flow is let go though the other side begins it", () => {
    const matchesMac = (bytes: Uint8Array, at: number): boolean => bytes[at] === 0xaa;
    const trial = new Trial(new MemoryQueue(), { allow: { ...nobody, matchesMac } });
    const mac = Uint8Array.of(0xaa, 2, 3, 4, 5, 6);
    const between = (...ports: [number, number]): Uint8Array =>
      ipv4(6, tcp(new Uint8Array(0), ports), { source: clientAddress[1] });
    assert.deepEqual(trial.run({ bytes: between(1000, 2000) }), [[nfRepeat, markPass]]);
    assert.deepEqual(trial.run({ bytes: between(2000, 1000), mac }), [[nfRepeat, markAccept]]);
  });

  test('flows age also while every wait brings packets', () => {
    const trial = new Trial(new MemoryQueue({ batchPackets: 1 }));
    for (let second = 0; second < 2000; second++) {
      const bytes = ipv4(17, udp(fromText('game state'), [1024 + second, 5000]));
      trial.queue.feed({ bytes, timeMicros: 1e15 + second * 1e6 });
      assert.equal(trial.loop.turn(), 1);
    }
    assert.ok(trial.count('flowsNow') < 300, `${trial.count('flowsNow')} flows of 180 seconds each`);
  });

  test('a flow whose mark does not stick gets final verdicts: no packet is repeated for ever', () => {
    const hello = ipv4(17, udp(fromText('hello')));
    const verdicts = (bytes: Uint8Array, options: Partial<FilterLoopOptions> = {}): number[] => {
      const trial = new Trial(new MemoryQueue(), options);
      const packets = Array.from({ length: 6000 }, () => ({ bytes }));
      return trial.run(...packets).map(([verdict]) => verdict);
    };
    assert.equal(verdicts(hello).at(-1), nfAccept);
    assert.equal(verdicts(torrent).at(-1), nfDrop);
    assert.equal(verdicts(torrent, { enforce: false }).at(-1), nfAccept);
    assert.deepEqual(verdicts(torrent).slice(0, 64), new Array(64).fill(nfRepeat));
  });

  test('a flow that goes on is handed over with its last packet where none waits; one that enforce then blocks, at once', () => {
    /** Something waits in it whenever a batch is settled. */
    class BusyQueue extends MemoryQueue {
      override get isEmpty(): boolean {
        return false;
      }
    }
    const pings = (trial: Trial, count: number): unknown[] =>
      trial.run(...Array.from({ length: count }, () => ({ bytes: ipv4(17, udp(ping)) })));
    const pass = [nfRepeat, markPass];
    const drop = [nfRepeat, markDrop];
    const busy = new Trial(new BusyQueue(), { enforce: false });
    // It is looked at for its usual time, and then decided in the midst of a burst.
    for (let burst = 0; burst < 40; burst++) assert.deepEqual(pings(busy, 3), [pass, pass, pass]);
    const other = new Trial(new MemoryQueue(), { enforce: false });
    assert.deepEqual(pings(other, 60).slice(-2), [pass, drop]);
    assert.deepEqual(pings(other, 1), [drop]);
    assert.equal(other.count('passed'), 61, 'in monitor mode all pass');
    busy.loop.enforce = true;
    assert.deepEqual(pings(busy, 3), [drop, drop, drop]);
  });

  test('a flow that is let go is handed over with the foreign bits of its mark, and counted as that', () => {
    const trial = new Trial(new MemoryQueue());
    const packets = Array.from({ length: 63 }, () => ({
      bytes: ipv4(17, udp(fromText('nothing'))),
      mark: foreign,
    }));
    for (let batch = 0; batch < 20 && trial.count('accepted') === 0; batch++) trial.run(...packets);
    assert.equal(trial.count('accepted'), 1);
    assert.equal(trial.queue.settled.at(-1)!.mark, field.write(foreign, markAccept));
    assert.equal(trial.count('passed') + 1, trial.queue.settled.length);
  });

  test('a flow can be looked up by its ends while it lives', () => {
    const trial = new Trial(new MemoryQueue());
    trial.run({ bytes: torrent });
    const packet = new Packet();
    assert.equal(decodePacket(packet, torrent, 0, torrent.length, torrent.length, 101), Ok);
    assert.equal(trial.loop.find(packet)?.verdict, 'bittorrent');
    packet.sourcePort = 1;
    assert.equal(trial.loop.find(packet), null);
  });
});

/** IP packets of a recorded capture, as the kernel would hand them over. */
async function ipPackets(name: string): Promise<QueuedPacket[]> {
  const source = await openCaptureFile(join(repositoryPath('fixtures', 'captures'), name));
  const batch = new PacketBatch();
  const packet = new Packet();
  const packets: QueuedPacket[] = [];
  while (await source.fill()) {
    for (let count = source.next(batch); count > 0; count = source.next(batch)) {
      for (let i = 0; i < count; i++) {
        const wire = batch.wireLength[i]!;
        const [start, end, link] = [batch.start[i]!, batch.end[i]!, batch.linkType[i]!];
        if (decodePacket(packet, batch.bytes, start, end, wire, link) !== Ok || packet.depth > 0) continue;
        packets.push({
          bytes: batch.bytes.slice(packet.ipStart, packet.ipEnd),
          wireLength: packet.ipWireLength,
          timeMicros: batch.timeMicros[i]!,
        });
      }
    }
  }
  await source.close();
  return packets;
}

const ends = (flow: FlowReport): string =>
  `${flow.proto} ${flow.client}:${flow.client_port} ${flow.server}:${flow.server_port} ${flow.kind}`;

const isPlain = (flow: string): boolean => !flow.endsWith(' encrypted');

async function scanned(name: string): Promise<string[]> {
  const found: string[] = [];
  const scanner = new Scanner({
    continuous: false,
    onFlow: (flow) => {
      if (flow.verdict !== 'bittorrent') return;
      const report = flow.report();
      if (report.tunnel === undefined) found.push(ends(report));
    },
  });
  await scanner.run([{ path: join(repositoryPath('fixtures', 'captures'), name), fromFolder: false }]);
  return found.sort();
}

test('the inline loop decides about the recorded captures what the scan does, for any batch size and 512 bytes of each packet', async (t) => {
  let flows = 0;
  for (const [index, name] of captureNames().entries()) {
    const packets = await ipPackets(name);
    const expected = await scanned(name);
    const batchPackets = [1, 2, 7, 64, 256][index % 5]!;
    const trial = new Trial(new MemoryQueue({ batchPackets, copyBytes: 512 }));
    trial.run(...packets);
    assert.equal(trial.queue.settled.length, packets.length, name);
    const decided = trial.decisions.map(({ flow }) => ends(flow)).sort();
    // A scan asks the memory again at the end of a flow, and goes on learning from flows that are dropped here.
    assert.deepEqual(decided.filter(isPlain), expected.filter(isPlain), name);
    for (const flow of decided) assert.ok(expected.includes(flow), `${name}: ${flow}`);
    flows += decided.length;
  }
  t.diagnostic(`${flows} flows decided`);
  assert.ok(flows > 100);
});

/** Hands the same packets out for ever. */
class Replay implements PacketQueue {
  readonly batch: QueueBatch;
  readonly counters = { overruns: 0, stale: 0, malformed: 0, verdictMessages: 0 };
  readonly #size: number;
  constructor(packets: readonly QueuedPacket[]) {
    this.#size = packets.length;
    this.batch = new QueueBatch(packets.length, 1 << 20);
    let at = 0;
    for (const [i, { bytes }] of packets.entries()) {
      this.batch.bytes.set(bytes, at);
      this.batch.start[i] = at;
      this.batch.end[i] = at + bytes.length;
      this.batch.wireLength[i] = bytes.length;
      this.batch.linkType[i] = 101;
      this.batch.timeMicros[i] = 1e15;
      at += bytes.length;
    }
  }
  receive(): number {
    this.batch.count = this.#size;
    return this.#size;
  }
  settle(): void {
    this.counters.verdictMessages++;
  }
  close(): void {
    this.batch.count = 0;
  }
}

test('the time of the work is that of the queue', () => {
  const trial = new Trial(new MemoryQueue());
  trial.queue.feed({ bytes: ipv4(17, udp(fromText('word'))), timeMicros: 1.7e15 });
  trial.queue.batch.workMicros[0] = 1500;
  trial.loop.turn();
  assert.ok(Math.abs(trial.count('busySeconds') - 0.0015) < 1e-12);
  assert.equal(trial.counts[latencyAt + latencyBucket(1500)], 1);
});

test('the loop makes no garbage per packet', async (t) => {
  const packets = (await ipPackets(captureNames().find((name) => name.includes('tls'))!)).slice(0, 256);
  const replay = new Replay(packets);
  const trial = new Trial(new MemoryQueue(), { queue: replay });
  for (let i = 0; i < 2000; i++) trial.loop.turn();
  const turns = Math.ceil(2_000_000 / packets.length);
  const collections = await collectionsDuring(() => {
    for (let i = 0; i < turns; i++) trial.loop.turn();
  });
  t.diagnostic(`${turns * packets.length} packets, ${collections} collections`);
  assert.equal(collections, 0);
});
