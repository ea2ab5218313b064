import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import fc from 'fast-check';
import { concat, fromHex, fromText, SeededRandom } from '../testing.js';
import { CaptureFileError, openCaptureFile } from './capture-file.js';
import { expected, readAll, readBytes, withFile } from './capture-testing.js';
import { pcapFile, type PcapOptions, pcapngFile, type PcapngOptions, pcapRecord } from './capture-writer.js';
import type { MemoryPacket } from './memory-source.js';

const random = new SeededRandom(1);
const start = 1_700_000_000_123_456;
const packets: MemoryPacket[] = [60, 0, 1, 1514, 61].map((length, index) => ({
  bytes: random.bytes(length),
  timeMicros: start + index * 999_983,
  wireLength: length + index * 100,
}));

const pcapKinds: PcapOptions[] = (['micros', 'nanos', 'modified', 'ixia', 'ixia-hardware'] as const).flatMap(
  (variant) => [false, true].map((bigEndian) => ({ variant, bigEndian, linkType: 113 })),
);
const pcapngKinds: PcapngOptions[] = [false, true].flatMap((bigEndian) => [
  { bigEndian },
  { bigEndian, block: 'obsolete' as const },
  { bigEndian, tsresol: 9 },
  { bigEndian, tsresol: 10, tsoffsetSeconds: 1_600_000_000 },
  { bigEndian, tsresol: 0x80 | 20 },
  { bigEndian, tsresol: 0x80 | 33, tsoffsetSeconds: 1000 },
]);

for (const options of pcapKinds) {
  test(`pcap of every kind: ${JSON.stringify(options)}`, async () => {
    const { packets: read, warnings } = await readBytes(pcapFile(packets, options));
    assert.deepEqual(read, expected(packets, { linkType: 113 }));
    assert.deepEqual(warnings, []);
  });
}

for (const options of pcapngKinds) {
  test(`pcapng of every kind: ${JSON.stringify(options)}`, async () => {
    const mixed = packets.map((packet, index) => ({ ...packet, linkType: [1, 101, 276][index % 3]! }));
    const { packets: read, warnings } = await readBytes(pcapngFile(mixed, options));
    assert.deepEqual(read, expected(mixed));
    assert.deepEqual(warnings, []);
  });
}

const anyPacket: fc.Arbitrary<MemoryPacket> = fc
  .record({
    bytes: fc.uint8Array({ maxLength: 90 }),
    timeMicros: fc.integer({ min: 1_600_000_000_000_000, max: 2_100_000_000_999_999 }),
    more: fc.constantFrom(0, 1, 1000),
  })
  .map(({ bytes, timeMicros, more }) => ({ bytes, timeMicros, wireLength: bytes.length + more }));

test('property: any packets, any format, any block and batch size yield the same packets', async () => {
  const anyFormat = fc.oneof(
    fc
      .constantFrom(...pcapKinds)
      .map((options) => (list: MemoryPacket[]) => pcapFile(list, { ...options, linkType: 1 })),
    fc.constantFrom(...pcapngKinds).map((options) => (list: MemoryPacket[]) => pcapngFile(list, options)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyPacket, { maxLength: 40 }),
      anyFormat,
      fc.integer({ min: 1, max: 300 }),
      fc.integer({ min: 1, max: 9 }),
      async (list, write, blockBytes, batchCapacity) => {
        const { packets: read, codes } = await readBytes(write(list), blockBytes, batchCapacity);
        assert.deepEqual(read, expected(list));
        assert.deepEqual(codes, []);
      },
    ),
    { numRuns: 300 },
  );
});

test('a file larger than a read block comes whole from disk, with its progress', async () => {
  const filler = new SeededRandom(2).bytes(1400);
  const many = Array.from({ length: 7000 }, (_, index) => ({
    bytes: filler.subarray(0, 700 + (index % 700)),
    timeMicros: start + index,
  }));
  const file = pcapFile(many);
  await withFile(file, async (path) => {
    const source = await openCaptureFile(path);
    assert.equal(source.bytesTotal, file.length);
    const { packets: read, codes } = await readAll(source);
    assert.deepEqual(read, expected(many));
    assert.deepEqual(codes, []);
    assert.equal(source.bytesRead, file.length);
  });
});

test('batches hold plain Uint8Array, and next gives nothing before fill', async () => {
  await withFile(pcapFile(packets), async (path) => {
    const { PacketBatch } = await import('./packet-source.js');
    const batch = new PacketBatch();
    const source = await openCaptureFile(path);
    assert.equal(source.next(batch), 0);
    assert.equal(await source.fill(), true);
    assert.equal(source.next(batch), packets.length);
    assert.equal(Object.getPrototypeOf(batch.bytes), Uint8Array.prototype);
    assert.equal(source.next(batch), 0);
    assert.equal(await source.fill(), false);
    assert.equal(await source.fill(), false);
    await source.close();
  });
});

test('the upper bits of a pcap link type and a wire length below the captured one are put right', async () => {
  const short = [{ bytes: new Uint8Array(20), timeMicros: start, wireLength: 4 }];
  const { packets: read } = await readBytes(pcapFile(short, { linkType: 0x14000001 }));
  assert.deepEqual(read, expected([{ bytes: new Uint8Array(20), timeMicros: start }]));
});

test('files of version 2.2 have their two lengths the other way round', async () => {
  const file = pcapFile([{ bytes: new Uint8Array(20), timeMicros: start, wireLength: 90 }]);
  const view = new DataView(file.buffer);
  view.setUint16(6, 2, true);
  view.setUint32(24 + 8, 90, true);
  view.setUint32(24 + 12, 20, true);
  const { packets: read } = await readBytes(file);
  assert.deepEqual(read, expected([{ bytes: new Uint8Array(20), timeMicros: start, wireLength: 90 }]));
});

test('cut at every byte: everything before, a warning exactly inside a record, nothing invented', async () => {
  const few = packets.map((packet) => ({ ...packet, bytes: packet.bytes.subarray(0, 70) }));
  const writers = [
    ...pcapKinds.map((options) => (list: MemoryPacket[]) => pcapFile(list, { ...options, linkType: 1 })),
    ...pcapngKinds.map((options) => (list: MemoryPacket[]) => pcapngFile(list, options)),
  ];
  for (const write of writers) {
    const file = write(few);
    const ends = few.map((_, index) => write(few.slice(0, index + 1)).length);
    const head = write([]).length;
    for (let cut = 4; cut <= file.length; cut++) {
      const { packets: read, codes } = await readBytes(file.subarray(0, cut), 64);
      assert.deepEqual(
        read,
        expected(few).slice(0, ends.filter((end) => end <= cut).length),
        `cut at ${cut}`,
      );
      if (cut >= head)
        assert.deepEqual(codes, cut === head || ends.includes(cut) ? [] : ['capture-cut'], `at ${cut}`);
    }
    for (let cut = 0; cut < 4; cut++) {
      await assert.rejects(readBytes(file.subarray(0, cut)), {
        name: 'CaptureFileError',
        code: 'not-a-capture',
      });
    }
  }
});

test('a cut is told with frame and offset', async () => {
  const file = pcapFile(packets);
  const { warnings } = await readBytes(file.subarray(0, file.length - 1));
  const offset = file.length - 61 - 16;
  assert.deepEqual(warnings, [
    {
      code: 'capture-cut',
      message: `memory: the file ends in the middle of frame 5 at byte ${offset}; everything before was read`,
    },
  ]);
});

test('a record over the limit stops the file, naming frame and offset', async () => {
  const bad = pcapRecord(packets[0]!);
  new DataView(bad.buffer).setUint32(8, 262_145, true);
  const good = pcapFile(packets.slice(0, 2));
  const file = concat(good, bad, pcapRecord(packets[0]!));
  for (const blockBytes of [16, 100, 65_536]) {
    const { packets: read, warnings } = await readBytes(file, blockBytes);
    assert.deepEqual(read, expected(packets.slice(0, 2)));
    assert.equal(warnings.length, 1);
    assert.equal(warnings[0]!.code, 'capture-malformed');
    assert.match(warnings[0]!.message, new RegExp(`frame 3 at byte ${good.length}: .*262145`));
  }
});

test('the largest record is read across small blocks', async () => {
  const large = [{ bytes: new SeededRandom(3).bytes(262_144), timeMicros: start }];
  for (const file of [pcapFile(large), pcapngFile(large)]) {
    const { packets: read, codes } = await readBytes(file, 10_000);
    assert.deepEqual(read, expected(large));
    assert.deepEqual(codes, []);
  }
});

const refusals: [string, Uint8Array, string, RegExp][] = [
  ['empty', new Uint8Array(0), 'not-a-capture', /is empty/],
  [
    'text',
    fromText('BitTorrent protocol'),
    'not-a-capture',
    /no capture file; give it pcap, pcapng, or gzip/,
  ],
  [
    'pcapng without magic',
    concat(fromHex('0a0d0d0a'), new Uint8Array(40)),
    'not-a-capture',
    /byte-order magic/,
  ],
  [
    'pcap 3.0',
    concat(fromHex('a1b2c3d4 0003 0000'), new Uint8Array(16)),
    'unsupported-format',
    /version 3\.0/,
  ],
  ['snoop', fromHex('736e6f6f70000000 00000002 00000004'), 'unsupported-format', /editcap/],
  ['zstd', fromHex('28b52ffd 00000000'), 'unsupported-format', /zstd -d/],
];

for (const [name, bytes, code, message] of refusals) {
  test(`refused by name: ${name}`, async () => {
    await withFile(bytes, async (path) => {
      const error: unknown = await openCaptureFile(path).catch((thrown: unknown) => thrown);
      assert.ok(error instanceof CaptureFileError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(path));
    });
  });
}

test('a missing file and a directory are unreadable', async () => {
  const folder = await mkdtemp(`${tmpdir()}/swarmgate-capture-`);
  try {
    await assert.rejects(openCaptureFile(`${folder}/none`), { code: 'unreadable', message: /no such file/ });
    await assert.rejects(openCaptureFile(folder), { code: 'unreadable', message: /directory/ });
  } finally {
    await rm(folder, { recursive: true });
  }
});
