import assert from 'node:assert/strict';
import { test } from 'node:test';
import { concat, SeededRandom } from '../testing.js';
import { expected, readBytes } from './capture-testing.js';
import {
  pcapngBlock,
  pcapngFile,
  pcapngInterface,
  type PcapngOptions,
  pcapngPacket,
  pcapngSection,
} from './capture-writer.js';

const start = 1_700_000_000_000_001;
const one = { bytes: new SeededRandom(1).bytes(61), timeMicros: start, linkType: 1 };
const two = { bytes: new SeededRandom(2).bytes(44), timeMicros: start + 5, linkType: 101 };
const orders: PcapngOptions[] = [{}, { bigEndian: true }];

test('sections of different byte order have their own interfaces, and frames count on', async () => {
  const file = concat(...[0, 1, 0, 1].map((order) => pcapngFile([one, two], orders[order])));
  const { packets, codes } = await readBytes(file, 50);
  assert.deepEqual(packets, expected([one, two, one, two, one, two, one, two]));
  assert.deepEqual(codes, []);
});

test('unknown blocks of any length are stepped over without being held', async () => {
  const unknown = pcapngBlock(0x7777, new Uint8Array(3_000_001));
  const file = concat(
    pcapngSection(),
    unknown,
    pcapngInterface(1),
    pcapngPacket(one, 0),
    unknown,
    pcapngPacket(one, 0),
  );
  for (const blockBytes of [1000, 4_000_000]) {
    const { packets, codes } = await readBytes(file, blockBytes);
    assert.deepEqual(packets, expected([one, one]));
    assert.deepEqual(codes, []);
  }
  const { packets, codes } = await readBytes(file.subarray(0, file.length - 200), 1000);
  assert.deepEqual(packets, expected([one]));
  assert.deepEqual(codes, ['capture-cut']);
});

for (const options of orders) {
  test(`Simple Packet Blocks use the snap length of interface 0 and the last time: ${JSON.stringify(options)}`, async () => {
    const simple: PcapngOptions = { ...options, block: 'simple' };
    const cut = { ...one, bytes: one.bytes.subarray(0, 40), wireLength: 61 };
    const file = concat(
      pcapngSection(options),
      pcapngInterface(1, { ...options, snapLength: 40 }),
      pcapngInterface(1, options),
      pcapngPacket(cut, 0, simple),
      pcapngPacket(one, 1, options),
      pcapngPacket(cut, 0, simple),
    );
    const { packets } = await readBytes(file);
    assert.deepEqual(
      packets.map((packet) => [packet.timeMicros, packet.wireLength, packet.hex.length / 2]),
      [
        [0, 61, 40],
        [start, 61, 61],
        [start, 61, 40],
      ],
    );
  });
}

test('blocks that Wireshark shows as frames are counted', async () => {
  const custom = pcapngBlock(0x0bad, new Uint8Array(8));
  const journal = pcapngBlock(9, new Uint8Array(8));
  const names = pcapngBlock(4, new Uint8Array(8));
  const parts = [custom, pcapngPacket(one, 0), journal, names, pcapngPacket(one, 0)];
  const { packets } = await readBytes(concat(pcapngSection(), pcapngInterface(1), ...parts), 7);
  assert.deepEqual(
    packets.map((packet) => packet.frame),
    [2, 4],
  );
});

test('a later section of unknown version is left out and told, the one after it is read', async () => {
  const strange = pcapngFile([one]);
  new DataView(strange.buffer).setUint16(12, 7, true);
  const { packets, codes } = await readBytes(concat(pcapngFile([one]), strange, pcapngFile([two])), 33);
  assert.deepEqual(
    packets.map((packet) => packet.linkType),
    [1, 101],
  );
  assert.deepEqual(codes, ['capture-section-skipped']);
});

test('a block whose total length leaves out the padding is read, as Wireshark does', async () => {
  const block = pcapngPacket(one, 0);
  const view = new DataView(block.buffer);
  view.setUint32(4, block.length - 3, true);
  view.setUint32(block.length - 4, block.length - 3, true);
  const { packets, codes } = await readBytes(
    concat(pcapngSection(), pcapngInterface(1), block, pcapngPacket(two, 0)),
  );
  assert.deepEqual(
    packets.map((packet) => packet.hex.length / 2),
    [61, 44],
  );
  assert.deepEqual(codes, []);
});

/** Changes one 32-bit field of a packet block and says what must be told. */
const malformed: [string, (view: DataView) => void, RegExp][] = [
  [
    'block length below its fields',
    (view) => {
      view.setUint32(4, 16, true);
    },
    /claims 16 bytes/,
  ],
  [
    'block length above the limit',
    (view) => {
      view.setUint32(4, 0x7ffffff0, true);
    },
    /claims 2147483632 bytes/,
  ],
  [
    'trailing length',
    (view) => {
      view.setUint32(view.byteLength - 4, 8, true);
    },
    /and 8 at its end/,
  ],
  [
    'interface',
    (view) => {
      view.setUint32(8, 9, true);
    },
    /interface 9, and the section has 1/,
  ],
  [
    'captured length',
    (view) => {
      view.setUint32(20, 65, true);
    },
    /65 captured bytes/,
  ],
];

for (const [name, change, message] of malformed) {
  test(`malformed ${name}: stops the file, naming frame and offset`, async () => {
    const bad = pcapngPacket(one, 0);
    change(new DataView(bad.buffer));
    const good = pcapngFile([one]);
    for (const blockBytes of [5, 100_000]) {
      const { packets, warnings } = await readBytes(concat(good, bad, pcapngPacket(one, 0)), blockBytes);
      assert.deepEqual(packets, expected([one]));
      assert.equal(warnings.length, 1);
      assert.equal(warnings[0]!.code, 'capture-malformed');
      assert.match(warnings[0]!.message, message);
      assert.ok(warnings[0]!.message.includes(`frame 2 at byte ${good.length}:`));
    }
  });
}

test('more interfaces than any machine has are refused', async () => {
  const interfaces = new Uint8Array(65_537 * 24);
  const single = pcapngInterface(1);
  for (let i = 0; i < 65_537; i++) interfaces.set(single, i * single.length);
  const { codes } = await readBytes(concat(pcapngSection(), interfaces.subarray(0, 65_537 * single.length)));
  assert.deepEqual(codes, ['capture-malformed']);
});
