/**
 * Hostile input, whole program: mutated packets through decode, fragments and engine, and every prefix of captures
 * through the scan. Bounded in `make test`; SWARMGATE_MUTATED_PACKETS=10000000 and SWARMGATE_PREFIX_FILES=50 run what a
 * release must pass (`make robust`).
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { captureNames, capturesFolder } from '../fixtures/scan-fixture.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import { Engine } from '../lib/engine/engine.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { memorySource } from '../lib/io/memory-source.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { registry } from '../detectors/index.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import { SeededRandom } from '../lib/testing.js';
import { decodePacket } from '../lib/wire/decode.js';
import { Fragment, Ok, Packet } from '../lib/wire/packet.js';
import { Scanner } from './scanner.js';

const mutatedPackets = Number(process.env['SWARMGATE_MUTATED_PACKETS'] ?? 300_000);
const prefixFiles = Number(process.env['SWARMGATE_PREFIX_FILES'] ?? 3);
const seed = Number(process.env['SWARMGATE_FUZZ_SEED'] ?? Date.now() % 1_000_000_007);

interface Frame {
  readonly bytes: Uint8Array;
  readonly linkType: number;
}

async function allFrames(): Promise<Frame[]> {
  const frames: Frame[] = [];
  const batch = new PacketBatch();
  for (const name of captureNames()) {
    const source = await openCaptureFile(join(capturesFolder, name));
    while (await source.fill()) {
      while (source.next(batch) > 0) {
        for (let i = 0; i < batch.count; i++) {
          frames.push({
            bytes: batch.bytes.slice(batch.start[i], batch.end[i]),
            linkType: batch.linkType[i]!,
          });
        }
      }
    }
    await source.close();
  }
  return frames;
}

test('mutated packets: no throw, no growth, bounded tables', async (t) => {
  const frames = await allFrames();
  const random = new SeededRandom(seed);
  const buffer = new Uint8Array(65_536);
  const packet = new Packet();
  const fragments = new FragmentTable();
  const flow = new EndedFlowView(() => 'mutated');
  let reported = 0;
  const engine = new Engine({
    registry,
    flowsMax: 4096,
    hashSeed: seed,
    onEnd: (owner, slot) => {
      flow.show(owner, slot);
      if (flow.verdict === 'bittorrent' && reported++ % 64 === 0) JSON.stringify(flow.report());
    },
  });
  const memoryBefore = process.memoryUsage().arrayBuffers;
  for (let i = 0; i < mutatedPackets; i++) {
    const frame = frames[random.below(frames.length)]!;
    let length = Math.min(frame.bytes.length, buffer.length);
    buffer.set(frame.bytes.subarray(0, length));
    for (let changes = random.below(5); changes > 0 && length > 0; changes--) {
      const at = random.below(random.below(2) === 0 ? length : Math.min(length, 64));
      buffer[at] = random.below(3) === 0 ? random.below(256) : buffer[at]! ^ (1 << random.below(8));
    }
    if (random.below(8) === 0) length = random.below(length + 1);
    const linkType = random.below(64) === 0 ? random.below(300) : frame.linkType;
    packet.timeMicros = i * 1000 + random.below(5_000_000);
    try {
      let outcome = decodePacket(packet, buffer, 0, length, frame.bytes.length, linkType);
      if (outcome === Fragment && fragments.offer(packet)) outcome = packet.outcome;
      if (outcome === Ok) engine.packet(packet, frame.bytes.length, i + 1, 0);
      if ((i & 63) === 0) engine.flows.age(packet);
    } catch (error) {
      const hex = Buffer.from(buffer.subarray(0, length)).toString('hex');
      throw new Error(`packet ${i} of seed ${seed}, link type ${linkType}: ${hex}`, { cause: error });
    }
  }
  assert.ok(engine.flows.size <= engine.flows.capacity);
  assert.ok(process.memoryUsage().arrayBuffers <= memoryBefore + 1e6, 'tables do not grow');
  engine.flows.endAll();
  assert.equal(engine.inspector.openings.used, 0);
  t.diagnostic(
    `${mutatedPackets} packets, ${engine.flows.evicted} flows evicted, ${reported} judged BitTorrent, seed ${seed}`,
  );
});

test('every prefix of a capture scans to its cut, and finds no more than the whole', async (t) => {
  const names = captureNames().filter((name) => readFileSync(join(capturesFolder, name)).length < 20_000);
  const random = new SeededRandom(seed);
  const batch = new PacketBatch();
  let prefixes = 0;
  for (let i = 0; i < prefixFiles; i++) {
    const name = names[prefixFiles >= names.length ? i % names.length : random.below(names.length)]!;
    const source = await openCaptureFile(join(capturesFolder, name));
    const packets: { bytes: Uint8Array; timeMicros: number; linkType: number; wireLength: number }[] = [];
    while (await source.fill()) {
      while (source.next(batch) > 0) {
        for (let p = 0; p < batch.count; p++) {
          packets.push({
            bytes: batch.bytes.slice(batch.start[p], batch.end[p]),
            timeMicros: batch.timeMicros[p]!,
            linkType: batch.linkType[p]!,
            wireLength: batch.wireLength[p]!,
          });
        }
      }
    }
    await source.close();
    let before = 0;
    for (let count = 0; count <= packets.length; count++) {
      const scanner = new Scanner({ continuous: false, flowsMax: 1024, onFlow: () => undefined });
      await scanner.scanSource(memorySource(name, packets.slice(0, count)));
      await scanner.run([]);
      const found = scanner.summary().flowsByVerdict.bittorrent;
      assert.ok(found >= before, `${name}: ${count} packets find ${found}, one less found ${before}`);
      before = found;
      prefixes++;
    }
  }
  t.diagnostic(`${prefixes} prefixes of ${prefixFiles} captures`);
});
