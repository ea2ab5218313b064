import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { concat, SeededRandom } from '../testing.js';
import { CaptureFileError, openCaptureFile } from './capture-file.js';
import { expected, readAll, readBytes, withFile } from './capture-testing.js';
import { pcapFile, pcapngFile, pcapRecord } from './capture-writer.js';

const random = new SeededRandom(1);
const packets = Array.from({ length: 2000 }, (_, index) => ({
  bytes: random.bytes(40 + (index % 900)),
  timeMicros: 1_700_000_000_000_000 + index,
}));

test('gzip of pcap and of pcapng, in one member and in several that cut records', async () => {
  for (const file of [pcapFile(packets), pcapngFile(packets)]) {
    const members = [0, 10, 11, 500_001, file.length].map((at, index, list) =>
      gzipSync(file.subarray(list[index - 1] ?? 0, at)),
    );
    for (const packed of [gzipSync(file), concat(...members)]) {
      await withFile(packed, async (path) => {
        const source = await openCaptureFile(path);
        assert.equal(source.bytesTotal, packed.length);
        const { packets: read, codes } = await readAll(source);
        assert.deepEqual(read, expected(packets));
        assert.deepEqual(codes, []);
        assert.equal(source.bytesRead, packed.length);
      });
    }
  }
});

test('gzip cut at every byte: refused before the first records, then everything that is there and a warning', async () => {
  const few = packets.slice(0, 5);
  const packed = gzipSync(pcapFile(few));
  let most = 0;
  for (let cut = 3; cut < packed.length; cut += 7) {
    try {
      const { packets: read, codes } = await readBytes(packed.subarray(0, cut));
      assert.deepEqual(read, expected(few).slice(0, read.length));
      assert.ok(read.length >= most, 'a longer piece gives no fewer packets');
      most = read.length;
      assert.deepEqual(codes, ['capture-cut'], `cut at ${cut}`);
    } catch (error) {
      assert.ok(error instanceof CaptureFileError, String(error));
      assert.ok(most === 0);
    }
  }
  assert.ok(most >= 4);
});

test('damaged gzip gives what came before the damage, whatever the block size', async () => {
  const packed = gzipSync(pcapFile(packets));
  for (let i = 500_000; i < 500_010; i++) packed[i] = ~packed[i]!;
  const { packets: whole, codes } = await readBytes(packed);
  assert.ok(whole.length > 900 && whole.length < 2000, `${whole.length} packets`);
  assert.deepEqual(whole.slice(0, 900), expected(packets).slice(0, 900));
  assert.deepEqual(codes, ['capture-malformed']);
  const { packets: pieces } = await readBytes(packed, 777);
  assert.deepEqual(pieces, whole);
});

test('gzip of something else is refused', async () => {
  await assert.rejects(readBytes(gzipSync('some text')), { code: 'not-a-capture' });
  await assert.rejects(readBytes(gzipSync('')), { code: 'not-a-capture' });
  await assert.rejects(readBytes(gzipSync(gzipSync(pcapFile(packets)))), { code: 'unsupported-format' });
});

test('a gzip bomb does not grow memory', async () => {
  // 64 members of 8 MiB of zeros each: half a gigabyte from half a megabyte, all empty records.
  const zeros = gzipSync(new Uint8Array(8 * 1024 * 1024), { level: 9 });
  const bomb = concat(gzipSync(pcapFile([])), ...Array.from({ length: 64 }, () => zeros));
  const { PacketBatch } = await import('./packet-source.js');
  await withFile(bomb, async (path) => {
    const batch = new PacketBatch();
    const source = await openCaptureFile(path);
    let frames = 0;
    let highest = 0;
    const before = process.memoryUsage().rss;
    while (await source.fill()) {
      for (let count = source.next(batch); count > 0; count = source.next(batch)) frames += count;
      highest = Math.max(highest, process.memoryUsage().rss - before);
    }
    await source.close();
    assert.equal(
      frames,
      (64 * 8 * 1024 * 1024) / pcapRecord({ bytes: new Uint8Array(0), timeMicros: 0 }).length,
    );
    assert.ok(highest < 120 * 1024 * 1024, `grew by ${highest} bytes`);
  });
});
