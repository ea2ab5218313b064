/** A scan by several threads must be the scan by one: same report, same order, bounded memory, nothing lost in silence. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { registryWith } from '../detectors/index.js';
import { capturesFolder, damagedFolder } from '../fixtures/scan-fixture.js';
import { pcapFile } from '../lib/io/capture-writer.js';
import { formats, type FormatName } from '../lib/report/index.js';
import type { EndedFlow, ScanSummary, WarningReport } from '../lib/report/report.js';
import { udp, ipv4 } from '../lib/wire/testing.js';
import { listInputs, type Input } from './inputs.js';
import { listedIn, type NameWords } from './name-flags.js';
import { ScanBoard } from './scan-messages.js';
import { ScanPool, type ScanPoolOptions } from './scan-pool.js';
import { Scanner } from './scanner.js';

const folder = mkdtempSync(join(tmpdir(), 'swarmgate-pool-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A capture of so many UDP flows of one packet each. */
function capture(flows: number): Uint8Array {
  const packets = Array.from({ length: flows }, (_, i) => ({
    bytes: ipv4(17, udp(Uint8Array.of(1, 2, 3, i & 0xff), [1024 + (i % 60_000), 2000 + (i % 7)])),
    timeMicros: 1_769_862_896_000_000 + i,
    linkType: 101,
  }));
  return pcapFile(packets, { linkType: 101 });
}

interface Setting {
  readonly flowsMax?: number;
  readonly encrypted?: ScanPoolOptions['encrypted'];
  readonly names?: NameWords;
  readonly change?: Partial<ScanPoolOptions>;
}

interface Outcome {
  readonly texts: Record<string, string>;
  readonly warnings: readonly WarningReport[];
  readonly summary: ScanSummary;
  readonly incomplete: number;
}

/** Scans with so many threads into a report of every format at once. */
async function reportsOf(inputs: readonly Input[], workers: number, setting: Setting = {}): Promise<Outcome> {
  const texts: Record<string, string> = {};
  const writers = await Promise.all(
    (Object.keys(formats) as FormatName[]).map(async (name) => {
      texts[name] = '';
      const write = (text: string): void => {
        texts[name] = `${texts[name] ?? ''}${text}`;
      };
      return (await formats[name]())({ write }, { colour: true, columns: 100, version: 'test' });
    }),
  );
  const warnings: WarningReport[] = [];
  const { flowsMax = 4096, encrypted = 'corroborated', names = null } = setting;
  const shared = {
    ...{ flowsMax, encrypted },
    registry: registryWith(listedIn(names)),
    onFlow: (flow: EndedFlow) => {
      for (const writer of writers) writer.flow(flow);
    },
    onWarning: (warning: WarningReport) => warnings.push(warning),
    onEnded: () => Promise.resolve(),
    stopped: () => false,
  };
  const onProgress = (): void => undefined;
  const scanner =
    workers === 1
      ? new Scanner({ ...shared, continuous: false })
      : new ScanPool({ ...shared, ...{ workers, names, onProgress }, ...setting.change });
  await scanner.run(inputs);
  const summary = { ...scanner.summary(), elapsedSeconds: 1 };
  for (const writer of writers) writer.end(summary);
  return { texts, warnings, summary, incomplete: scanner.incomplete };
}

/** The recorded captures, and among them what cannot be read, or not to its end. */
function mixedInputs(): Input[] {
  const broken = join(folder, 'broken');
  mkdirSync(broken);
  writeFileSync(join(broken, 'a-empty.pcap'), '');
  writeFileSync(join(broken, 'b-text.pcap'), 'this is not a capture file at all');
  writeFileSync(join(broken, 'c-cut.pcap'), capture(3000).subarray(0, 100_000));
  writeFileSync(
    join(broken, 'd-linktype.pcap'),
    pcapFile([{ bytes: Uint8Array.of(1), timeMicros: 1, linkType: 3 }], { linkType: 147 }),
  );
  writeFileSync(join(broken, 'e-many.pcap'), capture(3000));
  const unreadable: Input = {
    path: 'gone/',
    fromFolder: true,
    sizeBytes: 0,
    problem: 'gone/: permission denied',
  };
  const named = (name: string): Input => ({ ...listInputs([join(broken, name)])[0]! });
  const recorded = listInputs([capturesFolder]);
  return [
    named('b-text.pcap'),
    ...recorded.slice(0, 60),
    ...listInputs([broken]),
    unreadable,
    ...recorded.slice(60),
    ...listInputs([damagedFolder]),
    { path: join(folder, 'missing.pcap'), fromFolder: false, sizeBytes: 10 },
  ];
}

describe('the same report, byte for byte, in every format', () => {
  const inputs = mixedInputs();
  const cases: [string, Setting, readonly number[]][] = [
    ['the usual options', {}, [2, 3, 8]],
    ['results that wait until the last moment', { change: { waitingMax: 1 } }, [2, 3]],
    ['a table that is full', { flowsMax: 64 }, [2]],
    ['encrypted connections by their shape', { encrypted: 'shape' }, [2]],
    ['a list of names', { names: { listed: ['example.com', 'org'], alpn: ['h2'] } }, [2]],
  ];
  for (const [name, setting, workers] of cases) {
    test(name, { timeout: 240_000 }, async () => {
      const one = await reportsOf(inputs, 1, setting);
      assert.ok(one.warnings.length >= 4 && one.incomplete >= 4, String(one.warnings.length));
      assert.ok(one.summary.flows > 5000);
      if (setting.flowsMax === 64) assert.ok(one.summary.limits.flowsEvicted > 1000);
      if (setting.names !== undefined) assert.match(one.texts['jsonl']!, /listed-name/);
      for (const count of workers) {
        const several = await reportsOf(inputs, count, setting);
        assert.deepEqual(several.warnings, one.warnings, `${count} threads`);
        assert.deepEqual(several.summary, one.summary, `${count} threads`);
        // The order of keys is what JSON shows of the order in which files were counted.
        assert.equal(JSON.stringify(several.summary), JSON.stringify(one.summary));
        assert.equal(several.incomplete, one.incomplete);
        for (const format of Object.keys(formats))
          assert.ok(several.texts[format] === one.texts[format], `${format} of ${count} threads differs`);
      }
    });
  }
});

test('a folder of thousands of small files', { timeout: 240_000 }, async () => {
  const many = join(folder, 'many');
  mkdirSync(many);
  const bytes = capture(3);
  for (let i = 0; i < 2000; i++) writeFileSync(join(many, `${i}.pcap`), bytes);
  const inputs = listInputs([many]);
  const [one, three] = [await reportsOf(inputs, 1), await reportsOf(inputs, 3)];
  assert.equal(one.summary.flows, 6000);
  assert.ok(three.texts['jsonl'] === one.texts['jsonl']);
});

/** Eight files of 20,000 flows, some 5 MB of results each. */
function largeInputs(): Input[] {
  const large = join(folder, 'large');
  mkdirSync(large, { recursive: true });
  const bytes = capture(20_000);
  for (let i = 0; i < 8; i++) writeFileSync(join(large, `${i}.pcap`), bytes);
  return listInputs([large]);
}

function pool(change: Partial<ScanPoolOptions>): ScanPool {
  return new ScanPool({
    workers: 3,
    flowsMax: 65_536,
    encrypted: 'corroborated',
    names: null,
    registry: registryWith(null),
    onFlow: () => undefined,
    onWarning: () => undefined,
    onProgress: () => undefined,
    onEnded: () => Promise.resolve(),
    stopped: () => false,
    ...change,
  });
}

test('a slow reader holds the threads back: what waits for it is bounded', { timeout: 120_000 }, async () => {
  const waitingMax = 256 * 1024;
  let flows = 0;
  let most = 0;
  let calls = 0;
  const scan = pool({
    waitingMax,
    onFlow: () => {
      flows++;
    },
    onEnded: async () => {
      // Long at first, so that the threads run into their limits; then now and then.
      calls++;
      if (calls < 4 || calls % 100 === 0) await delay(calls < 4 ? 400 : 5);
      most = Math.max(most, scan.waitingBytes);
    },
  });
  await scan.run(largeInputs());
  assert.equal(flows, 160_000);
  assert.ok(most > 0, 'something had to wait');
  // This thread is asked after some thousand flows, so its share may exceed the limit by 1.2 MB.
  assert.ok(most < 3 * waitingMax + 2_000_000, `${most} bytes waited`);
});

test('progress never goes back and ends at what there is', { timeout: 120_000 }, async () => {
  const inputs = largeInputs();
  const seen: { bytes: number; packets: number; file: string }[] = [];
  const scan = pool({
    onProgress: (bytes, packets, file) => seen.push({ bytes, packets, file }),
    onEnded: () => delay(1),
  });
  await scan.run(inputs);
  const total = inputs.reduce((sum, { sizeBytes = 0 }) => sum + sizeBytes, 0);
  assert.ok(seen.length > 1, 'progress was told');
  for (const [i, now] of seen.entries()) {
    const before = seen[i - 1] ?? { bytes: 0, packets: 0, file: '' };
    assert.ok(now.bytes >= before.bytes && now.packets >= before.packets, JSON.stringify([before, now]));
    assert.ok(now.file >= before.file, 'files are reported in order');
    assert.ok(now.bytes <= total && now.packets <= 160_000);
  }
});

test('a reader that goes away ends the scan early, and every thread', { timeout: 60_000 }, async () => {
  let flows = 0;
  const scan = pool({
    onFlow: () => {
      flows++;
    },
    stopped: () => flows > 1000,
  });
  await scan.run(largeInputs());
  assert.ok(flows > 1000 && flows < 160_000, String(flows));
});

/** A thread that takes a file, tells so, and does not live to scan it. The call returns when it has one. */
function doomed(
  end: string,
  limits: { maxOldGenerationSizeMb?: number } = {},
): NonNullable<ScanPoolOptions['makeThread']> {
  return (settings) => {
    const source = `
      const { workerData } = require('node:worker_threads');
      import(workerData.messages).then(({ ScanBoard }) => {
        const { settings, taken } = workerData;
        const file = new ScanBoard(settings.workers, settings.board).take(settings.worker);
        Atomics.store(taken, 0, file + 1);
        Atomics.notify(taken, 0);
        ${end}
      });`;
    const taken = new Int32Array(new SharedArrayBuffer(4));
    const messages = new URL('./scan-messages.js', import.meta.url).href;
    const worker = new Worker(source, {
      eval: true,
      workerData: { settings, taken, messages },
      resourceLimits: limits,
      stderr: true,
    });
    Atomics.wait(taken, 0, 0, 30_000);
    return worker;
  };
}

test(
  'a reader that goes away is noticed while the report waits for a thread',
  { timeout: 30_000 },
  async () => {
    let isGone = false;
    const scan = pool({
      workers: 2,
      makeThread: doomed('setInterval(() => {}, 1000);'),
      stopped: () => isGone,
    });
    const later = setTimeout(() => {
      isGone = true;
    }, 300);
    await scan.run(largeInputs());
    clearTimeout(later);
    assert.ok(isGone);
    assert.equal(scan.summary().files, 0);
  },
);

describe('a thread that dies', () => {
  const inputs = (): Input[] =>
    listInputs([capturesFolder])
      .filter(({ path }) => path.endsWith('.pcap'))
      .slice(0, 12);
  const ways: [string, string, { maxOldGenerationSizeMb?: number }, RegExp][] = [
    ['by ending', 'process.exit(3);', {}, /ended with status 3.*try --workers 1/],
    [
      'for want of memory',
      'const all = []; for (;;) all.push(new Array(1000).fill(all.length));',
      { maxOldGenerationSizeMb: 24 },
      /memory limit.*try --workers 1/,
    ],
  ];
  // Node 24 ends the whole process with the thread, and Node 26 lets it grow.
  const limitless =
    Number(process.versions.node.split('.')[0]) > 22 ? 'this Node keeps no memory limit of a thread' : false;
  for (const [name, end, limits, message] of ways) {
    const skip = limits.maxOldGenerationSizeMb === undefined ? false : limitless;
    test(`${name}: an error that names its file, with status 70`, { timeout: 60_000, skip }, async () => {
      const files = inputs();
      const shown = new Set<string>();
      const scan = pool({
        workers: 2,
        makeThread: doomed(end, limits),
        onFlow: (flow) => shown.add(flow.report().file),
      });
      // The worker was first, so it has the first file; those behind it were scanned, and are not shown.
      await assert.rejects(scan.run(files), (error: Error & { code?: string; exitCode?: number }) => {
        assert.equal(error.code, 'worker-failed');
        assert.equal(error.exitCode, 70);
        assert.ok(
          error.message.startsWith(`${files[0]!.path}: the thread that scans it failed: `),
          error.message,
        );
        assert.match(error.message, message);
        return true;
      });
      assert.deepEqual([...shown], []);
    });
  }

  test('by a defect: its message and stack, and the file', { timeout: 60_000 }, async () => {
    const files = inputs();
    const end = 'setImmediate(function atFault() { throw new Error("boom"); });';
    await assert.rejects(pool({ workers: 2, makeThread: doomed(end) }).run(files), (error: Error) => {
      assert.equal(error.message, `${files[0]!.path}: the thread that scans it failed: boom`);
      assert.match(error.stack ?? '', /at .*atFault/);
      return true;
    });
  });

  test('this thread itself: what it throws is thrown when its file comes', { timeout: 60_000 }, async () => {
    const broken = {
      ...registryWith(null),
      recogniseTcp: (): never => {
        throw new Error('broken here');
      },
      recogniseOther: (): never => {
        throw new Error('broken here');
      },
    };
    await assert.rejects(pool({ workers: 2, registry: broken }).run(inputs()), /broken here/);
  });

  test('that cannot be started: refused with the way out', async () => {
    const makeThread = (): never => {
      throw Object.assign(new Error('no thread permitted'), { code: 'ERR_WORKER_INIT_FAILED' });
    };
    await assert.rejects(pool({ makeThread }).run(inputs()), {
      code: 'worker-failed',
      message: 'a thread of the scan failed: no thread permitted; try --workers 1',
    });
  });
});

test('the board gives each file once, and a worker waits until its results are taken', async () => {
  const board = new ScanBoard(2);
  assert.deepEqual(
    [board.fileOf(0), board.take(0), board.take(1), board.take(0), board.fileOf(0)],
    [-1, 0, 1, 2, 2],
  );
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    import(workerData.messages).then(({ ScanBoard }) => {
      new ScanBoard(2, workerData.memory).wait(1, 10, 4);
      parentPort.postMessage('went on');
    });`;
  const messages = new URL('./scan-messages.js', import.meta.url).href;
  const worker = new Worker(source, { eval: true, workerData: { memory: board.memory, messages } });
  let wentOn = false;
  worker.once('message', () => {
    wentOn = true;
  });
  board.free(1, 5);
  await delay(300);
  assert.equal(wentOn, false, 'five of ten units are one too many');
  board.free(1, 1);
  await new Promise((resolve) => worker.once('exit', resolve));
  assert.equal(wentOn, true);
});

test('a thread that waits for its turn can be ended', { timeout: 30_000 }, async () => {
  const bytes = readFileSync(join(folder, 'large', '0.pcap'));
  for (const name of ['x.pcap', 'y.pcap', 'z.pcap']) writeFileSync(join(folder, name), bytes);
  copyFileSync(join(folder, 'x.pcap'), join(folder, 'w.pcap'));
  let calls = 0;
  const scan = pool({
    waitingMax: 1,
    onEnded: () => delay(calls++ === 0 ? 500 : 0),
    stopped: () => calls > 3,
  });
  await scan.run(listInputs(['w', 'x', 'y', 'z'].map((name) => join(folder, `${name}.pcap`))));
  assert.ok(calls > 3);
});
