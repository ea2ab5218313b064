/** The inline filter's loop as a passive one: behind the rings of a capture loop, several of them, each with its share. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { registry } from '../detectors/index.js';
import { captureNames, capturesFolder } from '../fixtures/scan-fixture.js';
import { counterAt, countersLength } from '../lib/engine/counters.js';
import { makeBell } from '../lib/io/bell.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { Dispatcher, dispatcherCountsLength, handedOverAt, skippedPacketsAt } from '../lib/io/dispatcher.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { RingQueue } from '../lib/io/ring-queue.js';
import { makeSlabRing, RingWriter } from '../lib/io/slab-ring.js';
import { FilterLoop } from './filter-loop.js';
import { endsAndKind, isPlain, scanned } from './scan-testing.js';
import { makeSwarmMemory, watchOver } from './swarm-memory.js';

const workers = 3;
const packetsAt = counterAt('packets');
const interfaceIndex = 17;
const nobody = { matches: () => false, matchesInterface: () => false, matchesMac: () => false };

/** One capture through one capture loop to all workers; flows that were found. */
class Monitor {
  readonly found: string[] = [];
  readonly captured = new Float64Array(dispatcherCountsLength(workers));
  readonly counts = Array.from({ length: workers }, () => new Float64Array(countersLength));
  readonly #loops: readonly FilterLoop[];
  readonly #dispatcher: Dispatcher;
  readonly #batch: PacketBatch;

  constructor(batchPackets: number) {
    const bells = this.counts.map(makeBell);
    const rings = this.counts.map(() => makeSlabRing({ slabBytes: 1 << 20, packetsMax: 512 }));
    const writers = rings.map((memory, i) => new RingWriter(memory, bells[i]!));
    this.#batch = new PacketBatch(batchPackets);
    this.#dispatcher = new Dispatcher({ writers, seed: 3, counts: this.captured });
    const swarm = makeSwarmMemory();
    this.#loops = rings.map((memory, i) => {
      const queue = new RingQueue({
        rings: [{ memory, interfaceIndex }],
        bell: bells[i]!,
        batchPackets,
        waitMillis: 0,
      });
      return new FilterLoop({
        queue,
        registry,
        markMask: 0x7000_0000,
        pass: 'accept',
        flowsMax: 4096,
        hashSeed: 7,
        action: {
          default: 'drop',
          kinds: {},
          inspectedPackets: 32,
          inspectedPacketsClear: 8,
          blocks: false,
          allowedInfoHashes: new Set(),
        },
        allow: nobody,
        enforce: false,
        swarm: watchOver(swarm),
        counts: this.counts[i]!,
        sourceName: '',
        onDecision: (make) => {
          const { inInterface, flow } = make();
          assert.equal(inInterface, interfaceIndex);
          if (flow.verdict === 'bittorrent') this.found.push(endsAndKind(flow));
          return true;
        },
      });
    });
  }

  async watch(name: string): Promise<number> {
    const source = await openCaptureFile(join(capturesFolder, name));
    let packets = 0;
    while (await source.fill()) {
      while (source.next(this.#batch) > 0) {
        this.#dispatcher.take(this.#batch);
        packets += this.#batch.count;
        for (const i of this.#loops.keys()) this.#drain(i);
      }
    }
    await source.close();
    return packets;
  }

  /** Only while there is something: in a turn without packets flows age by the clock, and these are old. */
  #drain(worker: number): void {
    while (this.counts[worker]![packetsAt]! < this.captured[handedOverAt(worker)]!)
      this.#loops[worker]!.turn();
  }
}

/** Each engine has 32 MiB of openings to make: half of the captures will do. */
const captures = captureNames().filter((name, i) => !name.startsWith('benign-') && i % 2 === 0);

test('workers behind rings find in the recorded captures what the scan finds, for any batch size', async () => {
  const shares = new Float64Array(workers);
  let flows = 0;
  for (const [index, name] of captures.entries()) {
    const monitor = new Monitor([1, 2, 7, 64, 256][index % 5]!);
    const packets = await monitor.watch(name);
    const expected = await scanned(join(capturesFolder, name));
    const taken = monitor.counts.map((counts) => counts[packetsAt]!);
    for (const [i, count] of taken.entries()) shares[i]! += count;
    assert.equal(monitor.captured[skippedPacketsAt], 0);
    assert.equal(
      taken.reduce((sum, count) => sum + count),
      packets,
      name,
    );
    // A scan asks the memory again at the end of a flow.
    assert.deepEqual(monitor.found.filter(isPlain).sort(), expected.filter(isPlain), name);
    for (const flow of monitor.found) assert.ok(expected.includes(flow), `${name}: ${flow}`);
    flows += monitor.found.length;
  }
  assert.ok(flows > 30, `${flows} flows`);
  assert.ok(
    shares.every((count) => count > 0),
    `each worker had a share: ${shares.join(' ')}`,
  );
});
