/** The loop of a capture thread over sources that are made up: nothing here needs an interface. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBell } from '../lib/io/bell.js';
import { capturedPacketsAt, skippedPacketsAt } from '../lib/io/dispatcher.js';
import { LiveSourceError, type BlockingLiveSource } from '../lib/io/live-source.js';
import { PacketBatch } from '../lib/io/packet-source.js';
import { batchOf, numbered } from '../lib/io/ring-testing.js';
import { makeSlabRing, RingReader } from '../lib/io/slab-ring.js';
import {
  captureBeatAt,
  captureCountsLength,
  CaptureLoop,
  kernelDroppedAt,
  reopenedAt,
} from './capture-loop.js';
import {
  controlState,
  controlWords,
  stateStop,
  type CaptureSettings,
  type FromCapture,
} from './filter-settings.js';

const workers = 2;

/** What a source does, turn by turn: so many packets, so many that the kernel dropped, or an error. */
type Act = { readonly packets: number; readonly dropped?: number } | LiveSourceError;

class FakeSource implements BlockingLiveSource {
  readonly name = 'try0';
  readonly index = 7;
  readonly linkType = 1;
  readonly kind = 'ring';
  readonly counters = { captured: 0, kernelDropped: 0 };
  batch = new PacketBatch();
  closed = false;
  /** What the kernel tells only when the source is closed. */
  droppedLast = 0;
  /** It is called something else now. */
  isRenamed = false;

  constructor(
    readonly acts: Act[],
    readonly onIdle: () => void,
  ) {}

  receive(): number {
    const act = this.acts.shift();
    if (act === undefined) {
      this.onIdle();
      return 0;
    }
    if (act instanceof LiveSourceError) throw act;
    this.counters.kernelDropped += act.dropped ?? 0;
    this.batch = batchOf(Array.from({ length: act.packets }, (_, i) => numbered(i, 60)));
    return act.packets;
  }

  checkName(): void {
    if (this.isRenamed) throw missing;
  }

  close(): void {
    this.closed = true;
    this.counters.kernelDropped += this.droppedLast;
    this.droppedLast = 0;
  }
}

class Trial {
  readonly told: FromCapture[] = [];
  readonly sources: FakeSource[] = [];
  readonly counts = new Float64Array(new SharedArrayBuffer(captureCountsLength(workers) * 8));
  readonly control = new Int32Array(new SharedArrayBuffer(controlWords * 4));
  readonly memories = Array.from({ length: workers }, () =>
    makeSlabRing({ slabBytes: 65_536, packetsMax: 64 }),
  );
  readonly loop: CaptureLoop;
  /** Of each source. */
  droppedLast = 0;

  /** @param lives what happens at each opening: a source, or an error */
  constructor(lives: (Act[] | LiveSourceError)[], mayWait = false) {
    const settings: CaptureSettings = {
      live: { interface: 'try0', filter: '', snapBytes: 2048, promiscuous: true, batchPackets: 64 },
      sizes: {},
      memories: this.memories,
      bells: this.memories.map(() => makeBell()),
      seed: 1,
      processors: null,
      mayWait,
      counters: this.counts.buffer,
      control: this.control.buffer,
    };
    this.loop = new CaptureLoop({
      settings,
      open: () => this.#open(lives),
      tell: (message) => this.told.push(message),
    });
  }

  #open(lives: (Act[] | LiveSourceError)[]): FakeSource {
    const life = lives.shift() ?? [];
    if (life instanceof LiveSourceError) throw life;
    const source = new FakeSource(life, () => {
      Atomics.store(this.control, controlState, stateStop);
    });
    source.droppedLast = this.droppedLast;
    this.sources.push(source);
    return source;
  }

  run(): void {
    this.loop.begin();
    this.loop.run();
  }

  handedOver(): number {
    return this.memories.reduce((sum, memory) => sum + new RingReader(memory).waiting, 0);
  }
}

const missing = new LiveSourceError('interface-missing', 'there is no interface try0');
const down = new LiveSourceError('interface-down', 'try0 is down');

test('packets go to the rings of the workers; what the kernel dropped is told', () => {
  const trial = new Trial([[{ packets: 10, dropped: 3 }, { packets: 5 }]]);
  trial.run();
  assert.equal(trial.handedOver(), 15);
  assert.equal(trial.counts[capturedPacketsAt], 15);
  assert.equal(trial.counts[kernelDroppedAt(workers)], 3);
  assert.ok(trial.counts[captureBeatAt(workers)]! >= 3);
  assert.deepEqual(trial.told, []);
  assert.ok(trial.sources[0]!.closed);
});

test('rings that nobody empties: what finds no room is skipped, and the loop goes on', () => {
  const trial = new Trial([Array.from({ length: 20 }, () => ({ packets: 60 }))]);
  trial.run();
  assert.equal(trial.counts[capturedPacketsAt], 1200);
  assert.equal(trial.counts[skippedPacketsAt]! + trial.handedOver(), 1200);
  assert.ok(trial.counts[skippedPacketsAt]! > 1000);
});

test('an interface that goes away is waited for, said once, and is watched again when it is back', () => {
  const trial = new Trial([
    [{ packets: 4, dropped: 2 }, missing],
    missing,
    missing,
    [{ packets: 6, dropped: 1 }],
  ]);
  trial.run();
  assert.deepEqual(trial.told, [{ kind: 'waiting', code: 'interface-missing' }, { kind: 'watching' }]);
  assert.equal(trial.counts[capturedPacketsAt], 10);
  assert.equal(trial.counts[kernelDroppedAt(workers)], 3);
  assert.equal(trial.counts[reopenedAt(workers)], 1);
  assert.ok(trial.sources.every(({ closed }) => closed));
});

test('what the kernel dropped last, told only when a source is closed, is counted once', () => {
  const trial = new Trial([[{ packets: 4, dropped: 2 }, missing], [{ packets: 6, dropped: 1 }]]);
  trial.droppedLast = 10;
  trial.run();
  assert.equal(trial.counts[kernelDroppedAt(workers)], 2 + 10 + 1 + 10);
});

test('at the first start a missing interface is an error, later it is waited for', () => {
  assert.throws(() => {
    new Trial([missing]).run();
  }, missing);
  const trial = new Trial([down, []], true);
  trial.run();
  assert.deepEqual(trial.told, [{ kind: 'waiting', code: 'interface-down' }, { kind: 'watching' }]);
});

test('any other problem ends the loop: the thread is started again by its supervisor', () => {
  const failed = new LiveSourceError('capture-failed', 'EIO');
  assert.throws(() => {
    new Trial([[{ packets: 1 }, failed]]).run();
  }, failed);
  assert.throws(() => {
    new Trial([[{ packets: 1 }, missing], failed]).run();
  }, failed);
});

test('an interface that is called something else is waited for under its name', () => {
  const trial = new Trial([[{ packets: 4 }], [{ packets: 6 }]]);
  trial.loop.begin();
  trial.sources[0]!.isRenamed = true;
  trial.loop.run();
  assert.ok(trial.sources[0]!.closed);
  assert.deepEqual(trial.told, [{ kind: 'waiting', code: 'interface-missing' }, { kind: 'watching' }]);
  assert.equal(trial.counts[capturedPacketsAt], 10);
});
