import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { CaptureFolder, type CaptureFolderOptions } from './capture-folder.js';
import { openCaptureFile } from './capture-file.js';
import { PacketBatch } from './packet-source.js';
import { batchOf, packetsOf, type RingPacket } from './ring-testing.js';

const root = mkdtempSync(join(tmpdir(), 'swarmgate-folder-'));
after(() => {
  rmSync(root, { recursive: true });
});
let made = 0;

function directory(): string {
  const path = join(root, String(made++));
  mkdirSync(path);
  return path;
}

const unexpected = (message: string): never => assert.fail(message);

function folderIn(path: string, options: Partial<CaptureFolderOptions> = {}): CaptureFolder {
  return new CaptureFolder({
    directory: path,
    name: 'try',
    fileBytes: 64 * 1024,
    files: 4,
    onRoom: () => undefined,
    onTrouble: unexpected,
    onHealed: () => undefined,
    retryMillis: 20,
    ...options,
  });
}

function packet(number: number, length: number, linkType = 1): RingPacket {
  return {
    bytes: new Uint8Array(length).fill(number),
    wireLength: length + 10,
    linkType,
    timeMicros: 1.79e15 + number * 1000,
    frame: number,
  };
}

/** Adds one packet, and waits for room as long as it takes. */
async function save(folder: CaptureFolder, what: RingPacket): Promise<void> {
  const batch = batchOf([what]);
  for (let tried = 0; !folder.add(batch, 0); tried++) {
    assert.ok(tried < 1000, 'no room for ever');
    folder.flush();
    await sleep(1);
  }
}

const saved = (path: string): string[] => readdirSync(path).sort();

async function read(path: string): Promise<RingPacket[]> {
  const source = await openCaptureFile(path);
  const packets: RingPacket[] = [];
  const batch = new PacketBatch();
  while (await source.fill()) while (source.next(batch) > 0) packets.push(...packetsOf(batch));
  assert.deepEqual(source.warnings, []);
  await source.close();
  return packets;
}

test('what was added is in the files, whole and in order; they are named, protected and bounded', async () => {
  const path = directory();
  const folder = folderIn(path, { files: 100 });
  const packets = Array.from({ length: 300 }, (_, i) => packet(i, 1 + ((i * 37) % 1500)));
  for (const each of packets) await save(folder, each);
  await folder.close();
  const names = saved(path);
  assert.ok(names.length > 2);
  for (const name of names) {
    assert.match(name, /^swarmgate-try-\d{8}T\d{6}Z-\d{6}\.pcap$/);
    const { size, mode } = statSync(join(path, name));
    assert.ok(size <= 64 * 1024, `${size}`);
    assert.equal(mode & 0o777 & ~0o640, 0);
  }
  const found = (await Promise.all(names.map((name) => read(join(path, name))))).flat();
  assert.deepEqual(
    found.map(({ bytes, timeMicros, wireLength }) => [bytes, timeMicros, wireLength]),
    packets.map(({ bytes, timeMicros, wireLength }) => [bytes, timeMicros, wireLength]),
  );
  assert.deepEqual([folder.packets, folder.dropped, folder.begun], [300, 0, names.length]);
});

test('however much is saved, the folder holds no more than its bound; other files stay', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.integer({ min: 0, max: 60_000 }), { minLength: 1, maxLength: 30 }),
      async (files, lengths) => {
        const path = directory();
        writeFileSync(join(path, 'swarmgate-other-20260101T000000Z-000001.pcap'), 'not ours');
        // Left by a run that was allowed larger files.
        writeFileSync(join(path, 'swarmgate-try-20260101T000000Z-000001.pcap'), new Uint8Array(150_000));
        const folder = folderIn(path, { files });
        for (const [i, length] of lengths.entries()) await save(folder, packet(i, length, 1 + 100 * (i % 2)));
        await folder.close();
        const ours = saved(path).filter((name) => name.startsWith('swarmgate-try-'));
        const bytes = ours.reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
        assert.ok(ours.length <= files, `${ours.length} of ${files} files`);
        assert.ok(bytes <= files * 64 * 1024, `${bytes} bytes`);
        assert.ok(existsSync(join(path, 'swarmgate-other-20260101T000000Z-000001.pcap')));
        for (const name of ours.filter((each) => !each.includes('20260101T'))) await read(join(path, name));
        assert.equal(folder.packets, lengths.length);
      },
    ),
    { numRuns: 15 },
  );
});

test('each link type has files of its own', async () => {
  const path = directory();
  const folder = folderIn(path);
  for (let i = 0; i < 10; i++) await save(folder, packet(i, 100, i % 2 === 0 ? 1 : 101));
  await folder.close();
  const files = await Promise.all(saved(path).map((name) => read(join(path, name))));
  assert.deepEqual(files.map((packets) => packets.length).sort(), [5, 5]);
});

test('a link that somebody planted is not followed, and his file not overwritten', async () => {
  const path = directory();
  const target = join(root, 'precious');
  writeFileSync(target, 'precious');
  const folder = folderIn(path);
  // Every name that can come next within these seconds.
  for (let second = -1; second < 5; second++) {
    const stamp = new Date(Date.now() + second * 1000).toISOString().replace(/[-:]|\.\d+/g, '');
    for (let i = 1; i < 4; i++)
      symlinkSync(target, join(path, `swarmgate-try-${stamp}-${String(i).padStart(6, '0')}.pcap`));
  }
  await save(folder, packet(1, 10));
  await folder.close();
  assert.equal(readFileSync(target, 'utf8'), 'precious');
  assert.equal(folder.packets, 1);
});

test('trouble is told once and healed: the packets that waited are saved', async () => {
  const path = directory();
  const told: string[] = [];
  const folder = folderIn(path, {
    onTrouble: (message) => told.push(message),
    onHealed: () => told.push('healed'),
  });
  renameSync(path, `${path}.gone`);
  await save(folder, packet(1, 10));
  folder.flush();
  await sleep(150);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /ENOENT/);
  assert.match(folder.problem!, /ENOENT/);
  renameSync(`${path}.gone`, path);
  for (let i = 0; folder.problem !== null && i < 200; i++) await sleep(10);
  await folder.close();
  assert.deepEqual([told.length, told[1], folder.packets], [2, 'healed', 1]);
});

/** A disk of 200 KiB; why it cannot be had, or false. */
function mountSmall(path: string): string | false {
  if (process.getuid?.() !== 0) return 'needs root: it mounts a small disk';
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', path]);
  return status === 0 ? false : 'this machine permits no mount';
}

/** Between two tries to write: what did not fit is in the file for a moment. */
async function readAtRest(path: string): Promise<void> {
  for (let tried = 1; ; tried++) {
    try {
      await read(path);
      return;
    } catch (error) {
      if (tried === 10) throw error;
      await sleep(7);
    }
  }
}

test('a full disk: told once, no file ends in half a record, and all is saved when there is room again', async (t) => {
  const path = directory();
  const problem = mountSmall(path);
  if (problem !== false) {
    t.skip(problem);
    return;
  }
  t.after(() => spawnSync('umount', ['-l', path]));
  const told: string[] = [];
  const folder = folderIn(path, {
    files: 100,
    onTrouble: (message) => told.push(message),
    onHealed: () => told.push('healed'),
  });
  const batch = batchOf([packet(1, 1400)]);
  const trouble = (): string | null => folder.problem;
  while (trouble() === null) {
    if (folder.add(batch, 0)) continue;
    folder.flush();
    await sleep(1);
  }
  await sleep(100);
  assert.match(told.join(), /^ENOSPC[^,]*,[^,]*$/);
  for (const name of saved(path)) await readAtRest(join(path, name));
  rmSync(join(path, saved(path)[0]!));
  for (let i = 0; trouble() !== null && i < 200; i++) await sleep(10);
  await folder.close();
  assert.deepEqual([trouble(), folder.dropped, told.at(-1)], [null, 0, 'healed']);
  for (const name of saved(path)) await read(join(path, name));
});

test('what could not be saved to the end is counted', async () => {
  const folder = folderIn(join(directory(), 'no'), { onTrouble: () => undefined });
  await save(folder, packet(1, 10));
  await folder.close();
  assert.deepEqual([folder.dropped, folder.begun], [1, 0]);
});

test('a folder that is missing, a file, or not writable is refused before anything is saved', async () => {
  const path = directory();
  assert.equal(await folderIn(path).check(), null);
  assert.deepEqual(saved(path), []);
  assert.match((await folderIn(join(path, 'no')).check())!, /ENOENT/);
  writeFileSync(join(path, 'file'), '');
  assert.match((await folderIn(join(path, 'file')).check())!, /ENOTDIR/);
  if (process.getuid?.() !== 0) {
    chmodSync(path, 0o500);
    assert.match((await folderIn(path).check())!, /EACCES/);
  }
});

test('what is named like our files but is none of them is neither counted nor removed, and stops nothing', async () => {
  const path = directory();
  const name = (number: number): string => join(path, `swarmgate-try-20200101T000000Z-00000${number}.pcap`);
  const elsewhere = join(directory(), 'elsewhere');
  writeFileSync(elsewhere, 'kept');
  mkdirSync(name(1));
  symlinkSync(elsewhere, name(2));
  const folder = folderIn(path, { files: 1, fileBytes: 1024 });
  for (let i = 0; i < 8; i++) await save(folder, packet(i, 500));
  await folder.close();
  assert.equal(folder.removed, folder.begun - 1);
  assert.equal(saved(path).length, 3);
  assert.ok(existsSync(name(1)) && existsSync(name(2)));
  assert.equal(readFileSync(elsewhere, 'utf8'), 'kept');
});

test('a file that was taken away while it was written is followed by another, a folder is missed', async () => {
  const path = directory();
  const told: string[] = [];
  const folder = folderIn(path, { onTrouble: (message) => told.push(message) });
  await save(folder, packet(1, 100));
  folder.flush();
  while (folder.packets < 1) await sleep(1);
  rmSync(join(path, saved(path)[0]!));
  await save(folder, packet(2, 100));
  folder.flush();
  while (folder.packets < 2) await sleep(1);
  assert.equal(saved(path).length, 1);
  assert.deepEqual(told, []);
  rmSync(path, { recursive: true });
  await save(folder, packet(3, 100));
  folder.flush();
  while (told.length === 0) await sleep(1);
  assert.match(told[0]!, /ENOENT/);
  mkdirSync(path);
  while (folder.packets < 3) await sleep(1);
  await folder.close();
  assert.deepEqual([folder.dropped, saved(path).length], [0, 1]);
});

test('a disk that hangs does not hang the end: what is in no file is counted', async (t) => {
  const path = directory();
  const folder = folderIn(path);
  await save(folder, packet(1, 100));
  folder.flush();
  while (folder.packets < 1) await sleep(1);
  const handle = await open(join(path, saved(path)[0]!));
  const prototype = Object.getPrototypeOf(handle) as Record<symbol | string, () => unknown>;
  await handle.close();
  // A write that never ends: Node keeps the file open for it, and its close waits.
  const keep = Object.getOwnPropertySymbols(prototype).find(({ description }) => description === 'kRef')!;
  t.mock.method(prototype, 'write', function (this: typeof prototype) {
    this[keep]!();
    return new Promise(() => undefined);
  });
  await save(folder, packet(2, 100));
  await folder.close();
  assert.equal(folder.dropped, 1);
});
