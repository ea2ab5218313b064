import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Yes, type Detector } from '../../detectors/detector.js';
import { flagDone, sFlags, wordStride } from '../flow/table.js';
import type { FakePacket } from '../flow/testing.js';
import { fromText } from '../testing.js';
import { Accept, ActionPolicy, Drop, Pass, Reject, type ActionCode, type ActionOptions } from './action.js';
import { base, Bench, down, letterDetector, openingDetector, up, word } from './testing.js';
import type { VerdictCode } from './verdict.js';

const settings: ActionOptions = {
  default: 'reject',
  kinds: {},
  inspectedPackets: 6,
  inspectedPacketsClear: 2,
  blocks: true,
  allowedInfoHashes: new Set(),
};

class Judge {
  readonly decided: ActionCode[] = [];
  readonly policy: ActionPolicy;
  readonly bench: Bench;

  constructor(detectors: ConstructorParameters<typeof Bench>[0], options: Partial<ActionOptions> = {}) {
    this.bench = new Bench(detectors, 64, (options.allowedInfoHashes?.size ?? 0) > 0);
    this.policy = new ActionPolicy(this.bench.engine, { ...settings, ...options }, (_slot, action) => {
      this.decided.push(action);
    });
  }

  send(fake: FakePacket): ActionCode {
    const verdict = this.bench.send(fake) as VerdictCode;
    return this.policy.judge(this.bench.engine.slot, verdict);
  }

  get done(): boolean {
    const { engine } = this.bench;
    return (engine.flows.words[engine.slot * wordStride + sFlags]! & flagDone) !== 0;
  }
}

test('a decided flow gets the action of its kind, once, and keeps it', () => {
  for (const [kinds, expected] of [
    [{}, Reject],
    [{ peer: 'drop' }, Drop],
    [{ peer: 'accept' }, Accept],
    [{ dht: 'drop' }, Reject],
  ] as const) {
    const judge = new Judge([openingDetector()], { kinds });
    assert.equal(judge.send({ ...up, flags: 2, sequence: 99 }), Pass);
    assert.equal(judge.send({ ...up, sequence: 100, payload: word }), expected);
    assert.equal(judge.send({ ...down, sequence: 5, payload: fromText('late') }), expected);
    judge.policy.configure({ ...settings, default: 'drop' });
    assert.equal(judge.send({ ...down, sequence: 9, payload: fromText('later') }), expected);
    assert.deepEqual(judge.decided, [expected]);
  }
});

/** Always wants to see more packets, never says anything. */
const patient = { ...letterDetector('patient', 'strong', '~'), packetsMax: 64 };

test('an unknown flow is let go after its budget of payload packets, and not before', () => {
  const judge = new Judge([patient]);
  judge.send({ ...up, flags: 2, sequence: 99 });
  const answers = Array.from({ length: 7 }, (_, i) =>
    judge.send({ ...up, sequence: 100 + i, payload: fromText('x') }),
  );
  assert.deepEqual(answers, [Pass, Pass, Pass, Pass, Pass, Accept, Accept]);
  assert.ok(judge.done);
  assert.deepEqual(judge.decided, []);
});

test('packets without payload do not use the budget up, but no flow is looked at for ever', () => {
  const judge = new Judge([patient]);
  judge.send({ ...up, flags: 2, sequence: 99 });
  const answers = Array.from({ length: 120 }, () => judge.send({ ...up, sequence: 100, flags: 16 }));
  const let_go = answers.indexOf(Accept);
  assert.ok(let_go > 60 && let_go < 100, `let go after ${let_go}`);
});

test('a flow recognised as another protocol is let go sooner', () => {
  const judge = new Judge([patient]);
  judge.send({ ...up, flags: 2, sequence: 99 });
  assert.equal(judge.send({ ...up, sequence: 100, payload: fromText('h') }), Pass);
  assert.equal(judge.send({ ...down, sequence: 5, payload: fromText('x') }), Accept);
});

test('a suspect is looked at longer, and never blocked', () => {
  const judge = new Judge([{ ...letterDetector('s', 'strong', 's'), packetsMax: 64 }]);
  judge.send({ ...up, flags: 2, sequence: 99 });
  const answers = Array.from({ length: 20 }, (_, i) =>
    judge.send({ ...up, sequence: 100 + i, payload: fromText(i === 0 ? 's' : 'x') }),
  );
  assert.equal(answers.indexOf(Accept), 11);
  assert.deepEqual(judge.decided, []);
});

test('a one-way upload is let go by its bytes', () => {
  const opening = { ...openingDetector(), where: 'start' } as const;
  const judge = new Judge([opening], { inspectedPackets: 1000 });
  judge.send({ ...up, flags: 2, sequence: 99 });
  let sent = 0;
  const payload = new Uint8Array(1400);
  while (judge.send({ ...up, sequence: 100 + sent, payload }) === Pass) {
    sent += payload.length;
    assert.ok(sent < 1_000_000, 'never let go');
  }
  assert.ok(sent > 200_000, `let go after ${sent} bytes`);
});

test('nothing left to ask: the flow is let go at once', () => {
  const judge = new Judge([{ ...patient, packetsMax: 1 }]);
  judge.send({ ...up, flags: 2, sequence: 99 });
  judge.send({ ...up, sequence: 100, payload: fromText('x') });
  judge.send({ ...down, sequence: 5, payload: fromText('x') });
  judge.send({ ...up, sequence: 101, payload: fromText('x') });
  assert.equal(judge.send({ ...down, sequence: 6, payload: fromText('x') }), Accept);
});

const hash = new Uint8Array(20).fill(0xab);

/** Says Yes to everything; the second packet names the info-hash. */
const tracker: Detector = {
  ...base('tracker', 'proof'),
  packetsMax: 64,
  inspect: (view) => {
    view.finding = 0;
    if (view.end - view.start >= 20) {
      view.infoHash.set(view.bytes.subarray(view.start, view.end));
      view.infoHashLength = 20;
    }
    return Yes;
  },
};

test('an allowed info-hash is waited for, and accepted; another one is not', () => {
  for (const [named, expected] of [
    ['ab'.repeat(20), Accept],
    ['cd'.repeat(20), Reject],
  ] as const) {
    const judge = new Judge([tracker], { allowedInfoHashes: new Set([named]) });
    judge.send({ ...up, flags: 2, sequence: 99 });
    assert.equal(judge.send({ ...up, sequence: 100, payload: fromText('hello') }), Pass);
    assert.equal(judge.send({ ...up, sequence: 105, payload: hash }), expected);
  }
});

test('an info-hash that is allowed while the filter runs is waited for too', () => {
  const judge = new Judge([tracker]);
  judge.policy.configure({ ...settings, allowedInfoHashes: new Set(['ab'.repeat(20)]) });
  judge.send({ ...up, flags: 2, sequence: 99 });
  assert.equal(judge.send({ ...up, sequence: 100, payload: fromText('hello') }), Pass);
  assert.equal(judge.send({ ...up, sequence: 105, payload: hash }), Accept);
});

test('a flow that never names its info-hash is decided all the same', () => {
  const judge = new Judge([tracker], { allowedInfoHashes: new Set(['ab'.repeat(20)]) });
  judge.send({ ...up, flags: 2, sequence: 99 });
  const answers = Array.from({ length: 8 }, (_, i) =>
    judge.send({ ...up, sequence: 100 + i, payload: fromText('x') }),
  );
  assert.ok(answers.includes(Reject), answers.join());
  assert.equal(answers.indexOf(Accept), -1);
});

test('allow lets a flow go before anything is known', () => {
  const judge = new Judge([openingDetector()]);
  judge.send({ ...up, flags: 2, sequence: 99 });
  assert.equal(judge.policy.allow(judge.bench.engine.slot), Accept);
  assert.equal(judge.send({ ...up, sequence: 100, payload: word }), Accept);
  assert.deepEqual(judge.decided, []);
});
