/**
 * Hostile input, whole program: mutated packets through decode, fragments and engine, and every prefix of captures
 * through the scan. Bounded in `make test`; SWARMGATE_MUTATED_PACKETS=10000000 and SWARMGATE_PREFIX_FILES=50 run what a
 * release must pass (`make robust`).
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { captureNames, capturesFolder } from '../fixtures/scan-fixture.js';
import { FragmentTable } from '../lib/flow/fragments.js';
import { Engine } from '../lib/engine/engine.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { registry } from '../detectors/index.js';
import { EndedFlowView } from '../lib/report/ended-flow.js';
import { corpusFolder, SeededRandom } from '../lib/testing.js';
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

/** Small captures: of the labelled corpus where it is present, else the recorded ones; the smallest first. */
function smallCaptures(count: number): string[] {
  const corpus = corpusFolder();
  const folder = corpus === null ? capturesFolder : join(corpus, 'files');
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(p?cap|pcapng|gz)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path, size: statSync(path).size }))
    .filter(({ size }) => size > 400)
    .sort((a, b) => a.size - b.size || (a.path < b.path ? -1 : 1))
    .filter((_, index, all) => index % Math.max(1, Math.floor(all.length / 2 / count)) === 0)
    .slice(0, count)
    .map(({ path }) => path);
}

test('every prefix of a capture scans to its cut, and finds no more than the whole', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'swarmgate-prefix-'));
  const cut = join(folder, 'cut');
  let prefixes = 0;
  try {
    const scanner = new Scanner({ continuous: false, flowsMax: 1024, onFlow: () => undefined });
    let foundBefore = 0;
    for (const path of smallCaptures(prefixFiles)) {
      copyFileSync(path, cut);
      chmodSync(cut, 0o600);
      let before = Number.POSITIVE_INFINITY;
      for (let length = statSync(cut).size; length >= 0; length--) {
        truncateSync(cut, length);
        await scanner.run([{ path: cut, fromFolder: false }]);
        const total = scanner.summary().flowsByVerdict.bittorrent;
        const found = total - foundBefore;
        foundBefore = total;
        assert.ok(found <= before, `${path} cut to ${length}: finds ${found}, one byte more found ${before}`);
        before = found;
        prefixes++;
      }
      assert.equal(scanner.engine.flows.size, 0);
      assert.equal(scanner.engine.inspector.openings.used, 0);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  t.diagnostic(`${prefixes} prefixes of ${prefixFiles} captures`);
});
