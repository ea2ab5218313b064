/** The filter's loop over copies of packets: through dispatcher and rings, as `monitor` runs it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { collectionsDuring } from '../lib/collections-testing.js';
import { kinds } from '../detectors/detector.js';
import { registry } from '../detectors/index.js';
import { captureNames } from '../fixtures/scan-fixture.js';
import {
  counterAt,
  countersLength,
  kindsAt,
  reasonsAt,
  verdictsAt,
  type CounterName,
} from '../lib/engine/counters.js';
import { BitTorrent } from '../lib/engine/verdict.js';
import { markMaskDefault } from '../lib/firewall/marks.js';
import { makeBell } from '../lib/io/bell.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { Dispatcher, dispatcherCountsLength, handedOverAt, skippedPacketsAt } from '../lib/io/dispatcher.js';
import type { QueueBatch } from '../lib/io/packet-queue.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { RingQueue } from '../lib/io/ring-queue.js';
import { batchOf, type RingPacket } from '../lib/io/ring-testing.js';
import { makeSlabRing, RingWriter } from '../lib/io/slab-ring.js';
import { concat, fromText, repositoryPath } from '../lib/testing.js';
import { linkEthernet, linkRaw } from '../lib/wire/link.js';
import { ethernet, ipv4, tcp, udp } from '../lib/wire/testing.js';
import type { DecisionMessage } from './filter-settings.js';
import type { FilterLoopOptions } from './filter-loop-options.js';
import { FilterLoop } from './filter-loop.js';
import { endsAndKind, isPlain, scanned } from './scan-testing.js';
import { makeSwarmMemory, watchOver, type SwarmMemory } from './swarm-memory.js';

const nobody = { matches: () => false, matchesInterface: () => false, matchesMac: () => false };
const startMicros = 1.79e15;
const hello = fromText('\x13BitTorrent protocol');
const torrent = ipv4(6, tcp(concat(hello, new Uint8Array(48))));
const other = ipv4(17, udp(fromText('hello'), [1, 2]));

/** One worker of a monitor. */
class Worker {
  readonly counts = new Float64Array(countersLength);
  readonly decisions: DecisionMessage[] = [];
  readonly detected: number[] = [];
  readonly bell = makeBell();
  readonly ring = makeSlabRing({ slabBytes: 4 * 1024 * 1024, packetsMax: 8192 });
  readonly loop: FilterLoop;

  constructor(swarm: SwarmMemory, options: Partial<FilterLoopOptions> = {}) {
    this.loop = new FilterLoop({
      queue: new RingQueue({
        rings: [{ memory: this.ring, interfaceIndex: 1 }],
        bell: this.bell,
        batchPackets: 64,
        waitMillis: 0,
      }),
      registry,
      markMask: markMaskDefault,
      pass: 'accept',
      passive: true,
      flowsMax: 8192,
      hashSeed: 7,
      action: {
        default: 'reject',
        kinds: {},
        inspectedPackets: 32,
        inspectedPacketsClear: 8,
        blocks: false,
        allowedInfoHashes: new Set(),
      },
      allow: nobody,
      enforce: false,
      counts: this.counts,
      sourceName: '',
      onDecision: (make) => {
        this.decisions.push(make());
        return true;
      },
      onDetected: (batch: QueueBatch, i: number) => {
        this.detected.push(batch.frame[i]!);
      },
      swarm: watchOver(swarm),
      ...options,
    });
  }

  count(name: CounterName): number {
    return this.counts[counterAt(name)]!;
  }
}

class Monitor {
  readonly workers: readonly Worker[];
  readonly counts: Float64Array;
  readonly #dispatcher: Dispatcher;

  constructor(workers = 1, options: Partial<FilterLoopOptions> = {}) {
    const swarm = makeSwarmMemory();
    this.workers = Array.from({ length: workers }, () => new Worker(swarm, options));
    this.counts = new Float64Array(dispatcherCountsLength(workers));
    this.#dispatcher = new Dispatcher({
      writers: this.workers.map(({ ring, bell }) => new RingWriter(ring, bell)),
      seed: 5,
      counts: this.counts,
    });
  }

  take(batch: PacketBatch): void {
    this.#dispatcher.take(batch);
    // Not once more: a turn without packets lets flows age by the clock, which is not that of recorded packets.
    for (let i = 0; i < this.workers.length; i++) {
      const worker = this.workers[i]!;
      while (worker.count('packets') < this.counts[handedOverAt(i)]!) worker.loop.turn();
    }
  }

  /** Packets a tenth of a second apart. */
  feed(packets: readonly Uint8Array[], fromMicros = startMicros, linkType = linkRaw): void {
    for (const [i, bytes] of packets.entries())
      this.take(batchOf([packetOf(bytes, fromMicros + i * 1e5, linkType)]));
  }
}

function packetOf(bytes: Uint8Array, timeMicros: number, linkType: number): RingPacket {
  return { bytes, timeMicros, linkType, wireLength: bytes.length, frame: 1 };
}

describe('packets that are only watched', () => {
  test('BitTorrent is counted when it is reported, not when its flow ends, and once', () => {
    const monitor = new Monitor();
    const { counts } = monitor.workers[0]!;
    const seen = (): number[] => [
      counts[verdictsAt + BitTorrent]!,
      counts[kindsAt + kinds.indexOf('peer')]!,
      counts.subarray(reasonsAt, kindsAt).reduce((sum, count) => sum + count, 0),
    ];
    monitor.feed([torrent]);
    assert.deepEqual(seen(), [1, 1, 1]);
    // The flow ends by its age.
    monitor.feed(new Array<Uint8Array>(64).fill(other), startMicros + 3600e6);
    monitor.workers[0]!.loop.turn();
    assert.deepEqual(seen(), [1, 1, 1]);
  });

  test('those of a decided flow keep coming: none is lost, dropped, or decided again', () => {
    const monitor = new Monitor();
    const [worker] = monitor.workers;
    monitor.feed(new Array<Uint8Array>(500).fill(torrent));
    assert.equal(worker!.decisions.length, 1);
    assert.equal(worker!.count('packets'), 500);
    assert.equal(worker!.count('passed'), 500);
    assert.equal(worker!.count('repeatsLost') + worker!.count('dropped') + worker!.count('rejected'), 0);
  });

  test('a decided flow that pauses for a minute is still the same flow: no kernel took it away', () => {
    const monitor = new Monitor();
    const [worker] = monitor.workers;
    monitor.feed(new Array<Uint8Array>(100).fill(torrent));
    monitor.feed([torrent], startMicros + 70e6);
    assert.equal(worker!.decisions.length, 1);
    assert.equal(worker!.count('flowsBegun'), 1);
  });

  test('nor is one that nobody answers, however few its packets, decided at each of them', () => {
    const monitor = new Monitor();
    const [worker] = monitor.workers;
    const ping = ipv4(17, udp(fromText('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe'), [3, 4]));
    for (let i = 0; i < 4; i++) {
      monitor.feed([ping], startMicros + i * 31e6);
      monitor.feed([torrent], startMicros + i * 61e6);
    }
    assert.equal(worker!.decisions.length, 2);
    assert.equal(worker!.count('flowsBegun'), 2);
  });

  test('once a flow was let go, no detector looks at its packets any more', () => {
    const monitor = new Monitor();
    const { inspector } = monitor.workers[0]!.loop.engine;
    monitor.feed(new Array<Uint8Array>(600).fill(other));
    const before = inspector.detectorCalls;
    monitor.feed(new Array<Uint8Array>(400).fill(other), startMicros + 6e7);
    assert.equal(inspector.detectorCalls, before);
    assert.ok(monitor.workers[0]!.count('accepted') >= 400);
  });

  test('each packet of a detected flow is shown, from the deciding one on, and no other', () => {
    const monitor = new Monitor();
    const late = ipv4(6, tcp(fromText('data'), [1024, 6881]));
    monitor.feed([other, torrent, other, torrent, late, other]);
    assert.deepEqual(monitor.workers[0]!.detected, [2, 4]);
  });

  test('what was found and is accepted, as an info-hash on the allow-list, is told but nobody keeps its packets', () => {
    const base = {
      inspectedPackets: 32,
      inspectedPacketsClear: 8,
      blocks: false,
      default: 'reject',
    } as const;
    const allowed = { ...base, kinds: {}, allowedInfoHashes: new Set(['0'.repeat(40)]) };
    const accepted = { ...base, kinds: { peer: 'accept' }, allowedInfoHashes: new Set<string>() } as const;
    for (const action of [allowed, accepted]) {
      const monitor = new Monitor(1, { action });
      monitor.feed(new Array<Uint8Array>(20).fill(torrent));
      const [worker] = monitor.workers;
      assert.deepEqual(
        worker!.decisions.map((decision) => decision.action),
        ['accept'],
      );
      assert.deepEqual(worker!.detected, []);
    }
  });

  test('what an allow-list names is let go and is not shown: also by the sender of its frame', () => {
    const asked: string[] = [];
    const matchesMac = (bytes: Uint8Array, at: number): boolean => {
      asked.push(Buffer.from(bytes.subarray(at, at + 6)).toString('hex'));
      return true;
    };
    const monitor = new Monitor(1, { allow: { ...nobody, matchesMac } });
    const frame = ethernet(0x0800, torrent);
    frame.set([2, 0, 0, 0, 0, 9], 6);
    monitor.feed([frame, frame], startMicros, linkEthernet);
    assert.deepEqual([monitor.workers[0]!.decisions.length, monitor.workers[0]!.detected.length], [0, 0]);
    assert.deepEqual(asked, ['020000000009']);
    assert.equal(monitor.workers[0]!.count('flowsAllowed'), 1);
  });
});

/** @param copies of each packet that arrive, one after the other */
async function watched(path: string, workers: number, copies = 1): Promise<Monitor> {
  const monitor = new Monitor(workers);
  const source = await openCaptureFile(path);
  const batch = new PacketBatch(copies === 1 ? 64 : 1);
  while (await source.fill())
    while (source.next(batch) > 0) for (let copy = 0; copy < copies; copy++) monitor.take(batch);
  await source.close();
  return monitor;
}

for (const workers of [1, 3]) {
  test(`the monitor decides about the recorded captures what the scan does, with ${workers} of workers`, async (t) => {
    let flows = 0;
    for (const name of captureNames()) {
      const path = join(repositoryPath('fixtures', 'captures'), name);
      const monitor = await watched(path, workers);
      assert.equal(monitor.counts[skippedPacketsAt], 0, name);
      const decided = monitor.workers.flatMap(({ decisions }) =>
        decisions.map(({ flow }) => endsAndKind(flow)),
      );
      const expected = await scanned(path);
      assert.deepEqual(decided.filter(isPlain).sort(), expected.filter(isPlain), name);
      for (const flow of decided) assert.ok(expected.includes(flow), `${name}: ${flow}`);
      flows += decided.length;
    }
    t.diagnostic(`${flows} flows decided`);
    assert.ok(flows > 100);
  });
}

test('a router watched on both sides shows each packet twice: the same flows are found, and no other', async () => {
  for (const name of captureNames()) {
    const path = join(repositoryPath('fixtures', 'captures'), name);
    const [once, twice] = await Promise.all([1, 2].map((copies) => watched(path, 1, copies)));
    const flowsOf = ({ workers }: Monitor): string[] =>
      workers[0]!.decisions.map(({ flow }) => endsAndKind(flow)).sort();
    assert.deepEqual(flowsOf(twice!).filter(isPlain), flowsOf(once!).filter(isPlain), name);
    assert.equal(twice!.workers[0]!.count('packets'), 2 * once!.workers[0]!.count('packets'));
  }
});

test('no garbage per packet, from the dispatcher through the ring to the verdict', async (t) => {
  const monitor = new Monitor(2);
  const batch = batchOf(
    Array.from({ length: 64 }, (_, i) =>
      packetOf(ipv4(17, udp(fromText('nothing in particular'), [1024 + i, 5000])), startMicros, linkRaw),
    ),
  );
  const turn = (): void => {
    monitor.take(batch);
  };
  for (let i = 0; i < 3000; i++) turn();
  const collections = await collectionsDuring(() => {
    for (let i = 0; i < 15_000; i++) turn();
  });
  t.diagnostic(`960,000 packets, ${collections} collections`);
  assert.equal(collections, 0);
});
