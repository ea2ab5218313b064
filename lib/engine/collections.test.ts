/**
 * The data plane makes no garbage: millions of packets through decode, flow table and all detectors, with the garbage
 * collector watched. The packets are those of the recorded captures, over and over, with flows ending in between.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { collectionsDuring } from '../collections-testing.js';
import { registry } from '../../detectors/index.js';
import { FragmentTable } from '../flow/fragments.js';
import { openCaptureFile } from '../io/capture-file.js';
import { PacketBatch } from '../io/packet-source.js';
import { repositoryPath } from '../testing.js';
import { decodePacket } from '../wire/decode.js';
import { Fragment, Ok, Packet } from '../wire/packet.js';
import { Engine } from './engine.js';
import { captureNames } from '../../fixtures/scan-fixture.js';

const packetsWanted = 3_000_000;

interface Loaded {
  readonly batch: PacketBatch;
  readonly count: number;
}

async function load(path: string): Promise<Loaded> {
  const source = await openCaptureFile(path);
  const batch = new PacketBatch(1 << 16);
  assert.ok(await source.fill());
  const count = source.next(batch);
  await source.close();
  batch.bytes = batch.bytes.slice();
  return { batch, count };
}

class Run {
  readonly packet = new Packet();
  readonly fragments = new FragmentTable();
  ended = 0;
  decided = 0;
  readonly engine = new Engine({
    registry,
    flowsMax: 4096,
    hashSeed: 3,
    onEnd: () => {
      this.ended++;
    },
  });

  capture({ batch, count }: Loaded): void {
    for (let i = 0; i < count; i++) {
      const wire = batch.wireLength[i]!;
      this.packet.timeMicros = batch.timeMicros[i]!;
      let outcome = decodePacket(
        this.packet,
        batch.bytes,
        batch.start[i]!,
        batch.end[i]!,
        wire,
        batch.linkType[i]!,
      );
      if (outcome === Fragment && this.fragments.offer(this.packet)) outcome = this.packet.outcome;
      if (outcome === Ok && this.engine.packet(this.packet, wire, i + 1, 0) === 3) this.decided++;
      if ((i & 63) === 0) this.engine.flows.age(this.packet);
    }
    this.engine.flows.endAll();
  }
}

test('decode, flow table and detectors cause no garbage collection over millions of packets', async (t) => {
  const captures: Loaded[] = [];
  for (const name of captureNames())
    captures.push(await load(join(repositoryPath('fixtures', 'captures'), name)));
  const run = new Run();
  const round = (): number =>
    captures.reduce((sum, capture) => (run.capture(capture), sum + capture.count), 0);
  for (let i = 0; i < 20; i++) round();

  let collections = 0;
  let packets = 0;
  // V8 may compile again in between, and code that is not compiled yet boxes doubles: so the best of three passes counts.
  // Sixteen bytes per packet would cause collections in every one of them.
  for (let pass = 0; pass < 3 && (pass === 0 || collections > 0); pass++) {
    collections = await collectionsDuring(() => {
      for (packets = 0; packets < packetsWanted;) packets += round();
    });
  }
  t.diagnostic(`${packets} packets, ${run.ended} flows ended, ${run.decided} packets of decided flows`);
  assert.ok(run.decided > 0 && run.ended > 0);
  assert.equal(collections, 0);
});
