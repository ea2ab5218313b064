import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { makeBell } from '../lib/io/bell.js';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { batchOf } from '../lib/io/ring-testing.js';
import { makeSlabRing, RingWriter, type SlabRingMemory } from '../lib/io/slab-ring.js';
import { Log } from '../lib/report/log.js';
import { Saver } from './saver.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-saver-'));
after(() => {
  rmSync(folder, { recursive: true });
});
const log = new Log('error');
const startMicros = 1.79e15;
const options = { directory: folder, instance: 'try', fileBytes: 1024 * 1024, files: 4 };
const ring = (): SlabRingMemory => makeSlabRing({ slabBytes: 1024 * 1024, packetsMax: 2048 });

/** Packets of so many milliseconds; returns how many found room. */
function write(memory: SlabRingMemory, millis: readonly number[]): number {
  const writer = new RingWriter(memory, makeBell());
  const batch = batchOf(
    millis.map((each) => ({
      bytes: new Uint8Array(60),
      wireLength: 60,
      linkType: 1,
      timeMicros: startMicros + each * 1000,
      frame: 1,
    })),
  );
  const offered = millis.filter((_, i) => writer.offer(batch, i)).length;
  writer.publish();
  return offered;
}

async function timesIn(path: string): Promise<number[]> {
  const source = await openCaptureFile(path);
  const batch = new PacketBatch();
  const times: number[] = [];
  while (await source.fill())
    while (source.next(batch) > 0)
      for (let i = 0; i < batch.count; i++) times.push((batch.timeMicros[i]! - startMicros) / 1000);
  await source.close();
  return times;
}

test('what several workers left is in one file, in the order of time, also what came just before the stop', async () => {
  const rings = [ring(), ring(), ring()];
  const saver = await Saver.open(options, rings, log);
  const all = Array.from({ length: 600 }, (_, i) => i);
  for (const [worker, memory] of rings.entries()) {
    const own = all.filter((each) => each % 3 === worker);
    assert.equal(write(memory, own), own.length);
  }
  saver.start();
  await saver.stop();
  const [name] = readdirSync(folder);
  assert.deepEqual(await timesIn(join(folder, name!)), all);
  const { packets, dropped, files, problem } = saver.report(5);
  assert.deepEqual([packets, dropped, files, problem], [600, 5, 1, null]);
});

test('a folder where nothing can be written is refused with what to do', async () => {
  await assert.rejects(Saver.open({ ...options, directory: join(folder, 'no') }, [ring()], log), {
    code: 'save-directory',
    exitCode: 69,
    message: /no file can be made there \(ENOENT.*name a directory that is there and writable$/,
  });
});
