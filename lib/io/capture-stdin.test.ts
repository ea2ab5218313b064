/** Standard input and named pipes, in a child process: this file is its own child when it is told to be. */
import assert from 'node:assert/strict';
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { openCaptureFile } from './capture-file.js';
import { pcapFile, pcapHeader, pcapngFile, pcapRecord } from './capture-writer.js';
import { PacketBatch } from './packet-source.js';

const childPath = process.env['SWARMGATE_TEST_CAPTURE'];
const packet = { bytes: new Uint8Array(100).fill(7), timeMicros: 1_700_000_000_000_000 };

if (childPath === undefined) parent();
else await child(childPath);

/** Prints the frame number of each packet as soon as it is there, then the warnings. */
async function child(path: string): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  try {
    const source = await openCaptureFile(path);
    const batch = new PacketBatch();
    while (await source.fill()) {
      while (source.next(batch) > 0) say(`frame ${batch.frame[batch.count - 1]!}`);
    }
    await source.close();
    say(`end ${source.warnings.map((warning) => warning.code).join()}`);
  } catch (error) {
    say(`refused ${(error as Error).message}`);
  }
}

class Child {
  readonly #process: ChildProcessWithoutNullStreams;
  #text = '';

  constructor(path: string) {
    const env: NodeJS.ProcessEnv = { ...process.env, SWARMGATE_TEST_CAPTURE: path };
    // Without this the child reports to our test runner instead of printing.
    delete env['NODE_TEST_CONTEXT'];
    const flags = process.execArgv.filter((flag) => !flag.startsWith('--test'));
    this.#process = spawn(process.execPath, [...flags, fileURLToPath(import.meta.url)], { env });
    this.#process.stdout.on('data', (data: Buffer) => (this.#text += data.toString()));
    this.#process.stderr.on('data', (data: Buffer) => (this.#text += data.toString()));
    this.#process.stdin.on('error', () => undefined);
  }

  write(bytes: Uint8Array): void {
    this.#process.stdin.write(bytes);
  }

  async says(line: string): Promise<void> {
    while (!this.#text.includes(`${line}\n`)) await once(this.#process.stdout, 'data');
  }

  async end(): Promise<string> {
    const closed = once(this.#process, 'close');
    this.#process.stdin.end();
    await closed;
    return this.#text;
  }
}

function parent(): void {
  test(
    'a slow pipe is read as it fills: a record that has arrived is not kept waiting',
    { timeout: 30_000 },
    async () => {
      const reader = new Child('-');
      const record = pcapRecord(packet);
      reader.write(pcapHeader());
      reader.write(record);
      await reader.says('frame 1');
      reader.write(record.subarray(0, 50));
      reader.write(record.subarray(50));
      await reader.says('frame 2');
      reader.write(record.subarray(0, 50));
      assert.equal(await reader.end(), 'frame 1\nframe 2\nend capture-cut\n');
    },
  );

  test('standard input of every format', { timeout: 60_000 }, async () => {
    const many = Array.from({ length: 20_000 }, () => packet);
    for (const bytes of [pcapFile(many), pcapngFile(many), gzipSync(pcapFile(many))]) {
      const reader = new Child('-');
      reader.write(bytes);
      assert.match(await reader.end(), /frame 20000\nend \n$/);
    }
  });

  test('empty standard input is refused by name', { timeout: 30_000 }, async () => {
    assert.match(await new Child('-').end(), /^refused standard input is empty/);
  });

  test('a source on an open pipe can be closed early', { timeout: 30_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'swarmgate-capture-'));
    try {
      const path = join(folder, 'pipe');
      execFileSync('mkfifo', [path]);
      const writing = open(path, 'r+');
      const handle = await writing;
      await handle.write(pcapFile([packet]));
      const source = await openCaptureFile(path);
      const batch = new PacketBatch();
      assert.equal(await source.fill(), true);
      assert.equal(source.next(batch), 1);
      await handle.close();
      await source.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
}
