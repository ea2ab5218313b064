import assert from 'node:assert/strict';
import { concat, SeededRandom } from '../testing.js';
import { fuzz } from '../fuzzing.js';
import { walkBytes } from './capture-testing.js';
import { pcapFile, pcapngBlock, pcapngFile } from './capture-writer.js';
import { PacketBatch } from './packet-source.js';

const random = new SeededRandom(5);
const packets = [40, 0, 90, 3].map((length, index) => ({
  bytes: random.bytes(length),
  timeMicros: 1_700_000_000_000_000 + index,
  linkType: index % 2 === 0 ? 1 : 101,
}));

const seeds = [false, true].flatMap((bigEndian) => [
  pcapFile(packets, { bigEndian }),
  pcapFile(packets, { bigEndian, variant: 'nanos' }),
  pcapFile(packets, { bigEndian, variant: 'modified' }),
  pcapFile(packets, { bigEndian, variant: 'ixia' }),
  pcapngFile(packets, { bigEndian, tsresol: 9 }),
  pcapngFile(packets, { bigEndian, block: 'obsolete', tsoffsetSeconds: 7 }),
  pcapngFile(packets, { bigEndian, block: 'simple' }),
  concat(
    pcapngFile(packets, { bigEndian: !bigEndian, tsresol: 0x8a }),
    pcapngBlock(0x0bad, new Uint8Array(30), { bigEndian: !bigEndian }),
    pcapngFile(packets, { bigEndian }),
  ),
]);

const batch = new PacketBatch(3);
const whole = new PacketBatch(64);

fuzz(
  'capture records never throw, stay inside the file and do not depend on the block size',
  seeds,
  (bytes) => {
    const once = walkBytes(bytes, 131_072, whole);
    const pieces = walkBytes(bytes, 1 + (bytes.length % 97), batch);
    assert.deepEqual(pieces, once);
    let captured = 0;
    let frame = 0;
    for (const packet of once.packets) {
      captured += packet.hex.length / 2;
      assert.ok(packet.wireLength >= packet.hex.length / 2);
      assert.ok(packet.frame > frame && Number.isInteger(packet.timeMicros));
      frame = packet.frame;
    }
    assert.ok(captured <= bytes.length, 'no packet was invented');
  },
);
