import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { openCaptureFile } from '../lib/io/capture-file.js';
import { readAll, withFile } from '../lib/io/capture-testing.js';
import { pcapFile } from '../lib/io/capture-writer.js';
import { fromHex, repositoryPath } from '../lib/testing.js';
import { ipOffset, maskAddresses } from './addresses.js';
import { writeMix } from './mix.js';
import { loadTemplates } from './template.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-mix-'));
after(() => {
  rmSync(folder, { recursive: true });
});

const recordings = ['peer-ipv6', 'link-vlan', 'dht-libtorrent', 'benign-dns', 'tunnel-gre'].map((name) =>
  repositoryPath('fixtures', 'captures', `${name}.pcap`),
);
const templates = await loadTemplates(recordings);
const size = 400_000;
const mix = writeMix(templates, 'test', {
  path: join(folder, 'mix.pcap'),
  sizeBytes: size,
  spreadSeconds: 5,
});
const { packets, warnings } = await readAll(await openCaptureFile(mix.path));

describe('a mix', () => {
  test('is a whole capture of the size asked for, and its times never fall', () => {
    assert.equal(templates.length, recordings.length);
    assert.deepEqual(warnings, []);
    assert.equal(packets.length, mix.packets);
    assert.ok(mix.bytes >= size && mix.bytes < 2 * size, `${mix.bytes} bytes`);
    assert.equal(readFileSync(mix.path).length, mix.bytes);
    for (let i = 1; i < packets.length; i++)
      assert.ok(packets[i]!.timeMicros >= packets[i - 1]!.timeMicros, `frame ${i + 1}`);
  });

  test('holds several copies whose frames are interleaved', () => {
    assert.ok(mix.copies > recordings.length);
    // With all copies one after the other, the IP version and length pattern of the first recording would stand alone.
    const kinds = packets.slice(0, 200).map((packet) => packet.hex.slice(24, 28));
    assert.ok(new Set(kinds).size >= 2, kinds.join(' '));
  });

  test('is the same, byte for byte, when built again, and another one with another seed', () => {
    const again = writeMix(templates, 'test', {
      path: join(folder, 'again.pcap'),
      sizeBytes: size,
      spreadSeconds: 5,
    });
    const other = writeMix(templates, 'test', {
      path: join(folder, 'other.pcap'),
      sizeBytes: size,
      spreadSeconds: 5,
      seed: 2,
    });
    const bytes = readFileSync(mix.path);
    assert.ok(bytes.equals(readFileSync(again.path)));
    assert.ok(!bytes.equals(readFileSync(other.path)));
  });

  test('is what tshark reads too', (t) => {
    const result = spawnSync('tshark', ['-n', '-r', mix.path, '-T', 'fields', '-e', 'frame.number'], {
      encoding: 'utf8',
      maxBuffer: 64 * 2 ** 20,
    });
    if (result.error !== undefined) {
      t.skip('tshark is not installed');
      return;
    }
    assert.equal(result.stdout.trim().split('\n').length, mix.packets);
    assert.doesNotMatch(result.stderr, /cut short|damaged|corrupt/);
  });
});

/** Both addresses of the outermost IP header, in hex. */
function ends(frame: Uint8Array): { source: string; destination: string } | null {
  const at = ipOffset(frame, 0, frame.length);
  if (at < 0) return null;
  const [from, length] = frame[at]! >> 4 === 4 ? [at + 12, 4] : [at + 8, 16];
  const hex = Buffer.from(frame).toString('hex');
  return {
    source: hex.slice(2 * from, 2 * (from + length)),
    destination: hex.slice(2 * (from + length), 2 * (from + 2 * length)),
  };
}

describe('addresses', () => {
  test('are rewritten consistently in both directions, one to one, within a copy', async () => {
    for (const template of templates) {
      const path = join(folder, 'one.pcap');
      writeMix([template], 'test', { path, sizeBytes: 100 });
      const { packets: copied } = await readAll(await openCaptureFile(path));
      const to = new Map<string, string>();
      const back = new Map<string, string>();
      let changed = 0;
      for (const [index, packet] of copied.entries()) {
        const before = ends(template.bytes.subarray(template.start[index], template.start[index + 1]));
        const after = ends(fromHex(packet.hex));
        assert.equal(before === null, after === null);
        if (before === null || after === null) continue;
        for (const side of ['source', 'destination'] as const) {
          assert.equal(to.get(before[side]) ?? after[side], after[side], template.name);
          assert.equal(back.get(after[side]) ?? before[side], before[side], template.name);
          to.set(before[side], after[side]);
          back.set(after[side], before[side]);
          if (before[side] !== after[side]) changed++;
        }
      }
      assert.ok(changed > 0, template.name);
    }
  });

  test('of two copies differ', () => {
    const sources = new Set(packets.map((packet) => ends(fromHex(packet.hex))?.source));
    const recorded = new Set(
      templates.flatMap(({ bytes, start }) =>
        [...start.slice(0, -1)].map((at, i) => ends(bytes.subarray(at, start[i + 1]))?.source),
      ),
    );
    assert.ok(sources.size > 2 * recorded.size, `${sources.size} against ${recorded.size}`);
  });

  test('multicast and broadcast stay, the payload stays, and the mask twice is nothing', () => {
    const frame = fromHex(`
      01005e4098 8f 020000000001 0800
      4500 0020 0000 0000 40 11 0000 0a000102 efc0988f  1234 1a73 000c 0000 0a000102`);
    const before = frame.slice();
    maskAddresses(frame, ipOffset(frame, 0, frame.length), 0x123456);
    assert.deepEqual([...frame.subarray(26, 34)], [0x0a, 0x12, 0x35, 0x54, 0xef, 0xc0, 0x98, 0x8f]);
    assert.deepEqual(frame.subarray(34), before.subarray(34));
    maskAddresses(frame, 14, 0x123456);
    assert.deepEqual(frame, before);
  });

  test('are found behind VLAN tags, PPPoE and MPLS, and nowhere else', () => {
    const macs = '020000000002 020000000001';
    const ip = `4500 0014 0000 0000 40 06 0000 0a000001 0a000002`;
    const offset = (text: string): number => ipOffset(fromHex(text), 0, fromHex(text).length);
    assert.equal(offset(`${macs} 0800 ${ip}`), 14);
    assert.equal(offset(`${macs} 88a8 0001 8100 0002 0800 ${ip}`), 22);
    assert.equal(offset(`${macs} 8864 1100 0001 0016 0021 ${ip}`), 22);
    assert.equal(offset(`${macs} 8847 00001040 00002140 ${ip}`), 22);
    assert.equal(offset(`${macs} 0806 0001080006040001`), -1);
    assert.equal(offset(`${macs} 0800 4500`), -1);
    assert.equal(offset('0200'), -1);
  });
});

test('raw IP gets an Ethernet header; other links than Ethernet are left out', async () => {
  const bytes = fromHex('4500 0014 0000 0000 40 06 0000 0a000001 0a000002');
  const raw = await withFile(pcapFile([{ bytes, timeMicros: 5 }], { linkType: 101 }), (path) =>
    loadTemplates([path]),
  );
  assert.equal(
    Buffer.from(raw[0]!.bytes).toString('hex').slice(24),
    `0800${Buffer.from(bytes).toString('hex')}`,
  );
  assert.deepEqual([...raw[0]!.ipAt, ...raw[0]!.wireLength], [14, 34]);
  const cooked = await loadTemplates([repositoryPath('fixtures', 'captures', 'format-sll.pcap')]);
  assert.deepEqual(cooked, []);
});
