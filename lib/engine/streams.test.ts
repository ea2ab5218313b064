import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  More,
  No,
  noteInfoHash,
  yesInOpening,
  yesInPayload,
  type Detector,
} from '../../detectors/detector.js';
import { fromText } from '../testing.js';
import { base, Bench, down, letterDetector, openingDetector, up, word } from './testing.js';

describe('flows and time', () => {
  test('a five-tuple that was silent for longer than its limit is a new flow, whenever the sweep comes by', () => {
    const b = new Bench([]);
    for (let i = 0; i < 3; i++) b.send({ proto: 'udp', ...up, payload: fromText('x') }, i * 200e6);
    assert.equal(b.end().length, 3);
  });

  test('what is left of an old connection does not make its server the client of the next one', () => {
    const b = new Bench([openingDetector()]);
    b.send({ ...down, flags: 0x11, sequence: 900 });
    b.send({ ...up, flags: 2, sequence: 10 });
    b.send({ ...down, flags: 0x12, sequence: 20 });
    b.send({ ...up, sequence: 11, payload: word });
    const reports = b.end();
    assert.deepEqual(
      reports.map(({ client, verdict }) => [client, verdict]),
      [
        ['10.0.0.2', 'unknown'],
        ['10.0.0.1', 'bittorrent'],
      ],
    );
    assert.equal(reports[1]!.evidence[0]!.side, 'client');
  });

  test('simultaneous open stays one flow', () => {
    const b = new Bench([openingDetector()]);
    b.send({ ...up, flags: 2, sequence: 10 });
    b.send({ ...down, flags: 2, sequence: 20 });
    b.send({ ...up, sequence: 11, payload: word });
    const reports = b.end();
    assert.deepEqual(
      reports.map(({ packets, verdict }) => [packets, verdict]),
      [[3, 'bittorrent']],
    );
  });

  test('with one direction captured, the server’s next SYN after a close begins a new flow', () => {
    const b = new Bench([openingDetector()]);
    b.send({ ...down, flags: 0x12, sequence: 10 });
    b.send({ ...down, sequence: 11, payload: fromText('SSH-2') });
    b.send({ ...down, flags: 0x11, sequence: 16 });
    b.send({ ...down, flags: 0x12, sequence: 5000 });
    assert.equal(b.send({ ...down, sequence: 5001, payload: word }), 3);
    assert.equal(b.end().length, 2);
  });

  test('a reset flow is kept only for its late segments', () => {
    const b = new Bench([]);
    b.send({ ...up, flags: 2, sequence: 1 }, 0);
    b.send({ ...down, flags: 0x14, sequence: 1 }, 1e6);
    b.send({ ...up, sequence: 2, payload: fromText('x') }, 30e6);
    assert.deepEqual(
      b.end().map(({ packets, ended }) => [packets, ended]),
      [
        [2, 'idle'],
        [1, 'end-of-input'],
      ],
    );
  });
});

describe('streams whose beginning was not captured', () => {
  test('two first segments in the wrong order', () => {
    const b = new Bench([openingDetector(), letterDetector('other', 'hint', 'Q')]);
    b.send({ ...up, sequence: 11, payload: fromText(' more') });
    assert.equal(b.send({ ...up, sequence: 0, payload: word }), 3);
  });

  test('a keep-alive probe before the first data', () => {
    const b = new Bench([openingDetector(), letterDetector('other', 'hint', 'Q')]);
    b.send({ ...up, sequence: 99, payload: fromText('\0') });
    assert.equal(b.send({ ...up, sequence: 100, payload: word }), 3);
  });

  test('after a lost beginning a message in two pieces is still seen whole', () => {
    const pair: Detector = {
      ...base('pair', 'proof'),
      packetsMax: 64,
      inspect: (view) => {
        const length = view.openingEnd - view.openingStart;
        if (view.bytes[view.start] === 0x61) return More;
        return length >= 4 && view.opening[view.openingStart] === 0x61
          ? yesInOpening(view, 0, view.openingStart, view.openingEnd)
          : No;
      },
    };
    const b = new Bench([openingDetector(), pair]);
    b.send({ ...up, flags: 2, sequence: 0 });
    for (let i = 0; i < 3; i++) b.send({ ...up, sequence: 101 + i * 10, payload: fromText('zz') });
    b.send({ ...up, sequence: 201, payload: fromText('ab') });
    assert.equal(b.send({ ...up, sequence: 203, payload: fromText('cd') }), 3);
  });
});

describe('streams whose SYN was seen and whose first bytes are missing', () => {
  const fromMiddle = (): Detector => letterDetector('middle', 'proof', 'm', { where: 'middle' });
  const wantsStart: Detector = {
    ...base('start', 'proof'),
    inspect: (view) =>
      view.fromStart && view.bytes[view.start] === 0x73 ? yesInPayload(view, 0, view.start, view.end) : No,
  };

  test('what comes behind the gap is looked at as the middle of a stream', () => {
    const b = new Bench([openingDetector(), fromMiddle()]);
    b.send({ ...up, flags: 2, sequence: 0 });
    assert.equal(b.send({ ...up, sequence: 101, payload: fromText('m') }), 3);
    const c = new Bench([openingDetector(), fromMiddle()]);
    c.send({ ...up, flags: 2, sequence: 0 });
    c.send({ ...up, sequence: 1, payload: fromText('m') });
    c.send({ ...up, sequence: 2, payload: fromText('m') });
    assert.equal(c.end()[0]!.verdict, 'unknown');
  });

  test('also far behind it, where nothing can be kept', () => {
    const b = new Bench([openingDetector(), fromMiddle()]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 100_001, payload: fromText('x') });
    assert.equal(b.send({ ...up, sequence: 100_002, payload: fromText('m') }), 3);
  });

  test('the other side is not concerned', () => {
    const b = new Bench([openingDetector(), fromMiddle()]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...down, flags: 0x12, sequence: 50 });
    b.send({ ...up, sequence: 101, payload: fromText('x') });
    b.send({ ...down, sequence: 51, payload: fromText('m') });
    assert.equal(b.end()[0]!.verdict, 'unknown');
  });

  test('while the gap is open no detector is told that it sees the start, and those of shapes are not asked', () => {
    const asked: boolean[] = [];
    const notes: Detector = { ...base('notes', 'hint'), inspect: (view) => (asked.push(view.fromStart), No) };
    const shape: Detector = {
      ...fromMiddle(),
      name: 'shape',
      findings: [{ text: 'shape said so', kind: 'encrypted', confidence: 'proof' }],
    };
    const late: Detector = { ...fromMiddle(), name: 'late', packetsMax: 1, firstBytes: [0x6d] };
    const b = new Bench([openingDetector(), notes, shape, late]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 101, payload: fromText('x') });
    b.send({ ...up, sequence: 102, payload: fromText('m') });
    assert.deepEqual(asked, [false, false]);
    assert.equal(b.end()[0]!.verdict, 'unknown');
  });

  test('a first segment that comes behind one far ahead is the start of the stream', () => {
    const b = new Bench([wantsStart]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 9001, payload: fromText('x') });
    b.send({ ...up, sequence: 1, payload: fromText('x') });
    assert.equal(b.send({ ...up, sequence: 2, payload: fromText('s') }), 3);
  });

  test('when the first bytes come after all, it is a stream seen from its start again', () => {
    const b = new Bench([openingDetector(), wantsStart]);
    b.send({ ...up, flags: 2, sequence: 0 });
    b.send({ ...up, sequence: 11, payload: fromText('s') });
    b.send({ ...up, sequence: 1, payload: fromText('\x13BitTorren') });
    assert.equal(b.send({ ...up, sequence: 12, payload: fromText('s') }), 3);
    const c = new Bench([openingDetector()]);
    c.send({ ...up, flags: 2, sequence: 0 });
    c.send({ ...up, sequence: 6, payload: word.subarray(5) });
    assert.equal(c.send({ ...up, sequence: 1, payload: word.subarray(0, 5) }), 3);
  });
});

describe('details after the verdict', () => {
  const naming = letterDetector('naming', 'proof', 'n', {
    packetsMax: 64,
    inspect: (view) => {
      if (view.bytes[view.start] === 0x6e) noteInfoHash(view, new Uint8Array(20).fill(7), 0, 20);
      return view.bytes[view.start] === 0x6e || view.bytes[view.start] === 0x70
        ? yesInPayload(view, 0, view.start, view.start + 1)
        : No;
    },
  });

  test('an info-hash that comes later is noted; the decision stays where it was', () => {
    const b = new Bench([naming], 64, true);
    b.send({ proto: 'udp', ...up, payload: fromText('p') });
    for (const letter of ['p', 'p', 'n', 'n']) b.send({ ...up, sequence: 1, payload: fromText(letter) });
    const c = new Bench([{ ...naming, transport: 'udp' }], 64, true);
    for (const letter of ['p', 'p', 'n', 'n']) c.send({ proto: 'udp', ...up, payload: fromText(letter) });
    const [report] = c.end();
    assert.equal(report!.decided_packet, 1);
    assert.deepEqual(report!.info_hashes, ['07'.repeat(20)]);
    assert.deepEqual(
      report!.evidence.map(({ packet }) => packet),
      [1, 3],
    );
    assert.equal(c.engine.inspector.detectorCalls, 3);
  });

  test('an inline engine asks nothing more', () => {
    const b = new Bench([{ ...naming, transport: 'udp' }]);
    for (const letter of ['p', 'n']) b.send({ proto: 'udp', ...up, payload: fromText(letter) });
    assert.deepEqual(b.end()[0]!.info_hashes, []);
    assert.equal(b.engine.inspector.detectorCalls, 1);
  });
});
